"""An image in slabs, for what takes much memory in between and hears of its surroundings only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VOXELS = 8_000_000
"""Of a slab: those of a head of 1 mm are one or two."""


def slabs(shape: Sequence[int], reach: int) -> Iterator[tuple[slice, slice]]:
    """Cut an image into slabs along its first axis, and yield each without and with what is within reach of it.

    Parameters
    ----------
    shape
        Voxels along each axis.
    reach
        How far around a voxel what is said of it depends on, in voxels; no slab is thinner.
    """
    thickness = max(reach, VOXELS // max(1, math.prod(shape[1:])), 1)
    for start in range(0, shape[0], thickness):
        stop = min(start + thickness, shape[0])
        yield slice(start, stop), slice(max(0, start - reach), min(stop + reach, shape[0]))
