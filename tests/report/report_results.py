"""Results to report on."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from bids_t1.data.entities import BidsName
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.grid import Grid
from bids_t1.data.result import Example, ParticipantResult, RunResult, SeriesNote

TIMES = (0.05, 0.2, 0.5, 1.0, 3.0)

RECORD: MappingProxyType[str, object] = MappingProxyType(
    {
        "InversionTimes": list(TIMES),
        "RepetitionTimes": [6.0] * len(TIMES),
        "EchoTime": 0.01,
        "MagneticFieldStrength": 3,
        "DataKind": "magnitude",
        "EfficiencyModel": "free",
        "NoiseHandling": "floor",
        "SearchRange": [0.02, 6.0],
        "NoiseSD": {"Background": 5.0, "Residual": 6.0},
        "DegreesOfFreedom": 2,
        "IntervalFactor": 4.303,
        "FastComponent": {
            "Treatment": "fitted",
            "Reason": "the residuals of the image ask for it",
            "RelaxationTime": 0.048,
            "GoneAfter": 0.15,
        },
        "Residuals": [{"T1": [0.5, 1.5], "Voxels": 900, "MedianOverM0": [-0.002, 0.001, 0.001, 0.0, 0.0]}],
        "Sources": ["bids:raw:sub-01/anat/sub-01_inv-1_IRT1.nii.gz"],
    }
)


def _maps(shape: tuple[int, int, int]) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    status = np.full(shape, VoxelStatus.FITTED, np.uint8)
    status[:2] = VoxelStatus.NO_SIGNAL
    status[2] = VoxelStatus.ABOVE_RANGE
    fitted = status == VoxelStatus.FITTED
    t1 = np.where(fitted, rng.uniform(0.5, 3.5, shape), np.nan).astype(np.float32)
    blank = {
        "time_sd": 0.05 * t1,
        "rate": 1 / t1,
        "amplitude": 1000 * np.sqrt(t1),
        "ratio": 1.9 + 0 * t1,
        "share": 0.05 + 0 * t1,
        "residual": 6 + t1,
        "relative_error": 0.01 * t1,
    }
    return {"time": t1, **blank, "weighted": np.rint(1000 * np.nan_to_num(t1)).astype(np.int16), "status": status}


def make_run(shape: tuple[int, int, int] = (20, 24, 9), **changes: Any) -> RunResult:
    """Make a run; `record` is merged into the usual one, and 'absent' takes a key away."""
    maps = changes.pop("maps", None) or _maps(shape)
    fitted = 100 - 190 * np.exp(-np.array(TIMES) / 0.9)
    run = RunResult(
        name=BidsName.parse("sub-01_ses-2_acq-tse_desc-IRT1_T1map.nii.gz"),
        sequence="IRT1",
        grid=Grid(shape, np.diag([2.0, 2.0, 2.0, 1.0])),
        maps=maps,
        record=RECORD,
        status_counts={status.name: int((maps["status"] == status).sum()) for status in VoxelStatus},
        examples=(
            Example(
                voxel=(5, 6, 3),
                times=TIMES,
                measured=tuple(float(value) for value in fitted + 3),
                fitted=tuple(float(value) for value in fitted),
                estimate=0.9,
                sd=0.021,
            ),
        ),
        warnings=(),
    )
    record = {**RECORD, **changes.pop("record", {})}
    return replace(run, record={key: value for key, value in record.items() if value != "absent"}, **changes)


def make_result(**changes: Any) -> ParticipantResult:
    """Make the result of a participant with one run."""
    result = ParticipantResult(
        participant="01",
        runs=changes.pop("runs") if "runs" in changes else (make_run(),),
        failures=(),
        series=(SeriesNote(number=3, description="ir tse", n_files=9, outcome="sub-01_ses-2_inv-1_IRT1"),),
        warnings=(),
        versions={"bids_t1": "1.2.3", "numpy": "2.0"},
        command="bids_t1 bids_dir out_dir participant",
    )
    return replace(result, **changes)
