"""Files of the commonest kind read in one go: explicit VR, little endian, every length told.

pydicom, which reads all kinds and forgives what is wrong, takes four times as long for each attribute. Where anything
at all is unusual, nothing is found here, and it is asked.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from bids_t1.dicom.reading.files import PREAMBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from pydicom.dataelem import DataElement

    _Elements = MutableMapping[BaseTag, DataElement | RawDataElement]

LARGEST = 2**24
"""Bytes of a file that is read in one go; enhanced ones, which are larger, tell lengths otherwise."""

_META = 0x00020000
"""Length of the file header behind it, which is the first attribute (DICOM PS3.10, 7.1)."""

_SYNTAX = 0x00020010
_PLAIN = frozenset({ExplicitVRLittleEndian.encode() + b"\0", ExplicitVRLittleEndian.encode()})
"""The transfer syntax, padded to even length or not."""

_FIRST = 0x00080000
"""Attributes of data sets begin here: those before are of commands and of the file header."""

_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_UNDEFINED = 0xFFFFFFFF
_SHORT = {vr.encode(): str(vr) for vr in EXPLICIT_VR_LENGTH_16}
_LONG = {vr.encode(): str(vr) for vr in EXPLICIT_VR_LENGTH_32}
_HEAD, _LENGTH = struct.Struct("<HH2sH"), struct.Struct("<L")


class Plain(NamedTuple):
    """What a file holds."""

    dataset: Dataset
    n_rest: int
    """Bytes from the pixels on, where these were not read."""


class _UnusualError(Exception):
    """A file that is to be read by pydicom."""


def read_plain(file: IO[bytes], *, pixels: bool) -> Plain | None:
    """Return the attributes of a file as pydicom does, or None where it is not of the plain kind, or odd.

    Parameters
    ----------
    file
        At its beginning, where it is again if nothing is found.
    pixels
        Read them too; else reading ends before them.

    Raises
    ------
    OSError
        If it cannot be read; EOFError and zlib.error too where it is packed.
    """
    content = file.read(LARGEST + 1)
    found = _read(content, pixels=pixels) if len(content) <= LARGEST else None
    if found is None:
        file.seek(0)
    return found


def _read(content: bytes, *, pixels: bool) -> Plain | None:
    try:
        meta, begin = _meta(content)
        if meta[BaseTag(_SYNTAX)].value not in _PLAIN:
            return None
        elements: _Elements = {}
        end = len(content)
        for element, place in _elements(content, begin, len(content)):
            if element.tag < _FIRST:
                return None
            if element.tag in _PIXELS and not pixels:
                end = place
                break
            elements[element.tag] = element
    except (_UnusualError, struct.error, LookupError):
        return None
    dataset = Dataset(elements)
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset(meta)
    return Plain(dataset, len(content) - end)


def _meta(content: bytes) -> tuple[_Elements, int]:
    """Return the attributes of the file header, and where it ends."""
    if content[PREAMBLE : PREAMBLE + 4] != b"DICM":
        raise _UnusualError
    begin = PREAMBLE + 4
    (length, _), *_ = _elements(content, begin, begin + 12)
    if length.tag != _META or length.length != _LENGTH.size:
        raise _UnusualError
    end = begin + 12 + _LENGTH.unpack(length.value or b"")[0]
    return {element.tag: element for element, _ in _elements(content, begin, end)}, end


def _elements(content: bytes, begin: int, end: int) -> Iterator[tuple[RawDataElement, int]]:
    """Yield each attribute of a part of a file that holds whole ones in rising order, and where it begins."""
    place, last = begin, -1
    if end > len(content):
        raise _UnusualError
    while place < end:
        group, number, kind, length = _HEAD.unpack_from(content, place)
        tag, first, vr = group << 16 | number, place + _HEAD.size, _SHORT.get(kind)
        if vr is None:
            vr = _LONG[kind]
            (length,) = _LENGTH.unpack_from(content, first)
            first += _LENGTH.size
        behind = first + length
        if length == _UNDEFINED or tag <= last or behind > end:
            raise _UnusualError
        value = content[first:behind] if length else cast("bytes | None", empty_value_for_VR(vr, raw=True))
        yield RawDataElement(BaseTag(tag), vr, length, value, first, False, True), place
        place, last = behind, tag
