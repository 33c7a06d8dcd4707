"""Motion between the images of one run: looked for by what a fit predicts, and taken off by rigid registration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import NoSignalError
from bids_t1.estimation.curves.engine import count_unknowns, estimate, fit_examples
from bids_t1.estimation.curves.fitted import fitted_signals
from bids_t1.registration.check import rotation
from bids_t1.registration.motion import (
    across,
    apparent_displacement,
    displacement,
    is_small,
    realigned,
    refine_motion,
    register_contrasts,
)
from bids_t1.runs.common import near_one
from bids_t1.runs.image_agreement import compare, settle_phases, without_offset
from bids_t1.runs.noise_agreement import compare_noise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.acquisition import Series
    from bids_t1.data.options import MotionChoice
    from bids_t1.data.shapes import Affine, Measurements, VoxelFlags
    from bids_t1.data.signal_model import SignalModel, SurfaceModel
    from bids_t1.estimation.curves.engine import EstimationOptions
    from bids_t1.runs.image_agreement import Agreement, Question

N_ROUNDS = 3
"""Registrations to what the fit predicts, after the one to the longest time."""

BRIGHT = 0.1
"""Energy over that of the brightest voxels from which on a voxel is of the head."""

GAIN = 0.97
"""Residuals after over those before up to which realigned images fit better."""


LOST = "registration found no place where all images show the head: images are as they were"


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """What became of motion between images."""

    series: Series
    record: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def without_motion(question: Question, series: Series, options: EstimationOptions, choice: MotionChoice) -> Motion:
    """Realign images that a head moved between; images of a still head are returned as they are, bit by bit.

    Parameters
    ----------
    question
        The model of all images, whose prediction for each is compared with it, and their times: the longest one has
        most signal, and is the reference.
    series
        The images.
    options
        Of the estimation.
    choice
        What the user asks for.

    Raises
    ------
    InvalidInputError
        If no voxel has signal.
    """
    if choice == "none":
        return Motion(series=series, record={"Done": "not looked for, as asked"})
    model = question.model
    if model.n_measurements <= count_unknowns(model):
        return Motion(series=series, record={"Done": "not looked for: so few images leave no residuals"})
    options = options.for_residuals()
    with near_one(series.measurements):
        apparent = _apparent(model, series, options)
    if is_small(max(apparent), series.grid):
        return Motion(series=series, record=_told("none seen: images are as they were", question, apparent))
    try:
        return _realign(model, question, series, options)
    except NoSignalError:
        return Motion(series=series, record=_not_believed(LOST, question, apparent), warnings=(f"Motion: {LOST}.",))


def settle_images(
    question: Question, series: Series, options: EstimationOptions, choice: MotionChoice
) -> tuple[Agreement, Motion]:
    """Take off what images do not share (offset, phase, motion), and say whether they then go with one another.

    By what a fit of all leaves, and by their noise.
    """
    agreement = without_offset(series)
    agreement = agreement.and_then(settle_phases(question, agreement.series, options))
    motion = without_motion(question, agreement.series, options, choice)
    compared = agreement.and_then(compare(question, motion.series, options))
    return compare_noise(question, compared, agreement.series, options), motion


def _realign(
    model: SignalModel | SurfaceModel, question: Question, series: Series, options: EstimationOptions
) -> Motion:
    """Register all images, and take the motion off where it is large enough and images then fit better."""
    matrices = register_images(model, int(np.argmax(question.times)), series, options)
    head = _head(np.abs(series.measurements))
    found = [displacement(matrix, series.grid, head) for matrix in matrices]
    if is_small(max(found), series.grid):
        return Motion(series=series, record=_told("below a tenth of a voxel: images are as they were", question, found))
    moved_back = replace(series, measurements=realigned(series.measurements, matrices, series.grid))
    before, after = (_left(model, each, head, options) for each in (series, moved_back))
    evidence = {"ResidualBefore": round(before, 5), "ResidualAfter": round(after, 5)}
    if not after < GAIN * before:
        warning = (
            f"Registration has the head move by up to {max(found):.1f} mm between images, but they fit no better then: "
            "they are left as they were."
        )
        done = "realigned images fit no better: they are as they were"
        return Motion(series=series, record=_not_believed(done, question, found) | evidence, warnings=(warning,))
    record = _told("realigned to the longest time", question, found) | evidence
    record["Rotations"] = [round(rotation(matrix), 2) for matrix in matrices]
    return Motion(series=moved_back, record=record, warnings=(_warning(max(found), series),))


def _apparent(model: SignalModel | SurfaceModel, series: Series, options: EstimationOptions) -> list[float]:
    """Return how far each image seems to lie from where the fit has it [mm]."""
    voxels, predicted = fit_examples(model, series.measurements, series.kind, options)
    return [
        apparent_displacement(np.abs(image), np.abs(signal), voxels, series.grid)
        for image, signal in zip(series.measurements, predicted, strict=True)
    ]


def register_images(
    model: SignalModel | SurfaceModel, reference: int, series: Series, options: EstimationOptions
) -> list[Affine]:
    """Return from where each image is taken: by mutual information with the reference, then with predictions.

    Parameters
    ----------
    model
        Of all images.
    reference
        Number of the image in whose place all are put.
    series
        The images.
    options
        Of the estimation.
    """
    images = np.nan_to_num(np.abs(series.measurements))
    head = _head(images)
    others = [number for number in range(len(images)) if number != reference]
    matrices = [np.eye(4)] * len(images)
    for number in others:
        matrices[number] = register_contrasts(images[reference], images[number], series.grid, head)
    for _ in range(N_ROUNDS):
        back = realigned(series.measurements, matrices, series.grid)
        targets = predict_images(model, replace(series, measurements=back), options)
        for number in others:
            matrices[number] = refine_motion(targets[number], images[number], matrices[number], series.grid, head)
    return matrices


def predict_images(model: SignalModel | SurfaceModel, series: Series, options: EstimationOptions) -> Measurements:
    """Return the magnitude of each image that the fit to all of them predicts; NaN without a fit.

    An image in place of its prediction would say that nothing moved.

    Parameters
    ----------
    model
        Of all images.
    series
        These images, each in its place as far as it is known.
    options
        Of the estimation.
    """
    with near_one(series.measurements) as unit:
        fitted = estimate(model, series.measurements, series.kind, options).in_images(unit)
    voxels = np.flatnonzero(np.isfinite(fitted.time))
    images = np.full(series.measurements.shape, np.nan, np.float32)
    images.reshape(len(images), -1)[:, voxels] = np.abs(fitted_signals(model, fitted, voxels))
    return images


def _head(magnitudes: Measurements) -> VoxelFlags:
    """Return the voxels with signal."""
    energy = np.nan_to_num(magnitudes.astype(np.float64) ** 2).sum(0)
    head: VoxelFlags = energy > BRIGHT * np.quantile(energy, 0.95)
    return head


def _left(model: SignalModel | SurfaceModel, series: Series, head: VoxelFlags, options: EstimationOptions) -> float:
    """Return the typical residual in the head, over the signal."""
    with near_one(series.measurements):
        fitted = estimate(model, series.measurements, series.kind, options)
    return float(np.nanmedian(fitted.relative_error[head]))


def _told(done: str, question: Question, displacements: list[float]) -> dict[str, object]:
    return {
        "Done": done,
        "Of": list(question.times),
        "LargestDisplacement": round(max(displacements), 3),
        "Displacements": [round(value, 3) for value in displacements],
    }


def _not_believed(done: str, question: Question, displacements: list[float]) -> dict[str, object]:
    """Return what registration found, under a name by which nobody takes it for how far the head moved."""
    return {"Done": done, "Of": list(question.times), "NotBelieved": [round(value, 3) for value in displacements]}


def _warning(largest: float, series: Series) -> str:
    warning = (
        f"The head moved by up to {largest:.1f} mm between images: they were realigned to that of the longest time."
    )
    thin = " Motion across so few slices is not seen, and stays."
    return warning if across(series.grid) is None else warning + thin
