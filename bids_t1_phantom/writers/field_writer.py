"""The transmit field as BIDS: the map that a scanner gives, or the images of a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.entities import BidsName
from bids_t1_phantom.sequences.field_protocols import MAGNETIC_FIELD_STRENGTH
from bids_t1_phantom.sequences.transmit_field import coarse_grid, in_air
from bids_t1_phantom.writers.bids import write_image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Head
    from bids_t1_phantom.sequences.transmit_field import FieldOptions, FieldScan, TransmitField


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


def write_b1_map(folder: Path, head: Head, options: FieldOptions, field: TransmitField, *, participant: str) -> Path:
    """Write the field as a map: coarse, on axes of its own, and 0 in air, where nothing is measured.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    head : Head
        Where there is air, and what the map has to cover.
    options : FieldOptions
        With a kind of `UNITS`.
    field : callable
        From scanner coordinates (3, x, y, z) [mm] to the relative transmit field there.
    participant : str
        Label without ``sub-``.

    Returns
    -------
    Path
        The image, below `folder`.
    """
    unit = UNITS[options.kind]
    grid = coarse_grid(head.grid, options)
    values = np.where(in_air(head, grid), 0.0, field(grid.points()) * unit.nominal)
    name = BidsName.build({"sub": participant}, "TB1map")
    sidecar: dict[str, object] = {"Modality": "MR", "Units": unit.name, "Description": unit.description}
    if unit.flip_angle is not None:
        sidecar["FlipAngle"] = unit.flip_angle
    return write_image(folder / name.folder("fmap"), name, values.astype(np.float32), grid, sidecar).relative_to(folder)


def write_measurement(folder: Path, scan: FieldScan, *, participant: str) -> list[Path]:
    """Write the images of a measurement with their sidecars; return the images, below `folder`.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    scan : FieldScan
        What to write.
    participant : str
        Label without ``sub-``.
    """
    written = []
    for label, view in scan.protocol.parts.items():
        for image, values in zip(scan.protocol.images, _values(scan, view), strict=True):
            name = BidsName.build({"sub": participant, **image.entities, "part": label}, scan.protocol.suffix)
            sidecar = {**_scanner(scan), **image.metadata}
            if label == "phase":
                sidecar["Units"] = "rad"
            written.append(write_image(folder / name.folder("fmap"), name, values, scan.grid, sidecar))
    return [path.relative_to(folder) for path in written]


def _values(scan: FieldScan, view: str) -> list[NDArray[np.generic]]:
    """Return what each file holds: the images, but of turbo-FLASH what the scanner makes of the second one."""
    images: list[NDArray[np.generic]] = list(scan.part(view))
    return [images[0], scan.saturation_angles()] if scan.protocol.suffix == "TB1TFL" else images


def _scanner(scan: FieldScan) -> dict[str, object]:
    return {
        "Modality": "MR",
        "Manufacturer": "bids_t1",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": MAGNETIC_FIELD_STRENGTH,
        "PulseSequenceType": scan.protocol.description,
    }
