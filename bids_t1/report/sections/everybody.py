"""All participants beside each other: strips of points, one for each number, and who is unlike the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.groups import grouped_by
from bids_t1.data.sequences import title_of
from bids_t1.data.timing import Stage, told_duration
from bids_t1.data.tissue import Tissue
from bids_t1.quality import CRITERIA, Verdict
from bids_t1.report.figures.strips import Band, Point, Row, Strip, draw_strip
from bids_t1.report.words import literature
from bids_t1.report.words.quantity import quantity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bids_t1.data.result import MapSummary, ParticipantSummary
    from bids_t1.data.timing import TimeTaken
    from bids_t1.quality import Criterion

FAR = 3.5
"""Distance from the median of all maps of a sequence, in robust standard deviations, from which one is marked."""

FEWEST = 5
"""Maps of one sequence below which none is marked."""

MAD_OF_NORMAL = 0.6745

PERSONS = "one SD between people"

LONG = 120.0
"""Times from which on all are shown in minutes [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number that every map may have."""

    key: str
    """Its column in group_maps.tsv."""

    title: str
    read: Callable[[MapSummary], float | None]
    unit: str = ""
    decimals: int = 2
    tissue: Tissue | None = None
    criterion: Criterion | None = None

    def unit_of(self, sequence: str) -> str:
        """Return the unit that it is shown in."""
        return quantity_of(sequence).unit if self.unit == "s" else self.unit

    def shown(self, one: MapSummary) -> float | None:
        """Return its value in the unit that it is shown in; None where the map has none."""
        value = self.read(one)
        return None if value is None else value * (quantity_of(one.sequence).per_second if self.unit == "s" else 1)

    def written(self, one: MapSummary, *, unit: bool = True) -> str:
        """Write its value."""
        value = self.shown(one)
        if value is None:
            return "\N{EN DASH}"
        decimals = quantity_of(one.sequence).decimals if self.unit == "s" else self.decimals
        text = "0" if value == 0 else f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
        name = self.unit_of(one.sequence)
        return f"{text} {name}" if unit and name else text


def _of_tissue(tissue: Tissue, key: str) -> Number:
    return Number(key=key, title=tissue.meaning, unit="s", tissue=tissue, read=lambda one: getattr(one, key))


def _of_criterion(criterion: Criterion) -> Number:
    return Number(
        key=criterion.key,
        title=criterion.title,
        unit=criterion.unit,
        criterion=criterion,
        read=lambda one: one.quality.get(criterion.key),
    )


TISSUES = (
    _of_tissue(Tissue.WHITE_MATTER, "white_matter"),
    _of_tissue(Tissue.GREY_MATTER, "grey_matter"),
    _of_tissue(Tissue.SUBCORTICAL_GREY_MATTER, "subcortical_grey_matter"),
    _of_tissue(Tissue.FLUID, "cerebrospinal_fluid"),
    Number(
        key="median",
        title="every voxel with a value",
        unit="s",
        read=lambda one: None if one.quartiles is None else one.quartiles[1],
    ),
)
"""Medians."""

BESIDE = (
    Number(key="bias", title="Mean difference from inversion recovery", unit="s", read=lambda one: one.bias),
    Number(key="bias_sd", title="SD of the difference over voxels", unit="s", read=lambda one: one.bias_sd),
    Number(key="rotation", title="Turned by the registration", unit="degree", read=lambda one: one.rotation),
    Number(key="translation", title="Moved by the registration", unit="mm", read=lambda one: one.translation),
)
"""Agreement with inversion recovery, and the registration to it."""

QUALITY = tuple(map(_of_criterion, CRITERIA.values()))


def unlike(maps: Sequence[MapSummary]) -> list[tuple[str, ...]]:
    """Name the numbers in which each map is unlike the others of its sequence; see `FAR` and `FEWEST`."""
    named: list[list[str]] = [[] for _ in maps]
    for number in (*TISSUES, *BESIDE, *QUALITY):
        values = np.array([np.nan if (value := number.read(one)) is None else value for one in maps])
        for place in np.flatnonzero(_far(values)):
            named[place].append(number.title)
    return [tuple(each) for each in named]


def _far(values: np.ndarray) -> np.ndarray:
    """Tell which values are unlike most of the others."""
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST:
        return np.zeros(len(values), bool)
    centre = np.median(finite)
    spread = np.median(np.abs(finite - centre)) / MAD_OF_NORMAL
    with np.errstate(invalid="ignore"):
        far: np.ndarray = (np.abs(values - centre) > FAR * spread) & (spread > 0)
    return far


def strips(numbers: Sequence[Number], maps: Sequence[MapSummary]) -> tuple[Strip, ...]:
    """Draw every number that some maps have, and that is not 0 of all; relaxation times of each unit by themselves."""
    drawn = []
    for number in numbers:
        if not any(number.read(one) for one in maps):
            continue
        having = [one for one in maps if number.read(one) is not None]
        for unit, own in _by_unit(number, having).items():
            drawn.append(draw_strip(_title(number, own), unit, number.key, list(_rows(number, own))))
    return tuple(drawn)


def _by_unit(number: Number, maps: Sequence[MapSummary]) -> dict[str, list[MapSummary]]:
    return grouped_by(maps, lambda one: number.unit_of(one.sequence))


def _title(number: Number, maps: Sequence[MapSummary]) -> str:
    if number.tissue is None and number.key != "median":
        return number.title
    return f"{quantity_of(maps[0].sequence).name} of {number.title}"


def _rows(number: Number, maps: Sequence[MapSummary]) -> Iterator[Row]:
    """Return the points of each sequence, and what they are held against."""
    for sequence, own in grouped_by(maps, lambda one: one.sequence).items():
        far = _far(np.array([number.read(one) for one in own], float))
        points = tuple(_point(number, one, is_far=bool(is_far)) for one, is_far in zip(own, far, strict=True))
        yield Row(title=title_of(sequence), points=points, bands=tuple(_bands(number, own)))


def _point(number: Number, one: MapSummary, *, is_far: bool) -> Point:
    session = f", ses-{one.session}" if one.session else ""
    criterion = number.criterion
    verdict = Verdict.GOOD if criterion is None else criterion.of(number.read(one) or 0.0).verdict
    return Point(
        value=number.shown(one) or 0.0,
        page=f"sub-{one.participant}.html",
        name=one.name,
        told=f"sub-{one.participant}{session}: {number.written(one)}"
        + (", unlike the others" if is_far else "")
        + ("" if verdict is Verdict.GOOD else f", {verdict.word}"),
        is_far=is_far,
        verdict=verdict.word,
    )


def _bands(number: Number, maps: Sequence[MapSummary]) -> Iterator[Band]:
    """Return published ranges of a tissue at the field strengths of the maps, or thresholds of a number."""
    if number.tissue is not None and quantity_of(maps[0].sequence).name == "T1":
        works = {
            (work.source, work.band.tissue): work
            for field in dict.fromkeys(one.field_strength for one in maps)
            for work in literature.published(field).get(number.tissue, ())
        }
        for work in works.values():
            band = work.band
            yield Band(band.mean - band.sd, band.mean + band.sd, f"{band.tissue} ({work.source}), {PERSONS}")
    criterion = number.criterion
    if criterion is not None:
        yield Band(criterion.good, None, f"doubtful from {criterion.good:g}", "doubtful")
        yield Band(criterion.doubtful, None, f"bad from {criterion.doubtful:g}", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long participants took, as a strip and a table."""

    strip: Strip
    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[float | None, ...]], ...]
    """Of each participant its label and times [s]."""


def times_of(participants: Sequence[ParticipantSummary]) -> Times | None:
    """Tell how long participants took, where that is known of any."""
    known = [one.time_taken for one in participants if one.time_taken is not None]
    if not known:
        return None
    stages = [stage for stage in Stage if any(stage in one.by_stage for one in known)]
    return Times(
        strip=_strip_of_times(known),
        columns=("By the clock", "Of all processors", *(stage.heading for stage in stages)),
        lines=tuple(
            (one.participant, (one.seconds, one.processor_seconds, *map(one.by_stage.get, stages))) for one in known
        ),
    )


def _strip_of_times(known: Sequence[TimeTaken]) -> Strip:
    by_clock, of_processors = [one.seconds for one in known], [one.processor_seconds for one in known]
    unit, length = ("min", 60.0) if max(by_clock + of_processors) >= LONG else ("s", 1.0)
    rows = [
        Row(title="by the clock", points=_points_of_time(known, by_clock, length)),
        Row(title="of all processors together", points=_points_of_time(known, of_processors, length)),
    ]
    return draw_strip("Time that a participant took", unit, "seconds", rows)


def _points_of_time(known: Sequence[TimeTaken], seconds: Sequence[float], length: float) -> tuple[Point, ...]:
    return tuple(
        Point(
            value=value / length,
            page=f"sub-{one.participant}.html",
            name=f"sub-{one.participant}",
            told=f"sub-{one.participant}: {told_duration(value)}" + (", unlike the others" if is_far else ""),
            is_far=bool(is_far),
            verdict=Verdict.GOOD.word,
        )
        for one, value, is_far in zip(known, seconds, _far(np.array(seconds)), strict=True)
    )
