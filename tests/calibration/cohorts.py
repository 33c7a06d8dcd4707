"""Small made-up brains of known truth, measured twice: an MP2RAGE that reads low by tissue, and inversion recovery."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from bids_t1.data.calibration import SMALL, CalibrationOptions, MeasuredScan, PairedScan, ReferenceScan
from bids_t1.data.grid import Grid
from bids_t1.data.prior_correction import PriorCorrection
from bids_t1.data.tissue import Tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

TINY = replace(SMALL, name="tiny", width=1 / 16, tile=12, batch=4, steps=4, epochs=2, validation_examples=4)
OPTIONS = CalibrationOptions(plan=TINY, voxels=replace(TINY, kind="voxel"))

BELIEVED = PriorCorrection(
    knots=tuple(math.log(time) for time in (0.5, 1.0, 2.0, 5.0)),
    factors=((0.15, 0.0, 0.0), (0.15, 0.0, 0.0), (0.1, 0.0, 0.0), (0.0, 0.0, 0.0)),
    variances=(0.001, 0.001, 0.001, 0.001),
    fields=(0.4, 1.6),
)
"""What is believed of tissue: about right, and not quite."""

SHAPE = (26, 24, 14)
EDGE = 3.0
"""Of the voxels [mm]."""

T1 = {
    Tissue.WHITE_MATTER: 0.85,
    Tissue.SUBCORTICAL_GREY_MATTER: 1.2,
    Tissue.GREY_MATTER: 1.6,
    Tissue.FLUID: 3.8,
}
"""Truth, which inversion recovery sees [s]."""

RATIO = {
    Tissue.WHITE_MATTER: 0.80,
    Tissue.SUBCORTICAL_GREY_MATTER: 0.84,
    Tissue.GREY_MATTER: 0.86,
    Tissue.FLUID: 1.0,
}
"""T1 of MP2RAGE over it."""

MEASURED_NOISE = 0.02
REFERENCE_NOISE = 0.025
"""Relative SD of T1."""

MEASURED_RECORD: Mapping[str, object] = {
    "InversionTimes": [0.7, 2.5],
    "FlipAngles": [4.0, 5.0],
    "RepetitionTimePreparation": 5.0,
    "RepetitionTimesExcitation": [0.0069, 0.0069],
    "NumberShotsPerReadout": [[88, 88], [88, 88]],
    "InversionEfficiency": 0.96,
    "MagneticFieldStrength": 3.0,
    "TransmitField": {"Method": "given"},
}
REFERENCE_RECORD: Mapping[str, object] = {
    "InversionTimes": [0.05, 0.2, 0.8, 3.0],
    "RepetitionTimes": [6.0, 6.0, 6.0, 6.0],
    "EfficiencyModel": "learned",
    "MagneticFieldStrength": 3.0,
}


def cohort(n_participants: int, *, seed: int = 0, slices: int | None = None) -> list[PairedScan]:
    """Measure some brains; `slices` of inversion recovery, about the middle, or all."""
    return [pair(number, seed=seed, slices=slices) for number in range(1, n_participants + 1)]


def pair(number: int, *, seed: int = 0, slices: int | None = None) -> PairedScan:
    rng = np.random.default_rng([seed, number])
    pattern = gaussian_filter(rng.standard_normal(SHAPE), 2)
    ranks = pattern.argsort(axis=None).argsort().reshape(SHAPE) / pattern.size
    tissue = np.select(
        [ranks < 0.4, ranks < 0.55, ranks < 0.9],
        [Tissue.WHITE_MATTER, Tissue.SUBCORTICAL_GREY_MATTER, Tissue.GREY_MATTER],
        Tissue.FLUID,
    ).astype(np.uint8)
    brain = np.ones(SHAPE, bool)
    brain[[0, -1]] = False
    tissue[~brain] = Tissue.OUTSIDE
    truth, low = (np.full(SHAPE, np.nan) for _ in range(2))
    of_head = 1 + 0.02 * rng.standard_normal()
    for kind, time in T1.items():
        truth[tissue == kind] = time * of_head
        low[tissue == kind] = time * of_head * RATIO[kind]
    measured = low * (1 + MEASURED_NOISE * rng.standard_normal(SHAPE))
    reference = truth * (1 + REFERENCE_NOISE * rng.standard_normal(SHAPE))
    grid = Grid(SHAPE, np.diag([EDGE, EDGE, EDGE, 1.0]))
    part, part_grid = _slab(grid, slices)
    return PairedScan(
        label=f"sub-{number:02d}",
        participant=f"{number:02d}",
        measured=MeasuredScan(
            grid=grid,
            time=measured.astype(np.float32),
            time_sd=(MEASURED_NOISE * low).astype(np.float32),
            transmit=(1 + 0.1 * gaussian_filter(rng.standard_normal(SHAPE), 4)).astype(np.float32),
            brain=brain,
            tissue=tissue,
        ),
        reference=ReferenceScan(
            grid=part_grid,
            time=reference[:, :, part].astype(np.float32),
            time_sd=(REFERENCE_NOISE * truth)[:, :, part].astype(np.float32),
            tissue=tissue[:, :, part],
            matrix=np.eye(4),
        ),
        measured_protocol=MEASURED_RECORD,
        reference_protocol=REFERENCE_RECORD,
    )


def _slab(grid: Grid, slices: int | None) -> tuple[slice, Grid]:
    n = grid.shape[2]
    first = 0 if slices is None else (n - slices) // 2
    part = slice(first, n if slices is None else first + slices)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * first
    return part, Grid((*grid.shape[:2], part.stop - part.start), affine)
