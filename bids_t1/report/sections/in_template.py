"""The section on a run in the space of a template: its T1 there, with the outlines of its tissues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.report.figures.orientation import Layout, lay_out
from bids_t1.report.figures.overlay import draw_tissues
from bids_t1.report.sections.regions import title_of_map
from bids_t1.report.sections.tissues import EVERY_SLICE, N_SLICES, rows_of

if TYPE_CHECKING:
    from bids_t1.data.result import InTemplate
    from bids_t1.report.figures.mosaic import MapFigure
    from bids_t1.report.words.record import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class InTemplateSection:
    """Everything of a run in a template, ready for the template of the page."""

    anchor: str
    title: str
    figure: MapFigure
    layout: Layout
    record: tuple[Row, ...]
    warnings: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


def describe_in_template(one: InTemplate, number: int) -> InTemplateSection:
    """Draw and describe one run in a template."""
    tissue, time = one.maps.get("tissue"), one.maps["time"]
    shown = np.isfinite(time) if tissue is None else tissue > 0
    labels = np.zeros(one.grid.shape, np.uint8) if tissue is None else tissue
    layout = lay_out(one.grid, shown, n_slices=EVERY_SLICE).fewer(N_SLICES)
    return InTemplateSection(
        anchor=f"template-{number}",
        title=f"{title_of_map(one.moving)} in the space of {one.name.get('space')}",
        figure=draw_tissues(time, labels, layout, str(one.name)),
        layout=layout,
        record=rows_of(one.record),
    )
