"""The fit of one voxel from samples to maps, number by number: search, both choices of signs, refinement, error bar.

Numba compiles it for CUDA, and for processors as parts of `block`. It does in double precision and without arrays in
between what `search`, `polarity`, `refinement` and `engine` do to many voxels at a time, which is the plain reference
that tests hold it to.
Read `fit_voxel` first.

Columns of the model are *first* (where there are two coefficients), *last* and *beside* (the companion). Names of inner
products: `g` of columns, `h` of the derivative of one with another, `s` of derivatives, `d` and `p` of columns and
derivatives with the signal; 0, 1 and 2 stand for first, last and beside.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_t1.compiling import compiled
from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.curves.polarity import ROUNDING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Places = NDArray[np.int32]

NO_SIGNAL, FITTED, UNDECIDED = int(VoxelStatus.NO_SIGNAL), int(VoxelStatus.FITTED), int(VoxelStatus.POLARITY_UNDECIDED)
AT_BOUND, NOT_FINITE = int(VoxelStatus.RATIO_AT_BOUND), int(VoxelStatus.NOT_FINITE)
TOO_LOW, BELOW, ABOVE = int(VoxelStatus.SIGNAL_TOO_LOW), int(VoxelStatus.BELOW_RANGE), int(VoxelStatus.ABOVE_RANGE)

MAPS = ("time", "time_sd", "amplitude", "ratio", "residual", "relative_error", "share")
"""Maps of numbers, in the order in which they are filled."""

MOST_STEPS = 30
"""Steps of the refinement at most."""

TOLERANCE = 3e-6
"""Last step in log T, after which nothing is computed anew: what is left after it drowns in single precision."""

LONGEST_STEP = 0.5

TRUSTED = 4.0
"""Factor between the slope of the gradient that two steps show and the information, up to which the slope is used."""

HELD = 1e30
TINY = 1e-30

LANES = 4
"""Samples are padded with zeros to a multiple of this."""


POWERS = 6
"""Coefficients of the polynomials."""


class Tables(NamedTuple):
    """The model over log T, as `lattice.tabulate` makes it."""

    axis: Singles
    """Of each dictionary, (dictionary, atom, sample)."""

    side: Singles
    cosine: Singles
    """Of half the opening of each cone, (dictionary, atom)."""

    sine: Singles
    columns: Floats
    """Polynomials of the columns in each stretch of log T, (stretch, column, power, sample)."""

    products: Floats
    """The same of the inner products of columns and derivatives, (stretch, power, product): g00, g01, g11, h00, h01,
    h10, h11, s00, s01, s11, and with a companion g02, g12, g22, h02, h12, h20, h21, h22, s02, s12, s22."""

    limit: Floats
    """Largest share of the companion, at places that lie close together."""

    mean: Floats
    """Mean of the prior on the coefficient ratio, at the same."""


class Choices(NamedTuple):
    """What is decided once per image, in units of the samples squared where it is compared with energies."""

    n_atoms: int
    n_measurements: int
    has_first: bool
    has_beside: bool
    has_prior: bool
    is_unsigned: bool
    """Whether signs are to be chosen."""

    lowest: float
    """Log T of the first atom and node."""

    low_time: float
    """First relaxation time [s]; a best value that is no later is below the range."""

    middle_time: float
    high_time: float
    atom_step: float
    stretch: float
    """Length of the stretches of log T in which the model is a polynomial."""

    fine_step: float
    """Distance of the places of `Tables.limit` and `Tables.mean`."""

    low_ratio: float
    high_ratio: float
    prior_sd: float
    threshold: float
    """Energy from which a voxel holds signal."""

    noise_floor: float
    """Taken off squared magnitudes; negative: samples are taken as they are."""

    makes_absolute: bool
    noise_variance: float
    """Typical one, which weighs prior and choices of sign."""

    known_variance: float
    """Where a fit leaves no residuals; NaN where it is not known."""

    degrees_of_freedom: float
    """Zero where a fit leaves no residuals."""

    least_noise: float
    """Share of the signal's energy that is taken for noise where nothing tells it; zero where something does."""

    close_call: float
    clear_call: float
    undecided: float
    min_signal_to_noise: float
    at_limit: float
    """Distance to a bound of the ratio that counts as being at it."""


class Room(NamedTuple):
    """Room for the search of signals side by side."""

    energy: Singles
    """That each atom explains, (atom, signal)."""

    along: Singles
    """Products with the axis of an atom, (signal), and below across it."""

    across: Singles
    best: Singles
    """Largest energy so far, (signal)."""

    atom: Places
    """Which atom explains it."""

    measured: Singles
    """Energy of each signal as it was measured, (signal)."""

    squared: Floats
    """The same of the samples that are fitted."""

    smallest: Places
    """The sample that may have either sign."""


class Work(NamedTuple):
    """Room for the numbers of one voxel."""

    samples: Singles
    """Its samples, padded with zeros to `LANES`, (sample, 1)."""

    signal: Floats
    """The same with signs, (sample)."""

    room: Room
    found: Floats
    """What the search found, (choice of signs, 1, number)."""

    dots: Floats
    """Polynomials of the products of samples and columns, (column, power)."""

    products: Floats
    """What the polynomials of `Tables.products` are at one T."""


class Moments(NamedTuple):
    """Inner products at one T."""

    g00: float
    g01: float
    g11: float
    g02: float
    g12: float
    g22: float
    h00: float
    h01: float
    h10: float
    h11: float
    h02: float
    h12: float
    h20: float
    h21: float
    h22: float
    s00: float
    s01: float
    s11: float
    s02: float
    s12: float
    s22: float
    d0: float
    d1: float
    d2: float
    p0: float
    p1: float
    p2: float


class Linear(NamedTuple):
    """Coefficients of two columns that minimise the squared residual, with what is held of them."""

    first: float
    last: float
    is_single: bool
    """Whether their ratio is held."""

    ratio: float
    """What it is held at, or drawn towards."""


class Point(NamedTuple):
    """The best coefficients at one T."""

    first: float
    last: float
    share: float
    cost: float
    gradient: float
    """Half the derivative of the explained energy with respect to log T."""

    information: float
    """Squared norm of the derivative that no coefficient could imitate."""

    is_held: bool
    """Whether a coefficient is at a bound."""


class Found(NamedTuple):
    """Where the search for one choice of signs ended, as `search.Found`."""

    gain: float
    atom: int
    offset: float


NOWHERE = Point(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False)
NOTHING = Moments(*(0.0,) * 27)


@compiled
def stretch_of(tables: Tables, choices: Choices, place: float) -> tuple[int, float]:
    """Return the stretch of a log T, and where it lies in it, from -1 to 1."""
    position = (place - choices.lowest) / choices.stretch
    stretch = min(max(int(position), 0), len(tables.columns) - 1)
    return stretch, 2.0 * (position - stretch) - 1.0


@compiled
def multiply(tables: Tables, stretch: int, y: Floats, dots: Floats) -> None:
    """Multiply a signal with the polynomials of all columns, which leaves polynomials of numbers."""
    columns = tables.columns
    for column in range(columns.shape[1]):
        a = b = c = d = e = f = 0.0
        for i in range(len(y)):
            a += columns[stretch, column, 0, i] * y[i]
            b += columns[stretch, column, 1, i] * y[i]
            c += columns[stretch, column, 2, i] * y[i]
            d += columns[stretch, column, 3, i] * y[i]
            e += columns[stretch, column, 4, i] * y[i]
            f += columns[stretch, column, 5, i] * y[i]
        dots[column, 0], dots[column, 1], dots[column, 2] = a, b, c
        dots[column, 3], dots[column, 4], dots[column, 5] = d, e, f


@compiled
def value_of(dots: Floats, column: int, t: float) -> float:
    """Return a polynomial."""
    a = dots[column]
    value: float = a[0] + t * (a[1] + t * (a[2] + t * (a[3] + t * (a[4] + t * a[5]))))
    return value


@compiled
def slope_of(dots: Floats, column: int, t: float) -> float:
    """Return its derivative."""
    a = dots[column]
    slope: float = a[1] + t * (2.0 * a[2] + t * (3.0 * a[3] + t * (4.0 * a[4] + t * 5.0 * a[5])))
    return slope


@compiled
def moments_at(tables: Tables, choices: Choices, stretch: int, t: float, work: Work) -> Moments:
    """Return the inner products at a place in a stretch."""
    p, m, dots = tables.products, work.products, work.dots
    for k in range(len(m)):
        m[k] = p[stretch, 5, k]
    for power in range(4, -1, -1):
        for k in range(len(m)):
            m[k] = m[k] * t + p[stretch, power, k]
    scale, z = 2.0 / choices.stretch, 0.0
    last = 1 if choices.has_first else 0
    d1, p1 = value_of(dots, last, t), slope_of(dots, last, t) * scale
    d0 = p0 = d2 = p2 = 0.0
    if choices.has_first:
        d0, p0 = value_of(dots, 0, t), slope_of(dots, 0, t) * scale
    if not choices.has_beside:
        return Moments(
            m[0], m[1], m[2], z, z, z, m[3], m[4], m[5], m[6], z, z, z, z, z, m[7], m[8], m[9], z, z, z,
            d0, d1, z, p0, p1, z,
        )  # fmt: skip
    d2, p2 = value_of(dots, last + 1, t), slope_of(dots, last + 1, t) * scale
    return Moments(
        m[0], m[1], m[2], m[10], m[11], m[12] + TINY, m[3], m[4], m[5], m[6], m[13], m[14], m[15], m[16], m[17],
        m[7], m[8], m[9], m[18], m[19], m[20], d0, d1, d2, p0, p1, p2,
    )  # fmt: skip


@compiled
def between(values: Floats, choices: Choices, place: float) -> tuple[float, float]:
    """Interpolate values that lie close together; return the value at a log T, and its derivative."""
    position = (place - choices.lowest) / choices.fine_step
    left = min(max(int(position), 0), len(values) - 2)
    rise = values[left + 1] - values[left]
    return values[left] + (position - left) * rise, rise / choices.fine_step


@compiled
def two_columns(
    g00: float, g01: float, g11: float, d0: float, d1: float, choices: Choices, mean: float, stiffness: float
) -> Linear:
    """Solve for one coefficient, or two whose ratio is drawn towards a mean, or kept within its bounds."""
    if not choices.has_first:
        return Linear(0.0, d1 / max(g11, TINY), True, 0.0)
    base = max(g00 + 2.0 * mean * g01 + mean * mean * g11, TINY)
    overlap = (g01 + mean * g11) / base
    side = max(g11 - overlap * overlap * base, 0.0) + stiffness + TINY
    along = (d0 + mean * d1) / base
    deviation = (d1 - overlap * (d0 + mean * d1)) / side
    first = along - overlap * deviation
    last = mean * first + deviation
    if choices.has_prior or (first > 0.0 and choices.low_ratio * first <= last <= choices.high_ratio * first):
        return Linear(first, last, False, mean)
    low, high = choices.low_ratio, choices.high_ratio
    low_norm = max(g00 + 2.0 * low * g01 + low * low * g11, TINY)
    high_norm = max(g00 + 2.0 * high * g01 + high * high * g11, TINY)
    with_low, with_high = d0 + low * d1, d0 + high * d1
    if with_low * with_low * high_norm >= with_high * with_high * low_norm:
        return Linear(with_low / low_norm, low * with_low / low_norm, True, low)
    return Linear(with_high / high_norm, high * with_high / high_norm, True, high)


@compiled
def left_over(
    g00: float, g01: float, g11: float, v0: float, v1: float, found: Linear, has_first: bool, stiffness: float
) -> float:
    """Return the squared length of what two columns explain of a vector, from its products with them."""
    if not has_first:
        return v1 * v1 / max(g11, TINY)
    ratio = found.ratio
    base = max(g00 + 2.0 * ratio * g01 + ratio * ratio * g11, TINY)
    along = v0 + ratio * v1
    explained = along * along / base
    if not found.is_single:
        overlap = (g01 + ratio * g11) / base
        across = v1 - overlap * along
        explained += across * across / (max(g11 - overlap * overlap * base, 0.0) + stiffness + TINY)
    return explained


@compiled
def solve(m: Moments, tables: Tables, choices: Choices, place: float, energy: float, stiffness: float) -> Point:
    """Solve the linear problem at a log T: a companion first free, then held where its share is not allowed.

    Parameters
    ----------
    stiffness
        Squared ratio of the noise SD to the SD that a prior gives the last coefficient; zero without a prior.
    """
    mean, bend = (choices.low_ratio + choices.high_ratio) / 2.0, 0.0
    if choices.has_prior:
        mean, bend = between(tables.mean, choices, place)
    if not choices.has_beside:
        found = two_columns(m.g00, m.g01, m.g11, m.d0, m.d1, choices, mean, stiffness)
        at_bound = choices.has_first and found.is_single
        return described(m, choices, found, 0.0, 0.0, False, at_bound, bend, energy, stiffness)
    found = two_columns(
        m.g00 - m.g02 * m.g02 / m.g22,
        m.g01 - m.g02 * m.g12 / m.g22,
        m.g11 - m.g12 * m.g12 / m.g22,
        m.d0 - m.g02 * m.d2 / m.g22,
        m.d1 - m.g12 * m.d2 / m.g22,
        choices,
        mean,
        stiffness,
    )
    beside = (m.d2 - m.g02 * found.first - m.g12 * found.last) / m.g22
    share = beside / (found.last if found.last != 0.0 else TINY)
    limit, rise = between(tables.limit, choices, place)
    if 0.0 <= share <= limit:
        at_bound = choices.has_first and found.is_single
        return described(m, choices, found, share, 0.0, True, at_bound, bend, energy, stiffness)
    held = min(max(share, 0.0), limit)
    found = two_columns(
        m.g00,
        m.g01 + held * m.g02,
        m.g11 + 2.0 * held * m.g12 + held * held * m.g22,
        m.d0,
        m.d1 + held * m.d2,
        choices,
        mean,
        stiffness,
    )
    at_bound = limit > 0.0 or (choices.has_first and found.is_single)
    return described(m, choices, found, held, rise if held > 0.0 else 0.0, False, at_bound, bend, energy, stiffness)


@compiled
def described(
    m: Moments,
    choices: Choices,
    found: Linear,
    share: float,
    rise: float,
    share_is_free: bool,
    at_bound: bool,
    bend: float,
    energy: float,
    stiffness: float,
) -> Point:
    """Return cost and derivatives of a solution whose bounds move with T: `rise` of the share, `bend` of the ratio."""
    c0, c1 = found.first, found.last
    c2 = share * c1
    moved1 = c0 * bend
    moved2 = rise * c1 + share * moved1 * (0.0 if share_is_free else 1.0)
    cost = max(energy - c0 * m.d0 - c1 * m.d1 - c2 * m.d2, 0.0)
    # Products of the derivative of the prediction with each column, first of its own derivative only.
    v0 = m.h00 * c0 + m.h10 * c1 + m.h20 * c2
    v1 = m.h01 * c0 + m.h11 * c1 + m.h21 * c2
    v2 = m.h02 * c0 + m.h12 * c1 + m.h22 * c2
    square = m.s00 * c0 * c0 + m.s11 * c1 * c1 + m.s22 * c2 * c2
    square += 2.0 * (m.s01 * c0 * c1 + m.s02 * c0 * c2 + m.s12 * c1 * c2)
    gradient = m.p0 * c0 + m.p1 * c1 + m.p2 * c2 - v0 * c0 - v1 * c1 - v2 * c2
    if moved1 != 0.0 or moved2 != 0.0:
        gradient += moved1 * (m.d1 - m.g01 * c0 - m.g11 * c1 - m.g12 * c2)
        gradient += moved2 * (m.d2 - m.g02 * c0 - m.g12 * c1 - m.g22 * c2)
        square += 2.0 * (moved1 * v1 + moved2 * v2)
        square += moved1 * moved1 * m.g11 + 2.0 * moved1 * moved2 * m.g12 + moved2 * moved2 * m.g22
        v0 += m.g01 * moved1 + m.g02 * moved2
        v1 += m.g11 * moved1 + m.g12 * moved2
        v2 += m.g12 * moved1 + m.g22 * moved2
    explained = explained_by_columns(m, choices, found, share, share_is_free, v0, v1, v2, stiffness)
    return Point(c0, c1, share, cost, gradient, square - explained, at_bound)


@compiled
def explained_by_columns(
    m: Moments,
    choices: Choices,
    found: Linear,
    share: float,
    share_is_free: bool,
    v0: float,
    v1: float,
    v2: float,
    stiffness: float,
) -> float:
    """Return the squared length of what the columns that are free explain of a vector."""
    if not share_is_free:
        return left_over(
            m.g00,
            m.g01 + share * m.g02,
            m.g11 + 2.0 * share * m.g12 + share * share * m.g22,
            v0,
            v1 + share * v2,
            found,
            choices.has_first,
            stiffness,
        )
    return v2 * v2 / m.g22 + left_over(
        m.g00 - m.g02 * m.g02 / m.g22,
        m.g01 - m.g02 * m.g12 / m.g22,
        m.g11 - m.g12 * m.g12 / m.g22,
        v0 - m.g02 * v2 / m.g22,
        v1 - m.g12 * v2 / m.g22,
        found,
        choices.has_first,
        stiffness,
    )


@compiled
def loosened(m: Moments, tables: Tables, choices: Choices, place: float, point: Point, stiffness: float) -> float:
    """Return the information, with all coefficients free where one is at a bound: a bound is no measurement."""
    if not point.is_held:
        return point.information
    mean = 0.0
    if choices.has_prior:
        mean, _ = between(tables.mean, choices, place)
    free = Linear(point.first, point.last, not choices.has_first, mean)
    loose = described(m, choices, free, point.share, 0.0, choices.has_beside, True, 0.0, 0.0, stiffness)
    return max(loose.information, TINY)


@compiled
def sample_of(columns: Floats, stretch: int, column: int, i: int, t: float) -> float:
    """Return one sample of a column."""
    a = columns[stretch, column]
    value: float = a[0, i] + t * (a[1, i] + t * (a[2, i] + t * (a[3, i] + t * (a[4, i] + t * a[5, i]))))
    return value


@compiled
def squared_residual(tables: Tables, choices: Choices, stretch: int, t: float, y: Floats, point: Point) -> float:
    """Return the squared residual from its samples: as a difference of energies it would drown in their rounding."""
    columns, beside = tables.columns, tables.columns.shape[1] - 1
    last, with_beside = (1 if choices.has_first else 0), point.share * point.last
    total = 0.0
    for i in range(len(y)):
        left = y[i] - point.last * sample_of(columns, stretch, last, i, t)
        if choices.has_first:
            left -= point.first * sample_of(columns, stretch, 0, i, t)
        if choices.has_beside:
            left -= with_beside * sample_of(columns, stretch, beside, i, t)
        total += left * left
    return total


@compiled
def cost_of(
    tables: Tables, choices: Choices, stretch: int, t: float, place: float, y: Floats, point: Point, stiffness: float
) -> float:
    """Return the squared residual, and what a prior adds to it."""
    cost = squared_residual(tables, choices, stretch, t, y, point)
    if choices.has_prior:
        deviation = point.last - between(tables.mean, choices, place)[0] * point.first
        cost += stiffness * deviation * deviation
    return cost


@compiled
def around(choices: Choices, found: Found) -> tuple[float, float, float]:
    """Return where in log T a refinement begins, and what it does not leave: the neighbours of the best atom."""
    low = choices.lowest + choices.atom_step * max(found.atom - 1, 0)
    high = choices.lowest + choices.atom_step * min(found.atom + 1, choices.n_atoms - 1)
    return choices.lowest + choices.atom_step * (found.atom + found.offset), low, high


@compiled
def refine(tables: Tables, choices: Choices, energy: float, found: Found, work: Work) -> tuple[float, Point]:
    """Move from the best atom to the nearest optimum, without leaving the atom's neighbourhood.

    Gauss-Newton, and as soon as two steps show the slope of the gradient, Newton with that slope.
    """
    y = work.signal
    place, low, high = around(choices, found)
    stiffness = HELD if choices.has_prior else 0.0
    known, t, before, gradient, seen = -1, 0.0, place, 0.0, 0.0
    point = NOWHERE
    products = NOTHING
    for _ in range(MOST_STEPS):
        stretch, t = stretch_of(tables, choices, place)
        if stretch != known:
            multiply(tables, stretch, y, work.dots)
            known = stretch
        products = moments_at(tables, choices, stretch, t, work)
        point = solve(products, tables, choices, place, energy, stiffness)
        if stiffness == HELD:
            weight = choices.prior_sd * max(point.first, TINY)
            stiffness = choices.noise_variance / (weight * weight)
            continue
        slope = max(point.information, TINY)
        if place != before:
            seen = (gradient - point.gradient) / (place - before)
            if slope < TRUSTED * seen and seen < TRUSTED * slope:
                slope = seen
        before, gradient = place, point.gradient
        place = min(max(place + min(max(gradient / slope, -LONGEST_STEP), LONGEST_STEP), low), high)
        if abs(place - before) < TOLERANCE:
            break
    cost = cost_of(tables, choices, known, t, before, y, point, stiffness)
    information = loosened(products, tables, choices, place, point, stiffness)
    return place, Point(point.first, point.last, point.share, cost, point.gradient, information, point.is_held)


@compiled
def project(samples: Singles, atom: Singles, products: Singles) -> None:
    """Multiply signals, (sample, signal), with an atom; many samples at a time, for fewer ways to memory."""
    i = 0
    while i + 3 * LANES <= len(atom):
        a, b, c, d, e, f = atom[i], atom[i + 1], atom[i + 2], atom[i + 3], atom[i + 4], atom[i + 5]
        g, h, k, m, n, o = atom[i + 6], atom[i + 7], atom[i + 8], atom[i + 9], atom[i + 10], atom[i + 11]
        for j in range(len(products)):
            one = samples[i, j] * a + samples[i + 1, j] * b + samples[i + 2, j] * c + samples[i + 3, j] * d
            two = samples[i + 4, j] * e + samples[i + 5, j] * f + samples[i + 6, j] * g + samples[i + 7, j] * h
            three = samples[i + 8, j] * k + samples[i + 9, j] * m + samples[i + 10, j] * n + samples[i + 11, j] * o
            products[j] = (one + two + three) if i == 0 else products[j] + (one + two + three)
        i += 3 * LANES
    while i < len(atom):
        a, b, c, d = atom[i], atom[i + 1], atom[i + 2], atom[i + 3]
        for j in range(len(products)):
            one = samples[i, j] * a + samples[i + 1, j] * b + samples[i + 2, j] * c + samples[i + 3, j] * d
            products[j] = one if i == 0 else products[j] + one
        i += LANES


@compiled
def explain(tables: Tables, dictionary: int, atom: int, room: Room) -> None:
    """Note the squared length of the projection of each signal on the cone of an atom, as `search._cone_gain`."""
    along, across, energy, zero = room.along, room.across, room.energy[atom], room.along.dtype.type(0.0)
    if len(tables.side) == 0:
        for j in range(len(along)):
            one = max(along[j], zero)
            energy[j] = one * one
        return
    cosine, sine = tables.cosine[dictionary, atom], tables.sine[dictionary, atom]
    for j in range(len(along)):
        a, b = along[j], abs(across[j])
        edge, beyond = max(a * cosine + b * sine, zero), min(b * cosine - a * sine, zero)
        energy[j] = edge * edge + beyond * beyond


@compiled
def keep_better(atom: int, room: Room) -> None:
    """Keep an atom where none before explained more."""
    energy, best, place = room.energy[atom], room.best, room.atom
    for j in range(len(best)):
        is_better = energy[j] >= best[j]
        best[j] = energy[j] if is_better else best[j]
        place[j] = atom if is_better else place[j]


@compiled
def vertex(room: Room, signal: int, n_atoms: int) -> Found:
    """Return the best atom of a signal and the vertex of the parabola through it and its neighbours."""
    energy, highest, atom = room.energy, float(room.best[signal]), int(room.atom[signal])
    below, above = float(energy[max(atom - 1, 0), signal]), float(energy[min(atom + 1, n_atoms - 1), signal])
    curvature = max(2.0 * highest - below - above, TINY)
    offset = min(max((above - below) / (2.0 * curvature), -0.5), 0.5)
    return Found(highest + (above - below) * offset / 4.0, atom, offset)


@compiled
def search(tables: Tables, choices: Choices, samples: Singles, room: Room, found: Floats) -> None:
    """Find the best atoms of signals side by side, (sample, signal), and note them, (signal, number)."""
    for dictionary in range(len(tables.axis)):
        for j in range(len(room.best)):
            room.best[j], room.atom[j] = -1.0, 0
        for atom in range(choices.n_atoms):
            project(samples, tables.axis[dictionary, atom], room.along)
            if len(tables.side) > 0:
                project(samples, tables.side[dictionary, atom], room.across)
            explain(tables, dictionary, atom, room)
            keep_better(atom, room)
        for j in range(len(found)):
            one = vertex(room, j, choices.n_atoms)
            if dictionary == 0 or one.gain > found[j, 0]:
                found[j, 0], found[j, 1], found[j, 2] = one.gain, one.atom, one.offset


@compiled
def found_in(found: Floats, signal: int) -> Found:
    """Return where the search for a signal ended."""
    return Found(found[signal, 0], int(found[signal, 1]), found[signal, 2])


@compiled
def load(images: Singles, column: int, count: int, choices: Choices, samples: Singles) -> None:
    """Put some voxels of images, the first of which is at `column`, side by side."""
    for i in range(choices.n_measurements):
        for j in range(count):
            samples[i, j] = images[i, column + j]


@compiled
def prepare(choices: Choices, samples: Singles, room: Room) -> None:
    """Take the noise floor off magnitudes, note energies before and after, and give the signs that are tried first."""
    zero = samples.dtype.type(0.0)
    floor = samples.dtype.type(max(choices.noise_floor, 0.0))
    measured, squared, lowest, smallest = room.measured, room.squared, room.best, room.smallest
    for j in range(len(measured)):
        measured[j], squared[j], lowest[j], smallest[j] = zero, 0.0, math.inf, 0
    for i in range(choices.n_measurements):
        for j in range(len(measured)):
            value = samples[i, j]
            square = value * value
            measured[j] += square
            if choices.noise_floor >= 0.0:
                value = math.sqrt(max(square - floor, zero))
            elif choices.makes_absolute:
                value = abs(value)
            samples[i, j] = value
            squared[j] += float(value) * float(value)
            is_lower = choices.is_unsigned and value < lowest[j]
            lowest[j] = value if is_lower else lowest[j]
            smallest[j] = i if is_lower else smallest[j]
    give_signs(choices, samples, room)


@compiled
def give_signs(choices: Choices, samples: Singles, room: Room) -> None:
    """Make samples before the smallest one of each signal negative."""
    for i in range(choices.n_measurements):
        for j in range(len(room.smallest)):
            samples[i, j] = -samples[i, j] if i < room.smallest[j] else samples[i, j]


@compiled
def turn(choices: Choices, samples: Singles, room: Room) -> None:
    """Give the smallest sample of each signal the other sign, or all samples where signs are known."""
    for i in range(choices.n_measurements):
        for j in range(len(room.smallest)):
            is_turned = i == room.smallest[j] or not choices.is_unsigned
            samples[i, j] = -samples[i, j] if is_turned else samples[i, j]


@compiled
def search_both(tables: Tables, choices: Choices, samples: Singles, room: Room, found: Floats) -> None:
    """Search for both choices of signs, and leave the second; note what is found, (choice, signal, number)."""
    search(tables, choices, samples, room, found[0])
    turn(choices, samples, room)
    search(tables, choices, samples, room, found[1])


@compiled
def unexplained_by(choices: Choices, cost: float, energy: float) -> float:
    """Return the noise variance by which two choices of signs are weighed, from the lower of their costs."""
    unexplained = max(cost / max(choices.degrees_of_freedom, 1.0), choices.noise_variance, TINY)
    return max(unexplained, choices.least_noise * energy / choices.n_measurements)


@compiled
def spread_of(
    choices: Choices,
    time: float,
    first: Point,
    second: tuple[float, Point],
    is_close: bool,
    energy: float,
    favour: float,
) -> tuple[float, float]:
    """Return the SD of the relaxation time [s], both choices of signs included, and the second one's probability."""
    cost = first.cost
    variance = choices.known_variance
    if choices.degrees_of_freedom > 0.0:
        variance = cost / max(choices.degrees_of_freedom, 1.0)
    total = time * time * variance / first.information
    if not is_close:
        return math.sqrt(total), 0.0
    unexplained = unexplained_by(choices, min(cost, second[1].cost), energy)
    probability = 1.0 / (1.0 + math.exp((second[1].cost - cost) / (2.0 * unexplained) - favour))
    other = math.exp(second[0])
    of_other = other * other * variance / second[1].information
    mixed = (1.0 - probability) * total + probability * of_other
    return math.sqrt(mixed + probability * (1.0 - probability) * (time - other) * (time - other)), probability


@compiled
def status_of(choices: Choices, time: float, point: Point, energy: float, ratio: float, probability: float) -> int:
    """Return the most serious thing there is to say about a voxel."""
    if time <= choices.low_time or time >= choices.high_time:
        return BELOW if time < choices.middle_time else ABOVE
    variance = point.cost / max(choices.degrees_of_freedom, 1.0)
    least = choices.min_signal_to_noise * choices.min_signal_to_noise * variance
    if not (energy - point.cost) / choices.n_measurements > least:
        return TOO_LOW
    if probability > choices.undecided:
        return UNDECIDED
    at_low, at_high = ratio <= choices.low_ratio + choices.at_limit, ratio >= choices.high_ratio - choices.at_limit
    return AT_BOUND if choices.has_first and (at_low or at_high) else FITTED


@compiled
def is_close_call(choices: Choices, first: float, second: float) -> bool:
    """Tell from the gains of two choices of signs whether the lower one has a chance."""
    margin = choices.close_call * max(first, second) + choices.clear_call * choices.noise_variance
    return choices.is_unsigned and abs(first - second) < margin


@compiled
def optima(
    tables: Tables, choices: Choices, energy: float, work: Work
) -> tuple[tuple[float, Point], tuple[float, Point], bool]:
    """Return the optimum of lower cost, the other one, and whether the other one has a chance."""
    samples, signal, smallest = work.samples, work.signal, work.room.smallest[0]
    search_both(tables, choices, samples, work.room, work.found)
    first, second = found_in(work.found[0], 0), found_in(work.found[1], 0)
    swapped = second.gain > first.gain
    if not swapped:
        turn(choices, samples, work.room)
    for i in range(choices.n_measurements):
        signal[i] = samples[i, 0]
    is_close = is_close_call(choices, first.gain, second.gain)
    best = other = (0.0, NOWHERE)
    for choice in range(2 if is_close else 1):
        found = refine(tables, choices, energy, second if swapped != (choice == 1) else first, work)
        if choice == 0:
            best = other = found
            signal[smallest] = -signal[smallest]
        elif found[1].cost < best[1].cost - ROUNDING * energy:
            best = found
        else:
            other = found
    return best, other, is_close


@compiled
def worth_of(choices: Choices, measured: float) -> int:
    """Return `FITTED` where the energy of a voxel is worth a fit, else why it has none."""
    if not math.isfinite(measured):
        return NOT_FINITE
    return FITTED if measured > choices.threshold else NO_SIGNAL


@compiled
def blank(maps: Singles, voxel: int) -> None:
    """Take the estimate of a voxel away."""
    for index in range(len(maps)):
        maps[index, voxel] = math.nan


@compiled
def write(
    choices: Choices,
    best: tuple[float, Point],
    other: tuple[float, Point],
    is_close: bool,
    energy: float,
    favour: float,
    voxel: int,
    maps: Singles,
    status: NDArray[np.uint8],
) -> None:
    """Fill the maps of one voxel from its fits; `favour` adds to the log odds of the other one."""
    blank(maps, voxel)
    point, time = best[1], math.exp(best[0])
    spread, probability = spread_of(choices, time, point, other, is_close, energy, favour)
    amplitude = point.first if choices.has_first else point.last
    ratio = point.last / (point.first if point.first != 0.0 else TINY) if choices.has_first else 0.0
    found = status_of(choices, time, point, energy, ratio, probability)
    status[voxel] = found
    if found in (TOO_LOW, BELOW, ABOVE):
        return
    maps[0, voxel], maps[1, voxel], maps[2, voxel] = time, spread, amplitude
    maps[3, voxel], maps[4, voxel] = ratio, math.sqrt(point.cost / max(choices.degrees_of_freedom, 1.0))
    maps[5, voxel], maps[6, voxel] = math.sqrt(point.cost / energy), point.share


@compiled
def fit_voxel(
    tables: Tables,
    choices: Choices,
    images: Singles,
    column: int,
    voxel: int,
    maps: Singles,
    status: NDArray[np.uint8],
    work: Work,
) -> None:
    """Fill the maps of one voxel, in the order of `MAPS`; NaN where it has no estimate.

    Parameters
    ----------
    images
        (measurement, voxel), magnitudes or signed.
    column, voxel
        Its place in the images, and in the maps.
    maps, status
        (map, voxel) and (voxel), which are filled.
    work
        Room.
    """
    load(images, column, 1, choices, work.samples)
    prepare(choices, work.samples, work.room)
    status[voxel] = worth_of(choices, float(work.room.measured[0]))
    if status[voxel] != FITTED:
        blank(maps, voxel)
        return
    energy = work.room.squared[0]
    best, other, is_close = optima(tables, choices, energy, work)
    write(choices, best, other, is_close, energy, 0.0, voxel, maps, status)


def room_for(tables: Tables, n_signals: int) -> Room:
    """Return room for the search of so many signals side by side."""
    return Room(
        energy=np.zeros((tables.axis.shape[1], n_signals), np.float32),
        along=np.zeros(n_signals, np.float32),
        across=np.zeros(n_signals, np.float32),
        best=np.zeros(n_signals, np.float32),
        atom=np.zeros(n_signals, np.int32),
        measured=np.zeros(n_signals, np.float32),
        squared=np.zeros(n_signals),
        smallest=np.zeros(n_signals, np.int32),
    )
