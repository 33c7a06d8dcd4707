"""Recognises a regularised UNI by what it does where there is no signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from bids_t1.data.acquisition import RawFile

MOST_VOXELS = 1_000_000
"""Enough to decide on; more only cost time."""

FEWEST_VOXELS = 100

BACKGROUND_SHARE = 0.1
"""Share of the voxels looked at: those of lowest magnitude."""

BACKGROUND_LEVEL = 0.2
"""Where these reach a larger part of the brightest voxels, the image has no background and nothing is decided."""

BOUND_MARGIN = 0.02
"""Rounding and different filters of UNI and magnitudes move S by less."""

IMPOSSIBLE_SHARE = 0.2
POSITIVE_SHARE = 0.2
SMALLEST_SPREAD = 0.04
"""Interquartile range of S in noise: 0.5 for one receive channel, 0.06 for a sum over 32, less when regularised."""


class ProcessedUniError(InvalidInputError):
    """A UNI image that is of no use, whatever else is known of it."""


EDGE_SHARE = 1 / 8
"""Of the length of an axis: air surrounds a head where two axes are this close to their ends."""

AIR_AT_THE_BOTTOM = -0.4
"""S of noise that lies below is regularised, or multiplied by a magnitude and stored as whole numbers."""

BROADER = 4.0
"""Where the middle of an image is not so much broader in S than its edges, these are not air."""

MASKED_EDGES = 0.5
"""Share of the edges without a value from which nothing is known of the air."""


def refuse_processed(file: RawFile, uni: np.ndarray) -> tuple[str, ...]:
    """Raise an error if a UNI image is regularised, or multiplied by a magnitude, by its air alone.

    Noise has S of either sign, spread between -1/2 and 1/2 evenly for one channel. Regularisation, or a product with a
    magnitude, leaves one value there: -1/2 or 0.

    Parameters
    ----------
    file
        The UNIT1 image, for the message.
    uni
        S, (x, y, z), NaN where it has none.

    Returns
    -------
    A warning where the air is masked, so that nothing can be told.

    Raises
    ------
    ProcessedUniError
        If it is processed.
    """
    edges = uni[_edges(uni.shape)]
    air = edges[np.isfinite(edges)].astype(np.float64)
    if edges.size and air.size < (1 - MASKED_EDGES) * edges.size:
        warning = (
            f"{file.name}: its air is masked, so that it cannot be told from it whether this is a denoised UNI "
            "(UNI-DEN), whose T1 is wrong everywhere. Was it the true UNI image?"
        )
        return (warning,)
    middle = uni[tuple(slice(n // 4, n - n // 4) for n in uni.shape)]
    middle = middle[np.isfinite(middle)].astype(np.float64)
    if min(air.size, middle.size) < FEWEST_VOXELS:
        return ()
    low, median, high = np.quantile(air, [0.25, 0.5, 0.75])
    within = float(np.subtract(*np.quantile(middle, [0.75, 0.25])))
    one_value = high - low < SMALLEST_SPREAD and within > BROADER * (high - low)
    at_the_bottom = high < AIR_AT_THE_BOTTOM and abs(float(np.median(middle)) - median) > SMALLEST_SPREAD
    if not one_value and not at_the_bottom:
        return ()
    raise ProcessedUniError(
        f"{file.name}: half of S at the edges of the image lies between {low:.3f} and {high:.3f}, as if air had a "
        "signal; expected noise of either sign. This is a denoised UNI (UNI-DEN), or one that was multiplied by a "
        "magnitude or smoothed, whose T1 is wrong everywhere. Give the true UNIT1, or magnitude and phase images."
    )


def _edges(shape: tuple[int, ...]) -> np.ndarray:
    """Return where two axes or more are near their ends, (x, y, z)."""
    near = []
    for axis, n in enumerate(shape):
        depth = max(1, int(n * EDGE_SHARE))
        index = np.arange(n).reshape([-1 if other == axis else 1 for other in range(len(shape))])
        near.append((index < depth) | (index >= n - depth))
    return np.asarray(sum(side.astype(int) for side in np.broadcast_arrays(*near)) > 1)


def refuse_denoised(file: RawFile, uni: np.ndarray, magnitudes: np.ndarray) -> None:
    """Raise an error if a UNI image is not the one its magnitudes belong to, but a regularised one.

    Without regularisation |S| is at most m1 m2 / (m1^2 + m2^2), whatever the phases, for sums over channels too; and
    where there is noise alone, S is positive as often as negative. Regularisation (O'Brien et al., PLoS One 9:e99676,
    2014, doi:10.1371/journal.pone.0099676) draws S to -1/2 there, beyond that bound, or to one constant.

    Parameters
    ----------
    file
        The UNIT1 image, for the message.
    uni
        S, (x, y, z), NaN where it has none.
    magnitudes
        Of all readouts, (readout, x, y, z).

    Raises
    ------
    ProcessedUniError
        If it is regularised.
    """
    found = _trace_of_regularisation(uni, magnitudes)
    if found is not None:
        raise ProcessedUniError(
            f"{file.name}: {found}; expected noise from -0.5 to 0.5. This is a denoised UNI (UNI-DEN), whose "
            "regularisation changes T1 everywhere. Give the true UNIT1, or magnitude and phase images."
        )


def _trace_of_regularisation(uni: np.ndarray, magnitudes: np.ndarray) -> str | None:
    step = max(1, uni.size // MOST_VOXELS)
    values, first, second = (image.reshape(-1)[::step].astype(np.float64) for image in (uni, *magnitudes[:2]))
    energy = first**2 + second**2
    usable = np.isfinite(values) & np.isfinite(energy) & (energy > 0)
    values, first, second, energy = (array[usable] for array in (values, first, second, energy))
    if values.size < FEWEST_VOXELS / BACKGROUND_SHARE:
        return None
    level, bright = np.sqrt(np.quantile(energy, [BACKGROUND_SHARE, 0.98]))
    if level > BACKGROUND_LEVEL * bright:
        return None
    dark = energy <= level**2
    values, bound = values[dark], (first * second / energy)[dark]
    impossible = float(np.mean(values < -bound - BOUND_MARGIN))
    positive = float(np.mean(values > 0))
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    where = "in the voxels of lowest magnitude"
    if impossible > IMPOSSIBLE_SHARE and positive < POSITIVE_SHARE:
        return (
            f"{where} S is {median:.2f} (median), positive in {positive:.0%} of them and in {impossible:.0%} lower "
            "than the magnitudes allow"
        )
    # In tissue S is what magnitudes in phase make it, at the bound, however dark it is and whatever masks the air.
    if high - low < SMALLEST_SPREAD and np.median(np.abs(np.abs(values) - bound)) > BOUND_MARGIN:
        return f"{where} half of S lies between {low:.3f} and {high:.3f}"
    return None
