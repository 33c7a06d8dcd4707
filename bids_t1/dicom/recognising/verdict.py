"""What is decided about an examination: images to convert with their BIDS names, and reasons against the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from bids_t1.data.groups import grouped_by
from bids_t1.dicom.reading.volumes import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice
    from bids_t1.dicom.reading.volumes import Volume

    SeriesSlices = Mapping[SeriesKey, Sequence[Slice]]
    """The slices of each series."""

    Reason = tuple[SeriesKey, str]
    """A series, and why images of it are left out."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """A volume to convert, with the entities of its BIDS name, and what its header says in the words of BIDS."""

    volume: Volume
    suffix: str
    timing: Mapping[str, Any]
    """Times and angles of the sidecar; a field that the header lacks is None."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """What the sidecar says of the values of the image, where its suffix alone does not."""

    displayed: bool = False
    """Whether values are meant as the console displays them, and not in units of signal."""

    inversion: int | None = None
    """Rank of the inversion time, from 1; None where there is none, or for what was computed of several."""

    run: int | None = None
    """Set where the whole set was acquired several times."""

    part: str | None = None
    """Set unless the set holds magnitude images only."""

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

    computed_of: str | None = None
    """Suffix of the images that the scanner computed it of."""

    @property
    def datatype(self) -> Literal["anat", "fmap"]:
        """Folder of the image within its participant or session."""
        return "fmap" if self.suffix.startswith("TB1") else "anat"

    @property
    def entities(self) -> dict[str, str | None]:
        """Entities of the name, by key."""
        numbers = {"run": self.run, "echo": self.echo, "flip": self.flip, "inv": self.inversion}
        written = {key: None if number is None else str(number) for key, number in numbers.items()}
        return {"acq": self.label, "rec": self.reconstruction, **written, "part": self.part}

    @property
    def name(self) -> str:
        """Suffix and entities, as they are told to the user."""
        return " ".join([self.suffix, *(f"{key}-{value}" for key, value in self.entities.items() if value is not None)])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one recogniser decides, or several together: what to convert, and why not the rest."""

    kept: tuple[PlannedImage, ...] = ()
    skipped: tuple[Reason, ...] = ()
    incomplete: tuple[Reason, ...] = ()
    """What has an inversion time and lacks slices or places: an inversion time that the maps may miss."""

    warnings: tuple[str, ...] = ()
    """What the user must know, each once."""

    rest: SeriesSlices = field(default_factory=dict)
    """What recognisers that come later may look at."""

    def __add__(self, later: Verdict) -> Verdict:
        """Both verdicts, of which the later one decides what is left."""
        return Verdict(
            self.kept + later.kept,
            self.skipped + later.skipped,
            self.incomplete + later.incomplete,
            tuple(dict.fromkeys(self.warnings + later.warnings)),
            later.rest,
        )


def together(verdicts: Iterable[Verdict], rest: SeriesSlices | None = None) -> Verdict:
    """Return several verdicts as one, and what is left."""
    return sum(verdicts, Verdict()) + Verdict(rest=rest or {})


def left_out(volumes: Iterable[Volume], reason: str) -> Verdict:
    """Leave volumes out, for a reason."""
    return Verdict(skipped=tuple((volume.first.series, reason) for volume in volumes))


def warned(*warnings: str) -> Verdict:
    """Tell the user something."""
    return Verdict(warnings=warnings)


def passed(decided: Iterable[tuple[Sequence[T], Verdict]]) -> tuple[list[T], Verdict]:
    """Return what several decisions let pass, one after the other, and their verdicts as one."""
    items: list[T] = []
    verdicts: list[Verdict] = []
    for let_through, verdict in decided:
        items += let_through
        verdicts.append(verdict)
    return items, together(verdicts)


def assembled(
    slices: Iterable[Slice], apart: Callable[[Slice], object] = lambda _: None
) -> tuple[list[Volume], Verdict]:
    """Put slices together to volumes, and say of each series why others make none."""
    volumes, failures = assemble(slices, apart)
    return volumes, Verdict(skipped=tuple((plane.series, reason) for plane, reason in failures))


def rest_of(series: SeriesSlices, volumes: Iterable[Volume]) -> SeriesSlices:
    """Return the slices of all series that are of none of these volumes."""
    taken = {plane for volume in volumes for plane in volume.slices}
    return {key: [plane for plane in planes if plane not in taken] for key, planes in series.items()}


def numbered(runs: Sequence[T]) -> list[tuple[T, int | None]]:
    """Return runs with their numbers, from 1, where there are several."""
    return [(run, number if len(runs) > 1 else None) for number, run in enumerate(runs, start=1)]


def part_of(volume: Volume, others: Iterable[Volume]) -> str | None:
    """Return the entity part- of an image; None where its set holds magnitude images only."""
    return None if {other.first.component for other in others} == {"mag"} else volume.first.component


def by_series(slices: Iterable[Slice]) -> dict[SeriesKey, list[Slice]]:
    """Return the slices of each series, in their order."""
    return grouped_by(slices, lambda plane: plane.series)


def repeated(plane: Slice) -> dict[str, Any]:
    """Return the timing of an image without inversion, in the words of BIDS; what the header lacks is None."""
    return {
        "RepetitionTime": plane.timing.repetition_time,
        "FlipAngle": plane.timing.flip_angle,
        "MagneticFieldStrength": plane.field_strength,
    }


def told_alike(images: Sequence[PlannedImage], quantity: str, times: Iterable[float]) -> list[str]:
    """Say in one line what images of one series and suffix were kept as, and by which times [s] they differ."""
    if not images:
        return []
    runs = sorted({image.run for image in images if image.run is not None})
    parts = sorted({image.part for image in images if image.part is not None})
    entities = [*(f"run-{run}" for run in runs), *(f"part-{part}" for part in parts), images[0].suffix]
    return [f"kept as {' '.join(entities)}, {quantity} {', '.join(f'{time * 1000:g}' for time in times)} ms"]
