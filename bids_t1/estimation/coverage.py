"""How much of what has signal has an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from bids_t1.data.estimate import VoxelStatus

if TYPE_CHECKING:
    from bids_t1.data.shapes import Labels, Measurements, VoxelFlags

BRIGHT = 0.25
"""Share of the highest energies from which a voxel holds signal, whatever was taken for its noise."""

FALSE_SIGNAL = 1e-4
"""Share of the voxels of air taken for signal."""

MANY = 0.1
"""Share without estimate from which a warning is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Voxels with signal, and those among them without an estimate."""

    n_voxels: int
    without: dict[str, int]
    """By the name of their `VoxelStatus`."""

    @property
    def n_without(self) -> int:
        """All of them."""
        return sum(self.without.values())

    @property
    def record(self) -> dict[str, object]:
        """For the sidecar."""
        return {"Coverage": {"VoxelsWithSignal": self.n_voxels, "WithoutEstimate": self.without}}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to say where they are many."""
        if self.n_without <= MANY * self.n_voxels:
            return ()
        why = "; ".join(f"{VoxelStatus[name].meaning}: {count}" for name, count in self.without.items())
        return (
            f"{self.n_without / self.n_voxels:.0%} of the {self.n_voxels} voxels with signal have no estimate: {why}.",
        )


def cover(images: Measurements | None, status: Labels, noise_sd: float) -> Coverage:
    """Count the voxels with signal that have no estimate, by the reason.

    Parameters
    ----------
    images
        (measurement, *voxels), magnitudes, real or complex; None: UNI alone, where the status tells.
    status
        `VoxelStatus` of each voxel.
    noise_sd
        Of one channel, in units of the images.
    """
    has_signal = status != VoxelStatus.NO_SIGNAL if images is None else _has_signal(images, noise_sd)
    counts = np.bincount(status[has_signal].ravel(), minlength=max(VoxelStatus) + 1)
    return Coverage(
        n_voxels=int(counts.sum()),
        without={
            kind.name: int(counts[kind])
            for kind in VoxelStatus
            if counts[kind] and not kind.has_estimate and kind != VoxelStatus.NOT_FINITE
        },
    )


def _has_signal(images: Measurements, noise_sd: float) -> VoxelFlags:
    energy = np.zeros(images.shape[1:], np.float64)
    for image in images:
        energy += np.square(np.abs(image))
    known = energy[np.isfinite(energy) & (energy > 0)]
    bright = BRIGHT * np.quantile(known, 0.98) if known.size else np.inf
    threshold = min(noise_sd**2 * stats.chi2.ppf(1 - FALSE_SIGNAL, 2 * len(images)), bright)
    flags: VoxelFlags = np.isfinite(energy) & (energy > threshold)
    return flags
