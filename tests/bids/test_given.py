"""Masks and segmentations of others are found, brought to the grid of a run, and understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.bids.given import find_given
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import Grid
from bids_t1.data.tissue import Tissue, tissue_named

if TYPE_CHECKING:
    from pathlib import Path

AFFINE = np.array([[-1.0, 0, 0, 8], [0, 1.2, 0, -7], [0, 0, 2.0, 3], [0, 0, 0, 1]])
GRID = Grid((12, 10, 6), AFFINE)
NAME = BidsName.parse("sub-01_acq-a_desc-MP2RAGE_T1map.nii.gz")


def write(dataset: Path, name: str, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    folder = dataset / "sub-01" / "anat"
    folder.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), folder / name)


def block() -> np.ndarray:
    values = np.zeros(GRID.shape, np.uint8)
    values[3:9, 2:8, 1:5] = 1
    return values


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    found = find_given([tmp_path], NAME, "MP2RAGE", GRID)
    assert (found.brain, found.tissue, found.brain_source) == (None, None, "")


def test_a_mask_on_the_grid_of_the_run_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, "sub-01_desc-brain_mask.nii.gz", block())
    found = find_given([tmp_path], NAME, "MP2RAGE", GRID)
    np.testing.assert_array_equal(found.brain, block() > 0)
    assert found.brain_source == "sub-01_desc-brain_mask.nii.gz"


def test_a_mask_on_another_grid_is_brought_there_through_scanner_coordinates(tmp_path: Path) -> None:
    flipped = AFFINE @ np.diag([-1, 1, 1, 1])
    flipped[:3, 3] += AFFINE[:3, 0] * (GRID.shape[0] - 1)
    write(tmp_path, "sub-01_desc-brain_mask.nii.gz", block()[::-1], flipped)
    found = find_given([tmp_path], NAME, "MP2RAGE", GRID)
    np.testing.assert_array_equal(found.brain, block() > 0)


def test_the_file_that_shares_most_with_the_run_is_used_and_that_of_a_template_is_not(tmp_path: Path) -> None:
    other = np.zeros_like(block())
    other[0] = 1
    for name in ("sub-01_acq-b_desc-brain_mask", "sub-01_space-MNI152NLin2009cAsym_acq-a_desc-brain_mask"):
        write(tmp_path, f"{name}.nii.gz", other)
    write(tmp_path, "sub-01_acq-a_desc-brain_mask.nii.gz", block())
    write(tmp_path, "sub-01_label-WM_desc-brain_mask.nii.gz", other)
    found = find_given([tmp_path], NAME, "MP2RAGE", GRID)
    assert found.brain_source == "sub-01_acq-a_desc-brain_mask.nii.gz"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("dseg.tsv", "index\tname\n7\tLeft-Cerebral-White-Matter\n9\tCortex of something\n"),
        ("sub-01/anat/sub-01_dseg.tsv", "index\tname\tabbreviation\n7\twhatever\tWM\n9\twhatever\tGM\n"),
    ],
)
def test_codes_mean_what_their_table_says(tmp_path: Path, table: str, text: str) -> None:
    write(tmp_path, "sub-01_dseg.nii.gz", block() * 7)
    (tmp_path / table).write_text(text)
    found = find_given([tmp_path], NAME, "MP2RAGE", GRID)
    np.testing.assert_array_equal(found.tissue, block() * Tissue.WHITE_MATTER)


def test_codes_without_a_table_are_the_common_ones_of_bids(tmp_path: Path) -> None:
    write(tmp_path, "sub-01_dseg.nii.gz", block() * 8)
    found = find_given([tmp_path], NAME, "MP2RAGE", GRID)
    np.testing.assert_array_equal(found.tissue, block() * Tissue.GREY_MATTER)


def test_unknown_codes_are_left_out_with_a_warning(tmp_path: Path) -> None:
    values = block()
    values[5] *= 77
    write(tmp_path, "sub-01_dseg.nii.gz", values)
    found = find_given([tmp_path], NAME, "MP2RAGE", GRID)
    assert "77" in found.warnings[0]
    assert found.tissue is not None
    assert not found.tissue[5].any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (block() * 77, "none of its codes names a tissue"),
        (block() * 0, "marks no voxel"),
        (block() * 0.5, "whole numbers"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, values: np.ndarray, message: str) -> None:
    write(tmp_path, "sub-01_dseg.nii.gz", values)
    with pytest.raises(InvalidInputError, match=f"sub-01_dseg.nii.gz: .*{message}"):
        find_given([tmp_path], NAME, "MP2RAGE", GRID)


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        ("Left-Thalamus-Proper", Tissue.SUBCORTICAL_GREY_MATTER),
        ("Right Accumbens-area", Tissue.SUBCORTICAL_GREY_MATTER),
        ("ctx-lh-cuneus", Tissue.GREY_MATTER),
        ("Right-Hippocampus", Tissue.GREY_MATTER),
        ("Left-Cerebellum-White-Matter", Tissue.WHITE_MATTER),
        ("Subcortical Grey Matter", Tissue.SUBCORTICAL_GREY_MATTER),
        ("Cortical Grey Matter", Tissue.GREY_MATTER),
        ("4th-Ventricle", Tissue.FLUID),
        ("Brain-Stem", None),
        ("", None),
    ],
)
def test_structures_are_known_by_their_names(name: str, tissue: Tissue | None) -> None:
    assert tissue_named(name) is tissue
