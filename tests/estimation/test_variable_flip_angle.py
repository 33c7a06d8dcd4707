"""T1 from variable flip angles by the posterior of readouts: right at every B1+, and its intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, estimate_posterior
from bids_t1.sequences.variable_flip_angle import VariableFlipAngle

DEGREES = (4, 10, 20)
TR = 0.02
N = 6000
MODEL = VariableFlipAngle(flip_angles=tuple(map(math.radians, DEGREES)), repetition_times=(TR,) * len(DEGREES))


@pytest.mark.parametrize("map_sd", [0.0, 0.05])
@pytest.mark.parametrize("t1", [0.85, 1.45])
def test_intervals_hold_the_truth_whether_b1_is_known_or_known_within_five_percent(t1: float, map_sd: float) -> None:
    rng = np.random.default_rng(5)
    b1 = rng.uniform(0.7, 1.3, N)
    angles = np.radians(DEGREES)[:, None] * b1
    recovery = math.exp(-TR / t1)
    echoes = 1000 * np.sin(angles) * (1 - recovery) / (1 - np.cos(angles) * recovery)
    noise_sd = float(echoes.mean()) / 100
    images = echoes + noise_sd * (rng.normal(size=echoes.shape) + 1j * rng.normal(size=echoes.shape))
    measured = ReadoutImages(
        form="complex",
        readouts=images.astype(np.complex64),
        transmit=(b1 + map_sd * rng.normal(size=N)).astype(np.float32),
    )
    options = PosteriorOptions(noise_sd=noise_sd, transmit_sd=map_sd, sums_transmit=True)
    estimate = estimate_posterior(MODEL, measured, options)
    assert np.nanmedian(estimate.time) == pytest.approx(t1, rel=0.01)
    held = (estimate.lower <= t1) & (t1 <= estimate.upper)
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)


def test_without_a_map_no_voxel_is_sure_of_its_t1() -> None:
    rng = np.random.default_rng(0)
    degrees, t1, tr = (3, 8, 15, 22), 0.9, 0.018
    angles, recovery = np.radians(degrees)[:, None], math.exp(-tr / t1)
    echoes = 10_000 * np.sin(angles) * (1 - recovery) / (1 - np.cos(angles) * recovery)
    noise = rng.normal(0, 3, (2, len(degrees), 400))
    model = VariableFlipAngle(flip_angles=tuple(map(math.radians, degrees)), repetition_times=(tr,) * len(degrees))
    images = ReadoutImages(form="complex", readouts=(echoes + noise[0] + 1j * noise[1]).astype(np.complex64))
    estimate = estimate_posterior(model, images, PosteriorOptions(noise_sd=3, sums_transmit=True))
    assert np.min(estimate.time_sd) > 0.3  # b1 by 0.3, of whose square T1 goes, and no tooth of the sum over it
    assert np.mean((estimate.lower <= t1) & (t1 <= estimate.upper)) > 0.99
