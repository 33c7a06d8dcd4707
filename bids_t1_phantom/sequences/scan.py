"""What every scan gives: complex images, and of them the files that are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Grid, Head

    Parts = Mapping[str | None, str]

MAGNITUDE: Parts = MappingProxyType({None: "mag"})
POLAR: Parts = MappingProxyType({"mag": "mag", "phase": "phase"})
COMPLEX: Parts = MappingProxyType({"real": "real", "imag": "imag"})
PARTS: Mapping[str, Parts] = MappingProxyType(
    {"mag": MAGNITUDE, "real": MappingProxyType({"real": "signed"}), "complex": COMPLEX, "polar": POLAR}
)
"""For each choice of images: the BIDS ``part`` label of each file, and the view of the scan that it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What BIDS says of one image, whatever part of it a file holds."""

    entities: Mapping[str, str | None]
    """What its name has besides the participant and the part."""

    metadata: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What scanners say of one image, all parts of which share it."""

    repetition_time: float
    """[s]"""

    echo_time: float
    """[s]"""

    inversion_time: float | None = None
    """[s]; None of images that have none."""

    cycle_time: float | None = None
    """From inversion to inversion, where that is not the repetition time [s]."""

    measurement: int = 1
    """Which experiment, from 1."""

    echo_number: int = 1
    """From 1."""

    flip_angle: float = 90.0
    """[degree]"""

    magnetic_field_strength: float = 3.0
    """[T]"""

    acquisition_type: str = "2D"
    """2D or 3D."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One file: its name, what is known of it, and what it holds."""

    suffix: str
    shot: Shot
    values: NDArray[np.generic]
    """Array (x, y, z)."""

    grid: Grid
    datatype: str = "anat"
    """Folder of the participant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Reconstructed complex images of one participant and one sequence."""

    grid: Grid
    images: NDArray[np.complex64]
    """Complex images, array (measurement, x, y, z) [units of M0]."""

    reference_phase: NDArray[np.float64]
    """The phase that a phase-sensitive reconstruction takes away, array (x, y, z) [rad]."""

    def files(self, suffix: str, shots: Iterable[Shot], parts: Parts, *, datatype: str = "anat") -> Iterator[Image]:
        """Yield a file for each part of each image, of which every one has its shot."""
        described = tuple(shots)
        for label, view in parts.items():
            units = {"Units": "rad"} if label == "phase" else {}
            for shot, values in zip(described, self.part(view), strict=True):
                of_part = Shot(entities={**shot.entities, "part": label}, metadata={**shot.metadata, **units})
                yield Image(suffix=suffix, shot=of_part, values=values, grid=self.grid, datatype=datatype)

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
class Scan(Images, ABC):
    """Images of one participant and one sequence, and what a scanner knows of them."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the sequence: IRT1, MP2RAGE and the like, or the BIDS suffix of a measurement of B1+."""

    @property
    def n_images(self) -> int:
        """How many images there are of each part that is not derived."""
        return len(self.images)

    @abstractmethod
    def timing(self, part: str, index: int) -> Timing:
        """Return what a header says of one image."""

    @abstractmethod
    def called(self, index: int | None) -> str:
        """Return what an operator called the measurement of an image, or of all of them."""

    @abstractmethod
    def kept(self) -> Iterator[Image]:
        """Yield the files of a BIDS dataset, of the parts that were asked for."""

    def volumes(self, part: str) -> NDArray[np.generic]:
        """Return what a scanner stores of one part, array (image, x, y, z)."""
        return self.part(part)


class Sequence(Protocol):
    """What is played, and what the dataset has to know of it; a row of `table.SEQUENCES` makes one."""

    @property
    def name(self) -> str:
        """IRT1, MP2RAGE and the like."""

    @property
    def space(self) -> str | None:
        """Name of the space of its images; None for inversion recovery, from whose space the others may move away."""

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one channel [units of M0]."""

    @property
    def snr(self) -> float:
        """What the noise is told by; infinite for none."""

    @property
    def decays(self) -> bool:
        """Whether images depend on T2*."""

    @property
    def needs_field(self) -> bool:
        """Whether T1 cannot be had of it without a map of the transmit field."""

    @property
    def protocol_file(self) -> tuple[str, str] | None:
        """Name and text of the file that says what images and headers do not."""

    def amplitude_of(self, head: Head) -> NDArray[np.float64] | None:
        """Return what a perfect measurement calls M0, array (x, y, z); None where it is the M0 of the head."""

    def scan(self, head: Head, *, seed: int, participant: int, layers: Iterable[Head]) -> Scan:
        """Scan a head; thick slices average layers, where there are any."""


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
