"""Tissue of each voxel from one value of it, what a template expects there, and its neighbours.

A Gaussian per tissue, whose mean, SD and share are learned from the participant's own values by expectation
maximisation (Ashburner & Friston 2005, doi 10.1016/j.neuroimage.2005.02.018), and the mean field of a Potts model
(Zhang et al. 2001, doi 10.1109/42.906424). What lies around the brain has no shape of its own: a histogram.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.tissue.slabs import slabs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Map

COUPLING = 0.3
"""What a neighbour of the same tissue adds to the log probability, at 2 mm; less between voxels further apart."""

COUPLING_LENGTH = 2.0
BINS = 64
"""Of the histogram of what is not brain."""

OUTLIERS = 1e-3
"""Density of values that fit no tissue, relative to the highest of a tissue."""

SURELY_AROUND = 0.97
"""What must be expected of the surroundings of the brain in a voxel from which their values are learned: fluid at the
brim of the brain, where template and head differ, would be taken for theirs."""

N_LEARNED = 100_000
"""Voxels that classes are learned from: of more, every second, third, ... tells the same."""

N_ITERATIONS = 4
"""Times that voxels hear of their neighbours."""

LEAST_SD = 0.02
"""Of a tissue, relative to the range of values: no tissue is a single value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """How the values of each tissue are distributed."""

    means: np.ndarray
    sds: np.ndarray
    shares: np.ndarray
    """Of each tissue, and of what lies around where it is a class, relative to what the template expects."""

    around: np.ndarray | None
    """Density in `BINS` bins over `limits`; None where all voxels are brain."""

    known: np.ndarray
    """Share of each class' voxels that have a value: fluid, bone and air are the first that have none."""

    limits: tuple[float, float]

    def likelihood(self, values: Map) -> np.ndarray:
        """Density of each voxel's value in each class, float32 (class, x, y, z)."""
        known = np.isfinite(values)
        clipped = np.clip(np.where(known, values, 0), *self.limits).astype(np.float32)
        densities = np.empty((len(self.shares), *values.shape), np.float32)
        for k, (mean, sd) in enumerate(zip(self.means, self.sds, strict=True)):
            densities[k] = (np.exp(-0.5 * ((clipped - mean) / sd) ** 2) + OUTLIERS) / (sd * np.sqrt(2 * np.pi))
        if self.around is not None:
            densities[-1] = self.around[_bins(clipped, self.limits)]
        of_class = self.known.astype(np.float32).reshape(-1, *[1] * values.ndim)
        densities *= of_class
        np.copyto(densities, 1 - of_class, where=~known)
        return densities


def fit(
    values: Map, priors: np.ndarray, *, n_tissues: int, start: np.ndarray | None = None, n_iterations: int = 20
) -> Mixture:
    """Learn the distribution of each class.

    Parameters
    ----------
    values : array (x, y, z)
        NaN where unknown.
    priors : array (class, x, y, z)
        Sum to one, or to zero in voxels that do not count.
    n_tissues
        Number of classes that are tissues; one more class is what lies around.
    start : array (class, x, y, z), optional
        Probabilities to begin with; by default `priors`.
    """
    counted = _some(priors.sum(axis=0) > 0)
    seen, expected = values.ravel()[counted].astype(np.float32), _flat(priors)[:, counted]
    low, high = np.nanquantile(seen, [0.001, 0.999])
    limits = (float(low), max(float(high), float(low) + 1e-6))
    posteriors = expected if start is None else _flat(start)[:, counted]
    mixture = _learned(seen, posteriors, expected, n_tissues=n_tissues, limits=limits)
    for _ in range(n_iterations):
        posteriors = _normalised(mixture.likelihood(seen) * expected * mixture.shares[:, None])
        mixture = _learned(seen, posteriors, expected, n_tissues=n_tissues, limits=limits)
    return mixture


def _some(counted: np.ndarray) -> np.ndarray:
    """Return the places of voxels that count, or of some N_LEARNED of them."""
    places = np.flatnonzero(counted)
    return places[:: 1 + len(places) // N_LEARNED]


def _flat(of_class: np.ndarray) -> np.ndarray:
    return of_class.reshape(len(of_class), -1)


def classify(
    values: Map,
    priors: np.ndarray,
    mixture: Mixture,
    voxel_sizes: Sequence[float],
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return the probability of each class in each voxel, float32 (class, x, y, z); zero where all priors are.

    What is needed in between is held of a slab of the image only, with as much around it as its voxels hear of.

    Parameters
    ----------
    values : array (x, y, z)
        NaN where unknown.
    priors : array (class, x, y, z)
    mixture : Mixture
        From `fit`.
    voxel_sizes
        Edges of the voxels [mm].
    out : array (class, x, y, z), optional
        Where to put them, which may be `priors`.
    """
    found = np.empty_like(priors) if out is None else out
    last: tuple[slice, np.ndarray] | None = None
    for slab, around in slabs(values.shape, N_ITERATIONS):
        posteriors = _posteriors(values[around], priors[:, around], mixture, voxel_sizes)
        if last is not None:
            found[:, last[0]] = last[1]
        # The next slab asks for the priors at the end of this one.
        last = slab, posteriors[:, slab.start - around.start : slab.stop - around.start]
    if last is not None:
        found[:, last[0]] = last[1]
    return found


def _posteriors(values: Map, priors: np.ndarray, mixture: Mixture, voxel_sizes: Sequence[float]) -> np.ndarray:
    evidence = mixture.likelihood(values)
    evidence *= priors
    evidence *= mixture.shares.astype(np.float32)[:, None, None, None]
    posteriors = _normalised(evidence.copy())
    for _ in range(N_ITERATIONS):
        for of_class, seen in zip(posteriors, evidence, strict=True):  # one by one takes less memory
            weights = _support(of_class, voxel_sizes)
            np.exp(weights, out=weights)
            np.multiply(weights, seen, out=of_class)
        posteriors = _normalised(posteriors)
    return posteriors


def _learned(
    seen: np.ndarray, posteriors: np.ndarray, expected: np.ndarray, *, n_tissues: int, limits: tuple[float, float]
) -> Mixture:
    known = np.isfinite(seen)
    all_of_class = posteriors.sum(axis=1, dtype=np.float64)
    clipped, of_known = np.clip(seen[known], *limits).astype(np.float64), posteriors[:, known].astype(np.float64)
    weight = of_known.sum(axis=1)
    tissues, divisor = of_known[:n_tissues], np.maximum(weight[:n_tissues], 1e-6)
    means = tissues @ clipped / divisor
    middle = clipped.mean()  # from which squares lose no digits
    variances = np.maximum(tissues @ (clipped - middle) ** 2 / divisor - (means - middle) ** 2, 0)
    around = None
    if len(posteriors) > n_tissues:
        counts = np.bincount(_bins(clipped, limits), expected[-1, known] > SURELY_AROUND, BINS) + 1.0
        smooth = ndimage.gaussian_filter1d(counts, 1.0, mode="nearest")
        around = smooth / smooth.sum() * BINS / (limits[1] - limits[0])
    return Mixture(
        means=means,
        sds=np.maximum(np.sqrt(variances), LEAST_SD * (limits[1] - limits[0])),
        shares=(all_of_class + 1) / (expected.sum(axis=1, dtype=np.float64) + 1),
        known=(weight + 1) / (all_of_class + 2),
        around=around,
        limits=limits,
    )


def _bins(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return np.asarray(np.clip((values - low) * (BINS / (high - low)), 0, BINS - 1), dtype=np.int64)


def _normalised(weights: np.ndarray) -> np.ndarray:
    """Scale weights, which are not kept, so that those of a voxel sum to one; none where they are all zero."""
    total = weights.sum(axis=0)
    weights /= np.where(total > 0, total, np.inf).astype(weights.dtype)
    return np.asarray(weights, dtype=np.float32)


def _support(of_class: np.ndarray, voxel_sizes: Sequence[float]) -> np.ndarray:
    """Add up over the six neighbours how likely each is of a class."""
    support = np.zeros_like(of_class)
    for axis, size in enumerate(voxel_sizes):
        weight = np.float32(COUPLING * min(1.0, COUPLING_LENGTH / size))
        ahead, behind = ([slice(None)] * 3 for _ in range(2))
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        support[tuple(behind)] += weight * of_class[tuple(ahead)]
        support[tuple(ahead)] += weight * of_class[tuple(behind)]
    return support
