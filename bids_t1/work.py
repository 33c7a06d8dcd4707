"""One participant of a command: what is there of it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.errors import BidsT1Error
    from bids_t1.dicom.sources import DicomSource


@dataclass(frozen=True, slots=True)
class Work:
    """One participant, and the scanner files to convert where there are no raw images."""

    participant: str
    sources: tuple[DicomSource, ...] = ()
    """One per session."""

    refused: BidsT1Error | None = None
    """Why nothing of this participant can be processed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one participant."""

    participant: str
    n_runs: int
    failures: tuple[BidsT1Error, ...]
    page: Path | None
    n_warnings: int = 0
