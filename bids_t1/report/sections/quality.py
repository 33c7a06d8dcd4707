"""The first thing on a page: the map in colour, and whether the scan is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.quality import Verdict, assess
from bids_t1.report.words import literature
from bids_t1.report.words.quantity import T1

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.result import ParticipantResult
    from bids_t1.quality import Found, Measure, RunQuality
    from bids_t1.report.figures.mosaic import MapFigure
    from bids_t1.report.figures.orientation import Layout
    from bids_t1.report.sections.run import RunSection

N_TILES = 3

SMALLEST_WRITTEN = 0.01

REFUSED = "registration_refused"
"""The one criterion that is yes or no."""

BELIEVED = "good where it is believed"

SIGNS = {Verdict.GOOD: "\N{CHECK MARK}", Verdict.DOUBTFUL: "!", Verdict.BAD: "\N{MULTIPLICATION SIGN}"}
"""Shape, beside word and colour: not every eye tells green from red."""

CLASSES = {Verdict.GOOD.word: "good", Verdict.DOUBTFUL.word: "warn", Verdict.BAD.word: "bad"}
"""Of the style sheet, by the word of a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number, its verdict and what to do."""

    sign: str
    css: str
    word: str
    title: str
    value: str
    threshold: str
    advice: str
    """Empty where the number is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One run on the first screen."""

    anchor: str
    title: str
    sign: str
    css: str
    word: str
    figure: MapFigure | None
    layout: Layout
    lines: tuple[Line, ...]
    note: str


def qualities_of(found: Found) -> tuple[RunQuality, ...]:
    """Judge every run against what is published of white matter at its field strength."""
    bands: dict[str, tuple[float, float]] = {}
    for run in found.runs:
        for band in literature.reference_bands(run.record.get("MagneticFieldStrength")):
            if band.tissue == "white matter":
                bands[str(run.name)] = (band.mean, band.sd)
    return assess(found, bands)


def describe_quality(result: ParticipantResult, sections: Sequence[RunSection]) -> tuple[Overview, ...]:
    """Return what the first screen shows of every run."""
    return tuple(_overview(section, quality) for section, quality in zip(sections, qualities_of(result), strict=True))


def _overview(section: RunSection, quality: RunQuality) -> Overview:
    verdict = quality.verdict
    worst_first = sorted(quality.measures, key=lambda measure: -measure.verdict)
    return Overview(
        anchor=section.anchor,
        title=section.title,
        sign=SIGNS[verdict],
        css=CLASSES[verdict.word],
        word=verdict.word,
        figure=None if section.main is None else section.main.few(N_TILES),
        layout=section.layout,
        lines=tuple(map(_line, worst_first)),
        note="No tissues of a brain were found or asked for: this may be a phantom, and T1 was not compared with "
        "published values."
        if section.quantity is T1 and not quality.has_tissues
        else "",
    )


def _line(measure: Measure) -> Line:
    verdict = measure.verdict
    return Line(
        sign=SIGNS[verdict],
        css=CLASSES[verdict.word],
        word=verdict.word,
        title=measure.title,
        value=_value_of(measure),
        threshold=BELIEVED if measure.key == REFUSED else measure.threshold,
        advice="" if verdict is Verdict.GOOD else measure.advice,
    )


def _value_of(measure: Measure) -> str:
    if measure.key == REFUSED:
        return "not believed" if measure.value else "believed"
    return f"{_written(measure.value)}{measure.unit and ' ' + measure.unit}"


def _written(value: float) -> str:
    if value.is_integer():
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= SMALLEST_WRITTEN else f"below {SMALLEST_WRITTEN:g}"
