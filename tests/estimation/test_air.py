"""Air is shown, not assumed: images that tissue fills have the estimates that images with air have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import stats

from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.coverage import cover
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.noise import differences_without_steps, find_background, noise_of_neighbours
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, estimate_posterior
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from tests.estimation.readout_scenes import FIXED
from tests.sequences.test_mp2rage import seven_tesla

if TYPE_CHECKING:
    from collections.abc import Callable

    from bids_t1.data.estimate import Estimate

SHAPE = (24, 24, 16)
X, Y, Z = np.meshgrid(*[np.linspace(-1, 1, size) for size in SHAPE], indexing="ij")
RADIUS = np.sqrt(X**2 + Y**2 + Z**2)
IN_HEAD = RADIUS < 0.9
T1 = np.select([RADIUS < 0.6, IN_HEAD], [0.85, 1.5], 0.0)
T2STAR = np.select([RADIUS < 0.6, IN_HEAD], [0.045, 0.06], 0.0)
GAINS = {"tilted": 1 + 0.5 * X - 0.4 * Y + 0.3 * Z, "surface": np.exp(1.2 * (X + Y))}
INVERSION_TIMES = (0.05, 0.15, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0)
ECHO_TIMES = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04)
SD = 0.025
CROP = (slice(None), slice(5, 19), slice(5, 19), slice(3, 13))

CUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "with air": lambda images: images,
    "zeros outside": lambda images: np.where(IN_HEAD, images, 0),
    "NaN outside": lambda images: np.where(IN_HEAD, images, np.nan),
    "thin rim of air": lambda images: np.where(RADIUS < 1, images, 0),
    "cropped": lambda images: images[CROP],
}


def noisy(clean: np.ndarray, sd: float = SD) -> np.ndarray:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, sd, (2, *clean.shape))
    measured: np.ndarray = clean + noise[0] + 1j * noise[1]
    return measured


def recovery(gain: str) -> np.ndarray:
    time, times = np.where(IN_HEAD, T1, 1), np.array(INVERSION_TIMES)[:, None, None, None]
    full = 1 - np.exp(-10 / time)
    return GAINS[gain] * IN_HEAD * (full + 1.93 * (np.exp(-10 / time) - np.exp(-times / time)))


def decay(gain: str) -> np.ndarray:
    times = np.array(ECHO_TIMES)[:, None, None, None]
    return GAINS[gain] * IN_HEAD * np.exp(-times / np.where(IN_HEAD, T2STAR, 1))


def require_estimates(found: Estimate, truth: np.ndarray) -> None:
    inside = truth > 0
    assert np.isfinite(found.time[inside]).mean() > 0.99
    error = np.where(inside, found.time - truth, np.nan)
    for value in np.unique(truth[inside]):
        assert abs(np.nanmedian(error[truth == value]) / value) < 0.012
    factor = stats.t.ppf(0.975, found.degrees_of_freedom)
    assert 0.93 < np.mean(np.abs(error[inside]) < factor * found.time_sd[inside]) < 0.97
    assert found.noise.level == pytest.approx(SD, rel=0.05)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("cut", CUTS)
def test_inversion_recovery_needs_no_air(cut: str, gain: str) -> None:
    images = CUTS[cut](np.abs(noisy(recovery(gain)))).astype(np.float32)
    model = InversionRecovery(inversion_times=INVERSION_TIMES, repetition_times=(10.0,) * len(INVERSION_TIMES))
    found = estimate(model, images, "magnitude", EstimationOptions())
    require_estimates(found, CUTS[cut](T1[None])[0])
    assert (found.noise.background is not None) == (cut in {"with air", "thin rim of air"})


@pytest.mark.parametrize("cut", CUTS)
def test_echoes_need_no_air(cut: str) -> None:
    images = CUTS[cut](np.abs(noisy(decay("surface")))).astype(np.float32)
    options = EstimationOptions(time_range=(0.001, 1.0), noise="rician")
    found = estimate(MultiEchoGradientEcho(echo_times=ECHO_TIMES), images, "magnitude", options)
    require_estimates(found, CUTS[cut](T2STAR[None])[0])


READOUT_SD = 0.0007


def readouts(gain: str) -> np.ndarray:
    time = torch.from_numpy(np.where(IN_HEAD, T1, 1).ravel())
    signals = seven_tesla(2).signals(time, torch.ones_like(time)).numpy().reshape(2, *SHAPE)
    return noisy(GAINS[gain] * IN_HEAD * signals, READOUT_SD).astype(np.complex64)


def in_form(form: str, images: np.ndarray) -> ReadoutImages:
    energy = (np.abs(images) ** 2).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        uni = np.where(energy > 0, (images[0].conj() * images[1]).real / energy, np.nan).astype(np.float32)
    magnitudes = np.abs(images).astype(np.float32)
    match form:
        case "complex":
            return ReadoutImages(form="complex", readouts=images)
        case "UNIT1 and magnitudes":
            return ReadoutImages(form="UNIT1 and magnitudes", readouts=magnitudes, uni=uni)
        case "UNIT1 and last magnitude":
            return ReadoutImages(form="UNIT1 and last magnitude", readouts=magnitudes[1:], uni=uni)
        case "UNIT1":
            return ReadoutImages(form="UNIT1", uni=uni)
        case _:
            return ReadoutImages(form="magnitudes", readouts=magnitudes)


FORMS = ("complex", "UNIT1 and magnitudes", "UNIT1 and last magnitude")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cut", ["with air", "zeros outside", "cropped"])
def test_readouts_need_no_air(cut: str, form: str) -> None:
    images = CUTS[cut](readouts("surface")).astype(np.complex64)
    found = estimate_posterior(seven_tesla(2), in_form(form, images), PosteriorOptions(transmit_prior=FIXED))
    truth = CUTS[cut](T1[None])[0]
    inside = truth > 0
    assert np.isfinite(found.time[inside]).mean() > 0.99
    assert found.noise.value == pytest.approx(READOUT_SD, rel=0.1)
    assert 0.925 < np.mean((found.lower <= truth) & (truth <= found.upper), where=inside) < 0.975
    assert abs(np.median(found.time[inside] / truth[inside]) - 1) < 0.01


def test_magnitudes_of_readouts_have_a_noise_without_air() -> None:
    images = in_form("magnitudes", CUTS["cropped"](readouts("surface")).astype(np.complex64))
    found = estimate_posterior(seven_tesla(2), images, PosteriorOptions(transmit_prior=FIXED))
    assert found.noise.value == pytest.approx(READOUT_SD, rel=0.15)
    assert "neighbouring" in found.noise.origin
    assert np.isfinite(found.time[CUTS["cropped"](T1[None])[0] > 0]).mean() > 0.99


def test_interpolated_air_is_air() -> None:
    noise = np.abs(np.fft.ifftn(np.pad(np.fft.fftn(noisy(np.zeros((4, 16, 16, 8))), axes=(1, 2, 3)),
                                       ((0, 0), (0, 16), (0, 16), (0, 0))), axes=(1, 2, 3)))  # fmt: skip
    background = find_background(noise.astype(np.float32))
    assert background is not None
    assert background.is_rician


def test_one_dark_tissue_is_no_air_whatever_its_profile() -> None:
    for gain in GAINS.values():
        for signal in (2.0, 5.0, 20.0):
            images = np.abs(noisy(signal * SD * gain * np.array([1, 0.6, 0.3, 1.2])[:, None, None, None]))
            background = find_background(images.astype(np.float32))
            assert background is None or background.sd < 2 * SD


def test_steps_between_tissues_are_no_noise() -> None:
    steps = np.where(np.arange(60) // 5 % 2, 1.0, 1.6)[:, None] + noisy(np.zeros((60, 40)), 0.1).real
    found = differences_without_steps(steps, np.ones_like(steps))
    assert np.median(np.abs(found)) / 0.6745 == pytest.approx(0.1, rel=0.1)
    assert noise_of_neighbours(np.full((2, 3, 3), np.nan)) is None


def test_what_has_no_estimate_is_counted_and_warned_about() -> None:
    images = np.zeros((3, 10, 10), np.float32)
    images[:, :8] = 100
    status = np.full((10, 10), VoxelStatus.FITTED, np.uint8)
    status[6:] = VoxelStatus.NO_SIGNAL
    lost = cover(images, status, noise_sd=90)
    assert (lost.n_voxels, lost.without) == (80, {"NO_SIGNAL": 20})
    assert "25% of the 80 voxels with signal" in lost.warnings[0]
    status[:7] = VoxelStatus.FITTED
    status[7, 5:] = VoxelStatus.FITTED
    assert cover(images, status, noise_sd=1).warnings == ()


def test_noise_between_neighbours_of_a_large_image_is_that_of_some_of_its_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(21)
    place = np.linspace(-1, 1, 40)
    smooth = 2 + np.cos(3 * place)[:, None, None] * np.cos(2 * place)[:, None] + (place > 0.3)
    images = smooth + rng.normal(0, 0.05, (4, 40, 40, 40))
    whole = noise_of_neighbours(images)
    monkeypatch.setattr("bids_t1.estimation.noise.ENOUGH", 2_000)
    some = noise_of_neighbours(images)
    assert whole is not None
    assert some is not None
    assert some != whole
    assert some == pytest.approx(whole, rel=0.03)
    assert some == pytest.approx(0.05, rel=0.06)


def test_noise_between_neighbours_is_the_same_with_a_compiler_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(22).normal(5, 1, (2, 30, 20, 10)).astype(np.float32)
    images[:, 3:5, :, ::4], images[:, 20] = np.nan, 0
    expected = noise_of_neighbours(images)
    monkeypatch.setattr("bids_t1.estimation.noise.WORTH_COMPILING", 0)
    assert expected is not None
    assert noise_of_neighbours(images) == pytest.approx(expected, rel=1e-12)
