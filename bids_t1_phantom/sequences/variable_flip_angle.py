"""A head goes through spoiled gradient echoes at several flip angles (VFA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bids_t1.data.errors import UsageError
from bids_t1_phantom.head.anatomy import Tissue
from bids_t1_phantom.head.head import T1
from bids_t1_phantom.physics.gradient_echo import spoiled_pulses
from bids_t1_phantom.physics.protocols import WHITE_MATTER_M0
from bids_t1_phantom.sequences.scan import PARTS, Scan, Shot, Timing, receive

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Head
    from bids_t1_phantom.sequences.scan import Image

NAME = "VFA"

DEFAULT_ANGLES = (4.0, 10.0, 20.0)
"""[degree]"""

_STREAM = 11
"""Random numbers of this sequence: its noise does not depend on what else is scanned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipAngleProtocol:
    """One spoiled gradient echo, played at several flip angles and perfectly spoiled."""

    flip_angles: tuple[float, ...] = DEFAULT_ANGLES
    """Nominal [degree]."""

    repetition_time: float = 0.020
    """From one excitation to the next [s]."""

    echo_time: float = 0.003
    """[s]"""

    snr: float = 100.0
    """Mean signal of average white matter over the noise SD of one channel, real or imaginary."""

    magnetic_field_strength: float = 3.0
    """[T]."""

    def __post_init__(self) -> None:
        """Refuse what no scanner can play, and what tells no T1.

        Raises
        ------
        UsageError
            If flip angles or SNR cannot be.
        """
        if len(set(self.flip_angles)) < 2 or not all(0 < angle <= 90 for angle in self.flip_angles):  # noqa: PLR2004
            listed = ", ".join(f"{angle:g}" for angle in self.flip_angles)
            raise UsageError(f"flip angles {listed}; expected two or more, above 0 and at most 90 degrees.")
        if not self.snr > 0:
            raise UsageError(f"SNR {self.snr}; expected a number above 0, or inf for no noise.")

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise in the real, and in the imaginary, channel [units of M0]."""
        white_matter = self.signals(np.array(T1[Tissue.WHITE_MATTER]), np.array(WHITE_MATTER_M0), np.array(1.0))
        return float(white_matter.mean()) / self.snr

    def signals(
        self, t1: NDArray[np.float64], m0: NDArray[np.float64], transmit_field: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Play the pulses of each angle until nothing changes; return array (angle, *voxels)."""
        images = [
            spoiled_pulses(t1, m0, flip_angles=[angle], delays=[self.repetition_time], transmit_field=transmit_field)
            for angle in self.flip_angles
        ]
        return np.concatenate(images)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipAngleScan(Scan):
    """Images of one run, array (angle, x, y, z)."""

    protocol: FlipAngleProtocol
    choice: str = "mag"
    """Key of `PARTS`."""

    @property
    def name(self) -> str:
        """Variable flip angle."""
        return NAME

    def timing(self, part: str, index: int) -> Timing:  # noqa: ARG002 -- all parts share it
        """Return what a header says of one angle."""
        protocol = self.protocol
        return Timing(
            repetition_time=protocol.repetition_time,
            echo_time=protocol.echo_time,
            measurement=index + 1,
            flip_angle=protocol.flip_angles[index],
            magnetic_field_strength=protocol.magnetic_field_strength,
            acquisition_type="3D",
        )

    def called(self, index: int | None) -> str:
        """Return the name of the protocol, with the angle where images have series of their own."""
        return "vfa" if index is None else f"vfa_fa{self.protocol.flip_angles[index]:g}"

    def kept(self) -> Iterator[Image]:
        """Yield the files of the parts that are chosen."""
        angles = enumerate(self.protocol.flip_angles, 1)
        shots = [
            Shot(entities={"flip": str(number)}, metadata=_acquisition(self.protocol, angle))
            for number, angle in angles
        ]
        return self.files(NAME, shots, PARTS[self.choice])


def _acquisition(protocol: FlipAngleProtocol, flip_angle: float) -> dict[str, object]:
    return {
        "Modality": "MR",
        "Manufacturer": "bids_t1",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": protocol.magnetic_field_strength,
        "PulseSequenceType": "Spoiled gradient echo",
        "MRAcquisitionType": "3D",
        "ScanningSequence": "GR",
        "EchoTime": protocol.echo_time,
        "RepetitionTimeExcitation": protocol.repetition_time,
        "FlipAngle": flip_angle,
        "SpoilingState": True,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableFlipAngle:
    """Variable flip angle as a sequence of the dataset."""

    name: ClassVar[str] = NAME
    space: ClassVar[str] = NAME
    decays: ClassVar[bool] = False
    needs_field: ClassVar[bool] = True
    protocol_file: ClassVar[None] = None

    protocol: FlipAngleProtocol
    choice: str = "mag"
    """Key of `PARTS`."""

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one channel [units of M0]."""
        return self.protocol.noise_sd

    @property
    def snr(self) -> float:
        """Mean signal of average white matter over it."""
        return self.protocol.snr

    def amplitude_of(self, head: Head) -> None:
        """Return nothing: a perfect measurement has M0."""

    def scan(self, head: Head, *, seed: int, participant: int, layers: Iterable[Head]) -> FlipAngleScan:  # noqa: ARG002
        """Scan a head: play the pulses in each voxel, add its phase and complex Gaussian noise."""
        rng = np.random.default_rng([seed, participant, _STREAM])
        matter = head.m0 > 0
        signal = np.zeros((len(self.protocol.flip_angles), *head.grid.shape))
        signal[:, matter] = self.protocol.signals(head.t1[matter], head.m0[matter], head.transmit_field[matter])
        return FlipAngleScan(
            grid=head.grid,
            protocol=self.protocol,
            images=receive(signal, head.phase, noise_sd=self.noise_sd, rng=rng),
            reference_phase=head.phase,
            choice=self.choice,
        )


def from_arguments(arguments: Namespace) -> VariableFlipAngle:
    """Return what the command line asks for."""
    protocol = FlipAngleProtocol(flip_angles=tuple(arguments.flip_angles or DEFAULT_ANGLES), snr=arguments.vfa_snr)
    return VariableFlipAngle(protocol=protocol, choice=arguments.vfa_part)
