"""Pages on the screen of a telephone: nothing is cut off, and nothing but tables and equations is moved sideways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bids_t1.report import render_page
from tests.report import browser
from tests.report.test_report_calibration import usual_card, usual_group_page
from tests.report.tissue_results import make_together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTH = 390
"""Of the screen [pixel]."""

PROBE = """
(async () => {
  await wait(100);
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  await wait(100);
  const movable = ".scroll, .equation, .strip svg, .visually-hidden";
  const right = document.documentElement.clientWidth + 1;
  const fixed = [...document.querySelectorAll("body *")].filter((one) => !one.closest(movable));
  const beyond = fixed.filter((one) => one.getBoundingClientRect().right > right);
  finish({
    width: innerWidth,
    page: document.documentElement.scrollWidth,
    beyond: beyond.map((one) => one.outerHTML.slice(0, 80)),
    cut: [...document.querySelectorAll("img")].filter((one) => one.closest(".scroll")).length,
    wide: [...document.querySelectorAll("picture img")].filter((one) => one.naturalWidth > 2 * innerWidth).length,
    plots: document.querySelectorAll("picture img").length,
  });
})();
"""


def together() -> str:
    return render_page(make_together(calibrated=True))


@browser.needs_chromium
@pytest.mark.parametrize(("page", "n_plots"), [(together, 7), (usual_group_page, 2), (usual_card, 0)])
def test_nothing_is_cut_off_on_a_telephone(page: Callable[[], str], n_plots: int, tmp_path: Path) -> None:
    found = browser.ask(page(), PROBE, tmp_path, WIDTH)
    assert (found["seen"], found["requests"]) == ([], [])
    assert found["width"] == WIDTH
    assert found["page"] <= WIDTH
    assert (found["beyond"], found["cut"], found["wide"]) == ([], 0, 0)
    assert found["plots"] == n_plots
