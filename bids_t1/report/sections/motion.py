"""How far each image of a run lay from its place: a plot and one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.report.figures.plots import draw_motion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.report.figures.drawing import Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionFigure:
    """The plot of displacements."""

    source: Drawing
    alt: str
    caption: str


def motion_figure(record: Mapping[str, object]) -> MotionFigure | None:
    """Draw the motion of a record; None where it has none, or nothing moved."""
    match record.get("Motion"):
        case {
            "Done": str(done),
            "Of": [*times],
            "Displacements": [*displacements],
            "LargestDisplacement": int() | float() as largest,
        } if largest > 0 and len(times) == len(displacements):
            return MotionFigure(
                source=draw_motion([float(time) for time in times], [float(value) for value in displacements]),
                alt=f"Displacement of each image, {largest:.2f} mm at most",
                caption=f"Root mean square displacement over the head: {largest:.2f} mm at most. Done: {done}.",
            )
        case _:
            return None
