"""All voxels of images, for processors: their maps, and what is noted of those whose signs are open.

Read `fit_voxels` first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_t1.compiling import compiled, kept
from bids_t1.estimation.curves.block import (
    N_FIT,
    ONE_TURNED,
    SEARCHED,
    VOXELS,
    Block,
    better_choice,
    kept_fit,
    optima_of,
)
from bids_t1.estimation.curves.voxel import (
    FITTED,
    TINY,
    UNDECIDED,
    Choices,
    Tables,
    sample_of,
    stretch_of,
    unexplained_by,
    worth_of,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Index = NDArray[np.int64]


class Open(NamedTuple):
    """Voxels whose own data leave two choices of signs open, with both; signals are over their norm."""

    voxel: Index
    """Flat indices, rising."""

    energy: Floats
    fits: Floats
    """(open voxel, choice, number)."""

    sample: Index
    """The sample that may have either sign."""

    step: Floats
    """That sample by the second choice less that by the first."""

    variance: Floats
    """Of noise in the signals."""

    own: Floats
    """Log odds of the second choice by the data of the voxel itself."""

    second: Floats
    """Its probability by them."""

    others: Singles
    """Signals with zero in place of the sample, (open voxel, sample)."""

    curves: Singles
    """What both fits predict, (open voxel, choice, sample)."""


@compiled
def normalised_curve(
    tables: Tables, choices: Choices, place: float, first: float, last: float, beside: float, curve: Singles
) -> None:
    """Predict the signal of a fit, over its norm."""
    columns = tables.columns
    stretch, t = stretch_of(tables, choices, place)
    own, companion = (1 if choices.has_first else 0), columns.shape[1] - 1
    total = 0.0
    for i in range(len(curve)):
        value = last * sample_of(columns, stretch, own, i, t)
        if choices.has_first:
            value += first * sample_of(columns, stretch, 0, i, t)
        if choices.has_beside:
            value += beside * sample_of(columns, stretch, companion, i, t)
        curve[i] = value
        total += value * value
    scale = 1.0 / max(math.sqrt(total), TINY)
    for i in range(len(curve)):
        curve[i] *= scale


@compiled
def second_by(log_odds: float) -> float:
    """Return the probability of the second choice."""
    return 1.0 / (1.0 + math.exp(-log_odds))


@compiled
def note(tables: Tables, choices: Choices, block: Block, voxel: int, found: Open, i: int) -> None:
    """Write down what was found in a voxel of a block, in place `i` of the open ones."""
    better, smallest, energy = better_choice(block, voxel), block.smallest[voxel], block.energy[voxel]
    norm = max(math.sqrt(energy), TINY)
    found.energy[i], found.sample[i] = energy, smallest
    for choice in range(2):
        fit, curve = found.fits[i, choice], found.curves[i, choice]
        for number in range(N_FIT):
            fit[number] = block.fits[voxel, choice if better == 0 else 1 - choice, number]
        normalised_curve(tables, choices, fit[0], fit[1], fit[2], fit[2] * fit[3], curve)
    for k in range(found.others.shape[1]):
        found.others[i, k] = block.y[voxel, k] / norm
    found.others[i, smallest] = 0.0
    cost, other_cost = found.fits[i, 0, 4], found.fits[i, 1, 4]
    unexplained = unexplained_by(choices, min(cost, other_cost), energy)
    found.variance[i] = unexplained / (norm * norm)
    found.own[i] = (cost - other_cost) / (2.0 * unexplained)
    found.second[i] = second_by(found.own[i])
    is_turned = (block.signs[voxel] == ONE_TURNED) == (better == 0)
    found.step[i] = (2.0 if is_turned else -2.0) * block.y[voxel, smallest] / norm


@compiled
def choose(
    choices: Choices, images: Singles, column: int, count: int, status: NDArray[np.uint8], block: Block, n_chosen: int
) -> int:
    """Put those of some voxels that are worth a fit into a block, after the chosen ones; note the status of all."""
    energy = block.room.measured
    for j in range(count):
        energy[j] = energy.dtype.type(0.0)
    for i in range(choices.n_measurements):
        for j in range(count):
            energy[j] += images[i, column + j] * images[i, column + j]
    for j in range(count):
        status[j] = worth_of(choices, float(energy[j]))
        block.columns[n_chosen] = column + j
        n_chosen += status[j] == FITTED
    return n_chosen


@compiled
def lay_out(maps: Singles, voxel: int, count: int) -> None:
    """Make some voxels, from `voxel` on, those without an estimate."""
    for index in range(len(maps)):
        for j in range(count):
            maps[index, voxel + j] = math.nan


@kept
def fit_voxels(
    tables: Tables,
    choices: Choices,
    images: Singles,
    first: int,
    start: int,
    stop: int,
    maps: Singles,
    status: NDArray[np.uint8],
    block: Block,
    found: Open,
) -> int:
    """Fill the maps of the voxels from `start` up to `stop`, on one processor; images begin at voxel `first`.

    Only voxels worth a fit are searched for, in blocks that are full of them; the maps of others become NaN.
    Open ones are noted in `found`, as far as there is room, and counted.
    """
    n_open, voxel = 0, start
    while voxel < stop:
        n_chosen = 0
        while voxel < stop and n_chosen < VOXELS:
            count = min(SEARCHED, VOXELS - n_chosen, stop - voxel)
            n_chosen = choose(choices, images, voxel - first, count, status[voxel:], block, n_chosen)
            lay_out(maps, voxel, count)
            voxel += count
        optima_of(tables, choices, images, n_chosen, block)
        for i in range(n_chosen):
            better = better_choice(block, i)
            best, other = kept_fit(block.fits[i, better]), kept_fit(block.fits[i, 1 - better])
            is_close, energy = block.is_close[i], block.energy[i]
            place = first + block.columns[i]
            write(choices, best, other, is_close, energy, 0.0, place, maps, status)
            if status[place] == UNDECIDED and n_open < len(found.voxel):
                found.voxel[n_open] = place
                note(tables, choices, block, i, found, n_open)
                n_open += 1
    return n_open


def room_for_open(tables: Tables, n_voxels: int) -> Open:
    """Return the last argument of `fit_voxels`: room for so many open voxels."""
    n_samples = tables.axis.shape[2]
    return Open(
        voxel=np.empty(n_voxels, np.int64),
        energy=np.empty(n_voxels),
        fits=np.empty((n_voxels, 2, N_FIT)),
        sample=np.empty(n_voxels, np.int64),
        step=np.empty(n_voxels),
        variance=np.empty(n_voxels),
        own=np.empty(n_voxels),
        second=np.empty(n_voxels),
        others=np.empty((n_voxels, n_samples), np.float32),
        curves=np.empty((n_voxels, 2, n_samples), np.float32),
    )


def joined_open(parts: Sequence[Open]) -> Open:
    """Return open voxels of several chunks as those of one."""
    return Open._make(np.concatenate(values) for values in zip(*parts, strict=True))
