"""One image's DICOM attributes, wherever its object keeps them: classic, or enhanced multi-frame."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

DAMAGE = (
    OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, NotImplementedError,
    RecursionError, struct.error, zlib.error, BytesLengthException, InvalidDicomError,
)  # fmt: skip
"""What Python and pydicom raise on files that are damaged, cut short, or nested without end."""

_PLAIN = frozenset({"CS", "DA", "DS", "DT", "FD", "FL", "IS", "SL", "SS", "TM", "UI", "UL", "US"})
"""Kinds of values whose bytes alone tell what they are, whatever the character set."""

_MOST_REMEMBERED = 10_000
"""Values that are not read again."""

_UNTYPED = {2: "<h", 4: "<f", 8: "<d"}
"""How a private number of unknown VR is read, by its length in bytes."""


@dataclass(frozen=True, slots=True)
class Private:
    """A private attribute: its group, its creator and its number within the creator's block.

    The block's own number depends on what else is in the group (DICOM PS3.5, 7.8.1), so it is looked up.
    """

    group: int
    creator: str
    element: int

    def find(self, place: Dataset) -> DataElement | None:
        """Return the attribute, or None where it is absent."""
        if _creators(self.group).isdisjoint(place.keys()):  # pydicom would copy the group to find that out
            return None
        try:
            return place.private_block(self.group, self.creator)[self.element]
        except KeyError:
            return None

    def __str__(self) -> str:
        return f"({self.group:04X},xx{self.element:02X})"


@cache
def _creators(group: int) -> frozenset[int]:
    """Return the tags of a group that name its private blocks."""
    return frozenset(group << 16 | block for block in range(0x10, 0x100))


Key = str | Private
"""An attribute's keyword, or a private attribute."""


class Header:
    """Attributes of one image.

    In an enhanced object the frame's own groups come first, then the shared groups, then the top level
    (DICOM PS3.3, C.7.6.16): the same question works for both kinds of object.
    """

    def __init__(self, dataset: Dataset, frame: int | None = None) -> None:
        self.frame = frame
        self.odd: set[str] = set()
        """Attributes asked for whose values are no finite numbers, or break their own kind: they were ignored."""
        self._known: dict[Key, Any] = {}
        self._places = [dataset] if frame is None else [*_groups(dataset, frame), dataset]
        if frame is not None and not len(dataset.PerFrameFunctionalGroupsSequence[frame]):
            self.odd.add("PerFrameFunctionalGroupsSequence")

    def value(self, key: Key) -> Any:
        """Return an attribute's raw value, or None where it is absent or empty."""
        if key not in self._known:
            self._known[key] = next((value for value in self._values(key) if not _is_empty(value)), None)
        return self._known[key]

    def _values(self, key: Key) -> Iterator[Any]:
        for place in self._places:
            try:
                if isinstance(key, Private):
                    element = key.find(place)
                    yield None if element is None else element.value
                else:
                    yield _value(place, _tag(key))
            except DAMAGE:  # a value that breaks its own VR says nothing
                self.odd.add(str(key))

    def numbers(self, key: Key) -> tuple[float, ...]:
        """Return an attribute as numbers; empty where it is absent, not numeric, or not finite."""
        value = self.value(key)
        if value is None:
            return ()
        found = _numbers(value)
        if not all(math.isfinite(number) for number in found):
            self.odd.add(str(key))
            return ()
        return found

    def number(self, key: Key) -> float | None:
        """Return the first number of an attribute, or None."""
        return next(iter(self.numbers(key)), None)

    def words(self, key: Key) -> tuple[str, ...]:
        """Return an attribute as upper-case words, such as those of the image type."""
        value = self.value(key)
        if value is None:
            return ()
        if isinstance(value, bytes):
            value = value.decode("ascii", "ignore").split("\\")
        items = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        return tuple(str(item).strip(" \0").upper() for item in items)

    def text(self, key: Key) -> str:
        """Return an attribute as text, empty where absent."""
        value = self.value(key)
        if isinstance(value, bytes):
            value = value.decode("ascii", "ignore")
        return "" if value is None else str(value).strip(" \0")


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


def _value(place: Dataset, tag: BaseTag) -> Any:
    """Return the value of an attribute of the standard, or None where it is absent."""
    raw: Any = place.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.VR in _PLAIN and isinstance(raw.value, bytes):
        return _read(tag, raw.VR, raw.value, raw.is_little_endian)
    return None if raw is None else place[tag].value


@lru_cache(maxsize=_MOST_REMEMBERED)
def _read(tag: BaseTag, vr: str, value: bytes, is_little_endian: bool) -> Any:
    """Read a value: the slices of an image share most of them."""
    raw = RawDataElement(tag, vr, len(value), value, 0, is_implicit_VR=False, is_little_endian=is_little_endian)
    return convert_raw_data_element(raw).value


def frame_count(dataset: Dataset) -> int | None:
    """Return the number of frames of an enhanced object, or None for a classic one."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    return len(groups) if groups else None


def _groups(dataset: Dataset, frame: int) -> list[Dataset]:
    own = dataset.PerFrameFunctionalGroupsSequence[frame]
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    containers = [own, *shared]
    return [
        element.value[0]
        for container in containers
        for element in container
        if isinstance(element.value, Sequence) and len(element.value)
    ]


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, bytes):
        return _untyped_numbers(value)
    items = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    try:
        return tuple(float(item) for item in items)
    except OverflowError:  # a whole number beyond all floating-point ones
        return (math.inf,)
    except (TypeError, ValueError):
        return ()


def _is_empty(value: object) -> bool:
    return value is None or value in ("", b"") or (isinstance(value, (MultiValue, list)) and not value)


def _untyped_numbers(value: bytes) -> tuple[float, ...]:
    code = _UNTYPED.get(len(value))
    return () if code is None else tuple(float(number) for number in struct.unpack(code, value))
