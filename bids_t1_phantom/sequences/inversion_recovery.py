"""A head goes through the scanner: protocol in, noisy complex images out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bids_t1_phantom.physics import two_pools
from bids_t1_phantom.physics.protocols import DEFAULT_INVERSION_TIMES, Protocol, inversions_leave
from bids_t1_phantom.physics.selective_inversion_recovery import TRAIN, selective_inversion_recovery
from bids_t1_phantom.physics.simulate import inversion_recovery
from bids_t1_phantom.sequences.scan import PARTS, Scan, Shot, Timing, receive

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Head
    from bids_t1_phantom.sequences.scan import Image


NAME = "IRT1"


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionRecoveryScan(Scan):
    """Inversion-recovery images of one participant."""

    protocol: Protocol
    choice: str = "mag"
    """Key of `PARTS`."""

    @property
    def name(self) -> str:
        """Inversion recovery."""
        return NAME

    def timing(self, part: str, index: int) -> Timing:  # noqa: ARG002 -- all parts share it
        """Return the times of one experiment."""
        return Timing(
            measurement=index + 1,
            inversion_time=self.protocol.inversion_times[index],
            repetition_time=self.protocol.repetition_times[index],
            echo_time=self.protocol.echo_time,
        )

    def called(self, index: int | None) -> str:
        """Return a name that lies about the inversion time, as when a protocol was copied and not renamed.

        Readers must take the time from its own attribute, never from a name.
        """
        times = self.protocol.inversion_times
        return "T1W_SE_IR" if index is None else f"T1W_SE_IR_TI{round(1000 * times[(index + 1) % len(times)]):04d}"

    def kept(self) -> Iterator[Image]:
        """Yield the files of the parts that are chosen."""
        times = range(len(self.protocol.inversion_times))
        shots = [Shot(entities={"inv": str(at + 1)}, metadata=_acquisition(self.protocol, at)) for at in times]
        return self.files(NAME, shots, PARTS[self.choice])


def _acquisition(protocol: Protocol, index: int) -> dict[str, object]:
    selective = {"RecoveryTime": protocol.recovery_times[index]} if protocol.recovery_times else {}
    return {
        "Modality": "MR",
        "Manufacturer": "bids_t1",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": protocol.magnetic_field_strength,
        "PulseSequenceType": "Inversion recovery spin echo",
        "MRAcquisitionType": "2D",
        "ScanningSequence": ["SE", "IR"],
        "InversionTime": protocol.inversion_times[index],
        "RepetitionTime": protocol.repetition_times[index],
        "EchoTime": protocol.echo_time,
        "FlipAngle": 90,
        **selective,
    }


def acquire(
    head: Head, protocol: Protocol, *, seed: int, participant: int = 1, layers: Iterable[Head] = ()
) -> InversionRecoveryScan:
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
    return InversionRecoveryScan(grid=head.grid, protocol=protocol, images=images, reference_phase=head.phase)


def _signal(head: Head, protocol: Protocol) -> NDArray[np.float64]:
    """Signed signal of each voxel without noise, array (measurement, x, y, z)."""
    matter = head.m0 > 0
    signal = np.zeros((len(protocol.inversion_times), *head.grid.shape))
    if protocol.recovery_times:
        signal[:, matter] = selective_inversion_recovery(
            _pools(head, matter),
            head.m0[matter],
            protocol=protocol,
            inversion_efficiency=head.inversion_efficiency[matter],
        )
        return signal
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


def _pools(head: Head, matter: NDArray[np.bool_]) -> two_pools.Pools:
    """Return the pools of a head; where tissue has one, those of free water with nothing bound to it."""
    if head.pools is not None:
        return head.pools[matter]
    return two_pools.Pools.build(head.t1[matter], bound_fraction=0.0, exchange=20.0, bound_rate=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionRecovery:
    """Inversion recovery as a sequence of the dataset."""

    name: ClassVar[str] = NAME
    space: ClassVar[None] = None
    decays: ClassVar[bool] = False
    needs_field: ClassVar[bool] = False
    protocol_file: ClassVar[None] = None

    protocol: Protocol
    choice: str = "mag"
    """Key of `PARTS`."""

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one channel [units of M0]."""
        return self.protocol.noise_sd

    @property
    def snr(self) -> float:
        """M0 of average white matter over it."""
        return self.protocol.snr

    def amplitude_of(self, head: Head) -> None:
        """Return None: M0 is that of the head."""

    def scan(self, head: Head, *, seed: int, participant: int, layers: Iterable[Head]) -> InversionRecoveryScan:
        """Scan a head."""
        scan = acquire(head, self.protocol, seed=seed, participant=participant, layers=layers)
        return replace(scan, choice=self.choice)


def from_arguments(arguments: Namespace) -> InversionRecovery:
    """Return what the command line asks for."""
    protocol = Protocol.build(
        tuple(arguments.inversion_times or DEFAULT_INVERSION_TIMES),
        repetition_times=_repetition_times(arguments),
        recovery_times=tuple(arguments.recovery_times),
        echo_time=arguments.echo_time,
        snr=arguments.snr,
        inversion_leaves=inversions_leave(arguments.inversion_leaves)[0],
    )
    return InversionRecovery(protocol=protocol, choice=arguments.part)


def _repetition_times(arguments: Namespace) -> tuple[float, ...]:
    """Return the times between inversions, which follow from recovery times where these are given."""
    times, delays = arguments.inversion_times or DEFAULT_INVERSION_TIMES, arguments.recovery_times
    if len(times) != len(delays):
        return tuple(arguments.repetition_times)
    return tuple(time + TRAIN + delay for time, delay in zip(times, delays, strict=True))
