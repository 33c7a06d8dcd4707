"""Plots take most of the time of a page: equal ones are drawn once for all tests."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.report.figures import agreement_plots, plots, readout_plots
from bids_t1.report.figures.drawing import Drawing
from bids_t1.report.sections import tissue_plots, viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bids_t1.data.tissue import Agreement, RegionStatistics, Tissue
    from bids_t1.report.figures.agreement_plots import Ends, Pair
    from bids_t1.report.words.literature import Published, ReferenceBand
    from bids_t1.report.words.quantity import Quantity


@pytest.fixture(autouse=True, scope="session")
def _pages_are_those_without_the_viewer() -> Iterator[None]:
    """Whether its library is installed must not decide about tests; test_report_viewer.py brings it in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viewer, "_library", lambda: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _equal_plots_are_drawn_once() -> Iterator[None]:
    draw_histogram = plots.draw_histogram

    @cache
    def draw(values: bytes, kind: str, quantity: Quantity, bands: tuple[ReferenceBand, ...]) -> Drawing:
        return draw_histogram(np.frombuffer(values, kind), quantity, bands)

    def draw_once(fitted: np.ndarray, quantity: Quantity, bands: Sequence[ReferenceBand]) -> Drawing:
        return draw(fitted.tobytes(), fitted.dtype.str, quantity, tuple(bands))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw_histogram", draw_once)
        patch.setattr(tissue_plots, "draw_boxes", _once_boxes())
        patch.setattr(agreement_plots, "draw_agreement", _once_agreement())
        patch.setattr(plots, "draw_curves", cache(plots.draw_curves))
        patch.setattr(readout_plots, "draw_cycle", cache(readout_plots.draw_cycle))
        patch.setattr(readout_plots, "draw_signal_curve", cache(readout_plots.draw_signal_curve))
        yield


def _once_boxes() -> Callable[..., Drawing]:
    draw_boxes = tissue_plots.draw_boxes

    @cache
    def draw(
        regions: tuple[RegionStatistics, ...], published: tuple[tuple[Tissue, tuple[Published, ...]], ...]
    ) -> Drawing:
        return draw_boxes(regions, dict(published))

    def draw_once(regions: Sequence[RegionStatistics], published: Mapping[Tissue, Sequence[Published]]) -> Drawing:
        return draw(tuple(regions), tuple((tissue, tuple(works)) for tissue, works in published.items()))

    return draw_once


def _once_agreement() -> Callable[..., Drawing]:
    draw_agreement, drawn = agreement_plots.draw_agreement, dict[object, Drawing]()

    def draw_once(pair: Pair, agreement: Agreement | None, ends: Ends) -> Drawing:
        key = (pair.name, pair.values.tobytes(), pair.reference.tobytes(), pair.tissue.tobytes(), agreement, ends)
        if key not in drawn:
            drawn[key] = draw_agreement(pair, agreement, ends)
        return drawn[key]

    return draw_once
