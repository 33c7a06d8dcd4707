"""Selective inversion recovery: free water is inverted, the protons of macromolecules are not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Columns, SurfaceSlopes, Times
    from bids_t1.data.sidecar import Sidecar

RECOVERY_KEY = "RecoveryTime"
"""Field of the delay from the end of a readout to the next inversion; not of BIDS."""

EXCHANGE_RATE = 12.5
"""From macromolecules to free water [1/s] (Cronin et al. 2020, doi 10.1016/j.mri.2020.01.014)."""

SATURATION = 0.83
"""Share of the macromolecular magnetisation that the inversion pulse leaves, of a pulse of 1 ms (the same)."""

LARGEST_POOL_RATIO = 0.5
"""White matter has 0.1 to 0.2, and no tissue twice as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectiveInversionRecovery:
    """Readout - recovery TD - inversion - TI - readout, with magnetisation exchanged between two pools.

    The train of the readout leaves nothing of either pool (Dortch et al. 2011, doi 10.1002/mrm.22928), so that each
    image stands for itself. With R1 the same in both pools, F the macromolecular over the free pool and k the
    rate from the macromolecules to free water, rates are R1 and R1 + k (1 + F). With e = exp(-R1 TI),
    g = exp(-k (1 + F) TI) and D = 1 - exp(-R1 TD) the signal is

        M0 (1 - e + D e Sm F (1 - g)/(1 + F)) + Sf M0 D e (1 + F g)/(1 + F)

    where the pulse turns the free pool to Sf and leaves Sm of the other. Without a second pool, F = 0, it is
    M0 (1 - (1 - Sf D) e).
    """

    inversion_times: tuple[float, ...]
    """Delays between inversion and excitation [s]."""

    recovery_times: tuple[float, ...]
    """Delays between the end of a readout and the inversion that follows, one per inversion time [s]."""

    n_pools: int = 2
    """Two: free water and macromolecules; one: free water alone."""

    exchange_rate: float = EXCHANGE_RATE
    """k, from macromolecules to free water [1/s]."""

    saturation: float = SATURATION
    """Sm, what the inversion leaves of the macromolecular magnetisation."""

    def __post_init__(self) -> None:
        pairs = list(zip(self.inversion_times, self.recovery_times, strict=True))
        told = ", ".join(f"{ti:g} and {td:g}" for ti, td in pairs)
        if any(not 0 < time < math.inf for pair in pairs for time in pair):
            raise InvalidInputError(f"InversionTime and {RECOVERY_KEY} are {told} s; expected positive seconds.")
        n_unknowns = 2 + self.n_pools
        if len(set(pairs)) < n_unknowns:
            rivals = self.n_pools > 1
            raise InvalidInputError(
                f"{len(set(pairs))} different pairs of InversionTime and {RECOVERY_KEY} ({told} s); expected at least "
                f"{n_unknowns}, one per unknown of the model{', or one pool' if rivals else ''}.",
                remedy="sir_pools 1" if rivals else "",
            )

    @classmethod
    def from_metadata(
        cls,
        sidecars: Sequence[Sidecar],
        *,
        n_pools: int = 2,
        exchange_rate: float = EXCHANGE_RATE,
        saturation: float = SATURATION,
    ) -> SelectiveInversionRecovery:
        """Read inversion and recovery time of each image.

        Raises
        ------
        InvalidInputError
            If one is missing, or the timing is impossible.
        """
        return cls(
            inversion_times=_times(sidecars, "InversionTime"),
            recovery_times=_times(sidecars, RECOVERY_KEY),
            n_pools=n_pools,
            exchange_rate=exchange_rate,
            saturation=saturation,
        )

    def select(self, images: Sequence[int]) -> SelectiveInversionRecovery:
        """Return the model of some of the images, by their numbers."""
        return replace(
            self,
            inversion_times=tuple(self.inversion_times[image] for image in images),
            recovery_times=tuple(self.recovery_times[image] for image in images),
        )

    @property
    def n_measurements(self) -> int:
        """Number of images."""
        return len(self.inversion_times)

    @property
    def n_coefficients(self) -> int:
        """M0 and Sf M0."""
        return 2

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """Range of Sf: loose, because a tight bound is a one-sided prior that biases T1."""
        return (-1.5, 0.0)

    @property
    def usual_ratios(self) -> tuple[float, ...]:
        """Values of Sf from a perfect inversion to less than half of one."""
        return (-1.0, -0.8, -0.55, -0.25)

    @property
    def share_bounds(self) -> tuple[float, float]:
        """Range of the pool size ratio."""
        return (0.0, LARGEST_POOL_RATIO) if self.n_pools > 1 else (0.0, 0.0)

    @property
    def changes_sign(self) -> bool:
        """Before the zero crossing it is negative."""
        return True

    def surface(self, time: Times, share: Times) -> tuple[Columns, SurfaceSlopes]:
        """Return the columns of M0 and Sf M0, and their derivatives with respect to log T1 and the pool size ratio."""
        ti, td = (
            time.new_tensor(times).reshape(-1, *(1 for _ in time.shape))
            for times in (self.inversion_times, self.recovery_times)
        )
        e, not_recovered = torch.exp(-ti / time), torch.exp(-td / time)
        e_slope, recovered_slope = ti / time * e, -td / time * not_recovered
        ready, ready_slope = (1 - not_recovered) * e, recovered_slope * e + (1 - not_recovered) * e_slope
        g = torch.exp(-self.exchange_rate * (1 + share) * ti)
        g_slope, whole = -self.exchange_rate * ti * g, 1 + share
        kept, given = (1 + share * g) / whole, share * (1 - g) / whole
        kept_slope = (g - 1) / whole.square() + share * g_slope / whole
        given_slope = (1 - g) / whole.square() - share * g_slope / whole
        sm = self.saturation
        columns = torch.stack([1 - e + sm * ready * given, ready * kept])
        by_time = torch.stack([sm * ready_slope * given - e_slope, ready_slope * kept])
        by_share = torch.stack([sm * ready * given_slope, ready * kept_slope])
        return columns, torch.stack([by_time, by_share])


def _times(sidecars: Sequence[Sidecar], key: str) -> tuple[float, ...]:
    """Return a time of each image [s]."""
    times = [(sidecar.name, sidecar.seconds(key)) for sidecar in sidecars]
    missing = [name for name, time in times if time is None]
    if missing:
        raise InvalidInputError(
            f"{', '.join(missing)}: {key} is missing; expected seconds in the sidecar of every image of a selective "
            f"inversion recovery, or in the table SIR of the protocol file. It is never guessed."
        )
    return tuple(time for _, time in times if time is not None)
