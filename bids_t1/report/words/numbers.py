"""The numbers of a run that fit on one line each, and what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.estimate import VoxelStatus, count_estimates
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import quantity_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.result import RunResult


PRIOR_FIELDS, NEAR = (3.0, 7.0), 0.1
"""Field strengths that a tissue prior is there for [T], and how near to them is enough, relative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number with its name and remarks."""

    label: str
    value: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of a run, and the note below them."""

    numbers: tuple[Number, ...]
    note: str


def trusted(run: RunResult) -> NDArray[np.bool_]:
    """Tell voxels that count in medians and histogram: those with a value and without low confidence."""
    times = run.maps.get("time", np.full(run.grid.shape, np.nan))
    status = run.maps.get("status", np.zeros(run.grid.shape, np.uint8))
    counts: NDArray[np.bool_] = np.isfinite(times) & (status != VoxelStatus.LOW_CONFIDENCE)
    return counts


def summarise_fit(run: RunResult, *, bends: str, limit: str = "") -> Summary:
    """Return the numbers of a run that was fitted curve by curve.

    Parameters
    ----------
    run
        Any whose SD comes from the residuals.
    bends
        What makes the curve another one than that of the model.
    limit
        What the numbers are not, in a sentence of its own.
    """
    name = quantity_of(run.sequence).name
    factor, degrees = (run.record.get(key) for key in ("IntervalFactor", "DegreesOfFreedom"))
    interval = f"{factor:.2f}" if isinstance(factor, int | float) else ""
    freedom = wording.counted(degrees, "degree") if isinstance(degrees, int) else "known degrees"
    of_scatter = (
        f" The SD is that of one voxel's {name}, from the scatter of its own measurements about the curve. A 95 % "
        f"interval is {name} ± {interval} SD: Student's t with {freedom} of freedom, because that scatter is itself "
        "known from few measurements. It covers the scatter about the curve, not what bends or shifts the curve as a "
        "whole"
    )
    of_noise = (
        f" The SD is that of one voxel's {name}, from the noise of the images, because as many unknowns as images "
        f"leave no scatter about the fit. A 95 % interval is {name} ± {interval} SD. It covers the noise, not what the "
        "model leaves out"
    )
    of_interval = f"{of_noise if degrees == 0 else of_scatter}: {bends}." if interval else ""
    return Summary(
        numbers=(
            _median_time(run, f"Median {name}, whole image"),
            Number(
                label=f"Median SD of {name}",
                value=_median(run, "time_sd"),
                remarks=(f"95 % interval: ± {interval} SD" if interval else "of a single voxel",),
            ),
            _share_with_estimate(run, "Voxels fitted"),
        ),
        note="These numbers are of every fitted voxel, fluid and tissue outside the brain included: no brain mask was "
        f"applied.{limit}{of_interval}",
    )


def summarise_posterior(run: RunResult) -> Summary:
    """Return the numbers of a run whose posterior of T1 was computed."""
    n_estimates = count_estimates(run.status_counts)
    low, at_limit, two_modes = (
        run.status_counts.get(status.name, 0)
        for status in (VoxelStatus.LOW_CONFIDENCE, VoxelStatus.AT_PRIOR_LIMIT, VoxelStatus.TWO_MODES)
    )
    if "two_modes" in run.maps:  # the status tells low confidence first
        two_modes = int((run.maps["two_modes"] > 0).sum())
    return Summary(
        numbers=(
            _median_time(run, "Median T1"),
            Number(label="Median SD of T1", value=_median(run, "time_sd"), remarks=(_width(run),)),
            _share_with_estimate(run, "Voxels with an estimate"),
            _share("Two T1 fit the data", two_modes, n_estimates, "marked in a map below"),
            _share("Most probable T1 at a limit", at_limit, n_estimates, "of the range that was searched"),
            _share("Low confidence", low, n_estimates, "left out of medians and histogram"),
        ),
        note="No brain mask was applied: fluid and tissue outside the brain are included. The 95 % interval is a "
        "credible interval: given the data, the noise and the priors, T1 lies between the maps of its lower and its "
        "upper limit with a probability of 95 %. It need not be symmetric about T1, nor a multiple of the SD. "
        f"{_covered(run)} It does not cover a wrong timing, {_uncovered(run)}motion, partial volume and magnetisation "
        f"transfer.{_transfer(run)}",
    )


def _transfer(run: RunResult) -> str:
    """Propose what can be had against magnetisation transfer, where nothing was done about it."""
    strength = run.record.get("MagneticFieldStrength")
    known = isinstance(strength, int | float) and any(abs(strength / field - 1) < NEAR for field in PRIOR_FIELDS)
    if not known or {"slow", "calibrated"} & set(run.maps) or run.record.get("InversionEfficiencySlope"):
        return ""
    return (
        " The last makes T1 8 to 20 % shorter in white matter than that of the slow component, which inversion "
        "recovery reads; --mt-prior tissue adds a corrected map with its own SD."
    )


def _covered(run: RunResult) -> str:
    covered = ["the noise of the images"]
    if sd := run.record.get("InversionEfficiencySD"):
        covered.append(f"an inversion efficiency with an SD of {sd}")
    prior = run.record.get("TransmitFieldPrior")
    if isinstance(prior, dict) and prior.get("SD"):
        where = " where it was not measured" if "TransmitField" in run.record else ""
        covered.append(f"the unknown B1+{where}")
    field = run.record.get("TransmitField")
    if isinstance(field, dict) and field.get("SD"):
        covered.append(f"an SD of the map of B1+ of {field['SD']}")
    return f"It covers {wording.listed(covered)}."


def _uncovered(run: RunResult) -> str:
    knows = "InversionEfficiency" not in run.record or run.record.get("InversionEfficiencySD")
    return "" if knows else "a wrong inversion efficiency, "


def _median_time(run: RunResult, label: str) -> Number:
    quantity = quantity_of(run.sequence)
    times = run.maps["time"][trusted(run)] if "time" in run.maps else np.empty(0)
    lower, median, upper = map(float, np.percentile(times, (25, 50, 75)) if times.size else (np.nan,) * 3)
    quartiles = f"{quantity.written(lower, unit=False)} to {quantity.written(upper)}" if times.size else "not available"
    return Number(label=label, value=quantity.written(median), remarks=(f"middle half {quartiles}",))


def _median(run: RunResult, quantity: str) -> str:
    values = run.maps.get(quantity, np.full(run.grid.shape, np.nan))[trusted(run)]
    values = values[np.isfinite(values)]
    return quantity_of(run.sequence).written(float(np.median(values)) if values.size else math.nan)


def _width(run: RunResult) -> str:
    if not {"lower", "upper"} <= set(run.maps):
        return "of a single voxel"
    width = (run.maps["upper"] - run.maps["lower"])[trusted(run)]
    width = width[np.isfinite(width)]
    written = quantity_of(run.sequence).written(float(np.median(width))) if width.size else ""
    return f"median width of the 95 % interval {written}" if written else ""


def _share_with_estimate(run: RunResult, label: str) -> Number:
    n_estimates = count_estimates(run.status_counts)
    n_signal = sum(run.status_counts.values()) - run.status_counts.get(VoxelStatus.NO_SIGNAL.name, 0)
    n_undecided = run.status_counts.get(VoxelStatus.POLARITY_UNDECIDED.name, 0)
    remarks = [f"{wording.grouped(n_estimates)} of {wording.grouped(n_signal)} voxels outside the background"]
    if n_undecided:
        remarks.append(f"{wording.percent(n_undecided, n_estimates)} of them with two choices of sign")
    return Number(label=label, value=wording.percent(n_estimates, n_signal), remarks=tuple(remarks))


def _share(label: str, count: int, n_estimates: int, remark: str) -> Number:
    voxels = f"{wording.grouped(count)} voxels" if count != 1 else "1 voxel"
    return Number(
        label=label,
        value=wording.percent(count, n_estimates),
        remarks=(f"{voxels}, {remark}",) if count else ("no voxel",),
    )
