"""One shift of all inversion times of an image: learned where an efficiency beyond that of any pulse shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import optimize

from bids_t1.data.errors import InvalidInputError
from bids_t1.estimation.curves.engine import count_unknowns, fit_sample
from bids_t1.runs.common import near_one

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Series
    from bids_t1.estimation.curves.engine import EstimationOptions
    from bids_t1.estimation.curves.refinement import Fit
    from bids_t1.sequences.inversion_recovery import InversionRecovery

    Vector = NDArray[np.float64]

USUAL = 1.95
"""kappa for which T1 labels a voxel; its exact value does not matter."""

PERFECT = 2.0
"""kappa of a perfect inversion, which no pulse exceeds."""

WIDTH = 0.2
"""Of the groups of like T1, in log T1."""

MIN_VOXELS = 30
"""Fewer in a group give no typical kappa."""

MIN_GROUPS = 3
"""Fewer do not tell a shift from an efficiency."""

MOST_SPREAD = 0.15
"""SD of kappa in one voxel up to which it says something."""

LEAST_SD = 0.004
"""Relative uncertainty of a typical kappa that any number of voxels leaves: images are no better."""

MOST_TYPICAL = 2.05
"""Typical kappa from which something is wrong: above, by what images usually are off."""

MUCH = 0.5
"""Share of the voxels that tell kappa in which it must be more."""

CLEAR = 3.0
"""SDs by which kappa must exceed that of a perfect inversion, and the shift zero."""

MEDIAN_SD = 1.2533
"""SD of the median of normal values over that of their mean."""

SD_OF_DEVIATION = 1.4826
"""SD of normal values over the median of their absolute deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeShift:
    """What is added to all inversion times, and why."""

    added: float = 0.0
    """[s]; negative where the times are shorter than told."""

    record: dict[str, object]
    warnings: tuple[str, ...] = ()

    def of(self, model: InversionRecovery) -> InversionRecovery:
        """Return a model at the times that are meant."""
        if not self.added:
            return model
        return replace(model, inversion_times=tuple(time + self.added for time in model.inversion_times))


def choose_shift(
    model: InversionRecovery, series: Series, given: float | None, options: EstimationOptions
) -> TimeShift:
    """Return the shift that is given, else the one that the image shows.

    An inversion pulse of some milliseconds counts as a part of TI at some scanners, although recovery begins in its
    middle or at its end. Read with TI too long by d, kappa is exp(d/T1) times what it is: where T1 is short, more than
    the 2 of a perfect inversion.

    Parameters
    ----------
    model
        One exponential, at the times that are told.
    series
        Its images.
    given
        What the user adds to the times [s]; None: learned.
    options
        Of the estimation.

    Raises
    ------
    InvalidInputError
        If no inversion time is left with a given shift, or no voxel has signal.
    """
    cannot_tell = model.ideal or model.n_measurements <= count_unknowns(model)
    if given is not None:
        shift = shift_as_given(model, given)
        return shift if cannot_tell else replace(shift, warnings=_doubts(shift.of(model), series, options))
    if cannot_tell:
        return TimeShift(record={"Added": 0.0, "Reason": "not looked for: no efficiency can be told from these images"})
    typical = _typical_efficiencies(model, series, options)
    found = _learn_shift(model, typical)
    left = _doubts(found.of(model), series, options) if found.added else typical.doubts
    return replace(found, warnings=(*found.warnings, *left))


def _doubts(model: InversionRecovery, series: Series, options: EstimationOptions) -> tuple[str, ...]:
    """Say where kappa exceeds that of a perfect inversion at the times of a model."""
    return _typical_efficiencies(model, series, options).doubts


def _learn_shift(model: InversionRecovery, typical: _Efficiencies) -> TimeShift:
    """Return the shift that typical efficiencies show."""
    if not typical.exceeds_perfect:
        return TimeShift(record={"Added": 0.0, "Reason": "kappa does not exceed 2 at short T1", **typical.told})
    shift, sd = typical.fit_shift()
    if not CLEAR * sd < shift < min(model.inversion_times) / 2:
        reason = "kappa exceeds 2, but not as one shift of all inversion times has it"
        return TimeShift(record={"Added": 0.0, "Reason": reason, **typical.told})
    warning = (
        f"Inversion times were read as {1000 * shift:.1f} ms shorter than told (SD {1000 * sd:.1f} ms): else the "
        f"inversion efficiency kappa would be {typical.of_shortest:.2f} where T1 is {typical.shortest:.2g} s, "
        "and no inversion gives more than 2. The length of the inversion pulse may be counted in. Give another shift, "
        "or 0, with --ir-time-shift."
    )
    added = -round(shift, 6)
    record = {"Added": added, "SD": round(sd, 6), "Reason": "kappa exceeds 2 without it", **typical.told}
    return TimeShift(added=added, record=record, warnings=(warning,))


def shift_as_given(model: InversionRecovery, given: float | None) -> TimeShift:
    """Return the shift that is given, else none: for images of which nothing can be learned.

    Raises
    ------
    InvalidInputError
        If no inversion time is left with a given shift.
    """
    if given is None:
        reason = "not looked for: inversion times differ from slice to slice, or images do not agree with each other"
        return TimeShift(record={"Added": 0.0, "Reason": reason})
    shortest = min(model.inversion_times)
    if not math.isfinite(given) or shortest + given <= 0:
        raise InvalidInputError(
            f"--ir-time-shift {given:g} s leaves {shortest + given:g} s of the shortest InversionTime, {shortest:g} s; "
            "expected seconds that leave more than 0. Inversion pulses last some milliseconds: -0.005, say."
        )
    return TimeShift(added=given, record={"Added": given, "Reason": "given with --ir-time-shift"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Efficiencies:
    """Typical kappa of voxels of like T1."""

    times: Vector
    """T1 of each group [s]."""

    means: Vector
    spreads: Vector
    """Relative SDs of the means."""

    counts: Vector
    """Voxels of each group."""

    @property
    def shortest(self) -> float:
        """The shortest T1 of a group [s]."""
        return float(self.times.min())

    @property
    def of_shortest(self) -> float:
        """Kappa where T1 is shortest."""
        return float(self.means[np.argmin(self.times)])

    @property
    def exceeds_perfect(self) -> bool:
        """Whether kappa is clearly more than a pulse can give where T1 is shortest, which is where a shift shows."""
        if len(self.times) < MIN_GROUPS:
            return False
        return math.log(self.of_shortest / PERFECT) > CLEAR * float(self.spreads[np.argmin(self.times)])

    @property
    def doubts(self) -> tuple[str, ...]:
        """Say so where kappa is clearly more than any inversion gives, in much of the image."""
        above = np.log(self.means / MOST_TYPICAL) > CLEAR * self.spreads
        share = float(self.counts[above].sum()) / max(1.0, float(self.counts.sum()))
        if share < MUCH:
            return ()
        kappa = float(np.average(self.means[above], weights=self.counts[above]))
        message = (
            f"The inversion efficiency kappa is {kappa:.2f} in {share:.0%} of the voxels that tell it, and no "
            "inversion gives more than 2: T1 may be wrong by more than its SD. Images may be scaled differently from "
            "one another, InversionTime may be longer in the sidecars than it was, or RepetitionTime shorter; or "
            "several readouts follow one inversion (Look-Locker), and T1 is T1*, which is shorter. Compare the times "
            "with those of the scanner, and convert all images with one scaling."
        )
        return (message,)

    @property
    def told(self) -> dict[str, object]:
        """Return kappa where T1 is shortest, without a shift, for the record."""
        return {"Kappa": round(self.of_shortest, 3), "AtT1": round(self.shortest, 4)} if len(self.times) else {}

    def fit_shift(self) -> tuple[float, float]:
        """Return how much shorter all times are, and its SD [s]: the slope of log kappa over 1/T1.

        Groups that do not follow, of voxels that hold two substances, hardly count.
        """
        limit, rates, logs = math.log(PERFECT), 1 / self.times, np.log(self.means)

        def left(at: Vector) -> Vector:
            residuals: Vector = (logs - at[0] - at[1] * rates) / self.spreads
            return residuals

        found = optimize.least_squares(left, (limit - 0.05, 0.0), bounds=((-1, 0), (limit, 1)), loss="cauchy")
        typical = SD_OF_DEVIATION * float(np.median(np.abs(left(found.x))))
        # With its level at the limit the slope is surer; taken as if it were free.
        weights = 1 / (1 + left(found.x) ** 2) / self.spreads**2
        apart = float((weights * (rates - np.average(rates, weights=weights)) ** 2).sum())
        return float(found.x[1]), max(1.0, typical) / math.sqrt(apart)


def _typical_efficiencies(model: InversionRecovery, series: Series, options: EstimationOptions) -> _Efficiencies:
    """Return medians of kappa in groups of like T1, within the inversion times: beyond them little tells it."""
    with near_one(series.measurements):
        solution, noise = fit_sample(model, series.measurements, series.kind, options.for_residuals())
    shortest, longest = min(model.inversion_times), max(model.inversion_times)
    decided = (solution.fit.time > shortest) & (solution.fit.time < longest)
    decided[solution.second_of] = False
    time, ratio, label, sd = _in_numbers(model, solution.select(decided).fit, noise.residual)
    clear = sd < MOST_SPREAD
    time, ratio, label = time[clear], ratio[clear], np.floor(label[clear] / WIDTH)
    groups = [label == number for number in np.unique(label)]
    groups = [group for group in groups if np.count_nonzero(group) >= MIN_VOXELS]
    return _Efficiencies(
        times=np.array([np.median(time[group]) for group in groups]),
        means=np.array([np.median(ratio[group]) for group in groups]),
        spreads=np.array([_spread(ratio[group]) for group in groups]),
        counts=np.array([np.count_nonzero(group) for group in groups], dtype=float),
    )


def _in_numbers(model: InversionRecovery, fit: Fit, noise_sd: float) -> tuple[Vector, Vector, Vector, Vector]:
    """Return T1, kappa, the log T1 that goes with the usual kappa, and the SD of kappa.

    Noise moves T1 and kappa together. Groups made by T1 itself would sort voxels by the noise of their kappa; T1 that
    goes with one kappa is independent of it.
    """
    columns, slopes = (part.double() for part in model.columns(fit.time))
    amplitude, ratio = fit.amplitude.double(), fit.ratio.double()
    derivative = amplitude * (slopes[0] + ratio * slopes[1])
    jacobian = torch.stack([*columns, derivative], -1).transpose(0, 1)
    covariance = torch.linalg.pinv(jacobian.transpose(1, 2) @ jacobian)
    of_ratio = torch.stack([-ratio, torch.ones_like(ratio), torch.zeros_like(ratio)], -1) / amplitude[:, None]
    with_ratio = (covariance @ of_ratio[:, :, None])[:, :, 0]
    variance = (of_ratio * with_ratio).sum(1)
    log_time = fit.time.double().log()
    label = log_time - with_ratio[:, 2] / variance * (ratio - USUAL)
    parts = (log_time.exp(), ratio, label, noise_sd * variance.sqrt())
    first, second, third, fourth = (np.asarray(part.cpu(), np.float64) for part in parts)
    return first, second, third, fourth


def _spread(values: Vector) -> float:
    """Return the relative SD of a median."""
    median = float(np.median(values))
    deviation = SD_OF_DEVIATION * float(np.median(np.abs(values - median)))
    return math.hypot(LEAST_SD, MEDIAN_SD * deviation / math.sqrt(len(values)) / median)
