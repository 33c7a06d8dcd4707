"""How a head moved between the images of one run, whose contrasts differ and are predicted by a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_t1.data.alignment import HeadImage
from bids_t1.registration.images import moved, points_of
from bids_t1.registration.search import PARAMETERS, register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Affine, Map, Measurements, VoxelFlags

STILL = 0.1
"""Typical displacement, in voxels, that is taken for none: interpolation would do more harm."""

THIN = 4
"""Slices up to which a stack does not tell motion across it."""

N_STEPS = 4
"""Of Gauss-Newton, after which less than a hundredth of a voxel is left."""

N_ROBUST = 3
"""Rounds of least squares, with what fits worst left out."""

OUTLIER = 3.0
"""Residuals beyond so many typical ones are left out."""

MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of a standard normal variable."""

FEWEST = 100
"""Voxels below which nothing is said of motion."""

LUCK = 3.0
"""SDs of what noise gives that are taken off an apparent displacement."""

N_POINTS = 4_000
"""Voxels over which displacements are summed up."""


def across(grid: Grid) -> int | None:
    """Return the axis across a thin stack of slices; None where an image tells motion in all directions."""
    axis = int(np.argmin(grid.shape))
    return axis if grid.shape[axis] <= THIN else None


def is_small(displacement: float, grid: Grid) -> bool:
    """Tell whether a typical displacement [mm] is none to interpolate for."""
    axis = across(grid)
    return displacement < STILL * min(size for number, size in enumerate(grid.voxel_sizes) if number != axis)


def apparent_displacement(
    image: Map, predicted: NDArray[np.floating], voxels: NDArray[np.integer], grid: Grid
) -> float:
    """Return how far an image seems to lie from where a fit to all images has it, over some voxels [mm].

    To first order a moved image is its prediction plus gradient times displacement. A part of the motion is in the fit
    already: this finds that there is motion, and measures less than all of it. What noise alone may give is taken off.

    Parameters
    ----------
    image
        Magnitudes (x, y, z).
    predicted
        Magnitudes of the fit at the voxels.
    voxels
        Flat indices.
    """
    moves, found, covariance = _compare(image, predicted, voxels, grid)
    overlap = np.einsum("pdv,qdv->pq", moves, moves) / max(1, len(voxels))
    square = found @ overlap @ found - LUCK**2 * float((overlap * covariance).sum())
    return float(np.sqrt(max(0.0, square)))


def _compare(
    image: Map, predicted: NDArray[np.floating], voxels: NDArray[np.integer], grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.floating], NDArray[np.floating]]:
    """Return the motions that a grid tells, how much of each an image made, and their covariance."""
    moves = _moves(voxels, grid)
    slopes = _slopes(image, voxels, grid)
    measured = image.reshape(-1)[voxels]
    with np.errstate(invalid="ignore"):  # beside voxels that are not finite, which are not kept
        # Last column: a gain.
        columns = np.stack([*((move * slopes).sum(0) for move in moves), measured], axis=1)
        left = measured - predicted
    kept = np.isfinite(columns).all(1) & np.isfinite(left)
    return moves, *_robust_fit(columns[kept], left[kept], kept[kept])


def _motions(grid: Grid) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Return the axes along which a grid tells shifts, and those from which to which it tells turns."""
    axis = across(grid)
    directions = tuple(number for number in range(3) if number != axis and grid.shape[number] > 1)
    # In this order the third axis is that of the turn, by the right hand.
    return directions, tuple((a, b) for a, b in ((0, 1), (1, 2), (2, 0)) if a in directions and b in directions)


def _moves(voxels: NDArray[np.integer], grid: Grid) -> NDArray[np.float64]:
    """Return the displacement of voxels by a unit of each shift and turn that the grid tells, (motion, 3, voxel)."""
    directions, turns = _motions(grid)
    index = np.array(np.unravel_index(voxels, grid.shape), dtype=float)
    places = index * np.array(grid.voxel_sizes)[:, None]
    points = places - places.mean(1, keepdims=True)
    moves = np.zeros((len(directions) + len(turns), *points.shape))
    for number, direction in enumerate(directions):
        moves[number, direction] = 1.0
    for number, (a, b) in enumerate(turns, len(directions)):
        moves[number, b], moves[number, a] = points[a], -points[b]
    return moves


def _slopes(image: Map, voxels: NDArray[np.integer], grid: Grid) -> NDArray[np.float64]:
    """Return the gradient of an image at voxels, per mm along its axes, (3, voxel)."""
    slopes = np.zeros((3, len(voxels)))
    for number, size in enumerate(grid.voxel_sizes):
        if grid.shape[number] > 1:
            slopes[number] = np.gradient(image, size, axis=number).reshape(-1)[voxels]
    return slopes


def _robust_fit(
    columns: NDArray[np.float64], left: NDArray[np.floating], kept: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return least squares without outliers, less the last column, and the covariance; zeros where they are too few."""
    n_columns = columns.shape[1]
    found: NDArray[np.floating] = np.zeros(n_columns)
    inverse: NDArray[np.floating] = np.zeros((n_columns, n_columns))
    variance = 0.0
    for _ in range(N_ROBUST):
        if kept.sum() < FEWEST:
            break
        inverse = np.linalg.pinv(columns[kept].T @ columns[kept])
        found = inverse @ (columns[kept].T @ left[kept])
        error = np.abs(left - columns @ found)
        typical = float(np.median(error[kept])) / MEDIAN_OF_NORMAL
        variance = typical**2
        kept &= error <= OUTLIER * typical
    return found[:-1], variance * inverse[:-1, :-1]


def register_contrasts(target: Map, image: Map, grid: Grid, head: VoxelFlags) -> Affine:
    """Return the rigid matrix from scanner coordinates of a target to those of an image [mm], by mutual information.

    Parameters
    ----------
    target, image
        Magnitudes (x, y, z) of any contrast.
    head
        Where there is signal.
    """
    axis = across(grid)
    parameters = tuple(
        name for name in PARAMETERS if axis is None or name.startswith("rotation") == name.endswith("xyz"[axis])
    )
    around = ndimage.binary_dilation(head, iterations=2)
    fixed = HeadImage(values=np.where(head, target, 0).astype(np.float32), grid=grid, brain=head)
    moving = HeadImage(values=np.where(around, image, 0).astype(np.float32), grid=grid)
    matrix = register(fixed, moving, parameters, near=np.eye(4))
    return np.eye(4) if matrix is None else matrix


def refine_motion(target: Map, image: Map, matrix: Affine, grid: Grid, head: VoxelFlags) -> Affine:
    """Improve the matrix from scanner coordinates of a target to those of its image, which has the same contrast.

    Gauss-Newton on the difference of both, with a free gain. Unlike mutual information it has no liking for places
    where voxels fall together.

    Parameters
    ----------
    target, image
        Magnitudes (x, y, z).
    matrix
        Where to start, within a voxel or two.
    head
        Where there is signal.
    """
    voxels = np.flatnonzero(head)
    for _ in range(N_STEPS):
        (back,) = realigned(image[None], [matrix], grid)
        _, found, _ = _compare(back, target.reshape(-1)[voxels], voxels, grid)
        matrix = matrix @ _undoing(found, voxels, grid)
    return matrix


def _undoing(found: NDArray[np.floating], voxels: NDArray[np.integer], grid: Grid) -> Affine:
    """Return the rigid matrix, in scanner coordinates, that takes a small displacement of voxels back."""
    sizes = np.array(grid.voxel_sizes)
    index = np.array(np.unravel_index(voxels, grid.shape), dtype=float)
    centre = (index * sizes[:, None]).mean(1)
    directions, turns = _motions(grid)
    shift, turn = np.zeros(3), np.zeros(3)
    shift[list(directions)] = found[: len(directions)]
    for (a, b), angle in zip(turns, found[len(directions) :], strict=True):
        turn[3 - a - b] = angle
    back = np.eye(4)
    back[:3, :3] = Rotation.from_rotvec(-turn).as_matrix()
    back[:3, 3] = centre - back[:3, :3] @ centre - shift
    local = grid.affine @ np.diag([*(1 / sizes), 1.0])
    matrix: Affine = local @ back @ np.linalg.inv(local)
    return matrix


def displacement(matrix: Affine, grid: Grid, head: VoxelFlags) -> float:
    """Return the root mean square displacement of a head by a matrix [mm]."""
    index = np.argwhere(head)
    points = points_of(grid, index[:: max(1, len(index) // N_POINTS)])
    return _typical(moved(matrix, points) - points)


def realigned(images: Measurements, matrices: Sequence[Affine], grid: Grid) -> Measurements:
    """Return images as they would be in the place of the targets, by cubic splines; NaN where nothing was measured."""
    there = np.linalg.inv(grid.affine)
    result = np.empty_like(images)
    for number, (image, matrix) in enumerate(zip(images, matrices, strict=True)):
        mapping = there @ matrix @ grid.affine
        parts = (image.real, image.imag) if np.iscomplexobj(image) else (image,)
        sampled = [_sampled(part, mapping) for part in parts]
        if np.array_equal(matrix, np.eye(4)):
            result[number] = image
        elif np.iscomplexobj(image):
            result[number].real, result[number].imag = sampled
        else:
            result[number] = sampled[0]
    return result


def _sampled(image: Map, mapping: Affine) -> Map:
    known = np.isfinite(image)
    values = ndimage.affine_transform(np.where(known, image, 0), mapping, order=3, mode="nearest")
    # Beyond the edge there is nothing, but rounding takes no slice away.
    inside = ndimage.affine_transform(known.astype(np.float32), mapping, order=1, mode="grid-constant", cval=0.0)
    sampled: Map = np.where(inside > 0.5, values, np.nan).astype(np.float32)  # noqa: PLR2004 - the nearer half
    return sampled


def _typical(moves: NDArray[np.floating]) -> float:
    return float(np.sqrt((moves**2).sum(0).mean()))
