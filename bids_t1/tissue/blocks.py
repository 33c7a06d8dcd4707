"""Coarser images, for what does not need the finest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.grid import Grid

if TYPE_CHECKING:
    from bids_t1.data.shapes import Map


def averaged(values: Map, grid: Grid, step: float) -> tuple[Map, Grid]:
    """Average the known values of blocks of voxels up to about `step` mm long; what is left over is left out."""
    block = np.maximum(1, np.round(step / np.array(grid.voxel_sizes)).astype(int))
    block = np.minimum(block, values.shape)
    shape = np.array(values.shape) // block
    cut = values[tuple(slice(n * b) for n, b in zip(shape, block, strict=True))]
    blocks = cut.reshape(np.stack([shape, block], axis=1).ravel())
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3, 5))
    total = np.where(known, blocks, 0).sum(axis=(1, 3, 5), dtype=np.float64)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=2 * count >= block.prod())
    placing = np.diag([*block, 1.0])
    placing[:3, 3] = (block - 1) / 2
    return mean.astype(np.float32), Grid(mean.shape, grid.affine @ placing)
