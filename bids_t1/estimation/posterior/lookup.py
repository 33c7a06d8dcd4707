"""T1 from UNI by looking it up, as most programs do: no noise, no prior, for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bids_t1.data.shapes import Nodes, Voxels
    from bids_t1.estimation.posterior.likelihood import Between
    from bids_t1.estimation.posterior.readout_table import ReadoutTable


@dataclass(frozen=True, slots=True, eq=False)
class _Branch:
    """A stretch of nodes over which S rises, or falls, strictly."""

    uni: Nodes
    """Rising."""

    times: Nodes


@dataclass(frozen=True, slots=True, eq=False)
class LookUp:
    """Where S of each plane has which relaxation time; all branches, none cut off."""

    branches: tuple[tuple[_Branch, ...], ...]
    """Of each plane."""

    @classmethod
    def build(cls, table: ReadoutTable) -> LookUp:
        """Split S of each plane where it turns."""
        return cls(tuple(_branches(uni, table.times) for uni in table.uni))

    def nearest(self, uni: Voxels, time: Voxels, planes: Between) -> Voxels:
        """Return the relaxation time whose S is the measured one; of several, that nearest to `time`; else NaN."""
        lower = self._on_plane(uni, time, planes.lower)
        if planes.lower == planes.upper:
            return lower
        return torch.lerp(lower, self._on_plane(uni, time, planes.upper), planes.share)

    def _on_plane(self, uni: Voxels, time: Voxels, plane: int) -> Voxels:
        found = torch.full_like(uni, torch.nan)
        for branch in self.branches[plane]:
            candidate = _interpolate(branch, uni)
            nearer = ~((candidate - time).abs() >= (found - time).abs())
            found = torch.where(nearer & ~torch.isnan(candidate), candidate, found)
        return found


def turns_of(uni: Nodes) -> list[int]:
    """Return the first node, those where S turns, and the last."""
    rises = uni[1:] > uni[:-1]
    return [0, *(torch.nonzero(rises[1:] != rises[:-1]).squeeze(1) + 1).tolist(), len(uni) - 1]


def _branches(uni: Nodes, times: Nodes) -> tuple[_Branch, ...]:
    branches = []
    for first, last in pairwise(turns_of(uni)):
        part = slice(first, last + 1)
        rising = bool(uni[first + 1] > uni[first])
        pair = (uni[part], times[part]) if rising else (uni[part].flip(0), times[part].flip(0))
        branches.append(_Branch(pair[0].contiguous(), pair[1].contiguous()))
    return tuple(branches)


def _interpolate(branch: _Branch, uni: Voxels) -> Voxels:
    right = torch.searchsorted(branch.uni, uni.contiguous()).clamp(1, len(branch.uni) - 1)
    low, high = branch.uni[right - 1], branch.uni[right]
    share = (uni - low) / (high - low)
    inside = (share >= 0) & (share <= 1)
    return torch.where(inside, torch.lerp(branch.times[right - 1], branch.times[right], share), torch.nan)
