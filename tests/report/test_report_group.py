"""The page of all participants: strips of points and tables hold the same numbers, and both work without a script."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bids_t1.bids.group import MAPS, read_group, with_left_behind, write_tables
from bids_t1.data.result import GroupResult, MapSummary, ParticipantSummary
from bids_t1.data.timing import Lap, Stage, time_taken
from bids_t1.quality import CRITERIA
from bids_t1.report.figures.strips import Point, Row, draw_strip
from bids_t1.report.pages.group import render_group_page
from bids_t1.report.sections.everybody import FEWEST, unlike
from tests.report import browser
from tests.report.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path


def summary(number: int, **changes: object) -> MapSummary:
    made = MapSummary(
        participant=f"{number:02d}",
        session=None,
        name=f"sub-{number:02d}_desc-MP2RAGE_T1map.nii.gz",
        sequence="MP2RAGE",
        n_voxels=120_000 + number,
        quartiles=(0.8, 1.1 + 0.001 * number, 1.6),
        median_sd=0.03,
        n_warnings=0,
        verdict="good",
        white_matter=0.84 + 0.001 * number,
        grey_matter=1.5,
        translation=0.1 * number,
        quality={"motion_max": 0.2 + 0.01 * number},
        field_strength=3.0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def group(maps: list[MapSummary]) -> GroupResult:
    people = dict.fromkeys(one.participant for one in maps)
    return GroupResult(
        participants=tuple(
            ParticipantSummary(participant=name, status="done", n_maps=1, failures=(), version="1") for name in people
        ),
        maps=tuple(maps),
    )


def log(participant: str) -> dict[str, Any]:
    """Return a log of one map that lies beside a reference."""
    name = f"sub-{participant}_desc-MP2RAGE_T1map.nii.gz"
    return {
        "runs": [
            {
                "name": name,
                "sequence": "MP2RAGE",
                "summary": {"Voxels": 5, "Quartiles": [1, 2, 3], "MedianSD": 0.1},
                "warnings": [],
                "record": {"MagneticFieldStrength": 7},
            }
        ],
        "comparisons": [{"name": "there", "moving": name, "alignment": {"rotation": 1.5, "translation": 0.25}}],
        "agreements": [{"map": "there", "tissue": None, "eroded": False, "bias": -0.01, "sd": 0.05}],
        "quality": {name: {"Verdict": "good", "motion_max": 0.1, "Verdicts": {"motion_max": "good"}}},
        "failures": [],
        "versions": {"bids_t1": "1"},
    }


def write_log(out_dir: Path, participant: str, content: dict[str, Any]) -> None:
    (out_dir / "logs").mkdir(exist_ok=True)
    (out_dir / "logs" / f"sub-{participant}.json").write_text(json.dumps(content), encoding="utf-8")


def six() -> list[MapSummary]:
    """Six maps, the last of which has an odd white matter and moved."""
    return [
        *(summary(number) for number in range(1, 6)),
        summary(6, white_matter=1.3, verdict="bad", quality={"motion_max": 3.0}),
    ]


def test_who_is_unlike_the_others_is_named_with_the_numbers_from_five_maps_on() -> None:
    assert unlike(six())[5] == ("white matter", "Motion between images, at most")
    assert not any(unlike(six())[:5])
    assert FEWEST == 5
    assert not any(unlike([*six()[:3], six()[5]]))


def test_every_point_leads_to_the_page_of_its_participant_and_says_its_value() -> None:
    page = Reader(render_group_page(group(six())))
    points = [one for one in page.all("a") if one.get("data-map")]
    assert {one["href"] for one in points} == {f"sub-{number:02d}.html" for number in range(1, 7)}
    told = {one["aria-label"] for one in points}
    assert {"sub-01: 0.841 s", "sub-06: 1.300 s, unlike the others", "sub-06: 3.00 mm, unlike the others, bad"} <= told


def test_the_table_has_the_numbers_of_the_plots_without_a_script() -> None:
    text = Reader(render_group_page(group(six()))).text
    for number in ("0.841", "1.300", "3.00", "unlike the others: white matter"):
        assert number in text
    assert "white matter (Wright 2008), one SD between people" in text
    assert "genu (Boudreau 2024)" in text


def test_how_long_participants_took_is_drawn_in_the_unit_that_fits_and_stands_in_a_table() -> None:
    laps = [Lap(stage=Stage.MAPS, of="", seconds=90.0, processor_seconds=150.0)]
    people = [replace(one, time_taken=time_taken(one.participant, laps)) for one in group(six()).participants]
    page = Reader(render_group_page(replace(group(six()), participants=tuple(people))))
    told = {one["aria-label"] for one in page.all("a") if one.get("data-map") == "sub-01"}
    assert told == {"sub-01: 90.0 s", "sub-01: 2 min"}
    assert "Time that a participant took [min]" in page.text
    for words in ("Time by stage [s]", "Reading images and estimating maps", "90.0", "150.0"):
        assert words in page.text


def test_values_of_one_size_are_drawn_beside_each_other_within_the_axis() -> None:
    points = tuple(
        Point(value=1.0 + 0.001 * (place % 3), page="", name="", told="", is_far=False, verdict="good")
        for place in range(40)
    )
    strip = draw_strip("T1", "s", "t1", [Row(title="all", points=points)])
    placed = strip.rows[0].points
    assert len({(one.x, one.y) for one in placed}) > 3
    assert all(
        0 <= one.x <= strip.width and strip.rows[0].top - 6 <= one.y <= strip.rows[0].bottom + 6 for one in placed
    )


@pytest.mark.parametrize("value", [0.0, -0.004, 1e-9, 5000.0])
def test_an_axis_has_two_ends_whatever_the_values(value: float) -> None:
    point = Point(value=value, page="", name="", told="", is_far=False, verdict="good")
    strip = draw_strip("x", "", "x", [Row(title="all", points=(point,))])
    assert len(strip.ticks) >= 2
    assert 0 <= strip.rows[0].points[0].x <= strip.width


def test_the_tsv_has_the_numbers_of_the_page_and_each_column_is_described(tmp_path: Path) -> None:
    write_tables(tmp_path, group(six()))
    head, *rows = (line.split("\t") for line in (tmp_path / "group_maps.tsv").read_text("utf-8").splitlines())
    assert head == list(MAPS) == list(json.loads((tmp_path / "group_maps.json").read_text("utf-8")))
    last = dict(zip(head, rows[-1], strict=True))
    assert (last["white_matter"], last["motion_max"], last["rotation"]) == ("1.3", "3.0", "n/a")
    assert set(CRITERIA) < set(head)


def test_quality_agreement_and_registration_are_read_from_the_log(tmp_path: Path) -> None:
    write_log(tmp_path, "01", log("01"))
    (found,) = read_group(tmp_path, ["01"]).maps
    assert (found.rotation, found.translation, found.bias, found.bias_sd) == (1.5, 0.25, -0.01, 0.05)
    assert (found.quality, found.field_strength) == ({"motion_max": 0.1}, 7.0)


def test_maps_whose_images_the_dataset_holds_no_more_are_named(tmp_path: Path) -> None:
    images = {number: f"sub-{number}/anat/sub-{number}_UNIT1.nii.gz" for number in ("01", "02")}
    for number, image in images.items():
        made = log(number)
        made["runs"][0]["record"]["Sources"] = [f"bids:raw:{image}"]
        write_log(tmp_path, number, made)
    found, dataset = read_group(tmp_path, images), tmp_path / "data"
    assert with_left_behind(found, dataset).left_behind == ()  # another dataset, or one that lies elsewhere now
    (dataset / images["01"]).parent.mkdir(parents=True)
    (dataset / images["01"]).symlink_to("not/fetched")
    one = with_left_behind(found, dataset)
    assert one.left_behind == ("sub-02_desc-MP2RAGE_T1map.nii.gz",)
    assert "no more the images of sub-02_desc-MP2RAGE_T1map.nii.gz" in render_group_page(one)


@pytest.mark.parametrize(
    ("key", "number"), [("MedianSD", "1" + 350 * "0"), ("Quartiles", f"[1, 2, 3{350 * '0'}]"), ("Voxels", "Infinity")]
)
def test_a_log_with_a_number_that_none_can_be_is_named_and_the_group_goes_on(
    tmp_path: Path, key: str, number: str
) -> None:
    damaged = log("01")
    damaged["runs"][0]["summary"][key] = json.loads(number)
    write_log(tmp_path, "01", damaged)
    write_log(tmp_path, "02", log("02"))
    found = read_group(tmp_path, ["01", "02"])
    assert [one.status for one in found.participants] == ["not processed", "done"]
    assert "sub-01: a log of it is damaged" in found.participants[0].failures[0]
    assert [one.participant for one in found.maps] == ["02"]


def test_a_number_of_a_log_too_long_for_a_float_that_may_be_missing_is_missing(tmp_path: Path) -> None:
    long = log("01")
    long["runs"][0]["record"]["MagneticFieldStrength"] = 10**350
    long["agreements"][0]["bias"] = -(10**350)
    write_log(tmp_path, "01", long)
    (found,) = read_group(tmp_path, ["01"]).maps
    assert (found.field_strength, found.bias, found.bias_sd) == (None, None, 0.05)


PROBE = """
(async () => {
  await wait(50);
  const shown = () => [...document.querySelectorAll("table.maps")][0].tBodies[0].rows;
  const names = () => [...shown()].filter((row) => !row.hidden).map((row) => row.dataset.participant);
  const white = [...document.querySelectorAll("thead button")].find((one) => one.textContent.startsWith("White"));
  white.click();
  const rising = names()[5];
  white.click();
  const falling = names()[0];
  const form = document.getElementById("choose");
  form.elements.far.checked = true;
  form.dispatchEvent(new Event("input"));
  const far = names();
  form.elements.far.checked = false;
  form.dispatchEvent(new Event("input"));
  const plot = document.querySelector(".strip svg");
  plot.focus();
  for (let i = 0; i < 9; i++) plot.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  const told = document.getElementById("chosen").value;
  finish({ rising, falling, far, told, marked: document.querySelectorAll("tr.same").length });
})();
"""


@browser.needs_chromium
def test_a_browser_sorts_filters_and_goes_along_the_points_by_keyboard(tmp_path: Path) -> None:
    found = browser.ask(render_group_page(group(six())), PROBE, tmp_path)
    assert (found["seen"], found["requests"]) == ([], [])
    assert (found["rising"], found["falling"], found["far"]) == ("06", "06", ["06"])
    assert found["told"] == "T1 of white matter [s]: sub-06: 1.300 s, unlike the others"
    assert found["marked"] == 2
