"""The scale of images is free: scanners and conversions choose it, and it must not show in relaxation times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import stats

from bids_t1.estimation.curves.demodulation import demodulate
from bids_t1.estimation.curves.engine import EstimationOptions, NoiseHandling, estimate
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, TransmitPrior, estimate_posterior
from bids_t1.estimation.scale import unit_of
from bids_t1.runs.common import near_one
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from bids_t1_phantom.physics.simulate import inversion_recovery
from tests.estimation.test_degenerate import READOUTS
from tests.small_bids import READOUT_NOISE_SD, READOUT_T1, complex_readouts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.estimate import Estimate, PosteriorEstimate

TIMES = (0.05, 0.4, 1.1, 2.5)
ECHO_TIMES = (0.004, 0.008, 0.012, 0.016)
SCALES = (1e-20, 1e-6, 1e6, 1e15)
NOISE_SD = 10.0
SHAPE = (24, 12, 8)
HEAD = np.zeros(SHAPE, np.bool_)
HEAD[14:] = True


def channel_noise(seed: int, n_images: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.complex128]:
    parts = np.random.default_rng(seed).standard_normal((2, n_images, *shape)) * NOISE_SD
    return np.asarray(parts[0] + 1j * parts[1])


def magnitudes() -> NDArray[np.float64]:
    """Of voxels with T1 from 0.5 to 3 s beside air."""
    t1 = np.exp(np.random.default_rng(5).uniform(np.log(0.5), np.log(3.0), SHAPE))
    signal = inversion_recovery(
        t1, 1000.0 * HEAD, inversion_times=TIMES, repetition_times=5.0, inversion_efficiency=1.95
    )
    return np.abs(signal + channel_noise(6, len(TIMES)))


IR = InversionRecovery(inversion_times=TIMES, repetition_times=(5.0,) * len(TIMES))


def fitted(images: NDArray[np.float64], noise: NoiseHandling) -> Estimate:
    stack = images.astype(np.float32)
    with near_one(stack) as unit:
        return estimate(IR, stack, "magnitude", EstimationOptions(noise=noise)).in_images(unit)


def require_same(
    found: Estimate | PosteriorEstimate,
    expected: Estimate | PosteriorEstimate,
    scale: float,
    there: NDArray[np.bool_] = HEAD,
) -> None:
    """Compare where there is signal: what noise alone is taken for is nowhere determined."""
    assert np.mean((found.status == expected.status)[there]) > 0.999
    known = np.isfinite(expected.time) & there
    assert known.sum() > 100
    assert np.mean(np.abs(found.time[known] / expected.time[known] - 1) < 1e-4) > 0.998
    # Residuals that vanish by chance are what single precision rounds.
    rounded = 1e-5 * expected.time[known]
    apart = np.abs(found.time_sd[known] - expected.time_sd[known])
    assert np.mean(apart < 0.01 * expected.time_sd[known] + rounded) > 0.998
    assert found.amplitude is not None
    assert expected.amplitude is not None
    np.testing.assert_allclose(found.amplitude[known] / scale, expected.amplitude[known], rtol=2e-3)


@pytest.mark.parametrize("noise", ["floor", "gaussian", "rician"])
def test_inversion_recovery_does_not_depend_on_the_scale(noise: NoiseHandling) -> None:
    images = magnitudes()
    expected = fitted(images, noise)
    for scale in SCALES:
        found = fitted(images * scale, noise)
        require_same(found, expected, scale)
        assert found.noise.background == pytest.approx(NOISE_SD * scale, rel=0.1, abs=0)
        assert found.noise.residual == pytest.approx(expected.noise.residual * scale, rel=1e-3, abs=0)


def test_a_power_of_two_changes_no_bit() -> None:
    images = magnitudes()
    expected, found = (fitted(images * scale, "floor") for scale in (1.0, 2.0**-60))
    np.testing.assert_array_equal(found.time, expected.time)
    np.testing.assert_array_equal(found.time_sd, expected.time_sd)
    np.testing.assert_array_equal(found.amplitude * 2.0**60, expected.amplitude)


def test_no_sd_of_a_rician_fit_is_below_what_is_possible() -> None:
    found = fitted(magnitudes(), "rician")
    assert found.noise.background is not None
    assert found.noise.background == pytest.approx(NOISE_SD, rel=0.05)
    voxels = np.flatnonzero((found.status == 1) & HEAD)
    time, amplitude, ratio = (getattr(found, name).flat[voxels] for name in ("time", "amplitude", "ratio"))
    columns, slopes = (part.numpy() for part in IR.columns(torch.from_numpy(time.astype(np.float64))))
    # The Cramer-Rao bound of Gaussian noise, magnitudes hold less; and what one residual may be by chance.
    derivatives = np.stack([columns[0], columns[1], amplitude * (slopes[0] + ratio * slopes[1])], axis=-1)
    derivatives = np.moveaxis(derivatives, 1, 0)
    variance = np.linalg.inv(derivatives.swapaxes(1, 2) @ derivatives)[:, -1, -1] * stats.chi2(1).ppf(0.01)
    assert np.all(found.time_sd.flat[voxels] > 0.95 * found.noise.background * time * np.sqrt(variance))


@pytest.mark.parametrize("form", ["complex", "magnitudes"])
def test_mp2rage_does_not_depend_on_the_scale(form: str) -> None:
    readouts = complex_readouts()
    readouts = readouts.astype(np.complex64) if form == "complex" else np.abs(readouts).astype(np.float32)

    def posterior(scale: float) -> PosteriorEstimate:
        stack = (readouts * scale).astype(readouts.dtype)
        images = ReadoutImages(form="complex" if form == "complex" else "magnitudes", readouts=stack)
        prior = TransmitPrior(mean=1.0, sd=0.0)
        with near_one(stack) as unit:
            options = PosteriorOptions(transmit_prior=prior, noise_sd=READOUT_NOISE_SD * scale / unit)
            return estimate_posterior(READOUTS, images, options).in_images(unit)

    expected = posterior(1.0)
    assert np.isfinite(expected.time[READOUT_T1 > 0]).mean() > 0.9
    for scale in SCALES:
        found = posterior(scale)
        require_same(found, expected, scale, READOUT_T1 > 0)
        assert found.noise.value == pytest.approx(expected.noise.value * scale, rel=1e-3, abs=0)
        assert found.robust_beta == pytest.approx((expected.robust_beta or 0) * scale**2, rel=1e-3, abs=0)


@pytest.mark.parametrize("scale", SCALES)
def test_echoes_do_not_depend_on_the_scale(scale: float) -> None:
    t2star = np.linspace(0.02, 0.08, HEAD.size).reshape(SHAPE)
    times = np.reshape(ECHO_TIMES, (-1, 1, 1, 1))
    echoes = 1000 * HEAD * np.exp(-times / t2star) * np.exp(2j * np.pi * 20 * times) + channel_noise(7, len(ECHO_TIMES))

    def decay(factor: float) -> Estimate:
        real = demodulate((echoes * factor).astype(np.complex64), ECHO_TIMES)
        assert real is not None
        model = MultiEchoGradientEcho(echo_times=ECHO_TIMES)
        with near_one(real) as unit:
            return estimate(model, real, "real", EstimationOptions(time_range=(0.001, 1.0))).in_images(unit)

    require_same(decay(scale), decay(1.0), scale)


def test_images_are_as_before_after_an_estimate() -> None:
    stack = (magnitudes() * (1 + 1j)).astype(np.complex64) * np.float32(1e-20)
    stack[0, 0, 0, :2] = np.nan, complex(np.inf, 0.0)
    before = stack.copy()
    with near_one(stack) as unit:
        assert 1 <= np.nanmedian(np.abs(stack)) < 2
        assert stack[0, 0, 0, 1] == complex(np.inf, 0.0)
        assert np.log2(unit) == round(np.log2(unit))
    np.testing.assert_array_equal(stack, before)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_images_of_nothing_keep_their_scale(value: float) -> None:
    assert unit_of(np.full((2, 3, 3, 3), value, np.float32)) == 1.0
