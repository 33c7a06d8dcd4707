"""What the documents promise is what the program has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.figures import FIGURES, nist_rows
from bids_t1.bids.soundness import FULL_SCALES
from bids_t1.cli import build_parser
from bids_t1.data.errors import BidsT1Error, Interrupted, Stopped
from bids_t1.data.outputs import CONDITIONS, OUTPUTS, Output
from bids_t1.data.sidecar import PLAUSIBLE
from bids_t1.quality import CRITERIA
from bids_t1.report.sections.rating import ARTEFACTS

ROOT = Path(__file__).parents[1]
USAGE = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
PAGES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"))
)


def rows(section: str) -> list[tuple[str, ...]]:
    """Return the cells of the table below a heading of docs/usage.md, without its head."""
    text = USAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def long_options() -> list[str]:
    """Return the first long name of every option."""
    names = ([name for name in action.option_strings if name.startswith("--")] for action in build_parser()._actions)
    return [found[0] for found in names if found]


def error_codes() -> list[int]:
    """Return the exit code of every expected failure."""
    family = [BidsT1Error]
    for error in family:
        family.extend(error.__subclasses__())
    return sorted({Stopped.exit_code, Interrupted.exit_code, *(error.exit_code for error in family)})


def test_usage_lists_what_numbers_of_metadata_can_be() -> None:
    units = {"seconds": "s", "degrees": "degrees", "tesla": "T"}
    listed = {
        key: tuple((float(number), unit) for number, unit in map(str.split, limits))
        for fields, *limits in rows("What images must be")
        for key in re.findall(r"`(\w+)`", fields)
    }
    assert listed == {
        key: ((one.least, units[one.unit]), (one.below, units[one.unit])) for key, one in PLAUSIBLE.items()
    }


def test_usage_lists_the_largest_numbers_that_a_clipped_image_holds() -> None:
    (told,) = re.findall(r"largest number of its type \((.*?), less one", USAGE)
    assert tuple(2 ** int(bits) - 1 for bits in re.findall(r"2\^(\d+)", told)) == FULL_SCALES


@pytest.mark.parametrize("row", OUTPUTS, ids=lambda row: row.ending)
def test_usage_lists_every_output(row: Output) -> None:
    assert (f"`{row.ending}`", row.units, row.description) in rows("Outputs")


def test_usage_lists_no_other_output() -> None:
    assert len(rows("Outputs")) == len(OUTPUTS)


@pytest.mark.parametrize("row", [row for row in OUTPUTS if row.quantity in CONDITIONS], ids=lambda row: row.ending)
def test_usage_says_when_an_output_is_not_there(row: Output) -> None:
    ending = row.ending.replace(f"desc-{row.sequence}", "desc-*")
    (line,) = [line for line in USAGE.splitlines() if line.endswith(f": {CONDITIONS[row.quantity]}.")]
    assert f"`{ending}`" in line


def test_usage_lists_every_number_that_scans_are_judged_by() -> None:
    listed = {row[0].strip("`"): row[2:] for row in rows("Whether a scan is good")}
    assert list(listed) == list(CRITERIA)
    for key, (good, doubtful) in listed.items():
        assert good in {f"up to {CRITERIA[key].good:g}", f"{CRITERIA[key].good:g}"}
        assert doubtful in {f"up to {CRITERIA[key].doubtful:g}", f"{CRITERIA[key].doubtful:g}", ""}


def test_usage_lists_every_artefact_of_a_rating() -> None:
    assert [(f"`{name}`", words) for name, words in ARTEFACTS.items()] == rows("The page")


@pytest.mark.parametrize("option", long_options())
def test_usage_lists_every_option(option: str) -> None:
    named = {name for row in rows("Options") for name in re.findall(r"--[a-z0-9-]+", row[0])}
    assert option in named


def test_usage_lists_no_option_that_is_not_there() -> None:
    known = {name for action in build_parser()._actions for name in action.option_strings}
    named = {name for row in rows("Options") for name in re.findall(r"--[a-z0-9-]+", row[0])}
    assert named <= known


def test_usage_lists_every_exit_code() -> None:
    listed = [int(code) for row in rows("Exit codes") for code in re.findall(r"\d+", row[0])]
    assert sorted(listed) == [0, *error_codes()]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / page.parent / link).exists()]
    assert not missing


def test_every_document_is_in_the_contents_of_the_site() -> None:
    contents = "\n".join(
        re.findall(r"```\{toctree\}\n(.*?)```", (ROOT / "docs" / "index.md").read_text("utf-8"), re.DOTALL)
    )
    assert {path.stem for path in ROOT.glob("docs/*.md")} - {"index"} == set(
        re.findall(r"^\w+$", contents, re.MULTILINE)
    )


def test_the_figures_of_the_validation_are_those_that_a_command_draws() -> None:
    text = (ROOT / "docs" / "validation.md").read_text("utf-8")
    assert set(re.findall(r"\(images/(validation_\w+\.svg)\)", text)) == set(FIGURES)
    assert [row[0] for row in nist_rows(text)][:3] == [2033, 1489, 1012]
