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
    from collections.abc import Callable, Mapping, Sequence

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


@dataclass(frozen=True, slots=True)
class Told:
    """What metadata say of the excitations of one readout; empty: nothing."""

    numbers: tuple[float, ...]
    """NumberShots."""

    played: tuple[float, ...]
    """`PLAYED`."""

    @property
    def has_two_readings(self) -> bool:
        """Whether there is one number, and it may count partitions or excitations."""
        return len(self.numbers) == 1 and not self.played

    @property
    def needs_share(self) -> bool:
        """Whether the share of k-space that is played decides the numbers around its centre."""
        return len(self.numbers) == 1 or bool(self.played)

    def pair(self, name: str, share: float) -> Pair:
        """Return the excitations before and after the k-space centre where no number has two readings.

        Raises
        ------
        InvalidInputError
            If there are more numbers than can be meant, or they contradict each other.
        """
        if not self.played:
            return _pair(name, self.numbers)
        if len(self.played) != 1:
            raise InvalidInputError(
                f"{name}: {PLAYED} has {len(self.played)} numbers; expected one, the excitations that are played in "
                "each readout, or one per readout."
            )
        (n,) = self.played
        is_pair = len(self.numbers) == PAIR
        if self.numbers and all(
            abs(sum(self.numbers) - n / part) > ROUNDED for part in ((1,) if is_pair else (1, share))
        ):
            raise InvalidInputError(
                f"{name}: {PLAYED} is {n:g} and NumberShots {list(self.numbers)}, slice partial Fourier {share:g}; "
                "expected numbers of the same readout. Correct or remove one."
            )
        return _pair(name, self.numbers) if is_pair else of_played(n, share)

    def read(self, name: str, share: float, reading: Callable[[float, float], Pair]) -> Pair:
        """Return them by one of the readings of one number."""
        return reading(self.numbers[0], share) if self.has_two_readings else self.pair(name, share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """What metadata say of the excitations of each readout."""

    name: str
    """File, for messages."""

    readouts: tuple[Told, ...]
    share: float
    """Slice partial Fourier, where it is needed; else 1."""

    compressed: bool = False
    """The sequence is one of compressed sensing, by its name."""


def require_excitations(name: str, key: str, numbers: Sequence[float]) -> None:
    """Refuse numbers of excitations that cannot be.

    Raises
    ------
    InvalidInputError
        If one of them is negative, or all together are none.
    """
    if min(numbers) < 0 or sum(numbers) < 1:
        raise InvalidInputError(
            f"{name}: {key} is {', '.join(f'{number:g}' for number in numbers)}; expected numbers of excitations, not "
            "negative, together at least 1. Take them from the protocol of the scanner."
        )


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
    if not any(told.has_two_readings for told in shots.readouts):
        return tuple(told.pair(shots.name, shots.share) for told in shots.readouts), ""
    readings = {
        name: tuple(told.read(shots.name, shots.share, reading) for told in shots.readouts)
        for name, reading in READINGS.items()
    }
    if shots.share == 1:
        return readings["partitions"], ""
    chosen = None if shots.compressed else _choice(readings, _matching(shots, grid), play)
    if chosen is None:
        raise InvalidInputError(_both(shots, readings, grid))
    name, reason = chosen
    return readings[name], f"one number that counts {name}{reason}"


def _choice(
    readings: Mapping[str, tuple[Pair, ...]], by_slices: Sequence[str], play: Callable[[tuple[Pair, ...]], object]
) -> tuple[str, str] | None:
    """Return the reading that alone can be meant, and why; None where there is no such one."""
    possible = [name for name, pairs in readings.items() if _fits(play, pairs)]
    if len(by_slices) == 1 and by_slices[0] in (possible or by_slices):
        return by_slices[0], ", by the slices of the image"
    if len(possible) == 1 and not by_slices:
        return possible[0], ": otherwise the trains would overlap"
    return None


def of_partitions(n: float, share: float) -> Pair:
    """Return the excitations before and after the centre of n partitions."""
    return n * (share - 0.5), n / 2


def of_played(n: float, share: float) -> Pair:
    """Return those of n excitations that are played."""
    return n - n / (2 * share), n / (2 * share)


READINGS = {"partitions": of_partitions, "excitations played": of_played}
"""What one number may count."""


def _pair(name: str, numbers: tuple[float, ...]) -> Pair:
    if len(numbers) != PAIR:
        raise InvalidInputError(
            f"{name}: NumberShots has {len(numbers)} numbers; expected [before, after] the k-space centre, or one "
            "number."
        )
    return numbers[0], numbers[1]


def _fits(play: Callable[[tuple[Pair, ...]], object], pairs: tuple[Pair, ...]) -> bool:
    try:
        play(pairs)
    except InvalidInputError:
        return False
    return True


def _matching(shots: Shots, grid: Grid | None) -> list[str]:
    """Return the readings whose partitions are as many as the slices of the image."""
    single = {told.numbers[0] for told in shots.readouts if told.has_two_readings}
    sizes = () if grid is None else _slices(grid)
    return [
        name
        for name, part in zip(READINGS, (1.0, shots.share), strict=True)
        if all(any(abs(size * part - n) <= ROUNDED for size in sizes) for n in single)
    ]


def _slices(grid: Grid) -> tuple[int, ...]:
    """Return how many slices an image may have.

    They lie along the last axis, as images of scanners are stored, unless the image was turned to the axes of the
    body on the way: then any axis may be theirs.
    """
    directions = np.abs(grid.affine[:3, :3] / np.asarray(grid.voxel_sizes)).argmax(axis=0)
    return grid.shape if directions.tolist() == [0, 1, 2] else grid.shape[2:]


def _both(shots: Shots, readings: dict[str, tuple[Pair, ...]], grid: Grid | None) -> str:
    n = next(told.numbers[0] for told in shots.readouts if told.has_two_readings)
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
