"""Spin and stimulated echoes of the pulses alpha, 2 alpha and alpha, at several alpha (TB1EPI)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.transmit_field.limits import arc_cosine, flip_angle, quotient

LONGEST_MIXING_TIME = 1.0
"""Stimulated echoes after more are lost [s]."""

LEAST_WEIGHT = 1e-6
"""Of the strongest spin echo, below which no angle counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StimulatedEcho:
    """A spin echo SE of alpha and 2 alpha, and the stimulated echo STE that a third pulse alpha makes of the rest.

    cos(b1 alpha) = STE exp(TM / T1) / SE (Jiru & Klose 2006, doi 10.1002/mrm.21083; Lutti et al. 2010, doi
    10.1002/mrm.22421). Magnitudes lose the sign beyond 90 degrees; with several angles it is that of the straight
    line through the origin, of slope b1, that fits achieved against nominal angles best.
    """

    flip_angles: tuple[float, ...]
    """Nominal alpha of each pair of images [degree]."""

    mixing_time: float
    """TM, between the second and the third pulse [s]."""

    t1: float
    """Relaxation time assumed everywhere [s]."""

    def __post_init__(self) -> None:
        for angle in self.flip_angles:
            flip_angle(angle)
        if not 0 < self.mixing_time < LONGEST_MIXING_TIME:
            raise InvalidInputError(
                f"MixingTime is {self.mixing_time:g}; expected seconds, below {LONGEST_MIXING_TIME:g}. Divide by 1000 "
                "if these are milliseconds."
            )

    @property
    def limit(self) -> float:
        """Largest relative field that the magnitudes tell: at which the smallest angle reaches 90 degrees."""
        return (math.pi / 2) / flip_angle(min(self.flip_angles))

    def transmit(self, spin: np.ndarray, stimulated: np.ndarray) -> np.ndarray:
        """Return the relative transmit field from magnitudes (angle, *voxels); NaN where they tell none."""
        order = np.argsort(self.flip_angles)
        spin, stimulated = spin[order], stimulated[order]
        nominal = np.radians(np.array(self.flip_angles)[order]).reshape(-1, *(1,) * (spin.ndim - 1))
        ratio = quotient(stimulated, spin) * math.exp(self.mixing_time / self.t1)
        angle = arc_cosine(ratio)
        # Noise of an angle: that of the ratio, about 1 / SE, over the slope of the cosine.
        precision = np.where(np.isfinite(angle), spin * np.sin(angle), 0.0) ** 2
        precision[precision <= LEAST_WEIGHT * np.max(spin, axis=0, initial=0.0) ** 2] = 0.0
        angle = np.where(precision > 0, angle, 0.0)
        best = np.full(spin.shape[1:], np.nan)
        least = np.full(spin.shape[1:], np.inf)
        for beyond in range(len(nominal)):  # how many of the largest angles exceed 90 degrees; never all
            folded = np.arange(len(nominal)).reshape(nominal.shape) >= len(nominal) - beyond
            achieved = np.where(folded, np.pi - angle, angle)
            slope = quotient((precision * nominal * achieved).sum(0), (precision * nominal**2).sum(0))
            misfit = (precision * (achieved - slope * nominal) ** 2).sum(0)
            better = misfit < least
            best, least = np.where(better, slope, best), np.where(better, misfit, least)
        return best
