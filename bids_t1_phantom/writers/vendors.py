"""What each vendor writes into its DICOM files of any sequence, each habit with its source; see also `habits`.

Sources named "hazen" and "tomato" are headers of real files that were read for this (never copied):
GSTT-CSC/hazen ce5426a (NIST phantom, Philips Ingenia and GE Optima MR450w) and MRKonrad/tomato abe020f
(Siemens Prisma). "dcm2niix#406" is github.com/rordenlab/dcm2niix/issues/406.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from pydicom import Dataset

    from bids_t1_phantom.sequences.scan import Timing

LETTERS = {"mag": "M", "phase": "P", "real": "R", "signed": "R", "imag": "I"}
LARGEST_DOUBLE = 1.7976931348623157e308
"""What Philips writes where it has no second inversion time: github.com/rordenlab/dcm2niix/issues/385."""

COMPONENTS = {"mag": "MAGNITUDE", "phase": "PHASE", "real": "REAL", "signed": "REAL", "imag": "IMAGINARY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One volume as a scanner stores it: integers, and how to read them."""

    pixels: NDArray[np.int64]
    """Stored values, array (x, y, z)."""

    bits: int
    signed: bool = False
    slope: float | None = None
    """Rescale slope (0028,1053); None where the vendor writes no rescale."""

    intercept: float = 0.0
    """Rescale intercept (0028,1052)."""

    scale_slope: float = 1.0
    """Philips only: value = (pixel - scale intercept) / scale slope."""

    scale_intercept: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One slice of one image, with what its header says."""

    pixels: NDArray[np.int64]
    """Stored values, array (row, column)."""

    stored: Stored
    part: str
    """mag, phase, real, imag or signed; uni, denoised or t1 of images that are derived."""

    slice_number: int
    """From 1, foot to head."""

    n_slices: int
    position: tuple[float, float, float]
    """Centre of the first pixel, left-posterior-superior [mm]."""

    timing: Timing


Words = str | list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """What one vendor writes into the files of one sequence: a row of `habits.HABITS`."""

    vendor: Vendor
    scanning_sequence: Words
    variant: Words
    sequence: str
    """Name of the sequence, wherever this vendor has it."""

    parts: Mapping[str, tuple[str, ...]]
    """What is stored for each choice of images."""

    derived: tuple[str, ...] = ()
    """Images that the scanner makes of the others, all series of their own."""

    kind: str = "ND"
    """Last word of the image type."""

    image_types: Mapping[str, list[str]] = field(default_factory=dict)
    """Of parts whose image type is not the usual one."""

    comments: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """Of the series that begin with a part, in terms of protocol, name of the sequence, and number of the image."""

    description: str = "{protocol}"
    """Of all other series."""

    options: str | None = None
    """ScanOptions, where the sequence has any."""

    software: Words | None = None
    """Where it is not that of the vendor's other files."""

    no_inversion_times: bool = False
    """Whether inversion times are written that are none."""

    private_protocol: Callable[[Any], str] | None = None
    """What is hidden in the private protocol, from the scan."""

    def describe(self, part: str, *, protocol: str, name: str, number: int) -> str:
        """Return the description of the series that begins with a part."""
        return self.descriptions.get(part, self.description).format(protocol=protocol, name=name, number=number)


class Vendor(Protocol):
    """One vendor's habits."""

    manufacturer: ClassVar[str]
    model: ClassVar[str]
    software: ClassVar[str | list[str]]
    enhanced_software: ClassVar[str | list[str]]
    series_step: ClassVar[int]
    """Distance between series numbers."""

    parts_share_series: ClassVar[bool]
    scales_volumes: ClassVar[bool]
    """Whether every volume has a scale of its own."""

    repeats_cycles: ClassVar[bool]
    """Whether the repetition time (0018,0080) is that of a whole cycle, where there are cycles."""

    def store(self, values: NDArray[np.float32], part: str) -> Stored:
        """Turn one volume (x, y, z) into integers; phase is in rad."""

    def stamp(self, dataset: Dataset, frame: Frame, habit: Habit) -> None:
        """Write the vendor's attributes of a classic, single-frame image."""

    def stamp_frame(self, item: Dataset, frame: Frame, habit: Habit) -> None:
        """Write the vendor's attributes of one frame of an enhanced image."""


class Siemens:
    """Siemens: classic as in VE11, enhanced as in XA."""

    manufacturer: ClassVar[str] = "SIEMENS"
    model: ClassVar[str] = "Prisma"
    software: ClassVar[str | list[str]] = "syngo MR E11"
    enhanced_software: ClassVar[str | list[str]] = "syngo MR XA30"
    series_step: ClassVar[int] = 1
    # Magnitude and phase are series of their own, as in every Siemens study seen; no written source is known.
    parts_share_series: ClassVar[bool] = False
    scales_volumes: ClassVar[bool] = False
    # rordenlab/dcm2niix pull request 1031; the others do with MP2RAGE as in their MPRAGE.
    repeats_cycles: ClassVar[bool] = True

    def store(self, values: NDArray[np.float32], part: str) -> Stored:
        """12 bits; phase is -pi..pi as 0..4095, which slope 2 and intercept -4096 take to -4096..4094.

        Source: dcm2niix#406 and github.com/CMRR-C2P/MB/issues/238. That signed real images use
        the same offset is an assumption: no public real image was found. UNI of -1/2..1/2 is 0..4095, T1 is in ms,
        and the angle of a pulse in tenths of a degree.
        """
        match part:
            case "mag" | "angle":
                return Stored(pixels=integers(values, 0, 4095), bits=12)
            case "uni" | "denoised":
                return Stored(pixels=integers(4095 * (values + 0.5), 0, 4095), bits=12)
            case "t1":
                return Stored(pixels=integers(1000 * values, 0, 4095), bits=12)
        scaled = values * (4096 / np.pi) if part == "phase" else values
        return Stored(pixels=integers((scaled + 4096) / 2, 0, 4095), bits=12, slope=2.0, intercept=-4096.0)

    def stamp(self, dataset: Dataset, frame: Frame, habit: Habit) -> None:
        """Image type, sequence name and comment, as in tomato's headers."""
        dataset.ImageType = self._image_type(frame, habit)
        dataset.SequenceName = habit.sequence
        # The comment of tomato's MOLLI reads "TIeff 100 ms"; a spin echo has none but a user's.
        dataset.ImageComments = habit.comments.get(frame.part, "phantom")
        if frame.stored.slope is not None:
            dataset.RescaleType = "US"

    def stamp_frame(self, item: Dataset, frame: Frame, habit: Habit) -> None:
        """Write what XA moved: VE11's image type to (0021,1175), sequence name to 1177, TI to 1189.

        Source: dcm2niix#881; icometrix/dicom2nifti d68253e, siemens_multiframe.
        """
        block = item.private_block(0x0021, "SIEMENS MR SDI 02", create=True)
        block.add_new(0x75, "CS", self._image_type(frame, habit))
        block.add_new(0x77, "LO", habit.sequence)
        if frame.timing.inversion_time is not None:
            block.add_new(0x89, "FD", frame.timing.inversion_time * 1000)

    @staticmethod
    def _image_type(frame: Frame, habit: Habit) -> list[str]:
        return habit.image_types.get(frame.part) or ["ORIGINAL", "PRIMARY", LETTERS[frame.part], habit.kind]


class Philips:
    """Philips: every volume has a scale of its own, so raw integers of two TIs are not comparable."""

    manufacturer: ClassVar[str] = "Philips Medical Systems"
    model: ClassVar[str] = "Ingenia"
    software: ClassVar[str | list[str]] = ["5.3.1", "5.3.1.1"]
    enhanced_software: ClassVar[str | list[str]] = ["5.7.1", "5.7.1.1"]
    series_step: ClassVar[int] = 100
    # All parts in one series: dcm2niix#189.
    parts_share_series: ClassVar[bool] = True
    scales_volumes: ClassVar[bool] = True
    repeats_cycles: ClassVar[bool] = False

    def store(self, values: NDArray[np.float32], part: str) -> Stored:
        """Scale to 12 bits: displayed = pixel RS + RI, measured = displayed / (RS SS); all differ per volume.

        Source: dcm2niix's Philips/README.md, "Image Scaling"; hazen has RS 1.00 to 1.85 and SS 0.10 to
        0.16 in one experiment. Phase, with RS 1.53455, RI -3142 and SS 651.74: dcm2niix#463.
        """
        if part == "phase":
            slope, intercept, scale = 6284 / 4095, -3142.0, 4095 / (2 * np.pi)
        else:
            # The whole 12 bits for each volume, and a displayed range that follows its brightness.
            room = 4095 if part == "mag" else 2047
            scale = float(np.float32(room / max(1.02 * float(np.max(np.abs(values))), 1e-6)))
            slope = round(float(np.max(np.abs(values))) / 1000 + 0.5, 2) * 5 / 4.095
            intercept = 0.0 if part == "mag" else -2048 * slope
        offset = -intercept / slope
        pixels = integers(values * scale + offset, 0, 4095)
        return Stored(
            pixels=pixels,
            bits=12,
            slope=slope,
            intercept=intercept,
            scale_slope=scale,
            scale_intercept=offset,
        )

    def stamp(self, dataset: Dataset, frame: Frame, habit: Habit) -> None:
        """Image type such as M_IR, and the private scale; as in hazen's headers.

        Source of the inversion time that is no time, in classic files: rordenlab/dcm2niix#385.
        """
        dataset.ImageType = self._image_type(frame, habit)
        dataset.RescaleType = "normalized"
        dataset.TemporalPositionIdentifier = 1
        dataset.NumberOfTemporalPositions = 1
        private = dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
        private.add_new(0x0A, "IS", frame.slice_number)
        private.add_new(0x18, "SL", frame.n_slices)
        private.add_new(0x20, "LO", habit.sequence)
        # The private inversion time reads 0 while (0018,0082) holds the true one: hazen.
        private.add_new(0x84, "DS", "0")
        self._scale(dataset, frame)
        if habit.no_inversion_times:
            dataset.InversionTimes = [0.0, LARGEST_DOUBLE]

    def stamp_frame(self, item: Dataset, frame: Frame, habit: Habit) -> None:
        """Write the classic header of the frame into private sequence (2005,140F).

        Source: icometrix/dicom2nifti d68253e, philips_enhanced; dcm2niix's Philips/README.md.
        """
        from pydicom import Dataset  # noqa: PLC0415

        classic = Dataset()
        classic.ImageType = self._image_type(frame, habit)
        classic.ScanningSequence = habit.scanning_sequence
        classic.EchoTime = round(frame.timing.echo_time * 1000, 4)
        if frame.timing.inversion_time is not None:
            classic.InversionTime = round(frame.timing.inversion_time * 1000, 4)
        classic.RescaleIntercept = round(frame.stored.intercept, 8)
        classic.RescaleSlope = round(frame.stored.slope or 1.0, 12)
        self._scale(classic, frame)
        item.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [classic])

    @staticmethod
    def _image_type(frame: Frame, habit: Habit) -> list[str]:
        letter = LETTERS[frame.part]
        return ["ORIGINAL", "PRIMARY", f"{letter}_{habit.kind}", letter, habit.kind]

    @staticmethod
    def _scale(dataset: Dataset, frame: Frame) -> None:
        private = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        private.add_new(0x0D, "FL", frame.stored.scale_intercept)
        private.add_new(0x0E, "FL", frame.stored.scale_slope)
        private.add_new(0x11, "CS", LETTERS[frame.part])


class GE:
    """GE: the public image type says OTHER for everything; a private number says which part it is."""

    manufacturer: ClassVar[str] = "GE MEDICAL SYSTEMS"
    model: ClassVar[str] = "SIGNA Premier"
    software: ClassVar[str | list[str]] = ["27", "LX", "MR Software release:DV25.1_R03_1802.a"]
    enhanced_software: ClassVar[str | list[str]] = ""
    series_step: ClassVar[int] = 1
    parts_share_series: ClassVar[bool] = True
    scales_volumes: ClassVar[bool] = False
    repeats_cycles: ClassVar[bool] = False

    _CODES: ClassVar[dict[str, int]] = {"mag": 0, "phase": 1, "real": 2, "signed": 2, "imag": 3}

    def store(self, values: NDArray[np.float32], part: str) -> Stored:
        """Store signed 16 bits without rescale (hazen); phase in mrad, a convention without known source."""
        scaled = values * 1000 if part == "phase" else values
        return Stored(pixels=integers(scaled, -32768, 32767), bits=16, signed=True)

    def stamp(self, dataset: Dataset, frame: Frame, habit: Habit) -> None:
        """Private part number and sequence name.

        Source: (0043,102F) 0 magnitude, 1 phase, 2 real, 3 imaginary: pydicom's private dictionary, and
        dcm2niix#851. The rest as in hazen's headers.
        """
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        dataset.ScanOptions = ["EDR_GEMS", "PFF"]
        acquisition = dataset.private_block(0x0019, "GEMS_ACQU_01", create=True)
        acquisition.add_new(0x9C, "LO", habit.sequence)
        acquisition.add_new(0x9E, "LO", habit.sequence.upper())
        dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", self._CODES[frame.part])

    def stamp_frame(self, item: Dataset, frame: Frame, habit: Habit) -> None:
        """GE scanners of this kind write no enhanced files; the request is refused before this is reached."""


def integers(values: NDArray[np.floating], lowest: int, highest: int) -> NDArray[np.int64]:
    """Round to whole numbers within a range."""
    return np.asarray(np.clip(np.rint(values), lowest, highest), dtype=np.int64)
