"""What a reader thinks of the scans, to be saved as a file of its own: it changes no result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1 import __version__
from bids_t1.quality import Verdict
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.result import ParticipantResult
    from bids_t1.report.sections.run import RunSection

RATINGS = tuple(verdict.word for verdict in Verdict)

ARTEFACTS = {
    "motion": "motion during or between images",
    "ghosts": "ghosts",
    "fold-over": "fold-over (wrap-around)",
    "signal-loss": "loss of signal, as near air",
    "transmit-field": "bright or dark regions of B1+",
    "noise": "noise",
    "other-object": "implants or other objects",
    "brain-mask": "brain mask wrong",
    "tissues": "tissues wrong",
    "registration": "registration wrong",
    "other": "something else",
}
"""What may be wrong, by its name in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedScan:
    """One scan in the form."""

    number: int
    title: str
    map: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What the template needs."""

    scans: tuple[RatedScan, ...]
    file: str
    """Name of the file that is saved."""

    head: str
    """JSON: what the file begins with."""

    ratings: tuple[str, ...] = RATINGS
    artefacts: tuple[tuple[str, str], ...] = tuple(ARTEFACTS.items())


def describe_rating(result: ParticipantResult, sections: Sequence[RunSection]) -> Rating | None:
    """Return the form for the scans of a page; None where it has none."""
    if not sections:
        return None
    head = {"Participant": f"sub-{result.participant}", "Version": __version__}
    return Rating(
        scans=tuple(
            RatedScan(number=number, title=section.title, map=section.name)
            for number, section in enumerate(sections, 1)
        ),
        file=f"sub-{result.participant}_rating.json",
        head=wording.within_script(json.dumps(head)),
    )
