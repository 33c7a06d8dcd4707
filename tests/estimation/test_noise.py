"""What the background tells of the noise, one coil or many, and what taking its share off does to T1."""

from __future__ import annotations

import numpy as np
import pytest

from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.noise import find_background
from tests.estimation.scenes import MODEL, signal

N_VOXELS = 3_000
T1 = (0.85, 1.5)


def sum_of_squares(coils: int, snr: float) -> np.ndarray:
    """Return magnitudes of several coils with noise of 1/snr each, and air behind the voxels of both T1."""
    rng = np.random.default_rng(coils)
    clean = np.concatenate([signal(np.repeat(T1, N_VOXELS), 1.93), np.zeros((10, N_VOXELS))], axis=1)
    squares = np.zeros_like(clean)
    for _ in range(coils):
        noise = rng.normal(0, 1 / snr, (2, *clean.shape))
        squares += (clean / np.sqrt(coils) + noise[0]) ** 2 + noise[1] ** 2
    magnitudes: np.ndarray = np.sqrt(squares).astype(np.float32)
    return magnitudes


@pytest.mark.parametrize("handling", ["floor", "rician"])
@pytest.mark.parametrize("snr", [25.0, 60.0])
@pytest.mark.parametrize("coils", [8, 32])
def test_a_sum_of_squares_over_coils_does_not_bias_t1(coils: int, snr: float, handling: str) -> None:
    images = sum_of_squares(coils, snr)
    found = estimate(MODEL, images, "magnitude", EstimationOptions(noise=handling))  # type: ignore[arg-type]
    assert found.noise.is_known
    assert found.noise.coils == pytest.approx(coils, rel=0.05)
    assert found.noise.background == pytest.approx(1 / snr, rel=0.03)
    for number, t1 in enumerate(T1):
        inside = found.time[N_VOXELS * number : N_VOXELS * (number + 1)]
        assert abs(np.median(inside) / t1 - 1) < 0.007
    assert np.mean(found.status[len(T1) * N_VOXELS :] == 0) > 0.99


def test_left_on_the_noise_of_many_coils_biases_t1() -> None:
    found = estimate(MODEL, sum_of_squares(32, 25.0), "magnitude", EstimationOptions(noise="gaussian"))
    assert abs(np.nanmedian(found.time[:N_VOXELS]) / T1[0] - 1) > 0.015


def test_correlated_coils_count_less() -> None:
    rng = np.random.default_rng(1)
    independent = rng.normal(0, 1, (4, 2, 10, N_VOXELS))
    doubled = np.sqrt((np.repeat(independent, 2, axis=0) ** 2).sum((0, 1)))
    background = find_background(doubled.astype(np.float32))
    assert background is not None
    assert background.coils == pytest.approx(4, rel=0.05)


def test_one_coil_is_rician_as_before() -> None:
    background = find_background(sum_of_squares(1, 50.0))
    assert background is not None
    assert (background.is_rician, background.coils) == (True, 1.0)


def test_images_of_contrast_or_of_nothing_are_no_noise_of_coils() -> None:
    rng = np.random.default_rng(2)
    filled = np.abs(signal(rng.uniform(1.1, 1.2, 5_000), 1.93) + rng.normal(0, 0.01, (10, 5_000)))
    even = 1 + rng.normal(0, 0.01, (10, 5_000))
    for images in (filled, even):
        background = find_background(images.astype(np.float32))
        assert background is None or not background.is_known
