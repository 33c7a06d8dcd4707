"""The prior on the ratio of the two coefficients, learned from the image itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_array

from bids_t1.compiling import COMPILES
from bids_t1.estimation.curves.descent import Limits, descend
from bids_t1.estimation.curves.marginal import N_PRODUCTS, Likelihood, fill_likelihood, likelihood_of
from bids_t1.estimation.curves.prior import RatioPrior
from bids_t1.estimation.curves.refinement import TINY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.curves.polarity import Solution

    Values = NDArray[np.float64]

BLOCK = 256
"""Fits whose numbers are held at a time: they stay in the cache of a processor."""

REACH = 5.0
"""Half the range of relaxation times summed over, in standard deviations of the free fit."""

N_NODES = 25
"""Relaxation times summed over in each voxel, for each choice of signs."""

BIN_WIDTH = 0.03
"""Width of the bins of the histogram of relaxation times, in log T: finer than the spread of one tissue."""

KNOT_QUANTILES = (0.15, 0.4, 0.6, 0.85)
"""Where the mean ratio may bend, among the relaxation times of the image: equal data for every value."""

N_ROUNDS = 3
"""Alternations of the prior and the histogram of relaxation times."""

FEW = 4
"""Every so many voxels serve the first alternation, which only has to come near."""

N_HISTOGRAM_UPDATES = 10
"""Expectation-maximisation steps of the histogram in each alternation."""

MEAN_RANGE = (0.5, 2.0)
"""Of the mean: no pulse does more than a perfect inversion, whatever noise makes of single voxels."""

FIRST_SD = 0.05
"""Spread the search begins with; the mean is the median ratio of the free fits."""

LONGEST_STEP = 0.25
"""Of a mean, or the spread."""

SD_RANGE = (0.005, 1.0)
"""Spreads of the ratio that are looked at: below, it would be a constant; above, no prior."""

LEAST_SD = 0.02
"""Smallest spread that is used: inversion pulses are not more uniform than that."""


def learn_ratio_prior(
    model: SignalModel,
    solution: Solution,
    noise_sd: float,
    time_range: tuple[float, float],
) -> RatioPrior:
    """Estimate the prior by maximum marginal likelihood over a sample of voxels.

    The relaxation time of each voxel and its choice of signs are summed out numerically, its amplitude and its own
    ratio in closed form. The free fit's ratios are not used: their distribution is skewed, and its median biased.
    The distribution of relaxation times is a nuisance estimated along the way (expectation-maximisation on a
    histogram), because noise moves a voxel's ratio and relaxation time together. The mean is constant unless the
    Bayesian information criterion finds that letting it change with T pays for its parameters.

    Parameters
    ----------
    solution
        Fits of some thousand voxels with a free ratio, which say where to look.
    noise_sd
        Noise SD of one measurement, in units of the signal.
    time_range
        Search range of the relaxation time [s].
    """
    sample = _Sample.draw(model, solution, noise_sd, time_range)
    search = _Search(sample.every(FEW), sample)
    quantiles = np.quantile(solution.fit.time.cpu().numpy(), KNOT_QUANTILES)
    knots = tuple(float(knot) for knot in np.unique(quantiles))
    # The constant mean comes last: what the histogram has gained by then must not count for the bends.
    start = float(solution.fit.ratio.median().clamp(*MEAN_RANGE))
    varying, cost_of_varying = search.improve(knots, start)
    constant, cost_of_constant = search.improve((1.0,), start)
    price = 0.5 * (len(knots) - 1) * math.log(len(solution.fit.time))
    return varying if cost_of_constant - cost_of_varying > price else constant


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sample:
    """Fits at relaxation times around each free estimate: the chosen signs of every voxel, then the second choices."""

    log_time: Values
    """Of each node, (node, fit)."""

    bin: NDArray[np.int64]
    """Histogram bin of each node."""

    offset: Values
    """Added to the log likelihoods of a fit: the distance of its nodes in bins, which counts, over the likelihood of
    an exact fit, so that only what is left of the signal does; one number for each fit."""

    products: Values
    """Inner products as `likelihood_of` takes them, (product, node, fit)."""

    second_of: NDArray[np.int64]
    """Voxel of each second choice."""

    n_voxels: int
    compiles: bool
    """Whether likelihoods are computed by compiled code."""

    @classmethod
    def draw(
        cls,
        model: SignalModel,
        solution: Solution,
        noise_sd: float,
        time_range: tuple[float, float],
        *,
        compiles: bool = COMPILES,
    ) -> _Sample:
        """Evaluate the model for fits."""
        low, high = (math.log(time) for time in time_range)
        second = solution.second_fit
        signals = torch.cat([solution.signals, solution.second_signals], 1).double().cpu() / noise_sd
        centre = torch.log(torch.cat([solution.fit.time, second.time]).double().cpu())
        information = torch.cat([solution.fit.information, second.information]).double().cpu()
        reach = (REACH * noise_sd / information.clamp_min(TINY).sqrt()).clamp(max=high - low)
        start, stop = (centre - reach).clamp_min(low), (centre + reach).clamp_max(high)
        log_time = start + (stop - start) * torch.linspace(0, 1, N_NODES, dtype=torch.float64)[:, None]
        spacing, energy = (stop - start) / (N_NODES - 1) / BIN_WIDTH, signals.square().sum(0)
        products = np.empty((N_PRODUCTS, *log_time.shape))
        for part in _parts(len(centre)):
            products[..., part] = _products(model, signals[:, part], centre[part], log_time[:, part])
        return cls(
            log_time=log_time.numpy(),
            bin=((log_time - low) / BIN_WIDTH).long().numpy(),
            offset=(torch.log(spacing) - 0.5 * energy).numpy(),
            products=products,
            second_of=solution.second_of.cpu().numpy(),
            n_voxels=len(solution.fit.time),
            compiles=compiles,
        )

    def every(self, step: int) -> _Sample:
        """Return every so many voxels."""
        second = np.flatnonzero(self.second_of % step == 0)
        fits = np.concatenate([np.arange(0, self.n_voxels, step), self.n_voxels + second])
        return _Sample(
            log_time=self.log_time[:, fits],
            bin=self.bin[:, fits],
            offset=self.offset[fits],
            products=np.ascontiguousarray(self.products[..., fits]),
            second_of=self.second_of[second] // step,
            n_voxels=len(fits) - len(second),
            compiles=self.compiles,
        )

    def of_voxels(self, of_fits: Values) -> Values:
        """Return the sums over the choices of signs of each voxel, which are along the last axis."""
        sums = of_fits[..., : self.n_voxels].copy()
        sums[..., self.second_of] += of_fits[..., self.n_voxels :]
        return sums

    def of_fits(self, of_voxels: Values) -> Values:
        """Return numbers of voxels for each of their fits."""
        return np.concatenate([of_voxels, of_voxels[self.second_of]])


def _parts(n_fits: int) -> list[slice]:
    """Return so many fits block by block."""
    return [slice(first, first + BLOCK) for first in range(0, n_fits, BLOCK)]


def _products(model: SignalModel, signals: torch.Tensor, centre: torch.Tensor, log_time: torch.Tensor) -> torch.Tensor:
    """Return the inner products of signals and columns of some fits, (product, node, fit)."""
    (first, other), _ = model.columns(log_time.exp())
    if model.companion is not None:
        # Its coefficient is another unknown of the voxel, with a flat prior.
        allowed = model.companion.limit(centre.exp())[0] > 0
        beside = model.companion.column(log_time.exp())[0] * allowed
        norm = (beside * beside).sum(0) + TINY
        first, other = (column - (beside * column).sum(0) / norm * beside for column in (first, other))
    pairs = ((first, signals[:, None]), (other, signals[:, None]), (first, first), (first, other), (other, other))
    return torch.stack([(one * two).sum(0) for one, two in pairs])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judged:
    """A prior under one histogram of relaxation times: a point of the descent."""

    look: _Look
    cost: float
    """Negative log likelihood of all voxels."""

    scores: Values
    """Derivatives of the log likelihood of each voxel by the parameters, (parameter, voxel)."""

    @property
    def at(self) -> Values:
        """Means of the prior, and its SD."""
        return self.look.parameters

    @property
    def gradient(self) -> Values:
        """Derivatives of the cost by the parameters."""
        gradient: Values = -self.scores.sum(1)
        return gradient

    @property
    def curvature(self) -> Values:
        """Fisher information: what the scores of voxels vary by, and a little where no voxel says anything."""
        curvature: Values = np.einsum("pv,qv->pq", self.scores, self.scores) + np.eye(len(self.scores))
        return curvature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """What the nodes of a sample say of one prior, (node, fit), whatever the histogram."""

    priors: _Priors
    parameters: Values
    weight: Values
    """Likelihood over that of the highest node of the voxel."""

    highest: Values
    """Log of the latter, (voxel)."""

    by_mean: Values
    by_sd: Values

    def judge(self, log_density: Values) -> _Judged:
        """Sum relaxation times and signs out."""
        sample = self.priors.sample
        joint = np.exp(log_density)[sample.bin]
        joint *= self.weight
        total = sample.of_voxels(joint.sum(0))
        by_sd = np.einsum("nv,nv->v", joint, self.by_sd)
        joint *= self.by_mean
        by_means = np.einsum("knv,nv->kv", self.priors.hats, joint)
        return _Judged(
            look=self,
            cost=-float((np.log(total) + self.highest).sum()),
            scores=sample.of_voxels(np.vstack([by_means, by_sd])) / total,
        )

    def better_histogram(self, log_density: Values) -> Values:
        """Maximise the likelihood over the histogram, some steps on, by expectation and maximisation."""
        sample = self.priors.sample
        n_nodes, n_fits = self.weight.shape
        starts = np.arange(0, n_fits * n_nodes + 1, n_nodes)
        columns = np.ascontiguousarray(sample.bin.T).ravel()
        weights = np.ascontiguousarray(self.weight.T).ravel()
        by_bin = csr_array((weights, columns, starts), shape=(n_fits, len(log_density)))
        density = np.exp(log_density)
        for _ in range(N_HISTOGRAM_UPDATES):
            total = sample.of_voxels(by_bin @ density)
            mass = 1 + density * (by_bin.T @ sample.of_fits(1 / total))
            density = mass / mass.sum()
        return np.log(density)


@dataclass(frozen=True, slots=True, eq=False)
class _Priors:
    """All priors with some knots, over a sample."""

    sample: _Sample
    hats: Values
    """Weight of each knot's mean at each node, (knot, node, fit)."""

    @classmethod
    def of(cls, knots: tuple[float, ...], sample: _Sample) -> _Priors:
        """Place hats at knots."""
        shape, logs = sample.log_time.shape, map(math.log, knots)
        rises = [np.clip((sample.log_time - low) / (high - low), 0.0, 1.0) for low, high in pairwise(logs)]
        passed = np.stack([np.ones(shape), *rises, np.zeros(shape)])
        return cls(sample, passed[:-1] - passed[1:])

    def look(self, parameters: Values) -> _Look:
        """Look at a prior: its means, and its SD."""
        sample, n_voxels = self.sample, self.sample.n_voxels
        exponent, factor, by_mean, by_sd = self._likelihood(parameters)
        exponent += sample.offset
        of_fits = exponent.max(0)
        highest = of_fits[:n_voxels].copy()
        highest[sample.second_of] = np.maximum(highest[sample.second_of], of_fits[n_voxels:])
        exponent -= sample.of_fits(highest)
        weight = np.exp(exponent, out=exponent)
        weight *= factor
        return _Look(priors=self, parameters=parameters, weight=weight, highest=highest, by_mean=by_mean, by_sd=by_sd)

    def _likelihood(self, parameters: Values) -> Likelihood:
        """Return the likelihood of each node."""
        products = self.sample.products
        mean, sd = np.einsum("k,knv->nv", parameters[:-1], self.hats), float(parameters[-1])
        found = np.empty((len(Likelihood._fields), *mean.shape))
        if self.sample.compiles:
            fill_likelihood(mean, sd, products, found)
        else:
            for part in _parts(mean.shape[1]):
                found[..., part] = likelihood_of(mean[:, part], sd, *products[..., part])
        return Likelihood(*found)


class _Search:
    """Alternates between the prior and the histogram of log T, which all priors tried share."""

    def __init__(self, few: _Sample, sample: _Sample) -> None:
        self.few, self.sample = few, sample
        self.log_density = np.zeros(int(sample.bin.max()) + 1)

    def improve(self, knots: tuple[float, ...], start: float) -> tuple[RatioPrior, float]:
        """Return the most likely prior with these knots, and its negative log likelihood."""
        few, whole = (_Priors.of(knots, sample) for sample in (self.few, self.sample))
        here = few.look(np.array([start] * len(knots) + [FIRST_SD])).judge(self.log_density)
        here, curvature = self._best(here, here.curvature)
        look = whole.look(here.at)
        curvature *= self.sample.n_voxels / self.few.n_voxels
        self.log_density = look.better_histogram(self.log_density)
        for _ in range(N_ROUNDS - 1):
            here, curvature = self._best(look.judge(self.log_density), curvature)
            self.log_density = here.look.better_histogram(self.log_density)
        *means, sd = (float(value) for value in here.at)
        prior = RatioPrior(knots=knots, means=tuple(means), sd=max(sd, LEAST_SD))
        return prior, here.look.judge(self.log_density).cost

    def _best(self, start: _Judged, curvature: Values) -> tuple[_Judged, Values]:
        """Return the prior of least cost, and the curvature there."""
        n_knots, priors = len(start.at) - 1, start.look.priors
        least, most = (np.array([mean] * n_knots + [sd]) for mean, sd in zip(MEAN_RANGE, SD_RANGE, strict=True))
        limits = Limits(least=least, most=most, longest=LONGEST_STEP)
        return descend(lambda at: priors.look(at).judge(self.log_density), start, curvature, limits)
