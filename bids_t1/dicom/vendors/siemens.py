"""Habits of Siemens scanners."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from bids_t1.dicom.header import Private
from bids_t1.dicom.vendors import names
from bids_t1.dicom.vendors.rule import Component, Product, Readouts, Rule, TransmitImage, Vendor
from bids_t1.dicom.vendors.siemens_protocol import plays_b1_map, plays_compressed_sensing, read_protocol

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header
    from bids_t1.dicom.vendors.siemens_protocol import SiemensProtocol

_HALF_RANGE = 4096.0
"""Phase images run from -4096 to 4094 after rescaling (slope 2, intercept -4096)."""

XA_IMAGE_TYPE = Private(0x0021, "SIEMENS MR SDI 02", 0x75)
"""Private image type of an XA frame, as VE had it in the public one."""

XA_SEQUENCE_NAME = Private(0x0021, "SIEMENS MR SDI 02", 0x77)
"""Private sequence name of an XA frame."""

_UNI = frozenset({"UNI", "UNIFORM"})
"""The UNI image in the private and in the public image type of XA."""

_TWELVE_BITS = 12

_PAIR = 2

_ROUNDED_SHOTS = 0.5
"""A turbo factor is a whole number, and partial Fourier may ask for a fraction of an excitation."""

_FLIP_ANGLES = "FLIP ANGLE MAP"
"""Word of the image type, or the image comment, of a map of flip angles."""

_TURBO = "tfl2d"
"""In the sequence name of turbo gradient echoes of single slices, which tfl_b1map is made of."""

_LARGEST_EXCITATION = 30.0
"""A turbo gradient echo excites with less than this, and the pulse before it that is measured turns more [degree]."""

_COMPONENTS: dict[str, Component] = {"M": "mag", "P": "phase", "R": "real", "I": "imag"}


def _frame_type(header: Header) -> Component | None:
    return next((_COMPONENTS[word] for word in header.words(XA_IMAGE_TYPE)[2:3] if word in _COMPONENTS), None)


def _sequence_names(header: Header) -> list[str]:
    called = (header.text("SequenceName"), header.text("PulseSequenceName"), header.text(XA_SEQUENCE_NAME))
    return [name.lstrip("*").lower() for name in called]


def _single_shot_inversion(header: Header) -> str | None:
    if not any(name.startswith("tfi2d1") for name in _sequence_names(header)):
        return None
    return (
        "Look-Locker type: single-shot SSFP readouts (sequence tfi2d1), as in MOLLI; "
        "several follow one inversion, which measures T1* and not T1"
    )


def _uni(header: Header) -> Product | None:
    words = header.words("ImageType") + header.words("FrameType") + header.words(XA_IMAGE_TYPE)
    described = f"{header.text('SeriesDescription')} {header.text('ImageComments')}"
    denoised = any(word == "DEN" or word.startswith("DENOIS") for word in words) or names.DENOISED.search(described)
    if not _UNI & set(words) and not (denoised and "DERIVED" in words and names.MP2RAGE.search(described)):
        return None
    return "denoised UNIT1" if denoised else "UNIT1"


def _readouts(header: Header) -> Readouts | None:
    protocol = read_protocol(header)
    if protocol is None or not protocol.inversion_times:
        return None
    if protocol.n_readouts == 1:
        return Readouts(inversion_times=protocol.inversion_times)
    shots, caveats = _shots(protocol, compressed=plays_compressed_sensing(header))
    angles = protocol.flip_angles
    return Readouts(
        inversion_times=protocol.inversion_times,
        flip_angles=angles if len(angles) == protocol.n_readouts else (),
        excitation_time=_excitation_time(protocol, shots),
        shots=shots,
        denoised=protocol.denoised,
        caveats=caveats,
    )


def _shots(protocol: SiemensProtocol, *, compressed: bool) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return the excitations before and after the k-space centre, or None and why they are not known."""
    n, share = protocol.partitions, protocol.slice_partial_fourier
    if not n or share is None:
        return None, ()
    if compressed:
        caveat = (
            "the sequence is one of compressed sensing by its name: NumberShots is left open. Of n excitations "
            "that are played in a readout, n/2 come before the k-space centre and n/2 after it"
        )
        return None, (caveat,)
    turbo = protocol.turbo_factor
    if turbo is not None and abs(turbo - n * share) > _ROUNDED_SHOTS:
        caveat = (
            f"the protocol in the header has {n} partitions, slice partial Fourier {share:g} and turbo factor {turbo}; "
            f"expected a turbo factor of {n * share:g}. NumberShots is left open, because a wrong one changes T1"
        )
        return None, (caveat,)
    if not protocol.linear:
        caveat = (
            "the protocol in the header does not play the partitions in linear order: NumberShots is left open, "
            "because it is not known when the k-space centre comes"
        )
        return None, (caveat,)
    return (n * (share - 0.5), n / 2), ()


def _excitation_time(protocol: SiemensProtocol, shots: tuple[float, float] | None) -> float | None:
    """Return the echo spacing [s], if the readouts have room for it before, between and after each other."""
    spacing, times = protocol.echo_spacing, protocol.inversion_times
    if spacing is None or shots is None:
        return None
    gaps = [times[0] - shots[0] * spacing]
    gaps += [later - earlier - sum(shots) * spacing for earlier, later in pairwise(times)]
    return spacing if min(gaps) >= 0 else None


def _image_type(header: Header) -> tuple[str, ...] | None:
    return header.words(XA_IMAGE_TYPE)[2:] or None


def _uni_scaling(header: Header) -> str | None:
    if header.number("BitsStored") != _TWELVE_BITS or header.number("PixelRepresentation"):
        return None
    scaled = header.number("RescaleIntercept") or (header.number("RescaleSlope") or 1.0) != 1.0
    return None if scaled else "0..4095"


def _middle_of_the_range(header: Header) -> float | None:
    if header.number("RescaleIntercept") or header.number("PixelRepresentation"):
        return None
    bits = header.number("BitsStored")
    return None if bits is None else 2.0 ** (bits - 1)


def _phase(header: Header) -> float | None:
    return math.pi / _HALF_RANGE if header.number("RescaleIntercept") == -_HALF_RANGE else None


def _flip_angle_image(header: Header) -> TransmitImage | None:
    words = {*header.words("ImageType"), *header.words("FrameType"), *header.words(XA_IMAGE_TYPE)}
    if _FLIP_ANGLES in words or _FLIP_ANGLES in header.text("ImageComments").upper():
        return "flip angles"
    called = [header.text(key) for key in ("SeriesDescription", "ProtocolName", "PulseSequenceName")]
    turbo = any(_TURBO in name for name in _sequence_names(header))
    if any(names.TFL_B1_MAP.search(name) for name in called) or (turbo and plays_b1_map(header)):
        return "anatomy of flip angles"
    return None


def _saturation_angle(header: Header) -> float | None:
    angle = header.number("FlipAngle")
    return angle if angle is not None and angle >= _LARGEST_EXCITATION else None


def _alternating_times(header: Header) -> tuple[float, ...] | None:
    called = (header.text("SeriesDescription"), header.text("ProtocolName"))
    protocol = read_protocol(header) if any(names.AFI.search(name) for name in called) else None
    return None if protocol is None or len(protocol.repetition_times) < _PAIR else protocol.repetition_times


def _reference_voltage(header: Header) -> float | None:
    protocol = read_protocol(header)
    return None if protocol is None else protocol.reference_voltage


SIEMENS = Vendor(
    name="Siemens",
    manufacturers=("siemens",),
    component=(Rule("rordenlab/dcm2niix#881: (0021,1175) of the frames of XA", _frame_type),),
    refusal=(
        Rule(
            "rordenlab/dcm2niix#845: tfi2d1_109 of MyoMaps, also used on brains; MOLLI family",
            _single_shot_inversion,
        ),
    ),
    zero_level=(
        # Phase, real and imaginary images are unsigned with zero in the middle of the stored range.
        Rule(
            "rordenlab/dcm2niix#406: 12 bit, slope 2 and intercept -4096, so stored 2048 is zero",
            _middle_of_the_range,
        ),
    ),
    product=(
        # UNI-DEN has the same image type as UNI in some versions: its description tells.
        Rule("rordenlab/dcm2niix#675: ImageType UNI, on XA UNIFORM; bids-specification#1890: UNI-DEN", _uni),
    ),
    readouts=(Rule("rordenlab/dcm2niix#1031: contrasts and partitions of the protocol in the header", _readouts),),
    transmit=(
        # Two series of one scan: an ordinary image, and ten times the achieved angle in degrees.
        Rule("hMRI-group/hMRI-toolbox hmri_run_b1map.m; image type FLIP ANGLE MAP of tfl_b1map", _flip_angle_image),
    ),
    saturation_angle=(
        # VB has the angle of the saturation there; later versions that of the excitation, and the other one nowhere.
        Rule("spinal-cord-7t/coil-qc-code#18: what (0018,1314) of a flip angle map means", _saturation_angle),
    ),
    repetition_times=(
        Rule("rordenlab/dcm2niix#918, hMRI-group/hMRI-toolbox#62: alTR has both delays of AFI", _alternating_times),
    ),
    reference_voltage=(
        Rule("TxRefAmp of rordenlab/dcm2niix: flReferenceAmplitude of the first nucleus", _reference_voltage),
    ),
    words=(Rule("rordenlab/dcm2niix#675 and #881: ImageTypeText, (0021,1175) of XA", _image_type),),
    uni_scaling=(
        Rule("JosePMarques/MP2RAGE-related-scripts#1: S from -1/2 to 1/2 is stored as 0..4095", _uni_scaling),
    ),
    phase_unit=(Rule("rordenlab/dcm2niix#406, MRtrix3/mrtrix3#3009: -4096 .. 4094 stand for -pi .. pi", _phase),),
)
