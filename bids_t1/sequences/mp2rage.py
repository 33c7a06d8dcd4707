"""MP2RAGE, MP3RAGE and any number of gradient-echo readouts after one inversion."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sequences import name_of_readouts
from bids_t1.sequences.flip_angles import listed, require_degrees

if TYPE_CHECKING:
    from bids_t1.data.shapes import Readouts, Times

DEFAULT_EFFICIENCY = 0.96
"""Inversion efficiency of an adiabatic pulse (Marques et al. 2010)."""

DEFAULT_EFFICIENCY_SD = 0.025
"""What adiabatic pulses differ by between scanners, tissues and places."""

OLSSON_PULSES = {"olsson-tr-foci": (1.0214, -0.39871), "olsson-hs": (1.0435, -0.4480)}
"""Efficiency and its slope with R1 [s] by pulse (Olsson et al. 2025, doi 10.1002/nbm.70067)."""

OLSSON_FIELD = 7.0
"""The only field at which they were measured [T]."""

ADIABATIC_SHARE = 0.95
"""Share of its best efficiency below which a pulse is taken as adiabatic no longer."""

LONGEST_EXCITATION_TIME = 0.1
"""Excitations of a gradient-echo train follow one another faster than this, cycles do not [s]."""

ROUNDING = 1e-6
"""Times that end this much too late are rounded in the metadata [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mp2rage:
    """An inversion, then n gradient-echo trains, repeated every cycle.

    Marques et al. 2010, doi 10.1016/j.neuroimage.2009.10.002, for any number of readouts. A train of
    N = before + after excitations has the k-space centre after the first `before` of them, at its inversion time.
    """

    cycle_time: float
    """Delay between two inversions [s]."""

    inversion_times: tuple[float, ...]
    """Delay between inversion and k-space centre of each readout [s]."""

    excitation_times: tuple[float, ...]
    """Delay between two excitations of each train [s]."""

    flip_angles: tuple[float, ...]
    """Nominal flip angle of each train [rad]."""

    excitations: tuple[tuple[float, float], ...]
    """Number of excitations before and after the k-space centre of each train; halves are those of odd numbers."""

    efficiency: float = DEFAULT_EFFICIENCY
    """Inversion efficiency: an inversion turns m into -efficiency m."""

    efficiency_slope: float = 0.0
    """Change of the efficiency with R1 [s] (Olsson et al. 2025, doi 10.1002/nbm.70067)."""

    efficiency_sd: float = 0.0
    """SD of a normal distribution of the efficiency; 0: it is known."""

    efficiency_curve: tuple[tuple[float, float], ...] = ()
    """Pairs of the transmit field, rising, and the efficiency there over the one that was told; interpolated, and the
    same beyond its ends. Empty: an adiabatic pulse at any field."""

    efficiency_shift: float = 0.0
    """Added to the efficiency."""

    def __post_init__(self) -> None:
        n = len(self.inversion_times)
        if n < 2 or {len(self.excitation_times), len(self.flip_angles), len(self.excitations)} != {n}:  # noqa: PLR2004
            raise InvalidInputError(
                f"{n} inversion times, {len(self.excitation_times)} excitation times, {len(self.flip_angles)} flip "
                f"angles and {len(self.excitations)} numbers of shots; expected one of each per readout, at least two."
            )
        require_degrees(self.flip_angles)
        self._check_trains()
        self._check_efficiency()
        self._check_delays()

    def _check_trains(self) -> None:
        for time in self.excitation_times:
            if not 0 < time < LONGEST_EXCITATION_TIME:
                raise InvalidInputError(
                    f"RepetitionTimeExcitation is {time:g}; expected seconds, below {LONGEST_EXCITATION_TIME:g}: the "
                    "delay between two excitations of a train. Divide by 1000 if these are milliseconds."
                )
        if any(min(pair) < 0 or sum(pair) < 1 for pair in self.excitations):
            raise InvalidInputError(
                f"NumberShots is {[list(pair) for pair in self.excitations]}; expected the excitations before and "
                "after the k-space centre, not negative, together at least 1."
            )

    def _check_efficiency(self) -> None:
        are_numbers = math.isfinite(self.efficiency) and math.isfinite(self.efficiency_slope)
        if not are_numbers or not (0 < self.efficiency <= 1 or self.efficiency_slope):
            raise InvalidInputError(f"InversionEfficiency is {self.efficiency:g}; expected above 0 and at most 1.")
        if not 0 <= self.efficiency_sd < 1:
            raise InvalidInputError(f"InversionEfficiencySD is {self.efficiency_sd:g}; expected 0 or more and below 1.")

    def _check_delays(self) -> None:
        """Refuse what cannot be played: trains that overlap, begin before the inversion or end after the cycle."""
        if list(self.inversion_times) != sorted(set(self.inversion_times)):
            raise InvalidInputError(
                f"InversionTime is {listed(self.inversion_times)} s in the order of the readouts; expected rising "
                "times. Check which image is which readout."
            )
        for index, delay in enumerate(self.delays):
            if delay < -ROUNDING:
                before, after = self._surroundings(index)
                raise InvalidInputError(
                    f"{before} and {after} overlap by {-delay:.4f} s: InversionTime {listed(self.inversion_times)} s, "
                    f"NumberShots {[list(pair) for pair in self.excitations]}, RepetitionTimeExcitation "
                    f"{listed(self.excitation_times)} s, RepetitionTimePreparation {self.cycle_time:g} s. "
                    "Expected trains one after the other within the cycle; check these numbers."
                )

    def _surroundings(self, index: int) -> tuple[str, str]:
        before = f"readout {index}" if index else "the inversion"
        after = f"readout {index + 1}" if index < self.n_readouts else "the next inversion"
        return before, after

    @property
    def n_readouts(self) -> int:
        """Number of readouts."""
        return len(self.inversion_times)

    @property
    def name(self) -> str:
        """MP2RAGE for two readouts, MP3RAGE for three and more."""
        return name_of_readouts(self.n_readouts)

    def at_time(self, readout: int, factor: float) -> Mp2rage | None:
        """Return this with the inversion time of a readout times a factor; None where that cannot be played."""
        times = list(self.inversion_times)
        times[readout] *= factor
        try:
            return replace(self, inversion_times=tuple(times))
        except InvalidInputError:
            return None

    @property
    def delays(self) -> tuple[float, ...]:
        """Times without pulses [s]: before the first train, between trains, after the last one."""
        starts = [ti - n[0] * tr for ti, n, tr in self._trains()]
        ends = [ti + n[1] * tr for ti, n, tr in self._trains()]
        pairs = zip([0.0, *ends], [*starts, self.cycle_time], strict=True)
        return tuple(start - end for end, start in pairs)

    def _trains(self) -> tuple[tuple[float, tuple[float, float], float], ...]:
        return tuple(zip(self.inversion_times, self.excitations, self.excitation_times, strict=True))

    @property
    def is_exact(self) -> bool:
        """Whether the inversion efficiency is known."""
        return self.efficiency_sd == 0

    def at_score(self, score: float) -> Mp2rage:
        """Return the model with an efficiency of so many SDs from its mean."""
        return replace(self, efficiency_shift=score * self.efficiency_sd)

    @property
    def lowest_transmit(self) -> float:
        """Transmit field below which the pulse is no longer adiabatic; 0 where nothing is known of it."""
        weak = [field for field, factor in self._fine_curve() if factor < ADIABATIC_SHARE]
        return max((field for field in weak if field < 1), default=0.0)

    def _fine_curve(self) -> list[tuple[float, float]]:
        if not self.efficiency_curve:
            return []
        fields, factors = zip(*self.efficiency_curve, strict=True)
        fine = np.linspace(0, 1, 1001)
        values = np.interp(fine, fields, factors)
        return list(zip(fine.tolist(), (values / max(factors)).tolist(), strict=True))

    def inversion_efficiency(self, time: Times, transmit: Times | None = None) -> Times:
        """Return the efficiency at relaxation times [s] and relative transmit fields, nominal by default.

        Magnetisation transfer lowers it where R1 is high, a weak field where the pulse is adiabatic no longer.
        """
        efficiency = self.efficiency + self.efficiency_slope / time
        if self.efficiency_curve and transmit is not None:
            efficiency = efficiency * _interpolate(self.efficiency_curve, transmit)
        return (efficiency.clamp(0.0, 1.0) + self.efficiency_shift).clamp_min(0.0)

    def signals(self, time: Times, transmit: Times) -> Readouts:
        """Return the signal of each readout relative to the equilibrium signal.

        Parameters
        ----------
        time
            T1 [s].
        transmit
            Transmit field relative to nominal; broadcasts with `time`.
        """
        time, transmit = time + torch.zeros_like(transmit), transmit + torch.zeros_like(time)
        rests = [torch.exp(-max(delay, 0.0) / time) for delay in self.delays]
        trains = [
            _Train(tr, angle, time, transmit) for tr, angle in zip(self.excitation_times, self.flip_angles, strict=True)
        ]
        efficiency = self.inversion_efficiency(time, transmit)
        recovered = 1 - rests[0]
        survival = rests[0]
        for train, n, rest in zip(trains, self.excitations, rests[1:], strict=True):
            recovered = train.play(recovered, sum(n)) * rest + 1 - rest
            survival = survival * train.decay ** sum(n) * rest
        before_inversion = recovered / (1 + efficiency * survival)
        magnetisation = 1 - rests[0] * (1 + efficiency * before_inversion)
        signals = []
        for train, (before, after), rest in zip(trains, self.excitations, rests[1:], strict=True):
            magnetisation = train.play(magnetisation, before)
            signals.append(magnetisation * torch.sin(train.angle))
            magnetisation = train.play(magnetisation, after) * rest + 1 - rest
        return torch.stack(signals)

    def uni(self, time: Times, transmit: Times) -> Times:
        """Return S of the first two readouts, in [-1/2, 1/2]."""
        first, second = self.signals(time, transmit)[:2]
        uni: Times = first * second / (first.square() + second.square())
        return uni


class _Train:
    """A gradient-echo train at given relaxation times and transmit fields."""

    def __init__(self, excitation_time: float, flip_angle: float, time: Times, transmit: Times) -> None:
        recovery = -torch.expm1(-excitation_time / time)
        self.angle = flip_angle * transmit
        self.decay = torch.cos(self.angle) * (1 - recovery)
        """Share of the magnetisation that is left after one excitation and its wait."""
        self.steady = recovery / (1 - self.decay)
        """Magnetisation that a long train ends at."""

    def play(self, magnetisation: Times, n: float) -> Times:
        """Return the magnetisation after n excitations."""
        return self.steady + (magnetisation - self.steady) * self.decay**n


def _interpolate(curve: tuple[tuple[float, float], ...], transmit: Times) -> Times:
    fields, factors = torch.tensor(curve, dtype=transmit.dtype, device=transmit.device).T.contiguous()
    right = torch.searchsorted(fields, transmit.contiguous()).clamp(1, len(fields) - 1)
    share = (transmit - fields[right - 1]) / (fields[right] - fields[right - 1])
    return torch.lerp(factors[right - 1], factors[right], share.clamp(0.0, 1.0))
