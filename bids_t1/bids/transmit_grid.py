"""A coarse map on the grid of a run, through the scanner coordinates of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.data.grid import TOLERATED_SHIFT

if TYPE_CHECKING:
    from bids_t1.data.grid import Grid

LEAST_SUPPORT = 0.5
"""Weight of known voxels from which an interpolated value is kept."""

COVERAGE_POINTS = 32
"""Per axis, to measure the overlap of two grids."""


def on_grid(values: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Interpolate linearly; NaN outside, and where less than half is known."""
    if source.shift_to(target) <= TOLERATED_SHIFT:
        return values
    known = np.isfinite(values)
    support = _sample(known.astype(np.float32), source, target, order=1)
    support[support < LEAST_SUPPORT] = np.nan
    field = _sample(np.where(known, values, np.float32(0)), source, target, order=1)
    field /= support
    return field


def mask_on_grid(mask: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Return a mask of zeros and ones at the nearest voxels; 0 outside."""
    if source.shift_to(target) <= TOLERATED_SHIFT:
        return mask
    return _sample(mask, source, target, order=0)


def _sample(image: np.ndarray, source: Grid, target: Grid, *, order: int) -> np.ndarray:
    to_source = np.linalg.inv(source.affine) @ target.affine
    sampled: np.ndarray = ndimage.affine_transform(
        image,
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=target.shape,
        output=image.dtype,
        order=order,
        mode="grid-constant",
    )
    return sampled


def coverage(source: Grid, target: Grid) -> float:
    """Return the share of the target's volume that lies within the source's voxels."""
    axes = [np.linspace(0, n - 1, min(n, COVERAGE_POINTS)) for n in target.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    to_source = np.linalg.inv(source.affine) @ target.affine
    indices = to_source[:3, :3] @ points + to_source[:3, 3:]
    middle = (np.array(source.shape)[:, None] - 1) / 2
    return float(np.all(np.abs(indices - middle) <= middle + 0.5, axis=0).mean())
