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
"""Gauss-Newton steps at most."""

FULL_ITERATIONS = 1
"""Steps made by all voxels together; after them and the last step most are there, and the others go on alone."""

TOLERANCE = 1e-4
"""Last step in log T. What is left after it is its square, or of its order where the residual is large."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What all voxels of an image have in common."""

    model: SignalModel
    dictionary: Dictionary
    prior: RatioPrior | None = None
    """Prior on the coefficient ratio; without one the ratio is free within its bounds."""

    noise_sd: float = 0.0
    """Typical noise SD, which weighs the prior and the choices of sign against the data."""


def refine(problem: Problem, signals: Signals, index: VoxelIndex, offset: Voxels) -> Fit:
    """Move each voxel from its best atom to the nearest optimum, without leaving the atom's neighbourhood.

    Parameters
    ----------
    index
        Best atom of each voxel.
    offset
        Where to start, in atoms from there.
    """
    prior, times = problem.prior, problem.dictionary.times
    low, high = times[(index - 1).clamp_min(0)], times[(index + 1).clamp_max(len(times) - 1)]
    time = times[index] * torch.exp(offset * torch.log(times[1] / times[0]))
    stiffness = torch.zeros_like(time)
    if prior is not None:
        fixed = solve(problem, signals, time, torch.full_like(time, HELD))
        stiffness = (problem.noise_sd / (prior.sd * fixed.amplitude.clamp_min(TINY))).square()
    fit = solve(problem, signals, time, stiffness)
    for _ in range(FULL_ITERATIONS):
        time, moved = _step(fit, low, high)
        fit = solve(problem, signals, time, stiffness)
    time, moved = _step(fit, low, high)
    for _ in range(FULL_ITERATIONS, MAX_ITERATIONS):
        moving = torch.nonzero(moved > TOLERANCE).squeeze(1)
        if not len(moving):
            break
        part = solve(problem, signals[:, moving], time[moving], stiffness[moving])
        time[moving], moved[moving] = _step(part, low[moving], high[moving])
        fit.put(moving, part)
    return replace(fit, time=time)


def _step(fit: Fit, low: Voxels, high: Voxels) -> tuple[Voxels, Voxels]:
    """Return the relaxation times one Gauss-Newton step further, within bounds, and how far that is in log T."""
    step = (fit.gradient / fit.information.clamp_min(TINY)).clamp_(-0.5, 0.5)
    time = torch.minimum(torch.maximum(fit.time * torch.exp(step), low), high)
    return time, (time - fit.time).abs_() / fit.time


def solve(problem: Problem, signals: Signals, time: Voxels, stiffness: Voxels, weights: Signals | None = None) -> Fit:
    """Solve the linear problem of every voxel at its relaxation time [s].

    Parameters
    ----------
    stiffness
        Squared ratio of the noise SD to the SD the prior gives the second coefficient; zero without a prior.
    weights
        Square roots of the weights of the measurements; all one where not given.
    """
    model, prior = problem.model, problem.prior
    columns, slopes = model.columns(time)
    if weights is not None:
        columns, slopes, signals = columns * weights, slopes * weights, signals * weights
    if model.n_coefficients == 1:
        return _project_one(columns[0], slopes[0], signals, time)
    if prior is not None:
        return _project_two(columns, slopes, signals, time, prior.mean(time), stiffness)
    low, high = model.ratio_bounds
    middle = torch.full_like(time, (low + high) / 2)
    fit = _project_two(columns, slopes, signals, time, (middle, None), stiffness)
    outside = torch.nonzero((fit.ratio < low) | (fit.ratio > high) | (fit.amplitude <= 0)).squeeze(1)
    if len(outside):
        part = (columns[..., outside], slopes[..., outside], signals[:, outside], time[outside])
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


def _dot(first: Signals, second: Signals) -> Voxels:
    """Inner product over the measurements."""
    return (first * second).sum(0)


def _square(signals: Signals) -> Voxels:
    """Squared norm over the measurements."""
    return (signals * signals).sum(0)


def _project_one(column: Signals, slope: Signals, signals: Signals, time: Voxels) -> Fit:
    """Least squares with one column."""
    norm = _square(column).clamp_min_(TINY)
    amplitude = _dot(column, signals) / norm
    residual = torch.addcmul(signals, amplitude, column, value=-1)
    # The residual is orthogonal to the column, so that the slope need not be.
    return Fit(
        time=time,
        amplitude=amplitude,
        ratio=torch.zeros_like(time),
        cost=_square(residual),
        gradient=amplitude * _dot(slope, residual),
        information=amplitude.square() * (_square(slope) - _dot(column, slope).square_() / norm),
    )


def _project_held(columns: Columns, slopes: Columns, signals: Signals, time: Voxels, ratio: float) -> Fit:
    """Least squares with two columns in a fixed ratio."""
    fit = _project_one(columns[0] + ratio * columns[1], slopes[0] + ratio * slopes[1], signals, time)
    fit.ratio.fill_(ratio)
    return fit


def _project_two(  # noqa: PLR0913, PLR0917 - the six quantities of a penalised two-column problem
    columns: Columns,
    slopes: Columns,
    signals: Signals,
    time: Voxels,
    ratio: tuple[Voxels, Voxels | None],
    stiffness: Voxels,
) -> Fit:
    """Least squares with two columns, the second coefficient drawn towards a ratio times the first.

    Written in the column of that ratio and the part of the second column orthogonal to it: at long T the two
    columns are nearly parallel, and their normal equations would lose all digits of single precision.

    Parameters
    ----------
    ratio
        The ratio drawn towards, and its derivative with respect to log T; None where it is constant.
    """
    mean, mean_slope = ratio
    base = torch.addcmul(columns[0], mean, columns[1])
    norm = _square(base).clamp_min_(TINY)
    overlap = _dot(base, columns[1]) / norm
    side = torch.addcmul(columns[1], overlap, base, value=-1)
    side_norm = _square(side).add_(stiffness).add_(TINY)
    deviation, along = _dot(side, signals) / side_norm, _dot(base, signals) / norm
    amplitude = torch.addcmul(along, overlap, deviation, value=-1)
    residual = torch.addcmul(signals, along, base, value=-1).addcmul_(deviation, side, value=-1)
    derivative = torch.addcmul(slopes[0], mean, slopes[1])
    if mean_slope is not None:
        derivative.addcmul_(mean_slope, columns[1])
    derivative.mul_(amplitude).addcmul_(deviation, slopes[1])
    derivative.addcmul_(_dot(base, derivative) / norm, base, value=-1)
    across = _dot(side, derivative)
    return Fit(
        time=time,
        amplitude=amplitude,
        ratio=mean + deviation / torch.where(amplitude == 0, TINY, amplitude),
        cost=_square(residual).addcmul_(stiffness * deviation, deviation),
        gradient=_dot(derivative, residual),
        information=_square(derivative) - across * across / side_norm,
    )
