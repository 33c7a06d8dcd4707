"""Multi-TI inversion recovery: from the files of one run to its maps."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bids_t1.bids.load import load_series
from bids_t1.data.estimate import VoxelStatus, count_statuses
from bids_t1.data.outputs import outputs_of
from bids_t1.data.result import RunResult
from bids_t1.data.vocabulary import known_manufacturer
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.curves.examples import choose_examples
from bids_t1.estimation.curves.fitted import residuals_by_time
from bids_t1.estimation.curves.held_companion import HeldCompanion
from bids_t1.runs.common import (
    computing,
    covered,
    if_valid,
    interval_factor,
    naming,
    near_one,
    noise_record,
    require_memory,
    times,
    uris,
    versions,
)
from bids_t1.runs.fast_component import fast_component_at, treat, treat_slices, treat_suspect
from bids_t1.runs.image_agreement import Question, compare, without_offset
from bids_t1.runs.slice_by_slice import estimate_slices, group_slices, only
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.slice_timing import slice_delays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from bids_t1.data.acquisition import Acquisition, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.sequences.inversion_readout import Readout
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

ALGORITHMS = {
    "free": "inversion recovery with TR and free inversion efficiency, least squares by variable projection",
    "learned": "inversion recovery with TR, inversion efficiency with a prior learned from the image by marginal "
    "likelihood, penalised least squares by variable projection",
    "ideal": "inversion recovery M0 (1 - 2 exp(-TI/T1)), dictionary start, least squares by variable projection",
}

SINGLE_FIT = 2
"""Images that only an ideal inversion can be fitted to."""

FEW_IMAGES = 4
"""Images that leave no residuals beside a fast component."""

USUAL_SHARES = (0.05, 0.1, 0.15)
"""Of the fast component, where each voxel cannot have its own."""

MANY_UNDECIDED = 0.3
"""Share of voxels with undecided signs from which the page warns."""

REFERENCE = "Barral et al., Magn Reson Med 64:1057 (2010), doi:10.1002/mrm.22497"


def process(acquisition: Acquisition, raw: Path, settings: Settings) -> RunResult:
    """Fit one inversion-recovery run."""
    admit = partial(require_memory, acquisition, settings.memory_mb, 2)
    series = load_series(acquisition, "InversionTime", settings.protocol, admit)
    with naming(acquisition):
        told = [settings.protocol.complete(sidecar, "IRT1") for sidecar in series.sidecars]
        model, notes = InversionRecovery.from_metadata(told, ideal=settings.recovery.ir_efficiency == "ideal")
    options = EstimationOptions(
        time_range=settings.search.t1_range,
        learn_ratio=settings.recovery.ir_efficiency == "learned",
        noise=settings.recovery.ir_noise,
        restore_polarity=settings.recovery.restore_polarity,
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )
    field = if_valid(series.sidecars[0].number, "MagneticFieldStrength")
    with naming(acquisition):
        delays = slice_delays(told, series.grid.shape)
        agreement = without_offset(series)
        if delays is None:
            agreement = agreement.and_then(compare(question_of(model, field), agreement.series, options))
            model, series = model.select(agreement.kept), agreement.series
            decide = treat_suspect if agreement.is_suspect else treat
            treatment = decide(model, series, settings.recovery.ir_fast_component, field, options)
        else:
            treatment = treat_slices(model, agreement.series, settings.recovery.ir_fast_component, field, options)
    model, series = treatment.model, treatment.series
    shape = series.grid.shape
    LOG.info(
        "%s: %d inversion times, %s voxels, %s data",
        acquisition.name,
        model.n_measurements,
        times(shape),
        series.kind,
    )
    with computing(acquisition, shape, settings) as progress, near_one(series.measurements) as unit:
        if delays is None:
            fitted = estimate(model, series.measurements, series.kind, options, progress=progress).in_images(unit)
        else:
            axis, table = delays
            found, group = estimate_slices(group_slices(model, table), series, axis, options, progress)
            fitted = found.in_images(unit)
    shown = (model, series, fitted) if delays is None else (group.model, *only(group, axis, series, fitted))
    counts = count_statuses(fitted.status)
    coverage = covered(acquisition, series.measurements, fitted.status, fitted.noise.level)
    return RunResult(
        name=acquisition.name.having({"desc": "IRT1"}, suffix="T1map", extension=".nii.gz"),
        sequence="IRT1",
        grid=series.grid,
        maps=_maps(model, fitted),
        record=_record(series, model, fitted, raw, settings)
        | ({} if delays is None else {"AddedToInversionTimes": delays[1].T.tolist()})
        | ({"ImageAgreement": agreement.record} if agreement.record else {})
        | {"FastComponent": treatment.record, "Residuals": _residuals(*shown)}
        | coverage.record,
        status_counts=counts,
        examples=choose_examples(shown[0], shown[1], shown[0].inversion_times, shown[2]),
        warnings=(
            *series.warnings,
            *notes,
            *agreement.warnings,
            *treatment.warnings,
            *(() if agreement.is_suspect else _doubts(counts)),
            *coverage.warnings,
        ),
    )


def question_of(model: InversionRecovery, field: float | None) -> Question:
    """Say how the images are compared: efficiency free, and with a fast component where they can show one."""
    n_images = model.n_measurements
    free = replace(model, ideal=False) if n_images > SINGLE_FIT else model
    fast, limit = fast_component_at(field)
    rivals: tuple[SignalModel, ...] = ()
    if any(time < limit for time in model.inversion_times):
        beside = free.fast_component(fast)
        held = (HeldCompanion(model=free, beside=beside, share=share) for share in USUAL_SHARES)
        rivals = (replace(free, fast=fast),) if n_images > FEW_IMAGES else tuple(held)

    def at_times(images: Sequence[int], times: Sequence[float]) -> InversionRecovery:
        return replace(free.select(images), inversion_times=tuple(times))

    return Question(
        time="InversionTime",
        times=model.inversion_times,
        at_times=at_times,
        rivals=rivals,
        accusable=tuple(range(n_images)),
        is_strict=n_images <= FEW_IMAGES,
    )


def _maps(model: InversionRecovery, fitted: Estimate) -> dict[str, np.ndarray]:
    """Return the maps of the run; that of the fast component only where there is one in the model."""
    maps = {row.quantity: getattr(fitted, row.quantity) for row in outputs_of("IRT1")}
    share = maps.pop("share")
    if model.companion is not None:
        maps["share"] = model.companion.over_slow(share)
    return maps


def _residuals(model: InversionRecovery, series: Series, fitted: Estimate) -> list[dict[str, object]]:
    """Return medians of the residuals at each inversion time, by T1, for sidecar and page."""
    return [
        {
            "T1": [round(time, 3) for time in group.between],
            "Voxels": group.n_voxels,
            "MedianOverM0": [round(median, 5) for median in group.medians],
        }
        for group in residuals_by_time(model, series, fitted)
    ]


def _doubts(counts: dict[str, int]) -> tuple[str, ...]:
    """Warn where the signs that magnitudes have lost stay open in much of the image."""
    share = counts["POLARITY_UNDECIDED"] / max(
        1, sum(counts[status.name] for status in VoxelStatus if status.has_estimate)
    )
    if share < MANY_UNDECIDED:
        return ()
    message = (
        f"In {share:.0%} of the fitted voxels two choices of sign explain the magnitudes, with different T1; "
        "their SD says how different. Real or complex images, or more inversion times, would decide."
    )
    return (message,)


def _record(
    series: Series, model: InversionRecovery, fitted: Estimate, raw: Path, settings: Settings
) -> dict[str, object]:
    """Say where every number of the maps comes from."""
    first = series.sidecars[0]
    record: dict[str, object] = {
        "Sources": uris(series.sources, raw, settings),
        "EstimationAlgorithm": ALGORITHMS[settings.recovery.ir_efficiency],
        "EstimationReference": REFERENCE,
        "InversionTimes": list(model.inversion_times),
        "RepetitionTimes": [time if math.isfinite(time) else None for time in model.repetition_times],
        "Readout": _readout(model.readout),
        "EchoTime": if_valid(first.seconds, "EchoTime"),
        "MagneticFieldStrength": if_valid(first.number, "MagneticFieldStrength"),
        "Manufacturer": known_manufacturer(first.text("Manufacturer")),
        "DataKind": series.kind,
        "PolarityRestored": series.kind == "magnitude" or settings.recovery.restore_polarity,
        "EfficiencyModel": settings.recovery.ir_efficiency,
        "SearchRange": list(settings.search.t1_range),
        **noise_record(series.kind, fitted, settings.recovery.ir_noise),
        "DegreesOfFreedom": fitted.degrees_of_freedom,
        "IntervalFactor": interval_factor(fitted.degrees_of_freedom),
        "Device": fitted.device,
        "EstimationSoftware": versions(),
    }
    if fitted.learned_ratio is not None:
        learned = fitted.learned_ratio
        record["LearnedEfficiency"] = {
            "AtT1": list(learned.times),
            "Mean": list(learned.means),
            "SD": learned.sd,
            "Voxels": learned.n_voxels,
        }
    return {key: value for key, value in record.items() if value is not None}


def _readout(readout: Readout) -> str:
    """Say how recovery between repetitions was described."""
    if not readout.is_known:
        return "not known: recovery from the excitation on"
    if readout.n_pulses == 0:
        return f"gradient echo of {readout.flip_angle:g} degrees"
    if readout.n_pulses == 1:
        return f"spin echo, refocused after {1000 * readout.duration:g} ms"
    return f"train of {readout.n_pulses} refocusing pulses in {1000 * readout.duration:g} ms"
