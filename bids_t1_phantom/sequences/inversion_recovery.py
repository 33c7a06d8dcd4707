"""A head goes through the scanner: protocol in, noisy complex images out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.physics import two_pools
from bids_t1_phantom.physics.simulate import inversion_recovery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Grid, Head
    from bids_t1_phantom.physics.protocols import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Reconstructed complex images of one participant and one sequence."""

    grid: Grid
    images: NDArray[np.complex64]
    """Complex images, array (measurement, x, y, z) [units of M0]."""

    reference_phase: NDArray[np.float64]
    """The phase that a phase-sensitive reconstruction takes away, array (x, y, z) [rad]."""

    def part(self, name: str) -> NDArray[np.float32]:
        """One real-valued view of the images, array (measurement, x, y, z).

        Parameters
        ----------
        name : str
            ``mag``, ``phase`` [rad], ``real`` and ``imag`` of the complex images; or ``signed``: the real
            part after phase correction, negative before the zero crossing.
        """
        match name:
            case "mag":
                values = np.abs(self.images)
            case "phase":
                values = np.angle(self.images)
            case "real":
                values = self.images.real
            case "imag":
                values = self.images.imag
            case "signed":
                values = (self.images * np.exp(-1j * self.reference_phase)).real
            case _:
                raise InvalidInputError(f"part {name!r}; expected mag, phase, real, imag or signed.")
        return values.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(Images):
    """Inversion-recovery images of one participant."""

    protocol: Protocol


def acquire(head: Head, protocol: Protocol, *, seed: int, participant: int = 1, layers: Iterable[Head] = ()) -> Scan:
    """Scan a head: simulate the signal of each voxel, add its phase and complex Gaussian noise.

    Magnitude images are then Rician. The noise is white and has the same SD inside and outside the head.

    Parameters
    ----------
    head : Head
        Where images are, and what is in the middle of their slices.
    protocol : Protocol
        What is played.
    seed, participant : int
        Together they determine the noise.
    layers : iterable of Head
        What thick slices average, complex, layer by layer (`head.sub_slices`); none where slices are thin.
    """
    # A stream of its own: the noise does not depend on how many random numbers the head used.
    rng = np.random.default_rng([seed, participant, 1])
    turned = [_signal(layer, protocol) * np.exp(1j * layer.phase) for layer in layers]
    if turned:
        images = receive(np.mean(turned, axis=0), np.zeros(head.grid.shape), noise_sd=protocol.noise_sd, rng=rng)
    else:
        images = receive(_signal(head, protocol), head.phase, noise_sd=protocol.noise_sd, rng=rng)
    return Scan(grid=head.grid, protocol=protocol, images=images, reference_phase=head.phase)


def _signal(head: Head, protocol: Protocol) -> NDArray[np.float64]:
    """Signed signal of each voxel without noise, array (measurement, x, y, z)."""
    matter = head.m0 > 0
    signal = np.zeros((len(protocol.inversion_times), *head.grid.shape))
    if head.pools is not None:
        signal[:, matter] = two_pools.inversion_recovery(
            head.pools[matter],
            head.m0[matter],
            protocol=protocol,
            inversion_efficiency=head.inversion_efficiency[matter],
        )
        return signal
    signal[:, matter] = inversion_recovery(
        head.t1[matter],
        head.m0[matter],
        inversion_times=protocol.inversion_times,
        repetition_times=protocol.repetition_times,
        inversion_efficiency=head.inversion_efficiency[matter],
        echo_time=protocol.echo_time,
    )
    return signal


def receive(
    signal: NDArray[np.floating] | NDArray[np.complexfloating],
    phase: NDArray[np.float64],
    *,
    noise_sd: float,
    rng: np.random.Generator,
) -> NDArray[np.complex64]:
    """Give signals (measurement, x, y, z) the phase of the object [rad], and complex white noise."""
    images = np.empty(signal.shape, dtype=np.complex64)
    turn = np.exp(1j * phase)
    for image, values in zip(images, signal, strict=True):
        noise = rng.standard_normal((2, *values.shape)) * noise_sd
        image[...] = values * turn + noise[0] + 1j * noise[1]
    return images
