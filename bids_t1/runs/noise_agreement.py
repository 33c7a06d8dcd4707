"""Whether the images of a run have one gain, by their noise in air: what a fit cannot tell where it fits anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bids_t1.estimation.curves.engine import count_unknowns, set_up_bench
from bids_t1.estimation.curves.misfit import N_VOXELS, Hypotheses
from bids_t1.estimation.noise import noise_by_image
from bids_t1.runs.common import near_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Series
    from bids_t1.data.signal_model import SignalModel, SurfaceModel
    from bids_t1.estimation.curves.engine import EstimationOptions
    from bids_t1.runs.image_agreement import Agreement, Question

NAMED = {"gain", "gains"}
"""Faults of images that their noise would only name again."""


def compare_noise(question: Question, found: Agreement, measured: Series, options: EstimationOptions) -> Agreement:
    """Compare the noise of images in air; a gain changes it with the signal.

    Where a fit leaves residuals, gains that do not lower them are none: averages and bandwidth change the noise alone.

    Parameters
    ----------
    question
        How the images are compared.
    found
        What came of their comparison by a fit.
    measured
        All images before any was moved, which smooths the noise of some.
    options
        Of the estimation.

    Raises
    ------
    InvalidInputError
        If no voxel has signal.
    """
    if found.record.get("Suspicion") in NAMED:
        return found
    series = measured.select(found.kept)
    levels = noise_by_image(series.measurements, is_real=series.kind == "real")
    if levels is None:
        return found
    lowered = _lowered(question, found.kept, series, levels, options)
    if lowered is None:
        evidence = "So few images fit anything, so that nothing else tells."
    elif lowered[1] < lowered[0]:
        evidence = f"The fit leaves {lowered[0]:.1%} of the signal, and {lowered[1]:.1%} without them."
    else:
        return found
    listed = ", ".join(f"{level:.2f}" for level in levels)
    warning = (
        f"In the air around the object the noise of the images is {listed} times that of most, in the order of "
        f"{question.time}: as if each had that gain. {evidence} Receiver gain or display scaling (slopes of DICOM "
        "headers) may differ between scans; so may averages or bandwidth, which change the noise alone. With such "
        "gains the results are wrong by more than their SD: convert the images with their scaling, or scan again with "
        "one gain."
    )
    return replace(
        found,
        is_suspect=found.is_suspect or lowered is not None,
        warnings=(*found.warnings, warning),
        record={**found.record, "NoiseInAir": [round(float(level), 3) for level in levels]},
    )


def _lowered(
    question: Question, kept: Sequence[int], series: Series, levels: NDArray[np.float64], options: EstimationOptions
) -> tuple[float, float] | None:
    """Return what a fit leaves of the signal, and what it leaves without these gains; None where it fits anything."""

    def at_times(images: Sequence[int], times: Sequence[float]) -> SignalModel | SurfaceModel:
        return question.at_times([kept[image] for image in images], times)

    times = tuple(question.times[image] for image in kept)
    model = at_times(range(len(kept)), times)
    if model.n_measurements <= count_unknowns(model):
        return None
    with near_one(series.measurements):
        bench = set_up_bench(model, series.measurements, series.kind, options, N_VOXELS)
        unsigned = series.kind == "magnitude" or options.restore_polarity
        trial = Hypotheses(bench=bench, times=times, at_times=at_times, unsigned=unsigned, is_strict=question.is_strict)
        return trial.left_with([1.0] * len(kept)), trial.left_with(levels.tolist())
