"""What registration asks of a picture of a head: its brain, its values at points, its smoothed self."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_t1.data.alignment import HeadImage
from bids_t1.data.grid import Grid
from bids_t1.resampling import averaged, resample, resample_flags

if TYPE_CHECKING:
    from bids_t1.data.shapes import Affine, VoxelFlags

ORTHOGONAL = 1e-3
"""Largest deviation of axes from right angles that is rounding in a header."""

ASKEW = (20.0, 15.0, 25.0)
"""Angles of `turned`: none near a symmetry of cubic voxels [degree]."""

LEAST_TURNED = 1.5
"""Voxel size of `turned` below which nothing is gained [mm]."""

FWHM_OF_SD = 2.355

FINEST = 2.0
"""Voxels that finer ones are averaged to, about [mm]: nothing smaller is compared."""

MANY = 32
"""Voxels that an image has along each axis to be averaged: a slab keeps its slices."""


def coarser(image: HeadImage) -> HeadImage:
    """Return the image at voxels that are about `FINEST` along each axis, or longer; one of few slices as it is."""
    if min(image.grid.shape) < MANY:
        return image
    values, grid = averaged(image.values, image.grid, FINEST)
    if grid.shape == image.grid.shape:
        return image
    brain = None if image.brain is None else averaged(image.brain.astype(np.float32), image.grid, FINEST)[0] >= 0.5  # noqa: PLR2004 - half
    return HeadImage(values=values, grid=grid, brain=brain)


def region(image: HeadImage) -> VoxelFlags:
    """Return the brain, or all of the head where it is not known."""
    return image.values != 0 if image.brain is None else image.brain


def points_of(grid: Grid, index: np.ndarray) -> np.ndarray:
    """Return scanner coordinates (3, point) of voxels (point, 3) [mm]."""
    points: np.ndarray = grid.affine[:3, :3] @ index.T + grid.affine[:3, 3:]
    return points


def moved(matrix: Affine, points: np.ndarray) -> np.ndarray:
    """Apply a matrix to points (3, point)."""
    there: np.ndarray = matrix[:3, :3] @ points + matrix[:3, 3:]
    return there


def indices_of(grid: Grid, points: np.ndarray) -> np.ndarray:
    """Return voxel indices (3, point) of scanner coordinates, with fractions."""
    return moved(np.linalg.inv(grid.affine), points)


def inside(grid: Grid, points: np.ndarray) -> np.ndarray:
    """Return which points (3, point) lie within the voxels of a grid."""
    middle = (np.array(grid.shape)[:, None] - 1) / 2
    within: np.ndarray = np.all(np.abs(indices_of(grid, points) - middle) <= middle + 0.5, axis=0)
    return within


def axes_of(grid: Grid) -> np.ndarray:
    """Return the unit vectors (3, axis) along the axes of a grid that are next to its own and at right angles."""
    left, _, right = np.linalg.svd(grid.affine[:3, :3] / np.array(grid.voxel_sizes))
    axes: np.ndarray = left @ right
    return axes


def at_right_angles(image: HeadImage) -> HeadImage:
    """Return the image on a grid whose axes are at right angles, which is what ITK works on."""
    grid, axes = image.grid, axes_of(image.grid)
    if np.abs(grid.affine[:3, :3] / np.array(grid.voxel_sizes) - axes).max() <= ORTHOGONAL:
        return image
    affine = grid.affine.copy()
    affine[:3, :3] = axes * np.array(grid.voxel_sizes)
    middle = (np.array(grid.shape) - 1) / 2
    affine[:3, 3] += (grid.affine[:3, :3] - affine[:3, :3]) @ middle
    straight = Grid(grid.shape, affine)
    brain = None if image.brain is None else resample_flags(image.brain, grid, straight)
    return replace(image, values=np.nan_to_num(resample(image.values, grid, straight)), grid=straight, brain=brain)


def turned(image: HeadImage) -> tuple[HeadImage, VoxelFlags]:
    """Return the image, without its brain, on cubic voxels whose axes lie askew to its own, and which of them it fills.

    Where voxels of two images can fall on each other, interpolation between them changes noise and sharpness with the
    shift, and similarity prefers some shifts for that: errors of a quarter of a voxel. Askew, nothing falls together.
    """
    size = max(LEAST_TURNED, min(image.grid.voxel_sizes))
    axes = Rotation.from_euler("xyz", ASKEW, degrees=True).as_matrix()
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in image.grid.shape))))
    points = axes.T @ points_of(image.grid, corners)
    first, last = points.min(axis=1), points.max(axis=1)
    nx, ny, nz = np.ceil((last - first) / size).astype(int).tolist()
    affine = np.eye(4)
    affine[:3, :3] = axes * size
    affine[:3, 3] = axes @ (first + size / 2)
    grid = Grid((nx, ny, nz), affine)
    there = np.linalg.inv(image.grid.affine) @ affine
    values = ndimage.affine_transform(
        image.values.astype(np.float32, copy=False), there, output_shape=grid.shape, order=1, cval=np.nan
    )
    return HeadImage(values=np.nan_to_num(values), grid=grid), np.isfinite(values)


def smoothed(image: HeadImage, width: float) -> np.ndarray:
    """Return the values at a resolution of `width` mm; an axis of longer voxels is left as it is."""
    sizes = np.array(image.grid.voxel_sizes)
    sd = np.sqrt(np.maximum(0, width**2 - sizes**2)) / FWHM_OF_SD / sizes
    values: np.ndarray = image.values.astype(np.float32, copy=False)
    return ndimage.gaussian_filter(values, sd, mode="nearest") if sd.any() else values
