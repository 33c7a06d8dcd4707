"""What docs/other_programs.md says of programs that are installed with this one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
import SimpleITK
from bids import BIDSLayout
from nilearn.maskers import NiftiMasker
from scipy import ndimage

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (6, 6, 6)
T1 = 0.8


@pytest.fixture
def t1map(tmp_path: Path) -> Path:
    """A map of one T1, with a tenth of the voxels of its middle missing, as derivatives hold it."""
    folder = tmp_path / "out" / "sub-01" / "anat"
    folder.mkdir(parents=True)
    description = {"Name": "maps", "BIDSVersion": "1.10.0", "DatasetType": "derivative", "GeneratedBy": [{"Name": "a"}]}
    (tmp_path / "out" / "dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
    values = np.full(SHAPE, T1, np.float32)
    values[2, 2, 2] = np.nan
    file = folder / "sub-01_desc-MP2RAGE_T1map.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), file)
    return file


def middle() -> nibabel.Nifti1Image:
    region = np.zeros(SHAPE, np.uint8)
    region[2:4, 2:4, 2:4] = 1
    return nibabel.Nifti1Image(region, np.eye(4))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_masker_of_nilearn_counts_missing_voxels_as_zero_and_a_median_of_numbers_does_not(t1map: Path) -> None:
    masked = NiftiMasker(mask_img=middle(), standardize=None).fit().transform(nibabel.Nifti1Image.from_filename(t1map))
    assert masked.mean() == pytest.approx(T1 * 7 / 8)
    region = middle().get_fdata() > 0
    assert np.nanmedian(nibabel.Nifti1Image.from_filename(t1map).get_fdata()[region]) == pytest.approx(T1)


def test_cubic_splines_spread_a_missing_voxel_and_weights_of_known_ones_do_not(t1map: Path) -> None:
    values = nibabel.Nifti1Image.from_filename(t1map).get_fdata()
    places = np.indices(SHAPE)[:, 1:-1, 1:-1, 1:-1] + 0.25
    assert np.isnan(ndimage.map_coordinates(values, places, order=3)).all()
    known = np.isfinite(values)
    weight = ndimage.map_coordinates(known.astype(float), places, order=1)
    summed = ndimage.map_coordinates(np.where(known, values, 0), places, order=1)
    resampled = summed / np.where(weight > 0.5, weight, np.nan)
    assert np.isfinite(resampled).mean() > 0.98
    np.testing.assert_allclose(resampled[np.isfinite(resampled)], T1, rtol=1e-6)


def test_simpleitk_reads_missing_voxels_as_zero(t1map: Path) -> None:
    values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(t1map)))
    assert values[2, 2, 2] == 0
    assert np.isfinite(values).all()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_pybids_finds_maps_where_it_is_told_that_they_are_derivatives(t1map: Path) -> None:
    root = t1map.parents[2]
    layout = BIDSLayout(root, is_derivative=True, validate=False)
    assert layout.get(suffix="T1map", desc="MP2RAGE", extension=".nii.gz", return_type="file") == [str(t1map)]


@pytest.mark.parametrize(("code_of_sform", "place_of_simpleitk"), [(1, -10), (2, 0), (4, 0)])
def test_of_two_forms_that_differ_simpleitk_takes_the_qform_where_the_sform_is_no_scanners(
    tmp_path: Path, code_of_sform: int, place_of_simpleitk: float
) -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 10
    image.set_qform(np.eye(4), 1)
    image.set_sform(moved, code_of_sform)
    nibabel.save(image, tmp_path / "two.nii")
    assert nibabel.Nifti1Image.from_filename(tmp_path / "two.nii").affine[0, 3] == 10
    read = SimpleITK.ReadImage(str(tmp_path / "two.nii"))
    assert read.GetOrigin()[0] == place_of_simpleitk  # type: ignore[no-untyped-call]
