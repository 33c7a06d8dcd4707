"""The closed-form density of S is that of the noise, and nothing overflows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bids_t1.estimation.posterior.uni import (
    choose_beta,
    compute_robust_uni,
    compute_uni,
    log_density_of_uni,
    log_density_of_wandering_uni,
)
from tests.sequences.test_mp2rage import seven_tesla

NOMINAL = torch.tensor(1.0, dtype=torch.float64)
PAIRS = [
    (0.05, 0.0001), (0.05, 0.02), (0.3, 0.0006), (0.3, 0.005), (1.0, 0.0001), (1.0, 0.005), (1.5, 0.02), (4.0, 0.0001),
    (4.0, 0.005),
]  # fmt: skip
"""T1 [s] and noise SD relative to M0."""


def readouts(time: float, noise_sd: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the noise-free readouts of an M0 of 1, over the noise."""
    first, second = seven_tesla(2).signals(torch.tensor(time, dtype=torch.float64), NOMINAL) / noise_sd
    return first, second


def nodes(time: float, noise_sd: float) -> torch.Tensor:
    """Return values of S, many of them where its density is high; S = sin(2 phi) / 2."""
    first, second = readouts(time, noise_sd)
    centre, width = math.atan2(first, second), 40 / math.hypot(first, second)
    angles = torch.cat([
        torch.linspace(-math.pi / 4, math.pi / 4, 20_001, dtype=torch.float64),
        torch.linspace(centre - width, centre + width, 200_001, dtype=torch.float64).clamp(-math.pi / 4, math.pi / 4),
    ])  # fmt: skip
    return torch.sin(2 * angles.sort().values) / 2


@pytest.mark.parametrize(("time", "noise_sd"), PAIRS)
def test_the_density_integrates_to_one(time: float, noise_sd: float) -> None:
    uni = nodes(time, noise_sd)
    density = log_density_of_uni(uni, *readouts(time, noise_sd)).exp()
    assert float(torch.trapezoid(density, uni)) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(("time", "noise_sd"), PAIRS)
def test_the_density_is_that_of_a_million_trials(time: float, noise_sd: float) -> None:
    n_trials = 1_000_000
    first, second = readouts(time, noise_sd)
    noise = np.random.default_rng(7).standard_normal((2, 2, n_trials))
    simulated = compute_uni(
        torch.complex(float(first) + torch.from_numpy(noise[0, 0]), torch.from_numpy(noise[0, 1])),
        torch.complex(float(second) + torch.from_numpy(noise[1, 0]), torch.from_numpy(noise[1, 1])),
    ).numpy()
    uni = nodes(time, noise_sd)
    density = log_density_of_uni(uni, first, second).exp()
    cumulative = torch.cumulative_trapezoid(density, uni).numpy()
    distance = stats.kstest(simulated, lambda s: np.interp(s, uni[1:].numpy(), cumulative)).statistic
    assert distance < stats.kstwobign.ppf(0.999) / math.sqrt(n_trials)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_no_value_overflows_or_is_undefined(precision: torch.dtype) -> None:
    times = torch.logspace(math.log10(0.02), math.log10(6.0), 100, dtype=torch.float64)
    uni = torch.linspace(-0.5, 0.5, 501, dtype=precision)
    for noise_sd in (1e-6, 1e-4, 1e-2, 10.0):
        first, second = (seven_tesla(2).signals(times, NOMINAL) / noise_sd).to(precision)
        density = log_density_of_uni(uni[:, None], first, second)
        assert torch.isfinite(density).all()


def test_outside_of_its_range_uni_has_no_density() -> None:
    uni = torch.tensor([-0.51, 0.51, math.nan], dtype=torch.float64)
    found = log_density_of_uni(uni, *readouts(1.0, 0.001))
    assert not (found > -math.inf).any()


def test_pure_noise_is_uniform() -> None:
    zero = torch.tensor(0.0, dtype=torch.float64)
    density = log_density_of_uni(torch.linspace(-0.5, 0.5, 11, dtype=torch.float64), zero, zero).exp()
    torch.testing.assert_close(density, torch.ones_like(density))


def test_without_noise_the_highest_density_is_the_look_up() -> None:
    times = torch.linspace(0.3, 4.0, 20_001, dtype=torch.float64)
    first, second = seven_tesla(2).signals(times, NOMINAL)
    true = 8_000
    uni = compute_uni(first[true], second[true])
    best = int(log_density_of_uni(uni, first / 1e-5, second / 1e-5).argmax())
    assert abs(best - true) <= 1


def test_robust_uni_turns_the_background_dark_and_leaves_tissue() -> None:
    rng = torch.Generator().manual_seed(3)
    noise = torch.view_as_complex(torch.randn(2, 100_000, 2, generator=rng))
    beta = choose_beta(1.0)
    background = compute_robust_uni(noise[0], noise[1], beta)
    assert float(background.mean()) < -0.4
    assert float(background.std()) < 0.05
    strong = 200.0 * torch.tensor([0.4, 1.0])
    plain, robust = compute_uni(strong[0], strong[1]), compute_robust_uni(strong[0], strong[1], beta)
    assert float(robust) == pytest.approx(float(plain), abs=0.002)


@pytest.mark.parametrize("wander", [0.002, 0.01, 0.03])
@pytest.mark.parametrize("away", [0.0, 0.01, 0.03, 0.1])
@pytest.mark.parametrize("turn", [-1, 1])
def test_the_density_of_readouts_that_turn_is_the_integral_over_their_angles(
    turn: int, away: float, wander: float
) -> None:
    norm, angle = 250.0, turn * (math.pi / 4 - away)
    angles = angle + torch.linspace(-6, 6, 801, dtype=torch.float64) * wander
    weights = torch.log_softmax(-(((angles - angle) / wander) ** 2) / 2, 0)
    # S at two SDs of all that moves it on either side, where it may be on the other side of its turning point
    uni = torch.sin(2 * (angle + torch.linspace(-2, 2, 41, dtype=torch.float64) * math.hypot(wander, 1 / norm))) / 2
    of_angles = log_density_of_uni(uni[:, None], norm * torch.cos(angles), norm * torch.sin(angles))
    expected = torch.logsumexp(of_angles + weights, 1)
    first, second, variance = torch.tensor(
        [norm * math.cos(angle), norm * math.sin(angle), wander**2], dtype=torch.float64
    )
    found = log_density_of_wandering_uni(uni, first, second, variance)
    assert float((found - expected).abs().max()) < 0.2
