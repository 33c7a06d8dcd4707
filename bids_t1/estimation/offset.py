"""A constant that was added to images, as where they are stored as numbers without a sign, or lost their intercept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.estimation.air import COHERENT, coherence_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Measurements

RAYLEIGH = (0.7585, 1.1774)
"""The quarter and the median of the noise of one channel, over its SD."""

FEWEST = 1_500
"""Numbers at the border of all images below which their tail is not seen."""

CLEAR = 10.0
"""Value of the border over its spread from which on it is no noise about zero."""

SAME = 0.05
"""Differences between images up to which they have one offset: what recovers differs by more."""

RAISED = 1.0
"""The same for magnitudes over their noise, which no offset but that of a few averages brings nearer to it."""

SHORT_TAIL = 2.75
"""What lies from the hundredth to the median, over what lies from the quarter to the median, of noise that begins at a
number: 2.5 for one channel. Sums of squares over coils and averages, whose noise lies far from zero by itself, have
3 to 3.5."""

COARSE = 3.0
"""Steps in which numbers are stored that their noise must exceed, for its tail to be seen."""

MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of a standard normal variable."""


def find_offset(images: Measurements) -> complex | None:
    """Return what signed images hold outside the head in place of zero; None where they hold zero, or no air is seen.

    Parameters
    ----------
    images
        (measurement, *voxels), real or complex; air is looked for at the border of the view.
    """
    border = _border(images)
    real = _constant(border.real)
    imaginary = _constant(border.imag) if np.iscomplexobj(images) else None
    return None if real is None and imaginary is None else complex(real or 0.0, imaginary or 0.0)


def find_floor(images: Measurements) -> float | None:
    """Return the number at which the magnitudes of air begin in place of zero; None where it is zero, or none is seen.

    Parameters
    ----------
    images
        (measurement, *voxels), magnitudes; air is looked for at the border of the view.
    """
    border = _border(images).astype(np.float64)
    if border.size < FEWEST:
        return None
    hundredth, quarter, half = np.quantile(border, (0.01, 0.25, 0.5), axis=1)
    typical = float(np.median(half))
    if np.ptp(half) > SAME * typical or coherence_of(border) > COHERENT:  # fluid that outlasts all echoes
        return None
    if (hundredth == half).all():
        return typical or None
    # The lower half holds little of what else is at the border of a view.
    tail, body = float((half - hundredth).mean()), float((half - quarter).mean())
    width = body / (RAYLEIGH[1] - RAYLEIGH[0])
    steps = np.diff(np.unique(border))
    if width < COARSE * steps.min() or tail > SHORT_TAIL * body:
        return None
    floor = typical - RAYLEIGH[1] * width
    return floor if floor > RAISED * width else None


def _border(images: Measurements) -> Measurements:
    """Return the outermost voxels along the two longest axes, (measurement, voxel)."""
    shape = images.shape[1:]
    edge = np.zeros(shape, dtype=bool)
    for axis in np.argsort(shape)[-2:]:
        along = np.moveaxis(edge, axis, 0)
        along[[0, -1]] = True
    border = images[:, edge]
    kept: Measurements = border[:, np.isfinite(border).all(0)]
    return kept


def _constant(border: NDArray[np.floating]) -> float | None:
    if not border.size:
        return None
    levels = np.median(border.astype(np.float64), axis=1)
    spread = np.median(np.abs(border - levels[:, None])) / MEDIAN_OF_NORMAL
    level = float(np.median(levels))
    is_one = np.ptp(levels) <= SAME * abs(level)
    return level if level != 0 and is_one and abs(level) > CLEAR * spread else None
