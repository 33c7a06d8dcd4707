"""The likelihood of a prior on the coefficient ratio, amplitude and own ratio of a voxel eliminated.

One formula serves single numbers, which Numba compiles, and arrays. Signals are in units of their noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_t1.compiling import compiled, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


N_PRODUCTS = 5
"""Inner products of a node: of each column with the signals, and of the columns."""


class Likelihood(NamedTuple):
    """Likelihood at one relaxation time, and the derivatives of its logarithm: numbers, or arrays."""

    exponent: Values
    factor: Values
    """What the exponential is multiplied with."""

    by_mean: Values
    """Derivative by the mean of the prior."""

    by_sd: Values
    """Derivative by its standard deviation."""


def likelihood_of(
    mean: Values,
    sd: float,
    first_dot: Values,
    second_dot: Values,
    first_norm: Values,
    both: Values,
    second_norm: Values,
) -> tuple[Values, Values, Values, Values]:
    """Return the numbers of `Likelihood`.

    The amplitude is the one that fits with the mean ratio. The ratio is free around it, as far as the prior lets it,
    along what of the second column is orthogonal to the signal.

    Parameters
    ----------
    mean, sd
        Of the prior.
    first_dot, second_dot
        Inner products of the columns with the signals.
    first_norm, both, second_norm
        Inner products of the columns.
    """
    slope = both + mean * second_norm
    norm = first_norm + mean * (both + slope)
    base = first_dot + mean * second_dot
    inverse = 1.0 / norm
    overlap, along = slope * inverse, base * inverse
    side_dot, side_norm = second_dot - overlap * base, second_norm - overlap * slope
    # The prior is on the ratio, the noise on the coefficient: an amplitude below the noise counts as the noise.
    bounded = np.maximum(base, norm)
    one_over_amplitude = norm / bounded
    stiffness = one_over_amplitude * one_over_amplitude / (sd * sd)
    narrowing = 1.0 / (side_norm + stiffness)
    deviation, held = side_dot * narrowing, stiffness * narrowing
    explained = np.maximum(base, 0.0) * along + side_dot * deviation
    by_log_sd = deviation * deviation * stiffness + held - 1.0
    turn = overlap + (base > norm) * (overlap - side_dot / bounded)
    by_mean = stiffness * deviation * along - turn * by_log_sd + np.maximum(-along, 0.0) * side_dot
    return 0.5 * explained, np.sqrt(held), by_mean, by_log_sd / sd


_compiled = compiled(likelihood_of)


@kept
def fill_likelihood(mean: Values, sd: float, products: Values, found: Values) -> None:
    """Fill in the numbers of `Likelihood`, (number, node, fit), by compiled code.

    Parameters
    ----------
    mean
        Of the prior at each node, (node, fit).
    products
        Inner products in the order of `likelihood_of`, (product, node, fit).
    """
    # Rows of few arrays: of many arrays the compiler would have to ask whether any two overlap, and do node by node.
    for node in range(mean.shape[0]):
        for fit in range(mean.shape[1]):
            exponent, factor, by_mean, by_sd = _compiled(
                mean[node, fit],
                sd,
                products[0, node, fit],
                products[1, node, fit],
                products[2, node, fit],
                products[3, node, fit],
                products[4, node, fit],
            )
            found[0, node, fit] = exponent
            found[1, node, fit] = factor
            found[2, node, fit] = by_mean
            found[3, node, fit] = by_sd
