from __future__ import annotations

import numpy as np
import pytest

from bids_t1.data.result import Example
from bids_t1.report.figures.plots import curve
from bids_t1.report.words import wording
from bids_t1.report.words.record import record_rows
from tests.report.report_results import make_run


def test_known_keys_have_names_and_units_and_unknown_ones_are_shown_too() -> None:
    record = {
        "RepetitionTimes": [6.0, None, 6.0, 6.0, 6.0],
        "NewThing": {"InnerValue": [1, 2.5, True, None]},
        "Description": "said elsewhere",
    }
    rows = {row.label: row.value for row in record_rows(make_run(record=record), {})}
    assert rows["Inversion times TI"] == "0.05, 0.2, 0.5, 1, 3 s"
    assert rows["Repetition times TR"] == "6, not known, 6, 6, 6 s"
    assert rows["Field strength"] == "3 T"
    assert rows["Echo time TE"] == "0.01 s"
    assert rows["Voxel size"] == "2 \N{MULTIPLICATION SIGN} 2 \N{MULTIPLICATION SIGN} 2 mm"
    assert rows["Search range of T1"] == "0.02 to 6 s"
    assert rows["New thing"] == "inner value: 1, 2.5, yes, not known"
    assert "Description" not in rows


def test_magnitude_options_are_left_out_for_other_data() -> None:
    labels = [row.label for row in record_rows(make_run(record={"DataKind": "real"}), {})]
    assert "Noise of magnitudes" not in labels


@pytest.mark.parametrize(
    "value", [None, True, 3, 2.5, "text", [], ["a"], {}, {"a": {"b": [None]}}, float("nan"), float("inf")]
)
@pytest.mark.parametrize("key", ["InversionTimes", "RepetitionTimes", "SearchRange", "EchoTime", "DataKind", "NoiseSD"])
def test_a_strange_record_is_shown_and_not_fatal(key: str, value: object) -> None:
    assert all(isinstance(row.value, str) for row in record_rows(make_run(record={key: value}), {}))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.05, "0.05"),
        (6.0, "6"),
        (-0.5, "-0.5"),
        (12345.678, "12 346"),
        (43210, "43 210"),
        (1e-7, "1e-07"),
        (2e9, "2e+09"),
    ],
)
def test_numbers_are_written_for_people(value: float, written: str) -> None:
    assert wording.number(value).replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-") == written


def test_shares_never_round_to_none_or_all() -> None:
    assert wording.percent(0, 10) == "0 %"
    assert wording.percent(1, 100_000) == "< 0.1 %"
    assert wording.percent(99_999, 100_000) == "> 99.9 %"
    assert wording.percent(10, 10) == "100 %"
    assert wording.percent(0, 0) == "\N{EN DASH}"


def example(fitted: np.ndarray) -> Example:
    times = (0.05, 0.4, 1.0, 3.0)
    return Example(
        voxel=(0, 0, 0), times=times, measured=(0.0,) * 4, fitted=tuple(map(float, fitted)), estimate=1.0, sd=0.1
    )


def test_the_curve_is_the_exponential_through_the_fitted_points() -> None:
    times, values = curve(example(50 - 95 * np.exp(-np.array([0.05, 0.4, 1.0, 3.0]))))
    assert values == pytest.approx(50 - 95 * np.exp(-times))
    assert len(times) > 100


def test_points_that_lie_on_no_exponential_are_joined() -> None:
    points = np.array([-40.0, 10.0, -5.0, 50.0])
    times, values = curve(example(points))
    assert times.tolist() == [0.05, 0.4, 1.0, 3.0]
    assert values.tolist() == points.tolist()
