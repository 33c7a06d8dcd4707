"""Sentences of the methods section that hold for every sequence: what images had, and where times were searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.report.words import wording
from bids_t1.report.words.quantity import quantity_of
from bids_t1.report.words.record import numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.result import RunResult


def acquired(run: RunResult, images: str, parts: Sequence[str]) -> str:
    """Say with what the images of a run were acquired: their timing, which the sequence tells, voxels and field."""
    field_strength = run.record.get("MagneticFieldStrength")
    place = f" at {wording.number(field_strength)} T" if isinstance(field_strength, int | float) else ""
    voxels = f"voxels of {' x '.join(wording.number(size, 3) for size in run.grid.voxel_sizes)} mm"
    return f"{images}{place} had {wording.listed([*parts, voxels])}."


def echo_time(run: RunResult) -> list[str]:
    """Tell the echo time, where it is known."""
    value = run.record.get("EchoTime")
    return [f"an echo time of {wording.number(1000 * value)} ms"] if isinstance(value, int | float) else []


def searched(run: RunResult) -> str:
    """Say between which values the relaxation time was searched; nothing where that is not known."""
    quantity = quantity_of(run.sequence)
    limits = [wording.number(limit * quantity.per_second) for limit in numbers_of(run.record.get("SearchRange"))]
    return f" between {limits[0]} and {limits[-1]} {quantity.unit}" if limits else ""
