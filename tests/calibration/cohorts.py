"""Heads of known truth, measured twice: by inversion recovery, and by an MP2RAGE that reads low by tissue."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from bids_t1.data.calibration import MeasuredScan, PairedScan, ReferenceScan
from bids_t1.data.grid import Grid
from bids_t1.phantom.anatomy import Atlas, Tissue, load_atlas
from bids_t1.phantom.head import Head, HeadOptions, make_head

if TYPE_CHECKING:
    from collections.abc import Mapping

BIAS: Mapping[Tissue, float] = {
    Tissue.WHITE_MATTER: 0.30,
    Tissue.DEEP_GREY_MATTER: 0.24,
    Tissue.GREY_MATTER: 0.20,
}
"""Rate that magnetisation transfer adds in MP2RAGE, relative: by so much T1 reads low, about as published."""

MEASURED_NOISE = 0.03
REFERENCE_NOISE = 0.025
"""Relative SD of T1."""

BETWEEN_PARTICIPANTS = 0.07
WITHIN_PARTICIPANT = 0.05
"""How the bias varies from head to head, and smoothly within one, relative."""

MP2RAGE_RECORD: Mapping[str, object] = {
    "InversionTimes": [0.7, 2.5],
    "FlipAngles": [4.0, 5.0],
    "RepetitionTimePreparation": 5.0,
    "RepetitionTimesExcitation": [0.007, 0.007],
    "NumberShotsPerReadout": [[88, 88], [88, 88]],
    "InversionEfficiency": 0.96,
    "MagneticFieldStrength": 3.0,
    "TransmitField": {"Method": "given"},
}
INVERSION_RECOVERY_RECORD: Mapping[str, object] = {
    "InversionTimes": [0.05, 0.2, 0.8, 3.0],
    "RepetitionTimes": [6.0, 6.0, 6.0, 6.0],
    "EfficiencyModel": "learned",
    "MagneticFieldStrength": 3.0,
}


@cache
def atlas() -> Atlas:
    return load_atlas()


def cohort(
    n_participants: int, *, resolution: float = 4.0, seed: int = 0, slices: int | None = None
) -> list[PairedScan]:
    """Measure some heads; `slices` of inversion recovery, about the middle, or all."""
    options = HeadOptions(resolution=resolution)
    return [
        pair(make_head(atlas(), options, seed=seed, participant=number), number, seed=seed, slices=slices)
        for number in range(1, n_participants + 1)
    ]


def pair(head: Head, number: int, *, seed: int, slices: int | None = None) -> PairedScan:
    """Measure a head twice."""
    rng = np.random.default_rng([seed, number, 9])
    grid = Grid(head.grid.shape, head.grid.affine)
    shape = grid.shape
    texture = gaussian_filter(rng.standard_normal(shape), 12 / grid.voxel_sizes[0])
    texture *= WITHIN_PARTICIPANT / texture.std()
    of_head = 1 + BETWEEN_PARTICIPANTS * rng.standard_normal()
    bias = np.zeros(shape)
    for kind, value in BIAS.items():
        bias[head.tissue == kind] = value
    low = head.t1 / (1 + bias * of_head * (1 + texture))
    measured = low * (1 + MEASURED_NOISE * rng.standard_normal(shape))
    reference = head.t1 * (1 + REFERENCE_NOISE * rng.standard_normal(shape))
    part, part_grid = _slab(grid, slices)
    tissue = np.where(head.brain, head.tissue, 0).astype(np.uint8)
    return PairedScan(
        label=f"sub-{number:02d}",
        participant=f"{number:02d}",
        measured=MeasuredScan(
            grid=grid,
            time=measured.astype(np.float32),
            time_sd=(MEASURED_NOISE * low).astype(np.float32),
            transmit=head.transmit_field.astype(np.float32),
            brain=head.brain,
        ),
        reference=ReferenceScan(
            grid=part_grid,
            time=reference[:, :, part].astype(np.float32),
            time_sd=(REFERENCE_NOISE * head.t1)[:, :, part].astype(np.float32),
            tissue=tissue[:, :, part],
            matrix=np.eye(4),
        ),
        measured_protocol=MP2RAGE_RECORD,
        reference_protocol=INVERSION_RECOVERY_RECORD,
    )


def _slab(grid: Grid, slices: int | None) -> tuple[slice, Grid]:
    n = grid.shape[2]
    first = 0 if slices is None else (n - slices) // 2
    part = slice(first, n if slices is None else first + slices)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * first
    return part, Grid((*grid.shape[:2], part.stop - part.start), affine)
