"""Whether readouts belong to one another, to the UNIT1 beside them, and to their protocol.

Two readouts have as many numbers as unknowns: any T1 and M0 explain them, or nothing does. What tells a readout that is
turned, exchanged or scaled is the image: signals that no T1 gives at any transmit field, and an M0 that changes from
tissue to tissue as none does, after what is smooth in space is taken off. Each cause is a hypothesis with one unknown
for the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from bids_t1.data.shapes import Map, Measurements
    from bids_t1.data.signal_model import ReadoutModel

    Array = NDArray[np.floating]

SAMPLE = 1_500
"""Voxels that hypotheses are tried on."""

FEWEST = 200
"""Fewer bright voxels say nothing."""

BRIGHT = 0.2
"""Share of the brightest voxels' signal from which a voxel counts."""

TIMES = torch.exp(torch.linspace(np.log(0.05), np.log(8.0), 120, dtype=torch.float64))
"""Relaxation times that may explain a voxel [s]."""

FIELDS = (0.6, 0.8, 1.0, 1.2, 1.4)
"""Transmit fields that may: the map is not asked, as none of them makes the signals of wrong images."""

NOMINAL = FIELDS.index(1.0)

IMPOSSIBLE = 0.06
"""Share of a voxel's signal that no relaxation time explains from which it is impossible."""

NOISE_SDS = 5.0
"""The same in units of the noise."""

MUCH_IMPOSSIBLE = 0.15
"""Share of impossible voxels from which something is wrong: fluid alone, at a wrong efficiency, is less."""

UNEVEN = 0.45
"""Robust SD of log M0 from which something may be wrong; tissues differ by 0.1 to 0.25."""

CLEAR = 2.5
"""Factor by which a cause must lower both together to be believed."""

LARGEST_SURE = 0.1
"""Both together up to which nothing is asked, as the M0 of tissues differs by as much."""

SURE = 6.0
"""Factor by which turning a readout must lower both together where they are not large: heads of even M0 with T1 of the
other side of the curve do not exist."""

RIVAL = 0.1
"""By how much more than the best cause another one may leave that is as likely: of two scales, one is as good as the
inverse of the other."""

GAINS = tuple(4.0 ** (step / 10) for step in range(-10, 11) if step)
SHIFTS = tuple(10.0 ** (step / 15) for step in range(-15, 16) if step)
"""Factors of a gain and of an inversion time that are tried."""

UNI_GAINS = np.exp(np.linspace(np.log(1 / 6), np.log(6), 181))
"""Brightness of the first readout against the second one that UNIT1 may tell, 2 % apart."""

LEAST_GAIN = 1.1
"""Gain below which T1 changes by little."""

LEAST_DIFFERENCE = 0.005
"""Median difference of S below which it is that of filters and rounding."""

UNLIKE = 0.05
"""Median difference of S, whatever the gain, from which UNIT1 is not of these readouts."""

Cause = Literal["turned", "exchanged", "gain", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """One thing that would be wrong, and what is left if it is."""

    cause: Cause
    readouts: tuple[int, ...]
    """Numbers from zero."""

    value: float = 1.0
    """Gain of the readout, or the factor of its inversion time."""

    left: float
    """As `ReadoutMisfit.left`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutMisfit:
    """How far the signals are from those of the protocol, and what would explain it."""

    impossible: float
    """Share of the bright voxels whose signals no relaxation time gives."""

    unevenness: float
    """Robust SD of log M0 over these voxels, after a polynomial in space."""

    suspicions: tuple[Suspicion, ...] = ()
    """What would explain it, the best first."""

    @property
    def left(self) -> float:
        """Both together."""
        return self.impossible + self.unevenness

    @property
    def is_wrong(self) -> bool:
        """Whether something is wrong: much is impossible, or an explanation of the uneven M0 is there."""
        return self.impossible > MUCH_IMPOSSIBLE or bool(self.suspicions)


@dataclass(frozen=True, slots=True, kw_only=True)
class UniComparison:
    """What UNIT1 says of the readouts beside it."""

    gain: float
    """Brightness of readout 1 over readout 2 in the images, over that in UNIT1."""

    is_turned: bool
    """Whether S of the readouts has the other sign."""

    difference: float
    """Median difference of S, as the images are."""

    left: float
    """The same with that gain and sign."""

    @property
    def is_scaled(self) -> bool:
        """Whether the gain is one that changes T1."""
        return bool(abs(np.log(self.gain)) > np.log(LEAST_GAIN))

    @property
    def contradicts(self) -> bool:
        """Whether a gain or sign explains a difference that matters."""
        matters = self.difference > max(LEAST_DIFFERENCE, 3 * self.left)
        return matters and (self.is_turned or self.is_scaled)

    @property
    def is_unlike(self) -> bool:
        """Whether UNIT1 is not of these readouts."""
        return self.left > UNLIKE


def compare_with_uni(readouts: Measurements, uni: Map) -> UniComparison | None:
    """Compare UNIT1 with S of the first two readouts; None where too few voxels are bright.

    Parameters
    ----------
    readouts
        (readout, *voxels), complex and in phase, or magnitudes, which have no sign.
    uni
        S, (*voxels).
    """
    first, second = readouts[0].ravel(), readouts[1].ravel()
    energy = np.square(np.abs(first)) + np.square(np.abs(second))
    known = np.isfinite(energy) & np.isfinite(uni.ravel())
    bright = known & (energy > BRIGHT**2 * _highest(energy[known]))
    if np.count_nonzero(bright) < FEWEST:
        return None
    where = np.flatnonzero(bright)[:: max(1, np.count_nonzero(bright) // SAMPLE)]
    signed = np.iscomplexobj(readouts)
    product = (first[where].conj() * second[where]).real.astype(np.float64)
    one, two = (np.square(np.abs(each[where])).astype(np.float64) for each in (first, second))
    told = uni.ravel()[where].astype(np.float64)
    told = told if signed else np.abs(told)

    def difference(gain: float, sign: float) -> float:
        return float(np.median(np.abs(sign * product / gain / (one / gain**2 + two) - told)))

    tried = [(difference(gain, sign), gain, sign) for sign in ((1.0, -1.0) if signed else (1.0,)) for gain in UNI_GAINS]
    left, gain, sign = min(tried)
    return UniComparison(gain=float(gain), is_turned=sign < 0, difference=difference(1.0, 1.0), left=left)


def find_misfit(
    model: ReadoutModel,
    readouts: Measurements,
    noise_sd: Callable[[], float],
    at_time: Callable[[int, float], ReadoutModel | None] | None,
) -> ReadoutMisfit | None:
    """Compare readouts in phase with what their protocol can give; None where too few voxels are bright.

    Parameters
    ----------
    model
        The sequence.
    readouts
        (readout, *voxels), complex, or real with their signs.
    noise_sd
        Gives that of one channel; asked where enough voxels are bright.
    at_time
        Gives the model with the inversion time of a readout times a factor; None where that cannot be played. None: the
        sequence has no inversion, and no readout can be turned.
    """
    energy = np.square(np.abs(readouts)).sum(0)
    known = np.isfinite(energy)
    bright = known & (energy > BRIGHT**2 * _highest(energy[known]))
    places = np.argwhere(bright)
    if len(places) < FEWEST:
        return None
    places = places[:: max(1, len(places) // SAMPLE)]
    bench = _Bench(_signed(readouts[(slice(None), *places.T)]), _polynomial(places), noise_sd())
    misfit = bench.judge(model)
    return replace(misfit, suspicions=_suspicions(misfit, bench, model, at_time))


def _suspicions(
    misfit: ReadoutMisfit,
    bench: _Bench,
    model: ReadoutModel,
    at_time: Callable[[int, float], ReadoutModel | None] | None,
) -> tuple[Suspicion, ...]:
    """Return what would explain a misfit, the best of each cause."""
    if misfit.impossible <= MUCH_IMPOSSIBLE and misfit.unevenness <= UNEVEN:
        return () if at_time is None or misfit.left <= LARGEST_SURE else _sure_turn(misfit, bench, model)
    tried = sorted(_hypotheses(bench, model, at_time), key=lambda one: one.left)
    believed = [one for one in tried if one.left * CLEAR < misfit.left and one.left <= RIVAL + tried[0].left]
    of_each: dict[tuple[Cause, tuple[int, ...]], Suspicion] = {}
    for one in believed:
        of_each.setdefault((one.cause, one.readouts), one)
    return tuple(of_each.values())


def _sure_turn(misfit: ReadoutMisfit, bench: _Bench, model: ReadoutModel) -> tuple[Suspicion, ...]:
    turned = min(_turns(bench, model), key=lambda one: one.left)
    return (turned,) if turned.left * SURE < misfit.left else ()


def _hypotheses(
    bench: _Bench, model: ReadoutModel, at_time: Callable[[int, float], ReadoutModel | None] | None
) -> Iterator[Suspicion]:
    n = len(bench.signals)
    if at_time is not None:
        yield from _turns(bench, model)
    for pair in combinations(range(n), 2):
        yield Suspicion(cause="exchanged", readouts=pair, left=bench.exchanged(*pair).judge(model).left)
    for readout in range(n):
        for gain in GAINS:
            left = bench.scaled(readout, 1 / gain).judge(model).left
            yield Suspicion(cause="gain", readouts=(readout,), value=gain, left=left)
        for factor in SHIFTS if at_time is not None else ():
            other = None if at_time is None else at_time(readout, factor)
            if other is not None:
                yield Suspicion(cause="time", readouts=(readout,), value=factor, left=bench.judge(other).left)


def _turns(bench: _Bench, model: ReadoutModel) -> Iterator[Suspicion]:
    n = len(bench.signals)
    # The sign of all readouts is free: of two, turning either is the same.
    for readout in range(n if n > 2 else 1):  # noqa: PLR2004 - a pair
        yield Suspicion(cause="turned", readouts=(readout,), left=bench.scaled(readout, -1.0).judge(model).left)


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """Some voxels, compared with one model after the other."""

    signals: Array
    """Real signals of each voxel up to its sign, (readout, voxel)."""

    space: Array
    """Polynomials of their places, (voxel, term)."""

    noise_sd: float

    def scaled(self, readout: int, factor: float) -> _Bench:
        signals = self.signals.copy()
        signals[readout] *= factor
        return _Bench(signals, self.space, self.noise_sd)

    def exchanged(self, one: int, other: int) -> _Bench:
        order = list(range(len(self.signals)))
        order[one], order[other] = other, one
        return _Bench(self.signals[order], self.space, self.noise_sd)

    def judge(self, model: ReadoutModel) -> ReadoutMisfit:
        """Tell how far the voxels are from a model."""
        fields = torch.tensor(FIELDS, dtype=torch.float64)
        signals = model.signals(TIMES[None, :], fields[:, None]).numpy()  # (readout, field, time)
        norms = np.linalg.norm(signals, axis=0)
        directions = np.moveaxis(signals / norms, 0, -1)
        explained = np.abs(directions @ self.signals)
        size = np.linalg.norm(self.signals, axis=0)
        left = np.sqrt(np.maximum(size**2 - explained.max((0, 1)) ** 2, 0))
        best = explained[NOMINAL].argmax(0)
        amplitude = explained[NOMINAL].max(0) / norms[NOMINAL, best]
        is_impossible = (left > IMPOSSIBLE * size) & (left > NOISE_SDS * self.noise_sd)
        return ReadoutMisfit(
            impossible=float(is_impossible.mean()), unevenness=_unevenness(np.log(amplitude), self.space)
        )


def _signed(readouts: Measurements) -> Array:
    """Return what real signals with one phase explain of complex ones, (readout, voxel)."""
    readouts = readouts.astype(np.complex128)
    matrices = np.einsum("jv,kv->vjk", readouts.conj(), readouts).real
    values, vectors = np.linalg.eigh(matrices)
    signed: Array = vectors[:, :, -1].T * np.sqrt(values[:, -1])
    return signed


def _polynomial(places: NDArray[np.integer]) -> Array:
    """Return the terms up to the second order of places, (voxel, term)."""
    x, n = 2 * places / np.maximum(places.max(0), 1) - 1, places.shape[1]
    terms = [np.ones(len(x)), *x.T, *(x[:, j] * x[:, k] for j in range(n) for k in range(j, n))]
    return np.stack(terms, axis=1)


def _unevenness(log_amplitude: Array, space: Array) -> float:
    """Return the robust SD about a polynomial that is fitted with few regard to what is far from it."""
    weight = np.ones(len(log_amplitude))
    spread, apart = 0.0, log_amplitude
    for _ in range(6):
        found = np.linalg.lstsq(space * weight[:, None], log_amplitude * weight, rcond=None)[0]
        apart = log_amplitude - space @ found
        spread = float(np.median(np.abs(apart))) / 0.6745
        weight = 1 / np.sqrt(1 + np.square(apart / (2 * spread + 1e-9)))
    return spread


def _highest(energy: Array) -> float:
    return float(np.quantile(energy, 0.98)) if energy.size else np.inf
