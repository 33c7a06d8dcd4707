"""Metadata of one image: untrusted JSON, read into checked SI values."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_TIME = 30.0
"""No inversion, repetition or echo time is longer; larger numbers are milliseconds [s]."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The metadata that apply to one image, inheritance included."""

    name: str
    """File name for messages, such as ``sub-01_inv-1_IRT1.json``."""

    fields: Mapping[str, object]

    def seconds(self, key: str) -> float | None:
        """Return a positive time [s], or None where the field is missing.

        Raises
        ------
        InvalidInputError
            If it is no number, not positive, or so large that it must be milliseconds.
        """
        value = self.number(key)
        if value is None:
            return None
        if value <= 0:
            raise InvalidInputError(f"{self.name}: {key} is {value:g}; expected seconds, above 0. Correct the sidecar.")
        if value >= LONGEST_TIME:
            raise InvalidInputError(
                f"{self.name}: {key} is {value:g}; expected seconds, below {LONGEST_TIME:g}. "
                "BIDS times are in seconds: divide by 1000 if these are milliseconds."
            )
        return value

    def number(self, key: str) -> float | None:
        """Return a finite number, or None where the field is missing.

        Raises
        ------
        InvalidInputError
            If the field holds anything else.
        """
        value = self.fields.get(key)
        if value is None:
            return None
        # JSON may hold NaN, and integers too long for a float.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise InvalidInputError(f"{self.name}: {key} is {value!r}; expected one number. Correct the sidecar.")
        return float(value)

    def text(self, key: str) -> str | None:
        """Return a text field, or None where it is missing or no text."""
        value = self.fields.get(key)
        return value if isinstance(value, str) else None

    def numbers(self, key: str) -> tuple[float, ...] | None:
        """Return a list of finite numbers, one number as a list of one; None where the field is missing.

        Raises
        ------
        InvalidInputError
            If the field holds anything else.
        """
        value = self.fields.get(key)
        values = value if isinstance(value, list | tuple) else [value]
        read = [Sidecar(self.name, {key: item}).number(key) for item in values]
        if value is None:
            return None
        if not values or None in read:
            raise InvalidInputError(f"{self.name}: {key} is {value!r}; expected numbers. Correct the sidecar.")
        return tuple(item for item in read if item is not None)
