"""Whether each image agrees with the others: a gain of its own, a wrong time, signs that cannot be.

A model leaves residuals for many reasons. Here each reason is a hypothesis with one unknown for the whole image, and
what counts is how much of the residuals it takes away, in all voxels at once, whatever their relaxation time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.estimation.curves.engine import count_unknowns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bids_t1.data.shapes import Signals, Voxels
    from bids_t1.data.signal_model import SignalModel, SurfaceModel
    from bids_t1.estimation.curves.engine import Bench

N_VOXELS = 500
"""Voxels that hypotheses are tried on."""

FEWEST_VOXELS = 50
"""Fewer say nothing about an image."""

QUIET = 1.8
"""Residuals over the noise up to which nothing is asked; noise alone gives 1.3."""

CLEAR = 1.3
"""Factor by which a hypothesis must lower the residuals to be believed."""

CLEAR_IF_STRICT = 2.0
"""The same where what tissue does cannot be told from a fault."""

CLEAR_OF_MANY = 1.5
"""The same for a gain of each image, beyond what one cause explains."""

TOO_MUCH = 0.03
"""Residuals over the signal from which on something is wrong, whatever it is; brains have 0.026 at most."""

WORTHWHILE = 0.002
"""What it must take away, over the signal: less is beyond the care of most scans."""

LEAST_GAIN = 0.04
"""Deviation from 1 below which the gain of an image needs no word."""

LEAST_SHIFT = 0.05
"""The same for a time, relative to it."""

GAINS = tuple(0.4 * 6.25 ** (step / 8) for step in range(9))
"""Gains tried first."""

SHIFTS = tuple(12 ** (step / 10) for step in range(-10, 11))
"""Factors of a time tried first: another digit, or a point in another place."""

N_HALVINGS = 4
"""How often the step is halved around the best of them."""

UNMISTAKABLE = 1.2
"""Factor by which residuals without one image must be below those without any other, for it alone to be asked."""

N_SWEEPS = 3
"""Rounds over all images where each has a gain."""

CONTRADICTED = 25.0
"""Noise variances by which free signs must be better than the stored ones for a voxel to contradict these."""

OFF_AXIS = 0.03
"""Share of the energy across the phase that images have in common from which on they have none: 10 degrees."""

Cause = Literal["gain", "gains", "time", "exchanged", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """One thing that would be wrong with images, and what the fit leaves if it is."""

    cause: Cause
    images: tuple[int, ...]
    """Their numbers from zero, in the order of the model."""

    values: tuple[float, ...] = ()
    """Gain of each of these images, or the time that one seems to have [s]."""

    left: float
    """Typical residual over the signal under this hypothesis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What the fit leaves, and what would explain it."""

    left: float
    """Typical residual over the signal."""

    noise: float
    """Noise of one channel over the signal; zero where it is not known."""

    least: float = 0.0
    """The same with a richer model, where that explains more than one of tissue."""

    is_asked: bool = True
    """Whether there are images enough to ask for a cause."""

    suspicion: Suspicion | None = None
    """What explains the residuals best; None where nothing explains them clearly better than noise."""

    @property
    def is_explained(self) -> bool:
        """Whether the suspicion, if true, leaves little more than noise."""
        return self.suspicion is not None and self.suspicion.left <= max(QUIET * self.noise, TOO_MUCH)

    @property
    def is_settled(self) -> bool:
        """Whether the suspicion, if true, leaves only noise, or a small part of what there was."""
        return self.suspicion is not None and self.suspicion.left <= max(QUIET * self.noise, self.left / 6)

    @property
    def is_too_much(self) -> bool:
        """Whether what is left cannot be noise and the ways of tissue."""
        return self.least > max(TOO_MUCH, QUIET * self.noise)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hypotheses:
    """Fits the same voxels under one hypothesis after the other."""

    bench: Bench
    times: tuple[float, ...]
    """Of the images, as told [s]."""

    at_times: Callable[[Sequence[int], Sequence[float]], SignalModel | SurfaceModel]
    """Gives the model of some images, by their numbers, at other times [s]."""

    rivals: tuple[SignalModel | SurfaceModel, ...] = ()
    """Richer models of all images: what they explain is no fault of an image."""

    unsigned: bool
    is_strict: bool
    """Whether tissue itself may leave what looks like a fault of one image, so that only clear ones count."""

    def find(self, accusable: Sequence[int]) -> Misfit:
        """Look for the one thing that explains the residuals; only of some images, by their numbers."""
        signals = self.bench.signals
        model = self.at_times(range(len(self.times)), self.times)
        fit = self.bench.fit(model, signals, unsigned=self.unsigned)
        n_left = len(self.times) - count_unknowns(model)
        if signals.shape[1] < FEWEST_VOXELS:
            return Misfit(left=0.0, noise=0.0)
        noise, residual = self.bench.noise_sd, float((fit.cost / max(1, n_left)).sqrt().median())
        trial = self._trial(signals, model, noise if self.bench.sees_noise else min(noise or math.inf, residual / 3))
        told = trial.left()
        misfit = Misfit(left=told, noise=noise / trial.scale)
        if self.bench.sees_noise and told <= QUIET * misfit.noise:
            return misfit
        if n_left < 1:  # what is left only bounds of the unknowns leave, and says nothing of its cause
            return replace(misfit, least=told, is_asked=False)
        bar = min([told, *(self._left_by(rival, trial) for rival in self.rivals)])
        clear = CLEAR_IF_STRICT if self.is_strict else CLEAR
        best = trial.best(accusable, n_left)
        believed = best is not None and _outdoes(best, bar, clear)
        misfit = replace(misfit, least=bar, suspicion=best if believed else None)
        if misfit.is_too_much and not misfit.is_settled:
            several = trial.gains()
            if _outdoes(several, bar if best is None else min(bar, best.left), CLEAR_OF_MANY):
                misfit = replace(misfit, suspicion=several)
        return misfit

    def left_with(self, gains: Sequence[float]) -> float:
        """Return the typical residual over the signal if each image has the gain that it is given."""
        model = self.at_times(range(len(self.times)), self.times)
        trial = self._trial(self.bench.signals, model, self.bench.noise_sd)
        return trial.left(gains=gains)

    def _trial(self, signals: Signals, model: SignalModel | SurfaceModel, floor: float) -> _Trial:
        scale = float(signals.abs().max(0).values.median())
        return _Trial(hypotheses=self, signals=signals, n_unknowns=count_unknowns(model), floor=floor, scale=scale)

    def _left_by(self, rival: SignalModel | SurfaceModel, trial: _Trial) -> float:
        cost = self.bench.fit(rival, trial.signals, unsigned=self.unsigned).cost
        return trial.of(cost, len(self.times) - count_unknowns(rival))


def _outdoes(suspicion: Suspicion, bar: float, clear: float) -> bool:
    return suspicion.left * clear < bar and bar**2 - suspicion.left**2 > WORTHWHILE**2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trial:
    hypotheses: Hypotheses
    signals: Signals
    n_unknowns: int
    floor: float
    """Noise, or a share of the residuals where it is not known: no voxel counts for fitting better than that."""

    scale: float
    """Typical brightest signal."""

    def of(self, cost: Voxels, n_left: int) -> float:
        """Return the geometric mean of the residuals, in which no few voxels decide, over the signal."""
        return float(torch.log(cost / max(1, n_left) + self.floor**2).mean().div(2).exp()) / self.scale

    def left(self, *, gains: Sequence[float] = (), times: Sequence[float] = (), without: int | None = None) -> float:
        """Return what is left if images have gains, or other times, or one of them does not count."""
        told, signals = times or self.hypotheses.times, self.signals
        if gains:
            signals = signals / signals.new_tensor(gains)[:, None]
        images = [image for image in range(len(told)) if image != without]
        order = sorted(images, key=lambda image: told[image])
        try:
            model = self.hypotheses.at_times(order, [told[image] for image in order])
        except InvalidInputError:
            return math.inf
        fit = self.hypotheses.bench.fit(model, signals[order], unsigned=self.hypotheses.unsigned)
        return self.of(fit.cost, len(images) - self.n_unknowns)

    def best(self, accusable: Sequence[int], n_left: int) -> Suspicion | None:
        """Return the hypothesis that leaves least, the simpler one where two leave nearly the same."""
        alone = {image: self.left(without=image) for image in accusable} if n_left > 1 else {}
        chosen = sorted(alone, key=alone.__getitem__)[:2] or accusable
        if alone and alone[chosen[-1]] > UNMISTAKABLE * alone[chosen[0]]:
            chosen = chosen[:1]
        found = [*(self._gain(image) for image in chosen), *(self._time(image) for image in chosen)]
        found += self._exchanges(accusable)
        worth = sorted((one for one in found if one is not None), key=lambda one: one.left)
        if alone and (not worth or alone[chosen[0]] * CLEAR < worth[0].left):
            worth.insert(0, Suspicion(cause="other", images=(chosen[0],), left=alone[chosen[0]]))
        return worth[0] if worth else None

    def _gain(self, image: int) -> Suspicion | None:
        def left(gain: float) -> float:
            return self.left(gains=[gain if other == image else 1.0 for other in range(len(self.signals))])

        gain, least = _lowest(left, GAINS)
        if abs(gain - 1) < LEAST_GAIN:
            return None
        return Suspicion(cause="gain", images=(image,), values=(gain,), left=least)

    def _time(self, image: int) -> Suspicion | None:
        times = self.hypotheses.times

        def left(factor: float) -> float:
            return self.left(times=[factor * time if other == image else time for other, time in enumerate(times)])

        factor, least = _lowest(left, SHIFTS)
        if abs(factor - 1) < LEAST_SHIFT:
            return None
        return Suspicion(cause="time", images=(image,), values=(factor * times[image],), left=least)

    def _exchanges(self, accusable: Sequence[int]) -> list[Suspicion]:
        found = []
        for pair in combinations(accusable, 2):
            times = list(self.hypotheses.times)
            times[pair[0]], times[pair[1]] = times[pair[1]], times[pair[0]]
            found.append(Suspicion(cause="exchanged", images=pair, left=self.left(times=times)))
        return found

    def gains(self) -> Suspicion:
        """Give every image but the last a gain of its own."""
        found = [1.0] * len(self.signals)
        least = math.inf
        for _ in range(N_SWEEPS):
            for image in range(len(found) - 1):

                def left(gain: float, image: int = image) -> float:
                    return self.left(gains=[gain if other == image else old for other, old in enumerate(found)])

                found[image], least = _lowest(left, GAINS)
        return Suspicion(cause="gains", images=tuple(range(len(found))), values=tuple(found), left=least)


def _lowest(left: Callable[[float], float], grid: Sequence[float]) -> tuple[float, float]:
    """Return where something is lowest, from a grid of even ratios on, and how low."""
    step = grid[1] / grid[0]
    least, place = min((left(value), value) for value in grid)
    for _ in range(N_HALVINGS):
        step **= 0.5
        least, place = min((least, place), *((left(value), value) for value in (place / step, place * step)))
    return place, least


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSigns:
    """Whether real or complex measurements have the signs of a recovery."""

    contradicted: float
    """Share of voxels that signs of their own fit clearly better, or whose phase is none that images have in common."""

    left: float
    """Typical residual over the signal with the signs as stored."""

    left_without: float
    """The same with free signs."""


def weigh_signs(bench: Bench, model: SignalModel | SurfaceModel) -> StoredSigns:
    """Compare the signs that measurements have with the best ones."""
    signed, magnitudes = bench.signals, bench.images.abs()
    stored = bench.fit(model, signed, unsigned=False).cost
    free = bench.fit(model, magnitudes, unsigned=True).cost
    n_left = max(1, model.n_measurements - count_unknowns(model))
    variance = max(bench.noise_sd**2, float((free / n_left).median()))
    energy = magnitudes.square().sum(0)
    across = energy - signed.square().sum(0)
    against = (stored - free > CONTRADICTED * variance) & (free < stored / 4)
    against |= (across > CONTRADICTED * model.n_measurements * variance) & (across > OFF_AXIS * energy)
    scale = float(magnitudes.max(0).values.median())
    left, left_without = (float((cost / n_left).sqrt().median()) / scale for cost in (stored, free))
    return StoredSigns(contradicted=float(against.float().mean()), left=left, left_without=left_without)
