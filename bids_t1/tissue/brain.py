"""The brain as one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import VoxelFlags

BRIDGE = 2.0
"""Radius of connections from the brain to what is not brain, such as nerves, that are cut [mm]."""


def cleaned(brain: VoxelFlags, grid: Grid) -> VoxelFlags:
    """Return the largest piece, without thin bridges to others, and without holes."""
    core = _reached(brain, grid, -BRIDGE)
    labels, n = ndimage.label(core)
    if not n:
        return brain
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return np.asarray(ndimage.binary_fill_holes(brain & _reached(largest, grid, 1.5 * BRIDGE)))


def _reached(mask: VoxelFlags, grid: Grid, distance: float) -> VoxelFlags:
    """Grow a mask by a distance [mm], or shrink it by a negative one; the faces of the image are no borders."""
    if distance < 0:
        outside = ~mask
        return (
            np.asarray(mask & (ndimage.distance_transform_edt(mask, grid.voxel_sizes) > -distance))
            if outside.any()
            else mask
        )
    return np.asarray(ndimage.distance_transform_edt(~mask, grid.voxel_sizes) <= distance) if mask.any() else mask
