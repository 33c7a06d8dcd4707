"""What the estimates are worth: bias, precision and honesty of their error bars."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bids_t1.data.estimate import Estimate, VoxelStatus
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from tests.estimation.scenes import BANDS, MODEL, Scene, bias, coverage, rmse, scene

N_VOXELS = 80_000


@pytest.fixture(scope="module")
def uniform() -> Scene:
    rng = np.random.default_rng(1)
    return scene(2, rng.uniform(0.3, 3.0, N_VOXELS), rng.normal(1.93, 0.02, N_VOXELS))


@pytest.fixture(scope="module")
def free(uniform: Scene) -> Estimate:
    return estimate(MODEL, uniform.magnitudes, "magnitude", EstimationOptions())


@pytest.fixture(scope="module")
def learned(uniform: Scene) -> Estimate:
    return estimate(MODEL, uniform.magnitudes, "magnitude", EstimationOptions(learn_ratio=True))


def band(scene: Scene, low: float, high: float) -> np.ndarray:
    return (scene.truth >= low) & (scene.truth < high)


@pytest.mark.parametrize(("low", "high"), BANDS)
def test_free_fit_is_unbiased(uniform: Scene, free: Estimate, low: float, high: float) -> None:
    where = band(uniform, low, high)
    assert abs(bias(uniform.inside(free.time)[where], uniform.truth[where])) < 0.005


@pytest.mark.parametrize(("low", "high"), BANDS)
def test_error_bars_cover_the_truth(uniform: Scene, free: Estimate, low: float, high: float) -> None:
    factor = float(stats.t.ppf(0.975, free.degrees_of_freedom))
    assert 0.935 < coverage(free, uniform, band(uniform, low, high), factor) < 0.965


@pytest.mark.parametrize("bounds_and_share", [(0.3, 0.6, 0.80), (0.6, 1.2, 0.60), (1.2, 2.0, 0.40), (2.0, 3.0, 0.25)])
def test_learned_efficiency_is_more_precise_unbiased_and_honest(
    uniform: Scene, free: Estimate, learned: Estimate, bounds_and_share: tuple[float, float, float]
) -> None:
    low, high, share = bounds_and_share
    where = band(uniform, low, high)
    truth, found = uniform.truth[where], uniform.inside(learned.time)[where]
    factor = float(stats.t.ppf(0.975, learned.degrees_of_freedom))
    assert rmse(found, truth) < share * rmse(uniform.inside(free.time)[where], truth)
    assert abs(bias(found, truth)) < 0.003
    assert 0.94 < coverage(learned, uniform, where, factor) < 0.96


def test_learned_prior_is_that_of_the_image(learned: Estimate) -> None:
    prior = learned.learned_ratio
    assert prior is not None
    assert prior.means == pytest.approx((1.93,), abs=0.005)
    assert prior.sd == pytest.approx(0.02, abs=0.005)


def test_tissues_of_narrow_t1_do_not_bend_the_prior() -> None:
    rng = np.random.default_rng(9)
    centres = rng.choice([0.35, 0.85, 1.43, 1.66, 4.0], N_VOXELS // 2, p=[0.15, 0.2, 0.2, 0.35, 0.1])
    head = scene(10, centres * rng.normal(1, 0.03, len(centres)), rng.normal(1.93, 0.02, len(centres)))
    prior = estimate(MODEL, head.magnitudes, "magnitude", EstimationOptions(learn_ratio=True)).learned_ratio
    assert prior is not None
    assert max(abs(mean - 1.93) for mean in prior.means) < 0.006


def test_learned_efficiency_biases_no_tissue_of_its_own_efficiency() -> None:
    rng = np.random.default_rng(5)
    white = rng.random(N_VOXELS) < 0.5
    truth = np.where(white, rng.normal(0.85, 0.05, N_VOXELS), rng.normal(1.5, 0.12, N_VOXELS))
    mixed = scene(6, truth, np.where(white, 1.80, 1.95))
    found = estimate(MODEL, mixed.magnitudes, "magnitude", EstimationOptions(learn_ratio=True))
    for tissue in (white, ~white):
        assert abs(bias(mixed.inside(found.time)[tissue], truth[tissue])) < 0.005


def test_background_is_recognised_and_left_out(uniform: Scene, free: Estimate) -> None:
    background = free.status[len(uniform.truth) :]
    assert np.mean(background == VoxelStatus.NO_SIGNAL) > 0.999
    assert free.noise.background == pytest.approx(0.02, rel=0.02)
    assert free.noise.is_known


def test_noise_floor_biases_long_t1_where_it_is_not_removed() -> None:
    rng = np.random.default_rng(3)
    low_signal = scene(4, rng.uniform(0.4, 0.8, 20_000), 1.93, snr=8.0)
    errors = {
        noise: abs(bias(low_signal.inside(found.time), low_signal.truth))
        for noise, found in (
            ("gaussian", estimate(MODEL, low_signal.magnitudes, "magnitude", EstimationOptions(noise="gaussian"))),
            ("floor", estimate(MODEL, low_signal.magnitudes, "magnitude", EstimationOptions(noise="floor"))),
            ("rician", estimate(MODEL, low_signal.magnitudes, "magnitude", EstimationOptions(noise="rician"))),
        )
    }
    assert errors["rician"] < errors["gaussian"] / 3
    assert errors["floor"] < errors["gaussian"] / 3


def test_rician_error_bars_cover_the_truth_at_low_signal() -> None:
    rng = np.random.default_rng(7)
    low_signal = scene(8, rng.uniform(0.3, 0.9, 20_000), 1.93, snr=12.0)
    found = estimate(MODEL, low_signal.magnitudes, "magnitude", EstimationOptions(noise="rician"))
    factor = float(stats.t.ppf(0.975, found.degrees_of_freedom))
    everywhere = np.isfinite(low_signal.inside(found.time))
    assert 0.93 < coverage(found, low_signal, everywhere, factor) < 0.98
