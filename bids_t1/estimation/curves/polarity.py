"""The sign of the magnetisation, which magnitude images have lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from bids_t1.estimation.curves.refinement import Fit, refine
from bids_t1.estimation.curves.search import Found, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Candidates, Signals, VoxelIndex, VoxelMask
    from bids_t1.estimation.curves.refinement import Problem

CLOSE_CALL = 0.0015
"""Share of the energy by which the second choice may be worse after the search, and still win when refined."""

ROUNDING = 1e-9
"""Share of the energy by which costs differ where both are zero, but for rounding: the first choice then stays."""

CLEAR_CALL = 12.0
"""Difference of costs, in noise variances, beyond which the second choice has no probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The best choice of signs of each voxel, and the second best of those voxels where it has a chance."""

    signals: Signals
    """Measurements with the signs chosen."""

    fit: Fit
    second_of: VoxelIndex
    """Voxels that have a second choice."""

    second_signals: Signals
    second_fit: Fit

    def select(self, kept: VoxelMask) -> Solution:
        """Return some of the voxels."""
        second = kept[self.second_of]
        return Solution(
            signals=self.signals[:, kept],
            fit=self.fit.select(kept),
            second_of=(kept.cumsum(0) - 1)[self.second_of[second]],
            second_signals=self.second_signals[:, second],
            second_fit=self.second_fit.select(second),
        )

    def exchanged(self, where: VoxelMask) -> Solution:
        """Return the solution with first and second choice exchanged in some of the voxels that have a second one."""
        voxels = self.second_of[where]
        signals, fit = self.signals.clone(), self.fit.select(torch.arange(len(self.fit.time)))
        second_signals, second_fit = self.second_signals.clone(), self.second_fit.select(torch.arange(len(where)))
        signals[:, voxels], second_signals[:, where] = self.second_signals[:, where], self.signals[:, voxels]
        fit.put(voxels, self.second_fit.select(where))
        second_fit.put(torch.nonzero(where).squeeze(1), self.fit.select(voxels))
        return replace(self, signals=signals, fit=fit, second_signals=second_signals, second_fit=second_fit)

    def cpu(self) -> Solution:
        """Return the solution on the processor."""
        return Solution(
            signals=self.signals.cpu(),
            fit=self.fit.cpu(),
            second_of=self.second_of.cpu(),
            second_signals=self.second_signals.cpu(),
            second_fit=self.second_fit.cpu(),
        )


def joined(parts: Sequence[Solution]) -> Solution:
    """Return the solutions of several lists of voxels as that of one."""
    before = [0, *accumulate(len(part.fit.time) for part in parts)]
    return Solution(
        signals=torch.cat([part.signals for part in parts], 1),
        fit=Fit.joined([part.fit for part in parts]),
        second_of=torch.cat([part.second_of + start for part, start in zip(parts, before, strict=False)]),
        second_signals=torch.cat([part.second_signals for part in parts], 1),
        second_fit=Fit.joined([part.second_fit for part in parts]),
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
    order = torch.arange(len(magnitudes), dtype=magnitudes.dtype, device=magnitudes.device)[:, None, None]
    smallest = magnitudes.min(0).indices
    # Half a sample before the change the sign is -1, half a sample after it +1.
    changes = torch.stack([smallest, smallest + 1]).to(magnitudes.dtype)
    signs = (order + 0.5 - changes).mul_(2.0).clamp_(-1.0, 1.0)
    # Measurements lie outermost in memory, as the search wants them.
    return signs.mul_(magnitudes[:, None]).transpose(0, 1)


def solve_signed(problem: Problem, signals: Signals) -> Solution:
    """Fit signed data, in whichever of the two global signs the reconstruction has chosen."""
    candidates = torch.stack([signals, -signals])
    found = search(problem.dictionaries, candidates)
    signals, fit = _refined(problem, candidates, found, found.gain.max(0).indices)
    none = torch.zeros(0, dtype=torch.int64, device=signals.device)
    return Solution(
        signals=signals, fit=fit, second_of=none, second_signals=signals[:, none], second_fit=fit.select(none)
    )


def solve_unsigned(problem: Problem, magnitudes: Signals) -> Solution:
    """Fit magnitudes ordered by rising inversion time, with the choice of signs of lowest cost.

    The best choice is refined everywhere, the second best where the atoms leave it a chance.
    """
    candidates = magnitude_candidates(magnitudes)
    found = search(problem.dictionaries, candidates)
    first_gain, second_gain = found.gain
    which = (second_gain > first_gain).long()
    signals, fit = _refined(problem, candidates, found, which)
    margin = CLOSE_CALL * torch.maximum(first_gain, second_gain) + CLEAR_CALL * problem.noise_sd**2
    close = torch.nonzero((first_gain - second_gain).abs() < margin).squeeze(1)
    some = Found(found.gain[:, close], found.atom[:, close], found.offset[:, close])
    second_signals, second_fit = _refined(problem, candidates[..., close], some, 1 - which[close])
    # Where the second choice turns out to be the better one, the two change places.
    wins = second_fit.cost < fit.cost[close] - ROUNDING * signals[:, close].square().sum(0)
    winners = close[wins]
    losers, losing_fit = signals[:, winners], fit.select(winners)
    signals[:, winners] = second_signals[:, wins]
    fit.put(winners, second_fit.select(wins))
    second_signals[:, wins] = losers
    second_fit.put(torch.nonzero(wins).squeeze(1), losing_fit)
    return Solution(signals=signals, fit=fit, second_of=close, second_signals=second_signals, second_fit=second_fit)


def _refined(problem: Problem, candidates: Candidates, found: Found, which: VoxelIndex) -> tuple[Signals, Fit]:
    """Refine one candidate of each voxel; return it with its fit."""
    signals = candidates.gather(0, which.expand(1, candidates.shape[1], -1))[0]
    atom, offset = (values.gather(0, which[None])[0] for values in (found.atom, found.offset))
    return signals, refine(problem, signals, atom, offset)
