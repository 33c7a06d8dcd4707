"""The exact posterior of one voxel, number by number: densities on the nodes, and what describes them.

Numba compiles it; `likelihood` and `summary` are the plain reference, which do the same to many voxels at a time. Read
`scan_voxel` first. Whatever is done to all nodes is a loop of its own, which processors do to several nodes at once.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_t1.compiling import called, compiled, kept
from bids_t1.estimation.posterior.likelihood import LEAST_EXPLAINED, SMALLEST_ENERGY
from bids_t1.estimation.posterior.summary import (
    CANDIDATE,
    LEAST_DENSITY,
    LOWEST_MODE,
    MIDDLE,
    MOST_AT_END,
    NARROW,
    NEGLIGIBLE,
    OUTSIDE,
    SMALLEST_MODE,
    STRIDE,
    TAILS,
    TINY,
    VALLEY,
    Z,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Singles = NDArray[np.float32]

ROWS = 4
"""Factors are padded with zeros to a multiple of so many rows, which are multiplied together."""

LANES = 16
"""Nodes looked at together; their number is a multiple of it."""

NOWHERE = 1e-11
"""Density over the highest one below which a node is left out of all sums."""

LOW_SCORES = tuple(NormalDist().inv_cdf(tail) for tail in TAILS)
HIGH_SCORES = tuple(NormalDist().inv_cdf(1 - OUTSIDE + tail) for tail in TAILS)
PEAK_OF_MODE, DEPTH_OF_VALLEY, LOWEST = math.exp(-CANDIDATE), math.exp(-VALLEY), math.exp(LOWEST_MODE)

ONE, TWO, HALF, FLOOR = np.float32(1.0), np.float32(2.0), np.float32(0.5), np.float32(NEGLIGIBLE)
LEAST, SMALLEST = np.float32(LEAST_EXPLAINED), np.float32(SMALLEST_ENERGY)
PART = np.float32(1 / 256)
SECOND, THIRD, FOURTH = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24)
LOG_TWO, ROOT_HALF, MANTISSA = np.float32(math.log(2)), np.int32(0x3F3504F3), np.int32(23)
ODD3, ODD5, ODD7, ODD9 = (np.float32(2 / power) for power in (3, 5, 7, 9))


class Grid(NamedTuple):
    """The readout table of transmit fields (plane) and relaxation times (node) as the scan wants it."""

    factors: Singles
    """Of the products, then that of the amplitude, then zeros, (plane, row, node)."""

    exact: Doubles
    """The same in double precision."""

    tilts: Singles
    """Factors of what the protocol leaves open, (vector, plane, row, node)."""

    exact_tilts: Doubles
    variances: Singles
    """Its squared length, (vector, plane, node)."""

    exact_variances: Doubles
    times: Doubles
    """Relaxation times of the nodes [s]."""

    widths: Singles
    """Their quadrature weights."""

    log_prior: Singles
    """Of each plane, where the transmit field is integrated over; else empty."""

    amplitude: int
    """Row of the amplitude's factor, after those of the products."""

    n_readouts: int
    spread: float
    """By which the noise is widened where the transmit field is integrated over."""


class Room(NamedTuple):
    """Room for the numbers of one voxel."""

    products: Singles
    """Products of its readouts over twice the noise variance, 1, and zeros; as many as there are rows."""

    density: Singles
    """Of each node."""

    sum: Singles
    aligned: Singles
    explained: Singles
    lanes: Singles
    found: Singles
    """Interpolated values of the corners of its cell."""

    model: Singles
    """What is described of the model at its relaxation time."""


class Posterior(NamedTuple):
    """What is kept of a posterior, as `summary.Summary`."""

    time: float
    node: float
    mean: float
    time_sd: float
    lower: float
    upper: float
    two_modes: bool
    at_limit: bool


class Ends(NamedTuple):
    """An interval that leaves as much of a posterior as intervals do."""

    low: float
    """Place among the nodes."""

    high: float
    excess: float
    """Log density at the lower end over that at the upper one."""


@compiled
def exp_of(x: np.float32) -> np.float32:
    """Return the exponential of a number from -60 to 0 by squaring, without branches."""
    part = x * PART
    value = ONE + part * (ONE + part * (SECOND + part * (THIRD + part * FOURTH)))
    for _ in range(8):
        value = value * value
    return value


@compiled
def log_of(x: np.float32) -> np.float32:
    """Return the logarithm of a positive number, without branches."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32(np.int32(bits - ROOT_HALF) >> MANTISSA)
    part = np.int32(bits - (exponent << MANTISSA)).view(np.float32)
    ratio = (part - ONE) / (part + ONE)
    square = ratio * ratio
    series = TWO + square * (ODD3 + square * (ODD5 + square * (ODD7 + square * ODD9)))
    return np.float32(exponent) * LOG_TWO + ratio * series


@compiled
def score_of(share: float) -> float:
    """Return the normal score of a share (Abramowitz and Stegun, 26.2.23, within 4.5e-4)."""
    share = min(max(share, TINY), 1.0 - TINY)
    tail = min(share, 1.0 - share)
    t = math.sqrt(-2.0 * math.log(tail))
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    below = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    score = t - above / below
    return score if share > tail else -score


@compiled
def multiply(factors: Singles, lower: int, upper: int, share: float, products: Singles, result: Singles) -> None:
    """Multiply products with their factors (plane, row, node) between two planes, some rows at a time."""
    for row in range(0, factors.shape[1], ROWS):
        for plane in range(lower, upper + 1):
            weight = 1.0 if lower == upper else share if plane > lower else 1.0 - share
            a, b = np.float32(weight * products[row]), np.float32(weight * products[row + 1])
            c, d = np.float32(weight * products[row + 2]), np.float32(weight * products[row + 3])
            kept = np.float32(0.0) if row == 0 and plane == lower else ONE
            for k in range(len(result)):
                one = a * factors[plane, row, k] + b * factors[plane, row + 1, k]
                other = c * factors[plane, row + 2, k] + d * factors[plane, row + 3, k]
                result[k] = kept * result[k] + (one + other)


@compiled
def energy_of_products(grid: Grid, room: Room) -> np.float32:
    """Return the energy of all readouts over twice the noise variance."""
    energy = np.float32(0.0)
    for index in range(grid.n_readouts):
        energy += room.products[index]
    return energy


@compiled
def likelihood(grid: Grid, lower: int, upper: int, share: float, room: Room, result: Singles) -> None:
    """Compute the log likelihood at every node, between two planes."""
    multiply(grid.factors, lower, upper, share, room.products, result)
    if len(grid.tilts) == 0:
        return
    energy = energy_of_products(grid, room)
    amplitude, least = grid.factors[lower, grid.amplitude], LEAST * energy
    least = least if least > SMALLEST else SMALLEST
    for k in range(len(result)):
        explained = result[k] + energy - amplitude[k]
        room.explained[k] = explained if explained > least else least
    for vector in range(len(grid.tilts)):
        multiply(grid.tilts[vector], lower, upper, share, room.products, room.aligned)
        tilt(grid.variances[vector, lower], TWO * energy, room, result)


@compiled
def tilt(variances: Singles, twice_energy: np.float32, room: Room, result: Singles) -> None:
    """Integrate over what the protocol leaves open, as `likelihood._Explained.tilt`."""
    for k in range(len(result)):
        widened = ONE + twice_energy * variances[k]
        forgiven = twice_energy * room.aligned[k] * room.aligned[k]
        result[k] += forgiven / (widened * room.explained[k]) - HALF * log_of(widened)


@compiled
def likelihood_near(grid: Grid, lower: int, upper: int, share: float, node: int, room: Room) -> float:
    """Return the log likelihood at one node, in double precision."""
    low, high = (1.0 - share, share) if upper != lower else (1.0, 0.0)
    value = energy = 0.0
    for row in range(grid.amplitude + 1):
        factor = low * grid.exact[lower, row, node] + high * grid.exact[upper, row, node]
        value += float(room.products[row]) * factor
        energy += float(room.products[row]) if row < grid.n_readouts else 0.0
    explained = max(value + energy - grid.exact[lower, grid.amplitude, node], LEAST_EXPLAINED * energy, SMALLEST_ENERGY)
    for vector in range(len(grid.exact_tilts)):
        aligned = 0.0
        for row in range(grid.amplitude):
            factor = (
                low * grid.exact_tilts[vector, lower, row, node] + high * grid.exact_tilts[vector, upper, row, node]
            )
            aligned += float(room.products[row]) * factor
        widened = 1.0 + 2.0 * energy * grid.exact_variances[vector, lower, node]
        value += 2.0 * energy * aligned * aligned / (widened * explained) - 0.5 * math.log(widened)
    return value


@compiled
def highest_of(values: Singles, lanes: Singles) -> np.float32:
    """Return the largest of some values."""
    for lane in range(LANES):
        lanes[lane] = values[lane]
    for start in range(LANES, len(values), LANES):
        for lane in range(LANES):
            value = values[start + lane]
            lanes[lane] = value if value > lanes[lane] else lanes[lane]
    highest: np.float32 = lanes[0]
    for lane in range(LANES):
        highest = lanes[lane] if lanes[lane] > highest else highest
    return highest


@compiled
def soften(grid: Grid, room: Room) -> None:
    """Widen the noise by the distance of planes that are summed over, as `likelihood.ProductLikelihood.soften`."""
    energy = 2.0 * float(energy_of_products(grid, room))
    softer = np.float32(1.0 / (1.0 + energy * grid.spread * grid.spread / 12.0))
    for row in range(grid.amplitude):
        room.products[row] *= softer


@compiled
def density_of(grid: Grid, lower: int, upper: int, share: float, room: Room) -> None:
    """Compute the log likelihood at every node, or the density as `posterior_group.integrate` does."""
    density, total, highest = room.density, room.sum, -math.inf
    is_sum = len(grid.log_prior) > 1
    if is_sum:
        soften(grid, room)
        shrink(total, 0.0)
    for index in range(len(grid.log_prior) if is_sum else 1):
        low, high = (index, index) if is_sum else (lower, upper)
        likelihood(grid, low, high, share, room, density)
        if not is_sum:
            return
        top = float(highest_of(density, room.lanes)) + float(grid.log_prior[index])
        if top > highest:
            shrink(total, math.exp(max(highest - top, NEGLIGIBLE)))
            highest = top
        if top > highest + NEGLIGIBLE / 2.0:
            add_density(density, np.float32(highest - grid.log_prior[index]), total)
    for k in range(len(density)):
        density[k] = total[k]


@compiled
def shrink(values: Singles, factor: float) -> None:
    """Multiply values by a factor; zero clears them."""
    single = np.float32(factor)
    for k in range(len(values)):
        values[k] = values[k] * single if factor > 0.0 else np.float32(0.0)


@compiled
def add_density(log_density: Singles, highest: np.float32, total: Singles) -> None:
    """Add densities, relative to a highest one."""
    for k in range(len(total)):
        below = log_density[k] - highest
        total[k] += exp_of(below if below > FLOOR else FLOOR)


@compiled
def at_node(values: Doubles, node: float) -> float:
    """Interpolate values of the nodes at a place between them, through the three nearest."""
    middle = min(max(int(node + 0.5), 1), len(values) - 2)
    shift = node - middle
    before, here, after = values[middle - 1], values[middle], values[middle + 1]
    value: float = here + shift * (after - before) / 2.0 + shift * shift * (after + before - 2.0 * here) / 2.0
    return value


@compiled
def peak_of(density: Singles, lanes: Singles) -> tuple[float, int]:
    """Return the highest density and its node, the first of equals."""
    highest = highest_of(density, lanes)
    peak = len(density) - 1
    for lane in range(LANES):
        if lanes[lane] == highest:
            node = lane
            while density[node] < highest:
                node += LANES
            peak = min(peak, node)
    return float(highest), peak


@compiled
def reaches(some: Singles, least: np.float32) -> bool:
    """Tell whether one of the nodes that are looked at together has some density."""
    n_low = 0
    for lane in range(LANES):
        n_low += 1 if some[lane] < least else 0
    return n_low < LANES


@compiled
def window_of(density: Singles, least: np.float32) -> tuple[int, int]:
    """Return the first node of those looked at together that matters, or a neighbour does, and the one after the last.

    Its length is a multiple of `LANES`, too, so that all that is done to them is done in vectors.
    """
    first, last = 0, len(density)
    while not reaches(density[first : first + LANES], least):
        first += LANES
    while not reaches(density[last - LANES : last], least):
        last -= LANES
    first -= LANES if first > 0 and density[first] >= least else 0
    last += LANES if last < len(density) and density[last - 1] >= least else 0
    return first, last


@compiled
def become_weights(density: Singles, highest: float, is_log: bool) -> tuple[int, int]:
    """Make densities relative to the highest one; return the first node that matters and the one after the last."""
    top = np.float32(highest)
    first, last = window_of(density, np.float32(highest + math.log(NOWHERE) if is_log else highest * NOWHERE))
    matter = density[first:last]
    if is_log:
        for k in range(len(matter)):
            below = matter[k] - top
            matter[k] = exp_of(below if below > FLOOR else FLOOR)
    else:
        for k in range(len(matter)):
            matter[k] /= top
    return first, last


@compiled
def sum_up(
    grid: Grid, density: Singles, first: int, last: int, time: float, cumulative: Singles
) -> tuple[float, float]:
    """Make weights of densities, and their cumulative sum; return mean and SD of the relaxation time."""
    weights, widths, times = density[first:last], grid.widths[first:last], grid.times[first:last]
    reached = cumulative[first:last]
    mean = square = total = 0.0
    for k in range(len(weights)):
        weights[k] *= widths[k]
        away = times[k] - time
        mean += weights[k] * away
        square += weights[k] * away * away
    for k in range(len(weights)):
        total += weights[k]
        reached[k] = np.float32(total)
    mean /= total
    return time + mean, math.sqrt(max(square / total - mean * mean, 0.0))


@compiled
def valley_of(density: Singles, first: int, last: int) -> tuple[int, bool]:
    """Return the node of the valley between the two highest modes, -1 for none; whether the lower one is high."""
    start, stop = (first + STRIDE - 1) // STRIDE, (last + STRIDE - 1) // STRIDE
    one = two = 0.0
    at_one = at_two = -1
    before = -1.0
    for place in range(start, stop):
        value = float(density[place * STRIDE])
        after = float(density[(place + 1) * STRIDE]) if place + 1 < stop else -1.0
        if value > before and value >= after and value > PEAK_OF_MODE:
            if value > one:
                two, at_two, one, at_one = one, at_one, value, place
            elif value > two:
                two, at_two = value, place
        before = value
    if at_two < 0:
        return -1, False
    lowest, valley = 2.0, 0
    for place in range(min(at_one, at_two), max(at_one, at_two) + 1):
        value = float(density[place * STRIDE])
        if value < lowest:
            lowest, valley = value, place
    return (valley * STRIDE if lowest < two * DEPTH_OF_VALLEY else -1), two > LOWEST


@compiled
def reached(weights: Singles, cumulative: Singles, node: int, first: int, last: int) -> float:
    """Return the distribution function at a node, as `summary._quantiles`, not yet divided by the total."""
    if node < first:
        return 0.0
    if node >= last:
        return float(cumulative[last - 1])
    end = len(weights) - 1
    if node == 0:
        return float(cumulative[0]) - float(weights[0])
    if node == end:
        return float(cumulative[end])
    before = float(weights[node - 1]) if node > first else 0.0
    after = float(weights[node + 1]) if node + 1 < last else 0.0
    return float(cumulative[node]) - float(weights[node]) / 2.0 - (after - before) / 24.0


@compiled
def quantile(weights: Singles, cumulative: Singles, first: int, last: int, probability: float, target: float) -> float:
    """Interpolate the place among the nodes below which lies a share of the posterior, as `summary._quantiles`."""
    end, total = len(weights) - 1, float(cumulative[last - 1])
    wanted = np.float32(total * probability)
    low, high = first, last - 1
    while low < high:
        half = (low + high) // 2
        if cumulative[half] < wanted:
            low = half + 1
        else:
            high = half
    centre = min(max(low, 1), end - 1)
    middle = reached(weights, cumulative, centre, first, last)
    is_below = score_of(middle / total) < target
    node = centre if is_below else centre - 1
    other = reached(weights, cumulative, 2 * node + 1 - centre, first, last)
    left, right = (middle, other) if is_below else (other, middle)
    if (centre == 1 and not is_below) or (centre == end - 1 and is_below):
        share = (total * probability - left) / max(right - left, TINY)
    else:
        score = score_of(left / total)
        share = (target - score) / max(score_of(right / total) - score, TINY)
    return node + min(max(share, 0.0), 1.0)


@compiled
def log_density_at(grid: Grid, weights: Singles, first: int, last: int, place: float) -> float:
    """Interpolate the log density at a place, as `summary._log_density_at`."""
    middle = min(max(int(place + 0.5), 1), len(weights) - 2)
    before = here = after = 0.0
    for node in range(middle - 1, middle + 2):
        density = float(weights[node]) / float(grid.widths[node]) if first <= node < last else 0.0
        before, here, after = here, after, math.log(max(density, LEAST_DENSITY))
    shift = place - middle
    return here + shift * (after - before) / 2.0 + shift * shift * (after + before - 2.0 * here) / 2.0


@compiled
def ends_of(grid: Grid, weights: Singles, cumulative: Singles, first: int, last: int, tail: int) -> Ends:
    """Find the interval that leaves a tail of `TAILS` below."""
    low = quantile(weights, cumulative, first, last, TAILS[tail], LOW_SCORES[tail])
    high = quantile(weights, cumulative, first, last, TAILS[tail] + (1.0 - OUTSIDE), HIGH_SCORES[tail])
    excess = log_density_at(grid, weights, first, last, low) - log_density_at(grid, weights, first, last, high)
    return Ends(low, high, excess)


@compiled
def interval(
    grid: Grid, weights: Singles, cumulative: Singles, first: int, last: int, two_modes: bool
) -> tuple[float, float]:
    """Return the ends of the interval of highest density, as `summary._interval`."""
    equal = ends_of(grid, weights, cumulative, first, last, MIDDLE)
    at_first = weights[0] / grid.widths[0] if first == 0 else 0.0
    at_last = weights[-1] / grid.widths[-1] if last == len(weights) else 0.0
    if not two_modes and max(at_first, at_last) <= MOST_AT_END:
        step = 1 if equal.excess <= 0.0 else -1
        one, tail = equal, MIDDLE + step
        while 0 <= tail < len(TAILS):
            other = ends_of(grid, weights, cumulative, first, last, tail)
            if (other.excess > 0.0) == (step > 0):
                share = min(max(-one.excess / (other.excess - one.excess), 0.0), 1.0)
                low, high = one.low + share * (other.low - one.low), one.high + share * (other.high - one.high)
                return at_node(grid.times, low), at_node(grid.times, high)
            one, tail = other, tail + step
    return at_node(grid.times, equal.low), at_node(grid.times, equal.high)


@called
def is_narrow(times: Doubles, inner: int, curvature: float, time_sd: float) -> bool:
    """Tell whether a posterior is narrower than the nodes around its peak, and has all that it holds there."""
    return curvature > 1.0 and time_sd < (times[inner + 1] - times[inner - 1]) * (NARROW / 2.0)


@called
def scan_voxel(grid: Grid, lower: int, upper: int, share: float, room: Room) -> Posterior:
    """Compute and describe the posterior of a voxel whose products are in `room`.

    Parameters
    ----------
    lower, upper, share
        Planes that the transmit field lies between, and its share of the way; of no meaning where it is integrated
        over.
    """
    density, is_log = room.density, len(grid.log_prior) <= 1
    density_of(grid, lower, upper, share, room)
    highest, peak = peak_of(density, room.lanes)
    end = len(density) - 1
    at_limit, inner = peak == 0 or peak == end, min(max(peak, 1), end - 1)
    below = here = above = 0.0
    for node in range(inner - 1, inner + 2):
        below, here = here, above
        if is_log:
            above = likelihood_near(grid, lower, upper, share, node, room)
        else:
            above = math.log(max(density[node], LEAST_DENSITY))
    curvature = max(2.0 * here - below - above, TINY)
    place = float(peak) if at_limit else inner + min(max((above - below) / (2.0 * curvature), -0.5), 0.5)
    time = at_node(grid.times, place)
    first, last = become_weights(density, highest, is_log)
    valley, is_high = valley_of(density, first, last)
    mean, time_sd = sum_up(grid, density, first, last, time, room.sum)
    two_modes = False
    if valley >= 0:
        share_below = float(room.sum[valley]) / float(room.sum[last - 1])
        two_modes = is_high or min(share_below, 1.0 - share_below) > SMALLEST_MODE
    if is_narrow(grid.times, inner, curvature, time_sd) and not two_modes and not at_limit:
        reach = Z / math.sqrt(curvature)
        low, high = at_node(grid.times, place - reach), at_node(grid.times, place + reach)
        return Posterior(time, place, time, (high - low) / (2.0 * Z), low, high, False, False)
    low, high = interval(grid, density, room.sum, first, last, two_modes)
    return Posterior(time, place, mean, time_sd, low, high, two_modes, at_limit)


@kept
def scan_voxels(
    grid: Grid, statistics: Singles, lower: int, upper: int, shares: Singles, found: Singles, flags: NDArray[np.bool_],
    room: Room,
) -> None:  # fmt: skip
    """Describe the posteriors of voxels between two planes, from their statistics (voxel, statistic).

    Fills `found` (quantity, voxel), in the order of `Posterior`, and `flags` (2, voxel).
    """
    for voxel in range(len(statistics)):
        for row in range(grid.amplitude):
            room.products[row] = statistics[voxel, row]
        room.products[grid.amplitude] = ONE
        one = scan_voxel(grid, lower, upper, float(shares[voxel]), room)
        found[0, voxel], found[1, voxel], found[2, voxel] = one.time, one.node, one.mean
        found[3, voxel], found[4, voxel], found[5, voxel] = one.time_sd, one.lower, one.upper
        flags[0, voxel], flags[1, voxel] = one.two_modes, one.at_limit
