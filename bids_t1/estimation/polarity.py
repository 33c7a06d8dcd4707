"""The sign of the magnetisation, which magnitude images have lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from bids_t1.estimation.refinement import Fit, refine
from bids_t1.estimation.search import search

if TYPE_CHECKING:
    from bids_t1.data.shapes import CandidateIndex, Candidates, Signals, VoxelIndex, VoxelMask
    from bids_t1.estimation.refinement import Problem

CLOSE_CALL = 0.01
"""Share of the energy by which the second choice may be worse at its atom, and still win when refined."""

CLEAR_CALL = 25.0
"""Difference of costs, in noise variances, beyond which the second choice has no probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The best choice of signs of each voxel, and the second best."""

    signals: Signals
    """Measurements with the signs chosen."""

    fit: Fit
    second_signals: Signals
    second_fit: Fit
    """Its cost is infinite where the second choice has no probability."""

    def select(self, kept: VoxelMask) -> Solution:
        """Return some of the voxels."""
        return Solution(
            signals=self.signals[:, kept],
            fit=self.fit.select(kept),
            second_signals=self.second_signals[:, kept],
            second_fit=self.second_fit.select(kept),
        )


def real_part(signals: torch.Tensor) -> Signals:
    """Turn complex measurements into signed real ones, by taking off the phase they have in common.

    Half the phase of the sum of squares is its maximum likelihood for signals that differ by a real factor.
    """
    phase = signals.square().sum(0).angle() / 2
    return (signals * torch.polar(torch.ones_like(phase), -phase)).real.float()


def magnitude_candidates(magnitudes: Signals) -> Candidates:
    """Give magnitudes, ordered by rising inversion time, the signs they may have had.

    The sign changes once, from negative to positive, next to the smallest magnitude: before it or after it
    (Barral et al. 2010, doi 10.1002/mrm.22497). Trying changes further away costs time and, at low signal, precision.
    """
    order = torch.arange(len(magnitudes), dtype=magnitudes.dtype, device=magnitudes.device)[:, None]
    smallest = magnitudes.min(0).indices
    # Half a sample before the change the sign is -1, half a sample after it +1.
    changes = torch.stack([smallest, smallest + 1])[:, None].to(magnitudes.dtype)
    return (order + 0.5 - changes).mul_(2.0).clamp_(-1.0, 1.0).mul_(magnitudes)


def solve_signed(problem: Problem, signals: Signals) -> Solution:
    """Fit signed data, in whichever of the two global signs the reconstruction has chosen."""
    candidates = torch.stack([signals, -signals])
    gains, atoms = search(problem.dictionary, candidates)
    chosen, index = _pick(candidates, atoms, gains.max(0).indices)
    return _without_rival(chosen, refine(problem, chosen, index))


def solve_unsigned(problem: Problem, magnitudes: Signals) -> Solution:
    """Fit magnitudes ordered by rising inversion time, with the choice of signs of lowest cost.

    The best choice is refined everywhere, the second best where the atoms leave it a chance.
    """
    candidates = magnitude_candidates(magnitudes)
    gains, atoms = search(problem.dictionary, candidates)
    best, order = gains.sort(dim=0, descending=True)
    chosen, index = _pick(candidates, atoms, order[0])
    solution = _without_rival(chosen, refine(problem, chosen, index))
    margin = CLOSE_CALL * best[0] + CLEAR_CALL * problem.noise_sd**2
    close = torch.nonzero(best[0] - best[1] < margin).squeeze(1)
    if len(close):
        rival, index = _pick(candidates[..., close], atoms[:, close], order[1][close])
        _challenge(solution, close, rival, refine(problem, rival, index))
    return solution


def _pick(candidates: Candidates, atoms: CandidateIndex, which: VoxelIndex) -> tuple[Signals, VoxelIndex]:
    """Return one candidate of each voxel, and its atom."""
    signals = candidates.gather(0, which.expand(1, candidates.shape[1], -1))[0]
    return signals, atoms.gather(0, which[None])[0]


def _without_rival(signals: Signals, fit: Fit) -> Solution:
    second_fit = replace(fit.clone(), cost=torch.full_like(fit.cost, torch.inf))
    return Solution(signals=signals, fit=fit, second_signals=signals.clone(), second_fit=second_fit)


def _challenge(solution: Solution, where: VoxelIndex, signals: Signals, rival: Fit) -> None:
    """Enter a second choice of signs in the solution, as its best where it costs less."""
    first = solution.fit.select(where)
    wins = rival.cost < first.cost
    winners = where[wins]
    solution.second_fit.put(where, rival)
    solution.second_fit.put(winners, first.select(wins))
    solution.second_signals[:, where] = signals
    solution.second_signals[:, winners] = solution.signals[:, winners]
    solution.fit.put(winners, rival.select(wins))
    solution.signals[:, winners] = signals[:, wins]
