"""What tells one method of measuring the transmit field B1+ from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.verdict import Verdict
    from bids_t1.dicom.vendors import TransmitImage


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitMethod:
    """One row: a method, how its images are told, and what becomes of them."""

    keep: Callable[[Sequence[Volume]], Verdict]
    """Decides about all images of the method."""

    shown: frozenset[TransmitImage] = frozenset()
    """What its images show where the scanner says so."""

    called: re.Pattern[str] | None = None
    """What its series are called, where headers do not tell."""
