"""The prior on the ratio of the two coefficients, learned from the image itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize

from bids_t1.estimation.curves.prior import RatioPrior
from bids_t1.estimation.curves.refinement import TINY

if TYPE_CHECKING:
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.curves.polarity import Solution

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
    model: SignalModel, solution: Solution, noise_sd: float, time_range: tuple[float, float]
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
    search = _Search(_Sample.draw(model, solution, noise_sd, time_range))
    knots = tuple(float(knot) for knot in np.quantile(solution.fit.time.cpu().numpy(), KNOT_QUANTILES))
    # The constant mean comes last: what the histogram has gained by then must not count for the bends.
    varying, cost_of_varying = search.improve(knots)
    constant, cost_of_constant = search.improve((1.0,))
    price = 0.5 * (len(knots) - 1) * math.log(len(solution.fit.time))
    return varying if cost_of_constant - cost_of_varying > price else constant


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Inner products of signals and columns at some relaxation times around each free estimate.

    Columns of the arrays are fits: first the chosen signs of every voxel, then the second choice of those voxels
    that have one.
    """

    log_time: torch.Tensor
    """(node, fit)."""

    bin: torch.Tensor
    """Histogram bin of each node."""

    spacing: torch.Tensor
    """Log of the distance of a fit's nodes, in units of the bins' width."""

    dots: tuple[torch.Tensor, ...]
    """Each column with the signals, (node, fit)."""

    norms: tuple[torch.Tensor, ...]
    """First by first, first by second, second by second column."""

    second_of: torch.Tensor
    """Voxel of each second choice."""

    noise_sd: float

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
        (first, other), _ = model.columns(log_time.exp())
        if model.companion is not None:
            # Its coefficient is another unknown of the voxel, with a flat prior.
            allowed = model.companion.limit(centre.exp())[0] > 0
            beside = model.companion.column(log_time.exp())[0] * allowed
            norm = (beside * beside).sum(0) + TINY
            first, other = (column - (beside * column).sum(0) / norm * beside for column in (first, other))
        return cls(
            log_time=log_time,
            bin=((log_time - low) / BIN_WIDTH).long(),
            spacing=torch.log((stop - start) / (N_NODES - 1) / BIN_WIDTH),
            dots=tuple(torch.einsum("mnv,mv->nv", column, signals) for column in (first, other)),
            norms=tuple((x * y).sum(0) for x, y in ((first, first), (first, other), (other, other))),
            second_of=solution.second_of.cpu(),
            noise_sd=noise_sd,
        )

    def log_likelihood(self, mean: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
        """Log of the likelihood of each node, its amplitude and own ratio eliminated."""
        base_dot = self.dots[0] + mean * self.dots[1]
        norm = self.norms[0] + 2 * mean * self.norms[1] + mean**2 * self.norms[2]
        overlap = (self.norms[1] + mean * self.norms[2]) / norm
        side_dot, side_norm = self.dots[1] - overlap * base_dot, self.norms[2] - overlap**2 * norm
        amplitude = (base_dot / norm).clamp_min(self.noise_sd)
        stiffness = (self.noise_sd / (sd * amplitude)) ** 2
        explained = base_dot.clamp_min(0) ** 2 / norm + side_dot**2 / (side_norm + stiffness)
        return explained / (2 * self.noise_sd**2) - 0.5 * torch.log1p(side_norm / stiffness) + self.spacing


class _Search:
    """Alternates between the prior and the histogram of log T, which all priors tried share."""

    def __init__(self, sample: _Sample) -> None:
        self.sample = sample
        self.log_density = torch.zeros(int(sample.bin.max()) + 1, dtype=torch.float64)

    def improve(self, knots: tuple[float, ...]) -> tuple[RatioPrior, float]:
        """Return the most likely prior with these knots, and its negative log likelihood."""
        hats = self._hats(knots)
        parameters = np.array([START[0]] * len(knots) + [math.log(START[1])])
        bounds = [MEAN_RANGE] * len(knots) + [(math.log(SD_RANGE[0]), math.log(SD_RANGE[1]))]

        def cost_and_gradient(at: np.ndarray) -> tuple[float, np.ndarray]:
            variables = torch.tensor(at, requires_grad=True)
            cost = self._cost(hats, variables)
            (gradient,) = torch.autograd.grad(cost, variables)
            return cost.item(), gradient.numpy()

        for _ in range(N_ROUNDS):
            found = minimize(
                cost_and_gradient, parameters, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 20}
            )
            parameters = found.x
            for _ in range(N_HISTOGRAM_UPDATES):
                self._update_histogram(hats, torch.from_numpy(parameters))
        *means, log_sd = (float(value) for value in parameters)
        prior = RatioPrior(knots=knots, means=tuple(means), sd=max(math.exp(log_sd), LEAST_SD))
        return prior, self._cost(hats, torch.from_numpy(parameters)).item()

    def _hats(self, knots: tuple[float, ...]) -> torch.Tensor:
        """Weight of each knot's mean at each node, (knot, node, fit)."""
        unit = (RatioPrior(knots=knots, means=tuple(row), sd=1.0) for row in np.eye(len(knots)))
        times = self.sample.log_time.exp()
        return torch.stack([prior.mean(times)[0] for prior in unit])

    def _joint(self, hats: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        mean = torch.einsum("k,knv->nv", parameters[:-1], hats)
        return self.sample.log_likelihood(mean, parameters[-1].exp()) + self.log_density[self.sample.bin]

    def _by_voxel(self, joint: torch.Tensor) -> torch.Tensor:
        """Sum likelihoods over the nodes and the choices of sign of each voxel, in logs."""
        fits = torch.logsumexp(joint, 0)
        second_of = self.sample.second_of
        first, second = fits[: len(fits) - len(second_of)], fits[len(fits) - len(second_of) :]
        return first.index_put((second_of,), torch.logaddexp(first[second_of], second))

    def _cost(self, hats: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        return -self._by_voxel(self._joint(hats, parameters)).sum()

    def _update_histogram(self, hats: torch.Tensor, parameters: torch.Tensor) -> None:
        joint = self._joint(hats, parameters)
        voxels = self._by_voxel(joint)
        share = torch.exp(joint - torch.cat([voxels, voxels[self.sample.second_of]]))
        mass = torch.zeros_like(self.log_density)
        mass.index_add_(0, self.sample.bin.reshape(-1), share.reshape(-1))
        self.log_density = torch.log((mass + 1) / (mass + 1).sum())
