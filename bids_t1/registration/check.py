"""Whether an alignment can be trusted.

One head moves as a whole. That parts of the brain would have to move against each other to fit is the strongest sign
that the images are not of one head, or not aligned. The brain is divided into blocks; each looks, by itself, for the
shift at which the values of both images go together best. How values go together is learned from the whole brain: the
score of a pair of values is the logarithm of how much more often it occurs than if the images had nothing to do with
each other (pointwise mutual information).
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.registration.images import axes_of, indices_of, inside, moved, points_of, region, smoothed

if TYPE_CHECKING:
    from bids_t1.data.alignment import HeadImage
    from bids_t1.data.shapes import Affine

LARGEST_ROTATION = 40.0
"""Between two scans of one head in a coil [degree]."""

LARGEST_TRANSLATION = 40.0
"""[mm]."""

LEAST_OVERLAP = 0.5
"""Share of one brain that lies in the other: 0.95 with good masks, 0.7 where one of them is the whole head."""

LEAST_COVERED = 0.5
"""Share of the brain of the image that sees less within the field of view of the other."""

LARGEST_DISPLACEMENT = 1.5
"""Median displacement of blocks that one head may leave [mm].

Phantom heads of one participant leave 0.2 to 0.7 mm (whole heads, slabs, one slice), of two participants 2.6 to 6.9 mm:
benchmarks/registration.py.
"""

BLOCK = 35.0
"""Edge of a block, about [mm]."""

REACH, STEP = 6.0, 2.0
"""Shifts that a block tries, along each axis [mm]."""

N_POINTS = 25_000
"""Voxels of the brain that are looked at."""

LEAST_POINTS = 100
"""In a block; and 0.3 of what the larger blocks have."""

LEAST_BLOCKS = 4

WIDTH = 2.5
"""Resolution of the other image [mm]: else noise, which interpolation takes away, would draw blocks off the voxels."""

PRIOR_SHIFT = 4.0
"""SD of a priori displacements: a block that tells nothing stays [mm]."""

BINS = 32
SEED = 1


def inspect(sampled: HeadImage, other: HeadImage, matrix: Affine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return why an alignment must not be used, and what to be careful about, in sentences.

    Parameters
    ----------
    sampled, other : HeadImage
        The image that sees less, and the other one.
    matrix : array (4, 4)
        Scanner coordinates of `sampled` to those of `other` [mm].
    """
    points = points_of(sampled.grid, np.argwhere(region(sampled)))
    covered = float(inside(other.grid, moved(matrix, points)).mean()) if points.size else 0.0
    if covered < LEAST_COVERED:
        return _one(
            f"{_percent(covered)} of the brain lie within the field of view of the other image; "
            f"expected at least {_percent(LEAST_COVERED)}."
        ), ()
    reasons = _implausible(matrix, points)
    share = overlap(sampled, other, matrix)
    if share < LEAST_OVERLAP:
        reasons.append(
            f"{_percent(share)} of the brain lie in the brain of the other image; "
            f"expected at least {_percent(LEAST_OVERLAP)}."
        )
    shifts = displacements(sampled, other, matrix)
    if len(shifts) < LEAST_BLOCKS:
        return tuple(reasons), _one(
            f"The brain has {len(shifts)} blocks of {BLOCK:g} mm in common with the other image, too few to tell "
            "whether both show the same head."
        )
    median = float(np.median(np.linalg.norm(shifts, axis=1)))
    if median > LARGEST_DISPLACEMENT:
        reasons.append(
            f"Parts of the brain still lie {median:.1f} mm apart (median of {len(shifts)} blocks, each moved by "
            f"itself); expected at most {LARGEST_DISPLACEMENT:g} mm in one head. The images may be of two persons, or "
            "distorted, or the registration has failed."
        )
    return tuple(reasons), ()


def _implausible(matrix: Affine, points: np.ndarray) -> list[str]:
    angle, shift = rotation(matrix), translation(matrix, points)
    found = []
    if angle > LARGEST_ROTATION:
        found.append(f"The head would have turned by {angle:.0f} degrees; expected at most {LARGEST_ROTATION:g}.")
    if shift > LARGEST_TRANSLATION:
        found.append(f"The head would have moved by {shift:.0f} mm; expected at most {LARGEST_TRANSLATION:g} mm.")
    return found


def rotation(matrix: Affine) -> float:
    """Return the angle of a rigid matrix [degree]."""
    return float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))


def translation(matrix: Affine, points: np.ndarray) -> float:
    """Return how far a matrix moves the centre of points (3, point) [mm]."""
    centre = points.mean(axis=1, keepdims=True)
    return float(np.linalg.norm(moved(matrix, centre) - centre))


def overlap(image: HeadImage, other: HeadImage, matrix: Affine) -> float:
    """Return the share of the brain, within the other's field of view, that lies in the other's brain."""
    points = moved(matrix, points_of(image.grid, np.argwhere(region(image))))
    points = points[:, inside(other.grid, points)]
    if not points.size:
        return 0.0
    nearest = np.rint(indices_of(other.grid, points)).astype(int)
    nearest = np.clip(nearest, 0, np.array(other.grid.shape)[:, None] - 1)
    return float(region(other)[tuple(nearest)].mean())


def similarity(sampled: HeadImage, other: HeadImage, matrix: Affine) -> float:
    """Return the normalised mutual information (H(a) + H(b)) / H(a, b) in the brain of `sampled`, 1 to 2.

    Studholme et al., Pattern Recognition 32:71 (1999), doi:10.1016/S0031-3203(98)00091-0. 1 where nothing overlaps.
    """
    index = _some_voxels(sampled)
    points = moved(matrix, points_of(sampled.grid, index))
    within = inside(other.grid, points)
    if not within.any():
        return 1.0
    ours = sampled.values[tuple(index[within].T)]
    theirs = _interpolated(other.values, indices_of(other.grid, points[:, within]))
    joint = _joint(np.searchsorted(_edges(ours), ours), np.searchsorted(_edges(theirs), theirs))
    both = _entropy(joint)
    return float((_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / both) if both > 0 else 1.0


def displacements(sampled: HeadImage, other: HeadImage, matrix: Affine) -> np.ndarray:
    """Return the shift (block, axis) at which each block of the brain fits best, along the axes of `sampled` [mm]."""
    index = _some_voxels(sampled)
    points = moved(matrix, points_of(sampled.grid, index))
    within = inside(other.grid, points)
    index, points = index[within], points[:, within]
    blocks, n_blocks = _blocks(sampled, index)
    values, places = smoothed(other, WIDTH), indices_of(other.grid, points)
    ours = sampled.values[tuple(index.T)]
    theirs = _interpolated(values, places)
    bins, edges = np.searchsorted(_edges(ours), ours), _edges(theirs)
    score = _score(_joint(bins, np.searchsorted(edges, theirs)))
    steps = np.linalg.inv(other.grid.affine)[:3, :3] @ matrix[:3, :3] @ axes_of(sampled.grid)
    tried = np.arange(-REACH, REACH + STEP / 2, STEP)
    sums = np.empty((tried.size**3, n_blocks))
    for row, shift in zip(sums, product(tried, repeat=3), strict=True):
        seen = np.searchsorted(edges, _interpolated(values, places + (steps @ shift)[:, None]))
        row[:] = np.bincount(blocks, score[bins, seen], n_blocks) - np.dot(shift, shift) / (2 * PRIOR_SHIFT**2)
    return np.array([_peak(sums[:, block].reshape((tried.size,) * 3), tried) for block in _large(blocks)]).reshape(
        -1, 3
    )


def _one(sentence: str) -> tuple[str, ...]:
    return (sentence,)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _some_voxels(image: HeadImage) -> np.ndarray:
    index = np.argwhere(region(image))
    if len(index) <= N_POINTS:
        return index
    return index[np.sort(np.random.default_rng(SEED).choice(len(index), N_POINTS, replace=False))]


def _blocks(image: HeadImage, index: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the block of each voxel, and how many there are."""
    sizes = np.array(image.grid.voxel_sizes)
    first, extent = index.min(axis=0, initial=0), np.ptp(index, axis=0) + 1 if len(index) else np.ones(3)
    counts = np.maximum(1, np.round(extent * sizes / BLOCK)).astype(int)
    cells = ((index - first) * counts // extent).astype(int)
    return np.ravel_multi_index(tuple(np.clip(cells, 0, counts - 1).T), tuple(counts)), int(counts.prod())


def _large(blocks: np.ndarray) -> np.ndarray:
    """Return the blocks that hold enough to tell."""
    sizes = np.bincount(blocks)
    usual = np.percentile(sizes[sizes > 0], 75) if blocks.size else 0
    return np.flatnonzero(sizes >= max(LEAST_POINTS, 0.3 * usual))


def _interpolated(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    found: np.ndarray = ndimage.map_coordinates(values, places, order=1, mode="nearest", output=np.float32)
    return found


def _edges(values: np.ndarray) -> np.ndarray:
    """Return the edges of `BINS` bins that hold equally many of the values."""
    edges: np.ndarray = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]).astype(np.float32)
    return edges


def _joint(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the joint histogram of two lists of bins, as shares."""
    counts = np.bincount(ours * BINS + theirs, minlength=BINS**2).reshape(BINS, BINS)
    return np.asarray(counts / counts.sum())


def _score(joint: np.ndarray) -> np.ndarray:
    """Return the pointwise mutual information of a smoothed joint histogram."""
    smooth = ndimage.gaussian_filter(joint, 1.0, mode="nearest") + 1e-3 / BINS**2
    smooth /= smooth.sum()
    score: np.ndarray = np.log(smooth / smooth.sum(axis=1, keepdims=True) / smooth.sum(axis=0, keepdims=True))
    return score


def _entropy(shares: np.ndarray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def _peak(scores: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """Return where scores (x, y, z) are highest, between the nodes by a parabola along each axis."""
    best = np.unravel_index(np.argmax(scores), scores.shape)
    peak = tried[list(best)]
    for axis, at in enumerate(best):
        if 0 < at < len(tried) - 1:
            line = scores[tuple(slice(at - 1, at + 2) if each == axis else best[each] for each in range(3))]
            curvature = line[0] - 2 * line[1] + line[2]
            peak[axis] += STEP * 0.5 * (line[0] - line[2]) / curvature if curvature else 0
    return peak
