"""A head goes through a measurement of the transmit field: coarse images on axes of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import UsageError
from bids_t1_phantom.head.anatomy import Tissue
from bids_t1_phantom.head.head import Grid
from bids_t1_phantom.physics.protocols import WHITE_MATTER_M0
from bids_t1_phantom.sequences.field_protocols import MAGNETIC_FIELD_STRENGTH, PROTOCOLS, FieldProtocol
from bids_t1_phantom.sequences.scan import Image, Scan, Shot, Timing, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Head

    TransmitField = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_STREAM = 7
"""Random numbers of the measurement: its noise does not depend on what else is scanned."""

_TENTHS = 10.0
"""Stored value of a flip angle of one degree in a map of tfl_b1map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """In what a map of the field is stored."""

    nominal: float
    """Stored value where the field is nominal."""

    name: str
    """Units of the sidecar."""

    description: str
    flip_angle: float | None = None
    """Nominal angle of maps of achieved angles [degree]."""


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        # BIDS asks for a factor without unit, so that "arbitrary" stands for 1.
        "ratio": Unit(nominal=1, name="arbitrary", description="Achieved over nominal flip angle; 0 in air"),
        "percent": Unit(
            nominal=100, name="percent", description="Achieved over nominal flip angle in percent; 0 in air"
        ),
        "thousand": Unit(
            nominal=1000, name="permille", description="Achieved over nominal flip angle times 1000; 0 in air"
        ),
        "angle": Unit(nominal=60, name="degree", description="Achieved flip angle; 0 in air", flip_angle=60),
    }
)
"""Maps by the value of ``--b1-map``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOptions:
    """How the transmit field is measured."""

    kind: str = "none"
    """none; a map of `UNITS`; or a measurement of `PROTOCOLS`."""

    resolution: float = 4.0
    """Edge of the cubic voxels [mm]."""

    shift: float = 0.0
    """How far the field of view lies towards the head's top [mm]; what it holds is where it belongs."""

    noise: float = 0.0005
    """Noise SD of one channel, real or imaginary, over the M0 of average white matter; maps have none."""

    def __post_init__(self) -> None:
        """Refuse impossible numbers.

        Raises
        ------
        UsageError
            If resolution, shift or noise cannot be.
        """
        if not 1 <= self.resolution <= 20:  # noqa: PLR2004
            raise UsageError(f"B1+ map of {self.resolution:g} mm; expected 1 to 20 mm.")
        if not -300 <= self.shift <= 300:  # noqa: PLR2004
            raise UsageError(f"B1+ map shifted by {self.shift:g} mm; expected at most 300 mm either way.")
        if not 0 <= self.noise < 1:
            raise UsageError(
                f"B1+ noise {self.noise:g}; expected its SD relative to the M0 of white matter, from 0 and below 1."
            )

    @property
    def protocol(self) -> FieldProtocol | None:
        """What is played; None where the scanner gives a map, or nothing."""
        return PROTOCOLS.get(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldScan(Scan):
    """Images of one measurement, array (image, x, y, z)."""

    protocol: FieldProtocol

    @property
    def name(self) -> str:
        """The suffix of the measurement in BIDS."""
        return self.protocol.suffix

    @property
    def n_images(self) -> int:
        """Of turbo-FLASH the scanner keeps the first image, and a map of angles."""
        return 1 if self.protocol.derives_angles else len(self.images)

    def timing(self, part: str, index: int) -> Timing:
        """Return the times of one image; those of a pair are told apart by the number of the echo."""
        metadata = self.protocol.images[1 if part == "angle" else index].metadata
        first = self.protocol.images[0].metadata
        is_pair = "RepetitionTimeExcitation" in first
        return Timing(
            repetition_time=_number(first, "RepetitionTimeExcitation" if is_pair else "RepetitionTime"),
            echo_time=_number(first, "EchoTime"),
            echo_number=index + 1 if is_pair else 1,
            flip_angle=_number(metadata, "FlipAngle"),
            magnetic_field_strength=MAGNETIC_FIELD_STRENGTH,
            acquisition_type="3D" if is_pair else "2D",
        )

    def called(self, index: int | None) -> str:  # noqa: ARG002 -- one name for all images
        """Return the name of the measurement on a scanner."""
        return self.protocol.called

    def volumes(self, part: str) -> NDArray[np.generic]:
        """Return one part, or the angles of the saturation pulse."""
        return self.saturation_angles()[None] if part == "angle" else self.part(part)

    def kept(self) -> Iterator[Image]:
        """Yield the files: the images, but of turbo-FLASH what the scanner makes of the second one."""
        scanner = {
            "Modality": "MR",
            "Manufacturer": "bids_t1",
            "ManufacturersModelName": "phantom",
            "MagneticFieldStrength": MAGNETIC_FIELD_STRENGTH,
            "PulseSequenceType": self.protocol.description,
        }
        shots = [replace(image, metadata={**scanner, **image.metadata}) for image in self.protocol.images]
        first, *others = self.files(self.protocol.suffix, shots, self.protocol.parts, datatype="fmap")
        yield first
        if self.protocol.derives_angles:
            yield replace(others[0], values=self.saturation_angles())
        else:
            yield from others

    def saturation_angles(self) -> NDArray[np.int16]:
        """Achieved angle of the saturation pulse as scanners store it [0.1 degree], array (x, y, z).

        The ratio of both images, of which the phase tells the sign, is the cosine of the angle.
        """
        without, saturated = self.images.astype(np.complex128)
        power = np.abs(without) ** 2
        product = (saturated * without.conj()).real
        cosine = np.divide(product, power, out=np.ones_like(product), where=power > 0)
        angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
        return np.asarray(np.rint(_TENTHS * angle), dtype=np.int16)


def acquire_field(
    head: Head, options: FieldOptions, field: TransmitField, *, seed: int, participant: int = 1
) -> FieldScan:
    """Play a measurement on a head: each voxel has the tissue at its centre, and the field there.

    Parameters
    ----------
    head : Head
        What is scanned.
    options : FieldOptions
        With a kind that is a measurement.
    field : callable
        From scanner coordinates (3, x, y, z) [mm] to the relative transmit field there.
    seed, participant : int
        Together they determine the noise.
    """
    protocol = PROTOCOLS[options.kind]
    rng = np.random.default_rng([seed, participant, _STREAM])
    grid = coarse_grid(head.grid, options)
    nearest = nearest_voxels(head, grid)
    m0, phase = head.m0[nearest], head.phase[nearest]
    matter = m0 > 0
    signal = np.zeros((len(protocol.images), *grid.shape), dtype=complex)
    signal[:, matter] = protocol.simulate(head.t1[nearest][matter], field(grid.points())[matter]) * m0[matter]
    images = receive(signal, phase, noise_sd=options.noise * WHITE_MATTER_M0, rng=rng)
    return FieldScan(grid=grid, images=images, reference_phase=phase, protocol=protocol)


def coarse_grid(grid: Grid, options: FieldOptions) -> Grid:
    """Return voxels along the axes of the scanner that cover an oblique grid, unless they are shifted away from it."""
    edge = options.resolution
    corners = np.array(np.meshgrid(*[(-0.5, size - 0.5) for size in grid.shape])).reshape(3, -1)
    placed = grid.affine[:3, :3] @ corners + grid.affine[:3, 3:]
    low, high = placed.min(axis=1), placed.max(axis=1)
    width, depth, height = (int(size) for size in np.ceil((high - low) / edge))
    affine = np.diag([edge] * 3 + [1.0])
    shape = (width, depth, height)
    affine[:3, 3] = (low + high) / 2 - edge * (np.array(shape) - 1) / 2
    affine[2, 3] += options.shift
    return Grid(shape=shape, affine=affine)


def nearest_voxels(head: Head, grid: Grid) -> tuple[NDArray[np.intp], ...]:
    """Return the indices of the head's voxel nearest to each voxel of another grid."""
    to_index = np.linalg.inv(head.grid.affine)
    indices = np.tensordot(to_index[:3, :3], grid.points(), axes=1) + to_index[:3, 3].reshape(3, 1, 1, 1)
    limits = np.reshape(head.grid.shape, (3, 1, 1, 1)) - 1
    return tuple(np.clip(np.rint(indices).astype(int), 0, limits))


def in_air(head: Head, grid: Grid) -> NDArray[np.bool_]:
    """Say of each voxel whether the nearest voxel of the head is air."""
    return np.asarray(head.tissue[nearest_voxels(head, grid)] == Tissue.AIR)


def measure_map(head: Head, options: FieldOptions, field: TransmitField) -> Image:
    """Return the field as a map: coarse, on axes of its own, and 0 in air, where nothing is measured.

    Parameters
    ----------
    head : Head
        Where there is air, and what the map has to cover.
    options : FieldOptions
        With a kind of `UNITS`.
    field : callable
        From scanner coordinates (3, x, y, z) [mm] to the relative transmit field there.
    """
    unit = UNITS[options.kind]
    grid = coarse_grid(head.grid, options)
    values = np.where(in_air(head, grid), 0.0, field(grid.points()) * unit.nominal)
    angle = {} if unit.flip_angle is None else {"FlipAngle": unit.flip_angle}
    metadata = {"Modality": "MR", "Units": unit.name, "Description": unit.description, **angle}
    shot = Shot(entities={}, metadata=metadata)
    return Image(suffix="TB1map", shot=shot, values=values.astype(np.float32), grid=grid, datatype="fmap")


def _number(metadata: Mapping[str, object], key: str) -> float:
    value = metadata[key]
    return value if isinstance(value, float) else float("nan")
