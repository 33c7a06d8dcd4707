"""A calibration corrects what it knows, leaves the rest as it is, and says how sure it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.calibration import application
from bids_t1.calibration.application import Ensemble, Ranges, apply
from bids_t1.calibration.lattice import to_lattice, to_sample
from bids_t1.data.calibration import MeasuredScan
from bids_t1.data.grid import Grid
from tests.calibration.cohorts import EDGE, SHAPE, cohort, pair

if TYPE_CHECKING:
    from bids_t1.data.calibration import Calibration

SCAN = pair(7)

ONES = np.ones((2, 2, 2), np.float32)


def relative_error(time: np.ndarray) -> float:
    """Median of calibrated over inversion-recovery T1, less one."""
    where = np.isin(SCAN.reference.tissue, [1, 2])
    return float(np.median(time[where] / SCAN.reference.time[where])) - 1


def test_a_scan_that_was_not_seen_comes_near_to_inversion_recovery(calibration: Calibration) -> None:
    found = apply(calibration.model, SCAN.measured)
    assert relative_error(SCAN.measured.time) < -0.1
    assert abs(relative_error(found.time)) < 0.05


def test_tiles_do_not_show(calibration: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = apply(calibration.model, SCAN.measured)
    monkeypatch.setattr(application, "TILE", 5)
    tiled = apply(calibration.model, SCAN.measured)
    np.testing.assert_allclose(tiled.time, whole.time, rtol=1e-5)
    np.testing.assert_allclose(tiled.time_sd, whole.time_sd, rtol=1e-4)


def test_every_voxel_of_the_brain_is_corrected_or_marked(calibration: Calibration) -> None:
    found = apply(calibration.model, SCAN.measured)
    changed = found.time != SCAN.measured.time
    measured = np.isfinite(SCAN.measured.time)
    np.testing.assert_array_equal(measured & ~found.outside_training, changed & measured)
    assert found.counts["corrected"] + found.counts["outside_training"] == measured.sum()
    assert found.outside_training.sum() < 0.02 * measured.sum()


@pytest.mark.parametrize(("name", "value"), [("time", 5.5), ("time", 0.3), ("time_sd", 0.5), ("transmit", 2.0)])
def test_what_training_has_not_seen_is_marked_and_left_as_it_is(
    calibration: Calibration, name: str, value: float
) -> None:
    changed = getattr(SCAN.measured, name).copy()
    changed[8, 8, 7] = value
    scan = replace(SCAN.measured, **{name: changed})
    found = apply(calibration.model, scan)
    assert found.outside_training[8, 8, 7]
    assert found.time[8, 8, 7] == scan.time[8, 8, 7]
    assert found.time_sd[8, 8, 7] == scan.time_sd[8, 8, 7]


def test_without_the_transmit_field_of_the_training_nothing_is_corrected(calibration: Calibration) -> None:
    found = apply(calibration.model, replace(SCAN.measured, transmit=None))
    assert found.counts["corrected"] == 0


def test_without_a_brain_mask_whatever_has_t1_is_corrected(calibration: Calibration) -> None:
    masked, whole = (
        apply(calibration.model, replace(SCAN.measured, brain=brain)) for brain in (SCAN.measured.brain, None)
    )
    np.testing.assert_array_equal(masked.time, whole.time)


def test_where_nothing_was_measured_there_is_nothing(calibration: Calibration) -> None:
    found = apply(calibration.model, SCAN.measured)
    nothing = ~np.isfinite(SCAN.measured.time)
    assert np.isnan(found.time[nothing]).all()
    assert not found.outside_training[nothing].any()


def fine(scan: MeasuredScan) -> MeasuredScan:
    """The same scan in voxels of half the edge, with noise of their own."""
    rng = np.random.default_rng(3)
    affine = scan.grid.affine @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] -= EDGE / 4
    assert scan.transmit is not None
    time, time_sd, transmit = (np.kron(each, ONES) for each in (scan.time, scan.time_sd, scan.transmit))
    noise = rng.standard_normal(time.shape, dtype=np.float32)
    return MeasuredScan(
        grid=Grid((2 * SHAPE[0], 2 * SHAPE[1], 2 * SHAPE[2]), affine),
        time=time + 2 * time_sd * noise,
        time_sd=2 * time_sd,
        transmit=transmit,
    )


def test_smaller_voxels_keep_their_detail_and_have_larger_sd(calibration: Calibration) -> None:
    scan = fine(SCAN.measured)
    found, coarse = apply(calibration.model, scan), apply(calibration.model, SCAN.measured)
    assert found.time.shape == scan.time.shape
    corrected = np.isfinite(scan.time) & ~found.outside_training
    assert corrected.sum() > 0.9 * np.isfinite(scan.time).sum()
    log_factor = np.log(found.time / scan.time)
    interior = corrected & (np.kron(SCAN.reference.tissue, ONES) == 2)
    assert np.corrcoef(np.log(found.time[interior]), np.log(scan.time[interior]))[0, 1] > 0.5
    assert np.std(log_factor[interior]) < np.std(np.log(scan.time[interior]))
    assert np.nanmedian(found.time_sd[interior]) > np.nanmedian(coarse.time_sd[SCAN.reference.tissue == 2])


def test_the_variance_holds_that_of_the_networks_and_that_between_them(calibration: Calibration) -> None:
    model = calibration.model
    whole = Ensemble.of(model, "cpu")
    scan = to_lattice(SCAN.measured, EDGE)
    alone = [replace(whole, networks=(network,)).log_factor(scan, scan.wanted) for network in whole.networks]
    mean, variance = whole.log_factor(scan, scan.wanted)
    where = scan.wanted
    expected = np.mean([each[where] for _, each in alone], axis=0) + np.var([each[where] for each, _ in alone], axis=0)
    np.testing.assert_allclose(mean[where], np.mean([each[where] for each, _ in alone], axis=0), atol=1e-6)
    np.testing.assert_allclose(variance[where], expected, rtol=1e-3)


def test_ranges_survive_json() -> None:
    ranges = Ranges.of([to_sample(scan, EDGE) for scan in cohort(2)])
    assert Ranges.from_json(ranges.as_json()) == ranges


def test_trained_without_a_transmit_field_it_wants_none() -> None:
    scans = [replace(scan, measured=replace(scan.measured, transmit=None)) for scan in cohort(2)]
    ranges = Ranges.of([to_sample(scan, EDGE) for scan in scans])
    assert ranges.transmit is None
    assert not ranges.hold(to_lattice(SCAN.measured, EDGE)).any()
    assert ranges.hold(to_lattice(scans[0].measured, EDGE)).any()
