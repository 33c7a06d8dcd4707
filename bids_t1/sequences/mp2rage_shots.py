"""How many excitations of an MP2RAGE readout come before and after the k-space centre.

``NumberShots`` is [before, after] or one number. Under slice partial Fourier f one number has two readings in use: the
partitions N that are encoded, of which N (f - 1/2) are played before the centre and N/2 after it (BIDS); or the
excitations n = f N that are played, as Siemens counts its turbo factor. They are told apart, or refused with both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bids_t1.data.grid import Grid

Pair = tuple[float, float]
"""Excitations before and after the k-space centre."""

PLAYED = "ExcitationsPerReadout"
"""Field of the excitations that are played; not of BIDS, whose NumberShots counts partitions."""

PAIR = 2
COMPRESSED = re.compile(r"cs[-_]?mp2rage|mp2rage[-_]?cs|compressed[-_ ]?sens", re.IGNORECASE)
"""In the names of sequences that spread their excitations over k-space, half of them on each side of its centre."""

ROUNDED = 0.5
"""A number of excitations is whole, and partial Fourier may ask for a fraction of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """What metadata say of the excitations of each readout."""

    name: str
    """File, for messages."""

    numbers: tuple[tuple[float, ...] | None, ...]
    """NumberShots of each readout."""

    played: tuple[tuple[float, ...] | None, ...]
    """`PLAYED` of each readout."""

    share: float | None
    """Slice partial Fourier, where it is needed."""

    compressed: bool = False
    """The sequence is one of compressed sensing, by its name."""


def excitations_of(
    shots: Shots, grid: Grid | None, play: Callable[[tuple[Pair, ...]], object]
) -> tuple[tuple[Pair, ...], str]:
    """Return the excitations before and after the k-space centre of each readout, and by what one number was read.

    Parameters
    ----------
    shots
        What metadata say.
    grid
        Of the images; the number of its slices is that of the partitions, unless these are oversampled or cut.
    play
        Raises an error where the trains do not fit into the cycle.

    Raises
    ------
    InvalidInputError
        If numbers contradict each other, or one number has two readings that are both possible.
    """
    if all(
        played is not None or len(numbers or ()) == PAIR
        for numbers, played in zip(shots.numbers, shots.played, strict=True)
    ):
        return tuple(_told(shots, index) for index in range(len(shots.numbers))), ""
    readings = {
        "partitions": tuple(_read(shots, index, of_partitions) for index in range(len(shots.numbers))),
        "excitations played": tuple(_read(shots, index, of_played) for index in range(len(shots.numbers))),
    }
    if shots.share == 1:
        return readings["partitions"], ""
    if shots.compressed:
        raise InvalidInputError(_both(shots, readings, grid))
    possible = [name for name, pairs in readings.items() if _fits(play, pairs)]
    by_slices = _matching(shots, grid)
    if len(by_slices) == 1 and by_slices[0] in (possible or by_slices):
        return readings[by_slices[0]], f"one number that counts {by_slices[0]}, by the slices of the image"
    if len(possible) == 1 and not by_slices:
        return readings[possible[0]], f"one number that counts {possible[0]}: otherwise the trains would overlap"
    raise InvalidInputError(_both(shots, readings, grid))


def of_partitions(n: float, share: float) -> Pair:
    """Return the excitations before and after the centre of n partitions."""
    return n * (share - 0.5), n / 2


def of_played(n: float, share: float) -> Pair:
    """Return those of n excitations that are played."""
    return n - n / (2 * share), n / (2 * share)


def _told(shots: Shots, index: int) -> Pair:
    """Return a pair that needs no reading."""
    numbers, played = shots.numbers[index], shots.played[index]
    if played is None:
        return _pair(shots.name, numbers or ())
    if len(played) != 1:
        raise InvalidInputError(
            f"{shots.name}: {PLAYED} has {len(played)} numbers; expected one, the excitations that are played in each "
            "readout, or one per readout."
        )
    n, share = played[0], shots.share or 1.0
    agree = numbers is None or any(abs(sum(numbers) - other) <= ROUNDED for other in (n, n / share))
    if not agree or (numbers is not None and len(numbers) == PAIR and abs(sum(numbers) - n) > ROUNDED):
        raise InvalidInputError(
            f"{shots.name}: {PLAYED} is {n:g} and NumberShots {list(numbers or ())}, slice partial Fourier {share:g}; "
            "expected numbers of the same readout. Correct or remove one."
        )
    return _pair(shots.name, numbers) if numbers is not None and len(numbers) == PAIR else of_played(n, share)


def _pair(name: str, numbers: tuple[float, ...]) -> Pair:
    if len(numbers) != PAIR:
        raise InvalidInputError(
            f"{name}: NumberShots has {len(numbers)} numbers; expected [before, after] the k-space centre, or one "
            "number."
        )
    return numbers[0], numbers[1]


def _read(shots: Shots, index: int, reading: Callable[[float, float], Pair]) -> Pair:
    numbers = shots.numbers[index] or ()
    if shots.played[index] is not None or len(numbers) != 1:
        return _told(shots, index)
    return reading(numbers[0], shots.share or 1.0)


def _fits(play: Callable[[tuple[Pair, ...]], object], pairs: tuple[Pair, ...]) -> bool:
    try:
        play(pairs)
    except InvalidInputError:
        return False
    return True


def _matching(shots: Shots, grid: Grid | None) -> list[str]:
    """Return the readings whose partitions are as many as the slices of the image."""
    share = shots.share or 1.0
    single = {numbers[0] for numbers in shots.numbers if numbers is not None and len(numbers) == 1}
    sizes = () if grid is None else _slices(grid)
    found = {
        "partitions": all(any(abs(size - n) < ROUNDED for size in sizes) for n in single),
        "excitations played": all(any(abs(size * share - n) <= ROUNDED for size in sizes) for n in single),
    }
    return [name for name, holds in found.items() if holds]


def _slices(grid: Grid) -> tuple[int, ...]:
    """Return how many slices an image may have.

    They lie along the last axis, as images of scanners are stored, unless the image was turned to the axes of the
    body on the way: then any axis may be theirs.
    """
    directions = np.abs(grid.affine[:3, :3] / np.asarray(grid.voxel_sizes)).argmax(axis=0)
    return grid.shape if directions.tolist() == [0, 1, 2] else grid.shape[2:]


def _both(shots: Shots, readings: dict[str, tuple[Pair, ...]], grid: Grid | None) -> str:
    n = next(numbers[0] for numbers in shots.numbers if numbers is not None and len(numbers) == 1)
    partitions, played = ([round(number, 3) for number in pairs[0]] for pairs in readings.values())
    slices = "" if grid is None else f" of {' x '.join(map(str, grid.shape))} voxels"
    compressed = (
        f" Its sequence is one of compressed sensing by its name: then half of the excitations played are on each "
        f"side, {[n / 2, n / 2]} if these are {n:g}."
    )
    return (
        f"{shots.name}: NumberShots is {n:g} beside SlicePartialFourier {shots.share:g}, which has two readings: {n:g} "
        f"partitions encoded, {partitions} excitations before and after the k-space centre; or {n:g} excitations "
        f"played, {played}. T1 differs by some percent, and the image{slices} does not tell which it is; expected "
        f"NumberShots as [before, after], or {PLAYED}, the excitations played. Write the one that the scanner's "
        "protocol says, to the sidecars or the protocol file." + compressed * shots.compressed
    )
