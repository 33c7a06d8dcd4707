"""Results of multi-echo gradient-echo runs to report on: an ellipse with regions of T2*."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bids_t1.data.entities import BidsName
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.grid import Grid
from bids_t1.data.result import Example, RunResult

ECHO_TIMES = tuple(0.004 + 0.006 * echo for echo in range(8))

RECORD: dict[str, object] = {
    "EchoTimes": list(ECHO_TIMES),
    "RepetitionTime": 0.05,
    "FlipAngle": 15,
    "MagneticFieldStrength": 3,
    "DataKind": "magnitude",
    "NoiseHandling": "floor",
    "SearchRange": [0.001, 0.5],
    "NoiseSD": {"Background": 5.0, "Residual": 6.0},
    "DegreesOfFreedom": 6,
    "IntervalFactor": 2.447,
    "EstimationAlgorithm": "monoexponential decay, least squares",
    "Sources": ["bids:raw:sub-01/anat/sub-01_echo-1_MEGRE.nii.gz"],
}


def make_echo_run(shape: tuple[int, int, int] = (20, 24, 6), **changes: Any) -> RunResult:
    """Make a run; `record` is merged into the usual one, and 'absent' takes a key away."""
    maps = changes.pop("maps", None) or _maps(shape)
    record = {**RECORD, **changes.pop("record", {})}
    run = RunResult(
        name=BidsName.parse("sub-01_ses-2_desc-MEGRE_T2starmap.nii.gz"),
        sequence="MEGRE",
        grid=Grid(shape, np.diag([1.0, 1.0, 3.0, 1.0])),
        maps=maps,
        record={key: value for key, value in record.items() if value != "absent"},
        status_counts={status.name: int((maps["status"] == status).sum()) for status in VoxelStatus},
        examples=tuple(_example(t2_star) for t2_star in (0.018, 0.031, 0.055)),
        warnings=(),
    )
    return replace(run, **changes)


def _maps(shape: tuple[int, int, int]) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.hypot(x / 0.85, y / 0.95)
    truth = np.select([radius < 0.3, radius < 0.7, radius < 0.9], [0.018, 0.031, 0.045], 0.12)
    inside = radius < 1
    sd = 0.03 * truth
    t2_star = truth + sd * rng.standard_normal(shape)
    maps = {
        "time": t2_star,
        "time_sd": sd,
        "rate": 1 / t2_star,
        "amplitude": 900 + 100 * radius,
        "residual": 6 + radius,
    }
    maps = {name: np.where(inside, values, np.nan).astype(np.float32) for name, values in maps.items()}
    return {**maps, "status": np.where(inside, VoxelStatus.FITTED, VoxelStatus.NO_SIGNAL).astype(np.uint8)}


def _example(t2_star: float) -> Example:
    fitted = 900 * np.exp(-np.array(ECHO_TIMES) / t2_star)
    noise = np.random.default_rng(4).normal(0, 8, len(fitted))
    return Example(
        voxel=(5, 6, 3),
        times=ECHO_TIMES,
        measured=tuple(map(float, fitted + noise)),
        fitted=tuple(map(float, fitted)),
        estimate=t2_star,
        sd=0.02 * t2_star,
    )
