"""How often intensities of a picture and of a template fall together, point by point.

Numba compiles it; a search asks for it some two thousand times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from bids_t1.compiling import COMPILES, compiled, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Affine

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]

PICTURE_BINS = 24
TEMPLATE_BINS = 12


class Points(NamedTuple):
    """Some voxels of a picture."""

    places: Floats
    """Scanner coordinates with ones, (4, point) [mm]."""

    bins: NDArray[np.int32]
    """Bin of each, (point,)."""

    shares: Floats
    """Share of each that belongs to the next bin, (point,)."""


class Sought(NamedTuple):
    """Where they are looked for: both (x, y, z), 0 outside."""

    picture: Singles
    """Intensity of the template, from 0 to 1."""

    near: Singles
    """Share of a voxel that is in or near the template's brain."""


def joint(points: Points, sought: Sought, to_index: Affine) -> Floats:
    """Return the weights of pairs of bins: of the template, with one row more for what is far from it, and the picture.

    Parameters
    ----------
    points, sought
        What is compared.
    to_index
        Scanner coordinates to indices of the template, (4, 4).

    Returns
    -------
    array (template bin + 1, picture bin)
        Both images in between their bins and voxels are shared linearly.
    """
    return _by_points(points, sought, to_index) if COMPILES else plain(points, sought, to_index)


def _by_points(points: Points, sought: Sought, to_index: Affine) -> Floats:
    found = np.zeros((TEMPLATE_BINS + 1, PICTURE_BINS))
    _count(points, sought, np.ascontiguousarray(to_index, np.float64), found)
    return found


def plain(points: Points, sought: Sought, to_index: Affine) -> Floats:
    """Return the same as `joint`, array by array: the reference, and what there is without a compiler."""
    where = (to_index @ points.places)[:3]
    value = ndimage.map_coordinates(sought.picture, where, order=1, mode="constant") * (TEMPLATE_BINS - 1)
    near = ndimage.map_coordinates(sought.near, where, order=1, mode="constant")
    lower = np.minimum(value.astype(np.int32), TEMPLATE_BINS - 2)
    upper_share = value - lower
    found = np.zeros((TEMPLATE_BINS + 1) * PICTURE_BINS)
    rows = (
        (lower, (1 - upper_share) * near),
        (lower + 1, upper_share * near),
        (np.full_like(lower, TEMPLATE_BINS), 1 - near),
    )
    for row, weight in rows:
        for step, share in ((0, 1 - points.shares), (1, points.shares)):
            found += np.bincount(row * PICTURE_BINS + points.bins + step, weight * share, found.size)
    return found.reshape(TEMPLATE_BINS + 1, PICTURE_BINS)


@kept
def _count(points: Points, sought: Sought, to_index: Affine, found: Floats) -> None:
    """Add all points to a table of pairs."""
    for point in range(points.bins.shape[0]):
        x = _row(to_index, points.places, 0, point)
        y = _row(to_index, points.places, 1, point)
        z = _row(to_index, points.places, 2, point)
        value, near = _read(sought, x, y, z)
        value *= TEMPLATE_BINS - 1
        lower = min(int(value), TEMPLATE_BINS - 2)
        upper_share = value - lower
        column, share = points.bins[point], points.shares[point]
        found[lower, column] += (1 - upper_share) * near * (1 - share)
        found[lower, column + 1] += (1 - upper_share) * near * share
        found[lower + 1, column] += upper_share * near * (1 - share)
        found[lower + 1, column + 1] += upper_share * near * share
        found[TEMPLATE_BINS, column] += (1 - near) * (1 - share)
        found[TEMPLATE_BINS, column + 1] += (1 - near) * share


@compiled
def _row(matrix: Affine, places: Floats, axis: int, point: int) -> float:
    """Return one coordinate of a point."""
    value: float = (
        matrix[axis, 0] * places[0, point]
        + matrix[axis, 1] * places[1, point]
        + matrix[axis, 2] * places[2, point]
        + matrix[axis, 3]
    )
    return value


@compiled
def _read(sought: Sought, x: float, y: float, z: float) -> tuple[float, float]:
    """Return intensity and nearness in between eight voxels; 0 outside of the centres of voxels."""
    n_x, n_y, n_z = sought.near.shape
    if not (0 <= x <= n_x - 1 and 0 <= y <= n_y - 1 and 0 <= z <= n_z - 1):
        return 0.0, 0.0
    return _between(sought.picture, x, y, z), _between(sought.near, x, y, z)


@compiled
def _between(image: Singles, x: float, y: float, z: float) -> float:
    """Return the value at a place within an image, by straight lines between the centres of voxels."""
    n_x, n_y, n_z = image.shape
    i, j, k = min(int(x), n_x - 2), min(int(y), n_y - 2), min(int(z), n_z - 2)
    x, y, z = x - i, y - j, z - k
    before = _along(image, i, j, k, z) * (1 - y) + _along(image, i, j + 1, k, z) * y
    behind = _along(image, i + 1, j, k, z) * (1 - y) + _along(image, i + 1, j + 1, k, z) * y
    return before * (1 - x) + behind * x


@compiled
def _along(image: Singles, i: int, j: int, k: int, z: float) -> float:
    value: float = image[i, j, k] * (1 - z) + image[i, j, k + 1] * z
    return value
