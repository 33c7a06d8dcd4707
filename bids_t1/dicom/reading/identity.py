"""Whose images they are, as their headers say; what they say is told nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """What a header says of patient, examination and frame of reference; empty where it is silent."""

    patient_id: str
    name: str
    birth_date: str
    study: str
    study_date: str
    frame_of_reference: str


def identity_of(header: Header) -> Identity:
    """Read the identity of an image, without differences that are only of writing."""
    return Identity(
        patient_id=header.text("PatientID").casefold(),
        name=header.text("PatientName").split("=")[0].rstrip("^ ").casefold(),
        birth_date=header.text("PatientBirthDate"),
        study=header.text("StudyInstanceUID"),
        study_date=header.text("StudyDate"),
        frame_of_reference=header.text("FrameOfReferenceUID"),
    )
