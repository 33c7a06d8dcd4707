"""A T1-weighted picture of a head from the maps of one run: what masks and alignments look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.data.alignment import HeadImage
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.resampling import averaged, drawn_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Map

CONTRAST_TIME = 1.2
"""T1 over which the picture's brightness falls to 1/e [s]: between white and grey matter at all fields in use."""

RECEIVE_LENGTH = 20.0
"""SD of the Gaussian over which M0 is compared with its surroundings [mm]: receive profiles vary over more."""

VOXELS_OF_LENGTH = 8
"""Voxels that such a length has at most while it is averaged over: straight lines between are right to 0.2 %."""

SOME = 1e-3
"""Weight of head around a voxel below which there is none."""

SIGNAL_SHARE = 0.2
"""Of the brighter half of M0: below is air."""

BRIGHTEST = 4095
"""Of an image that is written: what scanners write, too."""

_FROM_UNI = f"shifted and scaled from -0.5..0.5 to 0..{BRIGHTEST}"
ROBUST = f"robust UNI (regularised, doi:10.1371/journal.pone.0099676), {_FROM_UNI}"
SYNTHETIC = (
    f"synthetic: exp(-T1 / {CONTRAST_TIME} s) M0 / M0s, scaled from 0..1 to 0..{BRIGHTEST}; M0s: M0 averaged over its "
    f"surroundings (Gaussian, SD {RECEIVE_LENGTH:g} mm), which takes the receive profile off; M0 / M0s at most 1"
)
UNREGULARISED = f"UNI, not regularised, {_FROM_UNI}, 0 where there is no signal"


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


def weighted_image(maps: Mapping[str, np.ndarray], grid: Grid) -> tuple[np.ndarray, str]:
    """Make a T1-weighted image for other software to segment and register.

    Parameters
    ----------
    maps, grid
        As those of `head_image`, with ``status`` where there is but UNI.

    Returns
    -------
    image : array (x, y, z)
        int16, 0 to `BRIGHTEST`, 0 in air; white matter is brighter than grey matter, grey matter brighter than fluid.
    how : str
        How it was made, for the sidecar.

    Raises
    ------
    InvalidInputError
        As `head_image`.
    """
    if "robust_uni" in maps:
        image, how = head_image({"robust_uni": maps["robust_uni"]}, grid).values, ROBUST
    elif "amplitude" in maps:
        image, how = head_image(maps, grid).values, SYNTHETIC
    else:
        image, how = head_image({"uni": maps["uni"]}, grid).values, UNREGULARISED
        image = np.where(maps["status"] == VoxelStatus.NO_SIGNAL, 0, image)
    return np.rint(np.clip(image, 0, 1) * BRIGHTEST).astype(np.int16), how


def _known(values: np.ndarray, otherwise: float) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.float32(otherwise)).astype(np.float32)


def _presence(amplitude: Map, grid: Grid) -> Map:
    """Return M0 over that around it, at most 1."""
    amplitude = np.maximum(_known(amplitude, 0.0), 0)
    some = amplitude[amplitude > 0]
    if not some.size:
        return amplitude
    # Single voxels with a wild M0, where T1 is badly determined, must not outshine their surroundings.
    highest = np.quantile(some, 0.98, method="nearest")
    amplitude, some = np.minimum(amplitude, highest), np.minimum(some, highest)
    head = amplitude > SIGNAL_SHARE * np.median(some[some > some.mean()])
    weight, total = (_surroundings(each.astype(np.float32), grid) for each in (head, amplitude * head))
    around = np.divide(total, weight, out=np.ones_like(total), where=weight > SOME)
    return np.asarray(np.clip(amplitude / np.maximum(around, 1e-6), 0, 1) * (weight > SOME))


def _surroundings(values: Map, grid: Grid) -> Map:
    """Return the mean of values around each voxel, by a Gaussian, as it is between blocks of voxels."""
    few, coarse = averaged(values, grid, RECEIVE_LENGTH / VOXELS_OF_LENGTH)
    around = ndimage.gaussian_filter(few, [RECEIVE_LENGTH / size for size in coarse.voxel_sizes], truncate=2.0)
    blocks = np.round(np.array(coarse.voxel_sizes) / grid.voxel_sizes).astype(int)
    return drawn_out(around, grid.shape, [(int(block), (block - 1) / 2) for block in blocks])
