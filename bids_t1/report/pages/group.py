"""One HTML page of all participants: who is done, what was measured, who differs from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped_by
from bids_t1.data.sequences import title_of
from bids_t1.report.pages.participant import template
from bids_t1.report.sections.calibration import describe_calibration
from bids_t1.report.sections.everybody import BESIDE, FAR, FEWEST, QUALITY, TISSUES, strips, times_of, unlike
from bids_t1.report.sections.quality import CLASSES
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import quantity_of
from bids_t1.storage import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.data.calibration import Calibration
    from bids_t1.data.result import GroupResult, MapSummary
    from bids_t1.report.sections.everybody import Number

COLUMNS = (*TISSUES[:3], *BESIDE)
"""Of the table of a sequence, beside what is told of every map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A number in a table."""

    text: str
    value: float | None
    """To sort by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A map in a table."""

    participant: str
    name: str
    session: str
    css: str
    verdict: str
    unlike: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The maps of one sequence."""

    name: str
    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    measured: tuple[str, ...]
    quality: tuple[Line, ...]
    """The same maps with the numbers that they are judged by."""


def write_group_page(
    group: GroupResult, out_dir: Path, calibration: Calibration | None = None, note: str | None = None
) -> Path:
    """Write the page of all participants, whole or not at all, and return its path.

    Parameters
    ----------
    group
        What became of everybody.
    out_dir
        The derivatives.
    calibration
        What was trained of MP2RAGE beside inversion recovery, if anything was.
    note
        Why nothing was trained, or what was left out, in words.
    """
    page = out_dir / "group.html"
    write_whole(page, render_group_page(group, calibration, note))
    return page


def render_group_page(group: GroupResult, calibration: Calibration | None = None, note: str | None = None) -> str:
    """Return the page of all participants as HTML."""
    maps = group.maps
    counts = {
        status: sum(one.status == status for one in group.participants)
        for status in ("done", "with failures", "not processed")
    }
    return template("group.html.j2").render(
        group=group,
        counts=counts,
        tables=[_table(name, own) for name, own in grouped_by(maps, lambda one: one.sequence).items()],
        plots=[
            ("tissues", "T1 and T2* of everybody", strips(TISSUES, maps)),
            ("agreement", "Agreement with inversion recovery, and registration to it", strips(BESIDE, maps)),
            ("judged", "What the scans are judged by", strips(QUALITY, maps)),
        ],
        times=times_of(group.participants),
        far=FAR,
        fewest=FEWEST,
        others=[one for one in group.participants if one.status != "done"],
        calibration=None if calibration is None else describe_calibration(calibration),
        note=note,
    )


def _title(name: str) -> str:
    """Name a table by what was measured and how."""
    return f"{quantity_of(name).name}, {wording.within_a_sentence(title_of(name))}"


def _table(name: str, maps: Sequence[MapSummary]) -> Table:
    """Return the tables of one sequence; columns that no map has are left out."""
    columns, measured = _known(COLUMNS, maps), _known(QUALITY, maps)
    named = unlike(maps)
    head = ("Voxels", "Median", "Middle half", "Median SD", "Warnings")
    return Table(
        name=name,
        title=_title(name),
        columns=(*head, *(_heading(number, name) for number in columns)),
        lines=tuple(
            _line(one, far, (*_of_map(one), *(_cell(number, one) for number in columns)))
            for one, far in zip(maps, named, strict=True)
        ),
        measured=tuple(_heading(number, name) for number in measured),
        quality=tuple(
            _line(one, far, tuple(_cell(number, one) for number in measured))
            for one, far in zip(maps, named, strict=True)
        ),
    )


def _known(numbers: Sequence[Number], maps: Sequence[MapSummary]) -> list[Number]:
    return [number for number in numbers if any(number.read(one) is not None for one in maps)]


def _heading(number: Number, sequence: str) -> str:
    title = number.title[0].upper() + number.title[1:]
    unit = number.unit_of(sequence)
    return f"{title} [{unit}]" if unit else title


def _line(one: MapSummary, far: tuple[str, ...], cells: tuple[Cell, ...]) -> Line:
    return Line(
        participant=one.participant,
        session=one.session or "",
        name=one.name,
        css=CLASSES.get(one.verdict or "", ""),
        verdict=one.verdict or "not judged",
        unlike=far,
        cells=cells,
    )


def _of_map(one: MapSummary) -> tuple[Cell, ...]:
    """Return what is told of every map."""
    low, median, high = one.quartiles or (None, None, None)
    return (
        Cell(text=wording.grouped(one.n_voxels), value=one.n_voxels),
        Cell(text=_time(one, median), value=median),
        Cell(text="none" if low is None else f"{_time(one, low)} to {_time(one, high)}", value=median),
        Cell(text=_time(one, one.median_sd), value=one.median_sd),
        Cell(text=str(one.n_warnings), value=one.n_warnings),
    )


def _cell(number: Number, one: MapSummary) -> Cell:
    return Cell(text=number.written(one, unit=False), value=number.read(one))


def _time(one: MapSummary, seconds: float | None) -> str:
    """Write a relaxation time in the unit of what was measured."""
    return "none" if seconds is None else quantity_of(one.sequence).written(seconds)
