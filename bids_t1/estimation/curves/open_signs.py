"""Open signs weighed by what surrounds a voxel, number by number. Read `Fitted.settle` first.

Numba compiles it. It does in double precision what `surroundings` does to many voxels at a time, which is the plain
reference that tests hold it to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_t1.compiling import compiled, kept
from bids_t1.estimation.chunks import for_each_chunk
from bids_t1.estimation.curves.block import kept_fit
from bids_t1.estimation.curves.surroundings import LENIENT, N_ROUNDS, OF_PREDICTION, TEXTURE, offsets_of
from bids_t1.estimation.curves.voxel import TINY, Choices, Tables, write
from bids_t1.estimation.curves.voxels import Open, normalised_curve, second_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Index = NDArray[np.int64]
    Places = NDArray[np.int32]

UNSEEN, FIRST_OPEN = -1, -2
"""In the list of neighbours: those not looked at yet, and the first open voxel; the one after it is one less."""

CHUNKS = 1 / 32
"""Part of a chunk of voxels that is taken of open ones at a time, of which there are few, close together."""


class Around(NamedTuple):
    """What the neighbours of some open voxels say."""

    closed: Floats
    """Sums over the neighbours that are not open: of weights, and of weighted expected samples, (open voxel, sum)."""

    begin: Index
    """Where the neighbours of each open voxel that are open too begin in what follows, and the last end."""

    other: Places
    """Their places among all open voxels."""

    compared: Singles
    """Weight and expected sample by their first and by their second choice, (pair, quantity)."""


@compiled
def neighbour(voxel: int, offset: Index, shape: tuple[int, int, int]) -> int:
    """Return the flat index of a neighbour; -1 outside the image."""
    z, y, x = voxel % shape[2], voxel // shape[2] % shape[1], voxel // (shape[2] * shape[1])
    x, y, z = x + offset[0], y + offset[1], z + offset[2]
    if x < 0 or y < 0 or z < 0 or x >= shape[0] or y >= shape[1] or z >= shape[2]:
        return -1
    index: int = (x * shape[1] + y) * shape[2] + z
    return index


@compiled
def predict(tables: Tables, choices: Choices, maps: Singles, voxel: int, curve: Singles) -> None:
    """Predict the signal of a voxel by its maps, over its norm."""
    time, amplitude, ratio, share = maps[0, voxel], maps[2, voxel], maps[3, voxel], maps[6, voxel]
    last = amplitude * ratio if choices.has_first else amplitude
    normalised_curve(tables, choices, math.log(time), amplitude, last, share * last, curve)


@compiled
def compare(others: Singles, sample: int, curve: Singles, broad: float) -> tuple[float, float]:
    """Return how much a curve counts as that of the same tissue, and what it is at the sample."""
    apart = 0.0
    for k in range(len(curve)):
        difference = curve[k] - others[k]
        apart += difference * difference
    expected = float(curve[sample])
    return math.exp(-(apart - expected * expected) / broad), expected


@compiled
def list_open(voxels: Index, low: int, row: Places) -> None:
    """Begin a list of neighbours, from the voxel `low` on, with the open ones among them."""
    for place in range(len(row)):
        row[place] = UNSEEN
    for place in range(np.searchsorted(voxels, low), np.searchsorted(voxels, low + len(row))):
        row[voxels[place] - low] = FIRST_OPEN - place


@kept
def look_around(
    tables: Tables,
    choices: Choices,
    shape: tuple[int, int, int],
    offsets: Index,
    start: int,
    found: Open,
    maps: Singles,
    low: int,
    row: Places,
    curves: Singles,
    around: Around,
) -> None:
    """Compare some open voxels, from `start` on, with their neighbours; each of those is predicted once.

    Parameters
    ----------
    low, row
        First voxel of the list of neighbours, and room for it: place in `curves` of those that are not open.
    curves
        Room for the signals of those, over their norm, (voxel, sample).
    """
    list_open(found.voxel, low, row)
    n_near = pair = 0
    for i in range(len(around.closed)):
        one = start + i
        broad = 2.0 * LENIENT * (2.0 * found.variance[one] + TEXTURE * TEXTURE)
        others, sample = found.others[one], found.sample[one]
        for k in range(len(offsets)):
            other = neighbour(found.voxel[one], offsets[k], shape)
            if other < 0:
                continue
            place = row[other - low]
            if place <= FIRST_OPEN:
                around.other[pair] = FIRST_OPEN - place
                for choice in range(2):
                    weight, expected = compare(others, sample, found.curves[FIRST_OPEN - place, choice], broad)
                    around.compared[pair, 2 * choice], around.compared[pair, 2 * choice + 1] = weight, expected
                pair += 1
                continue
            if place == UNSEEN:
                if not math.isfinite(maps[0, other]):
                    continue
                place, n_near = n_near, n_near + 1
                row[other - low] = place
                predict(tables, choices, maps, other, curves[place])
            weight, expected = compare(others, sample, curves[place], broad)
            around.closed[i, 0] += weight
            around.closed[i, 1] += weight * expected
        around.begin[i + 1] = pair


@kept
def learn_of_each_other(
    found: Open, start: int, around: Around, second: Floats, favour: Floats, following: Floats
) -> None:
    """Weigh some open voxels, from `start` on, once by their neighbours, open ones by the probabilities of choices.

    Parameters
    ----------
    second
        Probability of the second choice of every open voxel.
    favour, following
        By how much neighbours favour it, in log odds, and its probability by that, which are filled.
    """
    for i in range(len(around.closed)):
        one = start + i
        weight, expected = around.closed[i, 0], around.closed[i, 1]
        for pair in range(around.begin[i], around.begin[i + 1]):
            share, compared = second[around.other[pair]], around.compared[pair]
            by_first, by_second = (1.0 - share) * compared[0], share * compared[2]
            weight += by_first + by_second
            expected += by_first * compared[1] + by_second * compared[3]
        expected /= max(weight, TINY)
        spread = found.variance[one] * (1.0 + OF_PREDICTION / max(weight, OF_PREDICTION / 2.0)) + TEXTURE * TEXTURE
        favour[one] = found.step[one] * expected / spread * weight / (1.0 + weight)
        following[one] = second_by(found.own[one] + favour[one])


@kept
def write_open(
    choices: Choices, found: Open, start: int, stop: int, favour: Floats, maps: Singles, status: NDArray[np.uint8]
) -> None:
    """Fill the maps of open voxels from `start` up to `stop` with the choice that wins."""
    for i in range(start, stop):
        wins = found.own[i] + favour[i] > 0.0
        best, other = kept_fit(found.fits[i, 1 if wins else 0]), kept_fit(found.fits[i, 0 if wins else 1])
        write(
            choices,
            best,
            other,
            True,
            found.energy[i],
            -favour[i] if wins else favour[i],
            found.voxel[i],
            maps,
            status,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """An image that `voxels.fit_voxels` has fitted."""

    tables: Tables
    choices: Choices
    shape: tuple[int, int, int]
    maps: Singles
    status: NDArray[np.uint8]
    n_threads: int
    """Chunks of open voxels side by side."""

    def settle(self, found: Open) -> None:
        """Choose with what surrounds a voxel where its own data leave two choices of signs open."""
        count = len(found.voxel)
        around: dict[int, Around] = {}
        second, favour = found.second.copy(), np.zeros(count)

        def look(chunk: slice) -> None:
            around[chunk.start] = self._look_around(found, chunk)

        self._in_chunks(count, look)
        for _ in range(N_ROUNDS):
            following = np.empty(count)

            def learn(chunk: slice, second: Floats = second, following: Floats = following) -> None:
                learn_of_each_other(found, chunk.start, around[chunk.start], second, favour, following)

            self._in_chunks(count, learn)
            second = following
        self._in_chunks(
            count,
            lambda chunk: write_open(self.choices, found, chunk.start, chunk.stop, favour, self.maps, self.status),
        )

    def _in_chunks(self, count: int, work: Callable[[slice], None]) -> None:
        """Do something for so many open voxels side by side."""
        for_each_chunk(count, work, n_threads=self.n_threads, size=CHUNKS)

    def _look_around(self, found: Open, chunk: slice) -> Around:
        """Compare some open voxels with their neighbours."""
        voxels, n_samples = found.voxel[chunk], self.tables.axis.shape[2]
        offsets = np.array(offsets_of(self.shape), np.int64)
        reach = int(np.abs(offsets @ [self.shape[1] * self.shape[2], self.shape[2], 1]).max())
        low, high = max(0, int(voxels[0]) - reach), min(self.maps.shape[1], int(voxels[-1]) + reach + 1)
        most = len(offsets) * len(voxels)
        around = Around(
            closed=np.zeros((len(voxels), 2)),
            begin=np.zeros(len(voxels) + 1, np.int64),
            other=np.empty(most, np.int32),
            compared=np.empty((most, 4), np.float32),
        )
        row, curves = np.empty(high - low, np.int32), np.empty((min(most, high - low), n_samples), np.float32)
        look_around(
            self.tables, self.choices, self.shape, offsets, chunk.start, found, self.maps, low, row, curves, around
        )
        n_pairs = around.begin[-1]
        return around._replace(other=around.other[:n_pairs].copy(), compared=around.compared[:n_pairs].copy())
