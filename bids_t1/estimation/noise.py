"""Noise of magnitude images: its level from the background, and what it does to small signals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Measurements, Signals

MAX_SAMPLE = 50_000
"""Voxels looked at to find the background."""

MIN_BACKGROUND = 500
"""Fewer noise voxels than this are not believed to be a background."""

MAX_DISTANCE = 0.2
"""Kolmogorov distance from which on the voxels of lowest energy are no noise at all."""

RICIAN_DISTANCE = 0.05
"""Kolmogorov distance up to which the noise is that of one Rician channel, or of a sum of squares over coils.

A filter, or magnitudes of real images, give other backgrounds."""

SEVERAL = 1.3
"""Effective number of coils from which on a background is that of a sum of squares."""

N_ESTIMATES = 20
"""Alternations of the number of coils and the voxels it is estimated from."""

EVEN = 0.1
"""Difference between the mean energies of images, over their mean, up to which voxels hold noise and no contrast."""

MOST_COILS = 256.0
"""Effective numbers above are those of no scanner: something else makes the background even."""


@dataclass(frozen=True, slots=True)
class Background:
    """Noise seen outside the head."""

    sd: float
    """Noise SD of one channel, in units of the signal."""

    is_rician: bool
    """Whether its distribution is that of the magnitude of one complex channel."""

    coils: float = 1.0
    """Effective number of coils whose squares were summed, where it is that of several; correlated ones count less."""

    @property
    def is_known(self) -> bool:
        """Whether its distribution is known, and so what it does to a signal."""
        return self.is_rician or self.coils > 1


def find_background(magnitudes: Measurements) -> Background | None:
    """Estimate the noise of one channel from voxels that hold nothing else; None where there are none.

    The energy of a pure-noise voxel over n images is sigma^2 times a chi-squared variable of 2n degrees of freedom.
    Starting from the voxels of lowest energy, the ones this explains are collected until nothing changes. A sum of
    squares over L coils has 2nL degrees of freedom, with L estimated on the way (Constantinides et al. 1997,
    doi 10.1002/mrm.1910380524).

    Parameters
    ----------
    magnitudes
        (measurement, *voxels).
    """
    sample = _Sample.draw(magnitudes)
    one = _collect(sample, 1.0)
    if one is None:
        return None
    if one.distance < RICIAN_DISTANCE:
        return Background(one.sd, is_rician=True)
    several = _of_several_coils(sample, one)
    if several is not None:
        return several
    return Background(one.sd, is_rician=False) if one.distance < MAX_DISTANCE else None


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Some voxels, from low to high energy."""

    squares: NDArray[np.float64]
    """Squared magnitudes, (measurement, voxel)."""

    energy: NDArray[np.float64]
    """Their sums over the measurements, rising."""

    @classmethod
    def draw(cls, magnitudes: Measurements) -> _Sample:
        flat = magnitudes.reshape(len(magnitudes), -1)
        flat = flat[:, :: max(1, flat.shape[1] // MAX_SAMPLE)].astype(np.float64)
        squares = np.square(flat)
        energy = squares.sum(0)
        kept = np.flatnonzero(np.isfinite(energy) & (flat > 0).all(0))
        kept = kept[np.argsort(energy[kept], kind="stable")]
        return cls(squares[:, kept], energy[kept])


@dataclass(frozen=True, slots=True)
class _Collected:
    """Voxels of lowest energy that a distribution explains."""

    variance: float
    n_voxels: int
    distance: float
    """Kolmogorov distance of their energies from it."""

    @property
    def sd(self) -> float:
        return math.sqrt(self.variance)


def _collect(sample: _Sample, coils: float) -> _Collected | None:
    """Collect the voxels that hold the noise of a number of coils; None where they are too few."""
    energy, n = sample.energy, len(sample.squares)
    law = stats.chi2(2 * n * coils)
    limit = law.ppf(0.99)
    variance = float(energy[len(energy) // 50] / law.ppf(0.5)) if len(energy) >= MIN_BACKGROUND else 0.0
    for _ in range(100):
        inside = energy[energy < limit * variance]
        if len(inside) < MIN_BACKGROUND:
            return None
        update = float(np.median(inside) / law.ppf(0.495))
        if abs(update - variance) <= 1e-4 * variance:
            break
        variance = update
    distance = stats.kstest(inside / variance, lambda x: law.cdf(x) / 0.99).statistic
    return _Collected(variance, len(inside), float(distance))


def _of_several_coils(sample: _Sample, found: _Collected) -> Background | None:
    """Estimate the number of coils with their noise; None where the background is not that of a sum of squares."""
    coils = 1.0
    for _ in range(N_ESTIMATES):
        squares = sample.squares[:, : found.n_voxels]
        # The squared magnitude is a chi-squared variable of 2L degrees of freedom, in units of the noise variance.
        update = float(squares.mean() ** 2 / squares.var())
        converged, coils = abs(update - coils) < 0.01 * coils, update
        again = _collect(sample, coils) if SEVERAL < coils < MOST_COILS else None
        if again is None:
            return None
        found = again
        if converged:
            break
    by_image = sample.squares[:, : found.n_voxels].mean(1)
    is_air = np.ptp(by_image) < EVEN * by_image.mean()
    return Background(found.sd, is_rician=False, coils=coils) if is_air and found.distance < RICIAN_DISTANCE else None


def remove_noise_floor(magnitudes: Signals, noise_sd: float, coils: float = 1.0) -> Signals:
    """Subtract the noise's share from magnitudes (Gudbjartsson & Patz 1995, doi 10.1002/mrm.1910340618).

    To first order in the noise, the mean of a sum of squares over L coils is the signal plus (2L - 1) variances over
    twice the signal; with one coil that is the mean of a Rician variable.
    """
    return magnitudes.square().sub_((2 * coils - 1) * noise_sd**2).clamp_min_(0.0).sqrt_()
