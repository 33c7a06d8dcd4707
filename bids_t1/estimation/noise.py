"""Noise of magnitude images: its level from the background, and what it does to small signals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bids_t1.compiling import COMPILES, WORTH_COMPILING, kept
from bids_t1.estimation.air import is_air
from bids_t1.estimation.chunks import take_voxels
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Map, Measurements, Signals

MAX_SAMPLE = 50_000
"""Voxels looked at to find the background."""

ENOUGH = 100_000
"""Voxels of an image that are compared with their neighbours, about: more do not make the median of them better."""

MIN_BACKGROUND = 500
"""Fewer noise voxels than this are not believed to be a background."""

MAX_DISTANCE = 0.2
"""Kolmogorov distance from which on the voxels of lowest energy are no noise at all."""

RICIAN_DISTANCE = 0.05
"""Kolmogorov distance up to which the noise is that of one Rician channel, or of a sum of squares over coils.

A filter, or magnitudes of real images, give other backgrounds."""

PLACES = 5_000
"""Of the numbers whose distance from a law is asked for, about so many are compared with it."""

SEVERAL = 1.3
"""Effective number of coils from which on a background is that of a sum of squares."""

N_ESTIMATES = 20
"""Alternations of the number of coils and the voxels it is estimated from."""

EVEN = 0.1
"""Difference between the mean energies of images, over their mean, up to which voxels hold noise and no contrast."""

MOST_COILS = 256.0
"""Effective numbers above are those of no scanner: something else makes the background even."""


UNEVEN = 0.06
"""Deviation of an image's noise from that of most from which on it is no chance, and worth a word."""

CLEARLY_UNEVEN = 4.0
"""The same over its standard error, for few voxels of air."""

FALSE_BACKGROUND = 3.0
"""Background over residuals, or differences of neighbours, from which it is no noise: filters hide less in tissue."""

MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of a standard normal variable."""


@dataclass(frozen=True, slots=True)
class Background:
    """Noise seen outside the head."""

    sd: float
    """Noise SD of one channel, in units of the signal."""

    is_rician: bool
    """Whether its distribution is that of the magnitude of one complex channel."""

    coils: float = 1.0
    """Effective number of coils whose squares were summed, where it is that of several; correlated ones count less."""

    @property
    def is_known(self) -> bool:
        """Whether its distribution is known, and so what it does to a signal."""
        return self.is_rician or self.coils > 1


def find_background(images: Measurements, n_threads: int = 1) -> Background | None:
    """Estimate the noise of one channel from voxels that hold nothing else; None where air is not shown.

    The energy of a pure-noise voxel over n images is sigma^2 times a chi-squared variable of 2n degrees of freedom.
    Starting from the voxels of lowest energy, the ones this explains are collected until nothing changes. A sum of
    squares over L coils has 2nL degrees of freedom, with L estimated on the way (Constantinides et al. 1997,
    doi 10.1002/mrm.1910380524).

    Zeros and what is not finite are masked: neither air nor tissue.

    Parameters
    ----------
    images
        ``(measurement, *voxels)``, magnitudes or complex; neighbours along voxel axes are neighbours in space.
    n_threads
        Images looked at side by side.
    """
    sample = _Sample.draw(images, n_threads)
    one = _collect(sample, 1.0)
    if one is None:
        return None
    found, background = _explain(sample, one)
    if background is None or not is_air(images, *sample.lowest(found.n_voxels), n_threads=n_threads):
        return None
    return background


def _explain(sample: _Sample, one: _Collected) -> tuple[_Collected, Background | None]:
    """Say what noise the collected voxels would be, with the voxels it explains; None: of no kind."""
    if one.distance < RICIAN_DISTANCE:
        return one, Background(one.sd, is_rician=True)
    several = _of_several_coils(sample, one)
    if several is not None:
        return several
    return one, Background(one.sd, is_rician=False) if one.distance < MAX_DISTANCE else None


def noise_by_image(images: Measurements, *, is_real: bool) -> NDArray[np.float64] | None:
    """Return the noise of each image over that of most; None where they are alike, or no air shows them.

    Voxels are collected as in `find_background`, after division by what is found, until nothing changes.

    Parameters
    ----------
    images
        (measurement, *voxels), magnitudes, complex or real.
    is_real
        Whether air holds the noise of one real channel, in place of magnitudes.
    """
    found = _level(_Sample.draw(images), is_real=is_real)
    if found is None:
        return None
    levels, sample, n_voxels = found
    if np.abs(levels - 1).max() < max(UNEVEN, CLEARLY_UNEVEN / math.sqrt(n_voxels)):
        return None
    even = images / levels.astype(np.float32).reshape(-1, *(1 for _ in images.shape[1:]))
    return levels if is_air(even, *sample.lowest(n_voxels)) else None


def _level(drawn: _Sample, *, is_real: bool) -> tuple[NDArray[np.float64], _Sample, int] | None:
    """Return the noise of images over that of most, the voxels divided by it, and how many hold it; None: no law."""
    levels = np.ones(len(drawn.squares))
    for _ in range(N_ESTIMATES):
        sample = drawn.divided_by(levels)
        one = _collect(sample, 0.5 if is_real else 1.0)
        if one is None:
            return None
        found, background = (one, None) if is_real else _explain(sample, one)
        change = np.sqrt(sample.squares[:, : found.n_voxels].mean(1))
        change /= np.median(change)
        levels = levels * change
        if np.abs(change - 1).max() < UNEVEN / 20:
            is_known = one.distance < RICIAN_DISTANCE if background is None else background.is_known
            return (levels, sample, found.n_voxels) if is_known else None
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Some voxels, from low to high energy."""

    squares: NDArray[np.float64]
    """Squared magnitudes, (measurement, voxel)."""

    energy: NDArray[np.float64]
    """Their sums over the measurements, rising."""

    voxels: NDArray[np.intp]
    """Where they are, as indices of the flattened voxel axes."""

    @classmethod
    def draw(cls, images: Measurements, n_threads: int = 1) -> _Sample:
        flat = images.reshape(len(images), -1)
        step = max(1, flat.shape[1] // MAX_SAMPLE)
        some = take_voxels(flat, slice(None, None, step), n_threads)
        squares = (np.abs(some) if np.iscomplexobj(some) else some).astype(np.float64)
        np.square(squares, out=squares)
        energy = squares.sum(0)
        kept = np.flatnonzero(np.isfinite(energy) & (squares > 0).all(0))
        kept = kept[np.argsort(energy[kept])]
        return cls(squares.take(kept, axis=1), energy[kept], step * kept)

    def divided_by(self, levels: NDArray[np.float64]) -> _Sample:
        """Return the same voxels, in the order of their energies if images have these levels."""
        squares = self.squares / np.square(levels)[:, None]
        energy = squares.sum(0)
        order = np.argsort(energy, kind="stable")
        return replace(self, squares=squares.take(order, axis=1), energy=energy[order], voxels=self.voxels[order])

    def lowest(self, n_voxels: int) -> tuple[NDArray[np.intp], float]:
        """Return the voxels of lowest energy, and what their energies stay below."""
        return self.voxels[:n_voxels], float(np.nextafter(self.energy[n_voxels - 1], np.inf))


@dataclass(frozen=True, slots=True)
class _Collected:
    """Voxels of lowest energy that a distribution explains."""

    variance: float
    n_voxels: int
    distance: float
    """Kolmogorov distance of their energies from it."""

    @property
    def sd(self) -> float:
        return math.sqrt(self.variance)


def _collect(sample: _Sample, coils: float) -> _Collected | None:
    """Collect the voxels that hold the noise of a number of coils; None where they are too few."""
    energy, freedom = sample.energy, 2 * len(sample.squares) * coils
    limit, half, middle = (2 * special.gammaincinv(freedom / 2, share) for share in (0.99, 0.5, 0.495))
    variance = float(energy[len(energy) // 50] / half) if len(energy) >= MIN_BACKGROUND else 0.0
    for _ in range(100):
        inside = energy[: np.searchsorted(energy, limit * variance)]
        if len(inside) < MIN_BACKGROUND:
            return None
        update = float((inside[(len(inside) - 1) // 2] + inside[len(inside) // 2]) / 2 / middle)  # energies rise
        if abs(update - variance) <= 1e-4 * variance:
            break
        variance = update
    return _Collected(variance, len(inside), _distance_from_chi_squared(inside / variance, freedom))


def _distance_from_chi_squared(rising: NDArray[np.float64], freedom: float) -> float:
    """Return the Kolmogorov distance of numbers from the lower 99 % of a law, to a part in `PLACES`."""
    n = len(rising)
    rank = np.arange(0, n, max(1, n // PLACES))
    share = special.chdtr(freedom, rising[rank]) / 0.99
    return float(max(((rank + 1) / n - share).max(), (share - rank / n).max()))


def _of_several_coils(sample: _Sample, found: _Collected) -> tuple[_Collected, Background] | None:
    """Estimate the number of coils with their noise; None where the background is not that of a sum of squares."""
    coils = 1.0
    for _ in range(N_ESTIMATES):
        squares = sample.squares[:, : found.n_voxels]
        # The squared magnitude is a chi-squared variable of 2L degrees of freedom, in units of the noise variance.
        update = float(squares.mean() ** 2 / squares.var())
        converged, coils = abs(update - coils) < 0.01 * coils, update
        again = _collect(sample, coils) if SEVERAL < coils < MOST_COILS else None
        if again is None:
            return None
        found = again
        if converged:
            break
    by_image = sample.squares[:, : found.n_voxels].mean(1)
    is_even = np.ptp(by_image) < EVEN * by_image.mean()
    if not is_even or found.distance >= RICIAN_DISTANCE:
        return None
    return found, Background(found.sd, is_rician=False, coils=coils)


def noise_of_neighbours(magnitudes: Measurements, n_threads: int = 1) -> float | None:
    """Estimate the noise from second differences between neighbours in bright voxels; None where there are too few.

    Smooth profiles of coils drop out; structure as fine as the voxels counts as noise.

    Parameters
    ----------
    magnitudes
        (measurement, *voxels).
    n_threads
        Images looked at side by side.
    """
    size = magnitudes[0].size
    step = max(1, size // ENOUGH) | 1  # odd, so that lines taken across an image lie in all of it
    places = triples_of(magnitudes.shape[1:], step)
    kept = side_by_side(lambda image: _bright_differences(image.reshape(-1), places, step), magnitudes, n_threads)
    differences = np.concatenate(kept)
    return median(np.abs(differences)) / MEDIAN_OF_NORMAL if len(differences) >= MIN_BACKGROUND else None


def triples_of(shape: tuple[int, ...], step: int) -> NDArray[np.intp]:
    """Return flat indices of voxels beside each other, (before, here and after, triple), on one line of so many.

    Of lines so long that these are still more than enough, places at regular distances are taken.
    """
    found = [np.empty((3, 0), np.intp)]
    for axis in (axis for axis in range(len(shape)) if shape[axis] > 2):  # noqa: PLR2004 - three terms
        stride, others = math.prod(shape[axis + 1 :]), math.prod(shape) // shape[axis]
        before, after = np.divmod(np.arange(0, others, step), stride)
        lines = before * stride * shape[axis] + after
        apart = max(1, shape[axis] * len(lines) // ENOUGH)
        here = (stride * np.arange(1, shape[axis] - 1, apart)[:, None] + lines).reshape(-1)
        found.append(np.stack([here - stride, here, here + stride]))
    return np.concatenate(found, axis=1)


def _bright_differences(values: Map, places: NDArray[np.intp], step: int) -> NDArray[np.float64]:
    """Return second differences, away from steps, where all three voxels are brighter than most."""
    some = values[::step]
    known = some[some > 0]
    if not known.size:
        return np.empty(0)
    least = median(known)
    if COMPILES and values.size >= WORTH_COMPILING:
        both = np.empty((2, places.shape[1]))
        return away_from_steps(both[:, : collect_differences(values, places, least, both)])
    triples = values[places]
    triples = triples[:, (triples >= least).all(0)].astype(np.float64)
    both = second_and_outer(triples)[:, 0]
    return away_from_steps(both[:, np.isfinite(both).all(0)])


@kept
def collect_differences(values: Map, places: NDArray[np.intp], least: float, both: NDArray[np.float64]) -> int:
    """Fill second and outer differences of the triples that are at least so bright; return how many there are."""
    count = 0
    for i in range(places.shape[1]):
        before, here, after = float(values[places[0, i]]), float(values[places[1, i]]), float(values[places[2, i]])
        both[0, count] = (before - 2.0 * here + after) / math.sqrt(6.0)
        both[1, count] = (after - before) / math.sqrt(2.0)
        is_bright = min(before, here, after) >= least
        count += is_bright and math.isfinite(both[0, count])
    return count


def away_from_steps(both: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return second differences whose outer voxels differ less than most, of (second or outer difference, triple)."""
    second, outer = both[0], np.abs(both[1])
    found: NDArray[np.float64] = second[outer <= median(outer)] if second.size else second
    return found


def median(values: NDArray[np.floating]) -> float:
    """Return the median of finite numbers, which NumPy takes several times as long for: it looks for NaN."""
    half = len(values) // 2
    parted = np.partition(values, half)
    return float(parted[half] if len(values) % 2 else (parted[:half].max() + parted[half]) / 2)


def differences_without_steps(values: Map, sd: Map, largest: float = math.inf) -> NDArray[np.float64]:
    """Return second differences between neighbours, in units of the SD of one value, away from steps.

    At a step from one tissue to another the outer two of three voxels differ as much as the second difference says.
    In noise the two are independent: half of the triples are kept, those whose outer voxels differ less.

    Parameters
    ----------
    values
        (*voxels); NaN where there is none.
    sd
        Of each value, relative to any unit.
    largest
        Second differences of `values` beyond are none of tissue.
    """
    found = [np.empty((2, 0))]
    for axis in (axis for axis in range(values.ndim) if values.shape[axis] > 2):  # noqa: PLR2004 - three terms
        moved, unit = (np.moveaxis(one, axis, 0).reshape(one.shape[axis], -1) for one in (values, sd))
        moved, unit = moved.astype(np.float64), unit[1:-1]
        differences = second_and_outer(moved)
        both = differences / unit
        found.append(both[:, np.isfinite(both).all(0) & (np.abs(differences[0]) < largest)])
    return away_from_steps(np.concatenate(found, axis=1))


def second_and_outer(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return second differences along the first axis, and those of the outer two of three, scaled alike."""
    return np.stack([second_difference(values), (values[2:] - values[:-2]) / math.sqrt(2)])


def second_difference(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return second differences along the first axis, scaled to the SD of one value."""
    difference: NDArray[np.float64] = (values[:-2] - 2 * values[1:-1] + values[2:]) / math.sqrt(6)
    return difference


def remove_noise_floor(magnitudes: Signals, noise_sd: float, coils: float = 1.0) -> Signals:
    """Subtract the noise's share from magnitudes (Gudbjartsson & Patz 1995, doi 10.1002/mrm.1910340618).

    To first order in the noise, the mean of a sum of squares over L coils is the signal plus (2L - 1) variances over
    twice the signal; with one coil that is the mean of a Rician variable.
    """
    return magnitudes.square().sub_((2 * coils - 1) * noise_sd**2).clamp_min_(0.0).sqrt_()
