"""One HTML page of all participants: who is done, what was measured, who differs from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.sequences import title_of
from bids_t1.report.pages.participant import template
from bids_t1.report.sections.calibration import describe_calibration
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import quantity_of
from bids_t1.storage import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.data.calibration import Calibration
    from bids_t1.data.result import GroupResult, MapSummary

FAR = 3.5
"""Distance from the median of all participants, in robust standard deviations, from which a map is marked."""

FEWEST = 5
"""Maps of one sequence below which none is marked."""

MAD_OF_NORMAL = 0.6745


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
    sequences = dict.fromkeys(one.sequence for one in group.maps)
    counts = {
        status: sum(one.status == status for one in group.participants)
        for status in ("done", "with failures", "not processed")
    }
    return template("group.html.j2").render(
        group=group,
        counts=counts,
        tables=[(name, _title(name), _rows([one for one in group.maps if one.sequence == name])) for name in sequences],
        others=[one for one in group.participants if one.status != "done"],
        calibration=None if calibration is None else describe_calibration(calibration),
        note=note,
    )


def _title(name: str) -> str:
    """Name a table by what was measured and how."""
    return f"{quantity_of(name).name}, {wording.within_a_sentence(title_of(name))}"


def _rows(maps: Sequence[MapSummary]) -> list[dict[str, object]]:
    """Return the lines of the table of one sequence."""
    medians = np.array([np.nan if one.quartiles is None else one.quartiles[1] for one in maps])
    far = _far_from_others(medians)
    return [
        {
            "participant": one.participant,
            "name": one.name,
            "voxels": wording.grouped(one.n_voxels),
            "median": _time(one, None if one.quartiles is None else one.quartiles[1]),
            "quartiles": "none"
            if one.quartiles is None
            else f"{_time(one, one.quartiles[0])} to {_time(one, one.quartiles[2])}",
            "sd": _time(one, one.median_sd),
            "warnings": one.n_warnings,
            "verdict": one.verdict or "not judged",
            "white": _time(one, one.white_matter),
            "grey": _time(one, one.grey_matter),
            "far": bool(is_far),
        }
        for one, is_far in zip(maps, far, strict=True)
    ]


def _time(one: MapSummary, seconds: float | None) -> str:
    """Write a relaxation time in the unit of what was measured."""
    if seconds is None:
        return "none"
    return quantity_of(one.sequence).written(seconds)


def _far_from_others(medians: np.ndarray) -> np.ndarray:
    """Tell which maps have a median unlike those of most participants."""
    finite = medians[np.isfinite(medians)]
    if len(finite) < FEWEST:
        return np.zeros(len(medians), bool)
    centre = np.median(finite)
    spread = np.median(np.abs(finite - centre)) / MAD_OF_NORMAL
    far: np.ndarray = (np.abs(medians - centre) > FAR * spread) & (spread > 0)
    return far
