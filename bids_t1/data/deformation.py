"""How points of a head are led to those of a template, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from bids_t1.data.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from bids_t1.data.shapes import Affine

N_INVERSION_STEPS = 40
"""Of the fixed-point iteration that undoes a displacement; neighbours move almost alike, so that it converges."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Displacement:
    """How far points are moved, known on a grid."""

    grid: Grid
    values: np.ndarray
    """Added to scanner coordinates, (3, x, y, z) [mm]; beyond the grid as at its border."""

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Move points, (3, ...) [mm]."""
        where = apply(np.linalg.inv(self.grid.affine), points)
        by = [ndimage.map_coordinates(each, where, order=1, mode="nearest") for each in self.values]
        return np.asarray(points + np.stack(by))

    def inverse(self) -> Displacement:
        """Return what leads moved points back, on the same grid."""
        start = points_of(self.grid)
        found = start
        for _ in range(N_INVERSION_STEPS):
            found = start - (self.moved(found) - found)
        return Displacement(grid=self.grid, values=found - start)

    def seen_from(self, matrix: Affine) -> Displacement:
        """Return the same in other scanner coordinates, which a matrix leads to these [mm]."""
        back = np.linalg.inv(matrix)
        grid = Grid(self.grid.shape, back @ self.grid.affine)
        return Displacement(grid=grid, values=np.tensordot(back[:3, :3], self.values, axes=1))


class WayBack(NamedTuple):
    """How points of a template are led to a head."""

    matrix: Affine
    """Template to scanner coordinates [mm]."""

    bend: Callable[[np.ndarray], np.ndarray] | None
    """After `matrix`; None: affine only."""

    def head_points(self, points: np.ndarray) -> np.ndarray:
        """Return where points of the template, (3, ...), lie in the head [mm]."""
        placed = apply(self.matrix, points)
        return placed if self.bend is None else self.bend(placed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deformation:
    """Where the points of a head lie in a template."""

    matrix: Affine
    """Scanner to template coordinates [mm]."""

    displacement: Displacement | None = None
    """Before `matrix`; None: affine only."""

    def template_points(self, grid: Grid) -> np.ndarray:
        """Return where the voxels of a grid lie in the template, (3, x, y, z) [mm]."""
        points = points_of(grid)
        return apply(self.matrix, points if self.displacement is None else self.displacement.moved(points))

    def way_back(self) -> WayBack:
        """Return what leads points of the template to the head, which takes a while to find."""
        bend = None if self.displacement is None else self.displacement.inverse().moved
        return WayBack(np.linalg.inv(self.matrix), bend)

    def seen_from(self, matrix: Affine) -> Deformation:
        """Return the same for another image of the head, whose scanner coordinates a matrix leads to these [mm]."""
        moved = None if self.displacement is None else self.displacement.seen_from(matrix)
        return Deformation(matrix=self.matrix @ matrix, displacement=moved)


def points_of(grid: Grid) -> np.ndarray:
    """Return where the voxels of a grid lie, (3, x, y, z) [mm]."""
    return apply(grid.affine, np.indices(grid.shape))


def apply(matrix: Affine, points: np.ndarray) -> np.ndarray:
    """Apply an affine to points, (3, ...)."""
    shift = matrix[:3, 3].reshape(3, *[1] * (points.ndim - 1))
    return np.asarray(np.tensordot(matrix[:3, :3], points, axes=1) + shift)
