"""The copy of a scanner file that dcm2niix sees: what conversion needs, and nobody's name.

Such copies lie in the work folder while dcm2niix runs, and stay there if the process is killed. So they hold numbers,
codes and known words only, and what dcm2niix writes and says can hold nothing else. Everything is left out but what is
listed here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bids_t1.dicom.header import DAMAGE
from bids_t1.dicom.reading.files import PREAMBLE
from bids_t1.dicom.reading.privacy import CODED, known_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from pydicom.tag import BaseTag

    _Encoding = tuple[bool, bool]

_ACQUISITION = frozenset({0x0018, 0x0020, 0x0028, 0x5200})
"""Groups of acquisition, geometry, pixels and frames: of those, numbers, codes and sequences are kept."""

_OTHER_NUMBERS = frozenset({
    "RealWorldValueMappingSequence", "RealWorldValueIntercept", "RealWorldValueSlope", "SOPClassUID",
})  # fmt: skip
"""What conversion needs of other groups."""

_FREE_TEXT = frozenset({
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "SeriesDescription", "ProtocolName", "SequenceName",
    "PulseSequenceName", "ImageComments", "ReceiveCoilName",
})  # fmt: skip
"""Texts of which the known words are kept."""

_PIXELS = 0x7FE0
_LONGEST_REMEMBERED = 1024
"""Bytes of a value that other slices may share."""

_NUMERIC = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "US or SS"})
_TEXTS = frozenset({"CS", "SH", "LO", "LT", "ST", "UT"})

_CREATORS = re.compile(
    r"SIEMENS (MR HEADER|MR SDS 01|MR SDI 02)|GEMS_ACQU_01|GEMS_RELA_01|GEMS_IMAG_01|GEMS_PARM_01|"
    r"PHILIPS (MR )?IMAGING DD 00[1-6]|IMAGE PRIVATE HEADER",
    re.IGNORECASE,
)
"""Private blocks that dcm2niix reads; it looks for their names."""

_PRIVATE = {
    0x0019: frozenset({0x0A, 0x17, 0x18, 0x1B, 0x28, 0x29, 0x5A, 0xA2, 0xA9}),
    0x0021: frozenset({0x04, 0x1C, 0x42, 0x4F, 0x53, 0xFE}),
    0x0027: frozenset({0x60, 0x61, 0x62}),
    0x0043: frozenset({0x2C, 0x2F, 0x83}),
    0x0065: frozenset({0x50, 0x58}),
    0x2001: frozenset({0x08, 0x0A, 0x13, 0x18, 0x22, 0x81}),
    0x2005: frozenset({0x09, 0x0A, 0x0D, 0x0E, 0x0F, 0x30, 0x63, 0x6F, 0x71, 0x72, 0x73, 0x78, 0x79, 0x7A, 0xA0}),
}
"""Numbers and sequences that dcm2niix reads, by group and place in their block (the tags of its nii_dicom.cpp)."""

_PRIVATE_CODES = {
    0x0021: frozenset({0x5A, 0x5B, 0x5C, 0x75}),
    0x0051: frozenset({0x0E, 0x0F, 0x11}),
    0x2001: frozenset({0x0B}),
    0x2005: frozenset({0x11}),
}
"""Codes that it reads, such as that of the image type."""

_NUMBER = re.compile(rb"[-+]?[0-9]{0,7}(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?")
"""A written number; one of eight digits may be a date."""

_LETTERS = re.compile(rb"[\x20-\x7e\0]*")
_SINGLE_PRECISION = 4
"""Bytes of a number of unknown VR, that cannot be told from letters."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """A copy: no name, and the pixels as they were."""

    dataset: Dataset
    content: bytes
    """The same as a file."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """One attribute of a copy."""

    element: DataElement | RawDataElement
    written: bytes


class Stripping:
    """Leaves in the files of one volume what conversion needs, and no name; pixels stay as they are.

    What a value becomes is decided once: slices share most of theirs.
    """

    def __init__(self, never: frozenset[str]) -> None:
        """Take the words of the patient's name and number."""
        self._never = never
        self._decided: dict[Hashable, _Kept | None] = {}

    def strip(self, dataset: Dataset, *, number: int, renumber: bool) -> Stripped:
        """Return the copy of a data set.

        Parameters
        ----------
        dataset
            What pydicom read of a file; it is used up.
        number
            Place of the file in its volume, from 1, of which its identifiers are made.
        renumber
            Let that place be the instance number too.
        """
        syntax, sop_class, sop_instance = _syntax(dataset), dataset.SOPClassUID, UID(f"2.25.{number}")
        _mark_length(dataset, syntax)
        implicit, little_endian = dataset.original_encoding
        encoding = (bool(implicit), bool(little_endian))
        condition = (encoding, str(dataset.get("SpecificCharacterSet")))
        found = {tag: self._kept(dataset, tag, condition) for tag in list(dataset.keys())}
        kept = {tag: one for tag, one in found.items() if one is not None}
        for element in _identifiers(sop_instance, number if renumber else None):
            kept[element.tag] = _Kept(element, _written(element, encoding))
        copy = Dataset({tag: one.element for tag, one in kept.items()})
        copy.set_original_encoding(*encoding)
        copy.file_meta = FileMetaDataset()
        copy.file_meta.TransferSyntaxUID = syntax
        header = _file_header(sop_class, sop_instance, syntax)
        return Stripped(copy, header + b"".join(kept[tag].written for tag in sorted(kept)))

    def _kept(self, dataset: Dataset, tag: BaseTag, condition: tuple[_Encoding, str]) -> _Kept | None:
        """Return what is kept of an attribute; None where it is left out."""
        raw: Any = dataset.get_item(tag)
        if not isinstance(raw, RawDataElement) or raw.value is None or len(raw.value) > _LONGEST_REMEMBERED:
            return self._decide(dataset, tag, condition[0])
        block = dataset.get_item(_block(tag)) if tag.is_private else None
        key = (condition, tag, raw.VR, raw.value, raw.length, None if block is None else str(block.value))
        if key not in self._decided:
            self._decided[key] = self._decide(dataset, tag, condition[0])
        return self._decided[key]

    def _decide(self, dataset: Dataset, tag: BaseTag, encoding: _Encoding) -> _Kept | None:
        if tag.element == 0 or not _stays(dataset, tag, self._never):  # lengths of groups are retired (PS3.5, 7.2)
            return None
        element = dataset.get_item(tag)
        return _Kept(element, _written(element, encoding))


def _mark_length(dataset: Dataset, syntax: UID) -> None:
    """Let packed pixels have no length of their own, and others have theirs (DICOM PS3.5, A.4)."""
    if "PixelData" in dataset and not syntax.is_private:
        dataset["PixelData"].is_undefined_length = syntax.is_compressed


def _identifiers(sop_instance: UID, instance_number: int | None) -> list[DataElement]:
    """Return what names a copy, in the place of what named the file."""
    uids = {"SOPInstanceUID": sop_instance, "StudyInstanceUID": "2.25.1000001", "SeriesInstanceUID": "2.25.1000002"}
    named = [DataElement(keyword, "UI", uid) for keyword, uid in uids.items()]
    return named if instance_number is None else [*named, DataElement("InstanceNumber", "IS", instance_number)]


def _written(element: DataElement | RawDataElement, encoding: _Encoding) -> bytes:
    """Return an attribute as it stands in a file."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = encoding
    write_data_element(buffer, element)
    return buffer.getvalue()


def _file_header(sop_class: UID, sop_instance: UID, syntax: UID) -> bytes:
    """Return what stands in front of a data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, sop_instance
    meta.TransferSyntaxUID = syntax
    buffer = DicomBytesIO()
    buffer.write(bytes(PREAMBLE) + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def _syntax(dataset: Dataset) -> UID:
    """Return how to write a data set: as it was, inflated, and as it is where no file header said so."""
    declared: UID | None = getattr(dataset, "file_meta", FileMetaDataset()).get("TransferSyntaxUID")
    if declared is not None:
        return ExplicitVRLittleEndian if declared.is_deflated else declared
    implicit, little_endian = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _strip(dataset: Dataset, never: frozenset[str]) -> None:
    """Strip an item of a sequence and the sequences in it."""
    # Elements of private blocks before what names the blocks.
    for tag in sorted(dataset.keys(), key=int, reverse=True):
        if not _stays(dataset, tag, never):
            del dataset[tag]


def _strip_each(items: Iterable[Dataset], never: frozenset[str]) -> None:
    for item in items:
        _strip(item, never)


def _stays(dataset: Dataset, tag: BaseTag, never: frozenset[str]) -> bool:
    """Tell whether an attribute is kept, and strip what is in it."""
    try:
        return tag.group == _PIXELS or _is_needed(dataset, tag, never)
    except DAMAGE:  # what breaks its own VR says nothing
        return False


def _is_needed(dataset: Dataset, tag: BaseTag, never: frozenset[str]) -> bool:
    if tag.is_private_creator:
        return _is_known_creator(dataset, tag)
    keyword, vr = _keyword(int(tag)), _vr(dataset, tag)
    numbers, coded = _private_kind(dataset, tag) if tag.is_private else _public_kind(tag.group, keyword, vr)
    if coded or keyword in _FREE_TEXT:
        return _keep_known(dataset, tag, "ImageType" if coded else keyword, never)
    if not numbers:
        return False
    if vr == "SQ":
        _strip_each(dataset[tag].value, never)
        return True
    return keyword == "SOPClassUID" or _is_number(dataset, tag, vr)


@cache
def _keyword(tag: int) -> str:
    return keyword_for_tag(tag)


def _is_known_creator(dataset: Dataset, tag: BaseTag) -> bool:
    return _CREATORS.fullmatch(_bytes(dataset, tag).decode("ascii", "replace").strip(" \0")) is not None


def _public_kind(group: int, keyword: str, vr: str) -> tuple[bool, bool]:
    """Tell whether an attribute of the standard is a number or sequence that is needed, and whether a code."""
    wanted, coded = group in _ACQUISITION, vr == "CS"
    return not coded and (wanted or keyword in _OTHER_NUMBERS), coded and (wanted or keyword in CODED)


def _private_kind(dataset: Dataset, tag: BaseTag) -> tuple[bool, bool]:
    """Tell the same of a private attribute; one whose block is named must be of a known block."""
    creator = _block(tag)
    if creator in dataset and not _is_known_creator(dataset, creator):
        return False, False
    place = tag.element & 0xFF
    return place in _PRIVATE.get(tag.group, ()), place in _PRIVATE_CODES.get(tag.group, ())


def _block(tag: BaseTag) -> BaseTag:
    """Return the attribute that names the block of a private one."""
    return Tag(tag.group, tag.element >> 8)


def _vr(dataset: Dataset, tag: BaseTag) -> str:
    """Return the VR of an attribute, of the dictionary where the file does not tell."""
    told = dataset.get_item(tag).VR
    if told not in {None, "UN"}:
        return str(told)
    return "UN" if tag.is_private else dictionary_VR(tag)


def _bytes(dataset: Dataset, tag: BaseTag) -> bytes:
    """Return a value as it stands in the file, or as it would be written."""
    value = dataset.get_item(tag).value
    if isinstance(value, bytes):
        return value
    values = value if isinstance(value, MultiValue) else [] if value is None else [value]
    return "\\".join(map(str, values)).encode("ascii", "replace")


def _is_number(dataset: Dataset, tag: BaseTag, vr: str) -> bool:
    """Tell whether a value is a number, or several."""
    if vr in _NUMERIC:
        return True
    value = _bytes(dataset, tag).strip(b" \0")
    if all(_NUMBER.fullmatch(part.strip()) for part in value.split(b"\\")):
        return True
    return vr in {"UN", "OB"} and (len(value) <= _SINGLE_PRECISION or _LETTERS.fullmatch(value) is None)


def _keep_known(dataset: Dataset, tag: BaseTag, field: str, never: frozenset[str]) -> bool:
    """Keep the known words of a text, and tell whether there are any."""
    element = dataset[tag]
    value = element.value.decode("ascii", "replace") if isinstance(element.value, bytes) else element.value
    values = value if isinstance(value, MultiValue) else [value]
    known = [text for one in values if (text := known_text(field, str(one), never))]
    vr = element.VR if element.VR in _TEXTS else "LO"
    dataset[tag] = DataElement(tag, vr, known)
    return bool(known)
