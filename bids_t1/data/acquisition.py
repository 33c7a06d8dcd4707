"""What was found for a participant, and what was loaded of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bids_t1.data.entities import BidsName
    from bids_t1.data.forms import InputForm
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Labels, Map, Measurements
    from bids_t1.data.sidecar import Sidecar

Kind = Literal["magnitude", "real", "complex"]


@dataclass(frozen=True, slots=True)
class RawFile:
    """One raw image, its name parsed and its metadata with inheritance applied."""

    path: Path
    name: BidsName
    sidecar: Sidecar
    volume: int | None = None
    """Which one of a file of several, from zero; None: the file holds one."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The images of one run of one sequence, not yet opened."""

    name: BidsName
    """Name shared by the images: without inv and part."""

    files: tuple[RawFile, ...]

    sequence: str
    """Name of its row in the table of sequences; UNIT1 belongs to the readouts it was made from, or stands alone."""

    warnings: tuple[str, ...] = ()
    """Images that its files let expect and that are not among them."""


@dataclass(frozen=True, slots=True)
class TransmitImages:
    """The images of one measurement of the transmit field, not yet opened: a map, or what a map is computed from."""

    name: BidsName
    """Name shared by the images: without what tells them apart, and without extension."""

    suffix: str
    """TB1map, TB1TFL, TB1AFI, TB1DAM, TB1SRGE or TB1EPI: how it was measured."""

    files: tuple[RawFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """The loaded images of one run, ordered by what varies between them."""

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

    def select(self, images: Sequence[int]) -> Series:
        """Return some of the images, by their numbers from zero."""
        return replace(
            self,
            measurements=np.ascontiguousarray(self.measurements[list(images)]),
            sidecars=tuple(self.sidecars[image] for image in images),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UniBeside:
    """A UNIT1 image beside complex readouts, which it is compared with."""

    values: Map
    """S, (x, y, z), NaN where the image holds none."""

    source: Path
    scaling: str
    """How its stored numbers were read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadoutSeries:
    """The loaded images of one run whose posterior is computed, ordered by readout."""

    acquisition: Acquisition
    form: InputForm
    readouts: Measurements | None
    """(readout, x, y, z), complex images or magnitudes; of UNIT1 and last magnitude that one; None: UNIT1 alone."""

    uni: Map | None
    """S of the first two readouts, in [-1/2, 1/2], (x, y, z), NaN where the image holds none; None where it is not
    needed or not there."""

    grid: Grid
    sidecars: tuple[Sidecar, ...]
    """One per readout, in their order; that of UNIT1 where it is alone."""

    sources: tuple[Path, ...]
    """Every file read."""

    scaling: Mapping[str, str]
    """How stored numbers were read: UNIT1, Phase; for the record."""

    warnings: tuple[str, ...]

    echo_times: tuple[tuple[float, ...], ...] = ()
    """Of all echoes of each readout, also of those that are not loaded [s]; one per sidecar."""

    several_echoes: tuple[bool, ...] = ()
    """Whether a readout has more echoes than one; one per sidecar."""

    uni_sidecar: Sidecar | None = None
    """Of the UNIT1 image of the run, whether it is loaded or not."""

    uni_beside: UniBeside | None = None
    """Where complex readouts are what is fitted."""

    lost: tuple[str, ...] = ()
    """Why a more informative form could not be used; among the warnings too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransmitField:
    """A map of the relative transmit field B1+ on the grid of a run."""

    values: Map
    """Ratio of the achieved to the nominal flip angle, (x, y, z), float32; NaN where it is not known."""

    extrapolated: Labels
    """1 where `values` is continued from its neighbourhood and not measured, (x, y, z)."""

    method: str
    """Suffix of the images it was measured with, such as TB1map or TB1AFI."""

    sources: tuple[Path, ...]
    """Every file read."""

    scaling: str
    """How its stored numbers were read, and what told so; for the record."""

    warnings: tuple[str, ...]
