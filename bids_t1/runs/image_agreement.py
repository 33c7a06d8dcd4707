"""Whether the images of a run belong together: what is odd is told with its cause, and undone where it can be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.estimation.curves.engine import count_unknowns, set_up_bench
from bids_t1.estimation.curves.misfit import N_VOXELS, Hypotheses, weigh_signs
from bids_t1.estimation.offset import find_floor, find_offset
from bids_t1.estimation.posterior.readout_phase import LARGE, remove_phase
from bids_t1.runs.common import near_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.data.acquisition import Series
    from bids_t1.data.shapes import Measurements
    from bids_t1.data.signal_model import SignalModel, SurfaceModel
    from bids_t1.estimation.curves.engine import Bench, EstimationOptions
    from bids_t1.estimation.curves.misfit import Misfit, Suspicion

MANY = 0.1
"""Share of voxels that contradict the stored signs from which on these are set aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How images of a sequence are compared."""

    time: str
    """What tells images apart, in words: inversion time."""

    times: tuple[float, ...]
    """Of the images [s]."""

    at_times: Callable[[Sequence[int], Sequence[float]], SignalModel | SurfaceModel]
    """Gives the model of some images, by their numbers, at other times [s]."""

    beside: tuple[str, ...] = ()
    """What else tells each image apart, in words, where times alone do not."""

    looks_like_gain: str = ""
    """What else of the sequence looks like a gain, as a sentence and a space."""

    rivals: tuple[SignalModel | SurfaceModel, ...] = ()
    """Richer models of all images, whose better fit is no fault of an image."""

    accusable: tuple[int, ...]
    """Numbers of the images that may be at fault: those that no richer model would explain."""

    is_strict: bool
    """Whether tissue itself may leave what looks like a fault of one image."""

    @property
    def model(self) -> SignalModel | SurfaceModel:
        """That of all images at their own times."""
        return self.at_times(range(len(self.times)), self.times)

    def said(self, image: int) -> str:
        """Return the time of an image in words, with what else tells it apart."""
        return f"{self.times[image]:g} s" + (f" ({self.beside[image]})" if self.beside else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What came of the comparison."""

    series: Series
    """The images, with what was undone."""

    kept: tuple[int, ...]
    """Numbers of the images that are still among them."""

    is_suspect: bool = False
    """Whether something is wrong with the images that are left, so that what they ask for means nothing."""

    warnings: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def as_it_is(cls, series: Series) -> Agreement:
        """Return all images unchanged."""
        return cls(series=series, kept=tuple(range(len(series.measurements))))

    def and_then(self, later: Agreement) -> Agreement:
        """Return both, the second of which went on with what the first one left."""
        return replace(later, warnings=(*self.warnings, *later.warnings), record={**self.record, **later.record})


def without_offset(series: Series) -> Agreement:
    """Take off what images hold outside the head in place of zero, or of noise about it."""
    whole = Agreement.as_it_is(series)
    if series.kind == "magnitude":
        return _without_floor(whole)
    offset = find_offset(series.measurements)
    if offset is None:
        return whole
    value = offset if series.kind == "complex" else offset.real
    warning = (
        f"The {series.kind} images hold {value:g} where there is no signal, at the border of the view: they were "
        "stored with an offset that their headers do not tell. It is taken off."
    )
    measurements = series.measurements - series.measurements.dtype.type(value)
    told = [offset.real, offset.imag] if series.kind == "complex" else offset.real
    return _taken_off(whole, measurements, told, warning)


def _without_floor(whole: Agreement) -> Agreement:
    floor = find_floor(whole.series.measurements)
    if floor is None:
        return whole
    warning = (
        f"The noise of air at the border of the view begins at {floor:.3g} in all magnitudes, in place of 0: they were "
        "stored with an offset that their headers do not tell. It is taken off."
    )
    measurements = np.maximum(whole.series.measurements - np.float32(floor), np.float32(0))
    return _taken_off(whole, measurements, floor, warning)


def _taken_off(whole: Agreement, measurements: Measurements, offset: float | list[float], warning: str) -> Agreement:
    return replace(
        whole,
        series=replace(whole.series, measurements=measurements),
        warnings=(warning,),
        record={"OffsetTakenOff": offset},
    )


def settle_phases(question: Question, series: Series, options: EstimationOptions) -> Agreement:
    """Take off the phase that turns complex images against each other; set signs aside that no recovery explains.

    Raises
    ------
    InvalidInputError
        If no voxel has signal.
    """
    turned = _in_phase(question, series)
    signs = _settle_signs(question, turned.series, options)
    return signs if signs.series.kind != series.kind else turned.and_then(signs)  # magnitudes have no phase


def _in_phase(question: Question, series: Series) -> Agreement:
    """Take off the phase by which complex images are turned against the first of them.

    A turn beyond 90 degrees looks like one of less and another sign, which `_settle_signs` finds.
    """
    whole = Agreement.as_it_is(series)
    if series.kind != "complex":
        return whole
    aligned, turns = remove_phase(series.measurements, negligible=LARGE)
    turned = [turn for turn in turns if turn.removed]
    if not turned:
        return whole
    listed = ", ".join(
        f"{turn.median:.0f} degrees ({turn.lowest:.0f} to {turn.highest:.0f}) at {question.said(turn.readout - 1)}"
        for turn in turned
    )
    warning = (
        f"The phase of images differs from that of {question.time} {question.said(0)} by {listed}; it was "
        "estimated from the images and taken off. Coils that are combined for each image on its own, drift and eddy "
        "currents do this."
    )
    found = {question.said(turn.readout - 1).removesuffix(" s"): round(turn.median, 1) for turn in turned}
    record = {"PhaseTakenOff": found}
    return replace(whole, series=replace(series, measurements=aligned), warnings=(warning,), record=record)


def compare(question: Question, series: Series, options: EstimationOptions) -> Agreement:
    """Compare the images of a run with each other by what a common fit leaves.

    Raises
    ------
    InvalidInputError
        If no voxel has signal.
    """
    misfit = _find(question, series, options)
    suspicion = misfit.suspicion
    record = _told(misfit, question)
    whole = Agreement.as_it_is(series)
    if suspicion is None:
        warnings = (_unexplained(misfit),) if misfit.is_too_much else ()
        return replace(whole, warnings=warnings, record=record, is_suspect=misfit.is_too_much)
    if _can_leave_out(suspicion, misfit, question):
        (image,) = suspicion.images
        kept = tuple(number for number in whole.kept if number != image)
        return Agreement(
            series=series.select(kept),
            kept=kept,
            warnings=(f"{_accusation(suspicion, misfit, question)} It is left out.",),
            record={**record, "LeftOut": [question.times[image]]},
        )
    outcome = "The results are wrong as long as that is so."
    if not misfit.is_explained:
        outcome = f"As that leaves {suspicion.left:.1%}, more must be wrong. {outcome}"
    return replace(
        whole,
        is_suspect=True,
        warnings=(f"{_accusation(suspicion, misfit, question)} {outcome}",),
        record=record,
    )


def _settle_signs(question: Question, series: Series, options: EstimationOptions) -> Agreement:
    """Set signs aside that no relaxation time explains, unless a wrong time explains them."""
    whole = Agreement.as_it_is(series)
    if series.kind == "magnitude" or options.restore_polarity:
        return whole
    with near_one(series.measurements):
        bench = set_up_bench(question.model, series.measurements, series.kind, options, N_VOXELS)
        signs = weigh_signs(bench, question.model)
        if signs.contradicted < MANY:
            return whole
        misfit = _weigh(bench, question, unsigned=False)
    suspicion = misfit.suspicion
    if suspicion is not None and suspicion.cause in {"exchanged", "time"} and misfit.is_explained:
        return whole
    cause = (
        "Their phase differs from image to image, as in scans that were reconstructed one by one."
        if series.kind == "complex"
        else "An image may be turned by 180 degrees, or hold magnitudes."
    )
    warning = (
        f"Signs as stored fit no recovery in {signs.contradicted:.0%} of the bright voxels: the fit leaves "
        f"{signs.left:.1%} of the signal, and {signs.left_without:.1%} with signs of its own. {cause} Magnitudes are "
        "fitted instead, and their signs restored by the fit."
    )
    record = {
        "ContradictedSigns": round(signs.contradicted, 3),
        "LeftWithSigns": round(signs.left, 4),
        "LeftWithoutSigns": round(signs.left_without, 4),
    }
    magnitudes = replace(series, measurements=np.abs(series.measurements), kind="magnitude")
    return replace(Agreement.as_it_is(magnitudes), warnings=(warning,), record=record)


def _find(question: Question, series: Series, options: EstimationOptions) -> Misfit:
    with near_one(series.measurements):
        bench = set_up_bench(question.model, series.measurements, series.kind, options, N_VOXELS)
        return _weigh(bench, question, unsigned=series.kind == "magnitude" or options.restore_polarity)


def _weigh(bench: Bench, question: Question, *, unsigned: bool) -> Misfit:
    hypotheses = Hypotheses(
        bench=bench,
        times=question.times,
        at_times=question.at_times,
        rivals=question.rivals,
        unsigned=unsigned,
        is_strict=question.is_strict,
    )
    return hypotheses.find(question.accusable)


def _can_leave_out(suspicion: Suspicion, misfit: Misfit, question: Question) -> bool:
    """Whether one image alone is at fault, and the others agree and still check each other."""
    n_left = len(question.times) - 1 - count_unknowns(question.model)
    return len(suspicion.images) == 1 and misfit.is_settled and n_left > 0


def _accusation(suspicion: Suspicion, misfit: Misfit, question: Question) -> str:
    """Name the likely cause with its evidence."""
    times = [question.said(image) for image in suspicion.images]
    noise = f", noise {misfit.noise:.1%}" if misfit.noise else ""
    evidence = f"the fit leaves {misfit.left:.1%} of the signal, and {suspicion.left:.1%}"
    match suspicion.cause, suspicion.values:
        case "gain", (gain,):
            return (
                f"The image of {question.time} {times[0]} is as if it were {gain:.2f} times as bright as the others: "
                f"{evidence} without that gain{noise}. {question.looks_like_gain}Receiver gain or display scaling "
                "(slopes of DICOM headers) may differ between scans."
            )
        case "time", (time,):
            return (
                f"The image of {question.time} {times[0]} is as if measured at {time:.3g} s: {evidence} with that "
                f"time{noise}. Its sidecar may hold another number than the scanner used."
            )
        case "exchanged", _:
            return (
                f"The images of {question.time} {times[0]} and {times[1]} are as if exchanged: {evidence} the other "
                f"way round{noise}. Correct the sidecars or the names of the images."
            )
        case "gains", gains:
            listed = ", ".join(f"{gain / gains[-1]:.2f}" for gain in gains)
            return (
                f"The images are as if each had a gain of its own, about {listed} in the order of {question.time}: "
                f"{evidence} without these{noise}. {question.looks_like_gain}Display scaling (slopes of DICOM "
                "headers), receiver gain, or the real part of images of unlike phase make that. Convert them with "
                "their scaling, or scan again with one gain."
            )
        case _:
            return (
                f"The image of {question.time} {times[0]} does not follow from the others by any gain or "
                f"time: {evidence} without it{noise}. It may hold noise, another scan, or a head that moved."
            )


def _unexplained(misfit: Misfit) -> str:
    noise = f", {misfit.least / misfit.noise:.0f} times the noise" if misfit.noise else ""
    why = "no single image, gain or time explains that" if misfit.is_asked else "so few images do not tell why"
    return (
        f"The fit leaves {misfit.least:.1%} of the signal unexplained{noise}, and {why}. Motion between images, signs, "
        "times or scaling of several images, or a sequence other than told may be behind it. See the residuals by "
        "time, and do not trust the results before."
    )


def _told(misfit: Misfit, question: Question) -> dict[str, object]:
    record: dict[str, object] = {"Left": round(misfit.left, 4), "Noise": round(misfit.noise, 4)}
    if misfit.suspicion is not None:
        record |= {
            "Suspicion": misfit.suspicion.cause,
            "Of": [question.times[image] for image in misfit.suspicion.images],
            "Values": [round(value, 4) for value in misfit.suspicion.values],
            "LeftWithout": round(misfit.suspicion.left, 4),
        }
    return record
