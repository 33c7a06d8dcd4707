"""Small DICOM files for the tests, made attribute by attribute so that each trap can be set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

if TYPE_CHECKING:
    from pathlib import Path

ROWS, COLUMNS, N_SLICES = 8, 6, 2
TIMES = (50.0, 400.0, 1100.0, 2500.0)
"""Inversion times [ms]."""

SECRETS = ("Nightingale", "Florence", "ID4711", "18200512", "ACC0815", "Scutari", "Herbert", "20240102")
"""Everything in the headers that names the patient, the examination or the place."""

SIEMENS: dict[str, Any] = {
    "Manufacturer": "SIEMENS",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    "ScanningSequence": ["SE", "IR"],
    "SequenceName": "*tir2d1",
}
GE: dict[str, Any] = {
    "Manufacturer": "GE MEDICAL SYSTEMS",
    "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
    "ScanningSequence": "IR",
}
PHILIPS: dict[str, Any] = {
    "Manufacturer": "Philips Medical Systems",
    "ImageType": ["ORIGINAL", "PRIMARY", "M_IR", "M", "IR"],
    "ScanningSequence": "IR",
    "RescaleIntercept": 0,
    "RescaleSlope": 1,
}
GRADIENT_ECHO: dict[str, Any] = {
    **SIEMENS,
    "ScanningSequence": ["GR", "IR"],
    "SequenceName": "*tfl3d1",
    "MRAcquisitionType": "3D",
}
MP2RAGE: dict[str, Any] = {
    **GRADIENT_ECHO,
    "SequenceName": "*tfl3d1_16ns",
    "ProtocolName": "t1_sag_p3",
    "RepetitionTime": 5000,
    "EchoTime": 2.9,
    "AcquisitionTime": "101112.25",
}
"""What the readouts of a Siemens MP2RAGE share. Nothing in it but the protocol says that it is one."""

UNI: dict[str, Any] = {**MP2RAGE, "ImageType": ["DERIVED", "PRIMARY", "M", "ND", "UNI"], "FlipAngle": 4}
ECHO: dict[str, Any] = {
    **SIEMENS,
    "ScanningSequence": "GR",
    "SequenceName": "*fl3d6",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 40,
    "FlipAngle": 15,
    "ProtocolName": "gre_t2star",
    "AcquisitionTime": "101112.25",
}
"""What the echoes of a Siemens gradient echo share."""

CSA_SERIES = (0x0029, "SIEMENS CSA HEADER", 0x20, "OB")
GE_IMAGE_TYPE = (0x0043, "GEMS_PARM_01", 0x2F, "SS")
PHILIPS_SCALE = (0x2005, "Philips MR Imaging DD 001", 0x0E, "FL")


def _base(sop_class: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "MR"
    dataset.PatientName = "Nightingale^Florence"
    dataset.PatientID = "ID4711"
    dataset.PatientBirthDate = "18200512"
    dataset.AccessionNumber = "ACC0815"
    dataset.InstitutionName = "Scutari"
    dataset.ReferringPhysicianName = "Herbert^S"
    dataset.StudyDate = dataset.AcquisitionDate = "20240102"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.FrameOfReferenceUID = "1.2.4"
    dataset.MagneticFieldStrength = 3
    dataset.PatientPosition = "HFS"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelRepresentation = 0
    return dataset


def _add(dataset: Dataset, attributes: dict[Any, Any]) -> None:
    """Set attributes by keyword, private ones by (group, creator, element, VR); None removes."""
    for key, value in attributes.items():
        if isinstance(key, tuple):
            group, creator, element, vr = key
            dataset.private_block(group, creator, create=True).add_new(element, vr, value)
        elif value is None:
            if key in dataset:
                delattr(dataset, key)
        else:
            setattr(dataset, key, value)


def write_slice(path: Path, value: int, attributes: dict[Any, Any]) -> Path:
    """Write a classic file whose pixels rise from a value."""
    dataset = _base(MRImageStorage)
    dataset.ScanningSequence = ["SE", "IR"]
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = 6000, 10, 90
    dataset.PixelSpacing, dataset.SliceThickness = [2, 2], 3
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    _add(dataset, attributes)
    kind = np.int16 if dataset.PixelRepresentation else np.uint16
    pixels = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) + value
    dataset.PixelData = pixels.astype(kind).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_volume(
    folder: Path, time: float | None, attributes: dict[Any, Any], *, series: int, value: int = 100
) -> list[Path]:
    """Write the slices of one inversion time [ms] into a folder, as files without extension."""
    files = []
    for index in range(N_SLICES):
        given: dict[Any, Any] = {
            "SeriesInstanceUID": f"1.2.5.{series}",
            "SeriesNumber": series,
            "SeriesDescription": "ir_se",
            "InstanceNumber": len(list(folder.glob("*"))) + 1 if folder.is_dir() else 1,
            "AcquisitionTime": f"{100000 + series}.{int(time or 0):06d}",
            "ImagePositionPatient": [0, 0, 3.0 * index],
            **({} if time is None else {"InversionTime": time}),
            **attributes,
        }
        name = f"IM{series:03d}_{len(list(folder.glob('*'))) if folder.is_dir() else 0:04d}"
        files.append(write_slice(folder / name, value, given))
    return files


def write_set(
    folder: Path,
    attributes: dict[Any, Any],
    *,
    times: tuple[float, ...] = TIMES,
    first_series: int = 1,
    one_series: bool = False,
) -> None:
    """Write a multi-TI inversion recovery, a series for each inversion time or all in one."""
    for index, time in enumerate(times):
        series = first_series if one_series else first_series + index
        write_volume(folder, time, attributes, series=series, value=100 * (index + 1))


def write_echoes(
    folder: Path,
    attributes: dict[Any, Any] = ECHO,
    *,
    times: tuple[float, ...] = (5, 10, 20),
    parts: str = "M",
    first_series: int = 1,
) -> None:
    """Write a multi-echo gradient echo, a series for each part; echo times in ms, magnitudes of 300, 200, 100."""
    for rank, time in enumerate(times):
        for part in parts:
            typed = {"ImageType": ["ORIGINAL", "PRIMARY", part, "ND"]}
            scaled = {"RescaleSlope": 2, "RescaleIntercept": -4096} if part == "P" else {}
            series = first_series + parts.index(part)
            value = 4000 if part == "P" else 100 * (len(times) - rank)
            echo = {"EchoTime": time, "EchoNumbers": rank + 1}
            write_volume(folder, None, attributes | typed | scaled | echo, series=series, value=value)


def asc_conv(lines: dict[str, object]) -> bytes:
    """Return a protocol as Siemens writes it, with a name in it, between other bytes."""
    written = {"tProtocolName": '""Nightingale Scutari""', "alTR[0]": 5000000} | lines
    text = "\n".join(f"{key}\t = \t{value}" for key, value in written.items())
    mark = "### ASCCONV BEGIN object=MrProtDataImpl version=51130001 ###"
    return f"SV10\0\1MrPhoenixProtocol\n{mark}\n{text}\n### ASCCONV END ###\0\0".encode("latin-1")


def protocol_lines(
    times: tuple[float, ...] = (700, 2500), flip_angles: tuple[float, ...] = (4, 5), **others: object
) -> dict[str, object]:
    """Return the numbers of an MP2RAGE protocol with 176 partitions; times in ms, ``__`` in names for a dot."""
    lines: dict[str, object] = {f"alTI[{index}]": round(1000 * time) for index, time in enumerate(times)}
    lines |= {f"adFlipAngleDegree[{index}]": float(angle) for index, angle in enumerate(flip_angles)}
    lines |= {
        "lContrasts": 1,
        "lInvContrasts": len(times),
        "sKSpace.lPartitions": 176,
        "sKSpace.ucSlicePartialFourier": "0x10",
        "sFastImaging.lTurboFactor": 176,
    }
    return lines | {key.replace("__", "."): value for key, value in others.items()}


def write_mp2rage(
    folder: Path,
    attributes: dict[Any, Any] = MP2RAGE,
    *,
    times: tuple[float, ...] = (700, 2500),
    parts: str = "MP",
    first_series: int = 1,
) -> None:
    """Write the readouts of an MP2RAGE, a series for each time and part; flip angles 4, 5, 6 degree."""
    series = first_series
    for rank, time in enumerate(times):
        for part in parts:
            typed = {"ImageType": ["ORIGINAL", "PRIMARY", part, "ND"], "FlipAngle": 4 + rank}
            scaled = {"RescaleSlope": 2, "RescaleIntercept": -4096} if part == "P" else {}
            value = 4000 if part == "P" else 100 * (rank + 1)
            description = {"SeriesDescription": f"t1_sag_p3_INV{rank + 1}"}
            write_volume(folder, time, description | attributes | typed | scaled, series=series, value=value)
            series += 1


def private_item(group: int, creator: str, element: int, vr: str, value: object) -> dict[Any, Any]:
    """Return a private attribute inside a private sequence, as in the functional groups of XA."""
    item = Dataset()
    _add(item, {(group, creator, element, vr): value})
    return {(group, creator, 0xFE, "SQ"): [item]}


def write_enhanced(
    path: Path,
    frames: list[dict[str, Any]],
    *,
    series: int = 1,
    shared_attributes: dict[Any, Any] | None = None,
    **attributes: Any,
) -> Path:
    """Write an enhanced file; a frame gives time [ms], place (slice index), component, value and type words."""
    dataset = _base(EnhancedMRImageStorage)
    dataset.Manufacturer = "SIEMENS"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    dataset.ComplexImageComponent = "MIXED"
    dataset.EchoPulseSequence, dataset.InversionRecovery = "SPIN", "YES"
    dataset.MRAcquisitionType = "2D"
    dataset.AcquisitionDateTime = "20240102101112"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = f"1.2.6.{series}", series
    dataset.SeriesDescription = "ir_enhanced"
    dataset.InstanceNumber = 1
    dataset.NumberOfFrames = len(frames)
    shared = Dataset()
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [2, 2]
    shared.PixelMeasuresSequence[0].SliceThickness = 3
    shared.MRTimingAndRelatedParametersSequence = [Dataset()]
    shared.MRTimingAndRelatedParametersSequence[0].RepetitionTime = 6000
    shared.MRTimingAndRelatedParametersSequence[0].FlipAngle = 90
    shared.MREchoSequence = [Dataset()]
    shared.MREchoSequence[0].EffectiveEchoTime = 10.0
    _add(shared, shared_attributes or {})
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_frame(frame) for frame in frames]
    _add(dataset, attributes)
    planes = [np.arange(ROWS * COLUMNS) + frame["value"] for frame in frames]
    dataset.PixelData = np.stack(planes).astype(np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _frame(frame: dict[str, Any]) -> Dataset:
    group = Dataset()
    group.PlanePositionSequence = [Dataset()]
    group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 3.0 * frame["place"]]
    group.FrameContentSequence = [Dataset()]
    group.FrameContentSequence[0].StackID = "1"
    group.FrameContentSequence[0].InStackPositionNumber = frame["place"] + 1
    group.FrameContentSequence[0].DimensionIndexValues = [1, frame["place"] + 1, frame.get("index", 1)]
    group.MRImageFrameTypeSequence = [Dataset()]
    group.MRImageFrameTypeSequence[0].FrameType = frame.get("type", ["ORIGINAL", "PRIMARY", "OTHER", "NONE"])
    group.MRImageFrameTypeSequence[0].ComplexImageComponent = frame.get("component", "MAGNITUDE")
    if "echo" in frame:
        group.MREchoSequence = [Dataset()]
        group.MREchoSequence[0].EffectiveEchoTime = frame["echo"]
    if frame["time"] is not None:
        group.MRModifierSequence = [Dataset()]
        group.MRModifierSequence[0].InversionRecovery = "YES"
        group.MRModifierSequence[0].InversionTimes = frame["time"]
    return group
