"""The slow T1 of tissue: a bounded fast component where an image asks for it, and nothing of it where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import least_squares

from bids_t1.estimation.curves.dictionary import build_dictionaries
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.curves.evidence import weigh
from bids_t1.estimation.curves.refinement import Problem, predict, solve
from bids_t1.sequences.inversion_recovery import LARGEST_SHARE, InversionRecovery
from bids_t1_phantom.physics import two_pools
from bids_t1_phantom.physics.protocols import Protocol

if TYPE_CHECKING:
    from bids_t1.data.estimate import Estimate

TEN = tuple(float(time) for time in np.geomspace(0.05, 3.0, 10))
SIXTEEN = tuple(float(time) for time in np.geomspace(0.012, 5.0, 16))
REPETITION_TIME = 6.0
N_VOXELS = 2_500

TISSUES = {
    "white matter, 3 T": (0.95, 0.135, 17.5, 1.0, 0.048),
    "grey matter, 3 T": (1.5, 0.065, 25.0, 1.0, 0.048),
    "white matter, 7 T": (1.25, 0.15, 12.5, 0.8, 0.057),
    "grey matter, 7 T": (1.9, 0.07, 12.5, 0.526, 0.057),
}
"""Slow T1 [s], bound fraction, exchange and bound rate [1/s] of two pools, and the fast time of their field [s]."""


def model(times: tuple[float, ...], fast: float | None = None, *, ideal: bool = False) -> InversionRecovery:
    return InversionRecovery(
        inversion_times=times, repetition_times=(REPETITION_TIME,) * len(times), fast=fast, ideal=ideal
    )


def signal(times: tuple[float, ...], t1: float, fraction: float, exchange: float, bound_rate: float) -> np.ndarray:
    """Return the signal of one voxel of two pools, unit M0."""
    pools = two_pools.Pools.build(np.array([t1]), bound_fraction=fraction, exchange=exchange, bound_rate=bound_rate)
    protocol = Protocol.build(times, repetition_times=(REPETITION_TIME,))
    return two_pools.inversion_recovery(pools, np.ones(1), protocol=protocol, inversion_efficiency=np.array([1.93]))


def magnitudes(*signals: np.ndarray, n: int = N_VOXELS, snr: float = 50.0, seed: int = 0) -> np.ndarray:
    """Repeat signals with Rician noise, air behind them."""
    air = np.zeros((len(signals[0]), n // 3))
    clean = np.concatenate([*(np.repeat(one, n, axis=1) for one in signals), air], axis=1)
    noise = np.random.default_rng(seed).normal(0, 1 / snr, (2, *clean.shape))
    noisy: np.ndarray = np.hypot(clean + noise[0], noise[1]).astype(np.float32)
    return noisy


def covered(found: Estimate, t1: float, n: int = N_VOXELS) -> float:
    factor = float(stats.t.ppf(0.975, found.degrees_of_freedom))
    return float(np.mean(np.abs(found.time[:n] - t1) < factor * found.time_sd[:n]))


@pytest.mark.parametrize("times", [TEN, SIXTEEN], ids=["from 50 ms", "from 12 ms"])
@pytest.mark.parametrize("tissue", TISSUES.values(), ids=TISSUES)
def test_the_slow_t1_is_unbiased_and_its_intervals_hold_it(
    times: tuple[float, ...], tissue: tuple[float, float, float, float, float]
) -> None:
    *pools, fast = tissue
    images = magnitudes(signal(times, *pools))
    found = estimate(model(times, fast), images, "magnitude", EstimationOptions())
    assert abs(np.median(found.time[:N_VOXELS]) / tissue[0] - 1) < 0.02
    assert covered(found, tissue[0]) > 0.9
    one = estimate(model(times), images, "magnitude", EstimationOptions())
    assert np.median(one.time[:N_VOXELS]) / tissue[0] - 1 < -0.025


@pytest.mark.parametrize(
    ("noise", "learn"),
    [
        ("gaussian", False),
        ("rician", False),
        ("floor", True),
        pytest.param("rician", True, marks=pytest.mark.slow),
    ],
)
def test_the_slow_t1_is_found_whatever_is_done_about_noise_and_efficiency(noise: str, learn: bool) -> None:
    tissues = [TISSUES["white matter, 3 T"], TISSUES["grey matter, 3 T"]]
    images = magnitudes(*(signal(TEN, *tissue[:4]) for tissue in tissues), n=1_000)
    options = EstimationOptions(noise=noise, learn_ratio=learn)  # type: ignore[arg-type] # parametrised
    found = estimate(model(TEN, 0.048), images, "magnitude", options)
    for number, tissue in enumerate(tissues):
        inside = found.time[1_000 * number : 1_000 * (number + 1)]
        assert abs(np.median(inside) / tissue[0] - 1) < 0.02


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_real_and_complex_data_find_the_slow_t1(kind: str) -> None:
    tissue = TISSUES["white matter, 3 T"]
    clean = np.repeat(signal(TEN, *tissue[:4]), N_VOXELS, axis=1)
    noise = np.random.default_rng(1).normal(0, 0.02, (2, *clean.shape))
    images = (clean + noise[0] + 1j * noise[1]) * np.exp(0.7j)
    data = images.astype(np.complex64) if kind == "complex" else (clean + noise[0]).astype(np.float32)
    found = estimate(model(TEN, 0.048), data, kind, EstimationOptions())  # type: ignore[arg-type] # parametrised
    assert abs(np.median(found.time) / tissue[0] - 1) < 0.02


def test_an_ideal_inversion_shares_what_it_turns_between_the_components() -> None:
    times, share = np.array(TEN), 0.1
    clean = 1 - 2 * ((1 - share) * np.exp(-times / 0.9) + share * np.exp(-times / 0.048))
    found = estimate(
        model(TEN, 0.048, ideal=True), np.repeat(clean[:, None], 20, 1).astype(np.float32), "real", EstimationOptions()
    )
    np.testing.assert_allclose(found.time, 0.9, rtol=1e-3)
    np.testing.assert_allclose(found.share, share, rtol=1e-2)


def test_the_bounded_fit_is_the_one_a_general_optimiser_finds() -> None:
    rng, times = np.random.default_rng(2), np.array(TEN)
    t1, share = rng.uniform(0.35, 2.5, 40), rng.uniform(-0.1, 0.4, 40)
    repeat, fast = np.exp(-REPETITION_TIME / t1), np.exp(-times / 0.048)[:, None]
    clean = 1 - repeat + 1.8 * (repeat - np.exp(-times[:, None] / t1) - share * fast)
    noisy = (clean + rng.normal(0, 0.01, clean.shape)).astype(np.float32)
    experiment = model(TEN, 0.048)
    found = estimate(experiment, noisy, "real", EstimationOptions())
    companion = experiment.fast_component(0.048)

    def residuals(at: np.ndarray, voxel: int) -> np.ndarray:
        time = torch.tensor([np.exp(at[0])], dtype=torch.float64)
        first, second = experiment.columns(time)[0][..., 0].numpy()
        beside, limit = companion.column(time)[0][:, 0].numpy(), float(companion.limit(time)[0])
        model_signal = at[1] * (first + at[2] * (second + at[3] * limit * beside))
        return np.asarray(model_signal - noisy[:, voxel])

    for voxel in range(len(t1)):
        start = [np.log(found.time[voxel]), 1.0, 1.8, 0.5]
        best = least_squares(
            residuals, start, args=(voxel,), bounds=([-4, 0, 0.5, 0], [2, 5, 3, 1]), xtol=1e-12, ftol=1e-12
        )
        assert found.time[voxel] == pytest.approx(np.exp(best.x[0]), rel=5e-3)
    assert np.all((found.share >= 0) & (found.share <= LARGEST_SHARE + 1e-6))


@pytest.mark.parametrize("ideal", [False, True])
def test_the_gradient_of_the_projected_cost_is_that_of_differences(ideal: bool) -> None:
    experiment = model(TEN, 0.048, ideal=ideal)
    dictionaries = build_dictionaries(experiment, (0.02, 6.0), None, torch.device("cpu"))
    problem = Problem(model=experiment, dictionaries=dictionaries, noise_sd=0.02)
    time = torch.tensor([0.32, 0.4, 0.7, 0.95, 1.6, 2.5], dtype=torch.float64)
    share = torch.tensor([0.1, 0.0, 0.2, 0.5, 0.05, -0.1], dtype=torch.float64)
    truth = experiment.columns(time * 1.05)[0]
    last = 1.0 if ideal else 1.8
    signals = truth.sum(0) if ideal else truth[0] + 1.8 * truth[1]
    signals = signals + last * share * experiment.fast_component(0.048).column(time * 1.05)[0]
    zero = torch.zeros_like(time)
    step = 1e-5
    costs = [solve(problem, signals, time * np.exp(move), zero).cost for move in (-step, step)]
    found = solve(problem, signals, time, zero)
    np.testing.assert_allclose(-2 * found.gradient, (costs[1] - costs[0]) / (2 * step), rtol=1e-4, atol=1e-8)
    residual = signals - predict(experiment, found)
    np.testing.assert_allclose(residual.square().sum(0), found.cost, rtol=1e-9, atol=1e-12)


def asks(images: np.ndarray, times: tuple[float, ...] = TEN) -> bool:
    one = model(times)
    return weigh(one, one.fast_component(0.048), images, "magnitude", EstimationOptions()).asks


@pytest.mark.parametrize("snr", [15.0, 50.0, 200.0])
def test_tissue_asks_for_a_fast_component_and_water_does_not(snr: float) -> None:
    tissue = [signal(TEN, *TISSUES[name][:4]) for name in ("white matter, 3 T", "grey matter, 3 T")]
    water = [signal(TEN, t1, 0.0, 20.0, 1.0) for t1 in (0.6, 1.2, 2.0, 4.0)]
    assert asks(magnitudes(*tissue, *water, n=1_000, snr=snr))
    assert not asks(magnitudes(*water, n=1_000, snr=snr))


def test_solutions_of_short_t1_do_not_ask_for_it() -> None:
    assert not asks(magnitudes(*(signal(TEN, t1, 0.0, 20.0, 1.0) for t1 in (0.05, 0.1, 0.2, 0.3, 0.8)), n=1_000))


def test_t1_below_the_fast_components_reach_is_that_of_one_exponential() -> None:
    images = magnitudes(*(signal(TEN, t1, 0.0, 20.0, 1.0) for t1 in (0.1, 0.2, 0.27)), n=500)
    one, three = (estimate(model(TEN, fast), images, "magnitude", EstimationOptions()) for fast in (None, 0.048))
    inside = np.isfinite(one.time) & (one.time < 0.29)
    np.testing.assert_allclose(three.time[inside], one.time[inside], rtol=1e-3)
    assert not three.share[inside].any()
