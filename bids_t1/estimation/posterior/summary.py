"""From log densities on the nodes of a table to the numbers that describe a posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from bids_t1.data.shapes import Posteriors, VoxelMask, Voxels
    from bids_t1.estimation.posterior.readout_table import ReadoutTable

OUTSIDE = 0.05
"""Probability of the two tails that an interval leaves."""

TAILS = tuple(OUTSIDE * share for share in (0.02, 0.07, 0.16, 0.3, 0.5, 0.7, 0.84, 0.93, 0.98))
"""Probabilities of the lower one among which that of an interval is looked for, the equal one in the middle."""

MIDDLE = len(TAILS) // 2

Z = 1.959964
"""Half width of a 95 % interval of a normal distribution, in SDs."""

STRIDE = 4
"""Every so many nodes are looked at for modes: their width is that of the sequence's curve, not of the noise."""

CANDIDATE = 6.0
"""Log density below the maximum down to which another maximum is looked at."""

VALLEY = 0.7
"""Drop of log density between two modes from which they are separate: to half of the lower one."""

SMALLEST_MODE = 0.05
"""Probability of the smaller mode from which there are two."""

LOWEST_MODE = -4.6
"""Log density of the lower mode from which there are two, however narrow it is: 1 % of the higher one."""

MOST_AT_END = math.exp(LOWEST_MODE)
"""Density at the first or last node, over the highest, from which the range is taken to cut a posterior off."""

NARROW = 3.0
"""SD of a sum over the nodes, in distances between them, up to which a posterior may be narrower than the nodes."""

NEGLIGIBLE = -60.0
"""Log density below the maximum that counts as this: what exp makes of much less is slow to compute with."""

LEAST_DENSITY = math.exp(NEGLIGIBLE)

TINY = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What is kept of some voxels' posteriors."""

    time: Voxels
    """Maximum [s]."""

    node: Voxels
    """Its place among the nodes of the table, with fraction."""

    mean: Voxels
    time_sd: Voxels
    lower: Voxels
    upper: Voxels
    two_modes: VoxelMask
    at_limit: VoxelMask
    """Whether the maximum is the first or last node."""

    @classmethod
    def join(cls, parts: Sequence[Summary]) -> Summary:
        """Put the voxels of several summaries one after the other."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def put(self, where: Tensor, part: Summary) -> None:
        """Replace some of the voxels."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(part, field.name)


def summarise(
    log_density: Posteriors, table: ReadoutTable, precisely: Callable[[Tensor], Tensor] | None = None
) -> Summary:
    """Describe posteriors given as log density of the relaxation time at each node; the input is overwritten.

    Where a posterior is narrower than the nodes it is normal, and its curvature at the maximum describes it. One that
    is a sum over many narrow ones has such a maximum and is none of these.

    Parameters
    ----------
    log_density
        In single precision, (voxel, node).
    table
        The nodes.
    precisely
        Returns the log density at nodes (voxel, node) in double precision: the differences of three neighbours tell
        where between nodes the maximum lies, and drown in the rounding of large numbers.
    """
    last = log_density.shape[1] - 1
    highest, peak = log_density.max(dim=1)
    at_limit = (peak == 0) | (peak == last)
    inner = peak.clamp(1, last - 1)
    neighbours = torch.stack([inner - 1, inner, inner + 1], dim=1)
    around = (log_density.gather(1, neighbours) if precisely is None else precisely(neighbours)).unbind(1)
    curvature = (2 * around[1] - around[0] - around[2]).clamp_min(TINY)
    shift = ((around[2] - around[0]) / (2 * curvature)).clamp(-0.5, 0.5)
    node = torch.where(at_limit, peak.to(shift.dtype), inner + shift)
    curvature = curvature.float()
    log_density.sub_(highest[:, None])
    modes = _Modes.of(log_density)
    weights = log_density.clamp_min_(NEGLIGIBLE).exp_().mul_(table.widths)
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1]
    mean, mean_square = (weights @ power / total for power in (table.times, table.times.square()))
    time_sd = (mean_square - mean.square()).clamp_min(0.0).sqrt()
    two_modes = modes.both_matter(cumulative)
    lower, upper = _interval(table, weights, cumulative, two_modes)
    time = at_node(table.times.double(), node).float()
    node = node.float()
    around_peak = (table.times[inner + 1] - table.times[inner - 1]) * (NARROW / 2)
    narrow = (curvature > 1) & (time_sd < around_peak) & ~two_modes & ~at_limit
    reach = Z / curvature.sqrt()
    low, high = at_node(table.times, node - reach), at_node(table.times, node + reach)
    return Summary(
        time=time,
        node=node,
        mean=torch.where(narrow, time, mean),
        time_sd=torch.where(narrow, (high - low) / (2 * Z), time_sd),
        lower=torch.where(narrow, low, lower),
        upper=torch.where(narrow, high, upper),
        two_modes=two_modes,
        at_limit=at_limit,
    )


def at_node(values: Tensor, node: Voxels) -> Voxels:
    """Interpolate values of the nodes at places between them, through the three nearest."""
    middle = node.round().long().clamp(1, len(values) - 2)
    shift = node - middle
    before, here, after = (values[middle + step] for step in (-1, 0, 1))
    return here + shift * (after - before) / 2 + shift.square() * (after + before - 2 * here) / 2


def _interval(table: ReadoutTable, weights: Tensor, cumulative: Tensor, two_modes: VoxelMask) -> tuple[Voxels, Voxels]:
    """Return the ends of the interval of highest density, which are equally likely.

    It is the shortest one: a skewed posterior leaves more beyond its steep side. Where there are two modes, or the
    range of the prior cuts the posterior off, the shortest one says little, and both tails are equal.
    """
    tails = torch.tensor(TAILS, dtype=torch.float64, device=weights.device)
    places = _quantiles(weights, cumulative, torch.cat([tails, 1 - OUTSIDE + tails]))
    low, high = _log_density_at(table, weights, places).chunk(2, 1)
    excess = low - high  # rises with the lower tail
    right = (excess <= 0).sum(1, keepdim=True)
    ends = weights[:, [0, -1]] / table.widths[[0, -1]]
    is_cut = (ends > MOST_AT_END).any(1, keepdim=True)
    is_equal = two_modes[:, None] | is_cut | (right == 0) | (right == len(TAILS))
    right = right.clamp(1, len(TAILS) - 1)
    before, after = excess.gather(1, right - 1), excess.gather(1, right)
    share = (-before / (after - before).clamp_min(TINY)).clamp(0.0, 1.0)
    right, share = torch.where(is_equal, MIDDLE, right), torch.where(is_equal, 1.0, share)
    both = [torch.lerp(end.gather(1, right - 1), end.gather(1, right), share) for end in places.chunk(2, 1)]
    lower, upper = at_node(table.times, torch.cat(both, 1)).unbind(1)
    return lower, upper


def _log_density_at(table: ReadoutTable, weights: Tensor, places: Tensor) -> Tensor:
    """Interpolate the log density at places (voxel, several) among the nodes, through the three nearest."""
    middle = places.round().long().clamp(1, weights.shape[1] - 2)
    nodes = torch.cat([middle - 1, middle, middle + 1], 1)
    density = (weights.gather(1, nodes) / table.widths[nodes]).clamp_min(LEAST_DENSITY).log_()
    before, here, after = density.chunk(3, 1)
    shift = places - middle
    return here + shift * (after - before) / 2 + shift.square() * (after + before - 2 * here) / 2


def _quantiles(weights: Tensor, cumulative: Tensor, probabilities: Tensor) -> Tensor:
    """Interpolate the places among the nodes, (voxel, probability), below which lie shares of the posterior.

    Between nodes the normal score of the distribution function is taken as linear, which is exact for a normal one;
    at the ends of the range, which may cut a posterior off, the function itself. The function at a node is the
    trapezoidal sum up to it, with the first correction of Euler and Maclaurin.
    """
    last = weights.shape[1] - 1
    total = cumulative[:, -1:]
    wanted = total * probabilities.to(total.dtype)
    centre = torch.searchsorted(cumulative, wanted).clamp(1, last - 1)
    nodes = torch.cat([centre - 1, centre, centre + 1], dim=1)
    here = weights.gather(1, nodes)
    slope = (weights.gather(1, (nodes + 1).clamp(max=last)) - weights.gather(1, (nodes - 1).clamp(min=0))) / 24
    inside = (nodes > 0) & (nodes < last)
    reached = cumulative.gather(1, nodes) - torch.where(inside, here / 2 + slope, torch.where(nodes > 0, 0.0, here))
    scores = torch.special.ndtri((reached / total).clamp(TINY, 1 - TINY)).chunk(3, 1)
    target = torch.special.ndtri(probabilities).to(total.dtype)
    is_above = scores[1] < target
    share = _share(scores, target, is_above)
    at_end = (centre == 1) & ~is_above | (centre == last - 1) & is_above
    share = torch.where(at_end, _share(reached.chunk(3, 1), wanted, is_above), share).clamp(0.0, 1.0)
    places: Tensor = centre - 1 + is_above.to(share.dtype) + share
    return places


def _share(values: Sequence[Tensor], wanted: Tensor, is_above: VoxelMask) -> Tensor:
    """Return how far along the first or second half of three rising values a wanted one lies."""
    left, right = (torch.where(is_above, values[place + 1], values[place]) for place in (0, 1))
    return (wanted - left) / (right - left).clamp_min(TINY)


@dataclass(frozen=True, slots=True, eq=False)
class _Modes:
    """Voxels whose density has a second maximum worth looking at."""

    voxels: Tensor
    """Their indices."""

    valley: Tensor
    """Node of the lowest density between the two highest maxima."""

    is_high: VoxelMask
    """Whether the lower maximum is not much lower."""

    n_voxels: int

    @classmethod
    def of(cls, log_density: Posteriors) -> _Modes:
        """Find the two highest maxima and the valley between them; the highest density is zero."""
        coarse = log_density[:, ::STRIDE]
        rises = coarse[:, 1:] > coarse[:, :-1]
        edge = torch.ones_like(rises[:, :1])
        is_mode = torch.cat([edge, rises], 1) & ~torch.cat([rises, ~edge], 1) & (coarse > -CANDIDATE)
        voxels = torch.nonzero(is_mode.sum(1) > 1).squeeze(1)
        coarse, is_mode = coarse[voxels], is_mode[voxels]
        heights, places = torch.where(is_mode, coarse, -torch.inf).topk(2, dim=1)
        low, high = places.min(1).values[:, None], places.max(1).values[:, None]
        position = torch.arange(coarse.shape[1], device=coarse.device)[None]
        between = torch.where((position >= low) & (position <= high), coarse, torch.inf)
        depth, valley = between.min(dim=1)
        deep = heights[:, 1] - depth > VALLEY
        return cls(voxels[deep], valley[deep] * STRIDE, heights[deep, 1] > LOWEST_MODE, len(log_density))

    def both_matter(self, cumulative: Tensor) -> VoxelMask:
        """Tell for every voxel whether it has two modes of some density or probability."""
        found = torch.zeros(self.n_voxels, dtype=torch.bool, device=cumulative.device)
        of_modes = cumulative[self.voxels]
        below = of_modes.gather(1, self.valley[:, None]).squeeze(1) / of_modes[:, -1]
        found[self.voxels] = self.is_high | (torch.minimum(below, 1 - below) > SMALLEST_MODE)
        return found
