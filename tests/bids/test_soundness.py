"""Images whose numbers cannot be those of a scanner are refused; what is rare, and right, is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.bids.discover import find
from bids_t1.bids.images import read_volume
from bids_t1.bids.load import load_series
from bids_t1.bids.soundness import require_different, require_sound
from bids_t1.data.acquisition import RawFile
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar
from tests.small_bids import AFFINE, complex_images, write_image, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(11)
SHAPE = (20, 20, 10)
HEAD = np.zeros(SHAPE, np.bool_)
HEAD[4:16, 4:16] = True
NOISY = np.abs(HEAD * RNG.uniform(200, 3000, SHAPE) + 20 * (RNG.normal(size=SHAPE) + 1j * RNG.normal(size=SHAPE)))
"""A magnitude with air around."""


def check(folder: Path, data: NDArray[np.generic], part: str = "mag", slope: float = 1.0) -> tuple[str, ...]:
    path = folder / f"sub-01_inv-1_part-{part}_IRT1.nii.gz"
    image = nib.Nifti1Image(data, AFFINE)
    if slope != 1:
        image.header.set_slope_inter(slope, 0)
    nib.save(image, path)
    return require_sound(RawFile(path, BidsName.parse(path.name), Sidecar("sidecar", {})), read_volume(path))


def clipped(share: float, at: float) -> NDArray[np.float64]:
    """An image whose brightest voxels were brighter than its type holds."""
    limit = np.quantile(NOISY, 1 - share)
    return np.asarray(np.minimum(NOISY * at / limit, at))


@pytest.mark.parametrize(
    "data",
    [
        NOISY.astype(np.float32),
        np.rint(NOISY).astype(np.uint16),
        np.rint(NOISY).astype(np.int32),
        (NOISY * HEAD).astype(np.float32),
        np.where(HEAD, NOISY, np.nan).astype(np.float32),
        np.rint(clipped(0.0004, 4095)).astype(np.uint16),
        (NOISY * 1e-20).astype(np.float32),
        (NOISY * 1e15).astype(np.float64),
        np.rint(20 * NOISY / NOISY.max()).astype(np.uint8),
        (NOISY[:2, :2, :1] * 0 + 5).astype(np.float32),
    ],
    ids=["air", "16 bits", "32 bits", "stripped", "NaN outside", "few clipped", "small", "large", "coarse", "4 voxels"],
)
def test_what_scanners_and_software_make_is_taken_without_a_word(tmp_path: Path, data: NDArray[np.generic]) -> None:
    assert check(tmp_path, data) == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.zeros(SHAPE, np.float32), "holds only zeros"),
        (np.full(SHAPE, 7, np.int16), "holds 7 in every voxel"),
        (np.full(SHAPE, np.nan, np.float32), "holds no number"),
        (-NOISY.astype(np.float32), "is negative in 100% of its voxels"),
        ((NOISY - 1500 * HEAD).astype(np.float32), "Name signed images part-real"),
        ((NOISY * 1e300), "its largest number is"),
        (np.rint(NOISY).astype(np.int32).view(np.float32), "integers under a header of real numbers"),
        ((NOISY * HEAD).astype(np.float32).view(np.int32), "real numbers of 32 bits under a header of integers"),
        ((NOISY * HEAD).astype(np.float32).view(np.uint32), "real numbers of 32 bits under a header of integers"),
    ],
)
def test_impossible_numbers_are_refused(tmp_path: Path, data: NDArray[np.generic], said: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^sub-01_inv-1_part-mag_IRT1\.nii\.gz: .*{said}"):
        check(tmp_path, data)


@pytest.mark.parametrize("full", [255, 1023, 4095, 16383, 32767, 65535])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_saturated_image_is_refused_and_some_saturation_told(tmp_path: Path, full: int, kind: type) -> None:
    with pytest.raises(InvalidInputError, match=f"holds {full}, stored as {full}, in .*The image is saturated"):
        check(tmp_path, np.rint(clipped(0.5, full)).astype(kind))
    (told,) = check(tmp_path, np.rint(clipped(0.02, full)).astype(kind))
    assert "it is saturated there" in told


def test_saturation_is_recognised_under_a_scale_factor(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="stored as 4095"):
        check(tmp_path, np.rint(clipped(0.5, 4095)).astype(np.int16), slope=0.37)


def test_a_little_below_zero_is_told_and_taken(tmp_path: Path) -> None:
    interpolated = np.where(RNG.random(SHAPE) < 0.05, -30.0, NOISY).astype(np.float32)
    (told,) = check(tmp_path, interpolated)
    assert "as interpolation makes magnitudes" in told


@pytest.mark.parametrize("part", ["real", "imag", "phase"])
def test_signed_parts_may_be_negative_and_zero(tmp_path: Path, part: str) -> None:
    assert check(tmp_path, (-NOISY).astype(np.float32), part) == ()
    assert check(tmp_path, np.zeros(SHAPE, np.float32), part) == ()


def load(dataset: Path) -> tuple[str, ...]:
    (acquisition,) = find(dataset, "01").runs
    return load_series(acquisition).warnings


def images(seed: int = 1) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.stack([NOISY * factor + np.abs(rng.normal(0, 5, SHAPE)) for factor in (1.0, 0.5, 0.2, 0.7, 0.9)])


def test_a_copied_image_is_refused(tmp_path: Path) -> None:
    stack = images()
    stack[3] = stack[1]
    write_run(write_root(tmp_path), images=stack)
    with pytest.raises(InvalidInputError, match=r"inv-2_IRT1.nii.gz, .*inv-4_IRT1.nii.gz: hold the same numbers"):
        load(tmp_path)


def test_one_image_of_zeros_is_refused(tmp_path: Path) -> None:
    paths = write_run(write_root(tmp_path), images=images())
    write_image(paths[2], np.zeros(SHAPE, np.float32))
    with pytest.raises(InvalidInputError, match=r"inv-3_IRT1\.nii\.gz: holds only zeros"):
        load(tmp_path)


@pytest.mark.parametrize("filling", [0.0, np.nan])
def test_an_image_that_lacks_a_part_is_told(tmp_path: Path, filling: float) -> None:
    stack = images()
    stack[4, :, :, 6:] = filling
    write_run(write_root(tmp_path), images=stack)
    (told,) = load(tmp_path)
    assert "inv-5_IRT1.nii.gz: holds zero or no number in 39% of the voxels" in told


def test_noise_that_a_scanner_rounds_to_zero_is_no_lost_part(tmp_path: Path) -> None:
    stack = images()
    # An image of coarser units: much of its air is zero where that of others is not.
    stack[3] = 60 * np.round(stack[3] / 60)
    write_run(write_root(tmp_path), images=stack)
    assert load(tmp_path) == ()


def test_zeros_that_all_images_share_are_a_mask(tmp_path: Path) -> None:
    write_run(write_root(tmp_path), images=images() * HEAD)
    assert load(tmp_path) == ()


def test_two_images_may_differ_anywhere(tmp_path: Path) -> None:
    stack = np.stack([NOISY, np.where(HEAD, NOISY, 0.0)])
    file = RawFile(tmp_path / "sub-01_IRT1.nii.gz", BidsName.parse("sub-01_IRT1.nii.gz"), Sidecar("", {}))
    assert require_different([(file,), (file,)], stack) == ()


def test_phase_images_without_a_phase_are_left_out_aloud(tmp_path: Path) -> None:
    images = np.abs(complex_images())
    write_run(write_root(tmp_path), parts=("mag", "phase"), images=images)
    (run,) = find(tmp_path, "01").runs
    series = load_series(run)
    assert series.kind == "magnitude"
    assert any("a phase of 0 rad in every voxel" in warning for warning in series.warnings)


def test_one_constant_phase_is_a_reference(tmp_path: Path) -> None:
    images = complex_images()
    images[-1] = np.abs(images[-1])
    write_run(write_root(tmp_path), parts=("mag", "phase"), images=images)
    (run,) = find(tmp_path, "01").runs
    assert load_series(run).kind == "complex"
