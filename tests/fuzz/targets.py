"""What is fuzzed: functions of bytes that may only return, or raise an expected failure."""

from __future__ import annotations

import io
import json
import tempfile
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import config, dcmread, dcmwrite
from pydicom.dataset import Dataset

from bids_t1.bids.discover import group_runs
from bids_t1.data.acquisition import RawFile
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import BidsT1Error
from bids_t1.data.sequences import BY_SUFFIX
from bids_t1.data.sidecar import Sidecar
from bids_t1.dicom.header import Header
from bids_t1.dicom.reading.files import is_dicom
from bids_t1.dicom.reading.slices import FileContent, UnreadableError, read_file
from bids_t1.dicom.recognising.classify import classify
from bids_t1.dicom.recognising.one_patient import check_examinations, require_one_patient
from bids_t1.dicom.vendors.siemens_protocol import plays_b1_map, read_protocol
from bids_t1.dicom.writing.survey import Survey, collect_warnings, series_records
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.mp2rage_timing import read_timing
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from bids_t1.untrusted import parse_json
from tests.dicom.scanner_files import (
    SIEMENS,
    asc_conv,
    protocol_lines,
    write_echoes,
    write_enhanced,
    write_mp2rage,
    write_set,
)
from tests.fuzz.draw import Draw

if TYPE_CHECKING:
    from collections.abc import Callable

TIMING: dict[str, Any] = {
    "InversionTime": 0.7,
    "RepetitionTime": 6.0,
    "RepetitionTimePreparation": 5.0,
    "RepetitionTimeExcitation": 0.007,
    "EchoTime": 0.01,
    "EchoSpacing": 0.007,
    "FlipAngle": 4.0,
    "NumberShots": [88, 88],
    "SlicePartialFourier": 1.0,
    "InversionTimes": [0.7, 2.5],
    "InversionEfficiency": 0.96,
    "MagneticFieldStrength": 3,
}

ODD_JSON = (
    "null", "true", "0", "-1", "1e-300", "1e300", "1e999", "NaN", "-Infinity", '""', '"1"', "[]", "[[1]]", "{}", "[1, null]",
    "[0.7, 2.5]", "0.7", "2.5", "700", "1" * 400, '"\\ud800"', "[1e999]", "[true]", "1e-9", "88", "[88, 88]", "0.5",
)  # fmt: skip
"""Values of fields."""

WORDS = (
    "sub-01", "sub-", "ses-1", "_", "-", "inv-1", "inv-2", "inv-02", "inv-x", "part-mag", "part-phase", "run-1", "run-01",
    "echo-1", "echo-2", "acq-x", "rec-norm", "rec-denoised", "flip-1", "IRT1", "MP2RAGE", "UNIT1", "MEGRE", ".nii.gz", ".nii",
    ".json", "\u0660", " ", "é",
)  # fmt: skip
"""Pieces of names."""


def sidecars(content: bytes) -> None:
    """Read the timing of every sequence from sidecars, and put images of drawn names into runs."""
    draw = Draw(content)
    tables = [table for number in range(2 + draw.below(3)) if (table := _table(draw, number)) is not None]
    for read in (InversionRecovery.from_metadata, MultiEchoGradientEcho.from_metadata, read_timing):
        with suppress(BidsT1Error):
            read(tables)
    _runs(draw, tables)


def _table(draw: Draw, number: int) -> Sidecar | None:
    """Return a sidecar that is right but for what is drawn; None where its text is no JSON object."""
    fields = {key: json.dumps(value) for key, value in TIMING.items()}
    fields["InversionTime"] = str(0.7 + 0.9 * number)
    fields["EchoTime"] = str(0.004 * (1 + number))
    for _ in range(draw.below(4)):
        fields[draw.one_of(tuple(TIMING))] = draw.one_of(ODD_JSON)
    for _ in range(draw.below(3)):
        fields.pop(draw.one_of(tuple(TIMING)), None)
    text = "{" + ", ".join(f'"{key}": {value}' for key, value in fields.items()) + "}"
    if draw.below(8) == 0:
        text = draw.take(60).decode("latin-1") + text
    name = f"sub-01_inv-{number + 1}_IRT1.json"
    try:
        return Sidecar(name, parse_json(text, name))
    except BidsT1Error:
        return None


def _runs(draw: Draw, tables: list[Sidecar]) -> None:
    files: dict[str, list[RawFile]] = {}
    for table in tables:
        with suppress(BidsT1Error):
            name = BidsName.parse("".join(draw.one_of(WORDS) for _ in range(draw.below(12))) + draw.text())
            if name.suffix in BY_SUFFIX:
                files.setdefault(name.suffix, []).append(RawFile(Path(str(name)), name, table))
    with suppress(BidsT1Error):
        group_runs(files)


KEYWORDS = (
    "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "SeriesNumber",
    "InstanceNumber", "AcquisitionNumber", "SeriesDescription", "ProtocolName", "Manufacturer", "ImageType", "InversionTime",
    "RepetitionTime", "EchoTime", "EchoNumbers", "FlipAngle", "MagneticFieldStrength", "ScanningSequence", "SequenceName",
    "MRAcquisitionType", "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelSpacing",
    "ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", "AcquisitionTime", "AcquisitionDate", "TriggerTime",
    "TemporalPositionIdentifier", "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "ComplexImageComponent", "Modality",
    "DiffusionBValue", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "SpecificCharacterSet",
    "SamplesPerPixel", "PatientBirthDate", "StudyDate", "ScanOptions", "SequenceVariant", "VariableFlipAngleFlag",
)  # fmt: skip

ODD_VALUES = (
    "", "0", "-1", "1", "2", "1e400", "-1e400", "nan", "inf", "1e-300", "1e300", "x", "1\\2", "1\\2\\3", "1\\0\\0\\0\\1\\0",
    "0\\0\\0\\0\\0\\0", "nan\\nan\\nan", "ORIGINAL\\PRIMARY\\M\\ND", "DERIVED\\PRIMARY\\M\\ND\\UNI", "ORIGINAL\\PRIMARY\\P\\ND",
    "GR\\IR", "GR", "Philips Medical Systems", "GE MEDICAL SYSTEMS", "SIEMENS", "UIH", "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4", "tfl_b1map", "*tfl3d1", "400", "50", "ISO_IR 192", "\x1b$B", "a\nb", "山田", "9" * 30,
)  # fmt: skip

VRS = ("LO", "DS", "IS", "FD", "UN", "SQ", "US", "OB", "UI", "PN")


def headers(content: bytes) -> None:
    """Classify an examination whose headers are right but for what is drawn."""
    draw = Draw(content)
    files = list(draw.one_of(_examinations()))
    for _ in range(1 + draw.below(5)):
        number = draw.below(len(files))
        files[number] = _changed(files[number], draw)
    contents = tuple(one for file in files if (one := _read(file)) is not None)
    found = Survey(contents=contents, unreadable=(), n_files=len(files))
    plan = classify([piece for one in contents for piece in one.slices])
    with suppress(BidsT1Error):
        series_records(found, plan)
        collect_warnings(found, plan)
        require_one_patient(contents)
        check_examinations(contents, plan.kept)


@lru_cache(maxsize=1000)
def _read(file: bytes) -> FileContent | None:
    """Read the header of a file, if it is one; most files of an examination are those of the time before."""
    with tempfile.TemporaryDirectory() as folder, suppress(UnreadableError):
        path = Path(folder, "file")
        path.write_bytes(file)
        return read_file(path) if is_dicom(path) else None
    return None


def _changed(file: bytes, draw: Draw) -> bytes:
    """Change one attribute, or bytes where it cannot be written."""
    if draw.below(8) == 0:
        at = int.from_bytes(draw.take(2), "little") % len(file)
        return file[:at] + draw.take(1 + draw.below(8)) + file[at + draw.below(8) :]
    stream = io.BytesIO()
    try:
        header = dcmread(io.BytesIO(file), force=True)
        place = _place(header, draw)
        keyword = draw.one_of(KEYWORDS)
        if draw.below(3) == 0:
            place.pop(keyword, None)
        else:
            place.add_new(keyword, draw.one_of(VRS), _value(draw))
        dcmwrite(stream, header, enforce_file_format=False)
    except Exception:
        return file
    return stream.getvalue()


def _value(draw: Draw) -> Any:
    match draw.below(8):
        case 0:
            return draw.take(draw.below(9))
        case 1:
            return [Dataset()]
        case 2:
            return draw.text()
        case 3:
            return int.from_bytes(draw.take(2), "little")
    return draw.one_of(ODD_VALUES)


def _place(header: Dataset, draw: Draw) -> Dataset:
    """Return the top level of a header, or the group of a frame."""
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames or draw.below(2) == 0:
        return header
    groups = [element.value[0] for element in frames[draw.below(len(frames))] if element.VR == "SQ" and element.value]
    return draw.one_of(groups) if groups else header


@cache
def _examinations() -> tuple[tuple[bytes, ...], ...]:
    """Return the files of whole examinations: inversion recovery, MP2RAGE and several echoes."""
    config.settings.writing_validation_mode = config.IGNORE
    made = []
    for write in (_inversion_recovery, write_mp2rage, write_echoes, _enhanced):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            made.append(tuple(path.read_bytes() for path in sorted(Path(folder).iterdir())))
    return tuple(made)


def _inversion_recovery(folder: Path) -> None:
    write_set(folder, SIEMENS)


def _enhanced(folder: Path) -> None:
    for number, time in enumerate((50.0, 400.0, 1100.0)):
        frames = [{"time": time, "place": place, "value": 100 * number} for place in range(2)]
        write_enhanced(folder / f"{number}", frames, series=number + 1)


def file_bytes(content: bytes) -> None:
    """Read a file of any bytes behind a preamble, or of a data set without one."""
    _read(content if content[:1] == b"\x08" else bytes(128) + b"DICM" + content)


def protocol(content: bytes) -> None:
    """Read the protocol of Siemens from a header that holds any bytes."""
    draw = Draw(content)
    lines = protocol_lines()
    for _ in range(draw.below(6)):
        lines[draw.one_of(tuple(lines))] = draw.one_of(
            (*ODD_VALUES, *ODD_JSON, "0x", "0xffffffffffffffffffff", "1.2.3", "1e", ".")
        )
    text = asc_conv({key: str(value).encode("ascii", "ignore").decode() for key, value in lines.items()})
    at = int.from_bytes(draw.take(2), "little") % len(text)
    header = Dataset()
    block = header.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x20, "OB", text[:at] + draw.rest() + text[at:])
    read_protocol(Header(header))
    plays_b1_map(Header(header))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sidecars": sidecars,
    "headers": headers,
    "files": file_bytes,
    "protocol": protocol,
}
"""By the name on the command line."""
