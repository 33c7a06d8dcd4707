"""Whether a scan is good: each number has its threshold, and the page says it in a word and a shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_t1.quality import Measure, Verdict
from bids_t1.report import render_page
from bids_t1.report.sections.quality import qualities_of
from tests.report import tissue_results
from tests.report.reader import Reader
from tests.report.report_results import make_result, make_run


def measure(value: float, good: float, doubtful: float) -> Measure:
    return Measure(key="x", title="X", value=value, unit="%", good=good, doubtful=doubtful, advice="Do.")


@pytest.mark.parametrize(
    ("value", "good", "doubtful", "verdict"),
    [
        (5, 5, 10, Verdict.GOOD),
        (7, 5, 10, Verdict.DOUBTFUL),
        (11, 5, 10, Verdict.BAD),
        (30, 20, 10, Verdict.GOOD),
        (15, 20, 10, Verdict.DOUBTFUL),
        (5, 20, 10, Verdict.BAD),
        (float("nan"), 5, 10, Verdict.BAD),
    ],
)
def test_a_value_lies_among_its_thresholds(value: float, good: float, doubtful: float, verdict: Verdict) -> None:
    assert measure(value, good, doubtful).verdict is verdict


def test_a_run_is_as_good_as_the_worst_of_its_numbers_and_says_what_to_do() -> None:
    run = make_run()
    noise = {"Background": 1.0, "Residual": 4.0, "Origin": "background"}
    moved = replace(run, record={**run.record, "NoiseSD": noise})
    (quality,) = qualities_of(make_result(runs=(moved,)))
    assert quality.verdict is Verdict.BAD
    assert quality.to_json()["residual_over_noise"] == 4.0
    text = Reader(render_page(make_result(runs=(moved,)))).text
    assert "look for motion between them" in text
    assert "\N{MULTIPLICATION SIGN} bad" in text


def test_a_noisy_map_is_not_good() -> None:
    run = make_run()
    (quality,) = qualities_of(make_result(runs=(replace(run, maps={**run.maps, "time_sd": 0.3 * run.maps["time"]}),)))
    assert {one.key: one.verdict for one in quality.measures}["relative_sd_median"] is Verdict.BAD


def test_white_matter_is_compared_with_what_is_published_for_its_field() -> None:
    result = tissue_results.make_together()
    judged = [one for one in qualities_of(result) if one.has_tissues]
    assert judged
    assert any(one.key == "white_matter_off_published" for quality in judged for one in quality.measures)


def test_without_tissues_the_page_says_that_it_may_be_a_phantom() -> None:
    assert "this may be a phantom" in Reader(render_page(make_result())).text


def test_the_map_in_colour_and_the_verdict_come_before_everything_else() -> None:
    page = render_page(make_result())
    assert page.index('class="overview"') < page.index("Warnings") if "Warnings" in page else True
    assert page.index('class="overview"') < page.index("<main>")
    assert page[page.index('class="overview"') : page.index("<main>")].count("<img") > 1
    assert np.isfinite(make_run().maps["time"]).any()
