"""Noise of magnitude images: its level from the background, and what it does to small signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from bids_t1.data.shapes import Measurements, Signals

MAX_SAMPLE = 50_000
"""Voxels looked at to find the background."""

MIN_BACKGROUND = 500
"""Fewer noise voxels than this are not believed to be a background."""

MAX_DISTANCE = 0.2
"""Kolmogorov distance from which on the voxels of lowest energy are no noise at all."""

RICIAN_DISTANCE = 0.05
"""Kolmogorov distance up to which the noise is that of one Rician channel.

A sum of squares over coils, a filter, or magnitudes of real images give other backgrounds."""


@dataclass(frozen=True, slots=True)
class Background:
    """Noise seen outside the head."""

    sd: float
    """Noise SD of one channel, in units of the signal."""

    is_rician: bool
    """Whether its distribution is that of the magnitude of one complex channel."""


def find_background(magnitudes: Measurements) -> Background | None:
    """Estimate the noise of one channel from voxels that hold nothing else; None where there are none.

    The energy of a pure-noise voxel over n images is sigma^2 times a chi-squared variable of 2n degrees of freedom.
    Starting from the voxels of lowest energy, the ones this explains are collected until nothing changes.

    Parameters
    ----------
    magnitudes
        (measurement, *voxels).
    """
    n = len(magnitudes)
    flat = magnitudes.reshape(n, -1)
    flat = flat[:, :: max(1, flat.shape[1] // MAX_SAMPLE)].astype(np.float64)
    energy = np.square(flat).sum(0)
    energy = np.sort(energy[np.isfinite(energy) & (flat > 0).all(0)])
    law = stats.chi2(2 * n)
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
    return Background(float(np.sqrt(variance)), distance < RICIAN_DISTANCE) if distance < MAX_DISTANCE else None


def remove_noise_floor(magnitudes: Signals, noise_sd: float) -> Signals:
    """Subtract the noise's share from magnitudes (Gudbjartsson & Patz 1995, doi 10.1002/mrm.1910340618)."""
    return magnitudes.square().sub_(noise_sd**2).clamp_min_(0.0).sqrt_()
