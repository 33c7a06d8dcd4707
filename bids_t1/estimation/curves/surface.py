"""Fits with two nonlinear unknowns, a relaxation time and the share of a second pool. Read `solve_surface` first.

Both linear coefficients are projected out, as for curves. What is left is a problem of two dimensions: a dictionary of
whole signals tells where to start and which signs magnitudes have, and damped Gauss-Newton steps with Kaufman's
Jacobian (1975, doi 10.1007/BF01932995) go on from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from bids_t1.estimation.curves.polarity import CLEAR_CALL, Solution
from bids_t1.estimation.curves.refinement import TINY, Fit

if TYPE_CHECKING:
    from bids_t1.data.shapes import Atoms, Columns, Signals, SurfaceSlopes, VoxelIndex, Voxels
    from bids_t1.data.signal_model import SurfaceModel

LOG_STEP = 0.25
"""Distance of two atoms in log T."""

SHARE_STEP = 0.1
"""Distance of two atoms in the share."""

BLOCK = 2048
"""Voxels compared with all atoms at a time."""

CLOSE_CALL = 0.01
"""Share of the energy by which the second choice of signs may be worse after the search, and still be tried."""

MAX_STEPS = 30
TOLERANCE = 1e-4
"""Last step, in log T and in ten times the share."""

FIRST_DAMPING, LEAST_DAMPING, STUCK = 1e-3, 1e-7, 1e6
"""Of Levenberg and Marquardt, relative to the curvature: at first, at least, and where a step is given up."""

LONGEST_STEP = 0.7
"""In log T, and in four times the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceFit(Fit):
    """The least-squares solution of each voxel; `share` is that of the second pool."""

    share_information: Voxels
    """Noise variance over that of the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceProblem:
    """What all voxels of an image have in common."""

    model: SurfaceModel
    atoms: SurfaceAtoms
    noise_sd: float
    """Typical noise SD, which weighs the choices of sign against the data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurfaceAtoms:
    """Signals of the model on a grid of its unknowns and usual ratios, sorted by their signs."""

    times: Atoms
    """Relaxation times [s]."""

    shares: Atoms
    signals: torch.Tensor
    """(measurement, atom), of unit norm."""

    patterns: tuple[slice, ...]
    """Atoms of the same signs."""

    range: tuple[float, float]
    """Smallest and largest relaxation time [s]."""

    @classmethod
    def build(cls, model: SurfaceModel, time_range: tuple[float, float], device: torch.device) -> SurfaceAtoms:
        """Evaluate the model over `time_range` [s], in double precision."""
        low, high = time_range
        n_times = max(8, 1 + math.ceil(math.log(high / low) / LOG_STEP))
        axis = torch.logspace(math.log(low), math.log(high), n_times, base=math.e, dtype=torch.float64)
        least, most = model.share_bounds
        n_shares = 1 + math.ceil((most - least) / SHARE_STEP)
        time, share = torch.meshgrid(axis, torch.linspace(least, most, n_shares, dtype=torch.float64), indexing="ij")
        columns, _ = model.surface(time.reshape(-1), share.reshape(-1))
        signals = torch.cat([columns[0] + ratio * columns[1] for ratio in model.usual_ratios], dim=1)
        times, shares = (values.reshape(-1).repeat(len(model.usual_ratios)) for values in (time, share))
        _, group = torch.unique(signals > 0, dim=1, return_inverse=True)
        order = torch.argsort(group, stable=True)
        ends = torch.bincount(group).cumsum(0).tolist()
        parts = [part.to(device, torch.float32) for part in (times[order], shares[order], signals[:, order])]
        return cls(
            times=parts[0],
            shares=parts[1],
            signals=(parts[2] / parts[2].norm(dim=0)).contiguous(),
            patterns=tuple(slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)),
            range=time_range,
        )


def solve_surface(problem: SurfaceProblem, signals: Signals, *, unsigned: bool) -> Solution:
    """Fit signed data in whichever global sign they have, or magnitudes with the signs of lowest cost.

    For magnitudes the best choice is refined everywhere, the second best where the atoms leave it a chance.
    """
    if not unsigned:
        turned, atom = _search_signed(problem.atoms, signals)
        none = atom[:0]
        fit = refine_surface(problem, turned, atom)
        return Solution(
            signals=turned, fit=fit, second_of=none, second_signals=turned[:, none], second_fit=fit.select(none)
        )
    atoms, gains = _search_unsigned(problem.atoms, signals)
    signed = _with_signs_of(problem.atoms, signals, atoms[0])
    fit = refine_surface(problem, signed, atoms[0])
    margin = CLOSE_CALL * signals.square().sum(0) + CLEAR_CALL * problem.noise_sd**2
    close = torch.nonzero(gains[0] - gains[1] < margin).squeeze(1)
    second_signals = _with_signs_of(problem.atoms, signals[:, close], atoms[1, close])
    second_fit = refine_surface(problem, second_signals, atoms[1, close])
    wins = torch.nonzero(second_fit.cost < fit.cost[close]).squeeze(1)
    losers, losing_fit = signed[:, close[wins]], fit.select(close[wins])
    signed[:, close[wins]] = second_signals[:, wins]
    fit.put(close[wins], second_fit.select(wins))
    second_signals[:, wins] = losers
    second_fit.put(wins, losing_fit)
    return Solution(signals=signed, fit=fit, second_of=close, second_signals=second_signals, second_fit=second_fit)


def _with_signs_of(atoms: SurfaceAtoms, magnitudes: Signals, atom: VoxelIndex) -> Signals:
    return torch.copysign(magnitudes, atoms.signals[:, atom])


def _search_signed(atoms: SurfaceAtoms, signals: Signals) -> tuple[Signals, VoxelIndex]:
    """Return the signals with positive amplitude, and the atom of each voxel that explains most of its energy."""
    found = [_largest(atoms.signals, part) for part in torch.split(signals, BLOCK, dim=1)]
    overlap, atom = (torch.cat(parts) for parts in zip(*found, strict=True))
    return torch.copysign(torch.ones_like(overlap), overlap) * signals, atom


def _largest(atoms: torch.Tensor, signals: Signals) -> tuple[Voxels, VoxelIndex]:
    overlaps = atoms.T @ signals
    most, least = overlaps.max(0), overlaps.min(0)
    upright = most.values >= -least.values
    return torch.where(upright, most.values, least.values), torch.where(upright, most.indices, least.indices)


def _search_unsigned(atoms: SurfaceAtoms, magnitudes: Signals) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the best atom of each voxel and the best one of other signs, and the energies they explain."""
    rows = atoms.signals.abs().T.contiguous()
    found = [_two_best(rows, atoms.patterns, part) for part in torch.split(magnitudes, BLOCK, dim=1)]
    atom, gain = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
    return atom, gain


def _two_best(
    rows: torch.Tensor, patterns: tuple[slice, ...], magnitudes: Signals
) -> tuple[torch.Tensor, torch.Tensor]:
    overlaps = rows @ magnitudes
    best = [overlaps[pattern].max(0) for pattern in patterns]
    overlap = torch.stack([found.values for found in best])
    atom = torch.stack([found.indices + pattern.start for found, pattern in zip(best, patterns, strict=True)])
    top = overlap.topk(min(2, len(patterns)), dim=0)
    # With one pattern there is no second choice: the first stands for it and changes nothing.
    indices, values = (part[[0, -1]] for part in (top.indices, top.values))
    return atom.gather(0, indices), values.square()


def refine_surface(problem: SurfaceProblem, signals: Signals, atom: VoxelIndex) -> SurfaceFit:
    """Move each voxel from its atom to the nearest optimum, by steps that never raise the cost."""
    time, share = problem.atoms.times[atom], problem.atoms.shares[atom]
    point = _evaluate(problem.model, signals, time, share)
    damping = torch.full_like(time, FIRST_DAMPING)
    moving = torch.arange(len(time), device=time.device)
    for _ in range(MAX_STEPS):
        if not len(moving):
            break
        everything = len(moving) == len(time)
        here = point if everything else point.select(moving)
        new_time, new_share = _step(problem, here, damping[moving])
        tried = _evaluate(problem.model, signals if everything else signals[:, moving], new_time, new_share)
        better = tried.cost <= here.cost
        moved = torch.maximum((new_time / here.time).log().abs(), 10 * (new_share - here.share).abs())
        point.put(moving[better], tried.select(better))
        scaled = torch.where(better, damping[moving] / 10, damping[moving] * 10).clamp_min(LEAST_DAMPING)
        damping[moving] = scaled
        moving = moving[(moved > TOLERANCE) & (scaled < STUCK)]
    return _finish(problem.model, point)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point(Fit):
    """A fit on the way; `gradient` and `information` are those of log T alone."""

    share_gradient: Voxels
    share_curvature: Voxels
    curvature: Voxels
    """Product of the projected derivatives with respect to log T and the share."""


def _step(problem: SurfaceProblem, point: _Point, damping: Voxels) -> tuple[Voxels, Voxels]:
    """Return the unknowns a damped Gauss-Newton step further; where one is at a bound, the other goes on alone."""
    low, high = problem.atoms.range
    least, most = problem.model.share_bounds
    own = point.information * (1 + damping) + TINY
    own_share = point.share_curvature * (1 + damping) + TINY
    determinant = (own * own_share - point.curvature.square()).clamp_min(TINY)
    by_share = (own * point.share_gradient - point.curvature * point.gradient) / determinant
    share = (point.share + by_share.clamp(-LONGEST_STEP / 4, LONGEST_STEP / 4)).clamp(least, most)
    step = (point.gradient - point.curvature * (share - point.share)) / own
    return (point.time * torch.exp(step.clamp(-LONGEST_STEP, LONGEST_STEP))).clamp(low, high), share


def _evaluate(model: SurfaceModel, signals: Signals, time: Voxels, share: Voxels) -> _Point:
    """Project both coefficients out at given unknowns; their ratio is held where it would leave its bounds."""
    columns, slopes = model.surface(time, share)
    point = _free(columns, slopes, signals, time, share)
    low, high = model.ratio_bounds
    outside = torch.nonzero((point.ratio < low) | (point.ratio > high) | (point.amplitude <= 0)).squeeze(1)
    if len(outside):
        part = (columns[..., outside], slopes[..., outside], signals[:, outside], time[outside], share[outside])
        edges = [_held(*part, ratio) for ratio in (low, high)]
        nearer = edges[0].cost <= edges[1].cost
        point.put(outside, edges[1])
        point.put(outside[nearer], edges[0].select(nearer))
    return point


def _free(columns: Columns, slopes: SurfaceSlopes, signals: Signals, time: Voxels, share: Voxels) -> _Point:
    """Least squares with two columns."""
    first, second = columns
    base = _unit(first)
    side = _unit(second - _along(base, second) * base)
    along, across = _along(base, signals), _along(side, signals)
    last = across / _along(side, second).clamp_min(TINY)
    amplitude = (along - last * _along(base, second)) / _along(base, first).clamp_min(TINY)
    derivatives = amplitude * slopes[:, 0] + last * slopes[:, 1]
    return _point(
        residual=signals - along * base - across * side,
        derivatives=tuple(_without(_without(one, base), side) for one in derivatives),
        time=time,
        share=share,
        amplitude=amplitude,
        ratio=last / torch.where(amplitude == 0, TINY, amplitude),
    )


def _held(  # noqa: PLR0913, PLR0917 - the linear problem of some voxels, and a ratio
    columns: Columns, slopes: SurfaceSlopes, signals: Signals, time: Voxels, share: Voxels, ratio: float
) -> _Point:
    """Least squares with two columns in a fixed ratio."""
    column = columns[0] + ratio * columns[1]
    base = _unit(column)
    along = _along(base, signals)
    amplitude = along / _along(base, column).clamp_min(TINY)
    derivatives = amplitude * (slopes[:, 0] + ratio * slopes[:, 1])
    return _point(
        residual=signals - along * base,
        derivatives=tuple(_without(one, base) for one in derivatives),
        time=time,
        share=share,
        amplitude=amplitude,
        ratio=torch.full_like(time, ratio),
    )


def _point(  # noqa: PLR0913 - what a point is made of
    *,
    residual: Signals,
    derivatives: tuple[Signals, ...],
    time: Voxels,
    share: Voxels,
    amplitude: Voxels,
    ratio: Voxels,
) -> _Point:
    by_time, by_share = derivatives
    return _Point(
        time=time,
        amplitude=amplitude,
        ratio=ratio,
        cost=_along(residual, residual),
        gradient=_along(by_time, residual),
        information=_along(by_time, by_time),
        share=share,
        share_gradient=_along(by_share, residual),
        share_curvature=_along(by_share, by_share),
        curvature=_along(by_time, by_share),
    )


def _finish(model: SurfaceModel, point: _Point) -> SurfaceFit:
    """Return a fit with the information of each unknown when all others are free.

    A bound is no measurement: an SD for which what is held were known would be too small.
    """
    columns, slopes = model.surface(point.time, point.share)
    base = _unit(columns[0])
    side = _unit(columns[1] - _along(base, columns[1]) * base)
    derivatives = point.amplitude * (slopes[:, 0] + point.ratio * slopes[:, 1])
    by_time, by_share = (_without(_without(one, base), side) for one in derivatives)
    least, most = model.share_bounds
    only = by_time if least == most else _without(by_time, _unit(by_share))
    only_share = _without(by_share, _unit(by_time))
    return SurfaceFit(
        **{field.name: getattr(point, field.name) for field in fields(Fit) if field.name != "information"},
        information=_along(only, only).clamp_min(TINY),
        share_information=_along(only_share, only_share).clamp_min(TINY),
    )


def _along(first: Signals, second: Signals) -> Voxels:
    """Inner product over the measurements."""
    return (first * second).sum(0)


def _unit(signals: Signals) -> Signals:
    return signals / _along(signals, signals).sqrt().clamp_min(TINY)


def _without(signals: Signals, unit: Signals) -> Signals:
    """Take off what lies along a unit vector."""
    return signals - _along(signals, unit) * unit
