"""Results with brain, tissues and a comparison: inversion recovery and MP2RAGE of one ellipse."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_t1.data.alignment import Alignment
from bids_t1.data.entities import BidsName
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.result import Anatomy, Comparison, RunResult
from bids_t1.data.tissue import Tissue
from bids_t1.tissue.agreement import compare
from bids_t1.tissue.statistics import describe_regions
from tests.report.readout_results import head, make_readout_run
from tests.report.report_results import make_result, make_run

if TYPE_CHECKING:
    from bids_t1.data.result import ParticipantResult

SHAPE = (28, 32, 14)
TIMES = {
    0.9: Tissue.WHITE_MATTER,
    1.55: Tissue.GREY_MATTER,
    1.25: Tissue.SUBCORTICAL_GREY_MATTER,
    4.0: Tissue.FLUID,
}
RIGID = tuple(f"{kind} {axis}" for kind in ("rotation", "translation") for axis in "xyz")
ALIGNMENT = Alignment(
    matrix=np.eye(4),
    estimated=RIGID,
    rotation=3.21,
    translation=4.56,
    overlap=0.987,
    similarity_before=1.081,
    similarity_after=1.313,
)
RECORD: dict[str, object] = {
    "BrainMask": "template, refined by the image",
    "TissueMethod": "mixture of Gaussians with template priors",
    "Template": "MNI152NLin2009cAsym",
    "TemplateFiles": ["tpl-MNI152NLin2009cAsym_res-02_label-GM_probseg.nii.gz"],
    "SubcorticalAtlas": "HOSPA",
}
SHORTER = 0.95
"""MP2RAGE over inversion recovery."""


@cache
def tissues(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    t1, _, _ = head(shape)
    return np.select([t1 == time for time in TIMES], list(TIMES.values()), 0).astype(np.uint8)


def recovery_run(shape: tuple[int, int, int] = SHAPE, **changes: Any) -> RunResult:
    """Return inversion recovery with the truth and its noise."""
    t1, _, _ = head(shape)
    time = (t1 + np.random.default_rng(8).normal(0, 0.02, shape)).astype(np.float32)
    status = np.where(np.isfinite(time), VoxelStatus.FITTED, VoxelStatus.NO_SIGNAL).astype(np.uint8)
    maps = {**make_run(shape).maps, "time": time, "status": status}
    return make_run(shape, maps=maps, examples=(), **changes)


def make_together(
    *,
    shape: tuple[int, int, int] = SHAPE,
    calibrated: bool = False,
    alignment: Alignment = ALIGNMENT,
    hemispheres: bool = True,
    record: dict[str, object] | None = None,
) -> ParticipantResult:
    """Make the result of a participant whose runs were brought together.

    Parameters
    ----------
    shape
        Of all maps.
    calibrated
        Whether there are calibrated maps, of another protocol, a fifth of them outside of the training.
    alignment
        Without comparison where it is not trusted.
    hemispheres
        Whether a template tells them apart.
    record
        Of MP2RAGE, beside the usual one.
    """
    tissue, fixed = tissues(shape), recovery_run(shape)
    own = make_readout_run(shape, record=record or {})
    time = (SHORTER * fixed.maps["time"] + np.random.default_rng(9).normal(0, 0.01, shape)).astype(np.float32)
    outside = ((np.random.default_rng(3).random(shape) < 0.2) & (tissue > 0)).astype(np.uint8)
    of_calibration = {"calibrated": time / SHORTER, "calibrated_sd": own.maps["time_sd"], "outside_training": outside}
    extra: dict[str, Any] = of_calibration if calibrated else {}
    own = replace(own, maps={**own.maps, "time": time, **extra})
    comparison = Comparison(
        name=BidsName.parse("sub-01_ses-2_space-IRT1_desc-MP2RAGE_T1map.nii.gz"),
        sequence="MP2RAGE",
        moving=str(own.name),
        fixed=str(fixed.name),
        grid=fixed.grid,
        maps={"time": time, **extra} if alignment.trusted else {},
        alignment=alignment,
        record={},
        by_headers=np.roll(time, 2, axis=0),
    )
    sides = np.where(np.arange(shape[0]) < shape[0] // 2, 1, 2).astype(np.uint8)
    hemisphere = np.broadcast_to(sides[:, None, None], shape) if hemispheres else None
    named = [(fixed.name, fixed.maps["time"]), (own.name, time)]
    compared = [(comparison.name, time)]
    if calibrated:
        named.append((own.name.having({"desc": "MP2RAGEcalibrated"}), extra["calibrated"]))
        compared.append((comparison.name.having({"desc": "MP2RAGEcalibrated"}), extra["calibrated"]))
    return make_result(
        runs=(fixed, own),
        anatomies=tuple(make_anatomy(run) for run in (fixed, own)),
        comparisons=(comparison,),
        regions=tuple(
            one for name, values in named for one in describe_regions(str(name), values, tissue, hemisphere, 0.008)
        ),
        agreements=tuple(
            one
            for name, values in compared
            if alignment.trusted
            for one in compare(str(name), values, str(fixed.name), fixed.maps["time"], tissue)
        ),
    )


def make_anatomy(run: RunResult, **changes: Any) -> Anatomy:
    """Make the tissues on the grid of a run."""
    labels = tissues(run.grid.shape)
    anatomy = Anatomy(
        name=run.name.having({"desc": "tissue"}, suffix="dseg"),
        runs=(str(run.name),),
        grid=run.grid,
        maps={"tissue": labels, "brain": (labels > 0).astype(np.uint8)},
        record=RECORD,
    )
    return replace(anatomy, **changes)
