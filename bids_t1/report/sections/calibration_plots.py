"""What methods that correct T1 of MP2RAGE leave: RMSE of each participant, and bias with limits of agreement."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bids_t1.data.calibration import METHODS
from bids_t1.report.figures import colours
from bids_t1.report.figures.drawing import LINES, at_both_widths, is_wide
from bids_t1.report.sections.calibration_tables import NAMES, ORDER, limits_of, seconds
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.axes import Axes

    from bids_t1.data.calibration import CalibrationScore, CalibrationScores, Method, MethodSummary
    from bids_t1.data.tissue import Tissue

LEFT, RIGHT, GAP = 1.0, 0.2, 0.4
"""Room for the names of methods, beside the panels and between them [inch]."""

ROW, TITLE, BOTTOM = 0.34, 0.32, 0.5
"""Heights of a method, of a tissue's name and of the axis [inch]."""

STEP = 0.1
"""Of the ends of axes [s]."""


@at_both_widths
def draw_errors(width: float, scores: CalibrationScores) -> Figure:
    """Draw the RMSE of each participant with each method, lines joining the participant's own."""
    end = STEP * (math.floor(max((one.rmse or 0.0 for one in scores.scores), default=0.0) / STEP) + 1)
    figure, panels = _panels(width, scores.summaries)
    for axes, tissue, methods in panels:
        colour = colours.hexadecimal(colours.TISSUE_COLOURS[tissue])
        for participant in dict.fromkeys(one.participant for one in scores.scores):
            values = [rmse_of(scores.scores, participant, tissue, method) for method in methods]
            axes.plot(values, range(len(methods)), color=colour, linewidth=0.9, alpha=0.55)
            axes.plot(values, range(len(methods)), "o", color=colour, markersize=4.5)
        means = [_summary(scores.summaries, tissue, method).rmse for method in methods]
        axes.plot(means, range(len(methods)), "|", color=LINES, markersize=15, markeredgewidth=2.2)
        axes.set(xlim=(0, end), xlabel="RMSE [s]")
    return figure


@at_both_widths
def draw_biases(width: float, scores: CalibrationScores) -> Figure:
    """Draw bias and limits of agreement of each method, and the bias of each scan."""
    limits = [limits_of(row, scores.scores) or (row.bias, row.bias) for row in scores.summaries]
    low = STEP * math.floor(min((0.0, *(each[0] for each in limits))) / STEP)
    high = STEP * math.ceil(max((STEP, *(each[1] for each in limits))) / STEP)
    figure, panels = _panels(width, scores.summaries)
    for axes, tissue, methods in panels:
        colour = colours.hexadecimal(colours.TISSUE_COLOURS[tissue])
        axes.axvline(0, color=LINES, linewidth=0.9)
        for place, method in enumerate(methods):
            row = _summary(scores.summaries, tissue, method)
            lower, upper = limits_of(row, scores.scores) or (row.bias, row.bias)
            axes.plot([lower, upper], [place, place], "|-", color=colour, linewidth=2.2, markersize=9)
            axes.plot(row.bias, place, "|", color=LINES, markersize=15, markeredgewidth=2.2)
            own = [one.bias for one in _of(scores.scores, tissue, method) if one.bias is not None]
            axes.plot(own, [place] * len(own), "o", color=colour, markersize=4.5)
        axes.set(xlim=(low, high), xlabel="difference to inversion recovery [s]")
    return figure


def describe_errors(scores: CalibrationScores) -> str:
    """Say what the plot of errors shows, for readers who cannot see it."""
    return f"RMSE of each held-out participant by method; means are {_spoken(scores, lambda row: seconds(row.rmse))}"


def describe_biases(scores: CalibrationScores) -> str:
    """Say what the plot of biases shows, for readers who cannot see it."""
    biases = _spoken(scores, lambda row: wording.signed(row.bias))
    return f"Bias and limits of agreement by method; biases are {biases}"


def rmse_of(scores: Sequence[CalibrationScore], participant: str, tissue: Tissue, method: Method) -> float:
    """Return the RMSE of a participant over all scans [s]; NaN where there is none."""
    own = [one.rmse for one in _of(scores, tissue, method) if one.participant == participant and one.rmse is not None]
    return math.sqrt(float(np.mean(np.square(own)))) if own else math.nan


def _panels(width: float, summaries: Sequence[MethodSummary]) -> tuple[Figure, list[tuple[Axes, Tissue, list[Method]]]]:
    """Return a figure with one panel per tissue, and the methods of its rows from top to bottom."""
    tissues = [tissue for tissue in ORDER if any(row.tissue == tissue for row in summaries)]
    methods = [method for method in METHODS if any(row.method == method for row in summaries)]
    n_columns = len(tissues) if is_wide(width) else 1
    own_height = TITLE + ROW * len(methods) + BOTTOM
    own_width = (width - LEFT - RIGHT - GAP * (n_columns - 1)) / n_columns
    height = own_height * len(tissues) / n_columns
    figure = Figure(figsize=(width, height))
    panels = []
    for place, tissue in enumerate(tissues):
        row, column = divmod(place, n_columns)
        left, bottom = LEFT + column * (own_width + GAP), height - (row + 1) * own_height + BOTTOM
        axes = figure.add_axes((left / width, bottom / height, own_width / width, ROW * len(methods) / height))
        axes.set_title(tissue.meaning, loc="left", fontweight="bold")
        axes.set_ylim(len(methods) - 0.5, -0.5)
        axes.set_yticks(range(len(methods)), labels=[NAMES[method] for method in methods])
        axes.tick_params(axis="y", length=0, labelleft=column == 0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=LINES, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.locator_params(axis="x", nbins=5)
        panels.append((axes, tissue, methods))
    return figure, panels


def _of(scores: Sequence[CalibrationScore], tissue: Tissue, method: Method) -> Iterator[CalibrationScore]:
    return (one for one in scores if one.tissue == tissue and one.method == method)


def _summary(summaries: Sequence[MethodSummary], tissue: Tissue, method: Method) -> MethodSummary:
    return next(row for row in summaries if row.tissue == tissue and row.method == method)


def _spoken(scores: CalibrationScores, value: Callable[[MethodSummary], str]) -> str:
    """Return a number of each method in each tissue, in words."""
    of_tissues = {
        tissue: [f"{NAMES[row.method]} {value(row)} s" for row in scores.summaries if row.tissue == tissue]
        for tissue in ORDER
    }
    return "; ".join(f"in {tissue.meaning}: {', '.join(words)}" for tissue, words in of_tissues.items() if words)
