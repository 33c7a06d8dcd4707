"""A coarse map on the grid of a run, through the scanner coordinates of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.data.grid import TOLERATED_SHIFT
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from bids_t1.data.grid import Grid

LEAST_SUPPORT = 0.5
"""Weight of known voxels from which an interpolated value is kept."""

COVERAGE_POINTS = 32
"""Per axis, to measure the overlap of two grids."""


def on_grid(values: np.ndarray, mask: np.ndarray, source: Grid, target: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Bring a map and a mask of some of its voxels to another grid.

    Returns
    -------
    values
        Interpolated linearly; NaN outside, and where less than half is known.
    mask
        That of the nearest voxels; 0 where the map is NaN.
    """
    if source.shift_to(target) <= TOLERATED_SHIFT:
        return values, mask
    known = np.isfinite(values)
    jobs = ((known.astype(np.float32), 1), (np.where(known, values, np.float32(0)), 1), (mask, 0))
    # Most of the time of a run's transmit field goes into this.
    support, field, marked = side_by_side(lambda job: _sample(job[0], source, target, order=job[1]), jobs, len(jobs))
    unknown = support < LEAST_SUPPORT
    support[unknown] = np.nan
    marked[unknown] = 0
    field /= support
    return field, marked


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
