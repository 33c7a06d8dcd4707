"""The prior on the ratio of the two coefficients, learned from the image itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_array

from bids_t1.compiling import COMPILES
from bids_t1.estimation.curves.marginal import Products, Room, fill_marginal
from bids_t1.estimation.curves.prior import RatioPrior
from bids_t1.estimation.curves.refinement import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator

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

START = (1.9, 0.05)
"""Mean and spread the search begins with."""

SD_RANGE = (0.005, 1.0)
"""Spreads of the ratio that are looked at: below, it would be a constant; above, no prior."""

LEAST_SD = 0.02
"""Smallest spread that is used: inversion pulses are not more uniform than that."""


def learn_ratio_prior(
    model: SignalModel,
    solution: Solution,
    noise_sd: float,
    time_range: tuple[float, float],
    *,
    is_large: bool = False,
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
    is_large
        Whether the image is large enough for a compiler.
    """
    few = torch.arange(len(solution.fit.time), device=solution.fit.time.device) % FEW == 0
    parts = (solution.select(few), solution)
    search = _Search(
        *(_Sample.draw(model, part, noise_sd, time_range) for part in parts), compiles=COMPILES and is_large
    )
    knots = tuple(float(knot) for knot in np.quantile(solution.fit.time.cpu().numpy(), KNOT_QUANTILES))
    # The constant mean comes last: what the histogram has gained by then must not count for the bends.
    varying, cost_of_varying = search.improve(knots)
    constant, cost_of_constant = search.improve((1.0,))
    price = 0.5 * (len(knots) - 1) * math.log(len(solution.fit.time))
    return varying if cost_of_constant - cost_of_varying > price else constant


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Inner products of some fits' signals and columns at relaxation times around each free estimate, (node, fit)."""

    log_time: Values
    bin: NDArray[np.int64]
    """Histogram bin of each node."""

    spacing: Values
    """Log of the distance of a fit's nodes, in units of the bins' width."""

    dots: tuple[Values, Values]
    """Each column with the signals."""

    norms: tuple[Values, Values, Values]
    """First by first, first by second, second by second column."""

    noise_sd: float

    def log_likelihood(self, mean: Values, sd: float) -> _Likelihood:
        """Return the log likelihood of each node, its amplitude and own ratio eliminated, and its derivatives."""
        norm = self.norms[0] + mean * (2 * self.norms[1] + mean * self.norms[2])
        slope = self.norms[1] + mean * self.norms[2]
        base, overlap = self.dots[0] + mean * self.dots[1], slope / norm
        side_dot, side_norm = self.dots[1] - overlap * base, self.norms[2] - overlap * slope
        along = base / norm
        is_low = along < self.noise_sd
        amplitude = np.where(is_low, self.noise_sd, along)
        stiffness = np.square(self.noise_sd / (sd * amplitude))
        width = side_norm + stiffness
        deviation = side_dot / width
        explained = np.maximum(base, 0.0) * along + side_dot * deviation
        twice = 1 / (2 * self.noise_sd**2)
        log_likelihood = explained * twice - 0.5 * np.log1p(side_norm / stiffness) + self.spacing
        # Derivatives by the mean, in terms of what is there: side_dot' and side_norm' of the projections.
        stiffer = np.where(is_low, 0.0, -2 * (side_dot - overlap * base) / (norm * amplitude))
        by_side = -along * side_norm - overlap * side_dot
        wider = stiffness * stiffer - 2 * overlap * side_norm
        by_mean = 2 * (np.maximum(along, 0.0) * side_dot + deviation * by_side) - np.square(deviation) * wider
        by_mean = by_mean * twice + side_norm * (overlap + 0.5 * stiffer) / width
        by_log_sd = np.square(deviation) * stiffness * (2 * twice) - side_norm / width
        return _Likelihood(log_likelihood, by_mean, by_log_sd)

    def marginal(self, parameters: Values, hats: Values, log_density: Values) -> tuple[Values, Values]:
        """Return the log likelihood of each fit, relaxation times summed out, and its derivatives (parameter, fit)."""
        likelihood = self.log_likelihood(_mean_of(parameters, hats), math.exp(parameters[-1]))
        joint = likelihood.value + log_density[self.bin]
        highest = joint.max(0)
        joint = np.exp(joint - highest)
        total = joint.sum(0)
        joint /= total
        by_means = np.einsum("knv,nv->kv", hats, joint * likelihood.by_mean)
        slopes = np.vstack([by_means, (joint * likelihood.by_log_sd).sum(0)])
        return np.log(total) + highest, slopes

    def compiled_marginal(self, parameters: Values, hats: Values, log_density: Values) -> tuple[Values, Values]:
        """Return the same by compiled code."""
        logs, slopes = np.empty(self.bin.shape[1]), np.zeros((len(parameters), self.bin.shape[1]))
        room = Room(*np.empty((5, *self.bin.shape)))
        products, density = Products(*self.dots, *self.norms), np.exp(log_density)
        fill_marginal(products, self.bin, hats, self.noise_sd, parameters, density, room, logs, slopes)
        return logs + self.spacing, slopes


def _mean_of(parameters: Values, hats: Values) -> Values:
    """Return the mean ratio at each node, (node, fit)."""
    mean: Values = np.einsum("k,knv->nv", parameters[:-1], hats)
    return mean


class _Likelihood(NamedTuple):
    """Log likelihood at every node of some fits, and its derivatives by the mean ratio and the log of its SD."""

    value: Values
    by_mean: Values
    by_log_sd: Values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sample:
    """Fits in blocks that stay in the cache: first the chosen signs of every voxel, then the second choices."""

    blocks: tuple[_Block, ...]
    second_of: NDArray[np.int64]
    """Voxel of each second choice."""

    n_voxels: int

    @classmethod
    def draw(cls, model: SignalModel, solution: Solution, noise_sd: float, time_range: tuple[float, float]) -> _Sample:
        low, high = (math.log(time) for time in time_range)
        second = solution.second_fit
        signals = torch.cat([solution.signals, solution.second_signals], 1).double().cpu()
        centre = torch.log(torch.cat([solution.fit.time, second.time]).double().cpu())
        information = torch.cat([solution.fit.information, second.information]).double().cpu()
        reach = (REACH * noise_sd / information.clamp_min(TINY).sqrt()).clamp(max=high - low)
        start, stop = (centre - reach).clamp_min(low), (centre + reach).clamp_max(high)
        log_time = start + (stop - start) * torch.linspace(0, 1, N_NODES, dtype=torch.float64)[:, None]
        spacing = torch.log((stop - start) / (N_NODES - 1) / BIN_WIDTH)
        return cls(
            blocks=tuple(
                _block(model, signals[:, part], centre[part], log_time[:, part], spacing[part], low, noise_sd)
                for part in (slice(first, first + BLOCK) for first in range(0, len(centre), BLOCK))
            ),
            second_of=solution.second_of.cpu().numpy(),
            n_voxels=len(solution.fit.time),
        )

    def share(self, log_of_fits: Values) -> tuple[Values, Values]:
        """Return the log likelihood of each voxel, summed over its choices of sign, and the share of each fit."""
        of_voxels = log_of_fits[: self.n_voxels].copy()
        of_voxels[self.second_of] = np.logaddexp(of_voxels[self.second_of], log_of_fits[self.n_voxels :])
        both = np.concatenate([of_voxels, of_voxels[self.second_of]])
        return of_voxels, np.exp(log_of_fits - both)


def _block(  # noqa: PLR0913, PLR0917 - what a block is cut from
    model: SignalModel,
    signals: torch.Tensor,
    centre: torch.Tensor,
    log_time: torch.Tensor,
    spacing: torch.Tensor,
    low: float,
    noise_sd: float,
) -> _Block:
    """Evaluate the model for some fits."""
    (first, other), _ = model.columns(log_time.exp())
    if model.companion is not None:
        # Its coefficient is another unknown of the voxel, with a flat prior.
        allowed = model.companion.limit(centre.exp())[0] > 0
        beside = model.companion.column(log_time.exp())[0] * allowed
        norm = (beside * beside).sum(0) + TINY
        first, other = (column - (beside * column).sum(0) / norm * beside for column in (first, other))
    dots = [torch.einsum("mnv,mv->nv", column, signals).numpy() for column in (first, other)]
    norms = [(x * y).sum(0).numpy() for x, y in ((first, first), (first, other), (other, other))]
    return _Block(
        log_time=log_time.contiguous().numpy(),
        bin=((log_time - low) / BIN_WIDTH).long().numpy(),
        spacing=spacing.numpy(),
        dots=(dots[0], dots[1]),
        norms=(norms[0], norms[1], norms[2]),
        noise_sd=noise_sd,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Priors:
    """All priors with some knots, over a sample."""

    sample: _Sample
    hats: tuple[Values, ...]
    """Weight of each knot's mean at each node, (knot, node, fit), of every block."""

    @classmethod
    def of(cls, knots: tuple[float, ...], sample: _Sample) -> _Priors:
        """Place hats at knots."""
        unit = [RatioPrior(knots=knots, means=tuple(row), sd=1.0) for row in np.eye(len(knots))]
        times = [torch.from_numpy(block.log_time).exp() for block in sample.blocks]
        return cls(sample, tuple(np.stack([prior.mean(some)[0].numpy() for prior in unit]) for some in times))

    def log_likelihoods(self, parameters: Values) -> Iterator[Values]:
        """Yield the log likelihood of each node under one prior, block by block: its means, and the log of its SD."""
        sd = math.exp(parameters[-1])
        for block, hats in zip(self.sample.blocks, self.hats, strict=True):
            yield block.log_likelihood(_mean_of(parameters, hats), sd).value


class _Search:
    """Alternates between the prior and the histogram of log T, which all priors tried share."""

    def __init__(self, few: _Sample, sample: _Sample, *, compiles: bool) -> None:
        self.few, self.sample = few, sample
        self.marginal = _Block.compiled_marginal if compiles else _Block.marginal
        self.log_density = np.zeros(max(int(block.bin.max()) for block in sample.blocks) + 1)

    def improve(self, knots: tuple[float, ...]) -> tuple[RatioPrior, float]:
        """Return the most likely prior with these knots, and its negative log likelihood."""
        parameters = np.array([START[0]] * len(knots) + [math.log(START[1])])
        whole = _Priors.of(knots, self.sample)
        for priors in (_Priors.of(knots, self.few), *(whole,) * (N_ROUNDS - 1)):
            parameters = self._best(priors, parameters)
            self._update_histogram(whole, parameters)
        *means, log_sd = (float(value) for value in parameters)
        prior = RatioPrior(knots=knots, means=tuple(means), sd=max(math.exp(log_sd), LEAST_SD))
        return prior, self.cost(whole, parameters)[0]

    def _best(self, priors: _Priors, parameters: Values) -> Values:
        """Return the parameters of least cost."""
        n_knots = len(parameters) - 1
        bounds = [MEAN_RANGE] * n_knots + [(math.log(SD_RANGE[0]), math.log(SD_RANGE[1]))]
        found: Values = minimize(
            lambda at: self.cost(priors, at),
            parameters,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 20},
        ).x
        return found

    def cost(self, priors: _Priors, parameters: Values) -> tuple[float, Values]:
        """Return the negative log likelihood of all voxels, and its derivatives by the parameters."""
        logs, slopes = zip(
            *(
                self.marginal(block, parameters, hats, self.log_density)
                for block, hats in zip(priors.sample.blocks, priors.hats, strict=True)
            ),
            strict=True,
        )
        of_voxels, shares = priors.sample.share(np.concatenate(logs))
        return -float(of_voxels.sum()), -np.concatenate(slopes, axis=1) @ shares

    def _update_histogram(self, priors: _Priors, parameters: Values) -> None:
        """Maximise the likelihood over the histogram, some steps on, by expectation and maximisation."""
        logs = np.concatenate([value.T for value in priors.log_likelihoods(parameters)])
        highest = logs.max(1)
        bins = np.concatenate([block.bin.T for block in priors.sample.blocks])
        starts = np.arange(0, bins.size + 1, bins.shape[1])
        shape = (len(bins), len(self.log_density))
        by_bin = csr_array((np.exp(logs - highest[:, None]).ravel(), bins.ravel(), starts), shape=shape)
        density = np.exp(self.log_density)
        for _ in range(N_HISTOGRAM_UPDATES):
            totals = by_bin @ density
            _, shares = priors.sample.share(np.log(totals) + highest)
            mass = 1 + density * (by_bin.T @ (shares / totals))
            density = mass / mass.sum()
        self.log_density = np.log(density)
