"""T2* is right at usual noise, its error bars too, and phases are taken away without taking signal away."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bids_t1.estimation.curves.demodulation import demodulate
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho

TIMES = tuple(0.004 * number for number in range(1, 7))
N_VOXELS = 40_000


def echoes(signal_to_noise: float, *, air: bool = True, times: tuple[float, ...] = TIMES) -> tuple[np.ndarray, ...]:
    """Return true T2* and complex echoes of an M0 of 1, with an off-resonance and voxels of air behind."""
    rng = np.random.default_rng(8)
    true = rng.uniform(0.01, 0.08, N_VOXELS)
    time = np.array(times)[:, None]
    phase = rng.uniform(-np.pi, np.pi, N_VOXELS) + 2 * np.pi * rng.uniform(-100, 100, N_VOXELS) * time
    signal = np.exp(-time / true + 1j * phase)
    if air:
        signal = np.concatenate([signal, np.zeros((len(times), N_VOXELS // 2))], axis=1)
    noise = rng.standard_normal((2, *signal.shape)) / signal_to_noise
    return true, (signal + noise[0] + 1j * noise[1]).astype(np.complex64)


@pytest.mark.parametrize("air", [True, False], ids=["with air", "without air"])
@pytest.mark.parametrize("kind", ["magnitude", "complex"])
def test_t2star_has_no_bias_and_honest_error_bars(kind: str, air: bool) -> None:
    true, images = echoes(30, air=air)
    model = MultiEchoGradientEcho(echo_times=TIMES)
    options = EstimationOptions(time_range=(0.001, 1.0), noise="rician", n_threads=2)
    real = demodulate(images, TIMES)
    assert real is not None
    measured = np.abs(images) if kind == "magnitude" else real
    found = estimate(model, measured, "magnitude" if kind == "magnitude" else "real", options)
    time, sd = found.time[:N_VOXELS], found.time_sd[:N_VOXELS]
    assert np.isfinite(time).mean() > 0.999
    for low, high in ((0.01, 0.02), (0.02, 0.04), (0.04, 0.08)):
        band = (true >= low) & (true < high)
        assert abs(np.nanmedian((time / true)[band]) - 1) < 0.01
    covered = np.abs(time - true) < stats.t.ppf(0.975, found.degrees_of_freedom) * sd
    assert 0.94 < covered.mean() < 0.96


def test_demodulated_echoes_keep_their_signal() -> None:
    _, images = echoes(math.inf, air=False)
    real = demodulate(images, TIMES)
    assert real is not None
    np.testing.assert_allclose(real, np.abs(images), rtol=1e-3)


def test_demodulation_bears_uneven_echo_times() -> None:
    times = (0.003, 0.0046, 0.008, 0.0125, 0.02)
    _, images = echoes(math.inf, air=False, times=times)
    real = demodulate(images, times)
    assert real is not None
    assert np.quantile(np.abs(real / np.abs(images) - 1), 0.95) < 1e-3


def test_phases_of_alternating_readouts_are_not_demodulated() -> None:
    _, images = echoes(100, air=False)
    images[1::2] *= np.exp(1.5j)
    assert demodulate(images, TIMES) is None


def test_magnitudes_of_a_decay_keep_their_sign() -> None:
    true, images = echoes(100)
    found = estimate(
        MultiEchoGradientEcho(echo_times=TIMES), np.abs(images), "magnitude", EstimationOptions(time_range=(0.001, 1.0))
    )
    assert np.nanmin(found.amplitude) > 0
    assert abs(np.nanmedian(found.time[:N_VOXELS] / true) - 1) < 0.01
