"""Which slices are shown, and which way up: voxel axes turned to anatomical pictures, nothing resampled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from bids_t1.data.grid import Grid

ANISOTROPIC = 1.2
"""Ratio of longest to shortest voxel edge from which slices are shown as they were acquired."""

ENOUGH = 0.15
"""Share of the fullest slice's voxels from which a slice is worth a picture."""

MARGIN = 3
"""Voxels left around what is shown."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A way of looking at the head. Radiological: the participant's right is on the left."""

    name: str
    normal: int
    """Axis of right-anterior-superior space that the plane is perpendicular to."""

    letters: tuple[str, str, str, str]
    """What lies left, right, above and below in the picture."""

    sides: tuple[str, str]
    """Letters of positive and negative positions along the normal."""


SAGITTAL = Plane("sagittal", 0, ("A", "P", "S", "I"), ("R", "L"))
CORONAL = Plane("coronal", 1, ("R", "L", "S", "I"), ("A", "P"))
AXIAL = Plane("axial", 2, ("R", "L", "A", "P"), ("S", "I"))


@dataclass(frozen=True, slots=True)
class Turn:
    """How voxel axes become right, anterior and superior, as nearly as whole axes can."""

    order: tuple[int, int, int]
    """Voxel axis that runs closest to each anatomical axis."""

    flipped: tuple[bool, bool, bool]
    """Whether it runs against it."""

    @classmethod
    def towards_anatomy(cls, affine: NDArray[np.floating]) -> Turn:
        """Find the order and signs of the axes for which the cosines to the anatomical axes are largest."""
        cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        order = max(permutations(range(3)), key=lambda axes: np.abs(cosines[range(3), axes]).sum())
        signs = cosines[range(3), order]
        return cls((order[0], order[1], order[2]), (bool(signs[0] < 0), bool(signs[1] < 0), bool(signs[2] < 0)))

    def array(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a map (x, y, z) with its axes turned."""
        steps = tuple(slice(None, None, -1 if flipped else 1) for flipped in self.flipped)
        return values.transpose(self.order)[steps]

    def affine(self, grid: Grid) -> NDArray[np.float64]:
        """Return the affine that belongs to the turned axes of a grid."""
        turned = np.array(grid.affine, dtype=np.float64)
        turned[:3, :3] = turned[:3, list(self.order)]
        for axis, flipped in enumerate(self.flipped):
            if flipped:
                turned[:3, 3] += turned[:3, axis] * (grid.shape[self.order[axis]] - 1)
                turned[:3, axis] *= -1
        return turned


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """The slices to show, the part of them that holds anything, and how to turn them."""

    plane: Plane
    obliquity: float
    """Angle between the slices' normal and the anatomical axis [degree]."""

    slices: tuple[int, ...]
    """Indices along the plane's normal, from left, posterior or inferior."""

    positions: tuple[str, ...]
    """Where each slice lies, such as 'S 12 mm'."""

    pixel_size: tuple[float, float]
    """Width and height of a voxel in the picture [mm]."""

    turn: Turn
    crop: tuple[slice, slice, slice]

    def picture(self, values: NDArray[Any], index: int) -> NDArray[Any]:
        """Return one slice of a map, rows from the top, columns from the left."""
        # numpy's take would copy the whole map first.
        cut: NDArray[Any] = np.moveaxis(self.turn.array(values)[self.crop], self.plane.normal, 0)[index]
        return cut[::-1, ::-1].T

    def fewer(self, n: int) -> Layout:
        """Return a layout of at most `n` of the slices, spread evenly and clear of the ends."""
        if len(self.slices) <= n:
            return self
        return self._only(np.linspace(0, len(self.slices) - 1, n + 2).round().astype(int)[1:-1])

    def _only(self, chosen: Iterable[int]) -> Layout:
        places = list(chosen)
        return replace(
            self,
            slices=tuple(self.slices[place] for place in places),
            positions=tuple(self.positions[place] for place in places),
        )

    def with_most(self, marked: NDArray[np.bool_], n: int) -> Layout:
        """Return a layout of the `n` slices with most marked voxels, in their order."""
        counts = [int(np.count_nonzero(self.picture(marked, index))) for index in self.slices]
        chosen = sorted(np.argsort(np.negative(counts), kind="stable")[:n])
        return self._only(chosen)


def lay_out(grid: Grid, shown: NDArray[np.bool_], *, n_slices: int) -> Layout:
    """Choose plane, slices and crop so that what is shown is covered.

    Parameters
    ----------
    grid
        Of the maps.
    shown
        Voxels worth seeing (x, y, z); where there are none, everything is.
    n_slices
        Most slices to choose.
    """
    turn = Turn.towards_anatomy(grid.affine)
    affine = turn.affine(grid)
    worth = turn.array(shown)
    if not worth.any():
        worth = np.ones_like(worth)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    plane = _choose_plane(sizes, worth.shape)
    crop = _bounding_box(worth, keep=plane.normal)
    slices = _choose_slices(worth.sum(axis=tuple(a for a in range(3) if a != plane.normal)), n_slices)
    across = [axis for axis in range(3) if axis != plane.normal]
    return Layout(
        plane=plane,
        obliquity=_angle(affine[:3, plane.normal], plane.normal),
        slices=slices,
        positions=tuple(_position(affine, crop, plane, index) for index in slices),
        pixel_size=(float(sizes[across[0]]), float(sizes[across[1]])),
        turn=turn,
        crop=crop,
    )


def _choose_plane(sizes: NDArray[np.float64], shape: tuple[int, ...]) -> Plane:
    """Show single slices and thick slices as they were acquired, everything else axially."""
    planes = (SAGITTAL, CORONAL, AXIAL)
    if 1 in shape:
        return planes[max(axis for axis in range(3) if shape[axis] == 1)]
    if sizes.max() > ANISOTROPIC * sizes.min():
        return planes[int(sizes.argmax())]
    return AXIAL


def _bounding_box(worth: NDArray[np.bool_], keep: int) -> tuple[slice, slice, slice]:
    """Return the box around what is worth seeing, whole along one axis."""
    box = []
    for axis, length in enumerate(worth.shape):
        filled = np.flatnonzero(worth.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (0, length - 1) if axis == keep else (int(filled[0]) - MARGIN, int(filled[-1]) + MARGIN)
        box.append(slice(max(0, first), min(length, last + 1)))
    return (box[0], box[1], box[2])


def _choose_slices(n_worth: NDArray[np.int64], n_slices: int) -> tuple[int, ...]:
    """Spread slices evenly over those that hold enough."""
    filled = np.flatnonzero(n_worth >= max(1, ENOUGH * n_worth.max()))
    first, last = int(filled[0]), int(filled[-1])
    n = min(n_slices, last - first + 1)
    return tuple(int(i) for i in np.unique(np.linspace(first, last, n).round().astype(int)))


def _position(affine: NDArray[np.float64], crop: tuple[slice, ...], plane: Plane, index: int) -> str:
    """Say where the middle of a slice lies in the scanner."""
    voxel = [(part.start + part.stop - 1) / 2 for part in crop]
    voxel[plane.normal] = index
    millimetres = round(float((affine @ np.array([*voxel, 1.0]))[plane.normal]))
    side = plane.sides[0] if millimetres >= 0 else plane.sides[1]
    return f"{side} {abs(millimetres)} mm"


def _angle(direction: NDArray[np.float64], axis: int) -> float:
    cosine = abs(direction[axis]) / np.linalg.norm(direction)
    return math.degrees(math.acos(min(1.0, float(cosine))))
