"""Actual flip-angle imaging: equal pulses followed by a short and a long delay in turn (TB1AFI)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.transmit_field.limits import arc_cosine, flip_angle, quotient

if TYPE_CHECKING:
    import numpy as np

LONGEST_FIRST_TIME = 0.2
"""The method takes both delays as much shorter than T1 [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualFlipAngle:
    """Spoiled steady state of pulses alpha that are TR1 and TR2 apart in turn, TR1 < TR2 << T1.

    With r = S2 / S1 and n = TR2 / TR1, b1 = arccos((r n - 1) / (n - r)) / alpha (Yarnykh 2007, doi
    10.1002/mrm.21120). S1 is the image acquired in TR1, after the long delay, and the brighter one. Magnitudes tell
    angles up to that where S2 vanishes, arccos(-1 / n).
    """

    flip_angle: float
    """Nominal flip angle [degree]."""

    repetition_times: tuple[float, float]
    """TR1 and TR2 [s]."""

    def __post_init__(self) -> None:
        flip_angle(self.flip_angle)
        first, second = self.repetition_times
        if not 0 < first < second:
            raise InvalidInputError(
                f"RepetitionTimeExcitation is {first:g} s and {second:g} s; expected two different times, TR1 below "
                "TR2. Both TR of the sequence are in its protocol; converters write one of them to both images."
            )
        if first > LONGEST_FIRST_TIME:
            raise InvalidInputError(
                f"RepetitionTimeExcitation is {first:g} s; expected TR1 up to {LONGEST_FIRST_TIME:g} s: the method "
                "takes it as much shorter than T1. Give the delays after each pulse in seconds."
            )

    @property
    def _n(self) -> float:
        return self.repetition_times[1] / self.repetition_times[0]

    @property
    def limit(self) -> float:
        """Largest relative field that magnitudes tell."""
        return math.acos(-1 / self._n) / flip_angle(self.flip_angle)

    def transmit(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the relative transmit field from the magnitudes in TR1 and in TR2; NaN where they tell none."""
        ratio = quotient(second, first)
        return arc_cosine((ratio * self._n - 1) / (self._n - ratio)) / flip_angle(self.flip_angle)
