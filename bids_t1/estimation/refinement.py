"""From the best atom to the continuous optimum: variable projection with Kaufman's Jacobian.

Golub & Pereyra, SIAM J Numer Anal 10:413 (1973), doi 10.1137/0710036; Kaufman, BIT 15:49 (1975),
doi 10.1007/BF01932995.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bids_t1.data.shapes import Columns, Signals, VoxelIndex, VoxelMask, Voxels
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.dictionary import Dictionary
    from bids_t1.estimation.ratio_prior import RatioPrior

MAX_ITERATIONS = 12
"""Gauss-Newton steps at most; from within 0.1 in log T two or three are the rule."""

TOLERANCE = 1e-4
"""Last step in log T. What is left after it is its square."""

HELD = 1e30
"""Stiffness of a coefficient ratio that may not move."""

TINY = 1e-30
"""Keeps a division by the norm of an all-zero signal finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The least-squares solution of each voxel; with a ratio prior, the penalised one."""

    time: Voxels
    """Relaxation time [s]."""

    amplitude: Voxels
    """First linear coefficient, in units of the signal."""

    ratio: Voxels
    """Second coefficient over the first; zero with one coefficient."""

    cost: Voxels
    """Sum of squared residuals, the prior's included."""

    gradient: Voxels
    """Residual projected on the derivative with respect to log T: zero at an optimum."""

    information: Voxels
    """Squared norm of the projected derivative with respect to log T: noise variance over that of log T."""

    def select(self, kept: VoxelMask | VoxelIndex) -> Fit:
        """Return some of the voxels."""
        return Fit(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    def put(self, where: VoxelIndex, part: Fit) -> None:
        """Replace some of the voxels."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(part, field.name)

    def clone(self) -> Fit:
        """Return a copy."""
        return Fit(**{field.name: getattr(self, field.name).clone() for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What all voxels of an image have in common."""

    model: SignalModel
    dictionary: Dictionary
    prior: RatioPrior | None = None
    """Prior on the coefficient ratio; without one the ratio is free within its bounds."""

    noise_sd: float = 0.0
    """Typical noise SD, which weighs the prior and the choices of sign against the data."""


def refine(problem: Problem, signals: Signals, index: VoxelIndex) -> Fit:
    """Move each voxel from its best atom to the nearest optimum, without leaving the atom's neighbourhood."""
    model, prior, times = problem.model, problem.prior, problem.dictionary.times
    low, high = times[(index - 1).clamp_min(0)], times[(index + 1).clamp_max(len(times) - 1)]
    time = times[index]
    stiffness = torch.zeros_like(time)
    if prior is not None:
        fixed = solve(model, signals, time, prior, torch.full_like(time, HELD))
        stiffness = (problem.noise_sd / (prior.sd * fixed.amplitude.clamp_min(TINY))).square()
    fit = solve(model, signals, time, prior, stiffness)
    moving = torch.arange(len(time), device=time.device)
    for _ in range(MAX_ITERATIONS):
        step = (fit.gradient / fit.information.clamp_min(TINY)).clamp(-0.5, 0.5)[moving]
        before = time[moving]
        after = torch.minimum(torch.maximum(before * torch.exp(step), low[moving]), high[moving])
        time[moving] = after
        moving = moving[(after - before).abs() > TOLERANCE * before]
        if not len(moving):
            break
        part = solve(model, signals[:, moving], time[moving], prior, stiffness[moving])
        fit.put(moving, part)
    return replace(fit, time=time)


def solve(
    model: SignalModel,
    signals: Signals,
    time: Voxels,
    prior: RatioPrior | None,
    stiffness: Voxels,
    weights: Signals | None = None,
) -> Fit:
    """Solve the linear problem of every voxel at its relaxation time [s].

    Parameters
    ----------
    stiffness
        Squared ratio of the noise SD to the SD the prior gives the second coefficient; zero without a prior.
    weights
        Square roots of the weights of the measurements; all one where not given.
    """
    columns, slopes = model.columns(time)
    if weights is not None:
        columns, slopes, signals = columns * weights, slopes * weights, signals * weights
    if model.n_coefficients == 1:
        return _project_one(columns[0], slopes[0], signals, time)
    if prior is not None:
        mean, mean_slope = prior.mean(time)
        return _project_two(columns, slopes, signals, time, mean, mean_slope, stiffness)
    low, high = model.ratio_bounds
    middle, none = torch.full_like(time, (low + high) / 2), torch.zeros_like(time)
    fit = _project_two(columns, slopes, signals, time, middle, none, stiffness)
    outside = torch.nonzero((fit.ratio < low) | (fit.ratio > high) | (fit.amplitude <= 0)).squeeze(1)
    if len(outside):
        part = [array[..., outside] for array in (columns, slopes, signals, time)]
        edges = [_project_held(*part, ratio) for ratio in (low, high)]
        nearer = edges[0].cost <= edges[1].cost
        fit.put(outside, edges[1])
        fit.put(outside[nearer], edges[0].select(nearer))
    return fit


def predict(model: SignalModel, fit: Fit) -> Signals:
    """Return the signal of a fit."""
    columns, _ = model.columns(fit.time)
    signals = fit.amplitude * columns[0]
    return signals if model.n_coefficients == 1 else signals + fit.amplitude * fit.ratio * columns[1]


def _project_one(column: Signals, slope: Signals, signals: Signals, time: Voxels) -> Fit:
    """Least squares with one column."""
    norm = (column * column).sum(0).clamp_min(TINY)
    amplitude = (column * signals).sum(0) / norm
    residual = signals - amplitude * column
    derivative = amplitude * slope
    derivative -= (column * derivative).sum(0) / norm * column
    return Fit(
        time=time,
        amplitude=amplitude,
        ratio=torch.zeros_like(time),
        cost=(residual * residual).sum(0),
        gradient=(derivative * residual).sum(0),
        information=(derivative * derivative).sum(0),
    )


def _project_held(columns: Columns, slopes: Columns, signals: Signals, time: Voxels, ratio: float) -> Fit:
    """Least squares with two columns in a fixed ratio."""
    fit = _project_one(columns[0] + ratio * columns[1], slopes[0] + ratio * slopes[1], signals, time)
    fit.ratio.fill_(ratio)
    return fit


def _project_two(
    columns: Columns,
    slopes: Columns,
    signals: Signals,
    time: Voxels,
    mean: Voxels,
    mean_slope: Voxels,
    stiffness: Voxels,
) -> Fit:
    """Least squares with two columns, the second coefficient drawn towards `mean` times the first.

    Written in the column of the mean ratio and the part of the second column orthogonal to it: at long T the two
    columns are nearly parallel, and their normal equations would lose all digits of single precision.
    """
    base = columns[0] + mean * columns[1]
    norm = (base * base).sum(0).clamp_min(TINY)
    overlap = (base * columns[1]).sum(0) / norm
    side = columns[1] - overlap * base
    side_norm = (side * side).sum(0) + stiffness + TINY
    deviation = (side * signals).sum(0) / side_norm
    along = (base * signals).sum(0) / norm
    amplitude = along - overlap * deviation
    residual = signals - along * base - deviation * side
    derivative = amplitude * (slopes[0] + mean * slopes[1] + mean_slope * columns[1]) + deviation * slopes[1]
    derivative -= (base * derivative).sum(0) / norm * base
    across = (side * derivative).sum(0)
    return Fit(
        time=time,
        amplitude=amplitude,
        ratio=mean + deviation / torch.where(amplitude == 0, TINY, amplitude),
        cost=(residual * residual).sum(0) + stiffness * deviation * deviation,
        gradient=(derivative * residual).sum(0),
        information=(derivative * derivative).sum(0) - across * across / side_norm,
    )
