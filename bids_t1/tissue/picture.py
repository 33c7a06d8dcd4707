"""A T1-weighted picture of a head from the maps of one run: what masks and alignments look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.data.alignment import HeadImage
from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Map

CONTRAST_TIME = 1.2
"""T1 over which the picture's brightness falls to 1/e [s]: between white and grey matter at all fields in use."""

RECEIVE_LENGTH = 20.0
"""SD of the Gaussian over which M0 is compared with its surroundings [mm]: receive profiles vary over more."""

SOME = 1e-3
"""Weight of head around a voxel below which there is none."""

SIGNAL_SHARE = 0.2
"""Of the brighter half of M0: below is air."""


def head_image(maps: Mapping[str, np.ndarray], grid: Grid) -> HeadImage:
    """Make a T1-weighted picture whose background is dark.

    T1 alone cannot: in air it is noise. M0 darkens air and bone, after its receive profile is taken off by comparing it
    with its surroundings. Without M0, as from UNI alone, the robust UNI or UNI itself is the picture.

    Parameters
    ----------
    maps : mapping
        Of one run, (x, y, z) each: ``time`` [s], and ``amplitude``, ``robust_uni`` or ``uni``; NaN where not fitted.
    grid : Grid
        Theirs.

    Returns
    -------
    HeadImage
        float32, between 0 and about 1; fat is brightest, then white matter, grey matter, fluid.

    Raises
    ------
    InvalidInputError
        Where neither M0 nor UNI is among the maps.
    """
    if "time" in maps and "amplitude" in maps:
        picture = np.exp(-_known(maps["time"], np.inf) / CONTRAST_TIME) * _presence(maps["amplitude"], grid)
    elif "robust_uni" in maps:
        picture = _known(maps["robust_uni"], -0.5) + 0.5
    elif "uni" in maps:
        picture = _known(maps["uni"], -0.5) + 0.5
    else:
        raise InvalidInputError(
            f"maps {', '.join(sorted(maps)) or 'none'}; expected T1 and M0, or UNI: T1 alone says nothing of air."
        )
    return HeadImage(values=picture.astype(np.float32), grid=grid)


def _known(values: np.ndarray, otherwise: float) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.float32(otherwise)).astype(np.float32)


def _presence(amplitude: Map, grid: Grid) -> Map:
    """Return M0 over that around it, at most 1."""
    amplitude = np.clip(_known(amplitude, 0.0), 0, None)
    if not amplitude.any():
        return amplitude
    # Single voxels with a wild M0, where T1 is badly determined, must not outshine their surroundings.
    amplitude = np.minimum(amplitude, np.quantile(amplitude[amplitude > 0], 0.98, method="nearest"))
    bright = amplitude > amplitude[amplitude > 0].mean()
    head = amplitude > SIGNAL_SHARE * np.median(amplitude[bright])
    sigma = [RECEIVE_LENGTH / size for size in grid.voxel_sizes]
    weight, total = (
        ndimage.gaussian_filter(each.astype(np.float32), sigma, truncate=2.0) for each in (head, amplitude * head)
    )
    around = np.divide(total, weight, out=np.ones_like(total), where=weight > SOME)
    return np.asarray(np.clip(amplitude / np.maximum(around, 1e-6), 0, 1) * (weight > SOME))
