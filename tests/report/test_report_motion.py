"""The page shows how far images lay from their places, with one number; nothing where nothing moved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bids_t1.report.sections.motion import motion_figure
from tests.report.pages import page_of, usual_page
from tests.report.report_results import TIMES, make_run

MOVED = {
    "Done": "realigned to the longest time",
    "Of": list(TIMES),
    "LargestDisplacement": 1.861,
    "Displacements": [1.695, 1.861, 1.429, 0.867, 0.0],
}


def test_motion_is_on_the_page_as_a_plot_and_a_number() -> None:
    run = make_run()
    page = page_of(replace(run, record={**run.record, "Motion": MOVED}))
    assert "1.86 mm at most. Done: realigned to the longest time." in page.text
    assert "Motion between images" not in usual_page()


@pytest.mark.parametrize(
    "told", [{}, {"Done": "not looked for, as asked"}, MOVED | {"LargestDisplacement": 0.0}, MOVED | {"Of": [0.1]}]
)
def test_what_tells_of_no_motion_is_not_drawn(told: dict[str, object]) -> None:
    assert motion_figure({"Motion": told}) is None
