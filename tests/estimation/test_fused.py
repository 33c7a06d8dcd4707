"""The compiled estimation of posteriors, against the one by PyTorch that computes every posterior."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, TransmitPrior, estimate_posterior
from tests.estimation.readout_scenes import FIXED, Scene, assert_close, both, images_of, make_scene

if TYPE_CHECKING:
    from bids_t1.data.forms import InputForm

SCENE = make_scene(time=(0.4, 5.0), transmit=(0.85, 1.15), m0=(0.3, 1.0), n_voxels=10_000)
WIDE = make_scene(noise_sd=0.01, transmit=(0.7, 1.3), n_voxels=10_000)
THREE = make_scene(n_readouts=3, time=(0.02, 6.0), transmit=(0.85, 1.15), m0=(0.05, 1.0), n_voxels=10_000)


COMPILED = PosteriorOptions(compiles_from=0)


@pytest.mark.parametrize(
    ("scene", "form", "prior", "with_map", "efficiency_sd"),
    [
        (SCENE, "complex", FIXED, True, 0.0),
        (SCENE, "complex", FIXED, True, 0.025),
        (SCENE, "UNIT1 and magnitudes", FIXED, True, 0.025),
        (SCENE, "complex", TransmitPrior(), False, 0.0),
        (SCENE, "complex", TransmitPrior(), False, 0.025),
        (SCENE, "complex", FIXED, False, 0.0),
        (WIDE, "complex", FIXED, True, 0.0),
        (WIDE, "complex", TransmitPrior(), False, 0.0),
        (THREE, "complex", FIXED, True, 0.0),
        (THREE, "complex", FIXED, True, 0.025),
        (THREE, "complex", TransmitPrior(), False, 0.0),
    ],
)
def test_every_map_is_that_of_the_reference_and_flags_are_the_same(
    scene: Scene, form: InputForm, prior: TransmitPrior, with_map: bool, efficiency_sd: float
) -> None:
    scene = replace(scene, model=replace(scene.model, efficiency_sd=efficiency_sd))
    found, expected = both(scene, form, replace(COMPILED, transmit_prior=prior), with_map=with_map)
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.two_modes, expected.two_modes)
    assert np.mean(np.isfinite(expected.time)) > 0.25
    assert_close(found, expected, 0.05)
    for name, tolerance in (("confidence", 2e-3), ("amplitude", 3e-3), ("point", 1e-3)):
        there, wanted = getattr(found, name), getattr(expected, name)
        np.testing.assert_array_equal(np.isfinite(there), np.isfinite(wanted), err_msg=name)
        inside = np.isfinite(wanted)
        close = np.isclose(there[inside], wanted[inside], rtol=tolerance, atol=tolerance)
        assert np.mean(close) > 0.999, name
    for name in ("uni", "robust_uni"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-6)


def test_posteriors_of_three_readouts_are_those_of_the_reference_to_a_hundredth_of_their_sd() -> None:
    found, expected = both(THREE, "complex", replace(COMPILED, transmit_prior=FIXED), with_map=True)
    assert_close(found, expected, 0.01)


def test_voxels_that_hold_nothing_or_no_numbers_have_no_estimate_and_unknown_fields_are_integrated_over() -> None:
    readouts, transmit = SCENE.readouts[:, :6].copy(), SCENE.transmit[:6].astype(np.float32)
    readouts[:, 0], readouts[:, 1], transmit[2], transmit[3] = 0, np.nan, np.nan, 3.0
    images = ReadoutImages(form="complex", readouts=readouts, transmit=transmit)
    options = PosteriorOptions(noise_sd=SCENE.noise_sd, compiles_from=0)
    found = estimate_posterior(SCENE.model, images, options)
    expected = estimate_posterior(SCENE.model, images, replace(options, plain=True))
    np.testing.assert_array_equal(found.status, expected.status)
    assert found.status[0] == VoxelStatus.NO_SIGNAL
    assert found.status[1] == VoxelStatus.NOT_FINITE
    np.testing.assert_allclose(found.time, expected.time, rtol=1e-4)
    np.testing.assert_allclose(found.time_sd, expected.time_sd, rtol=1e-2)
    assert found.transmit is not None
    np.testing.assert_array_equal(found.transmit, [np.nan] * 4 + transmit[4:].tolist())


def test_bits_depend_neither_on_threads_nor_on_the_voxels_around() -> None:
    scene = make_scene(time=(0.4, 5.0), transmit=(0.85, 1.15), n_voxels=70_000)
    options = PosteriorOptions(noise_sd=scene.noise_sd, transmit_prior=FIXED, compiles_from=0)
    one, two = (
        estimate_posterior(
            scene.model, images_of(scene, "complex", with_map=True), replace(options, n_threads=n_threads)
        )
        for n_threads in (1, 2)
    )
    for name in ("time", "time_sd", "lower", "upper", "confidence", "point", "status"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
