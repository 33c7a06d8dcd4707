"""What the page of all participants says of a calibration: verdict, tables, plots, and what it is not good for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.calibration import METHODS, NETWORKS
from bids_t1.data.sequences import name_of_readouts
from bids_t1.data.tissue import Tissue
from bids_t1.report.figures import colours
from bids_t1.report.sections import calibration_plots, calibration_tables
from bids_t1.report.sections.calibration_tables import NAMES, ORDER, Cell, seconds
from bids_t1.report.sections.regions import NO_NUMBER
from bids_t1.report.words import wording
from bids_t1.report.words.literature import BLAND, OLSSON, SAUNDERS, Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.calibration import (
        Calibration,
        CalibrationCard,
        CalibrationScores,
        Coverage,
        Method,
        MethodSummary,
    )
    from bids_t1.report.figures.drawing import Drawing
    from bids_t1.report.sections.calibration_tables import BehaviourRow, Headline, MethodMeaning, TissueTable

PUBLISHED: Mapping[Tissue, tuple[tuple[float, float], tuple[float, float]]] = {
    Tissue.WHITE_MATTER: ((0.30, 0.01), (0.11, 0.02)),
    Tissue.SUBCORTICAL_GREY_MATTER: ((0.26, 0.02), (0.10, 0.02)),
    Tissue.GREY_MATTER: ((0.36, 0.02), (0.17, 0.03)),
}
"""RMSE before and after, and the scatter of each [s]: Saunders et al. 2025, doi 10.1016/j.mri.2025.110322."""

HE = Work(
    "He K, Zhang X, Ren S, Sun J",
    "Deep residual learning for image recognition",
    "IEEE Conference on Computer Vision and Pattern Recognition 770-778 (2016)",
    "10.1109/CVPR.2016.90",
)

EXPECTED = (0.68, 0.95)
"""Shares of voxels within one and within 1.96 SD, if the SD is right."""

TOLERANCES = (0.08, 0.05)
"""How far shares may be from these to count as about right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing and its description."""

    source: Drawing
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """How often the SD covers, in one tissue."""

    tissue: str
    colour: str
    one_sd: str
    two_sd: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRow:
    """One held-out scan in one tissue."""

    fold: int
    participant: str
    label: str
    tissue: str
    n_voxels: str
    errors: tuple[Cell, ...]
    """RMSE of each method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """What was published of one tissue."""

    tissue: str
    before: str
    after: str
    reduction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSection:
    """All that the page says of a calibration."""

    sequence: str
    at_field: str
    """Such as ` at 3 T`; empty where it is not known."""

    headline: Headline
    verdict: tuple[str, ...]
    tables: tuple[TissueTable, ...]
    meanings: tuple[MethodMeaning, ...]
    behaviours: tuple[BehaviourRow, ...]
    errors: Plot | None
    biases: Plot | None
    coverage: tuple[CoverageRow, ...]
    methods: tuple[str, ...]
    """Columns of `folds`."""

    folds: tuple[FoldRow, ...]
    published: tuple[PublishedRow, ...]
    references: tuple[Work, ...]
    judged: tuple[str, ...]
    """On whom scores were measured, and of what."""


def describe_calibration(calibration: Calibration) -> CalibrationSection:
    """Return what the page says of a calibration."""
    card, scores = calibration.model.card, calibration.scores
    methods = tuple(dict.fromkeys(row.method for row in scores.summaries))
    errors, biases = _plots(scores) if scores.summaries else (None, None)
    return CalibrationSection(
        sequence=sequence_of(card),
        at_field=field_of(card),
        headline=calibration_tables.summarise(scores.summaries, card.rung),
        verdict=scores.verdict,
        tables=calibration_tables.tabulate(scores.summaries, scores.scores),
        meanings=calibration_tables.meanings(scores.summaries),
        behaviours=calibration_tables.behaviours(scores.behaviour),
        errors=errors,
        biases=biases,
        coverage=tuple(_coverage(row) for row in scores.coverage),
        methods=tuple(NAMES[method] for method in methods),
        folds=_folds(scores, methods),
        published=tuple(_published(tissue) for tissue in ORDER),
        references=references(scores.summaries),
        judged=(how_judged(card), of_ensemble(card)),
    )


def sequence_of(card: CalibrationCard) -> str:
    """Return the name of the sequence that is calibrated: MP3RAGE from three readouts on."""
    times = card.measured_protocol.get("InversionTimes")
    return name_of_readouts(len(times) if isinstance(times, list | tuple) else 0)


def field_of(card: CalibrationCard) -> str:
    """Return at which field strength a model was trained, such as `` at 3 T``; nothing where it is not known."""
    field = card.measured_protocol.get("MagneticFieldStrength")
    return f" at {wording.number(field)}\N{NO-BREAK SPACE}T" if isinstance(field, int | float) else ""


def n_folds(card: CalibrationCard) -> int:
    """Return the number of folds that a model comes from."""
    return len({row["fold"] for row in card.folds})


def how_judged(card: CalibrationCard) -> str:
    """Say on whom the scores were measured."""
    participants = wording.counted(card.n_participants, "participant")
    return (
        f"The scores come from {wording.counted(n_folds(card), 'fold')} over {participants} of one dataset: each was "
        "corrected by methods that had not seen them. Other scanners, software versions, ages "
        "and diseases were not tested."
    )


def of_ensemble(card: CalibrationCard) -> str:
    """Say what the model is, and that an ensemble has no score."""
    if card.rung not in NETWORKS:
        return f"The model is one simple correction, {METHODS[card.rung]}, fitted to all participants together."
    return (
        f"The model is an ensemble of {wording.counted(len(card.members), 'network')}: that of each fold and one that "
        "learned from everybody. Nobody is left on whom all of them together could be judged; the scores are those of "
        "the single networks of the folds."
    )


def references(summaries: Sequence[MethodSummary]) -> tuple[Work, ...]:
    """Return the works behind network, tests and corrections."""
    of_efficiency = (OLSSON,) if any(row.method == "efficiency" for row in summaries) else ()
    return (SAUNDERS, HE, BLAND, *of_efficiency)


def _plots(scores: CalibrationScores) -> tuple[Plot, Plot]:
    return (
        Plot(source=calibration_plots.draw_errors(scores), alt=calibration_plots.describe_errors(scores)),
        Plot(source=calibration_plots.draw_biases(scores), alt=calibration_plots.describe_biases(scores)),
    )


def _coverage(row: Coverage) -> CoverageRow:
    return CoverageRow(
        tissue=row.tissue.meaning,
        colour=colours.hexadecimal(colours.TISSUE_COLOURS[row.tissue]),
        one_sd=wording.whole_percent(row.one_sd),
        two_sd=wording.whole_percent(row.two_sd),
        meaning=_meaning(row),
    )


def _meaning(row: Coverage) -> str:
    """Say whether the SD is right: from both shares, as large errors can be too many where small ones are not."""
    one, two = (share - expected for share, expected in zip((row.one_sd, row.two_sd), EXPECTED, strict=True))
    if one < -TOLERANCES[0]:
        return "SD too small"
    if two < -TOLERANCES[1]:
        return "large errors are more frequent than the SD says"
    return "SD too large" if one > TOLERANCES[0] else "SD about right"


def _folds(scores: CalibrationScores, methods: tuple[Method, ...]) -> tuple[FoldRow, ...]:
    """Return one row for each scan and tissue, with the RMSE of all methods."""
    by_row: dict[tuple[int, str, str, Tissue], dict[Method, tuple[int, float | None]]] = {}
    for one in scores.scores:
        key = (one.fold, one.label, one.participant, one.tissue)
        by_row.setdefault(key, {})[one.method] = (one.n_voxels, one.rmse)
    return tuple(
        FoldRow(
            fold=fold,
            participant=participant,
            label=label,
            tissue=tissue.meaning,
            n_voxels=wording.grouped(max(n_voxels for n_voxels, _ in found.values())),
            errors=_cells([found[method][1] if method in found else None for method in methods]),
        )
        for (fold, label, participant, tissue), found in by_row.items()
    )


def _cells(errors: list[float | None]) -> tuple[Cell, ...]:
    least = min((error for error in errors if error is not None), default=None)
    return tuple(
        Cell(text=NO_NUMBER if error is None else seconds(error), is_best=error is not None and error == least)
        for error in errors
    )


def _published(tissue: Tissue) -> PublishedRow:
    before, after = PUBLISHED[tissue]
    return PublishedRow(
        tissue=tissue.meaning,
        before=wording.plus_minus(*before, ".2f"),
        after=wording.plus_minus(*after, ".2f"),
        reduction=wording.whole_percent(1 - after[0] / before[0]),
    )
