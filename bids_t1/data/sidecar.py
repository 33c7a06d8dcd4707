"""Metadata of one image: untrusted JSON, read into checked SI values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_TIME = 30.0
"""No inversion, repetition or echo time is longer; larger numbers are milliseconds [s]."""


@dataclass(frozen=True, slots=True)
class Plausible:
    """What a number of metadata can be: wider than any scanner, narrower than another unit."""

    least: float
    below: float
    unit: str = "seconds"

    def holds(self, value: float) -> bool:
        """Tell whether a number can be meant."""
        return self.least <= value < self.below

    @property
    def expected(self) -> str:
        """The range in words."""
        return f"{self.unit}, at least {self.least:g} and below {self.below:g}"

    def complaint(self, value: float) -> str:
        """Say what was expected in place of a number beyond the range, and what to do."""
        if value <= 0:
            return f"{self.unit}, above 0. Correct the sidecar."
        if value < self.least:
            return f"{self.unit}, {self.least:g} or more. Correct the sidecar."
        if self.unit == "seconds":
            return (
                f"seconds, below {self.below:g}. BIDS times are in seconds: divide by 1000 if these are milliseconds."
            )
        return f"{self.unit}, below {self.below:g}. Correct the sidecar."


TIME = Plausible(1e-3, LONGEST_TIME)
"""A time that has no range of its own."""

PLAUSIBLE: Mapping[str, Plausible] = {
    "InversionTime": TIME,
    "InversionTimes": TIME,
    "RepetitionTime": TIME,
    "RepetitionTimePreparation": TIME,
    "RepetitionTimeInversion": TIME,
    "RecoveryTime": TIME,
    "RepetitionTimeExcitation": Plausible(5e-4, LONGEST_TIME),
    "EchoTime": Plausible(5e-5, 1.0),
    "MixingTime": TIME,
    "FlipAngle": Plausible(0.01, 360.0, "degrees"),
    "MagneticFieldStrength": Plausible(0.01, 25.0, "tesla"),
}
"""By field: what is shorter than any pulse is in a wrong unit as surely as what is longer than any cycle."""


FROM_PROTOCOL = "ProtocolFields"
"""Private field of a sidecar: those of its fields that come from the user's protocol file."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The metadata that apply to one image, inheritance included."""

    name: str
    """File name for messages, such as ``sub-01_inv-1_IRT1.json``."""

    fields: Mapping[str, object]
    origin: str = "sidecar"
    """What it is, in words."""

    behind: Sidecar | None = None
    """What the protocol file says of the image: it counts where the sidecar is silent."""

    @property
    def alone(self) -> Sidecar:
        """The same without what stands behind it."""
        return replace(self, behind=None)

    def holder_of(self, key: str) -> Sidecar:
        """Return what tells a field: the sidecar, or what stands behind it where it is silent."""
        return self if self.behind is None or self.fields.get(key) is not None else self.behind

    def get(self, key: str) -> object:
        """Return a field as it is, or None where it is missing."""
        return self.holder_of(key).fields.get(key)

    def origin_of(self, key: str) -> str:
        """Say where a field comes from: conversion notes in the sidecar which ones it took from the protocol file."""
        holder = self.holder_of(key)
        completed = holder.fields.get(FROM_PROTOCOL)
        by_user = isinstance(completed, list) and key in completed
        return "protocol file, at conversion" if by_user else holder.origin

    def seconds(self, key: str) -> float | None:
        """Return a time [s], or None where the field is missing.

        Raises
        ------
        InvalidInputError
            If it is no number, or none that such a time can be: zero, or so large that it must be milliseconds.
        """
        return _within(self.holder_of(key), key, PLAUSIBLE.get(key, TIME))

    def number(self, key: str) -> float | None:
        """Return a finite number, or None where the field is missing; a list of one number is that number.

        Raises
        ------
        InvalidInputError
            If the field holds anything else, or what `PLAUSIBLE` excludes.
        """
        return _within(self.holder_of(key), key, PLAUSIBLE.get(key))

    def text(self, key: str) -> str | None:
        """Return a text field, or None where it is missing or no text."""
        value = self.get(key)
        return value if isinstance(value, str) else None

    def numbers(self, key: str) -> tuple[float, ...] | None:
        """Return a list of finite numbers, one number as a list of one; None where the field is missing.

        Raises
        ------
        InvalidInputError
            If the field holds anything else, or what `PLAUSIBLE` excludes.
        """
        holder = self.holder_of(key)
        value = holder.fields.get(key)
        if value is None:
            return None
        values = value if isinstance(value, list | tuple) else [value]
        read = [Sidecar(holder.name, {key: item}).number(key) for item in values]
        if not values or None in read:
            raise InvalidInputError(f"{holder.name}: {key} is {brief(value)}; expected numbers. Correct the sidecar.")
        return tuple(item for item in read if item is not None)


def _within(sidecar: Sidecar, key: str, plausible: Plausible | None) -> float | None:
    value = _number(sidecar.name, key, sidecar.fields.get(key))
    if value is not None and plausible is not None and not plausible.holds(value):
        raise InvalidInputError(f"{sidecar.name}: {key} is {value:g}; expected {plausible.complaint(value)}")
    return value


def _number(name: str, key: str, value: object) -> float | None:
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    number = finite(value)
    if number is None:
        raise InvalidInputError(f"{name}: {key} is {brief(value)}; expected one number. Correct the sidecar.")
    return number


class Unreadable(Mapping[str, object]):
    """Fields that cannot be read: whoever asks for one of them gets the reason."""

    def __init__(self, reason: InvalidInputError) -> None:
        self.reason = reason

    def __getitem__(self, key: str) -> object:
        raise InvalidInputError(str(self.reason))

    def __iter__(self) -> Iterator[str]:
        raise InvalidInputError(str(self.reason))

    def __len__(self) -> int:
        raise InvalidInputError(str(self.reason))


def finite(value: object) -> float | None:
    """Return a finite number of JSON; None for anything else, true and false included."""
    # JSON may hold NaN, and integers too long for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return None
    return float(value)


def brief(value: object, length: int = 80) -> str:
    """Write any value for a message: one line, ASCII, and not longer than a reader wants."""
    text = ascii(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def plain(name: str) -> str:
    """Write the name of a file for a message: in ASCII, for a name need not be text that can be written."""
    return brief(name, 255)[1:-1]


def numbered(count: int, noun: str) -> str:
    """Write a count in figures with its noun: '0 runs', '1 run', '12 runs'."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
