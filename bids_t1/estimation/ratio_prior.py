"""A prior on the ratio of the two coefficients, learned from the image itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize

from bids_t1.estimation.refinement import TINY

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

N_ROUNDS = 2
"""Alternations of the prior and the histogram of relaxation times."""

MAX_STEPS = 40
"""Steps of the simplex in each alternation."""

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
    ratio in closed form. The free fit's ratios are not used: their distribution is skewed, and its median biased.
    The distribution of relaxation times is a nuisance estimated along the way (expectation-maximisation on a
    histogram), because noise moves a voxel's ratio and relaxation time together.

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
    search = _Search(sample)
    constant = search.improve(np.array([1.9, math.log(0.05)]), size=0.1)
    varying = search.improve(np.append(constant, -0.05), size=0.05)
    # Bayesian information criterion: the slope has to earn its parameter.
    worth = search.cost(constant) - search.cost(varying) > 0.5 * math.log(len(solution.fit.time))
    learned = _prior(varying if worth else constant)
    return replace(learned, sd=max(learned.sd, LEAST_SD))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Inner products of signals and columns at some relaxation times around each voxel's free estimate."""

    rate: torch.Tensor
    """(node, voxel) [1/s]."""

    bin: torch.Tensor
    """Histogram bin of log T of each node."""

    weight: torch.Tensor
    """Log of the distance of a voxel's nodes, in units of the bins' width; minus infinity where they do not count."""

    dots: torch.Tensor
    """(column, node, voxel)."""

    norms: torch.Tensor
    """First by first, first by second, second by second column."""

    noise_sd: float

    @classmethod
    def draw(cls, model: SignalModel, solution: Solution, noise_sd: float, time_range: tuple[float, float]) -> _Sample:
        low, high = (math.log(time) for time in time_range)
        choices = ((solution.signals, solution.fit), (solution.second_signals, solution.second_fit))
        parts: list[tuple[torch.Tensor, ...]] = []
        for signals, fit in choices:
            centre = torch.log(fit.time.double().cpu())
            reach = (REACH * noise_sd / fit.information.double().cpu().clamp_min(TINY).sqrt()).clamp(max=high - low)
            start, stop = (centre - reach).clamp_min(low), (centre + reach).clamp_max(high)
            nodes = start + (stop - start) * torch.linspace(0, 1, N_NODES, dtype=torch.float64)[:, None]
            weight = torch.log((stop - start) / (N_NODES - 1) / BIN_WIDTH)
            weight = torch.where(torch.isfinite(fit.cost.cpu()), weight, -torch.inf).expand(N_NODES, -1)
            parts.append((nodes, weight, *_inner_products(model, signals.double().cpu(), nodes.exp())))
        log_time, weight, dots, norms = (torch.cat(pieces, dim=-2) for pieces in zip(*parts, strict=True))
        return cls(
            rate=torch.exp(-log_time),
            bin=((log_time - low) / BIN_WIDTH).long(),
            weight=weight,
            dots=dots,
            norms=norms,
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


def _inner_products(
    model: SignalModel, signals: torch.Tensor, times: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    (first, second), _ = model.columns(times)
    dots = torch.stack([torch.einsum("mnv,mv->nv", column, signals) for column in (first, second)])
    norms = torch.stack([(x * y).sum(0) for x, y in ((first, first), (first, second), (second, second))])
    return dots, norms


def _prior(parameters: np.ndarray) -> RatioPrior:
    """Read a mean at T = 1 s, the log of a spread and, where there is a third, a slope."""
    lowest, highest = (math.log(sd) for sd in SD_RANGE)
    slope = float(parameters[2]) if len(parameters) > 2 else 0.0  # noqa: PLR2004
    log_sd = min(max(float(parameters[1]), lowest), highest)
    return RatioPrior(at_zero_rate=float(parameters[0]) - slope, per_rate=slope, sd=math.exp(log_sd))


class _Search:
    """Alternates between the prior and the histogram of log T, which both priors tried share."""

    def __init__(self, sample: _Sample) -> None:
        self.sample = sample
        self.log_density = torch.zeros(int(sample.bin.max()) + 1, dtype=torch.float64)

    def cost(self, parameters: np.ndarray) -> float:
        """Return the negative log likelihood of a prior."""
        return -float(torch.logsumexp(self._joint(parameters), 0).sum())

    def improve(self, parameters: np.ndarray, size: float) -> np.ndarray:
        """Return the most likely parameters near some others."""
        for _ in range(N_ROUNDS):
            steps = size * np.diag([1.0, 3.0, 1.0][: len(parameters)])
            simplex = parameters + np.vstack([np.zeros(len(parameters)), steps])
            options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-2, "maxiter": MAX_STEPS}
            parameters = minimize(self.cost, parameters, method="Nelder-Mead", options=options).x
            size /= 4
            for _ in range(N_HISTOGRAM_UPDATES):
                self._update_histogram(parameters)
        return parameters

    def _joint(self, parameters: np.ndarray) -> torch.Tensor:
        return self.sample.log_likelihood(_prior(parameters)) + self.log_density[self.sample.bin]

    def _update_histogram(self, parameters: np.ndarray) -> None:
        share = torch.softmax(self._joint(parameters), 0)
        mass = torch.zeros_like(self.log_density)
        mass.index_add_(0, self.sample.bin.reshape(-1), share.reshape(-1))
        self.log_density = torch.log((mass + 1) / (mass + 1).sum())
