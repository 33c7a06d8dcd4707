"""Posteriors of two readouts, tabulated: they depend on two numbers of a voxel and on its transmit field.

With u = (cos t, sin t) the direction of the model's signals, P = |g1|^2 + |g2|^2, D = |g1|^2 - |g2|^2,
R = Re(conj(g1) g2), Q = sqrt(D^2 + 4 R^2) and phi = atan2(2 R, D), what a direction explains is

    |u.g|^2 = P/2 + Q/2 cos(2 t - phi)

so that the likelihood is a von Mises density in twice the angle, with the concentration Q / (4 sigma^2). (Where the
efficiency is not known exactly, P enters a second time; it is then taken as Q, which it exceeds by no more than the
noise.) What the exact computation says at the nodes of a lattice is interpolated between them, as places among the
relaxation times of the readout table, which follow the angle almost in proportion. Cells are tried in their middle:
where the interpolation is off, or a corner has two modes or is at a limit, the exact computation has the voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bids_t1.estimation.posterior.likelihood import Between
from bids_t1.estimation.posterior.summary import Summary, at_node
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from bids_t1.data.shapes import Nodes, Statistics, VoxelMask, Voxels

    Step = tuple[int | Tensor, Voxels]
    """From a node to the next one along an axis, and the share of the way that voxels are."""

    Exact = Callable[[Statistics, Between], Summary]

WIDTHS = (0.003, 0.4)
"""Narrowest and widest SD of the direction, in units of 1/sqrt(2); what is beyond is computed exactly."""

CLOSE = 0.045
"""Difference in the middle of a cell, in SDs of the posterior, up to which the cell is used."""

ALIKE = 0.12
"""Difference between the corners of a cell, in SDs, of how far mean and bounds are from the maximum, up to which it is
used: a tail that begins to hold another mode moves a bound suddenly."""

BLOCK = 2_048
"""Posteriors computed at a time."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Nodes of widths and angles."""

    n_angles: int
    """Of phi, over the whole circle."""

    step: float
    """Distance of the widths, in their logarithm."""

    @property
    def n_widths(self) -> int:
        """Number of widths."""
        return 2 + math.ceil(math.log(WIDTHS[1] / WIDTHS[0]) / self.step)

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.n_widths * self.n_angles

    def width_at(self, row: Tensor) -> Tensor:
        """Return the width at a place among the rows: straight between two of them."""
        below = row.floor()
        narrow = WIDTHS[0] * torch.exp(below * self.step)
        return narrow * (1 + (row - below) * math.expm1(self.step))

    def statistics(self, rows: Tensor, columns: Tensor) -> Statistics:
        """Return the products of two readouts in phase at places in the lattice."""
        energy, half = self.width_at(rows).double() ** -2, columns.double() * (math.pi / self.n_angles)
        first, second = torch.cos(half), torch.sin(half)
        products = [energy * first**2, energy * second**2, energy * first * second]
        return torch.stack([*products, torch.ones_like(half), torch.zeros_like(half)], 1).float()


OF_FIELDS = Lattice(n_angles=128, step=0.25)
"""Where there is a table for every transmit field of a map."""

OF_PRIOR = Lattice(n_angles=512, step=0.12)
"""Where the transmit field is integrated over, which takes long for every posterior, but there is one table."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where voxels lie in a lattice of widths and angles."""

    cell: Tensor
    """Number of the cell of each voxel, counted over widths and angles; outside, that of the nearest width."""

    is_inside: VoxelMask

    next_angle: Tensor
    """What to add for the next angle, which after the last is the first."""

    across: Voxels
    """Share of the way to the next angle."""

    along: Voxels
    """Share of the way to the next width."""

    @classmethod
    def of(cls, statistics: Statistics, lattice: Lattice) -> Places:
        """Place voxels by their products of two readouts over twice the noise variance."""
        n_angles = lattice.n_angles
        difference, twice_cross = statistics[:, 0] - statistics[:, 1], 2 * statistics[:, 2]
        width = torch.rsqrt(torch.hypot(difference, twice_cross))
        angle = torch.atan2(twice_cross, difference) * (n_angles / (2 * math.pi)) % n_angles
        column = angle.long().clamp(max=n_angles - 1)
        place = torch.log(width / WIDTHS[0]) / lattice.step
        inside = (place >= 0) & (place < lattice.n_widths - 1)
        row = place.nan_to_num(0.0).clamp(0, lattice.n_widths - 2).long()
        narrow = WIDTHS[0] * torch.exp(row * lattice.step)
        return cls(
            cell=row * n_angles + column,
            is_inside=inside,
            next_angle=torch.where(column == n_angles - 1, 1 - n_angles, 1),
            across=angle - column,
            along=(width / narrow - 1) / math.expm1(lattice.step),
        )


@dataclass(frozen=True, slots=True, eq=False)
class SummaryTable:
    """Summaries of posteriors on a lattice of transmit fields, widths and angles."""

    lattice: Lattice
    times: Nodes
    """Relaxation times that places among nodes refer to [s]."""

    values: Tensor
    """(plane * width * angle, 5): places of maximum, mean and bounds among the nodes, and the log of the SD."""

    is_good: VoxelMask
    """Whether a cell may be used, (plane * width * angle)."""

    first_plane: int
    """Of the planes of the readout table, the first one here."""

    def look_up(self, statistics: Statistics, planes: Between) -> tuple[Summary, VoxelMask]:
        """Interpolate the summaries of voxels that lie between two planes, and tell which of them hold."""
        places = Places.of(statistics, self.lattice)
        last = len(self.values) // self.lattice.size - 1 - (planes.upper - planes.lower)
        plane = planes.lower - self.first_plane
        cell = places.cell + min(max(plane, 0), last) * self.lattice.size
        holds = places.is_inside & self.is_good[cell] & (0 <= plane <= last)
        steps: list[Step] = [(self.lattice.n_angles, places.along), (places.next_angle, places.across)]
        if planes.upper > planes.lower:
            steps.append((self.lattice.size, planes.share))
        return summary_of_values(self.times, interpolated(self.values, cell, steps)), holds


def interpolated(values: Tensor, cell: Tensor, steps: Sequence[Step]) -> Tensor:
    """Return the weighted sum of the values at the corners of cells, two for each step."""
    corners, weights = [cell], [torch.ones_like(steps[0][1])]
    for step, share in steps:
        corners += [corner + step for corner in corners]
        weights = [weight * (1 - share) for weight in weights] + [weight * share for weight in weights]
    return torch.nn.functional.embedding_bag(
        torch.stack(corners, 1), values, mode="sum", per_sample_weights=torch.stack(weights, 1)
    )


def count_cells(statistics: Statistics, planes: Between, lattice: Lattice, counts: Tensor) -> None:
    """Count the voxels in each cell; `counts` is (plane, width * angle)."""
    places = Places.of(statistics, lattice)
    counts[planes.lower] += torch.bincount(places.cell[places.is_inside], minlength=counts.shape[1])


@dataclass(frozen=True, slots=True)
class AtNodes:
    """The exact computation at the nodes of a lattice, and in the middle of its cells."""

    exact: Exact
    """Computes summaries of voxels between two planes."""

    lattice: Lattice
    n_threads: int

    def compute(self, wanted: Tensor, planes: Between) -> Summary:
        """Compute the summaries at wanted nodes, or where the planes are two, in the middle of wanted cells.

        `wanted` is (plane, width, angle); `planes` says where those of its first plane lie, half way along the other
        axes where it says so of the planes.
        """
        _, rows, columns = torch.nonzero(wanted, as_tuple=True)
        shift = float(planes.share)
        statistics = self.lattice.statistics(rows + shift, columns + shift)
        blocks = []
        for plane, some in enumerate(torch.split(statistics, wanted.sum((1, 2)).tolist())):
            share = torch.full_like(some[:, 0], shift)
            blocks += blocks_of(some, Between(planes.lower + plane, planes.upper + plane, share))
        return Summary.join(side_by_side(lambda block: self.exact(*block), blocks, self.n_threads))


def tabulate(at_nodes: AtNodes, times: Nodes, is_used: Tensor, *, is_between: bool) -> SummaryTable | None:
    """Compute the summaries that some cells need, and try the cells in their middle.

    Parameters
    ----------
    at_nodes
        Computes them.
    times
        Relaxation times of the nodes [s].
    is_used
        Which cells are wanted, (plane, width * angle).
    is_between
        Whether voxels lie between planes; else each plane is for itself.
    """
    lattice, with_cells = at_nodes.lattice, torch.nonzero(is_used.any(1)).squeeze(1)
    if not len(with_cells):
        return None
    first, last = int(with_cells[0]), int(with_cells[-1]) + is_between
    used = is_used[first : last + 1].reshape(-1, lattice.n_widths, lattice.n_angles)
    needed = _corners(used, is_between=is_between)
    found = at_nodes.compute(needed, Between(first, first, torch.zeros(())))
    values = torch.full((*needed.shape, 5), torch.nan, device=times.device)
    values[needed] = values_of(times, found)
    plain = torch.zeros_like(needed)
    plain[needed] = ~(found.two_modes | found.at_limit)
    tails = torch.zeros(*needed.shape, 3, device=times.device)
    tails[needed] = tails_of(found)
    every, lowest, highest, middle = (
        _over_corners(of_nodes, combine, is_between=is_between)
        for of_nodes, combine in (
            (plain, torch.logical_and),
            (tails, torch.minimum),
            (tails, torch.maximum),
            (values, _mean),
        )
    )
    good = torch.zeros_like(used)
    cells = good[: len(every), :-1]
    cells |= used[: len(every), :-1] & every & (highest - lowest < ALIKE).all(-1)
    found = at_nodes.compute(cells, Between(first, first + is_between, torch.tensor(0.5)))
    cells[cells.clone()] = agree(summary_of_values(times, middle[cells]), found)
    return SummaryTable(lattice, times, values.reshape(-1, 5), good.reshape(-1), first)


def _corners(used: Tensor, *, is_between: bool) -> Tensor:
    """Return the nodes that are a corner of a cell."""
    needed = used | used.roll(1, 2)
    needed[:, 1:] |= needed[:, :-1].clone()
    if is_between:
        needed[1:] |= needed[:-1].clone()
    return needed


def _over_corners(values: Tensor, combine: Callable[[Tensor, Tensor], Tensor], *, is_between: bool) -> Tensor:
    """Combine the values (plane, width, angle, ...) at the corners of each cell; after the last width lies none."""
    values = combine(values, values.roll(-1, 2))
    values = combine(values[:, :-1], values[:, 1:])
    return combine(values[:-1], values[1:]) if is_between else values


def _mean(one: Tensor, other: Tensor) -> Tensor:
    return (one + other) / 2


def blocks_of(statistics: Statistics, planes: Between) -> list[tuple[Statistics, Between]]:
    """Split voxels into those computed at a time."""
    blocks = zip(torch.split(statistics, BLOCK), torch.split(planes.share, BLOCK), strict=True)
    return [(some, Between(planes.lower, planes.upper, share)) for some, share in blocks]


def compute_exactly(exact: Exact, statistics: Statistics, planes: Between) -> Summary:
    """Compute summaries, some at a time."""
    return Summary.join([exact(*block) for block in blocks_of(statistics, planes)])


def tails_of(found: Summary) -> Tensor:
    """Return how far mean and bounds are from the maximum, in SDs, (voxel, 3)."""
    return torch.stack([(value - found.time) / found.time_sd for value in (found.mean, found.lower, found.upper)], 1)


def values_of(times: Nodes, found: Summary) -> Tensor:
    """Return what is interpolated of summaries, (voxel, 5)."""
    places = [_place(times, value) for value in (found.mean, found.lower, found.upper)]
    return torch.stack([found.node, *places, torch.log(found.time_sd)], 1)


def _place(times: Nodes, value: Voxels) -> Voxels:
    """Return where among the nodes relaxation times lie, straight in log T between two of them."""
    left = (torch.searchsorted(times, value.contiguous()) - 1).clamp(0, len(times) - 2)
    low, high = torch.log(times[left]), torch.log(times[left + 1])
    return left + (torch.log(value) - low) / (high - low)


def _time_at(log_times: Nodes, place: Voxels) -> Voxels:
    """Return the relaxation time at a place, as `_place` has it."""
    left = place.nan_to_num(0.0).clamp(0, len(log_times) - 2).long()
    return torch.exp(torch.lerp(log_times[left], log_times[left + 1], place - left))


def summary_of_values(times: Nodes, values: Tensor) -> Summary:
    """Return the summaries that interpolated values stand for."""
    node, mean, lower, upper, log_sd = values.unbind(1)
    node = node.nan_to_num(0.0)
    log_times = torch.log(times)
    return Summary(
        time=at_node(times.double(), node.double()).float(),
        node=node,
        mean=_time_at(log_times, mean),
        time_sd=torch.exp(log_sd),
        lower=_time_at(log_times, lower),
        upper=_time_at(log_times, upper),
        two_modes=torch.zeros_like(node, dtype=torch.bool),
        at_limit=torch.zeros_like(node, dtype=torch.bool),
    )


def agree(one: Summary, exact: Summary) -> VoxelMask:
    """Tell where an interpolated summary is as good as the exact one."""
    off = torch.stack([getattr(one, name) - getattr(exact, name) for name in ("time", "mean", "lower", "upper")])
    close = (off.abs() < CLOSE * exact.time_sd).all(0)
    return close & ((one.time_sd / exact.time_sd - 1).abs() < CLOSE) & ~exact.two_modes & ~exact.at_limit
