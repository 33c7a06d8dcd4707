"""Intervals hold in one more participant as often as they say: over many simulated cohorts of eight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.calibration_intervals import CASES, simulate
from bids_t1.calibration.intervals import by_participant, interval_of, region_limit
from bids_t1.calibration.scores import Left
from bids_t1.data.tissue import Tissue

if TYPE_CHECKING:
    from bids_t1.data.calibration import Method

WHITE = Tissue.WHITE_MATTER


def left(name: str, offset: float, scale: float = 1.0) -> Left:
    error = offset + scale * 0.05 * np.random.default_rng(1).standard_normal(2000)
    rows = [error, np.full(2000, 0.05), np.zeros(2000), np.ones(2000)]
    return Left(participant=name, label=name, offsets={WHITE: offset}, voxels={WHITE: np.stack(rows)})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["scale", "network"])
@pytest.mark.parametrize("case", [3, 5])
def test_intervals_hold_95_percent_and_90_in_the_worst_twentieth(case: int, method: Method) -> None:
    held = simulate(CASES[case], method, participants=8, cohorts=400)
    assert 0.93 <= held.mean <= 0.97
    assert held.worst >= 0.90
    assert 0.93 <= held.regions.mean() <= 0.985


def test_scans_of_one_participant_count_once() -> None:
    merged = by_participant([left("1", 0.02), left("1", 0.04), left("2", 0.0)])
    assert [each.participant for each in merged] == ["1", "2"]
    assert merged[0].offsets[WHITE] == pytest.approx(0.03)
    assert merged[0].voxels[WHITE].shape == (4, 4000)


def test_people_who_differ_widen_the_interval_of_a_region_and_noise_does_not() -> None:
    alike, unlike, noisy = (
        region_limit([left(str(place), offset, scale) for place, offset in enumerate(offsets)], WHITE)
        for offsets, scale in (((0.01, -0.01, 0.01), 1.0), ((0.03, -0.03, 0.03), 1.0), ((0.01, -0.01, 0.01), 3.0))
    )
    assert unlike == pytest.approx(3 * alike)
    assert noisy == alike


def test_a_simple_correction_is_never_surer_than_student_and_a_network_may_be() -> None:
    sure = [left(str(place), 0.0, 0.5) for place in range(4)]
    assert interval_of("scale", sure).sd_scale == 1.0
    assert interval_of("network", sure).sd_scale == pytest.approx(0.5, rel=0.05)
    assert interval_of("network", sure).relation_sd == 0.0
