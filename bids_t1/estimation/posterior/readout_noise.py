"""The noise of readouts, from what the images themselves show of it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.ndimage import uniform_filter

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import NoiseSD
from bids_t1.estimation.noise import (
    ENOUGH,
    FALSE_BACKGROUND,
    MEDIAN_OF_NORMAL,
    away_from_steps,
    differences_without_steps,
    find_background,
    second_and_outer,
    second_difference,
    triples_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from bids_t1.data.shapes import Map, Measurements, VoxelFlags
    from bids_t1.estimation.noise import Background
    from bids_t1.estimation.posterior.readout_table import ReadoutTable

SAMPLE = 50_000
"""Voxels from which the noise is estimated."""

FEWEST = 50
"""Voxels below which nothing is estimated."""

BRIGHT = 0.2
"""Share of the highest energies from which a voxel holds signal."""

TISSUE_DIFFERENCE = 0.15
"""Second differences of S below this are tissue: S of pure noise is uniform, with an SD of 0.29."""

SMALLEST_SHARE = 0.01
"""Less than one voxel of 27, more than rounding."""

RATES = (0.3, 0.5, 0.7, 0.9, 1.1, 1.35, 1.7)
"""R1 of tissues between which the noise of UNI is estimated for each by itself [1/s]."""

LARGEST_SLOPE = 0.6
"""Of 1/M0 with R1 [s], relative to that of T1 = 1 s; in a head it is about 0.3."""

NOISE_DIFFERENCE = 0.16
"""Second difference of S, on average over the axes, from which a voxel is rough."""


def noise_of_complex(readouts: Measurements) -> NoiseSD:
    """Estimate the noise of complex readouts (readout, *voxels): from the background, else from the residuals.

    Raises
    ------
    InvalidInputError
        If there is neither a background nor signal.
    """
    background = find_background(readouts)
    if background is not None and background.is_rician:
        return NoiseSD(value=background.sd, origin="background of the images")
    flat = readouts.reshape(len(readouts), -1)
    flat = flat[:, :: max(1, flat.shape[1] // SAMPLE)]
    return NoiseSD(value=_residual_noise(flat), origin="phase differences between the readouts, in voxels with signal")


def _residual_noise(flat: Measurements) -> float:
    """Return the noise that no real signals with one common phase explain, whatever the relaxation time.

    The products Re(conj(g_j) g_k) of n readouts are a matrix whose largest eigenvalue is what such signals explain;
    the others hold n - 1 degrees of freedom of noise.
    """
    flat = flat[:, np.isfinite(flat).all(0)].astype(np.complex128)
    energy = np.square(np.abs(flat)).sum(0)
    bright = flat[:, energy > BRIGHT * np.quantile(energy, 0.98)] if energy.size else flat
    if bright.shape[1] < FEWEST:
        raise InvalidInputError(
            f"{bright.shape[1]} voxels have signal; expected images of a head or phantom, or the noise to be given.",
            remedy="noise_sd",
        )
    matrices = np.einsum("jv,kv->vjk", bright.conj(), bright).real
    left = np.linalg.eigvalsh(matrices)[:, :-1].sum(1)
    return float(np.sqrt(max(np.median(left), 0.0) / stats.chi2(len(flat) - 1).ppf(0.5)))


def noise_of_magnitudes(magnitudes: Measurements, uni: Map | None, table: ReadoutTable) -> NoiseSD:
    """Estimate the noise of one channel from the background, or from neighbours where they differ far less.

    Parameters
    ----------
    magnitudes
        (readout, *voxels); of one readout alone, with `uni`.
    uni
        S, (*voxels), where there is one.
    table
        Signals, at the nominal transmit field or the one nearest to it.

    Raises
    ------
    InvalidInputError
        If there is neither air nor signal.
    """
    background = find_background(magnitudes)
    try:
        neighbours = noise_of_ratios(magnitudes) if uni is None else noise_of_uni(uni, table, _norm(magnitudes, uni))
    except InvalidInputError:
        if background is None:
            raise
        return _of(background)
    if background is None or background.sd > FALSE_BACKGROUND * neighbours.value:
        return replace(neighbours, origin=f"{neighbours.origin}, as no air was found")
    return _of(background)


def _of(background: Background) -> NoiseSD:
    return NoiseSD(value=background.sd, origin="background of the magnitudes")


def _norm(magnitudes: Measurements, uni: Map) -> Map:
    """Return the norm of the first two readouts; of the last alone, the share of the other follows from S."""
    energy = np.square(magnitudes[:2]).sum(0)
    if len(magnitudes) == 1:
        energy = energy / (0.5 + np.sqrt(np.clip(0.25 - np.square(uni), 0, None)))
    norm: Map = np.sqrt(energy)
    return norm


def noise_of_ratios(magnitudes: Measurements) -> NoiseSD:
    """Estimate the noise from second differences of the ratio of two magnitudes between neighbours.

    The ratio holds neither coil nor M0. As an angle, atan2(m1, m2), it has the SD of the noise over the norm of both.

    Parameters
    ----------
    magnitudes
        (readout, *voxels); the first two are used.

    Raises
    ------
    InvalidInputError
        If too few voxels have signal.
    """
    first, second = (np.where(image > 0, image, np.nan).astype(np.float64) for image in magnitudes[:2])
    norm = np.hypot(first, second)
    angle = np.where(_is_bright(norm), np.arctan2(first, second), np.nan)
    kept = differences_without_steps(angle, 1 / norm)
    if len(kept) < FEWEST:
        raise InvalidInputError(
            f"there is no air to take the noise from, and {len(kept)} voxels have neighbours with signal; "
            "expected images of a head or phantom, or the noise to be given.",
            remedy="noise_sd",
        )
    origin = "second differences of the ratio of the magnitudes between neighbouring voxels"
    return NoiseSD(value=_sd_without_outliers(kept), origin=origin)


def _is_bright(norm: Map) -> VoxelFlags:
    """Say where there is signal, whatever the noise."""
    known = norm[np.isfinite(norm)]
    flags: VoxelFlags = norm > (math.sqrt(BRIGHT) * np.quantile(known, 0.98) if known.size else 0.0)
    return flags


def _sd_without_outliers(differences: NDArray[np.float64]) -> float:
    """Return the SD of normal numbers among which anatomy and flow are outliers."""
    value = float(np.median(np.abs(differences)) / MEDIAN_OF_NORMAL)
    for _ in range(20):
        inside = np.abs(differences) < 3 * value
        value = float(np.sqrt(np.mean(np.square(differences[inside])) / 0.9733))
    return value


def noise_of_uni(uni: Map, table: ReadoutTable, amplitude: Map | None) -> NoiseSD:
    """Estimate the noise from second differences of S between neighbours, which anatomy hardly has.

    The SD of S is sqrt(1 - 4 S^2) times the noise over the norm of the readouts.

    Parameters
    ----------
    uni
        S, (x, y, z); NaN where there is none.
    table
        Signals, at the nominal transmit field or the one nearest to it.
    amplitude
        Norm of the readouts, in units of the images; None: the noise is returned relative to M0.

    Raises
    ------
    InvalidInputError
        If too few voxels look like tissue.
    """
    norm = _at_nominal(uni, table, table.norms) if amplitude is None else amplitude
    sensitivity = _sensitivity(uni, norm)
    kept = differences_without_steps(
        uni if amplitude is None else np.where(_is_bright(norm), uni, np.nan), sensitivity, TISSUE_DIFFERENCE
    )
    if len(kept) < FEWEST:
        raise InvalidInputError(
            f"{len(kept)} voxels of UNIT1 look like tissue; expected a head or phantom, or the noise to be given.",
            remedy="noise_sd",
        )
    value = _sd_without_outliers(kept)
    unit = "M0 of T1 = 1 s" if amplitude is None else "the images"
    return NoiseSD(value=value, origin=f"second differences of UNIT1 between neighbouring voxels, in units of {unit}")


def _sensitivity(uni: Map, norm: Map) -> Map:
    """Return the SD of S over that of the noise."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity: Map = np.sqrt(np.clip(1 - 4 * np.square(uni), 0.02, None)) / norm
    return sensitivity


def slope_of_m0(uni: Map, table: ReadoutTable) -> float:
    """Estimate how 1/M0 rises with R1 [s], relative to that of T1 = 1 s, from the noise of S in several tissues.

    Water holds the more signal the longer its T1, 1/M0 being a straight line of R1 (Mezer et al. 2016,
    doi 10.1002/hbm.23260). UNI does not show M0, but its noise is that of the readouts over it: taken as the same
    everywhere it would be too small in white matter and too large in fluid. Where an image holds one T1 only, the slope
    is zero.

    Parameters
    ----------
    uni
        S, (x, y, z); NaN where there is none.
    table
        Signals for one M0, at the nominal transmit field or the one nearest to it.
    """
    places = triples_of(uni.shape, max(1, uni.size // ENOUGH) | 1)
    values = uni.reshape(-1)[places].astype(np.float64)
    rate = _at_nominal(_smooth(uni).reshape(-1)[places[1]], table, 1 / table.times)
    differences = second_and_outer(values)[:, 0]
    both = differences / _sensitivity(values[1], _at_nominal(values[1], table, table.norms))
    is_tissue = np.isfinite(both).all(0) & (np.abs(differences[0]) < TISSUE_DIFFERENCE)
    rates, levels, precisions = [], [], []
    for low, high in pairwise(RATES):
        inside = is_tissue & (rate > low) & (rate <= high)
        kept = away_from_steps(both[:, inside])
        if len(kept) >= FEWEST:
            rates.append(float(np.median(rate[inside])) - 1)
            levels.append(_sd_without_outliers(kept))
            precisions.append(len(kept))
    return _slope(np.array(rates), np.array(levels), np.array(precisions, dtype=float))


def _smooth(uni: Map) -> Map:
    """Return means of 3 x 3 x 3 voxels, which do not depend on second differences in noise; NaN beside none."""
    known = np.isfinite(uni)
    means: Map = uniform_filter(np.where(known, uni, 0), size=3, mode="nearest")
    means[uniform_filter((~known).astype(np.float32), size=3, mode="nearest") > SMALLEST_SHARE] = np.nan
    return means


def _slope(rates: NDArray[np.float64], levels: NDArray[np.float64], precisions: NDArray[np.float64]) -> float:
    """Return the slope of a straight line over its value at 0, drawn to none by how far slopes of tissue go."""
    if len(rates) < 2:  # noqa: PLR2004 - a line
        return 0.0
    centre, level = (float(np.average(values, weights=precisions)) for values in (rates, levels))
    away = rates - centre
    slope = float((precisions * away * (levels / level - 1)).sum())
    slope /= float((precisions * away**2).sum()) + 1 / LARGEST_SLOPE**2
    return float(np.clip(slope / (1 - slope * centre), -LARGEST_SLOPE, LARGEST_SLOPE))


def looks_like_noise(uni: Map) -> VoxelFlags:
    """Tell the background of an image of UNI alone: neighbours differ there as independent uniform numbers do.

    The second difference of S is 0.23 in noise, on average over the axes. A voxel is background where most of the
    5 x 5 x 5 voxels around are so rough: edges of tissues are rough too, but thin.
    """
    total, count = np.zeros(uni.shape, np.float32), np.zeros(uni.shape, np.float32)
    for axis in (axis for axis in range(uni.ndim) if uni.shape[axis] > 2):  # noqa: PLR2004
        inner = tuple(slice(1, -1) if other == axis else slice(None) for other in range(uni.ndim))
        differences = np.abs(np.moveaxis(second_difference(np.moveaxis(uni, axis, 0)), 0, axis))
        known = np.isfinite(differences)
        total[inner] += np.where(known, differences, 0)
        count[inner] += known
    rough = (total > NOISE_DIFFERENCE * count).astype(np.float32)
    flags: VoxelFlags = uniform_filter(rough, size=5, mode="nearest") > 0.5  # noqa: PLR2004 - most of them
    return flags


def _at_nominal(uni: Map, table: ReadoutTable, values: Tensor) -> Map:
    """Return what S stands for over the relaxation times of tissue, of values of every node (or plane and node)."""
    plane = int(np.argmin(np.abs(table.transmit.cpu().numpy() - 1)))
    of_nodes = values if values.ndim == 1 else values[plane]
    of_uni = table.uni[plane].cpu().numpy()
    order = np.argsort(of_uni)
    found: Map = np.interp(uni, of_uni[order], of_nodes.cpu().numpy()[order])
    return found
