"""What the page may show of one sequence beside what it shows of all: a timing diagram, S against T1, origins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_t1.report.figures.drawing import Drawing
    from bids_t1.report.voices.origins import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What the template shows of such a run beside what every run has."""

    origins: tuple[Origin, ...]
    timing: Drawing | None = None
    """Picture of one cycle; empty where the record does not hold it, None where the sequence has none."""

    timing_alt: str = ""
    curve: Drawing | None = None
    """Picture of S against T1; empty where it was not recorded, None where the sequence has none."""

    curve_alt: str = ""
    curve_notes: tuple[str, ...] = ()
