"""The rating that a reader may save from the page: a file of documented names, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bids_t1 import __version__
from bids_t1.report import render_page
from bids_t1.report.sections.rating import ARTEFACTS, RATINGS
from tests.report import browser
from tests.report.reader import Reader
from tests.report.report_results import make_result, make_run

if TYPE_CHECKING:
    from pathlib import Path

PROBE = """
(async () => {
  await wait(50);
  let saved = null, name = null;
  URL.createObjectURL = (blob) => { saved = blob; return "blob:x"; };
  HTMLAnchorElement.prototype.click = function () { name = this.download; };
  const form = document.getElementById("rating-form");
  form.querySelector("[value=doubtful]").checked = true;
  form.querySelector("[value=ghosts]").checked = true;
  form.querySelector("[value=noise]").checked = true;
  form.requestSubmit();
  await wait(50);
  finish({ name, text: await saved.text(), shown: !document.getElementById("rating").hidden });
})();
"""


def test_every_scan_can_be_rated_and_the_form_is_hidden_where_no_script_can_save_it() -> None:
    page = Reader(render_page(make_result()))
    inputs = page.all("input")
    assert [one["value"] for one in inputs if one["type"] == "radio"] == list(RATINGS)
    assert [one["value"] for one in inputs if one["type"] == "checkbox"] == list(ARTEFACTS)
    (section,) = [one for one in page.all("section") if one.get("id") == "rating"]
    assert "hidden" in section


@browser.needs_chromium
def test_a_browser_saves_what_was_chosen_under_documented_names(tmp_path: Path) -> None:
    result = make_result()
    found = browser.ask(render_page(result), PROBE, tmp_path)
    assert (found["seen"], found["requests"], found["shown"]) == ([], [], True)
    assert found["name"] == f"sub-{result.participant}_rating.json"
    scan = {"Map": str(make_run().name), "Rating": "doubtful", "Artefacts": ["ghosts", "noise"]}
    assert json.loads(found["text"]) == {
        "Participant": f"sub-{result.participant}",
        "Version": __version__,
        "Scans": [scan],
    }
