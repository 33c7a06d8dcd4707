"""What the DICOM standard itself says, for all vendors; asked after the vendor's own rules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bids_t1.dicom.vendors import names
from bids_t1.dicom.vendors.rule import Component, Product, Rule, Vendor

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header

LONGEST_INVERSION_TIME = 30_000.0
"""Longest delay taken for an inversion time [ms]: eight times the T1 of water at 3 T."""

_COMPONENTS: dict[str, Component] = {
    "MAGNITUDE": "mag", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imag",
}  # fmt: skip

_IMAGE_TYPES: dict[str, Component] = {
    "M": "mag", "MAGNITUDE": "mag", "P": "phase", "PHASE": "phase", "R": "real", "REAL": "real",
    "I": "imag", "IMAGINARY": "imag",
}  # fmt: skip


def plausible(milliseconds: float | None) -> float | None:
    """Return an inversion time [ms] if it can be one."""
    if milliseconds is None or not math.isfinite(milliseconds):
        return None
    return milliseconds if 0 < milliseconds <= LONGEST_INVERSION_TIME else None


def _complex_component(header: Header) -> Component | None:
    return _COMPONENTS.get(header.text("ComplexImageComponent").upper())


def _image_type(header: Header) -> Component | None:
    words = header.words("FrameType") or header.words("ImageType")
    # the first two values are ORIGINAL/DERIVED and PRIMARY/SECONDARY
    return next((_IMAGE_TYPES[word] for word in words[2:] if word in _IMAGE_TYPES), None)


def _inversion_time(header: Header) -> float | None:
    return plausible(header.number("InversionTime"))


def _inversion_times(header: Header) -> float | None:
    delays = [delay for delay in header.numbers("InversionTimes") if plausible(delay)]
    return delays[0] if len(delays) == 1 else None


def called_mp2rage(header: Header) -> bool | None:
    """Tell whether an image calls itself MP2RAGE; None where it does not."""
    keys = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    return any(names.MP2RAGE.search(header.text(key)) for key in keys) or None


def _t1_map(header: Header) -> Product | None:
    return "T1 map" if "T1 MAP" in header.words("FrameType") + header.words("ImageType") else None


STANDARD = Vendor(
    name="DICOM",
    manufacturers=("",),
    component=(
        Rule("DICOM PS3.3 C.8.13.3.1.1, Complex Image Component (0008,9208)", _complex_component),
        Rule("DICOM PS3.3 C.8.3.1.1.1, Image Type, third and later values", _image_type),
    ),
    inversion_time=(
        Rule("DICOM PS3.3 C.8.3.1, Inversion Time (0018,0082) in ms", _inversion_time),
        Rule("DICOM PS3.3 C.8.13.5.2, Inversion Times (0018,9079) in ms", _inversion_times),
    ),
    product=(Rule("rordenlab/dcm2niix#675 and #719: image type T1 MAP", _t1_map),),
    shared_inversion=(
        # The only mark of research sequences, such as those of GE, of which no document was found.
        Rule("bids-standard/bids-specification#1890: MP2RAGE in descriptions and sequence names", called_mp2rage),
    ),
)
