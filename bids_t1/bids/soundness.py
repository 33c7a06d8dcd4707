"""Whether the numbers of an image can be those of a scanner: what is impossible is refused, what is odd is told.

A file that can be read may hold nothing, another image's voxels, or numbers of another type. The limits are wide:
skull-stripped images, a few clipped voxels and images of little signal are common, and right.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.bids.images import Volume
    from bids_t1.data.acquisition import RawFile

MOST_NEGATIVE = 0.01
"""Share of the energy of a magnitude that may be negative: interpolation makes less, signed images have more."""

CLIPPED = 0.001
"""Share of the voxels with signal at the largest number of the scanner from which a warning is given."""

MOST_CLIPPED = 0.1
"""Share from which the image is refused: bright fat at a coil is less."""

FULL_SCALES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 15, 16, 31, 32))
"""Where converters and integer types end."""

LOST = 0.1
"""Share of the voxels where one image holds nothing and all the others something, from which a warning is given."""

BRIGHT = 0.1
"""Energy over that of the brightest voxels from which on a voxel holds more than noise."""

MANY = 1_000_000
"""Voxels that tell what share of an image is lost: of more, every second, third, ... is looked at."""

FEWEST = 8
"""Voxels below which an image may be constant, or equal to another."""

FLOAT_BITS = (0x30000000, 0x4B800000)
"""Real numbers of single precision from 5e-10 to 2e7, read as integers of 32 bits, lie between these."""

SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)
"""Limits of single precision, in which everything is computed."""

SIGNLESS = frozenset({None, "mag"})
"""Values of part- whose images are magnitudes."""


def require_sound(file: RawFile, volume: Volume) -> tuple[str, ...]:
    """Refuse an image whose numbers cannot be what they are said to be; return warnings of what is odd.

    Parameters
    ----------
    file
        The image: its part- says what the numbers are. UNIT1 images and maps have checks of their own.
    volume
        What was read of it.

    Raises
    ------
    InvalidInputError
        If it holds nothing or numbers of another type, or is a magnitude that is constant, or negative or clipped in
        much of the image.
    """
    finite = _finite(volume.values)
    if not finite.size:
        raise InvalidInputError(f"{file.name}: holds no number; expected an image. Convert it again.")
    _require_type(file, volume, finite)
    if file.name.get("part") not in SIGNLESS:
        return ()
    require_signal(str(file.name), finite)
    return _doubts_of_magnitude(file, volume, finite)


def require_signal(name: str, image: np.ndarray) -> None:
    """Refuse an image that holds nothing, or one number everywhere.

    Raises
    ------
    InvalidInputError
        If it does.
    """
    finite = _finite(image)
    if not finite.size:
        raise InvalidInputError(f"{name}: holds no number; expected an image. Convert it again.")
    if not finite.any():
        raise InvalidInputError(f"{name}: holds only zeros; expected an image. Convert it again.")
    if finite.size >= FEWEST and (finite == finite.flat[0]).all():
        raise InvalidInputError(
            f"{name}: holds {finite.flat[0]:g} in every voxel; expected an image. Convert it again."
        )


def _finite(values: np.ndarray) -> np.ndarray:
    """Return the values that are numbers: all of them, in any shape, where there are no others."""
    known = np.isfinite(values)
    return values if known.all() else values[known]


def _require_type(file: RawFile, volume: Volume, finite: np.ndarray) -> None:
    """Refuse what is beyond single precision, and integers and real numbers of 32 bits taken for each other."""
    largest = max(abs(float(finite.max())), abs(float(finite.min())))
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise InvalidInputError(
            f"{file.name}: its largest number is {largest:.3g}; expected {SMALLEST:.0e} to {LARGEST:.0e}, single "
            "precision. If these are integers under a header of real numbers, convert it again, else scale it."
        )
    if finite.dtype.kind in "iu" and finite.dtype.itemsize == 4 and volume.holds_integers:  # noqa: PLR2004 - 32 bits
        there = np.abs(finite[finite != 0].astype(np.int64) & 0x7FFFFFFF)
        low, high = FLOAT_BITS
        if there.size and np.mean((there >= low) & (there < high)) > 1 - CLIPPED:
            raise InvalidInputError(
                f"{file.name}: holds integers from {there.min()} to {there.max()}, which are real numbers of 32 bits "
                "under a header of integers; expected the type of the voxels. Convert it again."
            )


def _doubts_of_magnitude(file: RawFile, volume: Volume, finite: np.ndarray) -> tuple[str, ...]:
    doubts = []
    lowest, highest = float(finite.min()), float(finite.max())
    if lowest < 0:
        negative = finite < 0
        energy = np.square(finite / max(highest, -lowest), dtype=np.float64)
        share = float(energy[negative].sum() / energy.sum())
        if share > MOST_NEGATIVE:
            raise InvalidInputError(
                f"{file.name}: is negative in {np.mean(negative):.0%} of its voxels, {share:.0%} of its energy; "
                "expected a magnitude, which is never negative. Name signed images part-real, or convert it again."
            )
        if np.mean(negative) > CLIPPED:
            doubts.append(
                f"{file.name}: is negative in {np.mean(negative):.1%} of its voxels, a little, as interpolation makes "
                "magnitudes; taken as positive."
            )
    clipped = np.count_nonzero(finite == highest) / np.count_nonzero(finite)
    stored = (highest - volume.offset) / volume.scale
    if clipped > CLIPPED and any(math.isclose(stored, full, rel_tol=1e-6) for full in FULL_SCALES):
        told = f"{file.name}: holds {highest:g}, stored as {stored:.0f}, in {clipped:.1%} of its voxels with signal"
        if clipped > MOST_CLIPPED:
            raise InvalidInputError(
                f"{told}; expected less than {MOST_CLIPPED:.0%}. The image is saturated: export it with another scale."
            )
        doubts.append(f"{told}: it is saturated there, and what is fitted is wrong.")
    return tuple(doubts)


def require_phases(files: Sequence[Sequence[RawFile]], constant: Sequence[float | None]) -> None:
    """Refuse phase images that all hold one number: they tell no sign. One alone may be the reference of the others.

    Parameters
    ----------
    files
        What each image was read from.
    constant
        The phase of each image that holds the same one in every voxel [rad], else None; empty without phase images.

    Raises
    ------
    InvalidInputError
        If they do.
    """
    if len(constant) > 1 and None not in constant and len(set(constant)) == 1:
        names = ", ".join(str(of_one[-1].name) for of_one in files)
        raise InvalidInputError(
            f"{names}: hold a phase of {constant[0]:g} rad in every voxel; expected phases, which tell the signs. "
            "Convert them again, or leave them out with --bids-filter-file."
        )


def require_different(files: Sequence[Sequence[RawFile]], stack: np.ndarray) -> tuple[str, ...]:
    """Refuse two images of a run that are one and the same; return warnings of images that lack a part of the others.

    Parameters
    ----------
    files
        What each image was read from.
    stack
        (measurement, x, y, z).

    Raises
    ------
    InvalidInputError
        If an image holds nothing, or all voxels of two images are equal.
    """
    names = [" and ".join(str(file.name) for file in of_one) for of_one in files]
    voxels = stack.reshape(len(stack), -1)
    for name, image in zip(names, voxels, strict=True):
        require_signal(name, image)
    if voxels.shape[1] < FEWEST:
        return ()
    for index, image in enumerate(voxels):
        for earlier in range(index):
            if np.array_equal(voxels[earlier, ::97], image[::97], equal_nan=True) and np.array_equal(
                voxels[earlier], image, equal_nan=True
            ):
                raise InvalidInputError(
                    f"{names[earlier]}, {names[index]}: hold the same numbers; expected two images. One is a copy of "
                    "the other: convert them again, or leave one out with --bids-filter-file."
                )
    return _lost(names, voxels)


def _lost(names: Sequence[str], voxels: np.ndarray) -> tuple[str, ...]:
    """Warn of images that hold nothing where all the others hold a signal, as cut and filled-up files do."""
    voxels = voxels[:, :: 1 + voxels.shape[1] // MANY]
    there = np.isfinite(voxels) & (voxels != 0)
    n_there = there.sum(0)
    known = n_there >= len(voxels) - 1
    # Noise of a few units of the scanner is zero by chance.
    total = sum(np.square(np.abs(np.where(has, image, 0))) for image, has in zip(voxels, there, strict=True))
    energy = total / np.maximum(n_there, 1)
    bright = known & (energy > BRIGHT * np.quantile(energy[known], 0.95)) if known.any() else known
    some = np.count_nonzero(bright)
    alone = bright & (n_there == len(voxels) - 1) & ~there
    return tuple(
        f"{name}: holds zero or no number in {np.count_nonzero(missing) / some:.0%} of the voxels where all other "
        "images of the run hold a signal. A part of it may be lost."
        for name, missing in zip(names, alone, strict=True)
        if len(voxels) > 2 and some and np.count_nonzero(missing) > LOST * some  # noqa: PLR2004 - of two none is odd
    )
