"""What a user says about a scan where its metadata are silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bids_t1.data.sidecar import PLAUSIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bids_t1.data.sidecar import Sidecar


@dataclass(frozen=True, slots=True)
class Numbers:
    """A field of a protocol file that holds numbers."""

    accepts: Callable[[float], bool]
    expected: str
    most_values: int | None = None
    """None where there may be one value per readout."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A field of a protocol file that holds one of some words."""

    choices: tuple[str, ...]


ProtocolField = Numbers | Texts


def plausible(key: str, most_values: int | None = None) -> Numbers:
    """Return what a sidecar may hold under the same name."""
    range_ = PLAUSIBLE[key]
    in_seconds = ". BIDS times are in seconds: divide by 1000 if these are milliseconds"
    return Numbers(range_.holds, range_.expected + (in_seconds if range_.unit == "seconds" else ""), most_values)


@dataclass(frozen=True, slots=True)
class Protocol:
    """The tables of a protocol file, by sequence: they complete sidecars and never replace what is in one."""

    tables: Mapping[str, Sidecar] = field(default_factory=dict)
    """Fields named as in BIDS, times in seconds, angles in degrees; lists hold one value per readout."""

    def of(self, sequence: str) -> Sidecar | None:
        """Return the table of a sequence, such as MP2RAGE, or None."""
        return self.tables.get(sequence)
