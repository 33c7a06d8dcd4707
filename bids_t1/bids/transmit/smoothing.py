"""A measured transmit field within the head: where there is signal, with less noise, and a little beyond its edge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD_SHARE = 0.15
"""Of the signal of the bright half, below which a voxel holds noise or air."""

SPECK_SHARE = 0.01
"""Of the largest connected part, below which another one is noise; dark bone parts scalp from brain."""

SMOOTHING = 6.0
"""Full width at half maximum of the Gaussian that smooths a measured field [mm]: such fields bend over centimetres."""

WIDTH_PER_SD = 2.3548200450309493
"""Full width at half maximum of a Gaussian over its SD."""

REACH = 10.0
"""How far a field is continued beyond what is measured [mm]."""

REACH_PER_SD = 2.0
LEAST_WEIGHT = 0.02
"""Share of known voxels in a neighbourhood, weighted by distance, from which a hole is filled.

That of a flat edge at the full reach; a few single voxels have less.
"""


def head_of(signal: np.ndarray) -> np.ndarray:
    """Return where there is signal: connected parts above a share of the bright voxels, without specks of noise."""
    signal = np.nan_to_num(np.asarray(signal, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    bright = signal[signal > signal.mean()]
    if not bright.size:
        return np.zeros(signal.shape, bool)
    labels, _ = ndimage.label(signal > HEAD_SHARE * np.median(bright))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    head: np.ndarray = (sizes >= SPECK_SHARE * sizes.max())[labels] & (labels > 0)
    return head


def smoothed(values: np.ndarray, voxel_sizes: Sequence[float]) -> np.ndarray:
    """Smooth the known voxels among themselves; NaN stays NaN, and pulls no neighbour down."""
    known = np.isfinite(values)
    mean, _ = _neighbourhood(values, known, [SMOOTHING / WIDTH_PER_SD / size for size in voxel_sizes], 3.0)
    return np.where(known, mean, np.float32(np.nan))


def continued(values: np.ndarray, voxel_sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Fill holes, and continue a field beyond its edge, by the weighted mean of what is known up to 10 mm away.

    Returns
    -------
    values
        NaN where no neighbourhood supports a value.
    extrapolated
        1 where a value was filled in.
    """
    known = np.isfinite(values)
    if known.all() or not known.any():
        return values, np.zeros(values.shape, np.uint8)
    near = _around(known, [math.ceil(REACH / size) for size in voxel_sizes])
    sds = [REACH / REACH_PER_SD / size for size in voxel_sizes]
    mean, weight = _neighbourhood(values[near], known[near], sds, REACH_PER_SD)
    whole, filled = values.copy(), np.zeros(values.shape, np.uint8)
    filled[near] = ~known[near] & (weight >= LEAST_WEIGHT)
    np.copyto(whole[near], mean, where=filled[near] == 1)
    return whole, filled


def _around(known: np.ndarray, margins: Sequence[int]) -> tuple[slice, ...]:
    """Return the box around known voxels, with margins: a head fills a third of its image."""
    box = ndimage.find_objects(known.astype(np.uint8))[0]
    return tuple(
        slice(max(0, extent.start - margin), extent.stop + margin) for extent, margin in zip(box, margins, strict=True)
    )


def _neighbourhood(
    values: np.ndarray, known: np.ndarray, sds: Sequence[float], reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the known voxels around each, weighted by a Gaussian that ends at `reach` SD, and the weight.

    Normalised convolution (Knutsson & Westin, Computer Vision and Pattern Recognition 1993, 515-523).
    """
    blurred = {"sigma": tuple(sds), "truncate": reach, "mode": "constant"}
    weight = ndimage.gaussian_filter(known.astype(np.float32), **blurred)
    mean = ndimage.gaussian_filter(np.where(known, values, np.float32(0)).astype(np.float32), **blurred)
    np.divide(mean, weight, out=mean, where=weight > 0)
    return mean, weight
