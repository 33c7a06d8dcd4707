"""Maps of one grid on another: averaged over larger voxels, interpolated linearly between smaller ones.

A value on the target is a weighted mean of voxels of the source. A target voxel that is longer than those of the
source along one of its axes is divided along it, each part is interpolated linearly, and the parts are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from bids_t1.compiling import COMPILES, kept
from bids_t1.data.deformation import apply
from bids_t1.data.grid import TOLERATED_SHIFT, Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bids_t1.data.shapes import Affine, Labels, Map, VoxelFlags

    Bend = Callable[[np.ndarray], np.ndarray]
    """Moves points, (3, point) [mm]."""

LEAST_KNOWN = 0.5
"""Weight of known voxels from which a value is kept."""

TOLERATED_LENGTH = 0.01
"""By how much a target voxel may be longer than those of the source and still count as equal, relative."""

POINTS_PER_CHUNK = 1 << 18
"""Interpolated points held at a time, or those of one plane where it has more: 8 weights each, some 50 MB."""


def resample(values: Map, source: Grid, target: Grid, matrix: Affine | None = None, bend: Bend | None = None) -> Map:
    """Bring a map to another grid.

    Parameters
    ----------
    values : array (x, y, z)
        On `source`; NaN where unknown.
    source, target : Grid
        Where the voxels are, and where they are wanted.
    matrix : array (4, 4)
        Scanner coordinates of the target to those of the source [mm], right-anterior-superior; None where both are
        the same.
    bend
        Moves points in the scanner coordinates of the source, after `matrix`; None: not at all.

    Returns
    -------
    array (x, y, z)
        float32, the mean of known voxels; NaN where less than half of the weight is known, as outside of the source.
        `values` itself where both grids are the same.
    """
    placed = _in_source(target, matrix)
    if bend is None and source.shift_to(placed) <= TOLERATED_SHIFT:
        return values
    known = np.isfinite(values)
    columns = np.stack([known, np.where(known, values, 0)], axis=-1).reshape(-1, 2).astype(np.float32)
    sums = np.concatenate([parts.mean_of(columns) for parts in _parts(source, placed, bend)])
    return _mean(sums[:, 1], sums[:, 0]).reshape(target.shape)


def resample_times(  # noqa: PLR0913, PLR0917 - two maps, two grids, and how these lie to each other
    time: Map,
    time_sd: Map,
    source: Grid,
    target: Grid,
    matrix: Affine | None = None,
    bend: Bend | None = None,
) -> tuple[Map, Map]:
    """Bring relaxation times and their SD to another grid, as rates.

    Where a voxel holds two tissues their signals add up, not their times. The rate that describes the sum early on is
    the mean of the rates, so that 1/T1 is what is averaged and interpolated.

    Parameters
    ----------
    time, time_sd : array (x, y, z)
        [s]; NaN where unknown.
    source, target, matrix, bend
        As those of `resample`.

    Returns
    -------
    time, time_sd
        [s], float32. The SD is that of a weighted mean of voxels with independent noise, to first order: squares of
        the weights of the mean times the variances. It is smaller than that of the source also where nothing is
        averaged but interpolated; neighbours on the target then share noise. NaN where that of one of its voxels is
        unknown.
    """
    placed = _in_source(target, matrix)
    if bend is None and source.shift_to(placed) <= TOLERATED_SHIFT:
        return time, time_sd
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = 1 / time.astype(np.float32)
        variance = (time_sd * rate * rate).astype(np.float32) ** 2
    known = np.isfinite(rate) & (rate > 0)
    noisy = known & np.isfinite(variance)
    columns = np.stack([known, np.where(known, rate, 0), known & ~noisy], axis=-1).reshape(-1, 3).astype(np.float32)
    variance = np.where(noisy, variance, np.float32(0)).reshape(-1)
    sums = [(parts.mean_of(columns), parts.variance_of(variance)) for parts in _parts(source, placed, bend)]
    means, variances = (np.concatenate(each) for each in zip(*sums, strict=True))
    mean_time = 1 / _mean(means[:, 1], means[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_sd = np.sqrt(variances) / means[:, 0] * mean_time**2
    mean_sd[means[:, 2] > 0] = np.nan
    return mean_time.reshape(target.shape), mean_sd.reshape(target.shape)


def resample_labels(
    labels: Labels, source: Grid, target: Grid, matrix: Affine | None = None, bend: Bend | None = None
) -> Labels:
    """Bring labels to another grid: each target voxel gets the label with the largest share of it.

    Parameters
    ----------
    labels : array (x, y, z)
        Small codes; 0 is outside.
    source, target, matrix, bend
        As those of `resample`.

    Returns
    -------
    array (x, y, z)
        Of the same type; 0 outside of the source, the smallest of labels with equal shares.
    """
    placed = _in_source(target, matrix)
    if bend is None and source.shift_to(placed) <= TOLERATED_SHIFT:
        return labels
    codes = np.union1d(labels, 0).astype(labels.dtype)
    shares = (labels.reshape(-1, 1) == codes).astype(np.float32)
    found = []
    for parts in _parts(source, placed, bend):
        of_code = parts.mean_of(shares)
        of_code[:, 0] += 1 - of_code.sum(axis=1)
        found.append(codes[np.argmax(of_code, axis=1)])
    return np.concatenate(found).reshape(target.shape)


def resample_flags(flags: VoxelFlags, source: Grid, target: Grid, matrix: Affine | None = None) -> VoxelFlags:
    """Bring a mask to another grid: voxels of which more than half lies in it; else as `resample_labels`."""
    return resample_labels(flags.view(np.uint8), source, target, matrix).view(np.bool_)


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


def drawn_out(values: Map, shape: Sequence[int], steps: Sequence[tuple[int, float]]) -> Map:
    """Return values of a finer grid on straight lines between those of a coarser one along its axes.

    Parameters
    ----------
    values : array (x, y, z)
    shape
        Of the finer grid.
    steps
        Of each axis: how many of its voxels a coarser one counts, and where the first coarser one lies among them.
        Beyond the outer ones values are theirs.
    """
    for axis, (n, (step, first)) in enumerate(zip(shape, steps, strict=True)):
        if step != 1:
            values = _between(values, axis, (np.arange(n) - first) / step)
    return values


def _between(values: Map, axis: int, places: np.ndarray) -> Map:
    """Return values at places along an axis, in voxels, on straight lines."""
    last = values.shape[axis] - 1
    places = np.clip(places, 0, last)
    below = np.minimum(places.astype(int), max(0, last - 1))
    share = (places - below).astype(np.float32).reshape([-1 if each == axis else 1 for each in range(values.ndim)])
    found: Map = values.take(below, axis)
    above = values.take(np.minimum(below + 1, last), axis)
    above -= found
    above *= share
    found += above
    return found


def _in_source(target: Grid, matrix: Affine | None) -> Grid:
    """Place the target in the source's scanner coordinates."""
    return target if matrix is None else Grid(target.shape, matrix @ target.affine)


def _mean(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.full_like(total, np.nan)
    np.divide(total, weight, out=mean, where=weight >= LEAST_KNOWN)
    return mean


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """Some voxels of the target in equal parts, each of which is interpolated."""

    points: np.ndarray
    """Source indices, (3, part); parts of one voxel follow each other."""

    shape: tuple[int, ...]
    """Of the source."""

    n_parts: int
    """Of one voxel."""

    def mean_of(self, columns: np.ndarray) -> np.ndarray:
        """Return weighted means (target voxel, column) of values (source voxel, column)."""
        found = self._interpolated(columns).reshape(-1, self.n_parts, columns.shape[1])
        mean: np.ndarray = found[:, 0] if self.n_parts == 1 else found.mean(axis=1)
        return mean

    def variance_of(self, variance: np.ndarray) -> np.ndarray:
        """Return the variance of weighted means (target voxel,) of independent values (source voxel,)."""
        if self.n_parts == 1:
            return self._interpolated(variance[:, None], squared=True)[:, 0]
        summed: np.ndarray = self._weights().power(2) @ variance
        return summed

    def _interpolated(self, columns: np.ndarray, *, squared: bool = False) -> np.ndarray:
        """Return sums (part, column) of values times the weights of their voxels, or the squares of these."""
        if not COMPILES:
            weights = _linear(self.points, self.shape)
            plain: np.ndarray = (weights.power(2) if squared else weights) @ columns
            return plain
        sums = np.zeros((self.points.shape[1], columns.shape[1]), np.float32)
        _add(self.points, self.shape, columns, squared, sums)
        return sums

    def _weights(self) -> sparse.csr_array:
        """Return the weights (target voxel, source voxel), those of all parts summed."""
        interpolation = _linear(self.points, self.shape)
        n_points = interpolation.shape[0]
        share = np.full(n_points, 1 / self.n_parts, np.float32)
        rows = np.arange(0, n_points + 1, self.n_parts, dtype=np.int32)
        average = sparse.csr_array((share, np.arange(n_points, dtype=np.int32), rows))
        return average @ interpolation


def _parts(source: Grid, target: Grid, bend: Bend | None) -> Iterator[_Parts]:
    """Divide the target's voxels, in C order."""
    to_index = np.linalg.inv(source.affine)
    to_source = to_index @ target.affine
    lengths = np.linalg.norm(to_source[:3, :3], axis=0)
    counts = np.maximum(1, np.ceil(lengths - TOLERATED_LENGTH)).astype(int)
    offsets = np.array(list(product(*((np.arange(n) + 0.5) / n - 0.5 for n in counts)))).T
    n_parts, n_planes = offsets.shape[1], target.shape[0]
    per_chunk = max(1, POINTS_PER_CHUNK // (n_parts * target.shape[1] * target.shape[2]))
    for start in range(0, n_planes, per_chunk):
        planes = range(start, min(start + per_chunk, n_planes))
        if bend is None:
            where = _laid(to_source, planes, target.shape, offsets)
        else:
            where = apply(to_index, bend(_laid(target.affine, planes, target.shape, offsets)))
        yield _Parts(where, source.shape, n_parts)


def _laid(matrix: Affine, planes: range, shape: tuple[int, int, int], offsets: np.ndarray) -> np.ndarray:
    """Return where the parts of the voxels of some planes lie, (3, part), by a matrix of voxel indices."""
    along = (planes, range(shape[1]), range(shape[2]))
    x, y, z = (np.multiply.outer(matrix[:3, axis], each) for axis, each in enumerate(along))
    parts = apply(matrix, offsets)
    voxels = x[:, :, None, None] + y[:, None, :, None] + z[:, None, None, :]
    placed: np.ndarray = (voxels[..., None] + parts[:, None, None, None, :]).reshape(3, -1)
    return placed


@kept
def _add(points: np.ndarray, shape: tuple[int, ...], columns: np.ndarray, squared: bool, sums: np.ndarray) -> None:
    """Add what `_linear` weighs, voxel by voxel."""
    for point in range(points.shape[1]):
        below = np.floor(points[0, point]), np.floor(points[1, point]), np.floor(points[2, point])
        for corner in range(8):
            weight, place = np.float32(1), 0
            for axis in range(3):
                step = corner >> (2 - axis) & 1
                share = np.float32(points[axis, point] - below[axis])
                voxel = int(below[axis]) + step
                inside = 0 <= voxel < shape[axis]
                weight *= (share if step else np.float32(1) - share) if inside else np.float32(0)
                place = place * shape[axis] + (voxel if inside else 0)
            if weight:
                weight *= weight if squared else np.float32(1)
                for column in range(columns.shape[1]):
                    sums[point, column] += weight * columns[place, column]


def _linear(points: np.ndarray, shape: tuple[int, ...]) -> sparse.csr_array:
    """Weights of trilinear interpolation at source indices (3, point); what lies outside weighs nothing."""
    n_points = points.shape[1]
    below = np.floor(points)
    above_share = (points - below).astype(np.float32)
    below = below.astype(np.int64)
    weights = np.ones((n_points, 2, 2, 2), np.float32)
    index = np.zeros((n_points, 2, 2, 2), np.int64)
    for axis, n in enumerate(shape):
        neighbours = np.stack([below[axis], below[axis] + 1], axis=1)
        share = np.stack([1 - above_share[axis], above_share[axis]], axis=1)
        share[(neighbours < 0) | (neighbours >= n)] = 0
        along = [slice(None), *(slice(None) if k == axis else None for k in range(3))]
        weights *= share[tuple(along)]
        index = index * n + np.clip(neighbours, 0, n - 1)[tuple(along)]
    rows = np.arange(0, weights.size + 1, 8, dtype=np.int32)
    return sparse.csr_array(
        (weights.reshape(-1), index.astype(np.int32).reshape(-1), rows), shape=(n_points, int(np.prod(shape)))
    )
