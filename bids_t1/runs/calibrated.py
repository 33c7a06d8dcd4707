"""MP2RAGE and MP3RAGE: the maps of one run calibrated to inversion recovery by a trained model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.calibration.application import apply
from bids_t1.calibration.model_file import check_protocol, load_model
from bids_t1.data.calibration import METHODS, MUCH_OUTSIDE, NETWORKS, MeasuredScan
from bids_t1.data.errors import InvalidInputError
from bids_t1.estimation.chunks import choose_device

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.data.calibration import CalibrationCard, CalibrationModel
    from bids_t1.data.result import RunResult
    from bids_t1.data.shapes import Labels, VoxelFlags
    from bids_t1.data.tissue import Segmentation
    from bids_t1.settings import Settings


def calibrate_run(run: RunResult, anatomy: Segmentation | None, path: Path, settings: Settings) -> RunResult:
    """Add calibrated T1, its SD, and where it is none, to the maps of a run.

    Parameters
    ----------
    run
        Of MP2RAGE or MP3RAGE.
    anatomy
        Where to calibrate, and which tissue is where; None for wherever there is T1.
    path
        ``model.safetensors``.
    settings
        The choices of the command.

    Raises
    ------
    InvalidInputError
        If the model was trained with another protocol, unless that is overridden; if it cannot be read.
    """
    model = _model(path)
    differences = check_protocol(model.card, run.record)
    if differences and not settings.calibrating.calibration_force:
        raise _refused(run, path, differences)
    brain = None if anatomy is None else anatomy.brain
    scan = measured_scan(run, brain, None if anatomy is None else anatomy.tissue)
    found = apply(model, scan, device=choose_device(settings.computing.device).type)
    within = np.isfinite(found.time) & (True if brain is None else brain)
    outside = int((found.outside_training & within).sum())
    record = {
        **_told(model, path),
        "CalibrationVoxelsOutsideTraining": outside,
        **({"CalibrationRegionLimits": limits} if (limits := _region_limits(model.card)) else {}),
        **({"CalibrationForced": differences} if differences else {}),
    }
    maps = {
        "calibrated": found.time,
        "calibrated_sd": found.time_sd,
        "outside_training": found.outside_training.astype(np.uint8),
    }
    of = "" if brain is None else " of the brain"
    warnings = (*_of_another_protocol(differences), *_of_outside(outside, int(within.sum()), of))
    return replace(run, maps={**run.maps, **maps}, record={**run.record, **record}, warnings=(*run.warnings, *warnings))


def _refused(run: RunResult, path: Path, differences: Sequence[str]) -> InvalidInputError:
    """Say that a model of another protocol is not applied, and what can be done."""
    return InvalidInputError(
        f"{run.name}: is not calibrated, as the model {path.name} was trained with another protocol: "
        f"{'; '.join(differences)}. Use a model of this protocol, or --calibration-force; without pairs of this "
        "one, --mt-prior tissue gives T1 of the slow component with its SD, at 3 and 7 T."
    )


def _told(model: CalibrationModel, path: Path) -> dict[str, object]:
    """Say what was applied, for the record."""
    trained = f"{len(model.members)} networks, mean: " if model.card.rung in NETWORKS else ""
    return {
        "CalibrationAlgorithm": f"{trained}{METHODS[model.card.rung]}",
        "CalibrationTarget": model.card.target,
        "CalibrationModel": {
            "File": path.name,
            "Checksum": model.card.checksum,
            "Participants": model.card.n_participants,
            "VoxelEdge": model.card.voxel_edge,
            "Software": dict(model.card.software),
        },
    }


def _of_another_protocol(differences: Sequence[str]) -> tuple[str, ...]:
    """Say that a model of another protocol was applied."""
    forced = f"Calibrated although the model was trained with another protocol, as asked: {'; '.join(differences)}."
    return (forced,) if differences else ()


def _of_outside(outside: int, total: int, of: str) -> tuple[str, ...]:
    """Say in how many voxels nothing was calibrated, where they are many."""
    if outside <= MUCH_OUTSIDE * total:
        return ()
    warning = (
        f"In {outside / total:.0%} of the voxels{of} T1, its SD or B1+ lie outside of what the calibration was trained "
        "on: calibrated T1 is T1 as measured there."
    )
    return (warning,)


def _region_limits(card: CalibrationCard) -> dict[str, object]:
    """Return half the 95 % interval of the mean of a region, relative, by tissue; nothing where nobody was held out."""
    rows = (row for row in card.results if row["method"] == card.rung)
    return {str(row["tissue"]): row["region_limit"] for row in rows if row.get("region_limit") is not None}


def measured_scan(run: RunResult, brain: VoxelFlags | None, tissue: Labels | None) -> MeasuredScan:
    """Return of a run what a calibration looks at."""
    return MeasuredScan(
        grid=run.grid,
        time=run.maps["time"],
        time_sd=run.maps["time_sd"],
        transmit=run.maps.get("transmit"),
        brain=brain,
        tissue=tissue,
    )


@cache
def _model(path: Path) -> CalibrationModel:
    return load_model(path)
