"""Voxels of known T1 seen by the reference protocol at 7 T, simulated pulse by pulse, with complex noise."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from bids_t1.estimation.posterior import posterior, posterior_group
from bids_t1.estimation.posterior.posterior import (
    PosteriorOptions,
    ReadoutImages,
    TransmitPrior,
    estimate_posterior,
)
from bids_t1.sequences.mp2rage import Mp2rage
from bids_t1_phantom.physics import trains as readouts
from bids_t1_phantom.physics.simulate import rapid_gradient_echo_trains

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.data.forms import InputForm

    Array = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

EFFICIENCY = 0.84
T1_RANGE = (0.02, 6.0)
"""Of the prior, and of the truth drawn from it [s]."""

KNOWN = TransmitPrior(sd=0)
"""The transmit field is the nominal one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Truth and measurements of some voxels."""

    n_readouts: int
    truth: Array
    """T1 [s]."""

    transmit: Array
    readouts: NDArray[np.complex64]
    noise_sd: float

    @property
    def uni(self) -> Array:
        """S of the first two readouts."""
        first, second = self.readouts[:2]
        found: Array = (first.conj() * second).real / (np.abs(first) ** 2 + np.abs(second) ** 2)
        return found

    def between(self, low: float, high: float) -> Mask:
        """Tell the voxels whose T1 lies in a band."""
        found: Mask = (self.truth >= low) & (self.truth < high)
        return found


def protocol(n_readouts: int) -> readouts.ReadoutProtocol:
    """Return the reference protocol, played with its first readouts only."""
    full = readouts.MP3RAGE
    return replace(full, inversion_times=full.inversion_times[:n_readouts], flip_angles=full.flip_angles[:n_readouts])


def model(n_readouts: int) -> Mp2rage:
    """Return what the estimation is told of the protocol."""
    played = protocol(n_readouts)
    return Mp2rage(
        cycle_time=played.cycle_time,
        inversion_times=played.inversion_times,
        excitation_times=played.spacings,
        flip_angles=tuple(math.radians(angle) for angle in played.flip_angles),
        excitations=((played.n_before, played.n_after),) * n_readouts,
        efficiency=EFFICIENCY,
    )


def scene(  # noqa: PLR0913 - what a scene differs in
    n_voxels: int,
    *,
    n_readouts: int = 2,
    noise_sd: float = 0.001,
    t1: tuple[float, float] = T1_RANGE,
    transmit: tuple[float, float] = (1.0, 1.0),
    m0: tuple[float, float] = (1.0, 1.0),
    seed: int = 1,
) -> Scene:
    """Draw T1, transmit field and M0 uniformly, play every pulse, add a phase and complex Gaussian noise."""
    rng = np.random.default_rng([seed, n_readouts, round(1e7 * noise_sd)])
    truth, field = rng.uniform(*t1, n_voxels), rng.uniform(*transmit, n_voxels)
    signal = rapid_gradient_echo_trains(
        truth, 1.0, protocol=protocol(n_readouts), transmit_field=field, inversion_efficiency=EFFICIENCY
    )
    images = signal * np.exp(2j * np.pi * rng.random(n_voxels)) * rng.uniform(*m0, n_voxels)
    images += noise_sd * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return Scene(
        n_readouts=n_readouts,
        truth=truth,
        transmit=field,
        readouts=images.astype(np.complex64),
        noise_sd=noise_sd,
    )


def estimate(
    of: Scene, *, with_map: bool = True, prior: TransmitPrior = KNOWN, form: InputForm = "complex", n_threads: int = 2
) -> PosteriorEstimate:
    """Estimate a scene from one form of its images, with the noise that was added."""
    images = ReadoutImages(
        form=form,
        readouts=_readouts(of, form),
        uni=of.uni.astype(np.float32) if form.startswith("UNIT1") else None,
        transmit=of.transmit.astype(np.float32) if with_map else None,
    )
    options = PosteriorOptions(
        time_range=T1_RANGE, transmit_prior=prior, noise_sd=of.noise_sd, device="cpu", n_threads=n_threads
    )
    return estimate_posterior(model(of.n_readouts), images, options)


def _readouts(of: Scene, form: InputForm) -> NDArray[Any] | None:
    """Return what a form holds of the readouts."""
    if form == "complex":
        return of.readouts
    if form == "UNIT1":
        return None
    magnitudes: NDArray[Any] = np.abs(of.readouts)
    return magnitudes[1:2] if form == "UNIT1 and last magnitude" else magnitudes


@contextmanager
def every_voxel() -> Iterator[None]:
    """Give every voxel an estimate: to leave out those of low signal would be a selection among the truths.

    UNI alone tells background by the neighbours of a voxel; in a list of voxels there are none.
    """
    with (
        mock.patch.object(posterior_group, "FALSE_SIGNAL", 1 - 1e-12),
        mock.patch.object(posterior_group, "MIN_SIGNAL_TO_NOISE", 0.0),
        mock.patch.object(posterior, "looks_like_noise", lambda uni: np.zeros(uni.shape, dtype=bool)),
    ):
        yield
