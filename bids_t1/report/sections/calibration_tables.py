"""How methods that correct T1 of MP2RAGE compare: headline and tables, for the page of all and for the model card."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bids_t1.data.calibration import METHODS, CalibrationScore, Method, MethodSummary
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
    "efficiency": "efficiency",
    "network": "network",
}
"""Short names of methods, for tables and plots."""

ORDER = (Tissue.WHITE_MATTER, Tissue.SUBCORTICAL_GREY_MATTER, Tissue.GREY_MATTER)
"""Tissues in the order of tables and plots, that of the publication."""

LIMIT = 1.96
"""SDs on each side of the bias that hold 95 % of normal differences."""

FEWEST = 6
"""Participants from which a signed-rank test can fall below p = 0.05."""

SIGNIFICANT = 0.05

SMALLEST_P = 0.001
"""What is smaller is not written in digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Whether the network is worth running, in one sentence."""

    sentence: str
    tone: Literal["good", "warn", "bad", ""]
    """Class of the style sheet; empty where it may be chance that the network is better."""


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
    """RMSE, reduction, bias, limits of agreement, RMSE less that of the network, p of both tests."""


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


def summarise(summaries: Sequence[MethodSummary]) -> Headline:
    """Say whether the network beats every simple correction."""
    tissues = _tissues(summaries)
    if not tissues:
        return Headline(sentence="Nothing could be compared in participants that were held out.", tone="bad")
    if not any(row.method == "network" for row in summaries):
        return Headline(sentence="Simple corrections only: so few participants teach no network.", tone="")
    return _verdict(
        {tissue: _best_simple(summaries, tissue) for tissue in tissues},
        "a straight line and every other simple correction" if _has_line(summaries) else "every simple correction",
    )


def _verdict(rivals: Mapping[Tissue, MethodSummary], others: str) -> Headline:
    """Say in which tissues the network beats the best simple correction."""
    lost = {tissue: best for tissue, best in rivals.items() if (best.network_gain or 0) <= 0}
    won = wording.listed([tissue.meaning for tissue in rivals if tissue not in lost])
    if not lost:
        doubt = _doubt(list(rivals.values()))
        return Headline(sentence=f"The network beats {others} in {won}{doubt}.", tone="" if doubt else "good")
    losses = _listed_losses(lost)
    if not won:
        sentence = f"The network is not worth running: a simple correction does as well or better in {losses}."
        return Headline(sentence=sentence, tone="bad")
    return Headline(sentence=f"The network beats {others} in {won}, but not in {losses}.", tone="warn")


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


def _best_simple(summaries: Sequence[MethodSummary], tissue: Tissue) -> MethodSummary:
    simple = [row for row in summaries if row.tissue == tissue and row.method != "network"]
    return min(simple, key=lambda row: row.rmse)


def _listed_losses(lost: Mapping[Tissue, MethodSummary]) -> str:
    """List tissues, and behind those that share it the correction that is best there."""
    by_method: dict[Method, list[str]] = {}
    for tissue, best in lost.items():
        by_method.setdefault(best.method, []).append(tissue.meaning)
    return wording.listed(
        [f"{wording.listed(tissues)} (best there: {NAMES[method]})" for method, tissues in by_method.items()]
    )


def _doubt(rivals: Sequence[MethodSummary]) -> str:
    """Say where a better network may be chance; nothing where it is not."""
    n = min(row.n_participants for row in rivals)
    if n < FEWEST:
        return f"; {wording.counted(n, 'participant')} are too few to exclude chance without further assumptions"
    unclear = [row.tissue.meaning for row in rivals if row.p_wilcoxon is None or row.p_wilcoxon >= SIGNIFICANT]
    return f"; in {wording.listed(unclear)} that may be chance" if unclear else ""


def _has_line(summaries: Sequence[MethodSummary]) -> bool:
    return any(row.method == "linear" for row in summaries)


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
                *(Cell(text=text) for text in _against_network(row)),
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
    return f"{row.rmse:.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{row.rmse_sd:.3f}"


def _reduction(row: MethodSummary) -> str:
    if row.method == "none":
        return NO_NUMBER
    percent = round(100 * row.reduction)
    return f"{percent}\N{NO-BREAK SPACE}%".replace("-", "\N{MINUS SIGN}")


def _limits(limits: tuple[float, float] | None) -> str:
    return NO_NUMBER if limits is None else f"{wording.signed(limits[0])} to {wording.signed(limits[1])}"


def _against_network(row: MethodSummary) -> tuple[str, str, str]:
    if row.method == "network" or row.network_gain is None:
        return NO_NUMBER, NO_NUMBER, NO_NUMBER
    return wording.signed(row.network_gain), probability(row.p_wilcoxon), probability(row.p_t)


def probability(p: float | None) -> str:
    """Write the p of a test."""
    if p is None:
        return NO_NUMBER
    return f"< {SMALLEST_P}" if p < SMALLEST_P else f"{p:.3f}"
