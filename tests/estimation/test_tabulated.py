"""Posteriors that are looked up, against those that are computed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.estimation.posterior import posterior
from bids_t1.estimation.posterior.posterior import PosteriorOptions, TransmitPrior
from tests.estimation.readout_scenes import FIXED, assert_close, both, make_scene

if TYPE_CHECKING:
    from bids_t1.data.forms import InputForm

SCENE = make_scene(time=(0.4, 5.0), transmit=(0.85, 1.15), m0=(0.3, 1.0), n_voxels=20_000)


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
    found, expected = both(
        scene, form, PosteriorOptions(transmit_prior=prior, looks_pairs_up_from=0), with_map=with_map
    )
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.two_modes, expected.two_modes)
    assert np.mean(np.isfinite(expected.time)) > 0.99
    assert_close(found, expected, 0.05)
    assert np.any(found.time != expected.time)


def test_a_posterior_with_two_modes_is_computed_itself() -> None:
    scene = make_scene(noise_sd=0.01, transmit=(0.7, 1.3), n_voxels=10_000)
    found, expected = both(
        scene, "complex", PosteriorOptions(transmit_prior=FIXED, looks_pairs_up_from=0), with_map=True
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
    options = PosteriorOptions(transmit_prior=prior, looks_uni_up_from=0)
    found, expected = both(scene, "UNIT1", options, with_map=with_map)
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.two_modes, expected.two_modes)
    assert_close(found, expected, 0.05)
    assert np.mean(found.time != expected.time) > 0.5
