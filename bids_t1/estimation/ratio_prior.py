"""A prior on the ratio of the two coefficients, learned from the image itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize

if TYPE_CHECKING:
    from bids_t1.data.shapes import Times
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.polarity import Solution

REACH = 5.0
"""Half the range of relaxation times summed over, in standard deviations of the free fit."""

N_NODES = 25
"""Relaxation times summed over in each voxel, for each choice of signs."""

BIN_WIDTH = 0.1
"""Width of the bins of the histogram of relaxation times, in log T."""

N_ROUNDS = 3
"""Alternations of the prior and the histogram of relaxation times."""

N_HISTOGRAM_UPDATES = 8
"""Expectation-maximisation steps of the histogram in each alternation."""

SD_RANGE = (0.005, 1.0)
"""Spreads of the ratio that are looked at: below, it would be a constant; above, no prior."""

LEAST_SD = 0.02
"""Smallest spread that is used. Inversion pulses are not more uniform than that, and the mean is not quite linear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioPrior:
    """A Gaussian prior on the coefficient ratio, whose mean may change linearly with the rate 1/T.

    For inversion recovery the ratio is the apparent inversion efficiency kappa. The pulse is one for the whole
    image, but magnetisation transfer makes kappa fall with R1 (Olsson et al. 2025, doi 10.1002/nbm.70067).
    """

    at_zero_rate: float
    """Mean ratio, extrapolated to rate 0."""

    per_rate: float
    """Change of the mean ratio per unit of rate [s]."""

    sd: float
    """Standard deviation around the mean."""

    def mean(self, time: Times) -> tuple[Times, Times]:
        """Return the mean ratio at each relaxation time [s], and its derivative with respect to log T."""
        varying = self.per_rate / time
        return self.at_zero_rate + varying, -varying


def learn_ratio_prior(
    model: SignalModel, solution: Solution, noise_sd: float, time_range: tuple[float, float]
) -> RatioPrior:
    """Estimate the prior by maximum marginal likelihood over a sample of voxels.

    The relaxation time of each voxel and its choice of signs are summed out numerically, its amplitude and its own
    ratio in closed form. The free fit's ratios are not used: their distribution is skewed, and its median biased. The distribution of
    relaxation times is a nuisance estimated along the way (expectation-maximisation on a histogram), because noise
    moves a voxel's ratio and relaxation time together.

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
    constant, varying = (_maximise(sample, free_slope) for free_slope in (False, True))
    # Bayesian information criterion: the slope has to earn its parameter.
    worth = varying[1] - constant[1] > 0.5 * math.log(len(solution.fit.time))
    learned = varying[0] if worth else constant[0]
    return replace(learned, sd=max(learned.sd, LEAST_SD))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Inner products of signals and columns at some relaxation times around each voxel's free estimate."""

    rate: torch.Tensor
    """(node, voxel) [1/s]."""

    bin: torch.Tensor
    """Histogram bin of log T of each node."""

    weight: torch.Tensor
    """Log of the distance of a voxel's nodes, in units of the bins' width."""

    dots: torch.Tensor
    """(column, node, voxel)."""

    norms: torch.Tensor
    """First by first, first by second, second by second column."""

    noise_sd: float

    @classmethod
    def draw(cls, model: SignalModel, solution: Solution, noise_sd: float, time_range: tuple[float, float]) -> _Sample:
        low, high = (math.log(time) for time in time_range)
        log_times, weights, dots, norms = [], [], [], []
        for signals, fit in ((solution.signals, solution.fit), (solution.second_signals, solution.second_fit)):
            centre = torch.log(fit.time.double().cpu())
            reach = (REACH * noise_sd / fit.information.double().cpu().clamp_min(1e-300).sqrt()).clamp(max=high - low)
            start, stop = (centre - reach).clamp_min(low), (centre + reach).clamp_max(high)
            nodes = start + (stop - start) * torch.linspace(0, 1, N_NODES, dtype=torch.float64)[:, None]
            possible = torch.isfinite(fit.cost.cpu())
            weight = torch.where(possible, torch.log((stop - start) / (N_NODES - 1) / BIN_WIDTH), -torch.inf)
            dot, norm = _inner_products(model, signals.double().cpu(), nodes.exp())
            for collected, value in ((log_times, nodes), (weights, weight.expand(N_NODES, -1)), (dots, dot), (norms, norm)):
                collected.append(value)
        log_time = torch.cat(log_times)
        return cls(
            rate=torch.exp(-log_time),
            bin=((log_time - low) / BIN_WIDTH).long(),
            weight=torch.cat(weights),
            dots=torch.cat(dots, 1),
            norms=torch.cat(norms, 1),
            noise_sd=noise_sd,
        )

    def log_likelihood(self, prior: RatioPrior) -> torch.Tensor:
        """Log of the likelihood of each voxel at each node, its amplitude and own ratio eliminated."""
        mean = prior.at_zero_rate + prior.per_rate * self.rate
        base_dot = self.dots[0] + mean * self.dots[1]
        norm = self.norms[0] + 2 * mean * self.norms[1] + mean**2 * self.norms[2]
        overlap = (self.norms[1] + mean * self.norms[2]) / norm
        side_dot, side_norm = self.dots[1] - overlap * base_dot, self.norms[2] - overlap**2 * norm
        amplitude = (base_dot / norm).clamp_min(self.noise_sd)
        stiffness = (self.noise_sd / (prior.sd * amplitude)) ** 2
        explained = base_dot.clamp_min(0) ** 2 / norm + side_dot**2 / (side_norm + stiffness)
        return explained / (2 * self.noise_sd**2) - 0.5 * torch.log1p(side_norm / stiffness) + self.weight


def _inner_products(model: SignalModel, signals: torch.Tensor, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    (first, second), _ = model.columns(times)
    dots = torch.stack([torch.einsum("mnv,mv->nv", column, signals) for column in (first, second)])
    norms = torch.stack([(x * y).sum(0) for x, y in ((first, first), (first, second), (second, second))])
    return dots, norms


def _maximise(sample: _Sample, free_slope: bool) -> tuple[RatioPrior, float]:
    """Return the most likely prior and its log likelihood, by alternating with the histogram of log T."""
    lowest, highest = (math.log(sd) for sd in SD_RANGE)
    log_density = torch.zeros(int(sample.bin.max()) + 1, dtype=torch.float64)

    def prior_from(parameters: np.ndarray) -> RatioPrior:
        log_sd = min(max(float(parameters[1]), lowest), highest)
        slope = float(parameters[2]) if free_slope else 0.0
        return RatioPrior(at_zero_rate=float(parameters[0]) - slope, per_rate=slope, sd=math.exp(log_sd))

    def joint(prior: RatioPrior) -> torch.Tensor:
        return sample.log_likelihood(prior) + log_density[sample.bin]

    def cost(parameters: np.ndarray) -> float:
        return -float(torch.logsumexp(joint(prior_from(parameters)), 0).sum())

    parameters = np.array([1.9, math.log(0.05), -0.05][: 3 if free_slope else 2])
    size = 0.1
    for _ in range(N_ROUNDS):
        simplex = parameters + size * np.vstack([np.zeros(len(parameters)), np.diag([1.0, 3.0, 1.0][: len(parameters)])])
        options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-2, "maxiter": 60}
        found = minimize(cost, parameters, method="Nelder-Mead", options=options)
        parameters, size = found.x, size / 3
        for _ in range(N_HISTOGRAM_UPDATES):
            share = torch.softmax(joint(prior_from(parameters)), 0)
            mass = torch.zeros_like(log_density).index_add_(0, sample.bin.reshape(-1), share.reshape(-1))
            log_density = torch.log((mass + 1) / (mass + 1).sum())
    return prior_from(parameters), -cost(parameters)
