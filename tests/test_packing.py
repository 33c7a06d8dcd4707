"""Images as gzip files."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.bids.images import read_volume
from bids_t1.data.errors import InvalidInputError
from bids_t1.packing import pack, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def image() -> nib.Nifti1Image:
    """A map with air around: noise, and voxels without a value."""
    values = np.random.default_rng(1).normal(1.2, 0.3, (40, 48, 30)).astype(np.float32)
    values[:10] = np.nan
    return nib.Nifti1Image(values, np.eye(4))


def test_an_image_is_packed_into_the_same_bytes_without_its_name(tmp_path: Path, image: nib.Nifti1Image) -> None:
    one, other = tmp_path / "sub-1_T1map.nii.gz", tmp_path / "other.nii.gz"
    save(image, one)
    save(image, other)
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # no name, no time
    assert gzip.decompress(one.read_bytes()) == image.to_bytes()


def test_a_packed_image_is_at_most_three_percent_larger_than_one_of_zlib(image: nib.Nifti1Image) -> None:
    content = image.to_bytes()
    assert len(pack(content)) < 1.03 * len(gzip.compress(content, 1))


@pytest.mark.parametrize("place", [20, 5000, -200, -6])
def test_a_byte_that_changed_in_a_packed_image_is_noticed(tmp_path: Path, image: nib.Nifti1Image, place: int) -> None:
    path = tmp_path / "image.nii.gz"
    save(image, path)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"image\.nii\.gz"):
        read_volume(path)
