"""Multi-TI inversion recovery: what its runs have of their own on the way to T1."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.estimate import VoxelStatus, count_estimates
from bids_t1.data.sidecar import finite
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.curves.fitted import residuals_by_time
from bids_t1.estimation.curves.held_companion import HeldCompanion
from bids_t1.runs.common import field_strength_of, if_valid
from bids_t1.runs.curves import CurveFit, Shown, Told, process_curves, ready_curves, unlike_heads
from bids_t1.runs.fast_component import fast_component_at, treat, treat_slices, treat_suspect
from bids_t1.runs.head_motion import Motion, settle_images
from bids_t1.runs.image_agreement import Question, without_offset
from bids_t1.runs.slice_by_slice import estimate_slices, group_slices, only
from bids_t1.runs.time_shift import choose_shift, shift_as_given
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.slice_timing import slice_delays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Kind, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.outputs import Output
    from bids_t1.data.result import RunResult
    from bids_t1.data.sidecar import Sidecar
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.runs.common import Ready, Run
    from bids_t1.runs.fast_component import Treatment
    from bids_t1.runs.image_agreement import Agreement
    from bids_t1.runs.time_shift import TimeShift
    from bids_t1.sequences.inversion_readout import Readout
    from bids_t1.settings import Settings

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

NEARLY_IDEAL = 1.9
"""An inversion efficiency in place of 2, from which it is told what an ideal one costs where nothing checks it."""

MANY_UNDECIDED = 0.3
"""Share of voxels with undecided signs from which the page warns."""

LEAST_LEFT = 0.01
"""Residuals of an ideal inversion over the signal that need no word."""

CLEARLY = 2.0
"""Factor by which they are clearly more than those of a free efficiency, or noise."""

REFERENCE = "Barral et al., Magn Reson Med 64:1057 (2010), doi:10.1002/mrm.22497"


TIMES_IMAGES = 2
"""What images and maps take in memory, over the images."""


def process(run: Run, settings: Settings) -> RunResult:
    """Fit one inversion-recovery run."""
    return process_curves(run, settings, _prepare, times_images=TIMES_IMAGES)


def ready(run: Run, settings: Settings) -> Ready:
    """Read what one inversion-recovery run would be fitted from."""

    def require(series: Series) -> None:
        slice_delays(series.sidecars, series.grid.shape)
        _model(series.sidecars, settings)

    there = ready_curves(run, settings, require, times_images=TIMES_IMAGES)
    return replace(there, perhaps={"share": "if a fast component is fitted"})


def _model(told: Sequence[Sidecar], settings: Settings) -> tuple[InversionRecovery, tuple[str, ...]]:
    return InversionRecovery.from_metadata(told, ideal=settings.recovery.ir_efficiency == "ideal")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit(CurveFit):
    model: InversionRecovery
    series: Series
    kind: Kind
    options: EstimationOptions
    warnings: tuple[str, ...]
    agreement: Agreement
    motion: Motion
    treatment: Treatment
    shift: TimeShift
    """Of the times of `treatment`, which are as told; those of `model` are as meant."""

    delays: tuple[int, NDArray[np.float64]] | None
    """The axis of slices with inversion times of their own, and what is added to them; see `slice_delays`."""

    efficiency: str

    def estimate(self, progress: Callable[[int], object]) -> tuple[Estimate, Callable[[Estimate], Shown]]:
        model, series = self.model, self.series
        if self.delays is None:
            found = estimate(model, series.measurements, series.kind, self.options, progress=progress)
            return found, lambda fitted: _shown(model, series, fitted)
        axis, table = self.delays
        found, group = estimate_slices(group_slices(model, table), series, axis, self.options, progress)
        return found, lambda fitted: _shown(group.model, *only(group, axis, series, fitted))

    def tell(self, fitted: Estimate, sources: Sequence[str]) -> Told:
        return Told(
            scan={
                "Sources": list(sources),
                "EstimationAlgorithm": ALGORITHMS[self.efficiency],
                "EstimationReference": REFERENCE,
                "InversionTimes": list(self.treatment.model.inversion_times),
                "RepetitionTimes": [time if math.isfinite(time) else None for time in self.model.repetition_times],
                "Readout": _readout(self.model.readout),
                "EchoTime": if_valid(self.series.sidecars[0].seconds, "EchoTime"),
            },
            choices={
                "PolarityRestored": self.kind == "magnitude" or self.options.restore_polarity,
                "EfficiencyModel": self.efficiency,
            },
            found={
                "LearnedEfficiency": _learned(fitted),
                "TimeShift": self.shift.record,
                "AddedToInversionTimes": None if self.delays is None else self.delays[1].T.tolist(),
                "ImageAgreement": self.agreement.record or None,
                "Motion": self.motion.record or None,
                "FastComponent": self.treatment.record,
            },
        )

    def maps(self, rows: Sequence[Output], fitted: Estimate) -> dict[str, np.ndarray]:
        """Return the maps of the run; that of the fast component only where there is one in the model."""
        maps = {row.quantity: getattr(fitted, row.quantity) for row in rows if row.quantity != "share"}
        if self.model.companion is None:
            return maps
        return {**maps, "share": self.model.companion.over_slow(fitted.share)}

    def left(self, shown: Shown) -> dict[str, object]:
        """Return medians of the residuals at each inversion time, by T1."""
        return {"Residuals": _residuals(shown)}

    def doubts(self, counts: Mapping[str, int], fitted: Estimate) -> tuple[str, ...]:
        """Warn of signs open in much of the image, an ideal inversion that it does not show, and T1 of no head."""
        if self.agreement.is_suspect:
            return ()
        not_ideal = self._not_ideal(fitted) if self.model.ideal else ()
        return (*_open_signs(counts), *not_ideal, *unlike_heads(fitted, "T1", "InversionTime"))

    def _not_ideal(self, fitted: Estimate) -> tuple[str, ...]:
        """Warn where an ideal inversion leaves clearly more than a free efficiency and noise do."""
        errors = fitted.relative_error[np.isfinite(fitted.relative_error)]
        left = float(np.median(errors)) if errors.size else 0.0
        free, noise = (finite(self.agreement.record.get(key)) or 0.0 for key in ("Left", "Noise"))
        if left <= max(LEAST_LEFT, CLEARLY * free, CLEARLY * noise):
            return ()
        message = (
            f"An ideal inversion and complete recovery between repetitions, as asked for, leave {left:.1%} of the "
            f"signal unexplained, and a free efficiency {free:.1%}: T1 is wrong by more than its SD. "
            "--ir-efficiency free fits these images."
        )
        return (message,)


def _unchecked(model: InversionRecovery) -> tuple[str, ...]:
    """Say what T1 hangs on where an ideal inversion is fitted to no more images than it needs."""
    if not model.ideal or len(set(model.inversion_times)) > SINGLE_FIT:
        return ()
    message = (
        "Nothing checks with two inversion times that the inversion is ideal and recovery complete: with an "
        f"efficiency of {NEARLY_IDEAL:g} in place of 2, T1 of 1 s reads as {_read_as_ideal(model):.2f} s. Three "
        "inversion times and --ir-efficiency free need no such belief."
    )
    return (message,)


def _read_as_ideal(model: InversionRecovery) -> float:
    """Return what an ideal inversion reads of T1 1 s that was inverted by `NEARLY_IDEAL` [s]."""
    inversion_times = np.array(model.inversion_times)
    read = np.geomspace(0.2, 5.0, 2001)
    ideal = 1 - 2 * np.exp(-inversion_times[:, None] / read)
    signal = 1 - NEARLY_IDEAL * np.exp(-inversion_times)
    along = signal @ ideal / np.linalg.norm(ideal, axis=0)
    return float(read[np.argmax(along)])


def _open_signs(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Warn where the signs that magnitudes have lost stay open in much of the image."""
    share = counts[VoxelStatus.POLARITY_UNDECIDED.name] / max(1, count_estimates(counts))
    if share < MANY_UNDECIDED:
        return ()
    message = (
        f"In {share:.0%} of the fitted voxels two choices of sign explain the magnitudes, with different T1; "
        "their SD says how different. Real or complex images, or more inversion times, would decide."
    )
    return (message,)


def _prepare(series: Series, settings: Settings) -> _Fit:
    told = series.sidecars
    model, notes = _model(told, settings)
    options = EstimationOptions(
        time_range=settings.search.t1_range,
        learn_ratio=settings.recovery.ir_efficiency == "learned",
        noise=settings.recovery.ir_noise,
        restore_polarity=settings.recovery.restore_polarity,
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )
    delays = slice_delays(told, series.grid.shape)
    field = field_strength_of(series)
    if delays is None:
        agreement, motion = settle_images(question_of(model, field), series, options, settings.recovery.ir_motion)
        decide = treat_suspect if agreement.is_suspect else treat
        model = model.select(agreement.kept)
    else:
        agreement, motion = without_offset(series), Motion(series=series)
        decide = treat_slices
    given = settings.recovery.ir_time_shift
    tells_nothing = delays is not None or agreement.is_suspect
    shift = shift_as_given(model, given) if tells_nothing else choose_shift(model, agreement.series, given, options)
    treatment = decide(model, agreement.series, settings.recovery.ir_fast_component, field, options)
    return _Fit(
        model=shift.of(treatment.model),
        series=treatment.series,
        kind=treatment.series.kind,
        options=options,
        warnings=(
            *notes,
            *_unchecked(model),
            *agreement.warnings,
            *motion.warnings,
            *shift.warnings,
            *treatment.warnings,
        ),
        agreement=agreement,
        motion=motion,
        treatment=treatment,
        shift=shift,
        delays=delays,
        efficiency=settings.recovery.ir_efficiency,
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


def _shown(model: InversionRecovery, series: Series, fitted: Estimate) -> Shown:
    return Shown(model=model, series=series, places=model.inversion_times, fitted=fitted)


def _residuals(shown: Shown) -> list[dict[str, object]]:
    """Return medians of the residuals at each inversion time, by T1, for sidecar and page."""
    return [
        {
            "T1": [round(time, 3) for time in group.between],
            "Voxels": group.n_voxels,
            "MedianOverM0": [round(median, 5) for median in group.medians],
        }
        for group in residuals_by_time(shown.model, shown.series, shown.fitted)
    ]


def _learned(fitted: Estimate) -> dict[str, object] | None:
    learned = fitted.learned_ratio
    if learned is None:
        return None
    return {
        "AtT1": list(learned.times),
        "Mean": list(learned.means),
        "SD": learned.sd,
        "Voxels": learned.n_voxels,
    }


def _readout(readout: Readout) -> str:
    """Say how recovery between repetitions was described."""
    if not readout.is_known:
        return "not known: recovery from the excitation on"
    if readout.n_pulses == 0:
        return f"gradient echo of {readout.flip_angle:g} degrees"
    if readout.n_pulses == 1:
        return f"spin echo, refocused after {1000 * readout.duration:g} ms"
    return f"train of {readout.n_pulses} refocusing pulses in {1000 * readout.duration:g} ms"
