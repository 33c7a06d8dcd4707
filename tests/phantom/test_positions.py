"""Heads that move between sequences, slabs and thick slices: the truth says where everything lies."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas, Tissue
from bids_t1_phantom.head.head import Head, HeadOptions, make_grid, make_head, sub_slices
from bids_t1_phantom.head.pose import CENTRE, Misalignment, Pose
from bids_t1_phantom.physics.protocols import Protocol
from bids_t1_phantom.sequences.inversion_recovery import acquire
from tests import validator

TRANSFORM = "sub-01_from-MP2RAGE_to-IRT1_mode-image_xfm"
SMALL = ["--resolution", "6", "--sequences", "IRT1,MP2RAGE", "--inversion-times", "0.1", "1.0", "--seed", "3"]
SLAB = ["--misalignment", "10", "10", "--ir-slices", "4", "--ir-slice-thickness", "8"]
FLIP = np.array([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def moved_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("moved") / "phantom"
    assert main([str(out_dir), *SMALL, *SLAB]) == 0
    return out_dir


def _load(path: Path) -> nibabel.Nifti1Image:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return image


def _apply(transform: SimpleITK.Transform, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take right-anterior-superior points (n, 3) through a transform of ITK."""
    moved = [transform.TransformPoint(tuple(FLIP * point)) for point in points]  # type: ignore[no-untyped-call]
    return np.asarray(moved * FLIP)


def test_the_written_transform_takes_a_part_of_the_head_to_where_it_lies_in_mp2rage(
    atlas: Atlas, moved_dataset: Path
) -> None:
    truth = moved_dataset / "derivatives" / "truth" / "sub-01" / "anat"
    transform = SimpleITK.ReadTransform(str(truth / f"{TRANSFORM}.txt"))  # type: ignore[no-untyped-call]
    resting = make_head(atlas, HeadOptions(resolution=6.0), seed=3)
    inside = np.flatnonzero(resting.brain)[::400]
    points = resting.grid.points().reshape(3, -1)[:, inside].T
    image = _load(truth / "sub-01_space-MP2RAGE_desc-truth_T1map.nii.gz")
    # A grid whose only voxels are the moved points: the head that is scanned there must be the same.
    moved = _apply(transform, points)
    pose = Pose.draw(Misalignment(degrees=10.0, millimetres=10.0), seed=3, participant=1)
    np.testing.assert_allclose(pose.at_rest(moved.T).T, points, atol=1e-9)
    # And so it is in the files, but for the distance to the nearest voxel.
    indices = np.rint(nibabel.affines.apply_affine(np.linalg.inv(image.affine), moved)).astype(int)
    found = np.asarray(image.get_fdata())[tuple(indices.T)]
    expected = resting.t1.ravel()[inside]
    unmoved = np.rint(nibabel.affines.apply_affine(np.linalg.inv(image.affine), points)).astype(int)
    wrong = np.asarray(image.get_fdata())[tuple(unmoved.T)]
    assert np.mean(np.abs(found / expected - 1) < 0.03) > 0.7
    assert np.mean(np.abs(wrong / expected - 1) < 0.03) < 0.55


def test_a_moved_head_is_the_same_head_at_moved_points(atlas: Atlas) -> None:
    resting = HeadOptions(resolution=8.0)
    pose = Pose(rotation=(3.0, -4.0, 8.0), shift=(5.0, -7.0, 2.0))
    moved = make_head(atlas, replace(resting, pose=pose), seed=1)
    grid = moved.grid
    # The pose as an affine: voxels that move with the head see what those at rest see.
    affine = np.eye(4)
    affine[:3, :3] = pose.matrix
    affine[:3, 3] = np.array(CENTRE) + pose.shift - pose.matrix @ CENTRE
    along = make_head(atlas, replace(resting, pose=pose), seed=1, grid=replace(grid, affine=affine @ grid.affine))
    still = make_head(atlas, resting, seed=1)
    assert np.mean(along.tissue == still.tissue) > 0.9999
    same = along.tissue == still.tissue
    for name in ("t1", "m0", "phase", "transmit_field", "inversion_efficiency", "off_resonance", "t2_star"):
        np.testing.assert_allclose(getattr(along, name)[same], getattr(still, name)[same], rtol=1e-6, atol=1e-6)


def test_moves_are_rigid_and_fill_the_range_that_was_asked_for() -> None:
    poses = [Pose.draw(Misalignment(degrees=10.0, millimetres=5.0), seed=0, participant=n) for n in range(1, 200)]
    angles = np.array([pose.angle for pose in poses])
    lengths = np.array([np.linalg.norm(pose.shift) for pose in poses])
    assert (angles.max(), lengths.max()) == pytest.approx((10.0, 5.0), rel=0.03)
    assert (angles.max() <= 10.0, lengths.max() <= 5.0) == (True, True)
    assert (angles.mean(), lengths.mean()) == pytest.approx((5.0, 2.5), rel=0.1)
    for pose in poses[:5]:
        np.testing.assert_allclose(pose.matrix @ pose.matrix.T, np.eye(3), atol=1e-12)
        assert np.rad2deg(np.arccos((np.trace(pose.matrix) - 1) / 2)) == pytest.approx(pose.angle)


def test_each_space_has_its_truth_on_its_grid_and_both_validate(moved_dataset: Path) -> None:
    anat = moved_dataset / "sub-01" / "anat"
    truth = moved_dataset / "derivatives" / "truth"
    inversion, readout = (_load(anat / f"sub-01_inv-1{rest}.nii.gz") for rest in ("_IRT1", "_part-mag_MP2RAGE"))
    for name in ("desc-truth_T1map", "desc-truth_M0map", "desc-tissue_dseg", "desc-brain_mask"):
        plain, spaced = (
            _load(truth / "sub-01" / "anat" / f"sub-01_{space}{name}.nii.gz") for space in ("", "space-MP2RAGE_")
        )
        np.testing.assert_array_equal(plain.affine, inversion.affine)
        np.testing.assert_array_equal(spaced.affine, readout.affine)
        assert (plain.shape, spaced.shape) == (inversion.shape, readout.shape)
    assert inversion.header.get_zooms() == pytest.approx((6, 6, 8))
    assert inversion.shape[2] == 4
    numbers = json.loads((truth / "sub-01" / "anat" / f"{TRANSFORM}.json").read_text())
    assert 0 < numbers["RotationAngle"] <= 10
    assert "space-MP2RAGE" in (truth / "README.md").read_text()
    for folder in (moved_dataset, truth):
        assert validator.errors(folder) == []


def test_inversion_recovery_does_not_depend_on_the_move(tmp_path: Path) -> None:
    images = []
    for name, angle in (("a", "0"), ("b", "9")):
        assert main([str(tmp_path / name), *SMALL, "--slices", "3", "--misalignment", angle, "0"]) == 0
        images.append(tmp_path / name / "sub-01" / "anat")
    one, other = ([(folder / f"sub-01_inv-1{rest}.nii.gz").read_bytes() for rest in ("_IRT1", "_part-mag_MP2RAGE")]
                  for folder in images)  # fmt: skip
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert not list((tmp_path / "a").rglob("*_xfm*"))


def _thick(atlas: Atlas) -> tuple[Head, list[Head]]:
    options = HeadOptions(resolution=4.0, slices=3, slice_thickness=12.0)
    head = make_head(atlas, options, seed=0)
    return head, [make_head(atlas, options, seed=0, grid=grid) for grid in sub_slices(head.grid)]


def test_thick_slices_average_their_layers(atlas: Atlas) -> None:
    head, layers = _thick(atlas)
    protocol = Protocol.build((0.3,), snr=np.inf)
    thick = acquire(head, protocol, seed=0, layers=layers).images
    thin = [acquire(layer, protocol, seed=0).images for layer in layers]
    assert len(layers) == 3
    np.testing.assert_allclose(thick, np.mean(thin, axis=0), atol=1e-3)
    np.testing.assert_array_equal(layers[1].grid.affine, head.grid.affine)
    mixed = np.any([layer.tissue != head.tissue for layer in layers], axis=0)
    middle = np.abs(thick - thin[1])[0]
    assert middle[mixed & (head.tissue == Tissue.GREY_MATTER)].mean() > 20
    assert middle[~mixed & head.brain].mean() < 10


def test_thick_slices_have_the_noise_of_thin_ones(atlas: Atlas) -> None:
    head, layers = _thick(atlas)
    noisy, clean = (
        acquire(head, Protocol.build((0.3,), snr=snr), seed=0, layers=layers).images for snr in (20, np.inf)
    )
    assert np.std((noisy - clean).real) == pytest.approx(50.0, rel=0.02)


@pytest.mark.parametrize("thickness", [1.0, 30.0])
def test_impossible_slices_are_refused(thickness: float) -> None:
    with pytest.raises(InvalidInputError, match="slices of"):
        make_grid(HeadOptions(resolution=2.0, slice_thickness=thickness))


@pytest.mark.parametrize("misalignment", [["-1", "0"], ["0", "1000"], ["nan", "0"]])
def test_impossible_moves_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], misalignment: list[str]
) -> None:
    assert main([str(tmp_path / "out"), *SMALL, "--misalignment", *misalignment]) == 64
    assert "misalignment" in capsys.readouterr().err
