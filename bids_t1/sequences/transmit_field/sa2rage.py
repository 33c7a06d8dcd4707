"""Sa2RAGE: two gradient-echo trains after a saturation pulse, read by look-up (TB1SRGE)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.transmit_field.limits import flip_angle

SATURATION = math.pi / 2
"""Nominal angle of the saturation pulse [rad] (Eggenschwiler et al. 2012)."""

LARGEST_EXCITATION = math.pi / 4
"""Below 90 degrees at twice the nominal field [rad]."""

FIELDS = np.linspace(0.1, 2.0, 381)
"""Relative transmit fields of the look-up table."""

NOMINAL = int(np.argmin(np.abs(FIELDS - 1)))

ROUNDING = 1e-6
"""Times that end this much too late are rounded in the metadata [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sa2rage:
    """Saturation, two gradient-echo trains, repeated every cycle (Eggenschwiler et al. 2012, doi 10.1002/mrm.23145).

    The saturation pulse turns Mz into Mz cos(b1 90 degrees); the first train sees what it left, the second one what
    recovered. Their ratio S1 / S2 falls with b1 and depends little on T1, which is assumed. S1 changes its sign a
    little above the nominal field, so that magnitudes alone do not tell b1.
    """

    cycle_time: float
    """Delay between two saturation pulses [s]."""

    inversion_times: tuple[float, float]
    """Delay between saturation and k-space centre of each train [s]."""

    excitation_times: tuple[float, float]
    """Delay between two excitations of each train [s]."""

    flip_angles: tuple[float, float]
    """Nominal flip angles of each train [degree]."""

    excitations: tuple[tuple[float, float], tuple[float, float]]
    """Number of excitations before and after the k-space centre of each train."""

    t1: float
    """Relaxation time assumed everywhere [s]."""

    def __post_init__(self) -> None:
        if max(flip_angle(angle) for angle in self.flip_angles) > LARGEST_EXCITATION:
            raise InvalidInputError(
                f"FlipAngle is {self.flip_angles[0]:g} and {self.flip_angles[1]:g}; expected the excitations of both "
                "trains in degrees, below 45. Correct the sidecars."
            )
        if min(self.delays) < -ROUNDING:
            raise InvalidInputError(
                f"the trains do not fit into the cycle: InversionTime {self.inversion_times} s, NumberShots "
                f"{[list(pair) for pair in self.excitations]}, RepetitionTimeExcitation {self.excitation_times} s, "
                f"RepetitionTimePreparation {self.cycle_time:g} s leave delays of "
                f"{', '.join(f'{delay:.4f}' for delay in self.delays)} s; expected none below 0. Check these numbers."
            )

    @property
    def delays(self) -> tuple[float, float, float]:
        """Times without pulses [s]: before the first train, between the trains, after the second one."""
        trains = zip(self.inversion_times, self.excitations, self.excitation_times, strict=True)
        (start, end), (next_start, next_end) = ((ti - n[0] * tr, ti + n[1] * tr) for ti, n, tr in trains)
        return start, next_start - end, self.cycle_time - next_end

    def ratio(self, transmit: np.ndarray) -> np.ndarray:
        """Return S1 / S2 of the steady state at relative transmit fields."""
        steps = self._steps(transmit)
        survival, recovered = np.cos(SATURATION * transmit), np.zeros_like(transmit)
        for decay, gain in steps:
            survival, recovered = survival * decay, recovered * decay + gain
        magnetisation = np.cos(SATURATION * transmit) * recovered / (1 - survival)
        # Steps: rest, before the centre, after it; twice; rest. Centres are reached after the second and the fifth.
        centres = []
        for index, (decay, gain) in enumerate(steps):
            magnetisation = magnetisation * decay + gain
            if index in {1, 4}:
                centres.append(magnetisation)
        first, second = (math.radians(angle) * transmit for angle in self.flip_angles)
        ratio: np.ndarray = centres[0] * np.sin(first) / (centres[1] * np.sin(second))
        return ratio

    def _steps(self, transmit: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what the cycle does to the magnetisation after its saturation: m -> decay m + gain, step by step."""
        rests = [np.full_like(transmit, math.exp(-max(delay, 0.0) / self.t1)) for delay in self.delays]
        steps = []
        for rest, tr, angle, pair in zip(
            rests, self.excitation_times, self.flip_angles, self.excitations, strict=False
        ):
            relaxation = math.exp(-tr / self.t1)
            left = np.cos(math.radians(angle) * transmit) * relaxation
            end = (1 - relaxation) / (1 - left)
            steps.append((rest, 1 - rest))
            steps += [(left**n, end * (1 - left**n)) for n in pair]
        return [*steps, (rests[-1], 1 - rests[-1])]

    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Return fields around the nominal one over which the ratio falls, and the ratios."""
        ratios = self.ratio(FIELDS)
        rising = np.flatnonzero(np.diff(ratios) >= 0)
        start = max((int(index) + 1 for index in rising if index < NOMINAL), default=0)
        stop = min((int(index) + 1 for index in rising if index >= NOMINAL), default=len(FIELDS))
        return FIELDS[start:stop], ratios[start:stop]

    @property
    def valid(self) -> tuple[float, float]:
        """Relative fields that the ratio tells."""
        fields, _ = self._table()
        return float(fields[0]), float(fields[-1])

    def transmit(self, ratio: np.ndarray) -> np.ndarray:
        """Return the relative transmit field from signed ratios S1 / S2; NaN beyond the look-up table."""
        fields, ratios = self._table()
        found: np.ndarray = np.interp(ratio, ratios[::-1], fields[::-1], left=np.nan, right=np.nan)
        return found
