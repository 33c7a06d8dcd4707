"""Measurements of the transmit field: textbook formulas find the truth in them, and every form validates."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas
from bids_t1_phantom.head.head import Head, HeadOptions, field_of, make_head
from bids_t1_phantom.head.transmit import TransmitOptions
from bids_t1_phantom.physics.protocols import WHITE_MATTER_M0
from bids_t1_phantom.physics.refocused_echoes import spin_and_stimulated_echo
from bids_t1_phantom.sequences.field_protocols import PROTOCOLS
from bids_t1_phantom.sequences.transmit_field import UNITS, FieldOptions, acquire_field, coarse_grid
from tests import validator

TINY = ["--resolution", "10", "--slices", "2", "--sequences", "MEGRE", "--echo-times", "0.01"]
DCM2NIIX = Path(sys.executable).with_name("dcm2niix")
FIELD = np.linspace(0.5, 1.4, 19)
TISSUE = np.array([[0.84], [1.19], [1.6]])
"""White, deep grey and grey matter [s]."""

FILES = {
    **{kind: {"TB1map"} for kind in UNITS},
    "afi": {"acq-tr1_TB1AFI", "acq-tr2_TB1AFI"},
    "dam": {"flip-1_TB1DAM", "flip-2_TB1DAM"},
    "tfl": {"acq-anat_TB1TFL", "acq-famp_TB1TFL"},
    "sa2rage": {f"flip-{index}_inv-{index}_part-{part}_TB1SRGE" for index in (1, 2) for part in ("mag", "phase")},
    "epi": {f"echo-{echo}_flip-{flip}_TB1EPI" for echo in (1, 2) for flip in range(1, 6)},
}
REQUIRED = {
    "afi": {"RepetitionTimeExcitation", "FlipAngle"},
    "dam": {"FlipAngle", "RepetitionTime"},
    "tfl": {"FlipAngle"},
    "sa2rage": {"FlipAngle", "InversionTime", "RepetitionTimeExcitation", "RepetitionTimePreparation", "NumberShots"},
    "epi": {"FlipAngle", "EchoTime", "TotalReadoutTime", "MixingTime"},
}


def _make(folder: Path, *arguments: str) -> Path:
    assert main([str(folder), *TINY, *arguments]) == 0
    return folder


def _load(path: Path) -> nibabel.Nifti1Image:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return image


def _sidecar(path: Path) -> dict[str, object]:
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def _signals(kind: str) -> NDArray[np.generic]:
    """Return signals (image, tissue, field) for M0 = 1."""
    t1, field = np.broadcast_arrays(TISSUE, FIELD)
    signals = PROTOCOLS[kind].simulate(t1.ravel(), field.ravel())
    return np.asarray(signals.reshape(-1, *t1.shape))


@pytest.fixture(scope="module")
def head(atlas: Atlas) -> Head:
    options = HeadOptions(resolution=6.0, slices=6, transmit=TransmitOptions(0.7, 1.3))
    return make_head(atlas, options, seed=0)


def _field(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return field_of(points, TransmitOptions(0.7, 1.3), seed=0, participant=1)


def test_actual_flip_angle_images_invert_to_the_truth() -> None:
    first, second = np.abs(_signals("afi"))
    ratio = second / first
    found = np.arccos((5 * ratio - 1) / (5 - ratio)) / np.deg2rad(60)
    np.testing.assert_allclose(found, np.broadcast_to(FIELD, found.shape), rtol=0.01)


def test_double_angle_images_invert_to_the_truth() -> None:
    first, second = np.abs(_signals("dam"))
    found = np.arccos(second / (2 * first)) / np.deg2rad(60)
    np.testing.assert_allclose(found, np.broadcast_to(FIELD, found.shape), rtol=0.01)


def test_a_saturation_leaves_the_cosine_of_its_angle_to_turbo_flash() -> None:
    without, saturated = np.real(_signals("tfl"))
    found = np.arccos(saturated / without) / np.deg2rad(80)
    np.testing.assert_allclose(found, np.broadcast_to(FIELD, found.shape), rtol=0.01)


def test_the_sign_of_sa2rage_changes_near_the_nominal_field_and_its_ratio_hardly_knows_t1() -> None:
    first, second = np.real(_signals("sa2rage"))
    ratio = first / second
    assert np.all(np.diff(ratio, axis=-1) < 0)
    assert np.all(ratio[:, 0] > 0)
    assert np.all(ratio[:, -1] < 0)
    # What T1 between 0.84 and 1.6 s changes, as an error of the field.
    slope = np.abs(np.gradient(ratio.mean(axis=0), FIELD))
    assert np.max(np.ptp(ratio, axis=0) / slope) < 0.1


def _sa2rage_by_matrices(t1: float, b1: float) -> tuple[float, float]:
    """Signals from products of 2 x 2 matrices that act on (Mz, 1), the steady state by solving for it."""

    def relax(time: float) -> NDArray[np.float64]:
        return np.array([[np.exp(-time / t1), 1 - np.exp(-time / t1)], [0, 1]])

    def train(degrees: float, count: int) -> NDArray[np.float64]:
        pulse = relax(0.00275) @ np.diag([np.cos(np.deg2rad(degrees) * b1), 1])
        return np.asarray(np.linalg.matrix_power(pulse, count))

    start = relax(0.0455 - 16 * 0.00275) @ np.diag([np.cos(np.pi / 2 * b1), 1])
    centre_1 = train(4, 16) @ start
    centre_2 = train(11, 16) @ relax(1.8 - 0.0455 - 48 * 0.00275) @ train(4, 32) @ centre_1
    cycle = relax(2.4 - 1.8 - 32 * 0.00275) @ train(11, 32) @ centre_2
    steady = np.array([cycle[0, 1] / (1 - cycle[0, 0]), 1])
    first = float((centre_1 @ steady)[0] * np.sin(np.deg2rad(4) * b1))
    second = float((centre_2 @ steady)[0] * np.sin(np.deg2rad(11) * b1))
    return first, second


@pytest.mark.parametrize(("tissue", "place"), [(0, 0), (1, 10), (2, 18)])
def test_sa2rage_equals_its_matrices(tissue: int, place: int) -> None:
    expected = _sa2rage_by_matrices(float(TISSUE[tissue, 0]), float(FIELD[place]))
    np.testing.assert_allclose(np.real(_signals("sa2rage"))[:, tissue, place], expected, rtol=1e-7)


def test_the_stimulated_echo_is_the_spin_echo_times_the_cosine_of_the_angle() -> None:
    signals = _signals("epi").reshape(5, 2, *TISSUE.shape[:1], -1)
    for nominal, (spin, stimulated) in zip((50, 65, 80, 95, 110), signals, strict=True):
        expected = np.cos(np.deg2rad(nominal) * FIELD) * np.exp(-0.0338 / TISSUE)
        np.testing.assert_allclose(stimulated / spin, expected, atol=1e-9)


def test_the_spin_echo_of_full_recovery_is_the_cube_of_the_sine() -> None:
    angles = np.linspace(0.1, 1.5, 8)
    spin, _ = spin_and_stimulated_echo(
        0.5, flip_angle=90, echo_time=1e-4, mixing_time=1e-3, repetition_time=50.0, transmit_field=angles
    )
    np.testing.assert_allclose(np.abs(spin), np.abs(np.sin(np.pi / 2 * angles)) ** 3, atol=1e-3)


def test_echoes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"0\.1 s"):
        spin_and_stimulated_echo(1.0, flip_angle=90, echo_time=0.1, mixing_time=0.03, repetition_time=1.0)


@pytest.mark.parametrize("kind", FILES)
def test_every_measurement_has_its_files_and_metadata_and_validates(tmp_path: Path, kind: str) -> None:
    folder = _make(tmp_path / "out", "--b1-map", kind)
    fmap = folder / "sub-01" / "fmap"
    names = {path.name.removesuffix(".nii.gz").removeprefix("sub-01_") for path in fmap.glob("*.nii.gz")}
    assert names == FILES[kind]
    for name in names:
        assert REQUIRED.get(kind, set()) <= set(_sidecar(fmap / f"sub-01_{name}.json"))
    assert validator.errors(folder) == []
    assert (folder / "derivatives/truth/sub-01/fmap/sub-01_desc-truth_TB1map.nii.gz").exists()


@pytest.mark.parametrize(
    ("kind", "units", "nominal"),
    [("ratio", "arbitrary", 1), ("percent", "percent", 100), ("thousand", "permille", 1000), ("angle", "degree", 60)],
)
def test_maps_say_their_unit_and_hold_the_same_field(tmp_path: Path, kind: str, units: str, nominal: float) -> None:
    fmap = _make(tmp_path / "out", "--b1-map", kind) / "sub-01" / "fmap"
    sidecar = _sidecar(fmap / "sub-01_TB1map.json")
    assert sidecar["Units"] == units
    assert sidecar.get("FlipAngle") == (60 if kind == "angle" else None)
    values = _load(fmap / "sub-01_TB1map.nii.gz").get_fdata() / nominal
    assert 0.7 < np.median(values[values > 0]) < 1.2


def test_noise_of_images_has_its_level_and_a_stream_of_its_own(head: Head) -> None:
    noisy, again, clean = (
        acquire_field(head, FieldOptions(kind="afi", resolution=8.0, noise=level), _field, seed=0)
        for level in (0.01, 0.01, 0.0)
    )
    np.testing.assert_array_equal(noisy.images, again.images)
    difference = noisy.images - clean.images
    for channel in (difference.real, difference.imag):
        assert np.std(channel) == pytest.approx(0.01 * WHITE_MATTER_M0, rel=5 / np.sqrt(2 * channel.size))


def test_the_scanner_computes_the_saturation_angle_in_tenths_of_a_degree(head: Head) -> None:
    scan = acquire_field(head, FieldOptions(kind="tfl", resolution=8.0, noise=0.0), _field, seed=0)
    matter = np.abs(scan.images[0]) > 0
    expected = 800 * _field(scan.grid.points())
    stored = scan.saturation_angles()
    assert stored.dtype == np.int16
    assert np.median(np.abs(stored / expected - 1)[matter]) < 0.005
    assert np.all(stored[~matter] == 0)


@pytest.mark.parametrize("shift", [0.0, -60.0])
def test_a_shifted_field_of_view_holds_the_true_field_of_where_it_is(head: Head, shift: float) -> None:
    options, usual = FieldOptions(kind="afi", resolution=8.0, shift=shift, noise=0.0), FieldOptions(resolution=8.0)
    scan = acquire_field(head, options, _field, seed=0)
    assert scan.grid.affine[2, 3] - coarse_grid(head.grid, usual).affine[2, 3] == shift
    first, second = np.abs(scan.images)
    matter = first > 0
    ratio = second[matter] / first[matter]
    found = np.arccos((5 * ratio - 1) / (5 - ratio)) / np.deg2rad(60)
    error = found / _field(scan.grid.points())[matter] - 1
    assert np.median(np.abs(error)) < 0.01


def test_the_resolution_is_that_asked_for(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--b1-map", "ratio", "--b1-resolution", "5")
    assert _load(folder / "sub-01/fmap/sub-01_TB1map.nii.gz").header.get_zooms() == (5, 5, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--b1-map", "afi", "--b1-resolution", "0.1"], "0.1 mm"),
        (["--b1-map", "afi", "--b1-shift", "1000"], "1000 mm"),
        (["--b1-map", "afi", "--b1-noise", "2"], "noise 2"),
        (["--b1-map", "dam", "--format", "dicom"], "dam"),
        (["--b1-map", "ratio", "--format", "dicom"], "ratio"),
        (["--b1-map", "tfl", "--format", "dicom", "--vendor", "ge"], "of ge"),
    ],
)
def test_what_cannot_be_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(tmp_path / "out"), *TINY, *arguments]) == 64
    assert message in capsys.readouterr().err


def _dicom(folder: Path, kind: str) -> dict[str, list[pydicom.FileDataset]]:
    """Return the images of the measurement, by series."""
    _make(folder, "--b1-map", kind, "--format", "dicom", "--layout", "flat", "--b1-resolution", "10")
    found: dict[str, list[pydicom.FileDataset]] = {}
    for path in sorted(folder.iterdir()):
        image = pydicom.dcmread(path)
        if image.SeriesDescription in {"tfl_b1map", "AFI_B1"}:
            found.setdefault(str(image.SeriesInstanceUID), []).append(image)
    return found


def test_scanner_files_of_tfl_b1map_are_an_image_and_a_map_of_angles(tmp_path: Path) -> None:
    anatomy, angles = _dicom(tmp_path / "out", "tfl").values()
    assert [image[0].ImageComments for image in (anatomy, angles)] == ["anatomical image", "flip angle map"]
    assert angles[0].ImageType[2] == "FLIP ANGLE MAP"
    assert (angles[0].FlipAngle, angles[0].SoftwareVersions) == (80, "syngo MR B17")
    assert b"tfl_b1map" in angles[0][0x0029, 0x1020].value
    values = np.stack([image.pixel_array for image in angles])
    assert 500 < np.median(values[values > 0]) < 1200


def test_scanner_files_of_afi_hide_the_second_repetition_time_in_the_protocol(tmp_path: Path) -> None:
    (images,) = _dicom(tmp_path / "out", "afi").values()
    assert {(image.EchoNumbers, image.RepetitionTime, image.FlipAngle) for image in images} == {
        (1, 20, 60),
        (2, 20, 60),
    }
    text = images[0][0x0029, 0x1020].value
    assert b"alTR[0]\t = \t20000\n" in text
    assert b"alTR[1]\t = \t100000\n" in text


@pytest.mark.parametrize(("kind", "count"), [("tfl", 2), ("afi", 2)])
def test_a_converter_makes_two_images_of_the_true_field_of_view(tmp_path: Path, kind: str, count: int) -> None:
    _dicom(tmp_path / "out", kind)
    target = tmp_path / "nifti"
    target.mkdir()
    command = [str(DCM2NIIX), "-f", "%s_%d", "-z", "n", "-o", str(target), str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True)
    images = [_load(path) for path in sorted(target.glob("*.nii")) if "T2star" not in path.name]
    assert len(images) == count
    assert all(image.header.get_zooms() == pytest.approx((10, 10, 10)) for image in images)
