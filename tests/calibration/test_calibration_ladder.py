"""The simplest correction that is as good as the best is what a model holds and applies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.calibration.application import apply
from bids_t1.calibration.cross_validation import calibrate
from bids_t1.calibration.intervals import conformal_scale, relation_sd
from bids_t1.calibration.ladder import choose, is_as_good, promise, share_kept
from bids_t1.calibration.model_file import load_model, save_model, target_of
from bids_t1.data.calibration import METHODS, CalibrationScore, Method
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.tissue import Tissue
from tests.calibration.cohorts import OPTIONS, REFERENCE_RECORD, TINY, cohort, pair

if TYPE_CHECKING:
    from pathlib import Path

WHITE = Tissue.WHITE_MATTER


def rows(values: dict[Method, tuple[float, ...]]) -> list[CalibrationScore]:
    return [
        CalibrationScore(
            fold=1, label="", participant=str(number), method=method, tissue=WHITE, n_voxels=9, rmse=rmse,
            bias=0.0, sd=0.0, lower_limit=0.0, upper_limit=0.0,
        )
        for method in METHODS
        for number, rmse in enumerate(values.get(method, ()))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"none": (0.3, 0.3, 0.3), "linear": (0.1, 0.12, 0.11), "network": (0.099, 0.122, 0.108)}, "linear"),
        ({"none": (0.3, 0.3, 0.3), "linear": (0.1, 0.12, 0.11), "network": (0.05, 0.06, 0.05)}, "network"),
        ({"none": (0.1, 0.1), "scale": (0.1, 0.1), "network": (0.1, 0.1)}, "none"),
        ({}, "scale"),
    ],
)
def test_the_simplest_within_one_standard_error_of_the_best_is_chosen(
    values: dict[Method, tuple[float, ...]], expected: Method
) -> None:
    assert choose(rows(values)) == expected


def test_what_is_worse_in_one_tissue_is_not_as_good() -> None:
    white = rows({"scale": (0.050, 0.051, 0.049), "linear": (0.040, 0.041, 0.040)})
    grey = [
        replace(each, tissue=Tissue.GREY_MATTER, rmse=0.1)
        for each in rows({"scale": (0.1, 0.1, 0.1), "linear": (0.1, 0.1, 0.1)})
    ]
    assert choose([*white, *grey]) == "linear"


def in_grey(values: dict[Method, tuple[float, ...]]) -> list[CalibrationScore]:
    return [replace(each, tissue=Tissue.GREY_MATTER) for each in rows(values)]


def test_what_is_best_on_average_is_not_applied_where_another_is_as_good_in_every_tissue() -> None:
    white = rows({"scale": (0.1, 0.1), "linear": (0.1015, 0.1015), "cubic": (0.1016, 0.1016)})
    grey = in_grey({"scale": (0.0412, 0.0412), "linear": (0.04, 0.04), "cubic": (0.04, 0.04)})
    assert choose([*white, *grey]) == "linear"


def test_where_none_is_as_good_in_every_tissue_the_best_on_average_is_applied_and_said_to_be_no_more() -> None:
    scores = [
        *rows({"scale": (0.05, 0.05), "linear": (0.03, 0.03)}),
        *in_grey({"scale": (0.1, 0.1), "linear": (0.11, 0.11)}),
    ]
    assert choose(scores) == "linear"
    assert not is_as_good("linear", scores)
    assert is_as_good("linear", rows({"linear": (0.03, 0.03), "network": (0.0299, 0.0299)}))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_pairs_give_a_simple_correction_that_is_read_back_and_applied(n: int, tmp_path: Path) -> None:
    found = calibrate(cohort(n), OPTIONS)
    assert found.model.card.rung not in {"none", "network"}
    assert "network" not in {each.method for each in found.scores.scores}
    assert found.model.card.share == share_kept(n, found.model.card.rung) < 1
    save_model(found.model, tmp_path)
    model = load_model(tmp_path / "model.safetensors")
    assert model.card == found.model.card
    scan = pair(7)
    calibrated = apply(model, scan.measured)
    white = (scan.reference.tissue == WHITE) & ~calibrated.outside_training
    before, after = (
        abs(float(np.median(time[white] / scan.reference.time[white])) - 1)
        for time in (scan.measured.time, calibrated.time)
    )
    assert after < before / 2
    error = calibrated.time[white] - scan.reference.time[white]
    within = np.abs(error) < 1.96 * np.hypot(calibrated.time_sd[white], scan.reference.time_sd[white])
    assert within.mean() > 0.9
    words = " ".join(found.scores.verdict)
    assert "One participant" in words or f"{n} participants cannot promise 95 %" in words


def test_where_the_bias_is_a_function_of_t1_the_network_is_left_away() -> None:
    found = calibrate(cohort(4), replace(OPTIONS, plan=replace(TINY, steps=1, epochs=1)))
    card = found.model.card
    assert card.rung not in {"none", "network"}
    assert card.members == (card.rung,)
    assert "network" in {each.method for each in found.scores.scores}
    assert found.scores.verdict[0].startswith(f"What --calibration applies is {METHODS[card.rung]}")


def test_a_correction_that_not_every_fold_can_have_is_not_compared() -> None:
    first, second, third = cohort(3)
    untold = [replace(each, measured=replace(each.measured, tissue=None)) for each in (second, third)]
    found = calibrate([first, *untold], OPTIONS)
    judged = {"none", "scale", "linear", "cubic", "efficiency"}
    assert {each.method for each in found.scores.scores} == judged
    assert {each.method for each in found.scores.summaries} == judged
    assert found.model.card.rung in judged - {"none"}


def test_few_participants_are_covered_as_student_says() -> None:
    rng = np.random.default_rng(0)
    held = [
        abs(rng.normal(0, 0.04)) < 1.96 * relation_sd([{WHITE: value} for value in rng.normal(0, 0.04, 4)])
        for _ in range(2000)
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_the_scale_holds_most_voxels_of_the_worst_of_few_participants() -> None:
    rng = np.random.default_rng(1)
    errors = [{WHITE: size * rng.standard_normal(20_000)} for size in (1.0, 1.0, 2.0)]
    # In the worst of them 92 % of the voxels; where all are alike 95 %.
    assert conformal_scale(errors) == pytest.approx(2.0 * 1.751 / 1.96, rel=0.03)
    assert conformal_scale(errors[:2]) == pytest.approx(1.0, rel=0.03)


def test_what_few_participants_cannot_promise_is_said() -> None:
    assert any("4 participants cannot promise 95 %" in each and "80%" in each for each in promise(4, "scale"))
    assert not any("cannot promise" in each for each in promise(20, "scale"))


def test_that_a_correction_is_shrunk_is_said_only_where_it_is() -> None:
    assert "So few participants teach no network." in promise(3, "prior")
    assert promise(3, "cubic")[-1].endswith("what a simple correction adds is shrunk to 96%.")
    assert "shrunk to 90% of its logarithm" in promise(1, "scale")[-1]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"FastComponent": {"Treatment": "fitted"}}, "slow T1 of inversion recovery, beside a fast component"),
        ({"FastComponent": {"Treatment": "none"}}, "one exponential through all inversion times"),
        ({"Pools": 2}, "1/R1f of selective inversion recovery"),
    ],
)
def test_the_target_is_told_from_the_record(record: dict[str, object], expected: str) -> None:
    assert target_of(record) == expected


def test_mixed_targets_are_refused() -> None:
    first, second = cohort(2)
    slow = {**REFERENCE_RECORD, "FastComponent": {"Treatment": "fitted"}}
    with pytest.raises(InvalidInputError, match=r"differ in the T1 to learn: one exponential.*slow T1"):
        calibrate([first, replace(second, reference_protocol=slow)], OPTIONS)
