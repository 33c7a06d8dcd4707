"""Plots take most of the time of a page: equal ones are drawn once for all tests."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.report import plots, readout_plots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bids_t1.report.literature import ReferenceBand
    from bids_t1.report.quantity import Quantity


@pytest.fixture(autouse=True, scope="session")
def _equal_plots_are_drawn_once() -> Iterator[None]:
    draw_histogram = plots.draw_histogram

    @cache
    def draw(values: bytes, kind: str, quantity: Quantity, bands: tuple[ReferenceBand, ...]) -> str:
        return draw_histogram(np.frombuffer(values, kind), quantity, bands)

    def draw_once(fitted: np.ndarray, quantity: Quantity, bands: Sequence[ReferenceBand]) -> str:
        return draw(fitted.tobytes(), fitted.dtype.str, quantity, tuple(bands))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw_histogram", draw_once)
        patch.setattr(plots, "draw_curves", cache(plots.draw_curves))
        patch.setattr(readout_plots, "draw_cycle", cache(readout_plots.draw_cycle))
        patch.setattr(readout_plots, "draw_signal_curve", cache(readout_plots.draw_signal_curve))
        yield
