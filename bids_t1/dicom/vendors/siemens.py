"""Habits of Siemens scanners."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bids_t1.dicom.header import Private
from bids_t1.dicom.vendors.rule import Component, Rule, Vendor

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header

_HALF_RANGE = 4096.0
"""Phase images run from -4096 to 4094 after rescaling (slope 2, intercept -4096)."""


XA_IMAGE_TYPE = Private(0x0021, "SIEMENS MR SDI 02", 0x75)
"""Private image type of an XA frame, as VE had it in the public one."""

XA_SEQUENCE_NAME = Private(0x0021, "SIEMENS MR SDI 02", 0x77)
"""Private sequence name of an XA frame."""

_COMPONENTS: dict[str, Component] = {"M": "mag", "P": "phase", "R": "real", "I": "imag"}


def _frame_type(header: Header) -> Component | None:
    return next((_COMPONENTS[word] for word in header.words(XA_IMAGE_TYPE)[2:3] if word in _COMPONENTS), None)


def _single_shot_inversion(header: Header) -> str | None:
    names = (header.text("SequenceName"), header.text("PulseSequenceName"), header.text(XA_SEQUENCE_NAME))
    if not any(name.lstrip("*").lower().startswith("tfi2d1") for name in names):
        return None
    return (
        "Look-Locker type: single-shot SSFP readouts (sequence tfi2d1), as in MOLLI; "
        "several follow one inversion, which measures T1* and not T1"
    )


def _mp2rage(header: Header) -> str | None:
    types = header.words("ImageType") + header.words(XA_IMAGE_TYPE)
    if "UNI" not in types and "MP2RAGE" not in header.text("SequenceName").upper():
        return None
    return "looks like MP2RAGE: two readouts after one inversion, not a separate inversion recovery per image"


def _middle_of_the_range(header: Header) -> float | None:
    if header.number("RescaleIntercept") or header.number("PixelRepresentation"):
        return None
    bits = header.number("BitsStored")
    return None if bits is None else 2.0 ** (bits - 1)


def _phase(header: Header) -> float | None:
    return math.pi / _HALF_RANGE if header.number("RescaleIntercept") == -_HALF_RANGE else None


SIEMENS = Vendor(
    name="Siemens",
    manufacturers=("siemens",),
    component=(Rule("rordenlab/dcm2niix#881: (0021,1175) of the frames of XA", _frame_type),),
    refusal=(
        Rule(
            "rordenlab/dcm2niix#845: tfi2d1_109 of MyoMaps, also used on brains; MOLLI family",
            _single_shot_inversion,
        ),
        Rule("BIDS 1.11 qMRI appendix; ImageType UNI of Siemens MP2RAGE (rordenlab/dcm2niix#536)", _mp2rage),
    ),
    zero_level=(
        # Phase, real and imaginary images are unsigned with zero in the middle of the stored range.
        Rule(
            "rordenlab/dcm2niix#406: 12 bit, slope 2 and intercept -4096, so stored 2048 is zero",
            _middle_of_the_range,
        ),
    ),
    phase_unit=(Rule("rordenlab/dcm2niix#406, MRtrix3/mrtrix3#3009: -4096 .. 4094 stand for -pi .. pi", _phase),),
)
