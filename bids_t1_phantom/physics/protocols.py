"""The protocol of inversion recovery, and the numbers that all scans share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

WHITE_MATTER_M0 = 1000.0
"""M0 of average white matter [arbitrary]: the signal that SNR is relative to."""

INVERSION_LEAVES = 0.83
"""Of b after an inversion, unless told otherwise: that of a pulse of 1 ms, Dortch et al. 2011, doi 10.1002/mrm.22928.

The fast component of white matter then is 12.5 % of what an inversion turns, and MP2RAGE reads 0.86 of its T1, as
paired data have it. Rioux et al. 2016, doi 10.1002/mrm.25729, found 9 % and 0.90, which 0.35 would give.
"""

DEFAULT_INVERSION_TIMES = (0.05, 0.08, 0.125, 0.2, 0.31, 0.49, 0.77, 1.21, 1.91, 3.0)
"""Ten delays, evenly spaced on a logarithmic scale [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """An inversion-recovery spin-echo protocol, one experiment per inversion time."""

    inversion_times: tuple[float, ...] = DEFAULT_INVERSION_TIMES
    """From inversion to excitation [s]."""

    repetition_times: tuple[float, ...]
    """From inversion to inversion, one per inversion time [s]."""

    echo_time: float = 0.010
    """From excitation to echo [s]."""

    snr: float = 50.0
    """M0 of average white matter (`WHITE_MATTER_M0`) over the noise SD of one channel, real or imaginary."""

    magnetic_field_strength: float = 3.0
    """[T]."""

    recovery_times: tuple[float, ...] = ()
    """From the end of a readout to the inversion, one per inversion time, of a selective inversion recovery, which is
    read by trains of spin echoes [s]; empty where it is none."""

    inversion_leaves: float = INVERSION_LEAVES
    """Share of bound protons' magnetisation after the inversion, where there are any."""

    @classmethod
    def build(  # noqa: PLR0913 - one argument per choice
        cls,
        inversion_times: tuple[float, ...] = DEFAULT_INVERSION_TIMES,
        *,
        repetition_times: tuple[float, ...] = (6.0,),
        recovery_times: tuple[float, ...] = (),
        echo_time: float = 0.010,
        snr: float = 50.0,
        inversion_leaves: float = INVERSION_LEAVES,
    ) -> Protocol:
        """Check a protocol; one repetition time stands for all inversion times.

        Raises
        ------
        UsageError
            If a value is impossible, or the numbers of times do not match.
        """
        if recovery_times and len(recovery_times) != len(inversion_times):
            raise UsageError(
                f"{len(recovery_times)} recovery times for {len(inversion_times)} inversion times; expected one for "
                "each."
            )
        if len(repetition_times) == 1:
            repetition_times *= len(inversion_times)
        if not inversion_times or len(repetition_times) != len(inversion_times):
            raise UsageError(
                f"{len(repetition_times)} repetition times for {len(inversion_times)} inversion times; "
                "expected one for all, or one for each."
            )
        for time in (*inversion_times, *repetition_times, *recovery_times, echo_time):
            if not 0 < time < 30:  # noqa: PLR2004
                raise UsageError(f"{time} is no time in seconds; expected above 0 and below 30. Divide ms by 1000.")
        if not snr > 0:
            raise UsageError(f"SNR {snr}; expected a number above 0, or inf for no noise.")
        return cls(
            inversion_times=inversion_times,
            repetition_times=repetition_times,
            recovery_times=recovery_times,
            echo_time=echo_time,
            snr=snr,
            inversion_leaves=inversion_leaves,
        )

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise in the real, and in the imaginary, channel [units of M0]."""
        return WHITE_MATTER_M0 / self.snr


def inversions_leave(shares: Sequence[float] | None) -> tuple[float, float]:
    """Return the share of bound protons' magnetisation that the inversions of IRT1 and of the trains leave.

    Raises
    ------
    UsageError
        If there are more than two, or they are no shares.
    """
    first, *others = given = shares or [INVERSION_LEAVES]
    if len(others) > 1 or not all(0 <= share <= 1 for share in given):
        raise UsageError(
            f"--inversion-leaves is {' '.join(f'{share:g}' for share in given)}; expected one share, or that of IRT1 "
            "and that of MP2RAGE and MP3RAGE, from 0 to 1."
        )
    return first, others[0] if others else first
