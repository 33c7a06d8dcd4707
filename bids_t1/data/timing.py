"""How long the stages of a participant took."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped_by

if TYPE_CHECKING:
    from collections.abc import Iterable


class Stage(StrEnum):
    """What a participant goes through, in this order."""

    CONVERSION = "conversion"
    MAPS = "maps"
    TISSUES = "tissues"
    CALIBRATION = "calibration"
    REGISTRATION = "registration"
    TEMPLATE = "template"
    STATISTICS = "statistics"
    WRITING = "writing"
    PAGE = "page"

    @property
    def meaning(self) -> str:
        """What is done in it."""
        return MEANINGS[self]

    @property
    def heading(self) -> str:
        """What is done in it, as a sentence begins."""
        return self.meaning[0].upper() + self.meaning[1:]


MEANINGS = {
    Stage.CONVERSION: "DICOM files to BIDS",
    Stage.MAPS: "reading images and estimating maps",
    Stage.TISSUES: "brain and tissues",
    Stage.CALIBRATION: "calibration",
    Stage.REGISTRATION: "registration to inversion recovery",
    Stage.TEMPLATE: "maps in the space of a template",
    Stage.STATISTICS: "numbers of the tissues",
    Stage.WRITING: "writing maps, sidecars and log",
    Stage.PAGE: "page",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """One stage of one run, or of a session."""

    stage: Stage
    of: str
    """Name of the run, session or participant."""

    seconds: float
    """By the clock [s]."""

    processor_seconds: float
    """Of all processors together [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeTaken:
    """What one participant took, all sessions together."""

    participant: str
    seconds: float
    """By the clock [s]."""

    processor_seconds: float
    """Of all processors together [s]."""

    by_stage: dict[Stage, float]
    """By the clock, of the stages that there were [s]."""


def time_taken(participant: str, laps: Iterable[Lap]) -> TimeTaken:
    """Add up the stages of a participant."""
    laps = tuple(laps)
    by_stage = grouped_by(laps, lambda lap: lap.stage)
    return TimeTaken(
        participant=participant,
        seconds=round(sum(lap.seconds for lap in laps), 2),
        processor_seconds=round(sum(lap.processor_seconds for lap in laps), 2),
        by_stage={stage: round(sum(lap.seconds for lap in by_stage[stage]), 2) for stage in Stage if stage in by_stage},
    )


def told_duration(seconds: float) -> str:
    """Write a time for people: in seconds, minutes or hours."""
    if seconds < 2 * 60:
        return f"{max(seconds, 0.1):.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 2 * 60 else f"{minutes / 60:.1f} h"
