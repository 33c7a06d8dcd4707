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

    def __str__(self) -> str:
        rows = "; ".join(" ".join(f"{value:.4g}" for value in row) for row in self.affine[:3])
        return f"{' x '.join(map(str, self.shape))} voxels, affine [{rows}]"
