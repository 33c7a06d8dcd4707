"""What tissue as it is believed to be makes of the T1 that a sequence reads, before any pair was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.shapes import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorCorrection:
    """The logarithm of the wanted over the read T1, and its SD."""

    knots: tuple[float, ...]
    """log T1 that is read."""

    factors: tuple[tuple[float, float, float], ...]
    """At each knot: at nominal transmit field, and its slope and bend with the field."""

    variances: tuple[float, ...]
    """At each knot."""

    fields: tuple[float, float]
    """Transmit fields that were played."""

    @classmethod
    def of(cls, numbers: Mapping[str, Sequence[float]]) -> PriorCorrection:
        """Return what `numbers` were taken of."""
        rows = list(zip(*(numbers[name] for name in ("constants", "slopes", "bends")), strict=True))
        low, high = numbers["fields"]
        return cls(
            knots=tuple(numbers["knots"]),
            factors=tuple((a, b, c) for a, b, c in rows),
            variances=tuple(numbers["variances"]),
            fields=(low, high),
        )

    @property
    def numbers(self) -> dict[str, tuple[float, ...]]:
        """Return all numbers by name, for a file."""
        constants, slopes, bends = zip(*self.factors, strict=True)
        return {
            "knots": self.knots, "constants": constants, "slopes": slopes, "bends": bends,
            "variances": self.variances, "fields": self.fields,
        }  # fmt: skip

    def holds(self, time: Map, transmit: Map) -> Map:
        """Tell where T1 [s] and transmit field are within what was played."""
        low, high = np.exp(self.knots[0]), np.exp(self.knots[-1])
        with np.errstate(invalid="ignore"):
            inside: Map = (time >= low) & (time <= high) & (transmit >= self.fields[0]) & (transmit <= self.fields[1])
        return inside

    def log_factor(self, time: Map, transmit: Map) -> Map:
        """Return log of the wanted over the read T1 [s], held constant beyond the last knots."""
        off = transmit - 1
        constant, slope, bend = (np.interp(np.log(time), self.knots, row) for row in zip(*self.factors, strict=True))
        factor: Map = constant + off * (slope + off * bend)
        return factor

    def sd(self, time: Map) -> Map:
        """Return the SD of that logarithm."""
        sd: Map = np.sqrt(np.interp(np.log(time), self.knots, self.variances))
        return sd
