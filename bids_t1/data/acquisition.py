"""What was found for a participant, and what was loaded of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.entities import BidsName
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Measurements
    from bids_t1.data.sidecar import Sidecar

Kind = Literal["magnitude", "real", "complex"]


@dataclass(frozen=True, slots=True)
class RawFile:
    """One raw image, its name parsed and its metadata with inheritance applied."""

    path: Path
    name: BidsName
    sidecar: Sidecar


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The images of one run of one sequence, not yet opened."""

    name: BidsName
    """Name shared by the images: without inv and part."""

    files: tuple[RawFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """The loaded images of one run, ordered by rising inversion time."""

    acquisition: Acquisition
    measurements: Measurements
    """(measurement, x, y, z)."""

    kind: Kind
    grid: Grid
    sidecars: tuple[Sidecar, ...]
    """One per measurement."""

    sources: tuple[Path, ...]
    """Every file read."""

    warnings: tuple[str, ...]
