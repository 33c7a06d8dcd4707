"""What the estimation engine hands back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    TWO_MODES = 8
    AT_PRIOR_LIMIT = 9
    LOW_CONFIDENCE = 10
    INVERSION_DOUBTFUL = 11
    SHARE_AT_BOUND = 12

    @property
    def has_estimate(self) -> bool:
        """Whether voxels of this status carry numbers in the maps."""
        return self in {
            VoxelStatus.FITTED,
            VoxelStatus.POLARITY_UNDECIDED,
            VoxelStatus.RATIO_AT_BOUND,
            VoxelStatus.TWO_MODES,
            VoxelStatus.AT_PRIOR_LIMIT,
            VoxelStatus.LOW_CONFIDENCE,
            VoxelStatus.INVERSION_DOUBTFUL,
            VoxelStatus.SHARE_AT_BOUND,
        }

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
            VoxelStatus.TWO_MODES: "fitted, but two separate values of T1 explain the data",
            VoxelStatus.AT_PRIOR_LIMIT: "fitted, with the most probable T1 at a limit of the prior",
            VoxelStatus.LOW_CONFIDENCE: "fitted, but the data are no likelier than under noise alone",
            VoxelStatus.INVERSION_DOUBTFUL: "fitted, but inversion doubtful: B1+ is below what the pulse needs",
            VoxelStatus.SHARE_AT_BOUND: "fitted, with the pool size ratio at a bound of its range",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLevels:
    """The noise SDs an estimation found and used, in units of the signal."""

    background: float | None
    """Noise of one channel, from voxels outside the head; None where there are none."""

    is_known: bool
    """Whether background and residuals agree with the noise of coils, so that its mean share is known."""

    coils: float
    """Effective number of coils whose squares were summed; 1 for Rician noise, and where nothing is known."""

    residual: float
    """Typical residual of fitted voxels: noise and everything the model leaves unexplained."""

    assumed: float | None = None
    """Noise of magnitudes where no air is shown, taken as that of one channel."""

    origin: str = "residuals of the fit"
    """Where the noise of one channel comes from, for the record."""

    @property
    def level(self) -> float:
        """Noise of one channel, from the best there is."""
        return self.background or self.assumed or self.residual

    @property
    def one_channel(self) -> float | None:
        """Noise of one channel, whose mean share can be taken off; None where it is not known."""
        return self.background if self.is_known else self.assumed


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

    share: Map
    """Coefficient of the companion over the last one, or share of the second pool; zero where the model has none."""

    status: Labels
    """A `VoxelStatus` per voxel."""

    degrees_of_freedom: int
    """Measurements less unknowns: the 95 % interval is +- Student's t times `time_sd`."""

    noise: NoiseLevels
    learned_ratio: LearnedRatio | None = None
    device: str = "cpu"
    share_sd: Map | None = None
    """Standard deviation of the share of a second pool; None where the model has none."""

    @property
    def rate(self) -> Map:
        """Relaxation rate [1/s]."""
        rate: Map = 1 / self.time
        return rate

    def in_images(self, unit: float) -> Estimate:
        """Return the estimate in units of images that were divided by `unit` for it."""
        background = self.noise.background
        noise = replace(
            self.noise,
            background=None if background is None else background * unit,
            residual=self.noise.residual * unit,
            assumed=None if self.noise.assumed is None else self.noise.assumed * unit,
        )
        factor = np.float32(unit)
        return replace(self, amplitude=self.amplitude * factor, residual=self.residual * factor, noise=noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSD:
    """The noise of one channel, real or imaginary, that a posterior was computed with."""

    value: float
    """In units of the images; of S, where there is no amplitude."""

    origin: str
    """Where it comes from, for the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorEstimate:
    """Maps of the posterior of T1, all on the voxel axes of the measurements; NaN where a voxel has no estimate.

    Maps that the input does not support are None.
    """

    time: Map
    """Maximum of the posterior [s]."""

    mean: Map
    """Mean of the posterior [s]."""

    time_sd: Map
    """Standard deviation of the posterior [s]."""

    lower: Map
    """Lower end of the 95 % interval of highest density [s]."""

    upper: Map
    """Upper end of it [s]."""

    point: Map
    """Look-up: the T1 whose S is the measured one [s]; of several, that nearest to `time`; NaN where there is none."""

    confidence: Map
    """Likelihood of S at `time` over itself plus that of a uniform S."""

    two_modes: Labels
    """1 where the posterior has two separate modes, else 0."""

    status: Labels
    """A `VoxelStatus` per voxel."""

    uni: Map | None
    """S of the first two readouts."""

    robust_uni: Map | None
    """S with the noise of the background suppressed; for looking and masking, never for T1."""

    amplitude: Map | None
    """Equilibrium magnetisation M0, in units of the images."""

    transmit: Map | None
    """B1+ that entered, as a ratio to nominal; None where it was integrated over its prior everywhere."""

    noise: NoiseSD
    robust_beta: float | None
    """Regularisation of `robust_uni`, in squared units of the images."""

    device: str = "cpu"

    @property
    def rate(self) -> Map:
        """Relaxation rate [1/s]."""
        rate: Map = 1 / self.time
        return rate

    def in_images(self, unit: float) -> PosteriorEstimate:
        """Return the estimate in units of images that were divided by `unit` for it."""
        return replace(
            self,
            amplitude=None if self.amplitude is None else self.amplitude * np.float32(unit),
            robust_beta=None if self.robust_beta is None else self.robust_beta * unit**2,
            noise=replace(self.noise, value=self.noise.value * unit),
        )


def count_statuses(status: Labels) -> dict[str, int]:
    """Return the number of voxels by the name of their `VoxelStatus`."""
    counts = np.bincount(status.ravel(), minlength=max(VoxelStatus) + 1)
    return {kind.name: int(counts[kind]) for kind in VoxelStatus}


def count_estimates(counts: Mapping[str, int]) -> int:
    """Return the number of voxels with an estimate, of such counts; a status that is not among them has none."""
    return sum(counts.get(status.name, 0) for status in VoxelStatus if status.has_estimate)
