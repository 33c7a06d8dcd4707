"""Whether the voxels of lowest energy are air, or tissue that fills the view: air is shown, never assumed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.estimation.chunks import take_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Measurements

COHERENT = 0.4
"""Share of their variance that images have in common, from which one thing is behind them: tissue, or its coil."""

EVEN = 0.5
"""Difference between the mean squares of images, over their mean, up to which all may hold the same noise."""

ROUGH = 0.2
"""Difference between neighbours over the spread of all from which they may be independent; interpolation lowers it."""

ROUGH_ALONE = 0.4
"""The same where images show nothing else: for one image, or coherent ones."""

FEWEST = 50
"""Neighbours below which nothing is said of them."""


def is_air(images: Measurements, voxels: NDArray[np.intp], highest: float, *, n_threads: int = 1) -> bool:
    """Tell noise from dark tissue, whose energies a coil's profile spreads as those of noise.

    Noise differs from voxel to voxel and from image to image, with the same strength in all images. A tissue's signals
    rise and fall together with the profile, and neighbours hardly differ.

    Parameters
    ----------
    images
        (measurement, *voxels), magnitudes or complex.
    voxels
        Of the lowest energies, as indices of the flattened voxel axes.
    highest
        What their energies stay below.
    n_threads
        Images looked at side by side.
    """
    values = _magnitudes(images, voxels, n_threads)
    even = len(values) > 1 and _is_even(values)
    coherent = coherence_of(values) > COHERENT
    if even and not coherent:
        return True
    roughness = _roughness(images, voxels, highest, n_threads)
    # Noise that is stronger in some places than in others is coherent too, but even, and rough.
    needed = ROUGH if len(values) > 1 and not coherent else ROUGH_ALONE
    return roughness is not None and roughness > needed and (even or not coherent)


def _magnitudes(images: Measurements, voxels: NDArray[np.intp], n_threads: int) -> NDArray[np.float64]:
    flat = images.reshape(len(images), -1)
    found: NDArray[np.float64] = np.abs(take_voxels(flat, voxels, n_threads)).astype(np.float64)
    return found


def coherence_of(values: NDArray[np.float64]) -> float:
    """Return the share of variance along the first principal component: 0 for independent images, 1 for one profile."""
    varying = values[values.std(1) > 0]
    if len(varying) < 2:  # noqa: PLR2004 - one image has nothing to agree with
        return 0.0
    largest = np.linalg.eigvalsh(np.corrcoef(varying))[-1]
    return float((largest - 1) / (len(varying) - 1))


def _is_even(values: NDArray[np.float64]) -> bool:
    squares = np.square(values).mean(1)
    return bool(np.ptp(squares) < EVEN * squares.mean())


def _roughness(images: Measurements, voxels: NDArray[np.intp], highest: float, n_threads: int) -> float | None:
    """Return second differences over the spread, in the image that has least; None where too few are neighbours."""
    triples = [
        triple
        for axis in range(images.ndim - 1)
        if len((triple := _triples(images, axis, voxels, highest, n_threads))[0, 0])
    ]
    if not triples:
        return None
    before, here, after = np.concatenate(triples, axis=2)
    if here.shape[1] < FEWEST:
        return None
    differences = np.median(np.abs(before - 2 * here + after), axis=1) / (0.6745 * math.sqrt(6))
    return float(np.min(differences / np.maximum(here.std(1), np.finfo(float).tiny)))


def _triples(
    images: Measurements,
    axis: int,
    voxels: NDArray[np.intp],
    highest: float,
    n_threads: int,
) -> NDArray[np.float64]:
    """Return magnitudes before, at and after voxels along an axis, (3, measurement, voxel), where all are dark."""
    shape = images.shape[1:]
    place = np.unravel_index(voxels, shape)[axis]
    inner = voxels[(place > 0) & (place < shape[axis] - 1)]
    stride = math.prod(shape[axis + 1 :])
    found = np.stack([_magnitudes(images, inner + step, n_threads) for step in (-stride, 0, stride)])
    dark = (np.square(found).sum(1) < highest) & (found > 0).all(1)
    kept: NDArray[np.float64] = found[:, :, dark.all(0)]
    return kept
