"""The rigid motion that maximises mutual information, from coarse to fine and from several starts.

SimpleITK's Mattes mutual information over points in and about a brain. One thread and seeded points: the same bits on
any number of processors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.registration.images import at_right_angles, axes_of, inside, moved, points_of, region, smoothed, turned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from bids_t1.data.alignment import HeadImage
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Affine, VoxelFlags

PARAMETERS = ("rotation x", "rotation y", "rotation z", "translation x", "translation y", "translation z")
"""About and along the axes of the image whose brain is sampled."""

FEW_SLICES = 2
"""Up to which an image does not say where it lies across its slices."""

LEVELS = ((8.0, 4_000), (4.0, 20_000), (2.0, 60_000))
"""Full width at half maximum that images are smoothed to [mm], and number of points."""

KEPT = (3, 1, 1)
"""Of the starts of each level, how many go on."""

TURN = 12.0
"""Of starts beside the headers [degree]: what lies between them is reached from either."""

SHIFT = 10.0
"""The same along an axis [mm]."""

MARGIN = 6.0
"""How far beyond the brain points are taken: its edge against fluid and skull tells much [mm]."""

LEAST_COVERED = 0.1
"""Share of brain within the other image that a start must have."""

N_OUTLINE = 5_000
"""Points of the brain that tell how much of it is inside."""

MOST_SPARE = 1.5
"""Voxels that an image has to each point, at most."""

LEAST_ALONG = 8
"""Voxels that are left along an axis: slices are few enough."""

BINS, SEED, STEPS = 32, 1, 100

PRECISION = (50, 50, 400)
"""Of each level: its width over the step at which a climb ends; what goes on is improved by the next."""

BRAIN_RADIUS = 60.0
"""How far a turn by one radian moves the points of a brain, about [mm]."""

MOVES = np.array([BRAIN_RADIUS] * 3 + [1.0] * 3)
"""How far each parameter moves them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two images made ready for all levels."""

    sampled: HeadImage
    near: VoxelFlags
    """Which of its voxels are in or about the brain."""

    brain: np.ndarray
    """Some points (3, point) of its brain [mm]."""

    other: HeadImage
    """Askew to its own voxels."""

    filled: VoxelFlags
    """Which voxels of `other` it fills, (x, y, z)."""

    view: Grid
    """The other's own grid."""

    centre: np.ndarray
    """Of the other brain, in the frame [mm]."""

    frame: Affine
    """Scanner coordinates to the axes along which parameters are."""

    def covered(self, parameters: np.ndarray) -> float:
        """Return the share of the brain within the other's field of view."""
        return float(inside(self.view, moved(_to_matrix(parameters, self.frame), self.brain)).mean())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Level:
    """Both images at one resolution, as ITK has them."""

    itk: ModuleType
    sampled: object
    points: object
    """Mask of the voxels of `sampled` that are looked at."""

    other: object
    filled: object
    width: float
    """Resolution [mm]."""

    least_step: float
    """By which a climb ends [mm]."""


def register(
    sampled: HeadImage,
    other: HeadImage,
    parameters: Sequence[str],
    *,
    near: Affine | None = None,
    roughly: bool = False,
) -> Affine | None:
    """Return the rigid matrix from scanner coordinates of `sampled` to those of `other` [mm].

    None where nowhere near the headers the two overlap. Parameters that are not named stay as in the headers. A matrix
    to begin near is only improved, at the finest level, which is left out where it is enough to know it roughly.
    """
    pair = _prepare(sampled, other)
    free = [name in parameters for name in PARAMETERS]
    starts = _starts(pair.centre, free) if near is None else [_from_matrix(near, pair.frame)]
    found = [start for start in starts if pair.covered(start) >= LEAST_COVERED]
    first, end = 0 if near is None else -1, -1 if roughly else None
    for (width, n_points), precision, kept in list(zip(LEVELS, PRECISION, KEPT, strict=True))[first:end]:
        level = _level(pair, width, n_points, width / precision)
        found = _distinct(_climbed(pair, level, found, free), width)[:kept]
    return _to_matrix(found[0], pair.frame) if found else None


def _climbed(pair: _Pair, level: _Level, starts: Sequence[np.ndarray], free: Sequence[bool]) -> list[np.ndarray]:
    """Return where climbs from all starts end, the best first."""
    ends = [_improve(level, start, free) for start in starts]
    # Else a motion out of the image, onto few points, could win.
    ends.sort(key=lambda end: -end[0] * pair.covered(end[1]))
    return [end for _, end in ends]


def _prepare(sampled: HeadImage, other: HeadImage) -> _Pair:
    sampled = at_right_angles(sampled)
    frame = _frame(sampled)
    index = np.argwhere(region(sampled))
    centre = points_of(other.grid, np.argwhere(region(other))).mean(axis=1, keepdims=True)
    few = min(other.grid.shape) <= FEW_SLICES
    askew, filled = (at_right_angles(other), np.ones(other.grid.shape, np.bool_)) if few else turned(other)
    return _Pair(
        sampled=sampled,
        near=_near(region(sampled), sampled.grid),
        brain=points_of(sampled.grid, index[:: 1 + len(index) // N_OUTLINE]),
        other=askew,
        filled=filled,
        view=other.grid,
        centre=moved(frame, centre)[:, 0],
        frame=frame,
    )


def _near(brain: VoxelFlags, grid: Grid) -> VoxelFlags:
    """Return which voxels are in or about a brain; distances are measured around it only."""
    margins = [int(MARGIN / size) + 1 for size in grid.voxel_sizes]
    box = tuple(
        slice(max(0, low - margin), high + margin) for (low, high), margin in zip(_bounds(brain), margins, strict=True)
    )
    near = np.zeros(brain.shape, np.bool_)
    near[box] = ndimage.distance_transform_edt(~brain[box], sampling=grid.voxel_sizes) <= MARGIN
    return near


def _frame(image: HeadImage) -> Affine:
    """Return the matrix from scanner coordinates to axes of the image, from the centre of its brain."""
    centre = points_of(image.grid, np.argwhere(region(image))).mean(axis=1)
    axes = axes_of(image.grid)
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    frame = np.eye(4)
    frame[:3, :3] = axes.T
    frame[:3, 3] = -axes.T @ centre
    return frame


def _starts(centre: np.ndarray, free: Sequence[bool]) -> list[np.ndarray]:
    """List where to begin: by the headers, a little turned and shifted, and with the other brain's centre on ours."""
    starts = [np.zeros(6)]
    for axis in np.flatnonzero(free):
        for sign in (-1, 1):
            start = np.zeros(6)
            start[axis] = sign * (np.radians(TURN) if axis < 3 else SHIFT)  # noqa: PLR2004 - rotations come first
            starts.append(start)
    starts.append(np.where(free, np.concatenate([np.zeros(3), centre]), 0))
    return starts


def _distinct(ends: Sequence[np.ndarray], width: float) -> list[np.ndarray]:
    """Leave out ends that are those of a better one: most starts lead to the same place."""
    kept: list[np.ndarray] = []
    for end in ends:
        apart = [float(np.abs((end - other) * MOVES).max()) for other in kept]
        if all(distance > width / 8 for distance in apart):
            kept.append(end)
    return kept


def _level(pair: _Pair, width: float, n_points: int, least_step: float) -> _Level:
    import SimpleITK  # noqa: PLC0415 - slow to import

    sampled, other = pair.sampled, pair.other
    bounds = zip(_bounds(pair.near), _strides(pair.near, sampled.grid.voxel_sizes, n_points), strict=True)
    some = tuple(slice(low, high, step) for (low, high), step in bounds)
    grid = sampled.grid.part(some)
    return _Level(
        itk=SimpleITK,
        sampled=_to_itk(SimpleITK, smoothed(sampled, width)[some], grid, pair.frame),
        points=_to_itk(SimpleITK, _thinned(pair.near[some], n_points).astype(np.uint8), grid, pair.frame),
        other=_to_itk(SimpleITK, smoothed(other, width), other.grid, pair.frame),
        filled=_to_itk(SimpleITK, pair.filled.astype(np.uint8), other.grid, pair.frame),
        width=width,
        least_step=least_step,
    )


def _strides(flags: VoxelFlags, sizes: Sequence[float], n_points: int) -> list[int]:
    """Return every how many voxels along each axis leave about so many of the marked ones, or some more.

    ITK asks of every voxel of an image whether it is a point: one that is as sparse as its points takes least time.
    """
    strides = [1, 1, 1]
    while np.count_nonzero(flags) > MOST_SPARE * n_points * np.prod(strides):
        wide = [axis for axis in range(3) if flags.shape[axis] >= LEAST_ALONG * (strides[axis] + 1)]
        if not wide:
            break
        strides[min(wide, key=lambda axis: strides[axis] * sizes[axis])] += 1
    return strides


def _bounds(flags: VoxelFlags) -> list[tuple[int, int]]:
    """Return the first and the end of what is marked, along each axis."""
    found = [np.flatnonzero(flags.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return [(int(places[0]), int(places[-1]) + 1) for places in found]


def _thinned(flags: VoxelFlags, n_points: int) -> VoxelFlags:
    """Keep about so many of the marked voxels, at random.

    ITK's own points are drawn about the centres of voxels, and those of a fixed image bias the shift by 0.15 mm along
    each axis at voxels of 2 mm; at the centres there is no bias.
    """
    share = n_points / np.count_nonzero(flags)
    thinned: VoxelFlags = flags & (np.random.default_rng(SEED).random(flags.shape) < share)
    return thinned


def _to_itk(itk: ModuleType, values: np.ndarray, grid: Grid, frame: Affine) -> object:
    axes = frame[:3, :3] @ axes_of(grid)
    image = itk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing(grid.voxel_sizes)
    image.SetOrigin(moved(frame, grid.affine[:3, 3:])[:, 0].tolist())
    image.SetDirection(axes.ravel().tolist())
    return image


def _improve(level: _Level, start: np.ndarray, free: Sequence[bool]) -> tuple[float, np.ndarray]:
    """Climb from a start; return the mutual information reached and where."""
    itk = level.itk
    transform = itk.Euler3DTransform()
    transform.SetParameters(start.tolist())
    method = itk.ImageRegistrationMethod()
    # Threads add up sums in the order in which they end.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.MetricUseFixedImageGradientFilterOff()
    method.MetricUseMovingImageGradientFilterOff()
    method.SetMetricFixedMask(level.points)
    method.SetMetricMovingMask(level.filled)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(level.width / 2, level.least_step, STEPS)
    method.SetOptimizerScales((MOVES**2).tolist())
    method.SetOptimizerWeights([float(each) for each in free])
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(level.sampled, level.other)
    except RuntimeError:  # ITK's way to say that it left the image
        return 0.0, start
    return -method.GetMetricValue(), np.array(transform.GetParameters())


def _from_matrix(matrix: Affine, frame: Affine) -> np.ndarray:
    """Return the parameters of a matrix between scanner coordinates: the inverse of `_to_matrix`."""
    motion = frame @ matrix @ np.linalg.inv(frame)
    turn = motion[:3, :3]
    angles = (
        np.arcsin(np.clip(turn[2, 1], -1, 1)), np.arctan2(-turn[2, 0], turn[2, 2]), np.arctan2(-turn[0, 1], turn[1, 1])
    )  # fmt: skip
    return np.array([*angles, *motion[:3, 3]])


def _to_matrix(parameters: np.ndarray, frame: Affine) -> Affine:
    """Return the matrix between scanner coordinates of angles [rad] and shifts [mm] in a frame: x after y, z first.

    ITK's Euler3DTransform rotates by Rz Rx Ry.
    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(parameters[:3]), np.sin(parameters[:3])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    motion = np.eye(4)
    motion[:3, :3] = about_z @ about_x @ about_y
    motion[:3, 3] = parameters[3:]
    matrix: Affine = np.linalg.inv(frame) @ motion @ frame
    return matrix
