"""How methods that correct T1 of MP2RAGE compare: headline and tables, for the page of all and for the model card."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bids_t1.data.calibration import METHODS, NETWORKS, Behaviour, CalibrationScore, Method, MethodSummary
from bids_t1.data.tissue import Tissue
from bids_t1.report.figures import colours
from bids_t1.report.sections.regions import NO_NUMBER
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from bids_t1.data.calibration import CalibrationCard

NAMES: Mapping[Method, str] = {
    "none": "no correction",
    "scale": "scale",
    "linear": "linear",
    "cubic": "cubic",
    "tissue": "tissues",
    "efficiency": "efficiency",
    "prior": "prior",
    "prior_cubic": "prior + cubic",
    "voxel": "network 1 x 1",
    "small": "network, small",
    "network": "network",
}
"""Short names of methods, for tables and plots."""

ORDER = (Tissue.WHITE_MATTER, Tissue.SUBCORTICAL_GREY_MATTER, Tissue.GREY_MATTER)
"""Tissues in the order of tables and plots, that of the publication."""

LIMIT = 1.96
"""SDs on each side of the bias that hold 95 % of normal differences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What is applied, in one sentence."""

    sentence: str
    tone: Literal["good", "bad", ""]
    """Class of the style sheet; empty where nothing says that it is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A number as it is written."""

    text: str
    is_best: bool = False
    """Whether no other method has a better one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """One method in one tissue."""

    name: str
    cells: tuple[Cell, ...]
    """RMSE, reduction, bias, limits of agreement, RMSE less that of the applied one, participants in whom it is more,
    share of voxels within the interval, limit of a region's mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueTable:
    """All methods in one tissue."""

    tissue: str
    colour: str
    n_participants: str
    rows: tuple[MethodRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodMeaning:
    """What a short name of a method stands for."""

    name: str
    meaning: str


def summarise(summaries: Sequence[MethodSummary], applied: Method) -> Headline:
    """Say what is applied, and what it is better than."""
    tissues = _tissues(summaries)
    if not tissues:
        return Headline(sentence="Nothing could be compared in participants that were held out.", tone="bad")
    name = METHODS[applied]
    if applied == "none":
        return Headline(sentence="No correction is better than none in participants that were held out.", tone="bad")
    gains = [f"{round(100 * _row(summaries, tissue, applied).reduction)} % in {tissue.meaning}" for tissue in tissues]
    lowered = f"It lowers the RMSE in held-out participants by {wording.listed(gains)}."
    if applied in NETWORKS:
        return Headline(
            sentence=f"Applied is a network ({name}): no simpler correction does as well. {lowered}", tone="good"
        )
    networks = any(row.method in NETWORKS for row in summaries)
    rest = "no network did better" if networks else "so few participants teach no network"
    return Headline(sentence=f"Applied is no network but {name}: {rest}. {lowered}", tone="good" if networks else "")


def tabulate(summaries: Sequence[MethodSummary], scores: Sequence[CalibrationScore]) -> tuple[TissueTable, ...]:
    """Return a table of methods for each tissue, the best of each column marked."""
    return tuple(
        TissueTable(
            tissue=tissue.meaning,
            colour=colours.hexadecimal(colours.TISSUE_COLOURS[tissue]),
            n_participants=wording.counted(max(row.n_participants for row in rows), "held-out participant"),
            rows=_rows(rows, [limits_of(row, scores) for row in rows]),
        )
        for tissue in _tissues(summaries)
        if (rows := [row for row in summaries if row.tissue == tissue])
    )


def limits_of(summary: MethodSummary, scores: Sequence[CalibrationScore]) -> tuple[float, float] | None:
    """Return between which differences 95 % of the voxels of a participant not seen lie [s]; None where unknown.

    The variance is that within scans and that of the bias between scans together.
    """
    pairs = [
        (one.bias, one.sd)
        for one in scores
        if (one.method, one.tissue) == (summary.method, summary.tissue) and one.bias is not None and one.sd is not None
    ]
    if not pairs:
        return None
    biases, sds = np.array(pairs).T
    between = float(np.var(biases, ddof=1)) if len(biases) > 1 else 0.0
    half = LIMIT * math.sqrt(float(np.mean(sds**2)) + between)
    return summary.bias - half, summary.bias + half


def meanings(summaries: Sequence[MethodSummary]) -> tuple[MethodMeaning, ...]:
    """Return what the short names of the methods stand for, where they are not plain."""
    used = {row.method for row in summaries}
    return tuple(
        MethodMeaning(name=NAMES[method], meaning=meaning)
        for method, meaning in METHODS.items()
        if method in used and meaning != NAMES[method]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourRow:
    """What one method does beside being right on average."""

    name: str
    cells: tuple[str, ...]
    """Lesion response, the least of them, amplitude in each band."""


def behaviours(rows: Sequence[Behaviour]) -> tuple[BehaviourRow, ...]:
    """Return a row for each method."""
    return tuple(
        BehaviourRow(
            name=NAMES[row.method],
            cells=tuple(f"{value:.2f}" for value in (row.lesion_response, row.least_response, *row.spectrum)),
        )
        for row in rows
    )


def behaviours_of(card: CalibrationCard) -> tuple[BehaviourRow, ...]:
    """Return the same of what a card holds in JSON types."""
    return behaviours([Behaviour(**row) for row in card.behaviour])  # type: ignore[arg-type]


def results_of(card: CalibrationCard) -> tuple[tuple[MethodSummary, ...], tuple[CalibrationScore, ...]]:
    """Return the results that a card holds in JSON types; participants have no names there."""
    tissues = {tissue.abbreviation: tissue for tissue in Tissue}

    def values(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**row, "tissue": tissues[row["tissue"]]}

    summaries = tuple(MethodSummary(**values(row)) for row in card.results)
    scores = tuple(CalibrationScore(label="", participant="", **values(row)) for row in card.folds)
    return summaries, scores


def seconds(value: float | None) -> str:
    """Write a time without its unit."""
    return NO_NUMBER if value is None else f"{value:.3f}"


def _tissues(summaries: Sequence[MethodSummary]) -> list[Tissue]:
    return [tissue for tissue in ORDER if any(row.tissue == tissue for row in summaries)]


def _row(summaries: Sequence[MethodSummary], tissue: Tissue, method: Method) -> MethodSummary:
    return next(row for row in summaries if (row.tissue, row.method) == (tissue, method))


def _rows(rows: Sequence[MethodSummary], limits: Sequence[tuple[float, float] | None]) -> tuple[MethodRow, ...]:
    best_rmse = _is_least(rows, lambda row: row.rmse)
    best_bias = _is_least(rows, lambda row: abs(row.bias))
    # Not the narrowest: limits can be narrow around a large bias.
    farthest = [math.inf if each is None else max(map(abs, each)) for each in limits]
    return tuple(
        MethodRow(
            name=NAMES[row.method],
            cells=(
                Cell(text=_mean_and_sd(row), is_best=best_rmse[place]),
                Cell(text=_reduction(row), is_best=best_rmse[place] and row.method != "none"),
                Cell(text=wording.signed(row.bias), is_best=best_bias[place]),
                Cell(text=_limits(limits[place]), is_best=farthest[place] == min(farthest) < math.inf),
                *(Cell(text=text) for text in (*_against_applied(row), *_sureness(row))),
            ),
        )
        for place, row in enumerate(rows)
    )


def _is_least(rows: Sequence[MethodSummary], value: Callable[[MethodSummary], float]) -> list[bool]:
    least = min(map(value, rows))
    return [value(row) == least for row in rows]


def _mean_and_sd(row: MethodSummary) -> str:
    if row.n_participants < 2:  # noqa: PLR2004 -- one value has no scatter
        return seconds(row.rmse)
    return wording.plus_minus(row.rmse, row.rmse_sd, ".3f")


def _reduction(row: MethodSummary) -> str:
    if row.method == "none":
        return NO_NUMBER
    percent = round(100 * row.reduction)
    return f"{percent}\N{NO-BREAK SPACE}%".replace("-", "\N{MINUS SIGN}")


def _limits(limits: tuple[float, float] | None) -> str:
    return NO_NUMBER if limits is None else f"{wording.signed(limits[0])} to {wording.signed(limits[1])}"


def _against_applied(row: MethodSummary) -> tuple[str, str]:
    """Write by how much more a method leaves than the one that is applied, and in how many participants."""
    if not row.excess and not row.n_worse:
        return NO_NUMBER, NO_NUMBER
    error = "" if row.excess_error is None else f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{row.excess_error:.4f}"
    return f"{wording.signed(row.excess, 4)}{error}", f"{row.n_worse} of {row.n_participants}"


def _sureness(row: MethodSummary) -> tuple[str, str]:
    """Write how often the interval holds, and what it is for the mean of a region."""
    if row.within is None or row.least_within is None:
        held = NO_NUMBER
    else:
        held = f"{wording.whole_percent(row.within)}, least {wording.whole_percent(row.least_within)}"
    limit = (
        NO_NUMBER if row.region_limit is None else f"±\N{NO-BREAK SPACE}{100 * row.region_limit:.1f}\N{NO-BREAK SPACE}%"
    )
    return held, limit
