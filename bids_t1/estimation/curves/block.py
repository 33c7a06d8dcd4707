"""Voxels side by side, for processors: what `voxel` does to one, done to several by the same instructions.

A step of the refinement waits for one division after the other. Lanes, each the fit of one choice of signs of one
voxel, take their steps together, so that they wait together; the numbers of a lane come from the functions of `voxel`.
A lane knows nothing of the others: no bit depends on what is beside. Read `optima_of` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_t1.compiling import compiled
from bids_t1.estimation.curves.polarity import ROUNDING
from bids_t1.estimation.curves.voxel import (
    HELD,
    LONGEST_STEP,
    MOST_STEPS,
    POWERS,
    TINY,
    TOLERANCE,
    TRUSTED,
    Choices,
    Moments,
    Point,
    Room,
    Tables,
    around,
    cost_of,
    found_in,
    is_close_call,
    loosened,
    multiply,
    prepare,
    room_for,
    search_both,
    solve,
    stretch_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.estimation.curves.voxel import Found

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Index = NDArray[np.int64]

VOXELS = 128
"""Voxels of a block."""

SEARCHED = 64
"""Voxels that are searched for side by side; constant, as the number of lanes."""

LANES = 16
"""Fits side by side. Constant, so that all of them go through the same instructions, and none through a remainder."""

# Rows of numbers of the lanes: polynomials of the products, and of the products with the signal, then single ones.
PER_POWER = 24
DOTS = PER_POWER * POWERS
PLACE = DOTS + 3 * POWERS
T, BEFORE, LOW, HIGH, GRADIENT, STIFFNESS, ENERGY = (PLACE + row for row in range(1, 8))
NEXT, NEXT_GRADIENT, IS_DONE, FIRST, LAST, SHARE, INFORMATION, IS_HELD = (PLACE + row for row in range(8, 16))
ROWS = PLACE + 16

IDLE = -1
"""In place of a fit, of lanes for which none is left."""

AS_GIVEN, ONE_TURNED, ALL_TURNED = 0, 1, 2
"""What is done to the signs of a voxel."""

N_FIT = 6
"""Numbers of one fit that are kept: log T, coefficients, share, squared residual and information."""


class Block(NamedTuple):
    """Room for the numbers of a block."""

    columns: Index
    """Where the voxels of the block are in the images."""

    samples: Singles
    """Those that are searched for, (sample, voxel)."""

    room: Room
    found: Floats
    """What the search found, (choice of signs, voxel, number)."""

    y: Singles
    """Samples, magnitudes with the signs before the smallest one negative, (voxel, sample)."""

    smallest: Index
    energy: Floats

    signs: Index
    """Of the choice that is tried first."""

    is_close: NDArray[np.bool_]
    """Whether the other choice has a chance."""

    fits: Floats
    """(voxel, choice, number), the choice tried first, then the other."""

    task: Index
    """Voxel and choice of each fit that is asked for, (fit, number)."""

    start: Floats
    """Where it begins, and its bounds, in log T, (fit, number)."""

    rows: Floats
    """Numbers of the lanes, one row after the other."""

    dots: Floats
    """As in `voxel.Work`."""

    lanes: Index
    """Fit that is in each lane, and steps that it took, (lane, number)."""

    stretch: Index
    signal: Floats
    """Samples of the lanes with signs, (lane, sample)."""


@compiled
def polynomial(rows: Floats, row: int, step: int, lane: int, t: float) -> float:
    """Return a polynomial of a lane whose coefficients are so many rows apart."""
    a, d = row * LANES + lane, step * LANES
    value: float = rows[a] + t * (
        rows[a + d] + t * (rows[a + 2 * d] + t * (rows[a + 3 * d] + t * (rows[a + 4 * d] + t * rows[a + 5 * d])))
    )
    return value


@compiled
def slope(rows: Floats, row: int, lane: int, t: float) -> float:
    """Return the derivative of a polynomial whose coefficients follow one another."""
    a, d = row * LANES + lane, LANES
    value: float = rows[a + d] + t * (
        2.0 * rows[a + 2 * d] + t * (3.0 * rows[a + 3 * d] + t * (4.0 * rows[a + 4 * d] + t * 5.0 * rows[a + 5 * d]))
    )
    return value


@compiled
def moments_of(choices: Choices, rows: Floats, lane: int, t: float) -> Moments:
    """Return the inner products of a lane, as `voxel.moments_at`."""
    p, z, scale = PER_POWER, 0.0, 2.0 / choices.stretch
    a, b, c = DOTS, DOTS + POWERS, DOTS + 2 * POWERS
    g11, h11, s11 = polynomial(rows, 2, p, lane, t), polynomial(rows, 6, p, lane, t), polynomial(rows, 9, p, lane, t)
    d1, p1 = polynomial(rows, b, 1, lane, t), slope(rows, b, lane, t) * scale
    g00 = g01 = h00 = h01 = h10 = s00 = s01 = d0 = p0 = z
    if choices.has_first:
        g00, g01 = polynomial(rows, 0, p, lane, t), polynomial(rows, 1, p, lane, t)
        h00, h01 = polynomial(rows, 3, p, lane, t), polynomial(rows, 4, p, lane, t)
        h10 = polynomial(rows, 5, p, lane, t)
        s00, s01 = polynomial(rows, 7, p, lane, t), polynomial(rows, 8, p, lane, t)
        d0, p0 = polynomial(rows, a, 1, lane, t), slope(rows, a, lane, t) * scale
    if not choices.has_beside:
        return Moments(
            g00, g01, g11, z, z, z, h00, h01, h10, h11, z, z, z, z, z, s00, s01, s11, z, z, z, d0, d1, z, p0, p1, z
        )
    g02, g12, g22 = (
        polynomial(rows, 10, p, lane, t),
        polynomial(rows, 11, p, lane, t),
        polynomial(rows, 12, p, lane, t) + TINY,
    )
    h02, h12, h20 = (
        polynomial(rows, 13, p, lane, t),
        polynomial(rows, 14, p, lane, t),
        polynomial(rows, 15, p, lane, t),
    )
    h21, h22 = polynomial(rows, 16, p, lane, t), polynomial(rows, 17, p, lane, t)
    s02, s12, s22 = (
        polynomial(rows, 18, p, lane, t),
        polynomial(rows, 19, p, lane, t),
        polynomial(rows, 20, p, lane, t),
    )
    d2, p2 = polynomial(rows, c, 1, lane, t), slope(rows, c, lane, t) * scale
    return Moments(
        g00, g01, g11, g02, g12, g22, h00, h01, h10, h11, h02, h12, h20, h21, h22, s00, s01, s11, s02, s12, s22,
        d0, d1, d2, p0, p1, p2,
    )  # fmt: skip


@compiled
def step(tables: Tables, choices: Choices, rows: Floats, lane: int) -> None:
    """Look from where a lane is to where its next step leads, as `voxel.refine` does.

    What is written is not read here, so that lanes need not wait for one another.
    """
    place, before = rows[PLACE * LANES + lane], rows[BEFORE * LANES + lane]
    stiffness, gradient = rows[STIFFNESS * LANES + lane], rows[GRADIENT * LANES + lane]
    low, high = rows[LOW * LANES + lane], rows[HIGH * LANES + lane]
    products = moments_of(choices, rows, lane, rows[T * LANES + lane])
    point = solve(products, tables, choices, place, rows[ENERGY * LANES + lane], stiffness)
    information = max(point.information, TINY)
    apart = place - before
    seen = (gradient - point.gradient) / (apart if apart != 0.0 else 1.0)
    is_seen = apart != 0.0 and information < TRUSTED * seen and seen < TRUSTED * information
    change = point.gradient / (seen if is_seen else information)
    following = min(max(place + min(max(change, -LONGEST_STEP), LONGEST_STEP), low), high)
    arrives = 1.0 if abs(following - place) < TOLERANCE else 0.0
    if choices.has_prior and stiffness == HELD:
        following, arrives = place, 0.0
    rows[NEXT * LANES + lane], rows[IS_DONE * LANES + lane] = following, arrives
    rows[NEXT_GRADIENT * LANES + lane] = point.gradient
    rows[FIRST * LANES + lane], rows[LAST * LANES + lane] = point.first, point.last
    rows[SHARE * LANES + lane], rows[INFORMATION * LANES + lane] = point.share, point.information
    rows[IS_HELD * LANES + lane] = 1.0 if point.is_held else 0.0


@compiled
def take_steps(tables: Tables, choices: Choices, rows: Floats) -> None:
    """Take one step with every lane."""
    # The same loop, asked outside of it what the model has: only without branches it becomes vector instructions.
    if choices.has_beside or choices.has_prior:
        for lane in range(LANES):
            step(tables, choices, rows, lane)
        return
    if choices.has_first:
        for lane in range(LANES):
            step(tables, choices, rows, lane)
        return
    for lane in range(LANES):
        step(tables, choices, rows, lane)


@compiled
def go_on(tables: Tables, choices: Choices, block: Block, lane: int) -> None:
    """Put a lane where its step leads."""
    rows = block.rows
    if choices.has_prior and rows[STIFFNESS * LANES + lane] == HELD:
        weight = choices.prior_sd * max(rows[FIRST * LANES + lane], TINY)
        rows[STIFFNESS * LANES + lane] = choices.noise_variance / (weight * weight)
        return
    rows[BEFORE * LANES + lane] = rows[PLACE * LANES + lane]
    rows[GRADIENT * LANES + lane] = rows[NEXT_GRADIENT * LANES + lane]
    rows[PLACE * LANES + lane] = rows[NEXT * LANES + lane]
    enter_stretch(tables, choices, block, lane)


@compiled
def copy_products(tables: Tables, stretch: int, rows: Floats, lane: int, count: int) -> None:
    """Note the polynomials of so many products of a stretch."""
    for power in range(POWERS):
        for k in range(count):
            rows[(power * PER_POWER + k) * LANES + lane] = tables.products[stretch, power, k]


@compiled
def enter_stretch(tables: Tables, choices: Choices, block: Block, lane: int) -> None:
    """Note where in its stretch a lane is, and the polynomials of a new one."""
    rows, dots = block.rows, block.dots
    stretch, t = stretch_of(tables, choices, rows[PLACE * LANES + lane])
    rows[T * LANES + lane] = t
    if stretch == block.stretch[lane]:
        return
    block.stretch[lane] = stretch
    if choices.has_beside:
        copy_products(tables, stretch, rows, lane, 21)
    elif choices.has_first:
        copy_products(tables, stretch, rows, lane, 10)
    else:
        for power in range(POWERS):
            row, products = power * PER_POWER, tables.products[stretch, power]
            rows[(row + 2) * LANES + lane], rows[(row + 6) * LANES + lane] = products[2], products[6]
            rows[(row + 9) * LANES + lane] = products[9]
    multiply(tables, stretch, block.signal[lane], dots)
    offset = 0 if choices.has_first else 1
    for column in range(tables.columns.shape[1]):
        for power in range(POWERS):
            rows[(DOTS + (column + offset) * POWERS + power) * LANES + lane] = dots[column, power]


@compiled
def begin(tables: Tables, choices: Choices, block: Block, task: int, lane: int) -> None:
    """Put a fit into a lane."""
    block.lanes[lane, 0], block.lanes[lane, 1] = task, 0
    rows, voxel, choice = block.rows, block.task[task, 0], block.task[task, 1]
    signs = block.signs[voxel] if choice == 0 else ONE_TURNED - block.signs[voxel]
    for i in range(choices.n_measurements):
        turned = signs == ALL_TURNED or (signs == ONE_TURNED and i == block.smallest[voxel])
        block.signal[lane, i] = -block.y[voxel, i] if turned else block.y[voxel, i]
    rows[PLACE * LANES + lane] = rows[BEFORE * LANES + lane] = block.start[task, 0]
    rows[LOW * LANES + lane], rows[HIGH * LANES + lane] = block.start[task, 1], block.start[task, 2]
    rows[GRADIENT * LANES + lane] = 0.0
    rows[STIFFNESS * LANES + lane] = HELD if choices.has_prior else 0.0
    rows[ENERGY * LANES + lane] = block.energy[voxel]
    block.stretch[lane] = -1
    enter_stretch(tables, choices, block, lane)


@compiled
def end(tables: Tables, choices: Choices, block: Block, lane: int) -> None:
    """Note what a lane has found."""
    rows, task = block.rows, block.task[block.lanes[lane, 0]]
    fit = block.fits[task[0], task[1]]
    stretch, stiffness = block.stretch[lane], rows[STIFFNESS * LANES + lane]
    place, before, t = rows[NEXT * LANES + lane], rows[PLACE * LANES + lane], rows[T * LANES + lane]
    first, last, share = rows[FIRST * LANES + lane], rows[LAST * LANES + lane], rows[SHARE * LANES + lane]
    is_held, information = rows[IS_HELD * LANES + lane] > 0.0, rows[INFORMATION * LANES + lane]
    point = Point(first, last, share, 0.0, 0.0, information, is_held)
    cost = cost_of(tables, choices, stretch, t, before, block.signal[lane], point, stiffness)
    if is_held:
        products = moments_of(choices, rows, lane, t)
        information = loosened(products, tables, choices, place, point, stiffness)
    fit[0], fit[1], fit[2], fit[3], fit[4], fit[5] = place, first, last, share, cost, information


@compiled
def refine_together(tables: Tables, choices: Choices, block: Block, n_tasks: int) -> None:
    """Refine all fits that are asked for, so many at a time: a lane that has arrived takes the next one."""
    lanes = block.lanes
    for lane in range(LANES):
        lanes[lane, 0] = IDLE
        if lane < n_tasks:
            begin(tables, choices, block, lane, lane)
    n_begun, n_left = min(LANES, n_tasks), n_tasks
    while n_left > 0:
        take_steps(tables, choices, block.rows)
        for lane in range(LANES):
            if lanes[lane, 0] == IDLE:
                continue
            lanes[lane, 1] += 1
            if block.rows[IS_DONE * LANES + lane] == 0.0 and lanes[lane, 1] < MOST_STEPS:
                go_on(tables, choices, block, lane)
                continue
            end(tables, choices, block, lane)
            n_left -= 1
            lanes[lane, 0] = IDLE
            if n_begun < n_tasks:
                begin(tables, choices, block, n_begun, lane)
                n_begun += 1


@compiled
def ask(choices: Choices, block: Block, n_tasks: int, voxel: int, choice: int, found: Found) -> int:
    """Ask for a fit that begins where the search ended."""
    block.task[n_tasks, 0], block.task[n_tasks, 1] = voxel, choice
    block.start[n_tasks, 0], block.start[n_tasks, 1], block.start[n_tasks, 2] = around(choices, found)
    return n_tasks + 1


@compiled
def keep(choices: Choices, block: Block, voxel: int, signal: int) -> None:
    """Note of a voxel what was prepared for the search."""
    block.is_close[voxel] = False
    block.energy[voxel], block.smallest[voxel] = block.room.squared[signal], block.room.smallest[signal]
    for i in range(choices.n_measurements):
        block.y[voxel, i] = block.samples[i, signal]


@compiled
def ask_for_both(choices: Choices, block: Block, voxel: int, first: Found, second: Found, n_tasks: int) -> int:
    """Ask for a fit of each choice of signs that has a chance, the better one first."""
    swapped = second.gain > first.gain
    turned = ONE_TURNED if choices.is_unsigned else ALL_TURNED
    block.signs[voxel] = turned if swapped else AS_GIVEN
    block.is_close[voxel] = is_close_call(choices, first.gain, second.gain)
    n_tasks = ask(choices, block, n_tasks, voxel, 0, second if swapped else first)
    if block.is_close[voxel]:
        n_tasks = ask(choices, block, n_tasks, voxel, 1, first if swapped else second)
    return n_tasks


@compiled
def gather(choices: Choices, images: Singles, voxel: int, count: int, block: Block) -> None:
    """Put some voxels of a block side by side."""
    for i in range(choices.n_measurements):
        for j in range(count):
            block.samples[i, j] = images[i, block.columns[voxel + j]]


@compiled
def look(tables: Tables, choices: Choices, images: Singles, voxel: int, count: int, block: Block, n_tasks: int) -> int:
    """Search for both choices of signs of some voxels, from `voxel` in a block on, and ask for fits."""
    gather(choices, images, voxel, count, block)
    prepare(choices, block.samples, block.room)
    for i in range(count):
        keep(choices, block, voxel + i, i)
    search_both(tables, choices, block.samples, block.room, block.found)
    for i in range(count):
        first, second = found_in(block.found[0], i), found_in(block.found[1], i)
        n_tasks = ask_for_both(choices, block, voxel + i, first, second, n_tasks)
    return n_tasks


@compiled
def optima_of(tables: Tables, choices: Choices, images: Singles, count: int, block: Block) -> None:
    """Find both optima of the voxels of a block, which are worth a fit."""
    n_tasks = 0
    for voxel in range(0, count, SEARCHED):
        n_tasks = look(tables, choices, images, voxel, min(SEARCHED, count - voxel), block, n_tasks)
    refine_together(tables, choices, block, n_tasks)


@compiled
def better_choice(block: Block, voxel: int) -> int:
    """Return the choice of lower cost: that tried first, or the other."""
    fits = block.fits[voxel]
    return 1 if block.is_close[voxel] and fits[1, 4] < fits[0, 4] - ROUNDING * block.energy[voxel] else 0


@compiled
def kept_fit(fit: Floats) -> tuple[float, Point]:
    """Return log T and coefficients as they were noted."""
    return fit[0], Point(fit[1], fit[2], fit[3], fit[4], 0.0, fit[5], False)


def block_space(tables: Tables) -> Block:
    """Return room for the numbers of a block."""
    n_samples = tables.axis.shape[2]
    return Block(
        columns=np.zeros(VOXELS + 1, np.int64),
        samples=np.zeros((n_samples, SEARCHED), np.float32),
        room=room_for(tables, SEARCHED),
        found=np.zeros((2, SEARCHED, 3)),
        y=np.zeros((VOXELS, n_samples), np.float32),
        smallest=np.zeros(VOXELS, np.int64),
        energy=np.zeros(VOXELS),
        signs=np.zeros(VOXELS, np.int64),
        is_close=np.zeros(VOXELS, np.bool_),
        fits=np.zeros((VOXELS, 2, N_FIT)),
        task=np.zeros((2 * VOXELS, 2), np.int64),
        start=np.zeros((2 * VOXELS, 3)),
        rows=np.zeros(ROWS * LANES),
        dots=np.zeros((3, POWERS)),
        lanes=np.zeros((LANES, 2), np.int64),
        stretch=np.zeros(LANES, np.int64),
        signal=np.zeros((LANES, n_samples)),
    )
