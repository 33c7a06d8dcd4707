"""What is decided about an examination: images to convert with their BIDS names, and reasons against the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import SeriesKey
    from bids_t1.dicom.reading.volumes import Volume

Suffix = Literal["IRT1", "MP2RAGE", "UNIT1", "MEGRE", "TB1TFL", "TB1AFI", "TB1DAM", "TB1map"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A volume to convert, with the entities of its BIDS name."""

    volume: Volume
    inversion: int | None = None
    """Rank of the inversion time, from 1; None where there is none, or for what was computed of several."""

    run: int | None = None
    """Set where the whole set was acquired several times."""

    part: str | None = None
    """Set unless the set holds magnitude images only."""

    suffix: Suffix = "IRT1"
    reconstruction: str | None = None
    """Set where the image is not what its suffix alone would mean."""

    times: tuple[float, ...] = ()
    """Inversion times of all readouts after one inversion [s]; empty where it has one readout or they are unknown."""

    echo: int | None = None
    """Rank of the echo time, from 1, where there are several echoes of one excitation."""

    flip: int | None = None
    """Rank of the flip angle, from 1, where images differ by it."""

    label: str | None = None
    """What tells the images of one transmit field apart: anat and famp, tr1 and tr2."""

    repetition_time: float | None = None
    """Delay to the next excitation [s], where it is not that of the header."""

    @property
    def datatype(self) -> Literal["anat", "fmap"]:
        """Return the folder of the image within its participant or session."""
        return "fmap" if self.suffix.startswith("TB1") else "anat"

    @property
    def entities(self) -> dict[str, str | None]:
        """Return the entities of the name, by key."""
        numbers = {"run": self.run, "echo": self.echo, "flip": self.flip, "inv": self.inversion}
        written = {key: None if number is None else str(number) for key, number in numbers.items()}
        return {"acq": self.label, "rec": self.reconstruction, **written, "part": self.part}


@dataclass(slots=True)
class Plan:
    """What to convert, and why not the rest."""

    kept: list[Kept] = field(default_factory=list)
    skipped: list[tuple[SeriesKey, str]] = field(default_factory=list)
    incomplete: list[tuple[SeriesKey, str]] = field(default_factory=list)
    """What has an inversion time and lacks slices or places: an inversion time that the maps may miss."""

    warnings: list[str] = field(default_factory=list)

    def skip(self, volumes: Sequence[Volume], reason: str) -> None:
        """Leave volumes out, for a reason."""
        self.skipped.extend((volume.one.series, reason) for volume in volumes)

    def warn(self, warning: str) -> None:
        """Tell the user something, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)
