"""The JSON sidecar of a converted image: dcm2niix's words, the header's times, nobody's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bids_t1.dicom.reading.privacy import known_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bids_t1.dicom.recognising.verdict import PlannedImage
    from bids_t1.dicom.vendors import Component

FROM_DCM2NIIX = frozenset({
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

OF_DCM2NIIX = frozenset({
    "ConversionSoftware", "ConversionSoftwareVersion", "PhaseEncodingDirection", "PhaseEncodingAxis",
    "InPlanePhaseEncodingDirectionDICOM",
})  # fmt: skip
"""Its own words."""


def complete(
    converted: Mapping[str, Any], image: PlannedImage, identifying: Iterable[str], *, in_radians: bool = False
) -> dict[str, Any]:
    """Return the sidecar of an image from dcm2niix's own and from the DICOM header.

    dcm2niix keeps the inversion time of the first volume only and may replace the repetition time by the time
    between volumes (rordenlab/dcm2niix#560, #845), so times and angles always come from the header.
    """
    never = frozenset(identifying)
    taken = {key: _known(key, value, never) for key, value in converted.items() if key in FROM_DCM2NIIX}
    kept = {key: value for key, value in taken.items() if value not in ("", [])}
    plane = image.volume.first
    told = {
        "EchoTime": plane.timing.echo_time,
        "Units": _unit(plane.component, in_radians=in_radians),
        "TxRefAmp": plane.timing.reference_voltage,
    }
    header = {**image.timing, **told, **image.values}
    return kept | {key: value for key, value in header.items() if value is not None}


def _known(key: str, value: Any, never: frozenset[str]) -> Any:
    """Return a value with the words that may leave; numbers as they are."""
    if isinstance(value, list):
        return [known for item in value if (known := _known(key, item, never)) != ""]
    if key in OF_DCM2NIIX or not isinstance(value, str):
        return value
    return known_text(key, value, never)


def _unit(component: Component, *, in_radians: bool) -> str | None:
    return ("rad" if in_radians else "arbitrary") if component == "phase" else None
