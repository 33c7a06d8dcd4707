"""The brain as one piece, and what can be said of it without a template."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.tissue.slabs import slabs

if TYPE_CHECKING:
    from bids_t1.data.alignment import HeadImage
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Map, VoxelFlags

BRIDGE = 2.0
"""Radius of connections from the brain to what is not brain, such as nerves, that are cut [mm]."""

SKULL = 4.0
"""Radius of connections that are cut where no template tells brain from scalp [mm]."""

HEAD_SHARE = 0.25
"""Of the picture's brightness in the bright half, below which is fluid, bone or air."""

STARTING_SHARES = {"white": 0.4, "grey": 0.4, "fluid": 0.2}
"""Of a brain, in the order of their T1, to begin with where no template tells."""


def cleaned(brain: VoxelFlags, grid: Grid, radius: float = BRIDGE) -> VoxelFlags:
    """Return the largest piece, without bridges to others thinner than twice a radius [mm], and without holes."""
    box = _around(brain)
    within = brain[box]
    labels, n_pieces = ndimage.label(_is_deeper(within, grid, radius))
    if not n_pieces:
        return brain
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    found = np.zeros_like(brain)
    found[box] = ndimage.binary_fill_holes(within & ~_is_deeper(~largest, grid, 1.5 * radius))
    return found


def _around(brain: VoxelFlags) -> tuple[slice, ...]:
    """Return the box of a mask with one voxel around it, outside of which nothing can be nearer; of none, nothing."""
    boxes = ndimage.find_objects(brain.astype(np.uint8))
    return tuple(slice(max(0, each.start - 1), each.stop + 1) for each in boxes[0]) if boxes else (slice(0, 0),) * 3


def by_intensity(picture: HeadImage) -> VoxelFlags:
    """Return the largest thick piece of tissue in a head: for where nothing in it looks like the template."""
    values = picture.values
    bright = values[values > values.mean()]
    if not bright.size:
        return np.zeros(values.shape, bool)
    return cleaned(values > HEAD_SHARE * np.median(bright), picture.grid, SKULL)


def by_rank(values: Map, brain: VoxelFlags) -> dict[str, Map]:
    """Return where tissues are to begin with if only their order is known: the lowest values are white matter."""
    known = brain & np.isfinite(values)
    edges = np.quantile(values[known], np.cumsum(list(STARTING_SHARES.values()))[:-1]) if known.any() else [0.0, 0.0]
    rank = np.searchsorted(edges, values)
    return {name: ((rank == k) & brain).astype(np.float32) for k, name in enumerate(STARTING_SHARES)}


def _is_deeper(mask: VoxelFlags, grid: Grid, radius: float) -> VoxelFlags:
    """Tell voxels of a mask to whose outside it is further than a radius [mm]; the faces of the image are no borders.

    Distances take fifty bytes a voxel, so that they are measured slab by slab.
    """
    found = mask.copy()
    for slab, around in slabs(mask.shape, 1 + int(radius / grid.voxel_sizes[0])):
        some = mask[around]
        if not some.all():
            depth = np.asarray(ndimage.distance_transform_edt(some, grid.voxel_sizes), np.float32)
            found[slab] = depth[slab.start - around.start : slab.stop - around.start] > radius
    return found
