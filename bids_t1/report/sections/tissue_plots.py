"""T1 in each tissue as boxes, beside what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bids_t1.report.figures import colours
from bids_t1.report.figures.drawing import LINES, SETTINGS, WIDTH, svg
from bids_t1.report.sections.regions import HEADLINE, find, maps_of, title_of_map
from bids_t1.report.words.quantity import T1

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from bids_t1.data.tissue import RegionStatistics, Tissue
    from bids_t1.report.words.literature import Published

ROW, TITLE, BOTTOM = 0.3, 0.34, 0.5
"""Heights of a row, of a tissue's name and of the axis [inch]."""

LETTER, MARGIN, MOST = 0.068, 0.3, 5.0
"""Room for one letter of the names of maps, beside them, and for all of them at most [inch]."""


def draw_boxes(regions: Sequence[RegionStatistics], published: Mapping[Tissue, Sequence[Published]]) -> str:
    """Draw a box for each map and tissue, fluid left out, and means and SDs of publications below, as a data URI."""
    panels = [(tissue, own, published.get(tissue, ())) for tissue in HEADLINE if (own := _of(regions, tissue))]
    heights = [TITLE + ROW * (len(own) + len(works)) for _, own, works in panels]
    height = sum(heights) + BOTTOM
    end = _end(one for _, own, _ in panels for one in own)
    labels = [label for _, own, works in panels for label in _labels(own, works)]
    left = min(MARGIN + LETTER * max(map(len, labels)), MOST)
    top = height
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, height))
        for number, ((tissue, own, works), own_height) in enumerate(zip(panels, heights, strict=True)):
            place = (
                left / WIDTH,
                (top - own_height) / height,
                1 - (left + MARGIN) / WIDTH,
                (own_height - TITLE) / height,
            )
            axes = figure.add_axes(place)
            _draw_panel(axes, tissue, own, works)
            axes.set_xlim(0, end)
            axes.set_xticks(np.arange(0, end + T1.tick / 2, T1.tick))
            is_last = number == len(panels) - 1
            axes.tick_params(axis="x", labelbottom=is_last, length=3 if is_last else 0)
            top -= own_height
        axes.set_xlabel("T1 [s]")
        return svg(figure)


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
        showmeans=True,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.55, "edgecolor": colour},
        medianprops={"color": LINES, "linewidth": 2.2},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        meanprops={"marker": "o", "markerfacecolor": LINES, "markeredgecolor": LINES, "markersize": 3.5},
    )
    for place, work in enumerate(works, len(own)):
        band = work.band
        axes.axvspan(band.mean - band.sd, band.mean + band.sd, color=LINES, alpha=0.1, linewidth=0)
        axes.errorbar(
            band.mean, -place, xerr=band.sd, color=LINES, marker="d", markersize=4.5, capsize=3, linewidth=1.2
        )
    labels = _labels(own, works)
    axes.set_yticks([-float(place) for place in range(len(labels))], labels=labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0.5 - len(labels), 0.5)
    axes.spines["left"].set_visible(False)
    axes.set_title(tissue.meaning, loc="left", fontweight="bold")


def _labels(own: Sequence[RegionStatistics], works: Sequence[Published]) -> list[str]:
    return [title_of_map(one.map) for one in own] + [f"{work.band.tissue} ({work.source})" for work in works]


def _box(one: RegionStatistics) -> dict[str, float | None]:
    return {
        "whislo": one.percentile_5,
        "q1": one.quartile_1,
        "med": one.median,
        "q3": one.quartile_3,
        "whishi": one.percentile_95,
        "mean": one.mean,
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
