"""What the surroundings of a voxel say about its two choices of signs, where its own data leave both open.

The choices differ in one sample, which is near zero: positive or negative. Voxels around that have the same tissue, as
the other samples tell, have been fitted, and predict that sample with less noise than one measurement has. Voxels of
another tissue do not count: at a border nothing is smeared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch

from bids_t1.estimation.curves.refinement import TINY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bids_t1.data.shapes import Rows, Signals, VoxelIndex, VoxelMask, Voxels

REACH = (1, 5, 2)
"""Squared distance of neighbours [voxels], by the number of axes less one: 18 to 20 of them in a slice and a volume."""

TEXTURE = 0.02
"""SD of the signals of one tissue between neighbours, over the norm of the signals, beyond noise."""

LENIENT = 4.0
"""Variance of signals for which two voxels count as one tissue, over that of noise and texture."""

OF_PREDICTION = 0.7
"""Variance of what the fit of a neighbour predicts for a sample, over that of a measurement."""

N_ROUNDS = 4
"""In which open voxels learn of each other; more change next to nothing."""

BLOCK = 16_384
"""Open voxels at a time."""


def offsets_of(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the steps from a voxel of an image to its neighbours."""
    extended = [size > 1 for size in shape]
    reach = REACH[min(sum(extended), len(REACH)) - 1]
    steps = [range(-2, 3) if wide else (0,) for wide in extended]
    return [offset for offset in product(*steps) if 0 < sum(step * step for step in offset) <= reach]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """One choice of signs of the open voxels, signals over their norm."""

    signals: Signals
    predicted: Signals
    """By its fit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """An image of which some voxels are open."""

    shape: Sequence[int]
    open_voxels: VoxelIndex
    """Flat indices, rising."""

    has_estimate: VoxelMask
    """Of all voxels."""

    predict: Callable[[VoxelIndex], Signals]
    """Gives signals by the fits of voxels, over their norm."""

    variance: Voxels
    """Of noise in the signals of the open voxels, over their squared norm."""

    def weigh(self, first: Choice, second: Choice, own: Voxels) -> Voxels:
        """Return by how much neighbours favour the second choice of each open voxel, in log odds.

        Open neighbours count with both their choices, by the probabilities that these have (mean field).

        Parameters
        ----------
        first, second
            The two choices.
        own
            Log odds of the second choice by the data of the voxel itself.
        """
        curves = (first.predicted.T.contiguous(), second.predicted.T.contiguous())
        question = _Question.of(first, second)
        closed, pairs = self._compare(question, curves)
        variance = self.variance
        favour = torch.zeros_like(own)
        for _ in range(N_ROUNDS):
            sums = closed + pairs.sums(torch.sigmoid(own + favour))
            weight, expected = sums[0], sums[1] / sums[0].clamp_min(TINY)
            spread = variance * (1 + OF_PREDICTION / weight.clamp_min(OF_PREDICTION / 2)) + TEXTURE**2
            favour = question.step * expected / spread * weight / (1 + weight)
        return favour

    def _compare(self, question: _Question, open_curves: Sequence[Rows]) -> tuple[torch.Tensor, _Pairs]:
        """Return sums over the neighbours that are not open, and the pairs of neighbours that both are."""
        closed, pairs = [], []
        for start in range(0, len(self.open_voxels), BLOCK):
            block = torch.arange(start, min(start + BLOCK, len(self.open_voxels)))
            sums, found = self._compare_block(block, question.select(block), open_curves)
            closed.append(sums)
            pairs.append(found)
        return torch.cat(closed, 1), _Pairs.joined(pairs)

    def _compare_block(
        self, block: VoxelIndex, question: _Question, open_curves: Sequence[Rows]
    ) -> tuple[torch.Tensor, _Pairs]:
        voxels, places = zip(*(self._neighbours(block, offset) for offset in offsets_of(self.shape)), strict=True)
        row, curves = self._predictions(torch.cat(voxels))
        broad = 2 * LENIENT * (2 * self.variance[block] + TEXTURE**2)
        sums = broad.new_zeros(2, len(block))
        pairs = []
        for voxel, place in zip(voxels, places, strict=True):
            closed = torch.nonzero((voxel >= 0) & (place < 0)).squeeze(1)
            weight, expected = question.select(closed).compare(curves[row[voxel[closed]]], broad[closed])
            sums[0, closed] += weight
            sums[1, closed] += weight * expected
            both = torch.nonzero(place >= 0).squeeze(1)
            asked, other = question.select(both), place[both]
            compared = [asked.compare(one[other], broad[both]) for one in open_curves]
            pairs.append(_Pairs(voxel=block[both], other=other, compared=torch.stack([*compared[0], *compared[1]])))
        return sums, _Pairs.joined(pairs)

    def _neighbours(self, block: VoxelIndex, offset: tuple[int, ...]) -> tuple[VoxelIndex, VoxelIndex]:
        """Return flat indices of neighbours, and their places among the open voxels; -1 where there are none."""
        index = torch.unravel_index(self.open_voxels[block], tuple(self.shape))
        inside = torch.ones(len(block), dtype=torch.bool)
        voxel = torch.zeros_like(block)
        for one, step, size in zip(index, offset, self.shape, strict=True):
            moved = one + step
            inside &= (moved >= 0) & (moved < size)
            voxel = voxel * size + moved.clamp(0, size - 1)
        place = torch.searchsorted(self.open_voxels, voxel).clamp_max_(len(self.open_voxels) - 1)
        is_open = inside & (self.open_voxels[place] == voxel)
        known = inside & (self.has_estimate[voxel] | is_open)
        return torch.where(known, voxel, -1), torch.where(is_open, place, -1)

    def _predictions(self, voxels: VoxelIndex) -> tuple[VoxelIndex, Rows]:
        """Return the signals that the fits of some voxels predict, each voxel once, and the row of every voxel."""
        wanted = torch.zeros(len(self.has_estimate), dtype=torch.bool)
        wanted[voxels[voxels >= 0]] = True
        near = torch.nonzero(wanted).squeeze(1)
        row = torch.zeros(len(wanted), dtype=torch.int64)
        row[near] = torch.arange(len(near))
        return row, self.predict(near).T.contiguous()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Question:
    """The sample that may have either sign, and the other ones."""

    sample: VoxelIndex
    others: Rows
    """Signals, with zero in place of the sample."""

    step: Voxels
    """The sample by the second choice less that by the first."""

    @classmethod
    def of(cls, first: Choice, second: Choice) -> _Question:
        difference = second.signals - first.signals
        sample = difference.abs().argmax(0)
        others = first.signals.scatter(0, sample[None], 0.0).T.contiguous()
        return cls(sample=sample, others=others, step=difference.gather(0, sample[None])[0])

    def select(self, voxels: VoxelIndex) -> _Question:
        return _Question(sample=self.sample[voxels], others=self.others[voxels], step=self.step[voxels])

    def compare(self, curves: Rows, broad: Voxels) -> tuple[Voxels, Voxels]:
        """Return how much curves count as those of the same tissue, and what they are at the sample."""
        expected = curves.gather(1, self.sample[:, None])[:, 0]
        apart = (curves - self.others).square().sum(1) - expected.square()
        return torch.exp(-apart / broad), expected


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pairs:
    """Neighbours that are both open."""

    voxel: VoxelIndex
    other: VoxelIndex
    compared: torch.Tensor
    """Weight and expected sample by the first and by the second choice of the other, (quantity, pair)."""

    @classmethod
    def joined(cls, parts: Sequence[_Pairs]) -> _Pairs:
        return cls(
            voxel=torch.cat([part.voxel for part in parts]),
            other=torch.cat([part.other for part in parts]),
            compared=torch.cat([part.compared for part in parts], 1),
        )

    def sums(self, of_second: Voxels) -> torch.Tensor:
        """Return sums over the open neighbours of each open voxel: of weights, and of weighted expected samples."""
        share = of_second[self.other]
        first, second = self.compared[0] * (1 - share), self.compared[2] * share
        values = torch.stack([first + second, first * self.compared[1] + second * self.compared[3]])
        return values.new_zeros(2, len(of_second)).index_add_(1, self.voxel, values)
