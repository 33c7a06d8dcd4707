"""From the best atom to the continuous optimum: variable projection with Kaufman's Jacobian.

Golub & Pereyra, SIAM J Numer Anal 10:413 (1973), doi 10.1137/0710036; Kaufman, BIT 15:49 (1975),
doi 10.1007/BF01932995.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import torch

from bids_t1.data.signal_model import SurfaceModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Columns, Signals, VoxelIndex, VoxelMask, Voxels
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.curves.dictionary import Dictionary
    from bids_t1.estimation.curves.prior import RatioPrior

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

    share: Voxels
    """Coefficient of the companion over the last one; zero without one."""

    def select(self, kept: VoxelMask | VoxelIndex) -> Self:
        """Return some of the voxels."""
        return type(self)(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    def cpu(self) -> Self:
        """Return the fit on the processor."""
        return type(self)(**{field.name: getattr(self, field.name).cpu() for field in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the fits of several lists of voxels as that of one."""
        return cls(**{field.name: torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)})

    def put(self, where: VoxelIndex, part: Fit) -> None:
        """Replace some of the voxels."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(part, field.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What all voxels of an image have in common."""

    model: SignalModel
    dictionaries: tuple[Dictionary, ...]
    """Over the same relaxation times."""

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
    prior, times = problem.prior, problem.dictionaries[0].times
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
    return loosen(problem, replace(fit, time=time), stiffness)


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
    model = problem.model
    columns, slopes = model.columns(time)
    beside = None if model.companion is None else model.companion.column(time)
    if weights is not None:
        columns, slopes, signals = columns * weights, slopes * weights, signals * weights
        beside = None if beside is None else (beside[0] * weights, beside[1] * weights)
    rows = _Rows(columns=columns, slopes=slopes, signals=signals, time=time, stiffness=stiffness)
    return _solve_columns(problem, rows) if beside is None else _solve_beside(problem, rows, *beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The linear problem of some voxels."""

    columns: Columns
    slopes: Columns
    signals: Signals
    time: Voxels
    stiffness: Voxels
    drift: Signals | None = None
    """What the derivative of the prediction has besides that of the columns; None: nothing."""

    def select(self, kept: VoxelIndex) -> _Rows:
        """Return some of the voxels."""
        return _Rows(
            columns=self.columns[..., kept],
            slopes=self.slopes[..., kept],
            signals=self.signals[:, kept],
            time=self.time[kept],
            stiffness=self.stiffness[kept],
            drift=None if self.drift is None else self.drift[:, kept],
        )


def _solve_columns(problem: Problem, rows: _Rows) -> Fit:
    """Solve for one coefficient, or for two whose ratio is drawn towards a prior or kept within its bounds."""
    model, prior, time = problem.model, problem.prior, rows.time
    if model.n_coefficients == 1:
        return _project_one(rows)
    if prior is not None:
        return _project_two(rows, prior.mean(time))
    low, high = model.ratio_bounds
    fit = _project_two(rows, (torch.full_like(time, (low + high) / 2), None))
    outside = torch.nonzero((fit.ratio < low) | (fit.ratio > high) | (fit.amplitude <= 0)).squeeze(1)
    if len(outside):
        part = rows.select(outside)
        edges = [_project_held(part, ratio) for ratio in (low, high)]
        nearer = edges[0].cost <= edges[1].cost
        fit.put(outside, edges[1])
        fit.put(outside[nearer], edges[0].select(nearer))
    return fit


def _solve_beside(problem: Problem, rows: _Rows, column: Signals, slope: Signals) -> Fit:
    """Solve with a companion: free where its share is allowed, else held at the nearer end.

    Free, it is projected out of everything, which leaves the problem without it. Held, it is a part of the last
    column. The problem is convex, so that a bound that the free solution breaks holds in the solution.
    """
    companion = problem.model.companion
    if companion is None:
        return _solve_columns(problem, rows)
    norm = _square(column) + TINY
    along, own = _dot(column, rows.signals) / norm, (column * rows.columns).sum(-2) / norm

    def without(signals: Signals) -> Signals:
        return torch.addcmul(signals, _dot(column, signals) / norm, column, value=-1)

    turning = [own_slope - share * slope for own_slope, share in zip(rows.slopes, own, strict=True)]
    free = replace(
        rows,
        columns=torch.stack(
            [torch.addcmul(one, part, column, value=-1) for one, part in zip(rows.columns, own, strict=True)]
        ),
        slopes=torch.stack([without(one) for one in turning]),
        signals=torch.addcmul(rows.signals, along, column, value=-1),
        drift=without(along * slope),
    )
    fit = _solve_columns(problem, free)
    coefficients = _coefficients(problem.model, fit)
    left = along - (coefficients[:, 0] * own).sum(0)
    last = torch.where(coefficients[-1, 0] == 0, TINY, coefficients[-1, 0])
    limit, limit_slope = companion.limit(rows.time)
    share = left / last
    held = torch.minimum(share.clamp_min(0.0), limit)
    fit = replace(fit, share=held)
    outside = torch.nonzero(held != share).squeeze(1)
    if len(outside):
        part, held, beside = rows.select(outside), held[outside], column[:, outside]
        rise = torch.where(held > 0, limit_slope[outside], 0.0)
        part.columns[-1].addcmul_(held, beside)
        part.slopes[-1].addcmul_(held, slope[:, outside]).addcmul_(rise, beside)
        fit.put(outside, replace(_solve_columns(problem, part), share=held))
    return fit


def loosen(problem: Problem, fit: Fit, stiffness: Voxels, weights: Signals | None = None) -> Fit:
    """Let the information of voxels with something held at a bound be that with all coefficients free.

    A bound is no measurement: an SD for which the held value were known would be too small.
    """
    model, low, high = problem.model, *problem.model.ratio_bounds
    held = torch.zeros_like(fit.time, dtype=torch.bool)
    if model.companion is not None:
        limit, _ = model.companion.limit(fit.time)
        held |= (limit > 0) & ((fit.share <= 0) | (fit.share >= limit))
    if model.n_coefficients > 1 and problem.prior is None:
        held |= (fit.ratio <= low) | (fit.ratio >= high)
    chosen = torch.nonzero(held).squeeze(1)
    if len(chosen):
        part = _freed(problem, fit.select(chosen), stiffness[chosen], None if weights is None else weights[:, chosen])
        fit.put(chosen, part)
    return fit


def _freed(problem: Problem, fit: Fit, stiffness: Voxels, weights: Signals | None) -> Fit:
    """Return the fit with the information of its derivative orthogonal to every column."""
    model, prior = problem.model, problem.prior
    columns, slopes = model.columns(fit.time)
    coefficients = _coefficients(model, fit)
    derivative = (coefficients * slopes).sum(0)
    if weights is not None:
        columns, derivative = columns * weights, derivative * weights
    if model.companion is not None:
        column, slope = model.companion.column(fit.time)
        moved = fit.share * coefficients[-1] * slope
        if weights is not None:
            column, moved = column * weights, moved * weights
        norm = _square(column) + TINY
        derivative = derivative + moved
        derivative = derivative - _dot(column, derivative) / norm * column
        columns = columns - (column * columns).sum(-2)[:, None] / norm * column
    mean = torch.zeros_like(fit.time) if prior is None else prior.mean(fit.time)[0]
    base = columns[0] if model.n_coefficients == 1 else columns[0] + mean * columns[1]
    norm = _square(base) + TINY
    derivative = derivative - _dot(base, derivative) / norm * base
    information = _square(derivative)
    if model.n_coefficients > 1:
        side = columns[1] - _dot(base, columns[1]) / norm * base
        information = information - _dot(side, derivative).square() / (_square(side) + stiffness + TINY)
    return replace(fit, information=information.clamp_min(TINY))


def predict(model: SignalModel | SurfaceModel, fit: Fit) -> Signals:
    """Return the signal of a fit."""
    if isinstance(model, SurfaceModel):
        columns, _ = model.surface(fit.time, fit.share)
        return (_coefficients(model, fit) * columns).sum(0)
    columns, _ = model.columns(fit.time)
    if model.companion is not None:
        columns[-1] += fit.share * model.companion.column(fit.time)[0]
    return (_coefficients(model, fit) * columns).sum(0)


def _coefficients(model: SignalModel | SurfaceModel, fit: Fit) -> Columns:
    """Return the linear coefficients, (coefficient, 1, voxel)."""
    coefficients = [fit.amplitude, fit.amplitude * fit.ratio][: model.n_coefficients]
    return torch.stack(coefficients)[:, None]


def _dot(first: Signals, second: Signals) -> Voxels:
    """Inner product over the measurements."""
    return (first * second).sum(0)


def _square(signals: Signals) -> Voxels:
    """Squared norm over the measurements."""
    return (signals * signals).sum(0)


def _project_one(rows: _Rows) -> Fit:
    """Least squares with one column."""
    column, time = rows.columns[0], rows.time
    norm = _square(column).clamp_min_(TINY)
    amplitude = _dot(column, rows.signals) / norm
    residual = torch.addcmul(rows.signals, amplitude, column, value=-1)
    derivative = amplitude * rows.slopes[0]
    if rows.drift is not None:
        derivative += rows.drift
    # The residual is orthogonal to the column, so that the slope need not be.
    return Fit(
        time=time,
        amplitude=amplitude,
        ratio=torch.zeros_like(time),
        cost=_square(residual),
        gradient=_dot(derivative, residual),
        information=_square(derivative) - _dot(column, derivative).square_() / norm,
        share=torch.zeros_like(time),
    )


def _project_held(rows: _Rows, ratio: float) -> Fit:
    """Least squares with two columns in a fixed ratio."""
    one = replace(
        rows,
        columns=(rows.columns[0] + ratio * rows.columns[1])[None],
        slopes=(rows.slopes[0] + ratio * rows.slopes[1])[None],
    )
    fit = _project_one(one)
    fit.ratio.fill_(ratio)
    return fit


def _project_two(rows: _Rows, ratio: tuple[Voxels, Voxels | None]) -> Fit:
    """Least squares with two columns, the second coefficient drawn towards a ratio times the first.

    Written in the column of that ratio and the part of the second column orthogonal to it: at long T the two
    columns are nearly parallel, and their normal equations would lose all digits of single precision.

    Parameters
    ----------
    ratio
        The ratio drawn towards, and its derivative with respect to log T; None where it is constant.
    """
    columns, slopes, signals, stiffness = rows.columns, rows.slopes, rows.signals, rows.stiffness
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
    if rows.drift is not None:
        derivative += rows.drift
    derivative.addcmul_(_dot(base, derivative) / norm, base, value=-1)
    across = _dot(side, derivative)
    return Fit(
        time=rows.time,
        amplitude=amplitude,
        ratio=mean + deviation / torch.where(amplitude == 0, TINY, amplitude),
        cost=_square(residual).addcmul_(stiffness * deviation, deviation),
        gradient=_dot(derivative, residual),
        information=_square(derivative) - across * across / side_norm,
        share=torch.zeros_like(rows.time),
    )
