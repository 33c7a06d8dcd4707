"""What every scan gives: complex images, and of them the files that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Grid

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
