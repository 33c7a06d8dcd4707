"""A constant that was added to signed images, as where they are stored as numbers without a sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Measurements

CLEAR = 10.0
"""Value of the border over its spread from which on it is no noise about zero."""

SAME = 0.05
"""Differences between images up to which they have one offset: what recovers differs by more."""

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
