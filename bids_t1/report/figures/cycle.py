"""The timing of one MP2RAGE cycle as its record tells it, and the magnetisation along it, to be drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.report.words.record import numbers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROUNDING = 1e-5
"""Trains may overlap by this much: times in metadata are rounded [s]."""

RIGHT_ANGLE = 90.0
PAIR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """One gradient-echo train."""

    inversion_time: float
    """Inversion to k-space centre [s]."""

    flip_angle: float
    """Nominal [degree]."""

    excitation_time: float
    """Delay between two excitations [s]."""

    before: float
    after: float
    """Number of excitations before and after the k-space centre."""

    @property
    def start(self) -> float:
        """Begin of the train after the inversion [s]."""
        return self.inversion_time - self.before * self.excitation_time

    @property
    def end(self) -> float:
        """End of the train after the inversion [s]."""
        return self.inversion_time + self.after * self.excitation_time

    @property
    def is_possible(self) -> bool:
        """Whether a scanner could play it."""
        return (
            min(self.before, self.after) >= 0
            and self.before + self.after > 0
            and self.excitation_time > 0
            and 0 < self.flip_angle <= RIGHT_ANGLE
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """An inversion and the trains after it, repeated."""

    trains: tuple[Train, ...]
    duration: float
    """Delay between two inversions [s]."""

    efficiency: float
    efficiency_slope: float
    """Change of the efficiency with R1 [s]."""

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> Cycle | None:
        """Read the timing of a run; None where it is incomplete or no scanner could play it."""
        scalars = (
            record.get("RepetitionTimePreparation"),
            record.get("InversionEfficiency"),
            record.get("InversionEfficiencySlope", 0.0),
        )
        trains, single = _trains(record), numbers_of(scalars)
        if not trains or len(single) != len(scalars):
            return None
        cycle = cls(trains=trains, duration=single[0], efficiency=single[1], efficiency_slope=single[2])
        possible = all(train.is_possible for train in trains) and min(cycle.delays) >= -ROUNDING
        return cycle if possible else None

    @property
    def delays(self) -> tuple[float, ...]:
        """Times without pulses: before the first train, between trains, after the last one [s]."""
        ends = [0.0, *(train.end for train in self.trains)]
        starts = [*(train.start for train in self.trains), self.duration]
        return tuple(start - end for end, start in zip(ends, starts, strict=True))

    def magnetisation(self, t1: float, n: int = 400) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return times and the longitudinal magnetisation at them, in the steady state and relative to equilibrium.

        Both delays and trains are exponential approaches, trains with the mean rate of their excitations; B1+ is
        nominal.
        """
        efficiency = min(max(self.efficiency + self.efficiency_slope / t1, 0.0), 1.0)
        times = np.linspace(0.0, self.duration, n)
        from_zero, from_one = (self._course(times, t1, start) for start in (0.0, 1.0))
        offset, gain = from_zero[-1], from_one[-1] - from_zero[-1]
        after_inversion = -efficiency * offset / (1 + efficiency * gain)
        return times, from_zero + after_inversion * (from_one - from_zero)

    def _course(self, times: NDArray[np.float64], t1: float, start: float) -> NDArray[np.float64]:
        """Return the magnetisation at times when it is `start` right after the inversion."""
        values = np.empty_like(times)
        begin, value = 0.0, start
        for end, steady, rate in self._segments(t1):
            inside = times >= begin
            values[inside] = steady + (value - steady) * np.exp(-rate * (times[inside] - begin))
            value = steady + (value - steady) * math.exp(-rate * (end - begin))
            begin = end
        return values

    def _segments(self, t1: float) -> list[tuple[float, float, float]]:
        """Return for each delay and train when it ends, what it leads to and how fast."""
        segments = []
        for train in self.trains:
            recovery = -math.expm1(-train.excitation_time / t1)
            kept = math.cos(math.radians(train.flip_angle)) * (1 - recovery)
            segments.append((train.start, 1.0, 1 / t1))
            segments.append((train.end, recovery / (1 - kept), -math.log(kept) / train.excitation_time))
        return [*segments, (self.duration, 1.0, 1 / t1)]


def _trains(record: Mapping[str, object]) -> tuple[Train, ...]:
    """Read the trains of a run; none where they are incomplete."""
    columns = [numbers_of(record.get(key)) for key in ("InversionTimes", "FlipAngles", "RepetitionTimesExcitation")]
    shots = record.get("NumberShotsPerReadout")
    pairs = [numbers_of(pair) for pair in shots] if isinstance(shots, Sequence) else []
    if {len(pairs), *map(len, columns)} != {len(pairs)} or any(len(pair) != PAIR for pair in pairs):
        return ()
    return tuple(
        Train(inversion_time=ti, flip_angle=angle, excitation_time=tr, before=pair[0], after=pair[1])
        for ti, angle, tr, pair in zip(*columns, pairs, strict=True)
    )
