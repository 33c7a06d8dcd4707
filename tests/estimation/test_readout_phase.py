"""Readouts that are turned against one another give the T1 of those that are not, and say so."""

from __future__ import annotations

import numpy as np
import pytest

from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, estimate_posterior
from bids_t1.estimation.posterior.readout_phase import remove_phase
from tests.estimation.readout_scenes import FIXED, Scene, make_scene

SHAPE = (24, 24, 12)


def scene(n_readouts: int = 2) -> Scene:
    return make_scene(n_readouts=n_readouts, time=(0.6, 2.5), n_voxels=24 * 24 * 12)


def bias(seen: Scene, readouts: np.ndarray) -> float:
    images = ReadoutImages(form="complex", readouts=readouts)
    options = PosteriorOptions(noise_sd=seen.noise_sd, transmit_prior=FIXED)
    return float(np.median(estimate_posterior(seen.model, images, options).time.ravel() / seen.time - 1))


@pytest.mark.parametrize("n_readouts", [2, 3])
@pytest.mark.parametrize("degrees", [-45.0, 10.0, 60.0])
@pytest.mark.parametrize("smooth", [False, True], ids=["uniform", "smooth"])
def test_a_phase_between_readouts_leaves_no_bias(n_readouts: int, degrees: float, smooth: bool) -> None:
    seen = scene(n_readouts)
    readouts = seen.readouts.reshape(n_readouts, *SHAPE).copy()
    ramp = np.linspace(0.5, 1.0, SHAPE[0])[:, None, None] if smooth else np.ones((1, 1, 1))
    readouts[-1] *= np.exp(1j * np.deg2rad(degrees) * ramp)
    aligned, turns = remove_phase(readouts)
    assert abs(bias(seen, aligned)) < 0.005
    assert turns[-1].removed
    assert turns[-1].median == pytest.approx(degrees * ramp.mean(), abs=2)
    assert turns[-1].warning is not None
    assert "coils" in turns[-1].warning.lower()


@pytest.mark.parametrize("n_readouts", [2, 3])
def test_readouts_in_phase_stay_as_they_are(n_readouts: int) -> None:
    readouts = scene(n_readouts).readouts.reshape(n_readouts, *SHAPE)
    aligned, turns = remove_phase(readouts)
    assert aligned is readouts
    assert not any(turn.removed or turn.warning for turn in turns)
    assert len(turns) == n_readouts - 1
