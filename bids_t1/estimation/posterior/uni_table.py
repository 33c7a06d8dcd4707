"""Posteriors of UNI alone, tabulated: they depend on S and on the transmit field, the noise being one for the image.

As in `tabulated`, what the exact computation says at nodes is interpolated as places among the relaxation times, cells
are tried in their middle, and the exact computation has the voxels of those that do not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bids_t1.estimation.posterior.likelihood import Between
from bids_t1.estimation.posterior.tabulated import (
    ALIKE,
    agree,
    compute_exactly,
    interpolated,
    summary_of_values,
    tails_of,
    values_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from bids_t1.data.shapes import Nodes, Statistics, VoxelMask, Voxels
    from bids_t1.estimation.posterior.summary import Summary
    from bids_t1.estimation.posterior.tabulated import Exact, Step

N_ANGLES = 769
"""Values of S, at equal steps of the angle whose sine it is half of, in which the noise is the same everywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class UniTable:
    """Summaries of posteriors over transmit fields and S."""

    times: Nodes
    """Relaxation times that places among nodes refer to [s]."""

    values: Tensor
    """(plane * angle, 5), as `tabulated.SummaryTable.values`."""

    is_good: VoxelMask
    """Whether a cell may be used, (plane, angle)."""

    first_plane: int
    """Of the planes of the readout table, the first one here."""

    def look_up(self, statistics: Statistics, planes: Between) -> tuple[Summary, VoxelMask]:
        """Interpolate the summaries of voxels that lie between two planes, and tell which of them hold."""
        uni = statistics[:, 0]
        place = _place(uni)
        column = place.long().clamp(0, N_ANGLES - 2)
        plane = min(max(planes.lower - self.first_plane, 0), len(self.is_good) - 1)
        holds = self.is_good[plane][column] & (uni.abs() <= 0.5) & (plane == planes.lower - self.first_plane)  # noqa: PLR2004
        steps: list[Step] = [(1, place - column)]
        if planes.upper > planes.lower:
            steps.append((N_ANGLES, planes.share))
        return summary_of_values(self.times, interpolated(self.values, column + plane * N_ANGLES, steps)), holds


def tabulate_uni(exact: Exact, times: Nodes, planes: range, noise_sd: float, *, is_between: bool) -> UniTable:
    """Compute the summaries at all nodes, and try the cells in their middle.

    Parameters
    ----------
    exact
        Computes summaries of voxels between two planes.
    times
        Relaxation times of the nodes [s].
    planes
        Which planes of the readout table are wanted.
    noise_sd
        Noise of one channel, relative to M0.
    is_between
        Whether voxels lie between planes; else each plane is for itself.
    """
    angles = torch.arange(N_ANGLES, device=times.device)
    at_nodes, in_middle = (_statistics(part, noise_sd) for part in (angles, angles[:-1] + 0.5))
    values, plain, tails = [], [], []
    for plane in planes:
        found = compute_exactly(exact, at_nodes, Between(plane, plane, at_nodes.new_zeros(len(at_nodes))))
        values.append(values_of(times, found))
        plain.append(~(found.two_modes | found.at_limit))
        tails.append(tails_of(found))
    shape = _corners(torch.stack(tails), is_between=is_between)
    good = _corners(torch.stack(plain), is_between=is_between).all(0)
    good &= (shape.amax(0) - shape.amin(0) < ALIKE).all(-1)
    table = UniTable(times, torch.cat(values), good, planes.start)
    for row in range(len(good)):
        kept = torch.nonzero(good[row]).squeeze(1)
        lower = planes.start + row
        middle = Between(lower, lower + is_between, torch.full((len(kept),), 0.5, device=times.device))
        found = compute_exactly(exact, in_middle[kept], middle)
        good[row, kept] = agree(table.look_up(in_middle[kept], middle)[0], found)
    return table


def _place(uni: Voxels) -> Voxels:
    """Return where among the values S lies."""
    return (torch.asin((2 * uni).clamp(-1.0, 1.0)) / math.pi + 0.5) * (N_ANGLES - 1)


def _statistics(places: Tensor, noise_sd: float) -> Statistics:
    """Return S at places among the values, and the amplitude over the noise."""
    uni = torch.sin((places.double() / (N_ANGLES - 1) - 0.5) * math.pi) / 2
    return torch.stack([uni, torch.full_like(uni, 1 / noise_sd)], 1).float()


def _corners(values: Tensor, *, is_between: bool) -> Tensor:
    """Return the values at the corners of each cell, (corner, plane, angle, ...)."""
    sides = [values[:, :-1], values[:, 1:]]
    if is_between:
        sides = [side[part] for side in sides for part in (slice(None, -1), slice(1, None))]
    return torch.stack(sides)
