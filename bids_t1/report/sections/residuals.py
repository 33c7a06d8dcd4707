"""The table of what a fit of inversion recovery leaves at each inversion time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.report.words import wording
from bids_t1.report.words.record import times_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualRow:
    """Voxels of like T1."""

    between: str
    n_voxels: str
    medians: tuple[str, ...]
    """Percent of M0, one per inversion time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualTable:
    """Median residuals by inversion time and T1."""

    times: tuple[str, ...]
    """Inversion times, without unit [ms]."""

    rows: tuple[ResidualRow, ...]
    fast: str
    """What was done about the fast component of tissue, and why."""


def residual_table(record: Mapping[str, object]) -> ResidualTable | None:
    """Read the residuals of a record; None where it has none."""
    groups = record.get("Residuals")
    times = times_of(record, "InversionTimes")
    rows = tuple(row for row in map(_row, groups if isinstance(groups, list) else ()) if row is not None)
    if not rows or any(len(row.medians) != len(times) for row in rows):
        return None
    return ResidualTable(
        times=tuple(wording.number(1000 * time) for time in times), rows=rows, fast=_fast(record.get("FastComponent"))
    )


def _row(group: object) -> ResidualRow | None:
    match group:
        case {"T1": [int() | float() as low, int() | float() as high], "Voxels": int(n), "MedianOverM0": [*medians]}:
            return ResidualRow(
                between=f"{low:.2f} to {high:.2f}",
                n_voxels=wording.grouped(n),
                medians=tuple(wording.typeset(f"{100 * float(median):+.2f}") for median in medians),
            )
        case _:
            return None


def _fast(told: object) -> str:
    match told:
        case {"Treatment": "fitted", "Reason": str(reason)}:
            return f"A fast component of tissue was fitted: {reason}."
        case {"Treatment": "none", "Reason": str(reason)}:
            return f"One exponential was fitted: {reason}."
        case {"Treatment": str(treatment), "Reason": str(reason)}:
            return f"One exponential was fitted, {treatment}: {reason}."
        case _:
            return ""
