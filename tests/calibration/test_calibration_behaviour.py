"""Lesions survive a correction of T1 and not one that only knows the mean; smoothing shows in the spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from bids_t1.calibration.behaviour import behave, lesion_of, lesion_response, spectrum
from bids_t1.calibration.lattice import to_lattice
from bids_t1.data.tissue import Tissue
from tests.calibration.cohorts import EDGE, pair

if TYPE_CHECKING:
    from bids_t1.calibration.lattice import LatticeScan
    from bids_t1.data.shapes import Map, VoxelFlags

SCAN = to_lattice(pair(1).measured, EDGE)


def one_factor(scan: LatticeScan, where: VoxelFlags) -> Map:
    return np.where(where & np.isfinite(scan.time), 0.15, np.nan)


def usual_value(scan: LatticeScan, where: VoxelFlags) -> Map:
    return np.where(where, np.log(0.85 / scan.time), np.nan)


def smoothed(scan: LatticeScan, where: VoxelFlags) -> Map:
    logs = np.log(np.nan_to_num(scan.time, nan=1.0))
    return np.where(where & np.isfinite(scan.time), uniform_filter(logs, 3) - logs, np.nan)


def test_a_lesion_is_a_ball_of_white_matter() -> None:
    ball = lesion_of(SCAN)
    assert ball is not None
    assert set(np.unique(SCAN.tissue[ball])) == {Tissue.WHITE_MATTER}
    assert 5 < ball.sum() <= 4 / 3 * np.pi * 2.5**3
    assert lesion_of(replace(SCAN, tissue=np.zeros_like(SCAN.tissue))) is None


def test_a_lesion_survives_a_factor_and_not_a_correction_to_what_is_usual() -> None:
    assert lesion_response(SCAN, one_factor) == pytest.approx(1.0)
    assert lesion_response(SCAN, usual_value) == pytest.approx(0.0, abs=1e-3)


def test_a_factor_leaves_the_spectrum_and_smoothing_takes_its_upper_end() -> None:
    same, smooth = spectrum(SCAN, one_factor), spectrum(SCAN, smoothed)
    assert same == pytest.approx((1.0, 1.0, 1.0), rel=1e-3)
    assert smooth is not None
    assert smooth[0] > 0.6
    assert smooth[2] < 0.5


def test_heads_in_which_nothing_could_be_measured_do_not_count() -> None:
    found = behave({"scale": [(1.0, (1.0, 1.0, 1.0)), (0.8, (0.9, 0.9, 0.9)), (None, None)], "none": [(None, None)]})
    assert [each.method for each in found] == ["scale"]
    assert found[0].lesion_response == pytest.approx(0.9)
    assert found[0].least_response == 0.8
