"""DICOM files read into slices: every attribute that conversion needs, and no pixel."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydicom import config, dcmread
from pydicom.uid import UID

from bids_t1.dicom.header import DAMAGE, Header, frame_count
from bids_t1.dicom.reading.files import Bounded, TooLargeError, open_plain, unpacked_limit
from bids_t1.dicom.reading.identity import Identity, identity_of
from bids_t1.dicom.reading.plain import read_plain
from bids_t1.dicom.reading.privacy import personal_words
from bids_t1.dicom.vendors import STANDARD, Component, Product, Readouts, TransmitImage, first, vendor_of
from bids_t1.dicom.vendors.philips import SCALE_SLOPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from pydicom.dataset import Dataset

    from bids_t1.dicom.vendors import Vendor

_MR_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image
    }
)

_KNOWN_UID = re.compile(r"1\.2\.840\.(10008\.[0-9.]{1,20}|113619\.5\.2)")

NO_IMAGE = "no MR image"
"""Beginning of what is said of files of other kinds, which are normal in an examination."""

_GAUSS_PER_TESLA = 10_000.0
_STRONGEST_FIELD = 30.0
"""A larger MagneticFieldStrength is in gauss, as old systems wrote it [T]."""

_MULTI_FRAME = frozenset({"1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"})
"""Objects whose frames are described one by one (DICOM PS3.3, A.36 and A.70)."""

_SCALING = ("RescaleSlope", "RescaleIntercept", SCALE_SLOPE)
"""What a stored value stands for."""

_SIZES = frozenset({8, 16, 32})
"""Bits that a pixel may take; old files that pack 12 bits are read in different ways."""

_MOST_PIXELS = 2**31
"""Pixels of one file that are still read [byte]."""

_ELEMENT_HEADER = {False: 12, True: 8}
"""Bytes of tag, VR and length in front of the pixels, with explicit and implicit VR (DICOM PS3.5, 7.1)."""

Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesKey:
    """One series as the scanner numbered it."""

    uid: str
    number: int | None
    description: str
    protocol: str

    def is_called(self, pattern: re.Pattern[str]) -> bool:
        """Tell whether its description or its protocol has a word in it."""
        return any(pattern.search(name) for name in (self.description, self.protocol))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times [s] and angles [degree] of one image plane, and when it was acquired; None where nothing tells."""

    inversion_time: float | None
    repetition_time: float | None
    echo_time: float | None
    flip_angle: float | None
    """Of the excitation."""

    saturation_angle: float | None
    """Nominal flip angle of the pulse whose achieved angle the image shows."""

    reference_voltage: float | None
    """In proportion to which nominal flip angles are played [V]."""

    repetition_times: tuple[float, ...]
    """Delays between excitations that alternate; empty where they do not, or are not told."""

    echo_number: int | None
    trigger_time: float | None
    """As in the header [ms]."""

    temporal_position: int | None
    acquired: tuple[str, int, int]
    """Acquisition time, acquisition number, instance number: an order, never written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the pixels of one image plane lie, as its header says; lengths in mm."""

    matrix: tuple[int, int]
    spacing: Vector
    orientation: Vector
    position: Vector
    location: float | None
    """Where the slice lies, as the header says it a second time: along some axis [mm], or its number in the stack."""


Scaling = tuple[float, float]
"""Slope and intercept of one slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalings:
    """What a step of stored values is worth, as a header says it in several places."""

    rescale: Scaling
    mapped: Scaling
    """By its real world values; `rescale` where it has none."""

    signal: float | None
    """Factor by which Philips tells the signal beside what its console displays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What stored values stand for, beside their slope and intercept; None where nothing tells."""

    zero_level: float | None
    uni_scaling: str | None
    phase_unit: float | None
    gain: str | None
    caveat: str | None
    scalings: Scalings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """One image plane: a classic file, or a frame of an enhanced one; equal to itself only."""

    path: Path
    frame: int | None
    """Index of the frame in an enhanced file, None in a classic one."""

    series: SeriesKey
    vendor: str
    component: Component
    derived: bool
    """Computed from other images: a map, a projection, a reformatted plane."""

    product: Product | None
    """What the scanner computed, where this is no readout."""

    readouts: Readouts | None
    """What the vendor's protocol says of the readouts after one inversion."""

    shared_inversion: bool
    """Something hints that several readouts follow one inversion."""

    transmit: TransmitImage | None
    """Which image of a transmit field this is, where the scanner says so."""

    refusal: str | None
    """Why a vendor rule says that this is no separate inversion recovery."""

    timing: Timing
    place: Place
    values: Values
    b_value: float
    """Diffusion weighting [s/mm2]."""

    field_strength: float | None
    """Static field [T]."""

    sequence: frozenset[str]
    """Scanning sequence codes: SE, GR, EP, IR."""

    sequence_name: str
    dimensions: str
    """2D or 3D."""

    reconstruction: tuple[str, ...]
    """Words of the image type that name the reconstruction: ND, NORM, DIS2D, ..."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """What one DICOM file holds."""

    series: SeriesKey
    slices: tuple[Slice, ...]
    identifying: frozenset[str]
    """Words of the header that name a person, an examination or a place."""

    identity: Identity

    odd: frozenset[str] = frozenset()
    """Attributes that were ignored because their values are no finite numbers, or break their own kind."""

    problem: str | None = None
    """Why the file holds no usable image."""


class UnreadableError(Exception):
    """A file that begins as DICOM and cannot be read further."""


def read_file(path: Path) -> FileContent:
    """Read the header of one DICOM file, up to its pixels.

    Raises
    ------
    UnreadableError
        If the file is damaged, cut short, or its content is not available.
    """
    try:
        with quiet(), open_plain(path) as file:
            plain = read_plain(file, pixels=False)
            if plain is not None:
                return _content(path, plain.dataset, plain.n_rest)
            dataset = dcmread(cast("IO[bytes]", Bounded(file)), force=True, stop_before_pixels=True)
            return _content(path, dataset, _rest(file, unpacked_limit(path)))
    except TooLargeError as error:
        raise UnreadableError(error.args[0]) from error
    except EOFError as error:
        raise UnreadableError("cut short") from error
    except DAMAGE as error:
        raise UnreadableError("damaged") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom about odd values: what matters is checked here, and values may name the patient.

    Within itself it costs nothing: to set a level makes every logger forget what it knows.
    """
    logger = logging.getLogger("pydicom")
    level, mode = logger.level, config.settings.reading_validation_mode
    if (level, mode) == (logging.CRITICAL, config.IGNORE):
        yield
        return
    logger.setLevel(logging.CRITICAL)
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        config.settings.reading_validation_mode = mode


def _rest(file: IO[bytes], limit: int) -> int:
    """Count the bytes from here to the end, as pydicom stops before the pixels; the end has a gzip's checksum."""
    total = 0
    while chunk := file.read(1 << 20):
        total += len(chunk)
        if total > limit:
            raise TooLargeError("unpacks to far more than an image")
    return total


def _content(path: Path, dataset: Dataset, n_pixel_bytes: int) -> FileContent:
    header = Header(dataset)
    if not header.text("SOPClassUID") or not header.text("SeriesInstanceUID"):
        raise UnreadableError("cut short before the series is named")
    series = SeriesKey(
        uid=header.text("SeriesInstanceUID"),
        number=_whole(header.number("SeriesNumber")),
        description=header.text("SeriesDescription"),
        protocol=header.text("ProtocolName"),
    )
    identifying, identity = personal_words(header), identity_of(header)
    problem = _problem(header, dataset, n_pixel_bytes)
    if problem is not None:
        return FileContent(series, (), identifying, identity, frozenset(header.odd), problem)
    n_frames = frame_count(dataset)
    headers = [header] if n_frames is None else [Header(dataset, frame) for frame in range(n_frames)]
    problem = next(filter(None, map(_problem_of_scaling, headers)), None)
    if problem is not None:
        return FileContent(series, (), identifying, identity, frozenset(header.odd), problem)
    slices = tuple(_slice(path, one, series) for one in headers)
    odd = frozenset(header.odd).union(*(one.odd for one in headers))
    return FileContent(series, slices, identifying, identity, odd)


def _problem(header: Header, dataset: Dataset, n_pixel_bytes: int) -> str | None:
    """Say why a file holds no image that can be used, or None."""
    if header.text("SOPClassUID") not in _MR_CLASSES:
        kind = UID(header.text("SOPClassUID"))
        return f"{NO_IMAGE} ({kind.name if kind.name != str(kind) else 'unknown kind'})"
    return _problem_of_layout(header, dataset) or _problem_of_pixels(header, _syntax(dataset), n_pixel_bytes)


def _syntax(dataset: Dataset) -> UID | None:
    """Return the transfer syntax; None where none is given, as pydicom then finds it out."""
    return getattr(dataset, "file_meta", {}).get("TransferSyntaxUID") or None


def _problem_of_layout(header: Header, dataset: Dataset) -> str | None:
    """Say what is wrong with how a file describes its pixels."""
    syntax = _syntax(dataset)
    if syntax is not None and not syntax.is_transfer_syntax:
        return f"its pixels are encoded in a way that is not of DICOM (transfer syntax {_of_standard(syntax)})"
    return _problem_of_samples(header) or _problem_of_frames(header, dataset)


def _problem_of_samples(header: Header) -> str | None:
    bits, samples = header.number("BitsAllocated"), header.number("SamplesPerPixel")
    if bits and bits not in _SIZES:
        return f"BitsAllocated is {bits:g}; expected 8, 16 or 32"
    if samples is not None and samples != 1:
        return f"SamplesPerPixel is {samples:g}, as of a colour image; expected 1"
    return None


def _problem_of_frames(header: Header, dataset: Dataset) -> str | None:
    told, described = header.number("NumberOfFrames") or 1, frame_count(dataset)
    if described is not None and told != described:
        return f"NumberOfFrames is {told:g}, but {described} frames are described"
    if described is None and header.text("SOPClassUID") in _MULTI_FRAME:
        return "its frames are not described (PerFrameFunctionalGroupsSequence is missing)"
    return None


def _problem_of_scaling(header: Header) -> str | None:
    """Say whether it is said, and not understood, what a stored value stands for."""
    for key in _SCALING:
        number = header.number(key)
        if number is None and header.value(key) is not None:
            return f"{key} is no finite number"
        if number == 0 and key != "RescaleIntercept":
            return f"{key} is 0; expected what a step of stored values stands for"
    return None


def _of_standard(uid: UID) -> str:
    """Return an identifier if it is one of the standard, or of GE's old files, which names nobody."""
    return str(uid) if _KNOWN_UID.fullmatch(uid) else "unknown"


def _problem_of_pixels(header: Header, syntax: UID | None, n_pixel_bytes: int) -> str | None:
    """Say whether pixels are missing, or more than can be an image."""
    rows, columns, bits = (header.number(key) for key in ("Rows", "Columns", "BitsAllocated"))
    if not rows or not columns or not bits:
        return "no pixel data"
    size = int(rows * columns * bits / 8) * int(header.number("NumberOfFrames") or 1)
    if size > _MOST_PIXELS:
        return f"{size / 2**30:.1f} GiB of pixels in one file; expected at most {_MOST_PIXELS / 2**30:.0f} GiB"
    stored = header.number("BitsStored")
    outside = stored is not None and not 0 < stored <= bits
    return _problem_of_amount(size, bits, syntax, n_pixel_bytes) or (
        f"BitsStored is {stored:g}; expected 1 to {bits:g}, the bits allocated" if outside else None
    )


def _problem_of_amount(size: int, bits: float, syntax: UID | None, n_bytes: int) -> str | None:
    """Say whether there are fewer bytes after the header than pixels of this size take, or a multiple of these."""
    n_bytes -= _ELEMENT_HEADER[syntax is not None and syntax.is_implicit_VR]
    expected = 1 if syntax is not None and syntax.is_compressed else size
    if n_bytes < expected:
        return "no pixel data" if n_bytes <= 0 else f"pixel data cut short ({n_bytes} of {expected} bytes)"
    if expected == size and n_bytes in {2 * size, 4 * size}:
        return f"{n_bytes} bytes of pixels; expected {size} with {bits:g} bits allocated for each"
    return None


def _slice(path: Path, header: Header, series: SeriesKey) -> Slice:
    vendor = vendor_of(header)
    image_type = header.words("FrameType") or header.words("ImageType")
    component = first((*vendor.component, *STANDARD.component), header) or "mag"
    product = first((*vendor.product, *STANDARD.product), header)
    words = {*image_type[2:], *(first(vendor.words, header) or ())}
    hint = first((*vendor.shared_inversion, *STANDARD.shared_inversion), header)
    return Slice(
        path=path,
        frame=header.frame,
        series=series,
        vendor=vendor.name,
        component=component,
        derived=_is_derived(image_type),
        product=product,
        transmit=first(vendor.transmit, header),
        readouts=first(vendor.readouts, header),
        shared_inversion=hint is True,
        refusal=first(vendor.refusal, header),
        timing=_timing(header, vendor),
        place=_place(header),
        values=Values(
            zero_level=first(vendor.zero_level, header) if component in {"real", "imag"} else None,
            phase_unit=first(vendor.phase_unit, header) if component == "phase" else None,
            uni_scaling=first(vendor.uni_scaling, header) if product == "UNIT1" else None,
            gain=first(vendor.gain, header),
            caveat=first(vendor.caveat, header),
            scalings=_scalings(header, vendor),
        ),
        b_value=header.number("DiffusionBValue") or 0.0,
        field_strength=_tesla(header.number("MagneticFieldStrength")),
        sequence=_sequence(header, vendor),
        sequence_name=header.text("SequenceName") or header.text("PulseSequenceName"),
        dimensions=header.text("MRAcquisitionType").upper(),
        reconstruction=tuple(sorted(words & {"ND", "NORM", "DIS2D", "DIS3D", "FIL", "FM"})),
    )


def _scalings(header: Header, vendor: Vendor) -> Scalings:
    rescale = header.number("RescaleSlope") or 1.0, header.number("RescaleIntercept") or 0.0
    (mapping, *_) = [*map(Header, header.value("RealWorldValueMappingSequence") or ()), header]
    slope = mapping.number("RealWorldValueSlope")
    return Scalings(
        rescale=rescale,
        mapped=(slope, mapping.number("RealWorldValueIntercept") or 0.0) if slope else rescale,
        signal=header.number(SCALE_SLOPE) if vendor.name == "Philips" else None,
    )


def _timing(header: Header, vendor: Vendor) -> Timing:
    return Timing(
        inversion_time=_seconds(first((*vendor.inversion_time, *STANDARD.inversion_time), header)),
        repetition_time=_seconds(header.number("RepetitionTime")),
        echo_time=_seconds(header.number("EchoTime") or header.number("EffectiveEchoTime")),
        flip_angle=header.number("FlipAngle") or None,
        saturation_angle=first(vendor.saturation_angle, header),
        reference_voltage=first(vendor.reference_voltage, header),
        repetition_times=first(vendor.repetition_times, header) or (),
        echo_number=_whole(header.number("EchoNumbers")),
        trigger_time=header.number("TriggerTime") or header.number("NominalCardiacTriggerDelayTime"),
        temporal_position=_whole(header.number("TemporalPositionIdentifier") or header.number("TemporalPositionIndex")),
        acquired=_order(header),
    )


def _place(header: Header) -> Place:
    return Place(
        matrix=(int(header.number("Rows") or 0), int(header.number("Columns") or 0)),
        spacing=header.numbers("PixelSpacing"),
        orientation=header.numbers("ImageOrientationPatient"),
        position=header.numbers("ImagePositionPatient"),
        location=header.number("SliceLocation") or header.number("InStackPositionNumber"),
    )


def _is_derived(image_type: tuple[str, ...]) -> bool:
    made_of_others = {
        "MPR",
        "PROJECTION IMAGE",
        "MIP",
        "T1 MAP",
        "T2 MAP",
        "T2_STAR MAP",
        "MEAN",
        "ADC",
        "SUB",
        "SWI",
        "MNIP",
        "B0",
        "B0 MAP",
    }
    return image_type[:2] == ("DERIVED", "SECONDARY") or bool(made_of_others & set(image_type))


def _sequence(header: Header, vendor: Vendor) -> frozenset[str]:
    """Return the sequence codes of a classic header, or the same codes from the enhanced attributes."""
    codes = set(header.words("ScanningSequence"))
    pulses = header.text("EchoPulseSequence").upper()
    codes |= {"SPIN": {"SE"}, "GRADIENT": {"GR"}, "BOTH": {"SE", "GR"}}.get(pulses, set())
    if header.text("EchoPlanarPulseSequence").upper() == "YES" or first(vendor.echo_planar, header):
        codes.add("EP")
    if header.text("InversionRecovery").upper() == "YES":
        codes.add("IR")
    return frozenset(codes - {"RM", "NONE"})


def _order(header: Header) -> tuple[str, int, int]:
    time = header.text("AcquisitionDateTime") or header.text("FrameAcquisitionDateTime")
    if not time and header.text("AcquisitionTime"):
        time = header.text("AcquisitionDate") + header.text("AcquisitionTime")
    number = _whole(header.number("AcquisitionNumber") or header.number("FrameAcquisitionNumber"))
    return time, number or 0, _whole(header.number("InstanceNumber")) or 0


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _seconds(milliseconds: float | None) -> float | None:
    """Convert ms to s, to 0.1 us; zero and negative values stand for unknown."""
    return round(milliseconds / 1000, 7) if milliseconds is not None and milliseconds > 0 else None


def _tesla(field: float | None) -> float | None:
    if not field:
        return None
    return field / _GAUSS_PER_TESLA if field > _STRONGEST_FIELD else field
