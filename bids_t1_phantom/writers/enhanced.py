"""Functional groups of enhanced (multi-frame) MR images: DICOM PS3.3, section C.7.6.16."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.tag import Tag

from bids_t1_phantom.writers.vendors import COMPONENTS, LARGEST_DOUBLE, LETTERS

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from bids_t1_phantom.writers.vendors import Frame, Habit

_PARTS = ("mag", "phase", "real", "signed", "imag")


def add_functional_groups(  # noqa: PLR0913
    dataset: FileDataset,
    frames: tuple[Frame, ...],
    habit: Habit,
    *,
    orientation: list[float],
    spacing: tuple[float, float],
    dimension_uid: str,
) -> None:
    """Say of each frame where it is and how it was made.

    Parameters
    ----------
    dataset : FileDataset
        The file, pixels included.
    frames : tuple of Frame
        In the order of the pixels.
    habit : Habit
        Whose private attributes to add.
    orientation : list of float
        Row and column cosines, as in (0020,0037).
    spacing : float
        Edge of the voxels [mm].
    dimension_uid : str
        Identifier of the organisation of dimensions.
    """
    parts = {frame.part for frame in frames}
    letter = LETTERS[frames[0].part] if len(parts) == 1 else "MIXED"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", letter, "NONE"]
    dataset.ComplexImageComponent = COMPONENTS[frames[0].part] if len(parts) == 1 else "MIXED"
    dataset.AcquisitionContrast = "T1"
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ContentQualification = "RESEARCH"
    dataset.ResonantNucleus = "1H"
    dataset.PulseSequenceName = "*tir2d1"
    dataset.EchoPulseSequence = "SPIN"
    dataset.NumberOfFrames = len(frames)
    _add_dimensions(dataset, dimension_uid)
    dataset.SharedFunctionalGroupsSequence = [_shared(frames[0], orientation, spacing)]
    dataset.PerFrameFunctionalGroupsSequence = [_frame(frame, habit) for frame in frames]


def _add_dimensions(dataset: FileDataset, uid: str) -> None:
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=uid)]
    content, modifier, kind = (
        Tag("FrameContentSequence"),
        Tag("MRModifierSequence"),
        Tag("MRImageFrameTypeSequence"),
    )
    dataset.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=uid, DimensionIndexPointer=Tag(pointer), FunctionalGroupPointer=group)
        for pointer, group in (
            ("StackID", content),
            ("InStackPositionNumber", content),
            ("InversionTimes", modifier),
            ("ComplexImageComponent", kind),
        )
    ]


def _shared(frame: Frame, orientation: list[float], spacing: tuple[float, float]) -> Dataset:
    edge, thickness = (f"{length:.9g}" for length in spacing)
    shared = Dataset()
    shared.PixelMeasuresSequence = [
        _item(SliceThickness=thickness, SpacingBetweenSlices=thickness, PixelSpacing=[edge, edge])
    ]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[f"{value:.9g}" for value in orientation])]
    shared.MRFOVGeometrySequence = [
        _item(
            InPlanePhaseEncodingDirection="ROW",
            MRAcquisitionFrequencyEncodingSteps=frame.pixels.shape[0],
            MRAcquisitionPhaseEncodingStepsInPlane=frame.pixels.shape[1],
        )
    ]
    shared.MRImagingModifierSequence = [_item(PixelBandwidth="240", TransmitterFrequency=123.25)]
    return shared


def _frame(frame: Frame, habit: Habit) -> Dataset:
    item = Dataset()
    item.FrameContentSequence = [
        _item(
            StackID="1",
            InStackPositionNumber=frame.slice_number,
            TemporalPositionIndex=frame.timing.measurement,
            DimensionIndexValues=[1, frame.slice_number, frame.timing.measurement, _PARTS.index(frame.part) + 1],
        )
    ]
    item.PlanePositionSequence = [_item(ImagePositionPatient=[f"{value:.9g}" for value in frame.position])]
    item.MREchoSequence = [_item(EffectiveEchoTime=frame.timing.echo_time * 1000)]
    item.MRTimingAndRelatedParametersSequence = [
        _item(RepetitionTime=f"{frame.timing.repetition_time * 1000:.9g}", FlipAngle="90", EchoTrainLength=1)
    ]
    filler = [LARGEST_DOUBLE] if habit.vendor.manufacturer.startswith("Philips") else []
    times = [] if frame.timing.inversion_time is None else [frame.timing.inversion_time * 1000]
    item.MRModifierSequence = [_item(InversionRecovery="YES", InversionTimes=[*times, *filler])]
    item.MRImageFrameTypeSequence = [
        _item(
            FrameType=["ORIGINAL", "PRIMARY", LETTERS[frame.part], "NONE"],
            ComplexImageComponent=COMPONENTS[frame.part],
            AcquisitionContrast="T1",
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
        )
    ]
    slope = 1.0 if frame.stored.slope is None else frame.stored.slope
    item.PixelValueTransformationSequence = [
        _item(RescaleIntercept=f"{frame.stored.intercept:.9g}", RescaleSlope=f"{slope:.9g}", RescaleType="US")
    ]
    habit.vendor.stamp_frame(item, frame, habit)
    return item


def _item(**attributes: object) -> Dataset:
    """Make a sequence item with attributes by keyword, as DICOM spells them."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
