"""Voxels of known T1 seen by several readouts, with complex noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, TransmitPrior, estimate_posterior
from tests.sequences.test_mp2rage import seven_tesla

if TYPE_CHECKING:
    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.data.forms import InputForm
    from bids_t1.sequences.mp2rage import Mp2rage

FIXED = TransmitPrior(sd=0)


@dataclass(frozen=True)
class Scene:
    """Truth and measurements of a list of voxels."""

    model: Mp2rage
    time: np.ndarray
    transmit: np.ndarray
    readouts: np.ndarray
    noise_sd: float

    @property
    def uni(self) -> np.ndarray:
        """S of the first two readouts."""
        first, second = self.readouts[:2]
        energy = np.abs(first) ** 2 + np.abs(second) ** 2
        found: np.ndarray = ((first.conj() * second).real / energy).astype(np.float32)
        return found

    def within(self, low: float, high: float) -> np.ndarray:
        """Tell which voxels have a T1 in a band."""
        return (self.time >= low) & (self.time < high)


def make_scene(  # noqa: PLR0913 - one argument per quantity that is drawn
    *,
    n_readouts: int = 2,
    noise_sd: float = 0.001,
    time: tuple[float, float] = (0.02, 6.0),
    transmit: tuple[float, float] = (1.0, 1.0),
    m0: tuple[float, float] = (1.0, 1.0),
    n_voxels: int = 100_000,
) -> Scene:
    """Draw T1 and transmit field uniformly, M0 on a logarithmic scale, and measure with complex noise."""
    rng = np.random.default_rng([n_readouts, n_voxels, round(1e6 * noise_sd)])
    model = seven_tesla(n_readouts)
    true, field = rng.uniform(*time, n_voxels), rng.uniform(*transmit, n_voxels)
    signals = model.signals(torch.from_numpy(true), torch.from_numpy(field)).numpy()
    noise = rng.standard_normal((2, *signals.shape)) * noise_sd
    amplitudes = np.exp(2j * np.pi * rng.random(n_voxels) + rng.uniform(np.log(m0[0]), np.log(m0[1]), n_voxels))
    readouts = signals * amplitudes + noise[0] + 1j * noise[1]
    return Scene(model, true, field, readouts.astype(np.complex64), noise_sd)


def estimate_scene(
    scene: Scene,
    *,
    images: ReadoutImages | None = None,
    with_map: bool = True,
    prior: TransmitPrior = FIXED,
    n_threads: int = 2,
) -> PosteriorEstimate:
    """Estimate a scene from its complex readouts, or from other images of it."""
    if images is None:
        field = scene.transmit.astype(np.float32) if with_map else None
        images = ReadoutImages(form="complex", readouts=scene.readouts, transmit=field)
    options = PosteriorOptions(noise_sd=scene.noise_sd, transmit_prior=prior, n_threads=n_threads)
    return estimate_posterior(scene.model, images, options)


def images_of(scene: Scene, form: InputForm, *, with_map: bool) -> ReadoutImages:
    """Return what a form of input holds of a scene."""
    magnitudes = None if form == "UNIT1" else np.abs(scene.readouts)
    return ReadoutImages(
        form=form,
        readouts=scene.readouts if form == "complex" else magnitudes,
        uni=scene.uni if form.startswith("UNIT1") else None,
        transmit=scene.transmit.astype(np.float32) if with_map else None,
    )


def both(
    scene: Scene, form: InputForm, options: PosteriorOptions, *, with_map: bool
) -> tuple[PosteriorEstimate, PosteriorEstimate]:
    """Return the estimates as they are asked for, and those that are all computed by PyTorch."""
    images, asked = images_of(scene, form, with_map=with_map), replace(options, noise_sd=scene.noise_sd)
    found, expected = (estimate_posterior(scene.model, images, replace(asked, plain=plain)) for plain in (False, True))
    return found, expected


def shortest(times: np.ndarray, log_density: np.ndarray) -> tuple[float, float]:
    """Return the interval of highest density of a posterior on a fine grid; of equal tails where the range cuts it."""
    density = np.exp(log_density - log_density.max())
    cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    tails = np.linspace(0.001, 0.049, 241)
    low, high = (np.interp(tails + inside, cumulative / cumulative[-1], times) for inside in (0.0, 0.95))
    excess = np.interp(low, times, log_density) - np.interp(high, times, log_density)
    is_cut = excess[0] > 0 or excess[-1] < 0 or log_density[[0, -1]].max() > log_density.max() - 4.6
    tail = 0.025 if is_cut else np.interp(0.0, excess, tails)
    return float(np.interp(tail, tails, low)), float(np.interp(tail, tails, high))


def assert_close(found: PosteriorEstimate, expected: PosteriorEstimate, most: float) -> None:
    """Require that 99.9 % of the voxels with an estimate differ by less than a share of their SD."""
    known = np.isfinite(expected.time)
    for name in ("time", "mean", "lower", "upper", "time_sd"):
        off = np.abs(getattr(found, name) - getattr(expected, name))[known] / expected.time_sd[known]
        assert np.quantile(off, 0.999) < most, name
