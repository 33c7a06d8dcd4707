"""Habits of Philips scanners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.header import Private
from bids_t1.dicom.vendors.rule import Component, Rule, TransmitImage, Vendor
from bids_t1.dicom.vendors.standard import called_mp2rage, plausible

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header

SCALE_SLOPE = Private(0x2005, "Philips MR Imaging DD 001", 0x0E)
"""Private MR Scale Slope."""

IMAGE_TYPE = Private(0x2005, "Philips MR Imaging DD 001", 0x11)
"""Private image type of the scanner: M, P, R or I."""

EPI_FACTOR = Private(0x2001, "Philips Imaging DD 001", 0x13)
"""Private number of lines of k-space after one excitation."""

_B1_MAP = frozenset({"B1", "B1 MAP", "B1_MAP", "M_B1"})
"""Words of the image type of a B1 map."""

_PRIVATE: dict[str, Component] = {"M": "mag", "P": "phase", "R": "real", "I": "imag"}

_PREFIXES: dict[str, Component] = {"M_": "mag", "P_": "phase", "R_": "real", "I_": "imag"}


def _private_type(header: Header) -> Component | None:
    return _PRIVATE.get(header.text(IMAGE_TYPE).upper())


def _image_type(header: Header) -> Component | None:
    words = header.words("ImageType")[2:]
    if words[:1] == ("PHASE MAP",):
        return "phase"
    return next((_PREFIXES[word[:2]] for word in words if word[:2] in _PREFIXES), None)


def _first_plausible(header: Header) -> float | None:
    return next((time for time in header.numbers("InversionTimes") if plausible(time)), None)


def _trigger_delay(header: Header) -> float | None:
    if not called_mp2rage(header) or plausible(header.number("InversionTime")) or _first_plausible(header):
        return None
    return plausible(header.number("TriggerTime") or header.number("NominalCardiacTriggerDelayTime"))


def _real_or_imaginary(header: Header) -> bool | None:
    return (_image_type(header) or _private_type(header)) in {"real", "imag"} or None


def _look_locker(header: Header) -> str | None:
    words = header.words("ImageType") + header.words("PulseSequenceName")
    if not any("LOOKLOCKER" in word.replace("_", "").replace("-", "").replace(" ", "") for word in words):
        return None
    return "Look-Locker: several readouts follow one inversion, which measures T1* and not T1"


def _no_scale(header: Header) -> str | None:
    if header.number(SCALE_SLOPE) is not None:
        return None
    return (
        "Philips scale slope (2005,100E) is absent, perhaps removed with the private tags: "
        "intensities of different inversion times may not be comparable"
    )


def _radian(header: Header) -> float | None:
    return 1.0 if header.number(SCALE_SLOPE) is not None and header.number("RescaleIntercept") else None


def _b1_map(header: Header) -> TransmitImage | None:
    words = {*header.words("ImageType")[2:], *header.words("FrameType")[2:], *header.words(IMAGE_TYPE)}
    return "B1 map" if words & _B1_MAP else None


def _several_lines(header: Header) -> bool | None:
    return (header.number(EPI_FACTOR) or 1) > 1 or None


PHILIPS = Vendor(
    name="Philips",
    manufacturers=("philips",),
    component=(
        Rule("rordenlab/dcm2niix#170: classic data say M_IR, R_IR, I_IR or PHASE MAP", _image_type),
        Rule("rordenlab/dcm2niix#170: private (2005,1011) is M, P, R or I", _private_type),
    ),
    inversion_time=(
        # InversionTimes reads 0\1.79e308, and 0 where no inversion was played: neither is a time.
        Rule("rordenlab/dcm2niix#385: implausible values in (0018,9079)", _first_plausible),
        # Two delays of a simulated cardiac trigger in one scan; believed only where no field of its own has the time.
        Rule("rordenlab/dcm2niix#408: MP2RAGE patch with the inversion time as trigger time", _trigger_delay),
    ),
    shared_inversion=(
        Rule("rordenlab/dcm2niix#189: MP2RAGE is one scan of real and imaginary images", _real_or_imaginary),
    ),
    refusal=(Rule("rordenlab/dcm2niix#461: Look-Locker readouts stored as phases of one inversion", _look_locker),),
    phase_unit=(
        # precise scaling: (stored RS + RI) / (RS SS) = stored / 651.74 - 3.14
        Rule("Chenevert 2014, doi:10.1016/j.tranon.2014.03.001 and dcm2niix -p y: phase in radians", _radian),
    ),
    transmit=(
        # The words follow those of B0 maps, which are B0 and B0 MAP.
        Rule("rordenlab/dcm2niix#743: B1 map in % beside both images; #455: words of computed maps", _b1_map),
    ),
    echo_planar=(Rule("Philips' private dictionary, (2001,1013) EPI Factor", _several_lines),),
    caveat=(
        Rule(
            "Chenevert 2014, doi:10.1016/j.tranon.2014.03.001: display values differ from signal by scan",
            _no_scale,
        ),
    ),
)
