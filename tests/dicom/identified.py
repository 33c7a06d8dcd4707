"""Scanner files with something identifying in every attribute that may hold some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.dicom.scanner_files import GE, PHILIPS, SIEMENS, asc_conv, protocol_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECRETS = (
    "Weber", "Eva-Maria", "Evamaria", "Mueller", "19391122", "22.11.1939", "Hauptstr", "030123456", "claustrophobic",
    "Charite", "MRN4711", "12:34:56", "山田", "Yamada", "Nightingale", "Florence", "Scutari", "Herbert", "ID4711",
    "18200512",
)  # fmt: skip
"""What stands in the headers; the last ones are of all scanner files of the tests."""

TYPED = "Weber^Eva-Maria Mueller Hauptstr 5 Charite 030123456"
"""Free text."""

_BY_VR = {
    "PN": "Weber^Eva-Maria=山田", "LO": TYPED, "SH": "Weber MRN4711", "LT": f"{TYPED} claustrophobic", "ST": TYPED,
    "UT": TYPED, "UC": TYPED, "DA": "19391122", "TM": "123456", "DT": "19391122123456", "CS": "WEBER", "AE": "CHARITE",
}  # fmt: skip

_NEEDED = frozenset({
    "SpecificCharacterSet", "SOPClassUID", "Modality", "Manufacturer", "ImageType", "ScanningSequence",
    "PhotometricInterpretation", "PatientPosition", "MRAcquisitionType", "SequenceName", "PatientName", "PatientID",
    "PatientBirthDate", "StudyDate", "ComplexImageComponent", "AcquisitionTime", "AcquisitionDate",
})  # fmt: skip
"""What an image would not be recognised without; it keeps its own."""


def _texts() -> Iterable[tuple[str, str]]:
    """Yield keyword and VR of the attributes of an image that hold text."""
    for number, (vr, _, _, retired, keyword) in DicomDictionary.items():
        tag = Tag(number)
        if keyword and vr in _BY_VR and not retired and tag.group in {0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0040}:
            yield keyword, vr


def everywhere() -> dict[Any, Any]:
    """Return attributes, private ones and sequences among them, each of which identifies somebody."""
    planted: dict[Any, Any] = {keyword: _BY_VR[vr] for keyword, vr in _texts() if keyword not in _NEEDED}
    planted |= {
        "SpecificCharacterSet": "ISO_IR 192",
        "ProtocolName": f"ir {TYPED}",
        "SeriesDescription": f"{TYPED} ir_se",
    }
    inner = Dataset()
    inner.PatientName, inner.ImageComments, inner.StudyDescription = "Weber^Eva-Maria", TYPED, TYPED
    planted |= {key: [inner] for key in _SEQUENCES}
    for group, creator in ((0x0009, "WEBER EVA-MARIA"), (0x0019, "SIEMENS MR HEADER"), (0x0021, "SIEMENS MR SDS 01")):
        planted |= {(group, creator, place, "LO"): TYPED for place in (0x01, 0x0A, 0x42, 0x75)}
        planted[group, creator, 0xFE, "SQ"] = [inner]
    planted[0x0029, "SIEMENS CSA HEADER", 0x10, "OB"] = f"SV10 {TYPED}".encode()
    planted[0x0029, "SIEMENS CSA HEADER", 0x20, "OB"] = asc_conv(protocol_lines())
    planted[0x0021, "SIEMENS MR SDS 01", 0x19, "OB"] = asc_conv(protocol_lines(tPatientName='"Weber"'))
    planted[0x0043, "GEMS_PARM_01", 0x2A, "OB"] = TYPED.encode()
    planted[0x0051, "SIEMENS MR HEADER", 0x0F, "LO"] = TYPED
    planted[0x2005, "Philips MR Imaging DD 001", 0x0F, "UN"] = TYPED.encode()
    planted[0x2001, "Philips Imaging DD 001", 0x22, "UN"] = b"Mueller "
    return planted


_SEQUENCES = (
    "RequestAttributesSequence", "ReferencedImageSequence", "MREchoSequence", "RealWorldValueMappingSequence",
)  # fmt: skip

VENDORS = {"siemens": SIEMENS, "philips": PHILIPS, "ge": GE}


def told(text: str | bytes) -> list[str]:
    """Return what a text betrays, in any case and with or without its separators."""
    plain = text if isinstance(text, str) else text.decode("utf-8", "ignore") + text.decode("latin-1")
    return [secret for secret in SECRETS if secret.lower() in plain.lower()]


def told_below(folder: Path) -> list[str]:
    """Return what the files below a folder betray, by content or name; links are followed."""
    found = []
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found += [f"{secret} in {path.name}" for secret in told(content) + told(path.name)]
    return found
