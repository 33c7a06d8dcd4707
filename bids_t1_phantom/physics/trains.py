"""The timing of MP2RAGE and MP3RAGE: one inversion, then several trains of small excitations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from bids_t1.data.errors import InvalidInputError, UsageError

_FULL_CIRCLE = 360.0

_ROUNDING = 1e-9
"""Trains that touch may seem to overlap by less than this [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutProtocol:
    """One cycle: inversion, then one spoiled gradient-echo train per inversion time.

    Each train has ``n_before + n_after`` excitations. It begins ``n_before`` excitation times before its inversion
    time and lasts ``n_before + n_after`` of them, so that ``n_before`` pulses have been played when the centre of
    k-space is excited.
    """

    cycle_time: float
    """From one inversion to the next [s]."""

    inversion_times: tuple[float, ...]
    """From the inversion to the excitation of the centre of k-space, one per readout [s]."""

    excitation_times: tuple[float, ...]
    """From one excitation to the next within a train, one per readout or one for all [s]."""

    flip_angles: tuple[float, ...]
    """Nominal, one per readout [degree]."""

    n_before: int
    """Excitations before that of the centre of k-space."""

    n_after: int
    """Excitations from that of the centre of k-space on."""

    echo_time: float = 0.0029
    """From an excitation to its echo, the only or the first one [s]."""

    later_echo_times: tuple[float, ...] = ()
    """Of the second readout, if it has several echoes [s]; then images decay with T2*."""

    slice_partial_fourier: float = 1.0
    """Fraction of the partitions that are played; what is missing is missing before the centre."""

    magnetic_field_strength: float = 3.0
    """[T]."""

    def __post_init__(self) -> None:
        """Refuse what no scanner can play.

        Raises
        ------
        InvalidInputError
            If values do not match each other, are impossible, or trains overlap.
        """
        self._refuse_mismatch()
        for time in (self.cycle_time, *self.inversion_times, *self.excitation_times, self.echo_time):
            if not time > 0:
                raise InvalidInputError(f"{time} s is no time of a protocol; expected seconds above 0.")
        if any(second <= first for first, second in pairwise(self.echo_times)) or (
            self.later_echo_times and self.echo_times[-1] >= self.spacings[1]
        ):
            raise InvalidInputError(
                f"echo times {self.echo_times} s of a readout with an excitation every {self.spacings[1]:g} s; "
                "expected rising ones that end before the next excitation."
            )
        for angle in self.flip_angles:
            if not 0 < angle <= _FULL_CIRCLE:
                raise InvalidInputError(f"flip angle {angle}; expected degrees above 0, up to {_FULL_CIRCLE:g}.")
        self._refuse_overlap()

    def _refuse_mismatch(self) -> None:
        n_readouts = len(self.inversion_times)
        n_angles, n_times = len(self.flip_angles), len(self.excitation_times)
        if n_readouts < 1 or n_angles != n_readouts or n_times not in {1, n_readouts}:
            raise InvalidInputError(
                f"{n_readouts} inversion times, {n_angles} flip angles, {n_times} excitation times; expected "
                "one of each per readout, or one excitation time for all."
            )
        if self.n_before < 0 or self.n_after < 1:
            raise InvalidInputError(
                f"{self.n_before} excitations before and {self.n_after} after the centre of k-space; "
                "expected 0 or more before, and 1 or more after."
            )

    def _refuse_overlap(self) -> None:
        if min(self.delays) < -_ROUNDING:
            delays = ", ".join(f"{delay:.4g}" for delay in self.delays)
            raise InvalidInputError(
                f"inversion times {self.inversion_times} s with {self.n_before} + {self.n_after} excitations every "
                f"{self.excitation_times} s in a cycle of {self.cycle_time} s leave delays of {delays} s between "
                "the trains; expected none below 0. Spread the inversion times, or shorten the trains."
            )

    @property
    def spacings(self) -> tuple[float, ...]:
        """From one excitation to the next, one per readout [s]."""
        n_readouts = len(self.inversion_times)
        return self.excitation_times if len(self.excitation_times) == n_readouts else self.excitation_times * n_readouts

    @property
    def delays(self) -> tuple[float, ...]:
        """Pauses before each train and after the last one [s]."""
        starts = [ti - self.n_before * tr for ti, tr in zip(self.inversion_times, self.spacings, strict=True)]
        ends = [ti + self.n_after * tr for ti, tr in zip(self.inversion_times, self.spacings, strict=True)]
        return tuple(start - end for start, end in zip((*starts, self.cycle_time), (0.0, *ends), strict=True))

    @property
    def n_partitions(self) -> int:
        """Number of partitions of the image, played or not."""
        return round((self.n_before + self.n_after) / self.slice_partial_fourier)

    @property
    def echo_times(self) -> tuple[float, ...]:
        """All echoes of the second readout [s]."""
        return (self.echo_time, *self.later_echo_times)

    def with_slice_partial_fourier(self, fraction: float) -> ReadoutProtocol:
        """Leave out the first partitions: N (fraction - 1/2) stay before the centre, N/2 after it.

        Raises
        ------
        UsageError
            If the fraction is none that scanners offer, or leaves no whole number of excitations.
        """
        if fraction == 1:
            return self
        n_before = self.n_partitions * (fraction - 0.5)
        n_after = self.n_partitions / 2
        if fraction not in PARTIAL_FOURIER or not (n_before.is_integer() and n_after.is_integer()):
            raise UsageError(
                f"slice partial Fourier {fraction} of {self.n_partitions} partitions; expected one of "
                f"{', '.join(f'{value:g}' for value in PARTIAL_FOURIER)} that leaves whole numbers of excitations."
            )
        return replace(self, n_before=int(n_before), n_after=int(n_after), slice_partial_fourier=fraction)


PARTIAL_FOURIER = (0.5, 0.625, 0.75, 0.875, 1.0)
"""Fractions that scanners offer: eighths."""

MP2RAGE = ReadoutProtocol(
    cycle_time=5.0,
    inversion_times=(0.7, 2.5),
    excitation_times=(0.0069,),
    flip_angles=(4.0, 5.0),
    n_before=88,
    n_after=88,
)
"""A common protocol at 3 T."""

MULTI_ECHO_MP2RAGE = ReadoutProtocol(
    cycle_time=8.25,
    inversion_times=(0.67, 3.738),
    excitation_times=(0.0062, 0.031),
    flip_angles=(4.0, 4.0),
    n_before=80,
    n_after=80,
    echo_time=0.003,
)
"""A protocol with room for several echoes in the second readout, as Metere et al. 2017 and Caan et al. 2019 play it.

doi 10.1371/journal.pone.0169265 and 10.1002/hbm.24490; theirs are at 7 T, relaxation times here are those of 3 T.
"""

MP3RAGE = ReadoutProtocol(
    cycle_time=8.25,
    inversion_times=(1.010, 3.310, 5.610),
    excitation_times=(0.006,),
    flip_angles=(4.0, 4.0, 4.0),
    # 225 partitions; a train cannot be cut in the middle of an excitation.
    n_before=112,
    n_after=113,
    echo_time=0.0026,
    magnetic_field_strength=7.0,
)
"""A protocol at 7 T with three readouts: the second and the third tell long T1 from a weak transmit field."""
