"""Posteriors that are looked up, against those that are computed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.estimation.posterior import posterior
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, TransmitPrior, estimate_posterior
from tests.estimation.readout_scenes import FIXED, Scene, make_scene

if TYPE_CHECKING:
    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.data.forms import InputForm

SCENE = make_scene(time=(0.4, 5.0), transmit=(0.85, 1.15), m0=(0.3, 1.0), n_voxels=20_000)


def both(scene: Scene, form: InputForm, prior: TransmitPrior, *, with_map: bool) -> tuple[PosteriorEstimate, ...]:
    """Return the estimates that are looked up where that is possible, and those that are computed."""
    images = ReadoutImages(
        form=form,
        readouts=scene.readouts if form == "complex" else np.abs(scene.readouts),
        uni=None if form == "complex" else scene.uni,
        transmit=scene.transmit.astype(np.float32) if with_map else None,
    )
    options = PosteriorOptions(noise_sd=scene.noise_sd, transmit_prior=prior)
    return tuple(estimate_posterior(scene.model, images, replace(options, plain=plain)) for plain in (False, True))


@pytest.mark.parametrize(
    ("form", "prior", "with_map", "efficiency_sd"),
    [
        ("complex", FIXED, True, 0.0),
        ("complex", FIXED, True, 0.025),
        ("UNIT1 and magnitudes", FIXED, True, 0.025),
        ("complex", TransmitPrior(), False, 0.0),
        ("complex", FIXED, False, 0.0),
    ],
)
def test_posteriors_looked_up_are_those_computed_and_their_flags_the_same(
    form: InputForm, prior: TransmitPrior, with_map: bool, efficiency_sd: float
) -> None:
    scene = replace(SCENE, model=replace(SCENE.model, efficiency_sd=efficiency_sd))
    found, expected = both(scene, form, prior, with_map=with_map)
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.two_modes, expected.two_modes)
    known = np.isfinite(expected.time)
    assert np.mean(known) > 0.99
    for name in ("time", "mean", "lower", "upper", "time_sd"):
        off = np.abs(getattr(found, name) - getattr(expected, name))[known] / expected.time_sd[known]
        assert np.quantile(off, 0.999) < 0.05, name
    assert np.any(found.time != expected.time)


def test_a_posterior_with_two_modes_is_computed_itself() -> None:
    found, expected = both(
        make_scene(noise_sd=0.01, transmit=(0.7, 1.3), n_voxels=10_000), "complex", FIXED, with_map=True
    )
    flagged = expected.two_modes.astype(bool)
    assert np.any(flagged)
    np.testing.assert_array_equal(found.two_modes, expected.two_modes)
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_allclose(found.time[flagged], expected.time[flagged], rtol=1e-3)


@pytest.mark.parametrize(("prior", "with_map"), [(FIXED, True), (TransmitPrior(), False)])
def test_posteriors_of_uni_alone_looked_up_are_those_computed(
    monkeypatch: pytest.MonkeyPatch, prior: TransmitPrior, with_map: bool
) -> None:
    monkeypatch.setattr(posterior, "looks_like_noise", lambda uni: np.zeros(uni.shape, dtype=bool))
    scene = make_scene(time=(0.4, 5.0), transmit=(0.97, 1.03), n_voxels=10_000)
    images = ReadoutImages(
        form="UNIT1", uni=scene.uni, transmit=scene.transmit.astype(np.float32) if with_map else None
    )
    options = PosteriorOptions(noise_sd=scene.noise_sd, transmit_prior=prior, looks_uni_up_from=0)
    found, expected = (
        estimate_posterior(scene.model, images, replace(options, plain=plain)) for plain in (False, True)
    )
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.two_modes, expected.two_modes)
    known = np.isfinite(expected.time)
    for name in ("time", "mean", "lower", "upper", "time_sd"):
        off = np.abs(getattr(found, name) - getattr(expected, name))[known] / expected.time_sd[known]
        assert np.quantile(off, 0.999) < 0.05, name
    assert np.mean(found.time != expected.time) > 0.5
