"""The viewer within the page: it shows the maps, loads nothing, and without its library nothing else is missing."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.data.grid import Grid
from bids_t1.data.result import RawImages
from bids_t1.report import render_page
from bids_t1.report.sections import viewer
from tests.report import browser
from tests.report.report_results import make_result, make_run

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = resources.files("bids_t1.report") / "viewer" / viewer.LIBRARY

PROBE = """
(async () => {
  const box = document.getElementById("viewer"), value = document.getElementById("viewer-value");
  for (let i = 0; i < 400 && !box.dataset.ready; i++) await wait(50);
  const canvas = document.getElementById("viewer-canvas"), place = canvas.getBoundingClientRect();
  const [x, y] = [place.left + 0.15 * place.width, place.top + 0.4 * place.height];
  const at = { bubbles: true, clientX: x, clientY: y, buttons: 1 };
  const first = value.textContent;
  for (const kind of ["mousedown", "mouseup"]) canvas.dispatchEvent(new MouseEvent(kind, at));
  await wait(300);
  const clicked = value.textContent;
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "PageUp", bubbles: true }));
  await wait(300);
  finish({ first, clicked, moved: value.textContent });
})();
"""


@pytest.fixture
def with_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "_library", lambda: "var niivue = 1;")


def test_without_the_library_the_page_has_no_viewer() -> None:
    assert "viewer-canvas" not in render_page(make_result())


@pytest.mark.usefixtures("with_library")
def test_the_volumes_are_the_maps_where_they_lie() -> None:
    run = make_run()
    described = viewer.describe_viewer(make_result(runs=(run,)))
    assert described is not None
    (facts,) = json.loads(described.facts)
    assert [volume["quantity"] for volume in facts["volumes"]][:2] == ["time", "time_sd"]
    image = nib.Nifti1Image.from_bytes(_unzipped(described.volumes[0]))
    fitted = np.argwhere(np.isfinite(run.maps["time"]))
    for voxel in fitted[:: len(fitted) // 7]:
        place = run.grid.affine @ [*voxel, 1]
        index = np.rint(np.linalg.solve(image.affine, place)[:3]).astype(int)
        assert image.get_fdata()[tuple(index)] == pytest.approx(float(run.maps["time"][tuple(voxel)]), abs=1e-3)


@pytest.mark.usefixtures("with_library")
def test_images_as_acquired_can_be_looked_at_beside_the_maps() -> None:
    result = make_result(runs=(make_run(),))
    images = np.linspace(0, 900, 2 * 4 * 5 * 6).reshape(2, 4, 5, 6)
    raw = RawImages(
        run=str(result.runs[0].name),
        labels=("TI 50 ms", "<b>"),
        grid=Grid((4, 5, 6), np.eye(4)),
        images=images,
        thinned=3,
    )
    described = viewer.describe_viewer(replace(result, raw_images=(raw,)))
    assert described is not None
    maps, acquired = json.loads(described.facts)
    assert acquired["title"].endswith("images as acquired")
    assert [volume["label"] for volume in acquired["volumes"]] == ["TI 50 ms", "<b>"]
    assert "<" not in described.facts
    first = nib.Nifti1Image.from_bytes(_unzipped(described.volumes[len(maps["volumes"])])).get_fdata()
    assert np.corrcoef(first.ravel(), images[0].ravel())[0, 1] > 0.999
    assert "one voxel in 3 along each axis is shown" in render_page(replace(result, raw_images=(raw,)))


@pytest.mark.usefixtures("with_library")
def test_large_maps_are_thinned_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "MOST_VOXELS", 2000)
    result = make_result(runs=(make_run(),))
    described = viewer.describe_viewer(result)
    assert described is not None
    assert described.thinned > 1
    assert f"one voxel in {described.thinned} along each axis" in render_page(result)


@pytest.mark.usefixtures("with_library")
def test_the_same_result_gives_the_same_bytes() -> None:
    assert render_page(make_result()) == render_page(make_result())


@pytest.mark.usefixtures("with_library")
def test_a_name_cannot_end_the_script_it_stands_in() -> None:
    run = make_run()
    hostile = replace(run, sequence=run.sequence, name=run.name.having({"acq": "x"}))
    described = viewer.describe_viewer(make_result(runs=(hostile,)))
    assert described is not None
    assert "<" not in described.facts


@browser.needs_chromium
@pytest.mark.skipif(not LIBRARY.is_file(), reason="the viewer is not installed: make viewer")
def test_a_browser_without_network_answers_a_click_and_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = LIBRARY.read_text(encoding="utf-8").replace("</script", "<\\/script")
    monkeypatch.setattr(viewer, "_library", lambda: text)
    found = browser.ask(render_page(make_result()), PROBE, tmp_path)
    assert found["seen"] == []
    assert found["requests"] == []
    assert len({found["first"], found["clicked"], found["moved"]}) > 1
    assert re.search(r"T1 \d\.\d+ s", found["first"] + found["clicked"] + found["moved"])


def _unzipped(volume: str) -> bytes:
    return gzip.decompress(base64.b64decode(volume))
