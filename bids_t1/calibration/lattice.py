"""The grid that networks work on: that of MP2RAGE, in voxels about as large as those of inversion recovery.

MP2RAGE covers the head also where inversion recovery is a slab or one slice, so that every voxel has its surroundings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.grid import Grid
from bids_t1.data.tissue import Tissue
from bids_t1.resampling import resample, resample_flags, resample_labels, resample_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.calibration import MeasuredScan, PairedScan
    from bids_t1.data.shapes import Labels, Map, VoxelFlags

INPUTS = ("log T1", "log relative SD", "B1+", "B1+ known", "measured")
"""What a network sees of each voxel. UNI is not among them: together with B1+ it is a function of T1."""

CENTRES = (math.log(1.2), math.log(0.03), 1.0, 0.0, 0.0)
SCALES = (0.4, 0.7, 0.15, 1.0, 1.0)
"""Taken off and divided by: constants, so that nothing of a held-out participant enters."""

LARGEST_INPUT = 5.0
"""In units of `SCALES`."""

LARGEST_RELATIVE_SD = 0.25
"""Of T1 in either map: what is less certain teaches nothing."""

LEAST_OWN_SHARE = 0.9
"""Of a voxel's tissue in what resampling takes its value from: where grids are turned or shifted against each other,
voxels at borders hold another mixture in one map than in the other, which is no bias of T1."""

LARGEST_LOG_RATIO = math.log(3)
"""Between the two maps: what differs more is no bias but another tissue."""

WEIGHTS: Mapping[Tissue, float] = MappingProxyType(
    {
        Tissue.WHITE_MATTER: 1.0,
        Tissue.GREY_MATTER: 1.0,
        Tissue.SUBCORTICAL_GREY_MATTER: 1.0,
        # It has hardly any bias, and inversion recovery rarely waits long enough for it; left out altogether, its
        # correction, and that of voxels beside it, would be anything.
        Tissue.FLUID: 0.1,
    }
)
"""Of the voxels of each tissue in the loss."""

SCORED = (Tissue.WHITE_MATTER, Tissue.SUBCORTICAL_GREY_MATTER, Tissue.GREY_MATTER)
"""Tissues that methods are fitted to and compared in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatticeScan:
    """Measurements of one MP2RAGE run on the lattice; slices first, arrays (slice, x, y)."""

    grid: Grid
    slice_axis: int
    """Axis of `grid` that slices are stacked along: that nearest to the head's foot-head axis."""

    time: Map
    """T1 [s]."""

    relative_sd: Map
    transmit: Map
    """NaN where unknown."""

    tissue: Labels
    """`Tissue` as this run has it; 0 where it tells none."""

    wanted: VoxelFlags
    """Measured voxels in which a correction is wanted."""

    @property
    def inputs(self) -> np.ndarray:
        """Return what a network sees, array (input, slice, x, y): standardised, 0 where unknown."""
        known = np.isfinite(self.transmit)
        measured = np.isfinite(self.time) & np.isfinite(self.relative_sd)
        with np.errstate(invalid="ignore", divide="ignore"):
            quantities = np.stack([np.log(self.time), np.log(self.relative_sd), self.transmit])
        standard = (quantities - _column(CENTRES[:3])) / _column(SCALES[:3])
        standard = np.where(measured & np.isfinite(standard), standard, 0).clip(-LARGEST_INPUT, LARGEST_INPUT)
        return np.concatenate([standard, (known & measured)[None], measured[None]]).astype(np.float32)

    def as_volume(self, values: np.ndarray) -> np.ndarray:
        """Put the slices back to where they are on `grid`."""
        return np.moveaxis(values, 0, self.slice_axis)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One pair of runs on the lattice: what a network learns from; arrays (slice, x, y)."""

    label: str
    participant: str
    scan: LatticeScan
    reference: Map
    """T1 of inversion recovery [s]."""

    reference_relative_sd: Map
    tissue: Labels
    """`Tissue` of voxels that can be learned from, 0 elsewhere."""

    def of(self, tissue: Tissue) -> VoxelFlags:
        """Return its voxels that can be learned from."""
        found: VoxelFlags = self.tissue == tissue
        return found


def edge_of(scan: PairedScan) -> float:
    """Return the edge of voxels as large as those of inversion recovery, no finer than MP2RAGE [mm]."""
    return max(math.prod(scan.reference.grid.voxel_sizes) ** (1 / 3), *scan.measured.grid.voxel_sizes)


def lattice_of(grid: Grid, edge: float) -> Grid:
    """Lay cubic voxels along the axes of a grid, about the same centre."""
    sizes = np.array(grid.voxel_sizes)
    shape = [max(1, round(n * size / edge)) for n, size in zip(grid.shape, sizes, strict=True)]
    affine = grid.affine.astype(np.float64).copy()
    affine[:3, :3] *= edge / sizes
    centre = grid.affine @ np.append((np.array(grid.shape) - 1) / 2, 1)
    affine[:3, 3] = centre[:3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def to_lattice(scan: MeasuredScan, edge: float) -> LatticeScan:
    """Average the measurements over the voxels of the lattice."""
    grid = lattice_of(scan.grid, edge)
    axis = int(np.argmax(np.abs(grid.affine[2, :3]) / edge))
    time, time_sd = resample_times(scan.time, scan.time_sd, scan.grid, grid)
    transmit = (
        np.full(grid.shape, np.nan, np.float32) if scan.transmit is None else resample(scan.transmit, scan.grid, grid)
    )
    brain = np.ones(grid.shape, bool) if scan.brain is None else resample_flags(scan.brain, scan.grid, grid)
    tissue = np.zeros(grid.shape, np.uint8) if scan.tissue is None else resample_labels(scan.tissue, scan.grid, grid)
    time, time_sd, transmit, brain, tissue = (
        np.moveaxis(each, axis, 0) for each in (time, time_sd, transmit, brain, tissue)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        relative_sd = time_sd / time
    return LatticeScan(
        grid=grid,
        slice_axis=axis,
        time=time,
        relative_sd=relative_sd,
        transmit=transmit,
        tissue=tissue,
        wanted=brain & np.isfinite(time) & np.isfinite(relative_sd),
    )


def to_sample(scan: PairedScan, edge: float) -> Sample:
    """Bring inversion recovery to the lattice of MP2RAGE, and tell which voxels can be learned from."""
    measured, reference = to_lattice(scan.measured, edge), scan.reference
    to_reference = np.linalg.inv(reference.matrix)
    time, time_sd = resample_times(reference.time, reference.time_sd, reference.grid, measured.grid, to_reference)
    tissue = resample_labels(reference.tissue, reference.grid, measured.grid, to_reference)
    share = np.zeros(measured.grid.shape, np.float32)
    for each in WEIGHTS:
        of_tissue = (reference.tissue == each).astype(np.float32)
        brought = resample(of_tissue, reference.grid, measured.grid, to_reference)
        share[tissue == each] = brought[tissue == each]
    time, time_sd, tissue, share = (
        np.moveaxis(each, measured.slice_axis, 0) for each in (time, time_sd, tissue, share)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        relative_sd = time_sd / time
        usable = (
            (relative_sd < LARGEST_RELATIVE_SD)
            & (measured.relative_sd < LARGEST_RELATIVE_SD)
            & (np.abs(np.log(time / measured.time)) < LARGEST_LOG_RATIO)
            & (share >= LEAST_OWN_SHARE)
        )
    return Sample(
        label=scan.label,
        participant=scan.participant,
        scan=measured,
        reference=time,
        reference_relative_sd=relative_sd,
        tissue=np.where(usable, tissue, Tissue.OUTSIDE).astype(np.uint8),
    )


def _column(values: Sequence[float]) -> np.ndarray:
    return np.array(values).reshape(-1, 1, 1, 1)
