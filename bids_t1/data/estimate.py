"""What the estimation engine hands back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bids_t1.data.shapes import Labels, Map


class VoxelStatus(IntEnum):
    """Why a voxel has, or has not, an estimate."""

    NO_SIGNAL = 0
    FITTED = 1
    POLARITY_UNDECIDED = 2
    RATIO_AT_BOUND = 3
    NOT_FINITE = 4
    SIGNAL_TOO_LOW = 5
    BELOW_RANGE = 6
    ABOVE_RANGE = 7

    @property
    def has_estimate(self) -> bool:
        """Whether voxels of this status carry numbers in the maps."""
        return self in {VoxelStatus.FITTED, VoxelStatus.POLARITY_UNDECIDED, VoxelStatus.RATIO_AT_BOUND}

    @property
    def meaning(self) -> str:
        """One clause for tables and sidecars."""
        return {
            VoxelStatus.NO_SIGNAL: "no signal: background or zero",
            VoxelStatus.FITTED: "fitted",
            VoxelStatus.POLARITY_UNDECIDED: "fitted, but two choices of sign explain the data; the SD covers both",
            VoxelStatus.RATIO_AT_BOUND: "fitted, with the inversion efficiency at a bound of its physical range",
            VoxelStatus.NOT_FINITE: "not fitted: NaN or infinite input",
            VoxelStatus.SIGNAL_TOO_LOW: "not fitted: signal below three times its noise",
            VoxelStatus.BELOW_RANGE: "not fitted: best value below the search range",
            VoxelStatus.ABOVE_RANGE: "not fitted: best value above the search range",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLevels:
    """The noise SDs an estimation found and used, in units of the signal."""

    background: float | None
    """Noise of one channel, from voxels outside the head; None where there are none."""

    is_rician: bool
    """Whether background and residuals agree with Rician noise, so that its mean share is known."""

    residual: float
    """Typical residual of fitted voxels: noise and everything the model leaves unexplained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedRatio:
    """What was learned about the coefficient ratio."""

    times: tuple[float, ...]
    """Relaxation times at which the mean is given [s]; one where it is constant."""

    means: tuple[float, ...]
    sd: float
    n_voxels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Maps of one estimation, all on the voxel axes of the measurements; NaN where a voxel has no estimate."""

    time: Map
    """Relaxation time [s]."""

    time_sd: Map
    """Standard deviation of `time` [s]."""

    amplitude: Map
    """First linear coefficient, in units of the signal."""

    ratio: Map
    """Second linear coefficient over the first."""

    residual: Map
    """Root mean square of the residuals, corrected for the number of unknowns, in units of the signal."""

    relative_error: Map
    """Norm of the residuals over the norm of the measurements."""

    status: Labels
    """A `VoxelStatus` per voxel."""

    degrees_of_freedom: int
    """Measurements less unknowns: the 95 % interval is +- Student's t times `time_sd`."""

    noise: NoiseLevels
    learned_ratio: LearnedRatio | None = None
    device: str = "cpu"

    @property
    def rate(self) -> Map:
        """Relaxation rate [1/s]."""
        rate: Map = 1 / self.time
        return rate

    def count(self, status: VoxelStatus) -> int:
        """Return how many voxels have a status."""
        return int(np.count_nonzero(self.status == status))
