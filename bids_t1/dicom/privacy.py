"""Words that identify a person, found in headers and taken out of every text that leaves the conversion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bids_t1.dicom.header import Header

REMOVED = "removed"
"""Stands where an identifying word was."""

_SHORTEST = 3
"""Shorter words, such as initials, would take away parts of ordinary ones."""

_ORDINARY = frozenset({"mri", "anonymous", "anonymized", "unknown", "none"})
"""Words that name nobody, even where a de-identified patient is called so."""

_PERSONAL = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName",
    "PatientBirthDate", "PatientMotherBirthName", "AccessionNumber", "IssuerOfPatientID",
    "ReferringPhysicianName", "PerformingPhysicianName", "PhysiciansOfRecord", "OperatorsName",
    "RequestingPhysician",
)  # fmt: skip
"""Attributes of which every word identifies."""

_WHOLE = ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "StudyDate")
"""Attributes that identify as a whole; single words of them, such as brain, may not."""


def identifying_words(header: Header) -> frozenset[str]:
    """Return the words of a header that name a person, an examination or a place, in lower case."""
    words = {header.text(key).lower() for key in (*_PERSONAL, *_WHOLE)}
    for key in _PERSONAL:
        words |= set(re.split(r"[\W_]+", header.text(key).lower()))
    return frozenset(word for word in words - _ORDINARY if len(word) >= _SHORTEST)


def scrub(text: str, identifying: Iterable[str]) -> str:
    """Take identifying words out of a text, in any case and also inside longer words."""
    for word in sorted(identifying, key=len, reverse=True):
        text = re.sub(re.escape(word), REMOVED, text, flags=re.IGNORECASE)
    return text
