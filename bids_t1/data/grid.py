"""Where the voxels of an image lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bids_t1.data.shapes import Affine

TOLERATED_SHIFT = 1e-3
"""Largest difference of voxel positions taken as rounding, in voxels."""

SAME_GRID_SHIFT = 0.1
"""Largest difference of voxel positions that still counts as one grid, in voxels."""

PLAUSIBLE_EDGES = (0.01, 100.0)
"""Shortest and longest edge of a voxel that an image of a head or phantom may have [mm]."""

_MILLIMETRES = {1: 1000.0, 3: 0.001}
"""Length of the unit by its code in NIfTI, metres and micrometres [mm]; others are taken as millimetres."""

_SPATIAL_BITS = 0b111
"""Of NIfTI's xyzt_units: those that hold the unit of length; the others hold that of time."""


def in_millimetres(affine: Affine, xyzt_units: int) -> Affine:
    """Return an affine in millimetres, from the unit that NIfTI's field ``xyzt_units`` declares.

    Examples
    --------
    >>> in_millimetres(np.diag([0.002, 0.002, 0.003, 1.0]), 1).diagonal().tolist()
    [2.0, 2.0, 3.0, 1.0]
    """
    scaled = affine.copy()
    scaled[:3] *= _MILLIMETRES.get(xyzt_units & _SPATIAL_BITS, 1.0)
    return scaled


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The shape of an image and its place in the scanner."""

    shape: tuple[int, int, int]
    affine: Affine
    """Voxel indices to scanner coordinates [mm], right-anterior-superior."""

    @property
    def voxel_sizes(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel [mm]."""
        sizes = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(sizes[0]), float(sizes[1]), float(sizes[2]))

    def shift_to(self, other: Grid) -> float:
        """Return how far the same voxel index lies apart in two grids, at the worst corner, in voxels.

        Infinite where the shapes differ.
        """
        if self.shape != other.shape:
            return float("inf")
        corners = np.array(np.meshgrid(*([0, n - 1] for n in self.shape))).reshape(3, -1)
        homogeneous = np.vstack([corners, np.ones(8)])
        apart = np.linalg.norm(((self.affine - other.affine) @ homogeneous)[:3], axis=0)
        return float(apart.max() / min(self.voxel_sizes))

    def part(self, some: tuple[slice, ...]) -> Grid:
        """Return the grid of an array of which only some slices along each axis are taken."""
        chosen = [range(n)[each] for n, each in zip(self.shape, some, strict=True)]
        affine = self.affine @ np.diag([*(float(each.step) for each in chosen), 1.0])
        affine[:3, 3] = self.affine[:3, :3] @ [each.start for each in chosen] + self.affine[:3, 3]
        first, second, third = map(len, chosen)
        return Grid((first, second, third), affine)

    def __str__(self) -> str:
        rows = "; ".join(" ".join(f"{value:.4g}" for value in row) for row in self.affine[:3])
        return f"{' x '.join(map(str, self.shape))} voxels, affine [{rows}]"
