"""A head goes through a multi-echo gradient echo (MEGRE): complex images that decay with T2*."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bids_t1.data.errors import UsageError
from bids_t1_phantom.head.anatomy import Tissue
from bids_t1_phantom.head.head import T1
from bids_t1_phantom.physics.gradient_echo import echoes, spoiled_pulses
from bids_t1_phantom.physics.protocols import WHITE_MATTER_M0
from bids_t1_phantom.sequences.scan import PARTS, Scan, Shot, Timing, receive

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Head
    from bids_t1_phantom.sequences.scan import Image

NAME = "MEGRE"

DEFAULT_ECHO_TIMES = (0.004, 0.008, 0.012, 0.016, 0.020, 0.024)
"""Six echoes, evenly spaced [s]."""

_STREAM = 6
"""Random numbers of this sequence: its noise does not depend on what else is scanned."""

_REWINDER = 0.004
"""Least time from the last echo to the next excitation [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoProtocol:
    """A spoiled gradient echo with several echoes per excitation."""

    echo_times: tuple[float, ...] = DEFAULT_ECHO_TIMES
    """From excitation to echo [s]."""

    repetition_time: float = 0.040
    """From one excitation to the next [s]."""

    flip_angle: float = 15.0
    """Nominal [degree]."""

    snr: float = 50.0
    """Amplitude of average white matter at echo time 0 over the noise SD of one channel, real or imaginary."""

    magnetic_field_strength: float = 3.0
    """[T]."""

    def __post_init__(self) -> None:
        """Refuse what no scanner can play.

        Raises
        ------
        UsageError
            If echo times or SNR cannot be.
        """
        refuse_echo_times(self.echo_times)
        if self.repetition_time < self.echo_times[-1] + _REWINDER:
            raise UsageError(
                f"last echo at {self.echo_times[-1]:g} s with a repetition time of {self.repetition_time:g} s; "
                f"expected at least {_REWINDER:g} s between them."
            )
        if not self.snr > 0:
            raise UsageError(f"SNR {self.snr}; expected a number above 0, or inf for no noise.")

    @classmethod
    def build(cls, echo_times: tuple[float, ...], snr: float) -> EchoProtocol:
        """Return a protocol whose repetition time has room for all echoes: 40 ms, or more for late ones."""
        refuse_echo_times(echo_times)
        needed = math.ceil(1000 * (echo_times[-1] + 4 * _REWINDER)) / 1000
        return cls(echo_times=echo_times, repetition_time=max(0.040, needed), snr=snr)

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise in the real, and in the imaginary, channel [units of M0]."""
        white_matter = self.amplitude(np.array(T1[Tissue.WHITE_MATTER]), np.array(WHITE_MATTER_M0), np.array(1.0))
        return float(white_matter) / self.snr

    def amplitude(
        self, t1: NDArray[np.float64], m0: NDArray[np.float64], transmit_field: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the signal at echo time 0, with the T1 weighting of the steady state: what a perfect fit calls M0."""
        (signal,) = spoiled_pulses(
            t1,
            m0,
            flip_angles=[self.flip_angle],
            delays=[self.repetition_time],
            transmit_field=transmit_field,
        )
        return np.asarray(signal)


def refuse_echo_times(echo_times: tuple[float, ...]) -> None:
    """Refuse echo times that are none.

    Raises
    ------
    UsageError
        If they are not in order, or not in seconds.
    """
    if not echo_times or any(not 0 < time < 1 for time in echo_times) or tuple(sorted(set(echo_times))) != echo_times:
        raise UsageError(
            f"echo times {', '.join(f'{time:g}' for time in echo_times)}; expected rising numbers above 0 and below 1 "
            "second. Divide ms by 1000."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoScan(Scan):
    """Images of one run, array (echo, x, y, z)."""

    protocol: EchoProtocol
    choice: str = "mag"
    """Key of `PARTS`."""

    @property
    def name(self) -> str:
        """Multi-echo gradient echo."""
        return NAME

    def timing(self, part: str, index: int) -> Timing:  # noqa: ARG002 -- all parts share it
        """Return the times of one echo."""
        protocol = self.protocol
        return Timing(
            repetition_time=protocol.repetition_time,
            echo_time=protocol.echo_times[index],
            echo_number=index + 1,
            flip_angle=protocol.flip_angle,
            magnetic_field_strength=protocol.magnetic_field_strength,
            acquisition_type="3D",
        )

    def called(self, index: int | None) -> str:  # noqa: ARG002 -- one name for all echoes
        """Return the name of the protocol."""
        return "gre_me_T2star"

    def kept(self) -> Iterator[Image]:
        """Yield the files of the parts that are chosen."""
        echoes_of = range(len(self.protocol.echo_times))
        shots = [Shot(entities={"echo": str(at + 1)}, metadata=_acquisition(self.protocol, at)) for at in echoes_of]
        return self.files(NAME, shots, PARTS[self.choice])


def _acquisition(protocol: EchoProtocol, index: int) -> dict[str, object]:
    return {
        "Modality": "MR",
        "Manufacturer": "bids_t1",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": protocol.magnetic_field_strength,
        "PulseSequenceType": "Multi-echo spoiled gradient echo",
        "MRAcquisitionType": "3D",
        "ScanningSequence": "GR",
        "EchoTime": protocol.echo_times[index],
        "RepetitionTime": protocol.repetition_time,
        "FlipAngle": protocol.flip_angle,
    }


def acquire_echoes(head: Head, protocol: EchoProtocol, *, seed: int, participant: int = 1) -> EchoScan:
    """Scan a head: simulate the echoes of each voxel, add its phase and complex Gaussian noise."""
    rng = np.random.default_rng([seed, participant, _STREAM])
    matter = head.m0 > 0
    signal = np.zeros((len(protocol.echo_times), *head.grid.shape), dtype=complex)
    signal[:, matter] = echoes(
        protocol.amplitude(head.t1[matter], head.m0[matter], head.transmit_field[matter]),
        protocol.echo_times,
        t2_star=head.t2_star[matter],
        off_resonance=head.off_resonance[matter],
    )
    images = receive(signal, head.phase, noise_sd=protocol.noise_sd, rng=rng)
    return EchoScan(grid=head.grid, protocol=protocol, images=images, reference_phase=head.phase)


def true_amplitude(head: Head, protocol: EchoProtocol) -> NDArray[np.float64]:
    """Return the signal at echo time 0 of each voxel, array (x, y, z) [units of M0]; 0 in air."""
    matter = head.m0 > 0
    amplitude = np.zeros(head.grid.shape)
    amplitude[matter] = protocol.amplitude(head.t1[matter], head.m0[matter], head.transmit_field[matter])
    return amplitude


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiEchoGradientEcho:
    """The multi-echo gradient echo as a sequence of the dataset."""

    name: ClassVar[str] = NAME
    space: ClassVar[str] = NAME
    decays: ClassVar[bool] = True
    needs_field: ClassVar[bool] = False
    protocol_file: ClassVar[None] = None

    protocol: EchoProtocol
    choice: str = "mag"
    """Key of `PARTS`."""

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one channel [units of M0]."""
        return self.protocol.noise_sd

    @property
    def snr(self) -> float:
        """Amplitude of average white matter over it."""
        return self.protocol.snr

    def amplitude_of(self, head: Head) -> NDArray[np.float64]:
        """Return the signal at echo time 0."""
        return true_amplitude(head, self.protocol)

    def scan(self, head: Head, *, seed: int, participant: int, layers: Iterable[Head]) -> EchoScan:  # noqa: ARG002
        """Scan a head."""
        return replace(acquire_echoes(head, self.protocol, seed=seed, participant=participant), choice=self.choice)


def from_arguments(arguments: Namespace) -> MultiEchoGradientEcho:
    """Return what the command line asks for."""
    protocol = EchoProtocol.build(tuple(arguments.echo_times or DEFAULT_ECHO_TIMES), arguments.megre_snr)
    return MultiEchoGradientEcho(protocol=protocol, choice=arguments.megre_part)
