"""Header attributes that all scanners write: who, where, when and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import UID, generate_uid

if TYPE_CHECKING:
    from pydicom import Dataset

    from bids_t1_phantom.head.head import Grid
    from bids_t1_phantom.writers.vendors import Frame, Habit

PATIENT_NAME = "PHANTOM^PRIVACY"
"""An obviously fictitious name, so that a test can search outputs for it."""

PATIENT_BIRTH_DATE = "19010203"
_STUDY_DATE = "20000101"
_FREQUENCY = 123.25 / 3
"""Of hydrogen, as scanners of nominal 3 T report it [MHz/T]."""

_UID_ROOT = "1.2.826.0.1.3680043.8.498."
"""pydicom's root, under which anyone may make identifiers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who was scanned, and the identifiers of this examination."""

    participant: str
    seed: int

    def uid(self, *parts: object) -> UID:
        """Derive an identifier from what it identifies."""
        entropy = [str(part) for part in ("bids_t1_phantom", self.seed, self.participant, *parts)]
        return generate_uid(prefix=_UID_ROOT, entropy_srcs=entropy)


def position(grid: Grid, index: int) -> tuple[float, float, float]:
    """Centre of the first pixel of a slice, in DICOM's left-posterior-superior coordinates [mm]."""
    x, y, z = (grid.affine @ [grid.shape[0] - 1, grid.shape[1] - 1, index, 1])[:3]
    return -float(x), -float(y), float(z)


def orientation(grid: Grid) -> list[float]:
    """Directions of growing column and growing row, in left-posterior-superior coordinates."""
    column, row = (-grid.affine[:3, axis] / np.linalg.norm(grid.affine[:3, axis]) for axis in (0, 1))
    return [*(column * [-1, -1, 1]), *(row * [-1, -1, 1])]


def stamp_examination(dataset: Dataset, identity: Identity) -> None:
    """Write who was examined, where and when: all of it fictitious."""
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = f"PHANTOM-PRIVACY-{identity.participant}"
    dataset.PatientBirthDate = PATIENT_BIRTH_DATE
    dataset.PatientSex = "O"
    dataset.PatientAge = "098Y"
    dataset.PatientWeight = "70"
    dataset.ReferringPhysicianName = "PHANTOM^REFERRER"
    dataset.OperatorsName = "PHANTOM^OPERATOR"
    dataset.InstitutionName = "PHANTOM HOSPITAL"
    dataset.InstitutionAddress = "PHANTOM STREET 1"
    dataset.StationName = "PHANTOMSTATION"
    dataset.AccessionNumber = f"PHANTOMACC{identity.participant}"
    dataset.StudyInstanceUID = identity.uid("study")
    dataset.FrameOfReferenceUID = identity.uid("frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.StudyID = "1"
    dataset.StudyDescription = "PHANTOM"
    for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, name, _STUDY_DATE)


def stamp_equipment(dataset: Dataset, habit: Habit, frame: Frame, *, enhanced: bool) -> None:
    """Write the scanner and its version."""
    dataset.Modality = "MR"
    vendor = habit.vendor
    dataset.Manufacturer = vendor.manufacturer
    dataset.ManufacturerModelName = vendor.model
    dataset.DeviceSerialNumber = "12345"
    dataset.SoftwareVersions = vendor.enhanced_software if enhanced else habit.software or vendor.software
    dataset.MagneticFieldStrength = decimal(frame.timing.magnetic_field_strength)
    dataset.BodyPartExamined = "HEAD"
    dataset.PatientPosition = "HFS"
    dataset.MRAcquisitionType = frame.timing.acquisition_type


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """What identifies a series."""

    number: int
    description: str
    protocol: str


def stamp_series(dataset: Dataset, name: SeriesName, *, uid: UID, instance: int, frame: Frame) -> None:
    """Write the series, the place of the file in it, and the time of day."""
    dataset.SeriesInstanceUID = uid
    dataset.SeriesNumber = name.number
    dataset.SeriesDescription = name.description
    dataset.ProtocolName = name.protocol
    dataset.AcquisitionNumber = frame.timing.measurement
    dataset.InstanceNumber = instance
    dataset.StudyTime = "080000"
    dataset.AcquisitionTime = _clock(frame.timing.measurement)
    dataset.ContentTime = dataset.AcquisitionTime
    dataset.SeriesTime = dataset.AcquisitionTime


def _clock(measurement: int) -> str:
    """Return a time of day: five minutes for each experiment."""
    minutes = 5 * measurement
    return f"{8 + minutes // 60:02d}{minutes % 60:02d}00.000000"


def stamp_pixels(dataset: Dataset, frames: tuple[Frame, ...]) -> None:
    """Write the pixels of all frames and how to read them."""
    stored = frames[0].stored
    dataset.Rows, dataset.Columns = frames[0].pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored = stored.bits
    dataset.HighBit = stored.bits - 1
    dataset.PixelRepresentation = int(stored.signed)
    kind = "<i2" if stored.signed else "<u2"
    dataset.PixelData = b"".join(frame.pixels.astype(kind).tobytes() for frame in frames)


def stamp_classic(dataset: Dataset, frame: Frame, habit: Habit, grid: Grid) -> None:
    """Write timing and geometry of a single-frame image, and what the vendor adds."""
    if frame.timing.inversion_time is not None:
        dataset.InversionTime = decimal(frame.timing.inversion_time * 1000)
    dataset.RepetitionTime = decimal(frame.timing.repetition_time * 1000)
    dataset.EchoTime = decimal(frame.timing.echo_time * 1000)
    dataset.FlipAngle = decimal(frame.timing.flip_angle)
    dataset.EchoTrainLength = 1
    dataset.EchoNumbers = frame.timing.echo_number
    dataset.NumberOfAverages = "1"
    dataset.ImagedNucleus = "1H"
    dataset.ImagingFrequency = decimal(_FREQUENCY * frame.timing.magnetic_field_strength)
    dataset.PixelBandwidth = "240"
    dataset.AcquisitionMatrix = [0, *frame.pixels.shape, 0]
    dataset.InPlanePhaseEncodingDirection = "ROW"
    edge, thickness = (decimal(length) for length in spacing(grid))
    dataset.SliceThickness = thickness
    dataset.SpacingBetweenSlices = thickness
    dataset.PixelSpacing = [edge, edge]
    dataset.ImagePositionPatient = [decimal(value) for value in frame.position]
    directions = orientation(grid)
    dataset.ImageOrientationPatient = [decimal(value) for value in directions]
    dataset.SliceLocation = decimal(float(np.dot(np.cross(directions[:3], directions[3:]), frame.position)))
    if frame.stored.slope is not None:
        dataset.RescaleSlope = decimal(frame.stored.slope)
        dataset.RescaleIntercept = decimal(frame.stored.intercept)
    dataset.ScanningSequence = habit.scanning_sequence
    dataset.SequenceVariant = habit.variant
    if habit.options is not None:
        dataset.ScanOptions = habit.options
    habit.vendor.stamp(dataset, frame, habit)


def spacing(grid: Grid) -> tuple[float, float]:
    """Return the edge of the voxels in their slice, and the distance of slices [mm]."""
    edge, _, thickness = np.linalg.norm(grid.affine[:3, :3], axis=0)
    return float(edge), float(thickness)


def decimal(value: float) -> str:
    """Format a decimal string of at most 16 characters, as DICOM asks."""
    return f"{value:.9g}"
