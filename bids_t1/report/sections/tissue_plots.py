"""T1 in each tissue as boxes, beside what was published."""

from __future__ import annotations

from itertools import chain
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bids_t1.report.figures import colours
from bids_t1.report.figures.drawing import LINES, at_both_widths
from bids_t1.report.sections.regions import HEADLINE, find, maps_of, title_of_map
from bids_t1.report.words.quantity import T1

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from bids_t1.data.tissue import RegionStatistics, Tissue
    from bids_t1.report.words.literature import Published

ROW, TITLE, BOTTOM = 0.3, 0.34, 0.5
"""Heights of a row, of a tissue's name and of the axis [inch]."""

LETTER, MARGIN = 0.068, 0.3
"""Room for one letter of the names of maps, and beside them [inch]."""

MOST = 0.48
"""Share of the width that names take at most."""


@at_both_widths
def draw_boxes(
    width: float, regions: Sequence[RegionStatistics], published: Mapping[Tissue, Sequence[Published]]
) -> Figure:
    """Draw a box for each map and tissue, fluid left out, and means and SDs of publications below."""
    panels = [(tissue, own, published.get(tissue, ())) for tissue in HEADLINE if (own := _of(regions, tissue))]
    heights = [TITLE + ROW * (len(own) + len(works)) for _, own, works in panels]
    height = sum(heights) + BOTTOM
    end = _end(one for _, own, _ in panels for one in own)
    names = [_labels(own, works, int((MOST * width - MARGIN) / LETTER)) for _, own, works in panels]
    left = MARGIN + LETTER * _longest_line(chain.from_iterable(names))
    top = height
    figure = Figure(figsize=(width, height))
    for number, ((tissue, own, works), own_height) in enumerate(zip(panels, heights, strict=True)):
        place = (
            left / width,
            (top - own_height) / height,
            1 - (left + MARGIN) / width,
            (own_height - TITLE) / height,
        )
        axes = figure.add_axes(place)
        _draw_panel(axes, tissue, own, works)
        axes.set_yticks(axes.get_yticks(), labels=names[number], linespacing=0.95)
        axes.set_xlim(0, end)
        axes.set_xticks(np.arange(0, end + T1.tick / 2, T1.tick))
        is_last = number == len(panels) - 1
        axes.tick_params(axis="x", labelbottom=is_last, length=3 if is_last else 0)
        top -= own_height
    axes.set_xlabel("T1 [s]")
    return figure


def _longest_line(names: Iterable[str]) -> int:
    return max(len(line) for name in names for line in name.splitlines())


def _end(shown: Iterable[RegionStatistics]) -> float:
    """Return the end of the axis [s]."""
    longest = max(one.percentile_95 or 0.0 for one in shown)
    return float(max(2.0, T1.tick * np.ceil(longest / T1.tick)))


def _of(regions: Sequence[RegionStatistics], tissue: Tissue) -> list[RegionStatistics]:
    found = (find([one for one in regions if one.map == file], tissue) for file in maps_of(regions))
    return [one for one in found if one is not None and one.median is not None]


def _draw_panel(axes: Axes, tissue: Tissue, own: Sequence[RegionStatistics], works: Sequence[Published]) -> None:
    colour = colours.hexadecimal(colours.TISSUE_COLOURS[tissue])
    axes.bxp(
        [_box(one) for one in own],
        positions=[-float(place) for place in range(len(own))],
        orientation="horizontal",
        widths=0.55,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.55, "edgecolor": colour},
        medianprops={"color": LINES, "linewidth": 2.2},
        whiskerprops={"color": colour},
        capprops={"color": colour},
    )
    bands = [work.band for work in works]
    if bands:
        lowest, highest = min(one.mean - one.sd for one in bands), max(one.mean + one.sd for one in bands)
        axes.axvspan(lowest, highest, color=LINES, alpha=0.15, linewidth=0)
    for place, band in enumerate(bands, len(own)):
        axes.errorbar(
            band.mean, -place, xerr=band.sd, color=LINES, marker="d", markersize=4.5, capsize=3, linewidth=1.2
        )
    n_rows = len(own) + len(works)
    axes.set_yticks([-float(place) for place in range(n_rows)])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0.5 - n_rows, 0.5)
    axes.spines["left"].set_visible(False)
    axes.set_title(tissue.meaning, loc="left", fontweight="bold")


def _labels(own: Sequence[RegionStatistics], works: Sequence[Published], letters: int) -> list[str]:
    """Return the names of the rows, in lines of so many letters."""
    names = [title_of_map(one.map) for one in own] + [f"{work.band.tissue} ({work.source})" for work in works]
    return [fill(name, letters) for name in names]


def _box(one: RegionStatistics) -> dict[str, float | None]:
    return {
        "whislo": one.percentile_5,
        "q1": one.quartile_1,
        "med": one.median,
        "q3": one.quartile_3,
        "whishi": one.percentile_95,
    }


def describe_boxes(regions: Sequence[RegionStatistics]) -> str:
    """Say what the boxes show, for readers who cannot see them."""
    parts = []
    for tissue in HEADLINE:
        medians = [
            f"{title_of_map(one.map)} {T1.written(one.median)}"
            for one in _of(regions, tissue)
            if one.median is not None
        ]
        if medians:
            parts.append(f"{tissue.meaning}: {', '.join(medians)}")
    return f"Boxes of T1 by tissue and map; medians of {'; '.join(parts)}"
