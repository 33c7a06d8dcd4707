"""Habits of GE scanners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.header import Private
from bids_t1.dicom.vendors.rule import Component, Rule, Vendor

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header

IMAGE_TYPE = Private(0x0043, "GEMS_PARM_01", 0x2F)
"""Private image type: 0 magnitude, 1 phase, 2 real, 3 imaginary."""

GAINS = (Private(0x0019, "GEMS_ACQU_01", 0x8A), Private(0x0019, "GEMS_ACQU_01", 0x8B))
"""Private analogue (R1) and digital (R2) receiver gain."""

LABELLING = Private(0x0043, "GEMS_PARM_01", 0xA3)
"""Private kind of arterial spin labelling: continuous or pseudocontinuous."""

_COMPONENTS: dict[int, Component] = {0: "mag", 1: "phase", 2: "real", 3: "imag"}


def _private_type(header: Header) -> Component | None:
    code = header.number(IMAGE_TYPE)
    return None if code is None else _COMPONENTS.get(int(code))


def _milliradian(header: Header) -> float | None:
    return 0.001 if header.number("PixelRepresentation") == 1 else None


def _receiver_gain(header: Header) -> str | None:
    gains = [header.number(tag) for tag in GAINS]
    known = [f"R{index} {gain:g}" for index, gain in enumerate(gains, start=1) if gain is not None]
    return ", ".join(known) or None


def _arterial_spin_labelling(header: Header) -> str | None:
    if "CONTINUOUS" not in header.text(LABELLING).upper():
        return None
    return "arterial spin labelling: GE writes the label delay where the inversion time belongs"


GE = Vendor(
    name="GE",
    manufacturers=("ge medical", "ge healthcare", "ge "),
    component=(
        # All four parts may share one series, and ImageType says OTHER for each.
        Rule("rordenlab/dcm2niix GE/README.md, Complex Image Component: (0043,102F)", _private_type),
    ),
    refusal=(Rule("rordenlab/dcm2niix GE/README.md, Arterial Spin Labeling", _arterial_spin_labelling),),
    phase_unit=(
        # Conversion keeps the unit only where the image's range is -3.14 .. 3.14 with it.
        Rule("no document found; thousandths of a radian are a widespread reading of GE phase", _milliradian),
    ),
    gain=(
        # Prescan may set the gain anew before each series.
        Rule("rordenlab/dcm2niix#1034; GE's private dictionary, (0019,108A) and (0019,108B)", _receiver_gain),
    ),
)
