"""Brain, tissues and one space, from the command line: a head that moved between inversion recovery and MP2RAGE."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

from bids_t1.data.outputs import ANATOMY as ANATOMY_ROWS
from bids_t1.data.outputs import CALIBRATED, CONDITIONS, OUTPUTS, SLOW
from bids_t1.data.tissue import Tissue
from bids_t1_phantom.cli import main as make_phantom
from tests import command, validator
from tests.small_bids import open_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ITK: Any = SimpleITK
"""Its functions have no types."""

HEAD = ("--resolution", "4", "--sequences", "IRT1", "MP2RAGE", "--misalignment", "8", "8", "--snr", "50")
IR = "sub-01_desc-IRT1_T1map.nii.gz"
MOVED = "sub-01_space-IRT1_desc-MP2RAGE_T1map.nii.gz"
TO_IR = "sub-01_from-MP2RAGE_to-IRT1_mode-image_xfm.txt"
ANATOMY = {"desc-brain_mask", "desc-tissue_dseg", "label-WM_probseg", "label-GM_probseg", "label-CSF_probseg"}


TEMPLATE = "MNI152NLin2009aSym"
"""What nilearn brings along; the phantom's tissues are those of this template, bent and placed elsewhere."""


@pytest.fixture(scope="module", autouse=True)
def without_templateflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPLATEFLOW_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> command.Finished:
    """Two participants who moved between their scans."""
    folder = tmp_path_factory.mktemp("moved")
    data = make(folder / "data", "--participants", "2")
    answer = command.whole(data, folder / "out", "--output-spaces", TEMPLATE)
    assert answer.code == 0, answer.said
    return command.Finished(data, folder / "out", answer)


def make(folder: Path, *options: str) -> Path:
    assert make_phantom([str(folder), *HEAD, *options]) == 0
    return folder


def load(folder: Path, name: str, label: str = "01") -> np.ndarray:
    return np.asanyarray(open_image(folder / f"sub-{label}" / "anat" / name.replace("sub-01", f"sub-{label}")).dataobj)


def truth(done: command.Finished, name: str) -> np.ndarray:
    return load(done.bids_dir / "derivatives" / "truth", name)


def rows(out_dir: Path, desc: str) -> list[dict[str, str]]:
    with (out_dir / "sub-01" / "anat" / f"sub-01_desc-{desc}_T1map.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_both_scans_have_brain_and_tissues_and_mp2rage_is_in_the_space_of_inversion_recovery(
    moved: command.Finished,
) -> None:
    names = {path.name.split(".")[0] for path in (moved.out_dir / "sub-01" / "anat").iterdir()}
    assert {f"sub-01_{ending}" for ending in ANATOMY} <= names
    assert {f"sub-01_space-IRT1_{ending}" for ending in ANATOMY} <= names
    assert {f"sub-01_space-IRT1_desc-{desc}" for desc in ("MP2RAGE_T1map", "MP2RAGEsd_T1map", "MP2RAGE_R1map")} <= names
    assert {TO_IR.split(".", maxsplit=1)[0], "sub-01_from-IRT1_to-MP2RAGE_mode-image_xfm"} <= names


def test_every_row_of_the_table_of_outputs_is_there_or_says_when_it_is_not(moved: command.Finished) -> None:
    folder = moved.out_dir / "sub-01"
    rows = [row for row in OUTPUTS if row.sequence in {"IRT1", "MP2RAGE", ANATOMY_ROWS}]
    missing = {row.quantity for row in rows if not (folder / row.datatype / f"sub-01_{row.ending}.nii.gz").is_file()}
    # The phantom brings a map of B1+; nothing calibrates, plays tissues or asks for a fast component here.
    assert missing <= {*CALIBRATED, *SLOW, "share", "probability_SGM"}
    assert missing <= set(CONDITIONS)


def test_what_is_written_validates_and_nothing_is_left_over(moved: command.Finished) -> None:
    assert validator.errors(moved.out_dir) == []
    assert command.leftovers(moved.out_dir) == []


def test_the_transform_is_the_true_one_within_a_fraction_of_a_voxel_and_its_inverse_leads_back(
    moved: command.Finished,
) -> None:
    true = ITK.ReadTransform(str(moved.bids_dir / "derivatives" / "truth" / "sub-01" / "anat" / TO_IR))
    found = ITK.ReadTransform(str(moved.out_dir / "sub-01" / "anat" / TO_IR))
    back = ITK.ReadTransform(str(moved.out_dir / "sub-01" / "anat" / "sub-01_from-IRT1_to-MP2RAGE_mode-image_xfm.txt"))
    image = open_image(moved.bids_dir / "derivatives" / "truth" / "sub-01" / "anat" / "sub-01_desc-tissue_dseg.nii.gz")
    brain = np.isin(np.asanyarray(image.dataobj), [1, 2, 3, 9])
    points = nib.affines.apply_affine(image.affine, np.argwhere(brain)[::97]) * [-1, -1, 1]
    errors = [np.subtract(found.TransformPoint(point), true.TransformPoint(point)) for point in points.tolist()]
    assert np.linalg.norm(errors, axis=1).mean() < 0.8  # voxels of 4 mm
    np.testing.assert_allclose(back.TransformPoint(found.TransformPoint((10.0, -20.0, 30.0))), (10, -20, 30), atol=1e-6)


def test_tissues_of_the_carried_segmentation_are_the_true_ones(moved: command.Finished) -> None:
    found, true = (
        load(moved.out_dir, "sub-01_space-IRT1_desc-tissue_dseg.nii.gz"),
        truth(moved, "sub-01_desc-tissue_dseg.nii.gz"),
    )
    both = np.sum((found == Tissue.WHITE_MATTER) & (true == Tissue.WHITE_MATTER))
    dice = 2 * both / (np.sum(found == Tissue.WHITE_MATTER) + np.sum(true == Tissue.WHITE_MATTER))
    assert dice > 0.85


def test_table_has_t1_of_each_tissue_and_map(moved: command.Finished) -> None:
    table = rows(moved.out_dir, "tissue")
    assert {row["map"] for row in table} == {IR, "sub-01_desc-MP2RAGE_T1map.nii.gz"}
    white = [row for row in table if row["tissue"] == "WM" and row["hemisphere"] == "both" and row["eroded"] == "true"]
    true = truth(moved, "sub-01_desc-truth_T1map.nii.gz")[
        truth(moved, "sub-01_desc-tissue_dseg.nii.gz") == Tissue.WHITE_MATTER
    ]
    for row in white:
        assert abs(float(row["median"]) / np.median(true) - 1) < 0.02
    assert {row["hemisphere"] for row in table} == {"both", "left", "right"}


def test_table_says_how_mp2rage_agrees_with_inversion_recovery(moved: command.Finished) -> None:
    brain = [row for row in rows(moved.out_dir, "agreement") if row["tissue"] == "WM" and row["eroded"] == "true"]
    (row,) = brain
    assert (row["map"], row["reference"]) == (MOVED, IR)
    assert abs(float(row["bias"])) < 0.03
    assert abs(float(row["ratio"]) - 1) < 0.03


def test_the_page_shows_registration_tissues_and_agreement(moved: command.Finished) -> None:
    page = (moved.out_dir / "sub-01.html").read_text(encoding="utf-8")
    for words in ("white matter", "Bland", "registration"):
        assert words in page


def test_sidecars_tell_where_things_come_from(moved: command.Finished) -> None:
    folder = moved.out_dir / "sub-01" / "anat"
    mask = json.loads((folder / "sub-01_space-IRT1_desc-brain_mask.json").read_text())
    assert mask["SpatialReference"] == f"bids::sub-01/anat/{IR}"
    assert mask["Type"] == "Brain"
    assert mask["CarriedFrom"].endswith("sub-01_desc-tissue_dseg.nii.gz")
    moved_map = json.loads((folder / MOVED.replace(".nii.gz", ".json")).read_text())
    assert moved_map["SpatialReference"] == f"bids::sub-01/anat/{IR}"


@pytest.mark.parametrize("run", ["MP2RAGE", "IRT1"])
def test_t1_in_the_space_of_the_template_is_that_of_the_head(moved: command.Finished, run: str) -> None:
    there = load(moved.out_dir, f"sub-01_space-{TEMPLATE}_desc-{run}_T1map.nii.gz")
    sd = load(moved.out_dir, f"sub-01_space-{TEMPLATE}_desc-{run}sd_T1map.nii.gz")
    here = load(moved.out_dir, f"sub-01_desc-{run}_T1map.nii.gz")
    own = load(moved.out_dir, f"sub-01_{'space-IRT1_' if run == 'IRT1' else ''}desc-tissue_dseg.nii.gz")
    makers = ((Tissue.WHITE_MATTER, load_mni152_wm_template), (Tissue.GREY_MATTER, load_mni152_gm_template))
    for tissue, maker in makers:
        expected = np.asarray(maker(resolution=2).dataobj) > 0.9
        assert abs(np.nanmedian(there[expected]) / np.nanmedian(here[own == tissue]) - 1) < 0.04
        assert np.isfinite(there[expected]).mean() > 0.95
        assert 0 < np.nanmedian(sd[expected]) < np.nanmedian(there[expected]) / 10
    assert np.isnan(there[0, 0, 0])  # outside of the image


def test_tissues_in_the_space_of_the_template_are_those_of_the_template(moved: command.Finished) -> None:
    found = load(moved.out_dir, f"sub-01_space-{TEMPLATE}_desc-tissue_dseg.nii.gz")
    white = np.asarray(load_mni152_wm_template(resolution=2).dataobj) > 0.5
    both = np.sum((found == Tissue.WHITE_MATTER) & white)
    assert 2 * both / (np.sum(found == Tissue.WHITE_MATTER) + white.sum()) > 0.8  # voxels of 4 mm


def test_itk_brings_a_map_to_the_template_as_this_program_does(moved: command.Finished) -> None:
    folder = moved.out_dir / "sub-01" / "anat"
    rate, there = (str(folder / f"sub-01_{space}desc-MP2RAGE_R1map.nii.gz") for space in ("", f"space-{TEMPLATE}_"))
    warp = str(folder / f"sub-01_from-MP2RAGE_to-{TEMPLATE}_mode-image_xfm.nii.gz")
    transform = ITK.DisplacementFieldTransform(ITK.ReadImage(warp, ITK.sitkVectorFloat64))
    resampled = ITK.Resample(ITK.ReadImage(rate), ITK.ReadImage(there), transform, ITK.sitkLinear, 0.0)
    theirs = ITK.GetArrayFromImage(resampled).T
    tissue = load(moved.out_dir, f"sub-01_space-{TEMPLATE}_desc-tissue_dseg.nii.gz")
    ours = load(moved.out_dir, f"sub-01_space-{TEMPLATE}_desc-MP2RAGE_R1map.nii.gz")
    inside = (tissue == Tissue.WHITE_MATTER) & np.isfinite(ours) & np.isfinite(theirs)
    assert np.quantile(np.abs(theirs[inside] / ours[inside] - 1), 0.9) < 0.01


def test_maps_in_a_template_say_so_in_sidecar_header_and_on_the_page(moved: command.Finished) -> None:
    folder = moved.out_dir / "sub-01" / "anat"
    name = f"sub-01_space-{TEMPLATE}_desc-MP2RAGE_T1map"
    sidecar = json.loads((folder / f"{name}.json").read_text())
    assert sidecar["SpatialReference"].startswith(TEMPLATE)
    assert sidecar["Units"] == "s"
    assert (moved.out_dir / sidecar["Transformation"].removeprefix("bids::")).is_file()
    header: Any = open_image(folder / f"{name}.nii.gz").header
    assert int(header["sform_code"]) == 4
    assert f"in the space of {TEMPLATE}" in (moved.out_dir / "sub-01.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["MNI152NLin2009asym"], 64, f"did you mean {TEMPLATE}?"),
        (["MNI152NLin2009cAsym"], 66, f"expected {TEMPLATE}, the template that is at hand"),
        ([TEMPLATE, "--maps-only"], 64, "--maps-only and --output-spaces contradict each other"),
    ],
)
def test_a_space_that_cannot_be_had_is_refused_before_anything_is_done(
    moved: command.Finished, tmp_path: Path, options: list[str], code: int, words: str
) -> None:
    answer = command.whole(moved.bids_dir, tmp_path / "out", "--output-spaces", *options)
    assert answer.code == code
    assert words in answer.said
    assert not (tmp_path / "out").exists()


def test_the_same_input_gives_the_same_bytes(moved: command.Finished, tmp_path: Path) -> None:
    options = ("--participant-label", "01", "--omp-nthreads", "3", "--output-spaces", TEMPLATE)
    answer = command.whole(moved.bids_dir, tmp_path / "out", *options)
    assert answer.code == 0, answer.said
    assert command.listing(tmp_path / "out" / "sub-01") == command.listing(moved.out_dir / "sub-01")


def test_scans_of_two_people_are_not_compared(moved: command.Finished, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(moved.bids_dir, data, ignore=shutil.ignore_patterns("sub-02", "derivatives"))
    for path in (moved.bids_dir / "sub-02").rglob("*MP2RAGE*"):
        shutil.copy(path, data / "sub-01" / "anat" / path.name.replace("sub-02", "sub-01"))
    answer = command.whole(data, tmp_path / "out")
    assert answer.code == 0, answer.said
    assert "not brought to" in answer.said
    names = {path.name for path in (tmp_path / "out" / "sub-01" / "anat").iterdir()}
    assert not {name for name in names if "space-IRT1_desc-MP2RAGE" in name or "xfm" in name or "agreement" in name}
    assert "sub-01_space-IRT1_desc-brain_mask.nii.gz" in names  # inversion recovery has tissues of its own
    assert validator.errors(tmp_path / "out") == []


def test_given_masks_and_tissues_win(moved: command.Finished, tmp_path: Path) -> None:
    given = tmp_path / "given" / "sub-01" / "anat"
    given.mkdir(parents=True)
    reference = open_image(moved.out_dir / "sub-01" / "anat" / "sub-01_desc-MP2RAGE_T1map.nii.gz")
    mask = np.zeros(reference.shape, np.uint8)
    mask[12:34, 15:45, 10:35] = 1
    codes = mask * 2
    codes[12:34, 15:45, 20:35] *= 2
    nib.save(nib.Nifti1Image(mask, reference.affine), given / "sub-01_desc-brain_mask.nii.gz")
    nib.save(nib.Nifti1Image(codes, reference.affine), given / "sub-01_dseg.nii.gz")
    (given / "sub-01_dseg.tsv").write_text("index\tname\n2\twhite matter\n4\tcerebral cortex\n")
    answer = command.whole(
        moved.bids_dir, tmp_path / "out", "--participant-label", "01", "-d", f"mine={tmp_path / 'given'}"
    )
    assert answer.code == 0, answer.said
    np.testing.assert_array_equal(load(tmp_path / "out", "sub-01_desc-brain_mask.nii.gz"), mask)
    found = load(tmp_path / "out", "sub-01_desc-tissue_dseg.nii.gz")
    np.testing.assert_array_equal(found, np.where(codes == 2, 2, np.where(codes == 4, 1, 0)))


def test_maps_only_leaves_it_all_out(moved: command.Finished, tmp_path: Path) -> None:
    answer = command.participant(moved.bids_dir, tmp_path / "out", "--participant-label", "01")
    assert answer.code == 0, answer.said
    names = {path.name for path in (tmp_path / "out" / "sub-01" / "anat").iterdir()}
    assert not {name for name in names if "brain" in name or "space-" in name or "tissue" in name}
