"""Scans on the lattice that networks work on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_t1.calibration.lattice import edge_of, lattice_of, to_lattice, to_sample
from bids_t1.data.grid import TOLERATED_SHIFT, Grid
from bids_t1.data.tissue import Tissue
from tests.calibration.cohorts import EDGE, RATIO, T1, pair


def test_voxels_as_large_as_those_of_the_scan_are_its_own() -> None:
    grid = Grid((9, 8, 7), np.diag([2.0, 2.0, 2.0, 1.0]) + np.array([[0, 0, 0, 5]] * 3 + [[0, 0, 0, 0]]))
    assert lattice_of(grid, 2.0).shift_to(grid) <= TOLERATED_SHIFT


def test_the_centre_stays_when_voxels_grow() -> None:
    grid = Grid((12, 8, 6), np.diag([1.0, 1.5, 2.0, 1.0]))
    coarse = lattice_of(grid, 3.0)
    centres = [each.affine @ np.append((np.array(each.shape) - 1) / 2, 1) for each in (grid, coarse)]
    np.testing.assert_allclose(*centres)
    assert coarse.voxel_sizes == pytest.approx((3, 3, 3))


def test_the_lattice_is_no_finer_than_either_scan() -> None:
    scan = pair(1)
    thick = replace(scan.reference, grid=Grid(scan.reference.grid.shape, np.diag([3.0, 3.0, 24.0, 1.0])))
    assert edge_of(scan) == EDGE
    assert edge_of(replace(scan, reference=thick)) == pytest.approx(6.0)
    fine = replace(scan.reference, grid=Grid(scan.reference.grid.shape, np.diag([1.0, 1.0, 1.0, 1.0])))
    assert edge_of(replace(scan, reference=fine)) == EDGE


def test_slices_are_axial_whatever_the_order_of_the_axes() -> None:
    scan = pair(1).measured
    turned = Grid((14, 26, 24), scan.grid.affine[:, [2, 0, 1, 3]])
    moved = {name: np.moveaxis(getattr(scan, name), 2, 0) for name in ("time", "time_sd", "transmit", "brain")}
    sagittal = replace(scan, grid=turned, **moved)
    np.testing.assert_array_equal(to_lattice(sagittal, EDGE).inputs, to_lattice(scan, EDGE).inputs)


def test_only_the_slab_teaches_but_all_of_the_head_is_seen() -> None:
    sample = to_sample(pair(1, slices=4), EDGE)
    assert list(np.flatnonzero(sample.tissue.any(axis=(1, 2)))) == [5, 6, 7, 8]
    assert sample.scan.inputs[-1].any(axis=(1, 2)).all()


def test_both_maps_belong_to_the_same_voxels() -> None:
    sample = to_sample(pair(1), EDGE)
    for tissue, ratio in RATIO.items():
        where = sample.of(tissue)
        assert np.median(sample.scan.time[where] / sample.reference[where]) == pytest.approx(ratio, abs=0.01)
        assert np.median(sample.reference[where]) == pytest.approx(T1[tissue], rel=0.06)


def test_voxels_at_borders_do_not_teach_when_the_head_has_moved() -> None:
    scan = pair(1)
    shift = np.eye(4)
    shift[0, 3] = EDGE / 2
    moved = to_sample(replace(scan, reference=replace(scan.reference, matrix=shift)), EDGE)
    still = to_sample(scan, EDGE)
    assert still.tissue.astype(bool).sum() == (scan.reference.tissue > 0).sum()
    assert 0.1 < (moved.tissue > 0).sum() / (still.tissue > 0).sum() < 0.9


def test_absurd_and_missing_values_teach_nothing() -> None:
    scan = pair(1)
    time, time_sd = scan.reference.time.copy(), scan.reference.time_sd.copy()
    time[5, 5, 5], time_sd[6, 6, 6] = np.nan, 2.0
    sample = to_sample(replace(scan, reference=replace(scan.reference, time=time, time_sd=time_sd)), EDGE)
    assert sample.tissue[5, 5, 5] == sample.tissue[6, 6, 6] == Tissue.OUTSIDE


def test_inputs_are_finite_and_zero_where_nothing_was_measured() -> None:
    scan = pair(1).measured
    time, transmit = scan.time.copy(), scan.transmit
    assert transmit is not None
    time[3, 3, 3] = np.nan
    without = transmit.copy()
    without[4, 4, 4] = np.nan
    inputs = to_lattice(replace(scan, time=time, transmit=without), EDGE).inputs
    assert np.isfinite(inputs).all()
    assert not inputs[:, 3, 3, 3].any()
    assert inputs[2, 4, 4, 4] == inputs[3, 4, 4, 4] == 0
    assert inputs[4, 4, 4, 4] == 1
    unknown = to_lattice(replace(scan, transmit=None), EDGE).inputs
    assert not unknown[2:4].any()
