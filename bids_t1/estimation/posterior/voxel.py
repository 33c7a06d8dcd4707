"""The posterior of one voxel from its readouts to its maps, number by number, without anything in between.

Numba compiles it; `posterior_group`, `tabulated` and `lookup` are the plain reference, which do the same to many voxels
at a time. Read `estimate_voxel` first: what two readouts say is looked up where the table holds it, else scanned.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_t1.compiling import compiled, kept
from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.posterior.scan import Grid, Posterior, Room, at_node, exp_of, scan_voxel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Flags = NDArray[np.uint8]

NO_SIGNAL, FITTED, NOT_FINITE = int(VoxelStatus.NO_SIGNAL), int(VoxelStatus.FITTED), int(VoxelStatus.NOT_FINITE)
DOUBTFUL, AT_LIMIT = int(VoxelStatus.INVERSION_DOUBTFUL), int(VoxelStatus.AT_PRIOR_LIMIT)
TWO_MODES, UNSURE = int(VoxelStatus.TWO_MODES), int(VoxelStatus.LOW_CONFIDENCE)
TOO_LOW = int(VoxelStatus.SIGNAL_TOO_LOW)

COMPLEX, WITH_UNI, POSITIVE = 0, 1, 2
"""Kinds of input: complex readouts; magnitudes with UNI; magnitudes of readouts that are never negative."""

N_VALUES = 8
"""Numbers at each corner of a cell: five, and zeros that fill a vector."""

N_DESCRIBED = 5
"""Quantities that the density of UNI needs of the model; the directions of all readouts follow."""

LEAST_SQUARE = 1e-300

EIGHTH = math.tan(math.pi / 8)

MOST_UNI = 0.5
"""Largest S that there is."""

FAR = np.float32(20.0)
"""Exponent from which on a density counts for nothing."""

ZERO, ONE, HALF, ROOT = np.float32(0.0), np.float32(1.0), np.float32(0.5), np.float32(math.sqrt(0.5))

SERIES = 7.75
"""Argument from which Bessel functions are taken from their expansion for large ones."""

LEAST_LARGE, EIGHTH_PART = np.float32(SERIES), np.float32(1 / 8)
THREE, FOUR_OVER_PI = np.float32(3.0), np.float32(4 / math.pi)
I0 = tuple(np.float32(value) for value in (4.5, 37.5, 459.375, 7441.875, 150077.8125))
I1 = tuple(np.float32(value) for value in (7.5, 52.5, 590.625, 9095.625, 177364.6875))

OF_I0 = tuple(1.0 / math.factorial(k) ** 2 for k in range(26))
OF_I1 = tuple(1.0 / (math.factorial(k) * math.factorial(k + 1)) for k in range(26))


class Corners(NamedTuple):
    """`tabulated.SummaryTable`; without planes, where nothing is tabulated."""

    values: Singles
    """(plane * width * angle, value)."""

    is_good: NDArray[np.bool_]
    first_plane: int
    n_planes: int
    n_widths: int
    n_angles: int
    log_narrowest: float
    step: float
    """Distance of the widths, in their logarithm."""

    growth: float
    """By what share a width is larger than the one before."""


class Field(NamedTuple):
    """A transmit field that is known, or integrated over."""

    grid: Grid
    corners: Corners
    log_times: Doubles
    described: Singles
    """`posterior_group.Field.described`, (plane, node, quantity), and zeros that fill vectors."""

    by_plane: Singles
    """The first five of its quantities where the transmit field is integrated over, (node, quantity, plane)."""

    shares: Doubles
    """Probability of each plane, where the transmit field is integrated over; else empty."""

    uni: Singles
    """S at every plane and node."""

    turns: NDArray[np.int64]
    """Nodes between which S rises or falls, (plane, turn); after the last one, the last node again."""

    reference: int


class Rules(NamedTuple):
    """What is decided once per image."""

    kind: int
    n_readouts: int
    has_field: bool
    """Whether there is a map of the transmit field."""

    lowest: float
    """Transmit field of the first plane of its table."""

    highest: float
    noise_sd: float
    threshold: float
    """Energy from which a voxel holds signal."""

    beta: float
    """Regularisation of robust UNI."""

    plane_step: float
    lowest_transmit: float
    least_norm: float
    least_confidence: float


class Fused(NamedTuple):
    """The fields of an image, that of a map first, and what else is decided once."""

    fields: tuple[Field, ...]
    rules: Rules


class Place(NamedTuple):
    """Where a voxel lies in a lattice of widths and angles."""

    cell: int
    next_angle: int
    across: float
    along: float
    is_inside: bool


@compiled
def angle_of(y: float, x: float) -> float:
    """Return the angle of a vector, 0 to 1 for a whole turn."""
    wide, high = abs(x), abs(y)
    ratio = min(wide, high) / max(wide, high, LEAST_SQUARE)
    bent = ratio > EIGHTH
    t = (ratio - 1.0) / (ratio + 1.0) if bent else ratio
    s = t * t
    series = 1.0 / 3.0 - s * (1.0 / 5.0 - s * (1.0 / 7.0 - s * (1.0 / 9.0 - s * (1.0 / 11.0 - s / 13.0))))
    turn = (t - t * s * series) / (2.0 * math.pi) + (0.125 if bent else 0.0)
    turn = 0.25 - turn if high > wide else turn
    turn = 0.5 - turn if x < 0.0 else turn
    return 1.0 - turn if y < 0.0 else turn


@compiled
def exp_near(x: float) -> float:
    """Return the exponential of a number near 0: within 4e-8 up to 0.3."""
    return 1.0 + x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))))


@compiled
def place_of(first: float, second: float, cross: float, corners: Corners) -> Place:
    """Place a voxel by its products of two readouts over twice the noise variance, as `tabulated.Places`."""
    difference, twice = first - second, 2.0 * cross
    concentration = difference * difference + twice * twice
    turned = angle_of(twice, difference) * corners.n_angles
    column = min(int(turned), corners.n_angles - 1)
    log_width = math.log(max(concentration, LEAST_SQUARE)) / -4.0
    row = (log_width - corners.log_narrowest) / corners.step
    inside = 0.0 <= row < corners.n_widths - 1
    whole = int(row) if inside else 0
    return Place(
        whole * corners.n_angles + column,
        1 - corners.n_angles if column == corners.n_angles - 1 else 1,
        turned - column,
        (exp_near((row - whole) * corners.step) - 1.0) / corners.growth,
        inside,
    )


@compiled
def look_up(field: Field, at: int, place: Place, share: float, found: Singles) -> None:
    """Interpolate the values at the corners of a cell, between four of one plane or eight of two."""
    values, angle, width = field.corners.values, place.next_angle, field.corners.n_angles
    across, along, between = np.float32(place.across), np.float32(place.along), np.float32(share)
    for k in range(N_VALUES):
        low = values[at, k] + across * (values[at + angle, k] - values[at, k])
        high = values[at + width, k] + across * (values[at + width + angle, k] - values[at + width, k])
        found[k] = low + along * (high - low)
    if len(field.shares) > 0:
        return
    at += field.corners.n_widths * field.corners.n_angles
    for k in range(N_VALUES):
        low = values[at, k] + across * (values[at + angle, k] - values[at, k])
        high = values[at + width, k] + across * (values[at + width + angle, k] - values[at + width, k])
        found[k] += between * (low + along * (high - low) - found[k])


@compiled
def time_at(field: Field, place: float) -> float:
    """Return the relaxation time at a place, straight in its logarithm between two nodes."""
    times, logs = field.grid.times, field.log_times
    left = min(max(int(place), 0), len(times) - 2)
    time: float = times[left] * exp_near((place - left) * (logs[left + 1] - logs[left]))
    return time


@compiled
def summarised(field: Field, lower: int, share: float, room: Room) -> Posterior:
    """Look the posterior up, of the voxel whose products are in `room`, or compute it."""
    corners, products = field.corners, room.products
    is_known = len(field.shares) == 0
    if corners.n_planes > 0:
        plane = lower - corners.first_plane
        if 0 <= plane < corners.n_planes - (1 if is_known else 0):
            place = place_of(float(products[0]), float(products[1]), float(products[2]), corners)
            at = place.cell + plane * corners.n_widths * corners.n_angles
            if place.is_inside and corners.is_good[at]:
                found = room.found
                look_up(field, at, place, share, found)
                node, mean = np.float64(found[0]), time_at(field, np.float64(found[1]))
                low, high = time_at(field, np.float64(found[2])), time_at(field, np.float64(found[3]))
                time_sd = math.exp(np.float64(found[4]))
                return Posterior(at_node(field.grid.times, node), node, mean, time_sd, low, high, False, False)
    return scan_voxel(field.grid, lower, lower + 1 if is_known else lower, share, room)


@compiled
def bessel(x: float) -> tuple[float, float]:
    """Return the modified Bessel functions of order 0 and 1, over the exponential of their argument."""
    if x < SERIES:
        square = x * x / 4.0
        zero, one = OF_I0[25], OF_I1[25]
        for k in range(24, -1, -1):
            zero, one = zero * square + OF_I0[k], one * square + OF_I1[k]
        scale = math.exp(-x)
        return zero * scale, one * scale * x / 2.0
    r = 1.0 / (8.0 * x)
    zero = 1.0 + r * (1.0 + r * (I0[0] + r * (I0[1] + r * (I0[2] + r * (I0[3] + r * I0[4])))))  # type: ignore[assignment]
    one = 1.0 - r * (3.0 + r * (I1[0] + r * (I1[1] + r * (I1[2] + r * (I1[3] + r * I1[4])))))  # type: ignore[assignment]
    scale = math.sqrt(8.0 * r / (2.0 * math.pi))
    return zero * scale, one * scale


@compiled
def density_of_uni(u: float, v: float, uni: float) -> float:
    """Return the density of S, as `uni.log_density_of_uni`, from sum and difference of the readouts over sqrt(2)."""
    share = min(max(uni + 0.5, 0.0), 1.0)
    root_u, root_v = math.sqrt(share), math.sqrt(1.0 - share)
    mismatch = u * root_v - v * root_u
    alpha, beta = u * root_u, v * root_v
    product = alpha * beta
    zero, one = bessel(product)
    scale = math.exp(-mismatch * mismatch / 2.0) / 2.0
    return scale * ((2.0 + alpha * alpha + beta * beta) * zero + 2.0 * product * one)


@compiled
def describe_at(field: Field, lower: int, share: float, node: float, model: Singles) -> None:
    """Interpolate what is described of the model at a place among the nodes, through the three nearest.

    Where the transmit field is known, it lies between two planes.
    """
    values = field.described
    middle = min(max(int(node + 0.5), 1), values.shape[1] - 2)
    shift = np.float32(node - middle)
    a, b, c = HALF * shift * (shift - ONE), ONE - shift * shift, HALF * shift * (shift + ONE)
    upper = lower if len(field.shares) > 0 else lower + 1
    for k in range(len(model)):
        low = a * values[lower, middle - 1, k] + b * values[lower, middle, k] + c * values[lower, middle + 1, k]
        high = a * values[upper, middle - 1, k] + b * values[upper, middle, k] + c * values[upper, middle + 1, k]
        model[k] = low + np.float32(share) * (high - low)


@compiled
def sums_over_planes(field: Field, node: float, uni: float, amplitude: float, room: Room) -> None:
    """Compute sum and difference of the readouts over sqrt(2) at all planes, and half the square of their mismatch.

    They are left in `aligned`, `explained` and `density`.
    """
    rows = field.by_plane
    middle = min(max(int(node + 0.5), 1), len(rows) - 2)
    shift = node - middle
    a, b = np.float32(shift * (shift - 1.0) / 2.0), np.float32(1.0 - shift * shift)
    c, strength = np.float32(shift * (shift + 1.0) / 2.0), np.float32(amplitude)
    share = min(max(uni + 0.5, 0.0), 1.0)
    root_u, root_v = np.float32(math.sqrt(share)), np.float32(math.sqrt(1.0 - share))
    below, here, above = rows[middle - 1], rows[middle], rows[middle + 1]
    blur = np.float32(field.grid.spread * field.grid.spread / 12.0)
    for k in range(rows.shape[2]):
        norm = a * below[0, k] + b * here[0, k] + c * above[0, k]
        variance = a * below[1, k] + b * here[1, k] + c * above[1, k] + blur
        first = a * below[2, k] + b * here[2, k] + c * above[2, k]
        second = a * below[3, k] + b * here[3, k] + c * above[3, k]
        whole = a * below[4, k] + b * here[4, k] + c * above[4, k]
        size = strength * norm / whole
        variance = variance if variance > ZERO else ZERO
        size = size * ROOT / math.sqrt(ONE + size * size * variance)
        u, v = abs(first + second) * size, abs(first - second) * size
        mismatch = u * root_v - v * root_u
        room.aligned[k], room.explained[k], room.density[k] = u, v, HALF * mismatch * mismatch


@compiled
def densities_of_uni(uni: float, n_planes: int, room: Room) -> int:
    """Compute densities of S as `density_of_uni`, from what `sums_over_planes` has left, into `sum`.

    They are those of large arguments of the Bessel functions; returns how many are not, which are left as -1.
    """
    share = min(max(uni + 0.5, 0.0), 1.0)
    root_u, root_v = np.float32(math.sqrt(share)), np.float32(math.sqrt(1.0 - share))
    n_left = 0
    for k in range(n_planes):
        alpha, beta, unlikely = room.aligned[k] * root_u, room.explained[k] * root_v, room.density[k]
        product = alpha * beta
        r = EIGHTH_PART / product
        zero = ONE + r * (ONE + r * (I0[0] + r * (I0[1] + r * (I0[2] + r * (I0[3] + r * I0[4])))))
        one = ONE - r * (THREE + r * (I1[0] + r * (I1[1] + r * (I1[2] + r * (I1[3] + r * I1[4])))))
        weight = ONE + ONE + alpha * alpha + beta * beta
        is_near, is_small = unlikely < FAR, product < LEAST_LARGE
        scale = exp_of(-(unlikely if is_near else FAR)) * HALF * math.sqrt(r * FOUR_OVER_PI)
        density = scale * (weight * zero + (product + product) * one)
        room.sum[k] = (-ONE if is_small else density) if is_near else ZERO
        n_left += 1 if is_near and is_small else 0
    return n_left


@compiled
def density_over_planes(field: Field, node: float, uni: float, amplitude: float, room: Room) -> float:
    """Return the density of S, summed over the transmit fields."""
    sums_over_planes(field, node, uni, amplitude, room)
    n_planes, total = len(field.shares), 0.0
    if densities_of_uni(uni, n_planes, room) > 0:
        for plane in range(n_planes):
            if room.sum[plane] < 0.0:
                room.sum[plane] = density_of_uni(float(room.aligned[plane]), float(room.explained[plane]), uni)
    for plane in range(n_planes):
        total += field.shares[plane] * room.sum[plane]
    return total


@compiled
def density_of_known(model: Singles, uni: float, amplitude: float) -> float:
    """Return the density of S at a transmit field that is known, of what is described of the model there."""
    variance, first, second = max(float(model[1]), 0.0), float(model[2]), float(model[3])
    strength = amplitude * float(model[0]) / float(model[4])
    widened = strength / math.sqrt(2.0 * (1.0 + strength * strength * variance))
    return density_of_uni(abs(first + second) * widened, abs(first - second) * widened, uni)


@compiled
def confidence_of(field: Field, node: float, uni: float, amplitude: float, room: Room) -> float:
    """Return how much likelier S is than under noise alone, as a probability."""
    if not abs(uni) <= MOST_UNI:
        return 0.0
    if len(field.shares) > 0:
        density = density_over_planes(field, node, uni, amplitude, room)
    else:
        density = density_of_known(room.model, uni, amplitude)
    return density / (1.0 + density)


@compiled
def crossing(values: Singles, first: int, last: int, wanted: float, guess: int) -> float:
    """Return the place where values that rise or fall from one node to another are as wanted."""
    sign = 1.0 if values[last] > values[first] else -1.0
    low, high = first, last
    guess = min(max(guess, first), last)
    step = 1
    if sign * values[guess] < sign * wanted:
        low = guess
        while low + step < last and sign * values[low + step] < sign * wanted:
            low += step
            step *= 2
        high = min(low + step, last)
    else:
        high = guess
        while high - step > first and sign * values[high - step] >= sign * wanted:
            high -= step
            step *= 2
        low = max(high - step, first)
    while high - low > 1:
        half = (low + high) // 2
        if sign * values[half] < sign * wanted:
            low = half
        else:
            high = half
    right = min(max(high, first + 1), last)
    before, after = float(values[right - 1]), float(values[right])
    return right - 1 + (wanted - before) / (after - before)


@compiled
def stretch_of(turns: NDArray[np.int64], node: float) -> int:
    """Return the stretch between two turns that a place among the nodes lies in."""
    stretch = 0
    while stretch < len(turns) - 2 and turns[stretch + 1] < node:
        stretch += 1
    return stretch


@compiled
def nearest(field: Field, plane: int, uni: float, time: float, node: float) -> float:
    """Return the relaxation time with the measured S, of several that nearest to `time`, as `lookup.LookUp`."""
    values, turns, times = field.uni[plane], field.turns[plane], field.grid.times
    found, home = math.nan, stretch_of(turns, node)
    for turn in range(len(turns) - 1):  # the one around the node first: others are mostly further off
        stretch = home if turn == 0 else turn - 1 if turn <= home else turn
        first, last = turns[stretch], turns[stretch + 1]
        if first == last:
            continue
        one, other = float(values[first]), float(values[last])
        if not min(one, other) <= uni <= max(one, other):
            continue
        if abs(found - time) <= max(times[first] - time, time - times[last]):
            continue
        place = crossing(values, first, last, uni, int(node))
        left = min(max(int(place), first), last - 1)
        candidate = times[left] + (place - left) * (times[left + 1] - times[left])
        if not abs(candidate - time) >= abs(found - time):
            found = candidate
    return found


@compiled
def nearest_between(field: Field, lower: int, share: float, uni: float, time: float, node: float) -> float:
    """Do so between two planes, where the transmit field is known."""
    low = high = 0.0
    for plane in range(lower, lower + (1 if len(field.shares) > 0 else 2)):
        low, high = high, nearest(field, plane, uni, time, node)
    return high if len(field.shares) > 0 else low + share * (high - low)


@compiled
def energy_of(images: Singles, voxel: int, n_readouts: int) -> float:
    """Return the squared norm of some readouts."""
    energy = np.float32(0.0)
    for readout in range(n_readouts):
        for part in range(images.shape[2]):
            energy += images[readout, voxel, part] * images[readout, voxel, part]
    return float(energy)


@compiled
def cross_of(images: Singles, voxel: int, one: int, other: int) -> float:
    """Return the product of two readouts, Re(conj(g_j) g_k)."""
    product = np.float32(0.0)
    for part in range(images.shape[2]):
        product += images[one, voxel, part] * images[other, voxel, part]
    return float(product)


@compiled
def load_products(images: Singles, uni: Singles, voxel: int, rules: Rules, amplitude: int, room: Room) -> None:
    """Compute the products of readouts over twice the noise variance, as `likelihood.products_of_readouts`."""
    n, products, scale = rules.n_readouts, room.products, 1.0 / (2.0 * rules.noise_sd * rules.noise_sd)
    row = n
    for readout in range(n):
        square = cross_of(images, voxel, readout, readout)
        if rules.kind == POSITIVE:
            square = max(square - rules.noise_sd * rules.noise_sd, 0.0)
        products[readout] = np.float32(square * scale)
        for other in range(readout + 1, n):
            products[row] = np.float32(cross_of(images, voxel, readout, other) * scale)
            row += 1
    if rules.kind == WITH_UNI:
        products[n] = np.float32(float(uni[voxel]) * (float(products[0]) + float(products[1])))
    if rules.kind == POSITIVE:
        row = n
        for readout in range(n):
            for other in range(readout + 1, n):
                products[row] = np.float32(math.sqrt(float(products[readout]) * float(products[other])))
                row += 1
    products[amplitude] = np.float32(1.0)


@compiled
def uni_of(images: Singles, uni: Singles, voxel: int, rules: Rules) -> float:
    """Return S, measured or of the first two readouts."""
    if rules.kind == WITH_UNI:
        return float(uni[voxel])
    return cross_of(images, voxel, 0, 1) / energy_of(images, voxel, 2)


@compiled
def explained(model: Singles, images: Singles, voxel: int, rules: Rules) -> float:
    """Return what the model explains of the readouts; magnitudes get the signs of the model."""
    real = imaginary = 0.0
    for readout in range(rules.n_readouts):
        direction = float(model[N_DESCRIBED + readout])
        if rules.kind == COMPLEX:
            real += direction * float(images[readout, voxel, 0])
            imaginary += direction * float(images[readout, voxel, 1])
        else:
            real += abs(direction) * float(images[readout, voxel, 0])
    return math.sqrt(real * real + imaginary * imaginary)


@compiled
def initial_status(images: Singles, uni: Singles, voxel: int, rules: Rules) -> int:
    """Tell background and what is not finite from a voxel with signal."""
    energy = energy_of(images, voxel, rules.n_readouts)
    if not math.isfinite(energy):
        return NOT_FINITE
    if not energy > rules.threshold or (rules.kind == WITH_UNI and not math.isfinite(uni[voxel])):
        return NO_SIGNAL
    return FITTED


@compiled
def status_of(posterior: Posterior, rules: Rules, transmit: float, confidence: float, norm: float) -> int:
    """Return the most serious thing there is to say about a voxel."""
    if norm < rules.least_norm:
        return TOO_LOW
    if confidence < rules.least_confidence:
        return UNSURE
    if posterior.two_modes:
        return TWO_MODES
    if posterior.at_limit:
        return AT_LIMIT
    return DOUBTFUL if transmit < rules.lowest_transmit else FITTED


@compiled
def fill_uni(images: Singles, uni: Singles, voxel: int, rules: Rules, maps: Singles, target: int) -> None:
    """Fill UNI and robust UNI, which background has too."""
    if rules.kind == POSITIVE:
        return
    energy = energy_of(images, voxel, 2)
    product = float(uni[voxel]) * energy if rules.kind == WITH_UNI else cross_of(images, voxel, 0, 1)
    maps[7, target] = product / energy
    maps[8, target] = (product - rules.beta) / (energy + 2.0 * rules.beta)


@compiled
def transmit_of(rules: Rules, transmit: Singles, voxel: int) -> float:
    """Return the transmit field of a voxel; NaN where it is not known, or not in the table."""
    if not rules.has_field:
        return math.nan
    value = float(transmit[voxel])
    return value if rules.lowest <= value <= rules.highest else math.nan


@compiled
def plane_of(field: Field, rules: Rules, transmit: float) -> tuple[int, float]:
    """Return the plane below a transmit field, and its share of the way to the next."""
    if len(field.shares) > 0:
        return field.reference, 0.0
    position = (transmit - rules.lowest) / rules.plane_step
    lower = min(max(int(position), 0), len(field.described) - 2)
    return lower, min(max(position - lower, 0.0), 1.0)


@compiled
def estimate_voxel(
    field: Field,
    rules: Rules,
    images: Singles,
    uni: Singles,
    transmit: float,
    voxel: int,
    maps: Singles,
    flags: Flags,
    target: int,
    room: Room,
) -> None:
    """Fill the maps of one voxel, in the order of `posterior.MAPS`; they stay as they are where it has no estimate.

    Parameters
    ----------
    field
        The table: of transmit fields that are known, or that are integrated over.
    images, uni
        (readout, voxel, real and imaginary part), and (voxel), which may be empty.
    transmit
        Transmit field of the voxel.
    voxel, target
        Its place in the images, and in the maps.
    maps, flags
        (map, voxel) and (flag, voxel): two modes, and status.
    room
        Room.
    """
    fill_uni(images, uni, voxel, rules, maps, target)
    status = initial_status(images, uni, voxel, rules)
    flags[0, target], flags[1, target] = 0, status
    if status != FITTED:
        return
    maps[10, target] = transmit
    lower, share = plane_of(field, rules, transmit)
    load_products(images, uni, voxel, rules, field.grid.amplitude, room)
    posterior = summarised(field, lower, share, room)
    measured = uni_of(images, uni, voxel, rules)
    describe_at(field, lower, share, posterior.node, room.model)
    norm = explained(room.model, images, voxel, rules)
    confidence = confidence_of(field, posterior.node, measured, norm / rules.noise_sd, room)
    status = status_of(posterior, rules, transmit, confidence, norm)
    flags[1, target] = status
    if status == TOO_LOW:
        return
    flags[0, target] = posterior.two_modes
    maps[0, target], maps[1, target], maps[2, target] = posterior.time, posterior.mean, posterior.time_sd
    maps[3, target], maps[4, target] = posterior.lower, posterior.upper
    maps[5, target] = nearest_between(field, lower, share, measured, posterior.time, posterior.node)
    maps[6, target] = confidence
    maps[9, target] = norm / float(room.model[4])


@kept
def estimate_voxels(
    field: Field,
    rules: Rules,
    images: Singles,
    uni: Singles,
    transmit: Singles,
    start: int,
    maps: Singles,
    flags: Flags,
    room: Room,
) -> None:
    """Fill the maps of those voxels that a table is for, from `start` on; see `estimate_voxel`."""
    for voxel in range(images.shape[1]):
        value = transmit_of(rules, transmit, voxel)
        if math.isnan(value) == (len(field.shares) > 0):
            estimate_voxel(field, rules, images, uni, value, voxel, maps, flags, start + voxel, room)


@kept
def mark_cells(
    field: Field,
    rules: Rules,
    images: Singles,
    uni: Singles,
    transmit: Singles,
    is_used: NDArray[np.bool_],
    room: Room,
) -> None:
    """Mark the cells (plane, cell) of the lattice in which voxels lie that a table is for."""
    for voxel in range(images.shape[1]):
        value = transmit_of(rules, transmit, voxel)
        if math.isnan(value) != (len(field.shares) > 0) or initial_status(images, uni, voxel, rules) != FITTED:
            continue
        load_products(images, uni, voxel, rules, field.grid.amplitude, room)
        products = room.products
        place = place_of(float(products[0]), float(products[1]), float(products[2]), field.corners)
        if place.is_inside:
            is_used[plane_of(field, rules, value)[0], place.cell] = True
