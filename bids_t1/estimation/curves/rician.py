"""Maximum likelihood for magnitudes with Rician noise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import integrate, special

from bids_t1.estimation.curves.refinement import TINY, loosen, predict, solve

if TYPE_CHECKING:
    from bids_t1.data.shapes import Signals, Voxels
    from bids_t1.estimation.curves.refinement import Fit, Problem

N_ITERATIONS = 40
"""Majorise-minimise steps; each moves by the share of the information that the noise has left."""


def refine_rician(problem: Problem, time_range: tuple[float, float], magnitudes: Signals, start: Fit) -> Fit:
    """Climb the Rician likelihood from a least-squares fit.

    Each step is least squares on the expected signed signal behind the magnitudes (Varadhan & Haldar 2015,
    doi 10.1109/TMI.2015.2427157). The information is that of the Rician distribution.

    Parameters
    ----------
    problem
        Its noise SD is that of one channel.
    time_range
        Search range of the relaxation time [s].
    magnitudes
        Measured magnitudes.
    start
        Fit of the same voxels with signs chosen.
    """
    model, prior, variance = problem.model, problem.prior, problem.noise_sd**2
    stiffness = torch.zeros_like(start.time)
    if prior is not None:
        stiffness = variance / (prior.sd * start.amplitude.clamp_min(TINY)).square()
    fit = start
    for _ in range(N_ITERATIONS):
        expected = _expected_signal(magnitudes, predict(model, fit), variance)
        fit = solve(problem, expected, fit.time, stiffness)
        step = (fit.gradient / fit.information.clamp_min(TINY)).clamp(-0.3, 0.3)
        fit = replace(fit, time=(fit.time * torch.exp(step)).clamp(*time_range))
    prediction = predict(model, fit)
    weights = _relative_information(prediction.abs() / problem.noise_sd).sqrt()
    expected = _expected_signal(magnitudes, prediction, variance)
    weighted = solve(problem, expected, fit.time, stiffness, weights)
    weighted = loosen(problem, replace(weighted, time=fit.time), stiffness, weights)
    return replace(fit, information=weighted.information, cost=_cost(magnitudes, prediction, variance))


def _expected_signal(magnitudes: Signals, prediction: Signals, variance: float) -> Signals:
    """Signed signal behind each magnitude, given the model's prediction."""
    argument = magnitudes * prediction / variance
    ratio: Signals = torch.special.i1e(argument) / torch.special.i0e(argument)
    return magnitudes * ratio


def _cost(magnitudes: Signals, prediction: Signals, variance: float) -> Voxels:
    """Squared residuals of both channels, less the noise of the one the model says nothing about.

    In double precision: it is a small difference of large numbers.
    """
    magnitudes, prediction = magnitudes.double(), prediction.double()
    expected = _expected_signal(magnitudes, prediction, variance)
    both = magnitudes.square() + prediction.square() - 2 * prediction * expected
    return (both.sum(0) - len(magnitudes) * variance).clamp_min(TINY).float()


def _relative_information(signal_to_noise: Signals) -> Signals:
    """Fisher information about the signal in a Rician magnitude, over that in a Gaussian value: 0 to 1."""
    ratios, information = _information_table()
    found = np.interp(signal_to_noise.cpu().numpy(), ratios, information)
    return torch.from_numpy(found).to(signal_to_noise)


@cache
def _information_table() -> tuple[np.ndarray, np.ndarray]:
    ratios = np.linspace(0.0, 12.0, 121)
    return ratios, np.array([_rician_information(ratio) for ratio in ratios])


def _rician_information(ratio: float) -> float:
    """Integrate the squared score of a Rician variable of unit noise."""

    def integrand(z: float) -> float:
        expected = z * special.i1e(z * ratio) / special.i0e(z * ratio)
        density = z * np.exp(-((z - ratio) ** 2) / 2) * special.i0e(z * ratio)
        return float((expected - ratio) ** 2 * density)

    return float(integrate.quad(integrand, max(0.0, ratio - 10), ratio + 10)[0])
