"""What the page says and shows about one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.outputs import Output, outputs_of
from bids_t1.report import colours, literature, plots, wording
from bids_t1.report.mosaic import MapFigure, draw_map, draw_status
from bids_t1.report.orientation import Layout, lay_out
from bids_t1.report.record import Row, record_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.result import RunResult
    from bids_t1.report.literature import ReferenceBand

N_SLICES = 18
"""Slices of the T1 map: three rows of six."""

N_SLICES_OF_OTHERS = 3

MAIN, STATUS = "time", "status"
"""Quantities with a place of their own on the page."""

SEQUENCES = {"IRT1": "Inversion recovery"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of a run that fit on one line each."""

    median: str
    quartiles: str
    sd: str
    fitted: str
    fitted_note: str
    undecided: str
    """Share of the estimates with two possible signs; empty where there are none."""

    interval: str
    """Factor of the SD for a 95 % interval; empty where the degrees of freedom are not known."""

    degrees_of_freedom: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRow:
    """One line of the legend of the status map."""

    colour: str
    meaning: str
    count: str
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """The histogram of T1 and what it says."""

    source: str
    alt: str
    beyond: str
    bands: tuple[ReferenceBand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSection:
    """Everything of one run, ready for the template."""

    anchor: str
    title: str
    name: str
    warnings: tuple[str, ...]
    summary: Summary
    layout: Layout
    main: MapFigure | None
    maps: tuple[MapFigure, ...]
    missing: tuple[str, ...]
    """Maps of the outputs table that the run does not have."""

    status: MapFigure | None
    status_rows: tuple[StatusRow, ...]
    histogram: Histogram | None
    curves: str
    curves_alt: str
    n_curves_left_out: int
    record: tuple[Row, ...]


def describe_run(run: RunResult, number: int) -> RunSection:
    """Draw and describe one run."""
    rows = outputs_of(run.sequence)
    t1 = run.maps.get(MAIN, np.full(run.grid.shape, np.nan))
    layout = lay_out(run.grid, np.isfinite(t1), n_slices=N_SLICES)
    few = layout.fewer(N_SLICES_OF_OTHERS)
    drawn = {
        row.quantity: draw_map(row, run.maps[row.quantity], layout if row.quantity == MAIN else few, file_of(run, row))
        for row in rows
        if row.quantity in run.maps and row.quantity != STATUS
    }
    status = next((row for row in rows if row.quantity == STATUS and STATUS in run.maps), None)
    return RunSection(
        anchor=f"run-{number}",
        title=title_of(run),
        name=str(run.name),
        warnings=tuple(map(wording.without_folders, run.warnings)),
        summary=_summarise(run, t1),
        layout=layout,
        main=drawn.pop(MAIN, None),
        maps=tuple(drawn.values()),
        missing=tuple(row.view.label for row in rows if row.quantity not in run.maps),
        status=draw_status(status, run.maps[STATUS], few, file_of(run, status)) if status else None,
        status_rows=_status_rows(run),
        histogram=_histogram(run, t1),
        curves=plots.draw_curves(run.examples) if run.examples else "",
        curves_alt=plots.describe_curves(run.examples),
        n_curves_left_out=max(0, len(run.examples) - plots.MAX_EXAMPLES),
        record=record_rows(run),
    )


def title_of(run: RunResult) -> str:
    """Name a run by its sequence and by what tells it from its neighbours."""
    parts = [f"{key}-{label}" for key, label in run.name.entities if key not in {"sub", "desc"}]
    return " · ".join([SEQUENCES.get(run.sequence, run.sequence), *parts])


def file_of(run: RunResult, row: Output) -> str:
    """Return the name of the file that holds a map."""
    return str(run.name.having({"desc": row.desc}, suffix=row.suffix))


def _summarise(run: RunResult, t1: NDArray[np.floating]) -> Summary:
    fitted = t1[np.isfinite(t1)]
    lower, median, upper = np.percentile(fitted, (25, 50, 75)) if fitted.size else (np.nan,) * 3
    sd = run.maps.get("time_sd", np.array([]))
    sd = sd[np.isfinite(sd)]
    n_estimates = sum(run.status_counts.get(status.name, 0) for status in VoxelStatus if status.has_estimate)
    n_undecided = run.status_counts.get(VoxelStatus.POLARITY_UNDECIDED.name, 0)
    n_signal = sum(run.status_counts.values()) - run.status_counts.get(VoxelStatus.NO_SIGNAL.name, 0)
    degrees, factor = (run.record.get(key) for key in ("DegreesOfFreedom", "IntervalFactor"))
    return Summary(
        median=wording.seconds(float(median)),
        quartiles=f"{lower:.3f} to {upper:.3f} s" if fitted.size else "not available",
        sd=wording.seconds(float(np.median(sd)) if sd.size else float("nan")),
        fitted=wording.percent(n_estimates, n_signal),
        fitted_note=f"{wording.grouped(n_estimates)} of {wording.grouped(n_signal)} voxels not taken as background",
        undecided=f"{wording.percent(n_undecided, n_estimates)} of them with two choices of sign"
        if n_undecided
        else "",
        interval=f"{factor:.2f}" if isinstance(factor, int | float) else "",
        degrees_of_freedom=wording.counted(degrees, "degree") if isinstance(degrees, int) else "known degrees",
    )


def _status_rows(run: RunResult) -> tuple[StatusRow, ...]:
    """Return the legend: statuses that occur first, in the order of their codes."""
    total = sum(run.status_counts.values())
    counts = {status: run.status_counts.get(status.name, 0) for status in VoxelStatus}
    return tuple(
        StatusRow(
            colour=colours.hexadecimal(colours.STATUS_COLOURS[status]),
            meaning=status.meaning,
            count=wording.grouped(counts[status]),
            share=wording.percent(counts[status], total),
        )
        for status in sorted(VoxelStatus, key=lambda status: (counts[status] == 0, status))
    )


def _histogram(run: RunResult, t1: NDArray[np.floating]) -> Histogram | None:
    fitted = t1[np.isfinite(t1)]
    if not fitted.size:
        return None
    bands = literature.reference_bands(run.record.get("MagneticFieldStrength"))
    n_beyond = int((fitted > plots.HISTOGRAM_END).sum())
    lower, median, upper = np.percentile(fitted, (25, 50, 75))
    return Histogram(
        source=plots.draw_histogram(fitted, bands),
        alt=f"Histogram of T1 in {wording.grouped(fitted.size)} fitted voxels: median {median:.3f} s, "
        f"half of them between {lower:.3f} and {upper:.3f} s",
        beyond=f"{wording.percent(n_beyond, fitted.size)} of them lie above {plots.HISTOGRAM_END:g} s."
        if n_beyond
        else "",
        bands=bands,
    )
