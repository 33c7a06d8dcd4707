"""The JSON sidecar of a converted image: dcm2niix's words, the header's times, nobody's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bids_t1.dicom.reading.privacy import known_text
from bids_t1.dicom.writing.mp2rage_timing import timing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bids_t1.dicom.reading.slices import Slice
    from bids_t1.dicom.recognising.plan import Kept

_FROM_DCM2NIIX = frozenset({
    "Modality", "ImagingFrequency", "Manufacturer", "ManufacturersModelName", "SoftwareVersions",
    "BodyPartExamined", "BodyPart", "PatientPosition", "MRAcquisitionType", "SeriesDescription",
    "ProtocolName", "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName",
    "PulseSequenceName", "PulseSequenceDetails", "ImageType", "SliceThickness", "SpacingBetweenSlices",
    "SliceTiming", "SAR", "EchoTrainLength", "PartialFourier", "ParallelReductionFactorInPlane",
    "ParallelAcquisitionTechnique", "MatrixCoilMode", "ReceiveCoilName", "ReceiveCoilActiveElements",
    "CoilString", "PixelBandwidth", "DwellTime", "PercentPhaseFOV", "PercentSampling", "PhaseEncodingSteps",
    "AcquisitionMatrixPE", "ReconMatrixPE", "PhaseEncodingDirection", "PhaseEncodingAxis",
    "InPlanePhaseEncodingDirectionDICOM", "ImageOrientationPatientDICOM", "NonlinearGradientCorrection",
    "WaterFatShift", "MTState", "SpoilingState", "PhilipsRescaleSlope",
    "PhilipsRescaleIntercept", "PhilipsScaleSlope", "UsePhilipsFloatNotDisplayScaling",
    "ConversionSoftware", "ConversionSoftwareVersion",
})  # fmt: skip
"""Fields taken over; anything else that dcm2niix writes, such as names, times and numbers, is left out."""

_OF_DCM2NIIX = frozenset({
    "ConversionSoftware", "ConversionSoftwareVersion", "PhaseEncodingDirection", "PhaseEncodingAxis",
    "InPlanePhaseEncodingDirectionDICOM",
})  # fmt: skip
"""Its own words."""


def complete(
    converted: Mapping[str, Any], image: Kept, identifying: Iterable[str], *, in_radians: bool = False
) -> dict[str, Any]:
    """Return the sidecar of an image from dcm2niix's own and from the DICOM header.

    dcm2niix keeps the inversion time of the first volume only and may replace the repetition time by the time
    between volumes (rordenlab/dcm2niix#560, #845), so times and angles always come from the header.
    """
    never = frozenset(identifying)
    taken = {key: _known(key, value, never) for key, value in converted.items() if key in _FROM_DCM2NIIX}
    kept = {key: value for key, value in taken.items() if value not in ("", [])}
    piece = image.volume.one
    header = _timing(image)
    header |= {"EchoTime": piece.echo_time, "Units": _units(image, in_radians=in_radians)}
    header["TxRefAmp"] = piece.reference_voltage
    if image.suffix == "UNIT1" and image.reconstruction is None:
        header["UNIT1Scaling"] = piece.uni_scaling
    return kept | {key: value for key, value in header.items() if value is not None}


def _known(key: str, value: Any, never: frozenset[str]) -> Any:
    """Return a value with the words that may leave; numbers as they are."""
    if isinstance(value, list):
        return [known for item in value if (known := _known(key, item, never)) != ""]
    if key in _OF_DCM2NIIX or not isinstance(value, str):
        return value
    return known_text(key, value, never)


def _timing(image: Kept) -> dict[str, Any]:
    """Return times and angles of an image by what it measures."""
    piece = image.volume.one
    if image.suffix == "IRT1":
        return _separate_inversion(piece)
    if image.suffix in {"MP2RAGE", "UNIT1"}:
        return timing(image)
    angles_map = image.label == "famp"
    return {
        "RepetitionTimeExcitation" if image.suffix == "TB1AFI" else "RepetitionTime": image.repetition_time
        or piece.repetition_time,
        "FlipAngle": piece.saturation_angle if angles_map else piece.flip_angle,
        "MagneticFieldStrength": piece.field_strength,
    }


def _separate_inversion(piece: Slice) -> dict[str, Any]:
    """Return the timing of an image with an inversion of its own."""
    return {
        "InversionTime": piece.inversion_time,
        "RepetitionTime": piece.repetition_time if _between_inversions(piece) else None,
        "RepetitionTimeExcitation": None if _between_inversions(piece) else piece.repetition_time,
        "FlipAngle": piece.flip_angle,
        "MagneticFieldStrength": piece.field_strength,
    }


def _between_inversions(piece: Slice) -> bool:
    """Tell a repetition time between inversions from one between gradient echoes, which is shorter than TI.

    GE and Philips write the latter for inversion-prepared gradient echoes: a GE Discovery MR750 has TR 8.9
    and TI 900 ms.
    """
    if piece.repetition_time is None or piece.inversion_time is None:
        return True
    return piece.repetition_time > piece.inversion_time


def _units(image: Kept, *, in_radians: bool) -> str | None:
    units = {"UNIT1": "arbitrary", "TB1map": "percent"}.get(image.suffix)
    if units is not None or image.label == "famp":
        return units or "0.1 degree"
    if image.volume.one.component != "phase":
        return None
    return "rad" if in_radians else "arbitrary"
