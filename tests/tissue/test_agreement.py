from __future__ import annotations

import numpy as np
import pytest

from bids_t1.data.tissue import Agreement, Tissue
from bids_t1.tissue.agreement import compare

SHAPE = (12, 12, 12)
NAMES = ("sub-01_space-IRT1_desc-MP2RAGE_T1map.nii.gz", "sub-01_desc-IRT1_T1map.nii.gz")


def layers() -> np.ndarray:
    """Return thirds of white matter, cortical grey matter and fluid."""
    tissue = np.full(SHAPE, Tissue.WHITE_MATTER, np.uint8)
    tissue[4:8], tissue[8:] = Tissue.GREY_MATTER, Tissue.FLUID
    return tissue


def compared(
    time: np.ndarray, reference: np.ndarray, tissue: np.ndarray
) -> dict[tuple[Tissue | None, bool], Agreement]:
    found = compare(NAMES[0], time, NAMES[1], reference, tissue)
    return {(one.tissue, one.eroded): one for one in found}


def test_known_bias_and_scatter_are_found() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(1.2, 0.2, SHAPE)
    time = reference - 0.05 + rng.normal(0, 0.03, SHAPE)
    found = compared(
        time.astype(np.float32), reference.astype(np.float32), np.full(SHAPE, Tissue.WHITE_MATTER, np.uint8)
    )
    one = found[Tissue.WHITE_MATTER, False]
    error = 0.03 / np.sqrt(12**3)
    assert (one.map, one.reference, one.n_voxels) == (*NAMES, 12**3)
    assert one.bias == pytest.approx(-0.05, abs=4 * error)
    assert one.sd == pytest.approx(0.03, abs=4 * error)
    assert one.rmse == pytest.approx(np.hypot(0.05, 0.03), abs=4 * error)
    assert one.correlation == pytest.approx(0.2 / np.hypot(0.2, 0.03), abs=0.003)
    assert one.ratio == pytest.approx(1 - 0.05 / 1.2, abs=0.003)
    assert one.bias is not None
    assert one.sd is not None
    assert one.lower_limit is not None
    assert one.upper_limit is not None
    assert (one.lower_limit, one.upper_limit) == pytest.approx((one.bias - 1.96 * one.sd, one.bias + 1.96 * one.sd))
    difference = time - reference
    within = np.mean((difference > one.lower_limit) & (difference < one.upper_limit))
    assert within == pytest.approx(0.95, abs=0.02)


def test_all_together_leaves_fluid_out() -> None:
    tissue = layers()
    reference = np.ones(SHAPE, np.float32)
    shift = np.select([tissue == Tissue.WHITE_MATTER, tissue == Tissue.GREY_MATTER], [0.1, 0.3], 2.0)
    found = compared((reference + shift).astype(np.float32), reference, tissue)
    assert list(found)[:2] == [(None, False), (None, True)]
    assert found[None, False].bias == pytest.approx(0.2)
    assert found[None, False].n_voxels == 8 * 144
    assert found[Tissue.FLUID, False].bias == pytest.approx(2.0)


def test_erosion_leaves_voxels_at_borders_of_tissues_out() -> None:
    tissue = layers()
    reference = np.ones(SHAPE, np.float32)
    time = reference.copy()
    time[3:5] = time[7:9] = 5.0  # partial volume at both borders
    found = compared(time, reference, tissue)
    assert found[Tissue.GREY_MATTER, True].n_voxels == 2 * 144
    assert found[Tissue.GREY_MATTER, True].bias == 0
    assert found[None, True].bias == 0
    assert found[None, False].bias == pytest.approx(4 * 3 / 8)


def test_only_voxels_with_both_estimates_count() -> None:
    reference, time = np.ones(SHAPE, np.float32), np.full(SHAPE, 1.5, np.float32)
    reference[0], time[1], time[2, 0, 0] = np.nan, np.nan, np.inf
    one = compared(time, reference, layers())[Tissue.WHITE_MATTER, False]
    assert one.n_voxels == 2 * 144 - 1
    assert one.bias == pytest.approx(0.5)
    assert one.correlation is None  # nothing varies


def test_two_voxels_tell_nothing() -> None:
    time = np.full(SHAPE, np.nan, np.float32)
    time[0, 0, :2] = 1.0
    one = compared(time, np.ones(SHAPE, np.float32), layers())[Tissue.WHITE_MATTER, False]
    assert one.n_voxels == 2
    assert (one.bias, one.sd, one.lower_limit, one.rmse, one.correlation, one.ratio) == (None,) * 6
