"""Scores: on participants that were not seen, in seconds, with tests and words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from bids_t1.calibration.cross_validation import calibrate, make_folds
from bids_t1.calibration.intervals import cover
from bids_t1.calibration.scores import comparable_voxels, score, summarise
from bids_t1.data.calibration import METHODS, CalibrationScore, Method
from bids_t1.data.errors import InvalidInputError, NothingSelectedError
from bids_t1.data.tissue import Tissue
from tests.calibration.cohorts import EDGE, OPTIONS, cohort, pair

if TYPE_CHECKING:
    from bids_t1.data.calibration import Calibration

WHITE = Tissue.WHITE_MATTER
WITH_PRIOR = {"prior", "prior_cubic"}
OF_SMALL = set(METHODS) - {"small"}
"""What is judged with a small network."""


def row(participant: str, method: Method, rmse: float) -> CalibrationScore:
    return CalibrationScore(
        fold=1, label=participant, participant=participant, method=method, tissue=WHITE, n_voxels=9, rmse=rmse,
        bias=-rmse, sd=0.0, lower_limit=-rmse, upper_limit=-rmse,
    )  # fmt: skip


def rows(**values: tuple[float, ...]) -> list[CalibrationScore]:
    return [
        row(str(number), method, value)
        for method in METHODS
        if method in values
        for number, value in enumerate(values[method])
    ]


def test_up_to_ten_participants_are_left_out_one_by_one() -> None:
    assert make_folds(["b", "a", "c", "a"], None, 0) == [["a"], ["b"], ["c"]]
    assert len(make_folds([f"{n:02d}" for n in range(24)], None, 0)) == 10


def test_folds_are_of_participants_and_hold_each_once() -> None:
    names = [f"{n:02d}" for n in range(11)]
    folds = make_folds(names, 4, 7)
    assert sorted(name for fold in folds for name in fold) == names
    assert {len(fold) for fold in folds} == {2, 3}


@pytest.mark.parametrize("n_folds", [1, 4])
def test_impossible_folds_are_refused(n_folds: int) -> None:
    with pytest.raises(InvalidInputError, match=f"--folds is {n_folds} with 3 participants"):
        make_folds(["a", "b", "c"], n_folds, 0)


def test_one_participant_cannot_be_judged() -> None:
    with pytest.raises(NothingSelectedError, match="1 participant"):
        make_folds(["a"], None, 0)


def test_different_protocols_are_not_learned_from_together() -> None:
    first, second = cohort(2)
    other = replace(second, measured_protocol={**second.measured_protocol, "FlipAngles": [4.0, 4.0]})
    with pytest.raises(InvalidInputError, match="sub-01 and sub-02 differ in FlipAngles: 4, 5 and 4, 4"):
        calibrate([first, other], OPTIONS)


def test_a_scan_without_voxels_in_common_is_left_out_by_name() -> None:
    first, second, third = cohort(3)
    away = np.eye(4)
    away[0, 3] = 1000.0
    other = replace(second, reference=replace(second.reference, matrix=away))
    found = calibrate([first, other, third], OPTIONS)
    assert found.left_out[0].startswith("sub-02 is left out: 0 voxels of white and grey matter")
    assert {each.participant for each in found.scores.scores} == {"01", "03"}
    with pytest.raises(NothingSelectedError, match="sub-02 is left out: 0 voxels"):
        calibrate([other], OPTIONS)


def test_scores_are_errors_in_seconds() -> None:
    scan = pair(1)
    shifted = scan.reference.time + np.float32(0.1)
    found = {each.tissue: each for each in score(scan, {"none": shifted}, 1, comparable_voxels(scan))}[WHITE]
    assert found.rmse == pytest.approx(0.1, abs=1e-4)
    assert found.bias == pytest.approx(0.1, abs=1e-4)
    assert found.sd == pytest.approx(0, abs=1e-4)
    assert found.n_voxels == (scan.reference.tissue == WHITE).sum()


def test_limits_of_agreement_hold_95_percent() -> None:
    scan = pair(1)
    noise = np.random.default_rng(0).normal(0.05, 0.2, scan.reference.time.shape).astype(np.float32)
    found = score(scan, {"none": scan.reference.time + noise}, 1, comparable_voxels(scan))[0]
    assert found.lower_limit == pytest.approx(0.05 - 1.96 * 0.2, abs=0.03)
    assert found.upper_limit == pytest.approx(0.05 + 1.96 * 0.2, abs=0.03)


def test_on_one_grid_all_voxels_are_compared_and_on_shifted_ones_those_within_a_tissue() -> None:
    scan = pair(1)
    everywhere = scan.reference.tissue == WHITE
    np.testing.assert_array_equal(comparable_voxels(scan)[WHITE], everywhere)
    shift = np.eye(4)
    shift[0, 3] = EDGE / 2
    moved = comparable_voxels(replace(scan, reference=replace(scan.reference, matrix=shift)))[WHITE]
    assert 0.1 * everywhere.sum() < moved.sum() < 0.8 * everywhere.sum()
    assert not (moved & ~everywhere).any()


def test_reduction_and_differences_are_those_of_the_participants_rmse() -> None:
    none, line, network = (0.30, 0.32, 0.28, 0.31), (0.12, 0.14, 0.11, 0.15), (0.10, 0.11, 0.10, 0.12)
    scores = rows(none=none, linear=line, network=network)
    found = {each.method: each for each in summarise(scores, (), "network", {}).summaries}
    assert found["network"].reduction == pytest.approx(1 - np.mean(network) / np.mean(none))
    assert found["linear"].excess == pytest.approx(np.mean(line) - np.mean(network))
    assert found["linear"].excess_error == pytest.approx(stats.sem(np.subtract(line, network)))
    assert found["linear"].n_worse == 4
    assert (found["network"].excess, found["network"].n_worse) == (0.0, 0)


def test_scans_of_one_participant_count_once() -> None:
    scores = [row("1", "none", 0.3), row("1", "none", 0.4), row("2", "none", 0.2)]
    scores += [replace(each, method="network") for each in scores]
    found = summarise(scores, (), "network", {}).summaries[0]
    assert found.n_participants == 2
    assert found.rmse == pytest.approx((math.sqrt((0.09 + 0.16) / 2) + 0.2) / 2)


def test_the_verdict_says_what_others_leave_and_in_how_many_participants_without_a_test() -> None:
    scores = rows(none=(0.3, 0.3), linear=(0.1, 0.12), network=(0.2, 0.21))
    words = " ".join(summarise(scores, (), "linear", {}).verdict)
    assert "it leaves 0.110 s of 0.300 s (63% less)" in words
    assert "the best other correction, network of patches, 0.205 s: 95.0 ms more with a standard error of" in words
    assert "more in 2 of 2 participants" in words
    assert " p " not in words


def test_normal_errors_are_covered_as_they_should() -> None:
    errors = {WHITE: np.random.default_rng(0).standard_normal(20000)}
    (found,) = cover([errors])
    assert found.one_sd == pytest.approx(0.683, abs=0.01)
    assert found.two_sd == pytest.approx(0.95, abs=0.01)


def test_every_method_is_scored_in_every_tissue_of_every_held_out_participant(calibration: Calibration) -> None:
    scores = calibration.scores.scores
    assert len(scores) == 3 * 3 * len(OF_SMALL)
    assert {(each.fold, each.participant) for each in scores} == {(1, "01"), (2, "02"), (3, "03")}
    assert all(each.rmse is not None for each in scores)


def test_corrections_bring_held_out_participants_nearer_to_inversion_recovery(calibration: Calibration) -> None:
    reduction = {(each.method, each.tissue): each.reduction for each in calibration.scores.summaries}
    for tissue in (WHITE, Tissue.GREY_MATTER):
        for method in ("cubic", "network"):
            assert reduction[method, tissue] > 0.5


def test_the_sd_covers_held_out_inversion_recovery(calibration: Calibration) -> None:
    for each in calibration.scores.coverage:
        assert each.one_sd > 0.5
        assert 0.85 < each.two_sd <= 1


def test_one_slice_can_be_learned_from() -> None:
    found = calibrate(cohort(2, slices=1), OPTIONS)
    assert found.model.card.n_voxels["WM"] > 0
    assert len(found.scores.summaries) == 3 * len(OF_SMALL - WITH_PRIOR)


def test_without_a_transmit_field_all_methods_work() -> None:
    scans = [replace(scan, measured=replace(scan.measured, transmit=None)) for scan in cohort(2)]
    found = calibrate(scans, OPTIONS)
    assert {each.method for each in found.scores.summaries} == OF_SMALL - WITH_PRIOR
