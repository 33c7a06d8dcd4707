"""The marginal likelihood of a prior on the coefficient ratio, number by number. Read `fill_marginal` first.

Numba compiles it. It does what `ratio_prior` does to arrays, which is the plain reference that a test holds it to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from bids_t1.compiling import compiled, kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


class Products(NamedTuple):
    """Inner products of some fits at relaxation times around each, (node, fit)."""

    first_dot: Values
    """First column with the signals."""

    second_dot: Values
    first_norm: Values
    both: Values
    """First by second column."""

    second_norm: Values


class Room(NamedTuple):
    """Room for numbers of each node, (node, fit)."""

    mean: Values
    explained: Values
    """Exponent of the likelihood."""

    weight: Values
    """First the square of what the exponential is multiplied with, then the likelihood."""

    by_mean: Values
    by_log_sd: Values


@compiled
def place_mean(hats: Values, parameters: Values, node: int, mean: Values) -> None:
    """Note the mean ratio of a prior at a node."""
    for fit in range(len(mean)):
        mean[fit] = 0.0
    for k in range(len(hats)):
        for fit in range(len(mean)):
            mean[fit] += parameters[k] * hats[k, node, fit]


@compiled
def look_at(products: Products, node: int, noise_sd: float, sd: float, room: Room) -> None:
    """Note the likelihood of a node, amplitude and own ratio eliminated, and its derivatives."""
    d0, d1 = products.first_dot[node], products.second_dot[node]
    n00, n01, n11 = products.first_norm[node], products.both[node], products.second_norm[node]
    means, explained, weight = room.mean[node], room.explained[node], room.weight[node]
    by_means, by_log_sds = room.by_mean[node], room.by_log_sd[node]
    variance = noise_sd * noise_sd
    for fit in range(len(means)):
        mean = means[fit]
        slope = n01[fit] + mean * n11[fit]
        norm = n00[fit] + mean * (n01[fit] + slope)
        base, overlap = d0[fit] + mean * d1[fit], slope / norm
        side_dot, side_norm = d1[fit] - overlap * base, n11[fit] - overlap * slope
        along = base / norm
        is_low = along < noise_sd
        amplitude = noise_sd if is_low else along
        stiffness = variance / (sd * sd * amplitude * amplitude)
        width = side_norm + stiffness
        deviation = side_dot / width
        stiffer = 0.0 if is_low else -2.0 * (side_dot - overlap * base) / (norm * amplitude)
        by_side = -along * side_norm - overlap * side_dot
        wider = stiffness * stiffer - 2.0 * overlap * side_norm
        by_mean = 2.0 * (max(along, 0.0) * side_dot + deviation * by_side) - deviation * deviation * wider
        explained[fit] = (max(base, 0.0) * along + side_dot * deviation) / (2.0 * variance)
        weight[fit] = stiffness / width
        by_means[fit] = by_mean / (2.0 * variance) + side_norm * (overlap + 0.5 * stiffer) / width
        by_log_sds[fit] = deviation * deviation * stiffness / variance - side_norm / width


@compiled
def weigh(bins: NDArray[np.int64], density: Values, node: int, highest: Values, room: Room) -> None:
    """Turn what was noted of a node into its likelihood, over that of the highest exponent."""
    explained, weight = room.explained[node], room.weight[node]
    for fit in range(len(highest)):
        share = math.exp(explained[fit] - highest[fit])
        weight[fit] = density[bins[node, fit]] * math.sqrt(weight[fit]) * share


@compiled
def add(hats: Values, node: int, room: Room, logs: Values, slopes: Values) -> None:
    """Add the likelihood of a node, and its derivatives, to those of the fits."""
    weight, by_means, by_log_sds = room.weight[node], room.by_mean[node], room.by_log_sd[node]
    for k in range(len(hats)):
        for fit in range(len(logs)):
            slopes[k, fit] += weight[fit] * by_means[fit] * hats[k, node, fit]
    for fit in range(len(logs)):
        slopes[len(hats), fit] += weight[fit] * by_log_sds[fit]
        logs[fit] += weight[fit]


@kept
def fill_marginal(
    products: Products,
    bins: NDArray[np.int64],
    hats: Values,
    noise_sd: float,
    parameters: Values,
    density: Values,
    room: Room,
    logs: Values,
    slopes: Values,
) -> None:
    """Fill in the log likelihood of each fit, relaxation times summed out, and its derivatives (parameter, fit).

    Parameters
    ----------
    bins
        Of the histogram of relaxation times, (node, fit).
    hats
        Weight of each mean of the prior, (mean, node, fit).
    parameters
        Means of the prior, and the log of its SD.
    density
        Of the histogram.
    slopes
        Zeros, which are filled, as `logs` is.
    """
    sd, highest = math.exp(parameters[-1]), room.mean[0]
    for node in range(len(bins)):
        place_mean(hats, parameters, node, room.mean[node])
        look_at(products, node, noise_sd, sd, room)
    for fit in range(len(logs)):
        highest[fit], logs[fit] = -math.inf, 0.0
    for node in range(len(bins)):
        for fit in range(len(logs)):
            highest[fit] = max(highest[fit], room.explained[node, fit])
    for node in range(len(bins)):
        weigh(bins, density, node, highest, room)
        add(hats, node, room, logs, slopes)
    for k in range(len(slopes)):
        for fit in range(len(logs)):
            slopes[k, fit] /= logs[fit]
    for fit in range(len(logs)):
        logs[fit] = math.log(logs[fit]) + highest[fit]
