"""Simulated voxels of known truth, by pulse-by-pulse simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1_phantom.physics import simulate

if TYPE_CHECKING:
    from bids_t1.data.estimate import Estimate

INVERSION_TIMES = tuple(float(time) for time in np.geomspace(0.05, 3.0, 10))
REPETITION_TIME = 12.0
BANDS = ((0.3, 0.7), (0.7, 1.2), (1.2, 2.0), (2.0, 3.0))

MODEL = InversionRecovery(inversion_times=INVERSION_TIMES, repetition_times=(REPETITION_TIME,) * 10)


@dataclass(frozen=True)
class Scene:
    """Magnitude images of some voxels, with pure noise behind them as around a head."""

    truth: np.ndarray
    magnitudes: np.ndarray

    def inside(self, values: np.ndarray) -> np.ndarray:
        """Leave out the background."""
        return values[: len(self.truth)]


def signal(truth: np.ndarray, efficiency: np.ndarray | float) -> np.ndarray:
    """Noise-free signed signal of unit M0."""
    return simulate.inversion_recovery(
        truth,
        np.ones_like(truth),
        inversion_times=INVERSION_TIMES,
        repetition_times=(REPETITION_TIME,) * 10,
        inversion_efficiency=efficiency,
        refocusing=False,
    )


def scene(seed: int, truth: np.ndarray, efficiency: np.ndarray | float, snr: float = 50.0) -> Scene:
    """Add complex noise, a background of pure noise, and take magnitudes."""
    rng = np.random.default_rng(seed)
    clean = np.concatenate([signal(truth, efficiency), np.zeros((10, len(truth) // 4))], axis=1)
    noise = rng.normal(0, 1 / snr, (2, *clean.shape))
    return Scene(truth, np.hypot(clean + noise[0], noise[1]).astype(np.float32))


def bias(found: np.ndarray, truth: np.ndarray) -> float:
    """Median relative error."""
    return float(np.nanmedian(found / truth - 1))


def rmse(found: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square error [s]."""
    return float(np.sqrt(np.nanmean((found - truth) ** 2)))


def coverage(estimate: Estimate, scene: Scene, where: np.ndarray, factor: float) -> float:
    """Share of 95 % intervals that hold the truth."""
    error = np.abs(scene.inside(estimate.time) - scene.truth)[where]
    return float(np.mean(error < factor * scene.inside(estimate.time_sd)[where]))
