"""What the page says and shows about one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data import sequences
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.outputs import CALIBRATED, SLOW, Output, by_quantity
from bids_t1.data.sequences import sequence_of
from bids_t1.report.figures import colours, plots
from bids_t1.report.figures.drawing import NO_DRAWING
from bids_t1.report.figures.mosaic import MapFigure, draw_map, draw_marks, draw_status
from bids_t1.report.figures.orientation import Layout, lay_out
from bids_t1.report.sections.motion import motion_figure
from bids_t1.report.sections.residuals import residual_table
from bids_t1.report.voices import calibrated, transmit
from bids_t1.report.voices.by_sequence import voice_of
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import Summary, trusted
from bids_t1.report.words.quantity import T1, Quantity, quantity_of
from bids_t1.report.words.record import Row, record_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.result import RunResult
    from bids_t1.report.figures.drawing import Drawing
    from bids_t1.report.sections.motion import MotionFigure
    from bids_t1.report.sections.residuals import ResidualTable
    from bids_t1.report.voices.extras import Extras
    from bids_t1.report.voices.transmit import TransmitSection
    from bids_t1.report.words.literature import ReferenceBand

N_SLICES = 18
"""Slices of the main map: three rows of six."""

N_SLICES_OF_OTHERS = 3

MAIN, STATUS = "time", "status"
"""Quantities with a place of their own on the page."""

MARKED = ("two_modes", calibrated.OUTSIDE)
"""Masks that are drawn over a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRow:
    """One line of the legend of the status map."""

    colour: str
    meaning: str
    count: str
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """The histogram of a relaxation time and what it says."""

    source: Drawing
    alt: str
    of: str
    """The voxels that are counted."""

    beyond: str
    bands: tuple[ReferenceBand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSection:
    """Everything of one run, ready for the template."""

    anchor: str
    title: str
    name: str
    file: str
    """Of the map, from where the page lies."""

    quantity: Quantity
    warnings: tuple[str, ...]
    cautions: tuple[str, ...]
    """What a reader has to know before using the numbers."""

    summary: Summary
    layout: Layout
    main: MapFigure | None
    maps: tuple[MapFigure, ...]
    missing: tuple[str, ...]
    """Maps of the outputs table that the run does not have."""

    status: MapFigure | None
    status_rows: tuple[StatusRow, ...]
    histogram: Histogram | None
    curves: Drawing
    curves_alt: str
    n_curves_left_out: int
    residuals: ResidualTable | None
    """What the fit leaves at each inversion time; None where nothing of the kind is on record."""

    motion: MotionFigure | None
    """How far images lay from their places; None where nothing moved, or nothing is on record."""

    extras: Extras | None
    """What only this sequence has."""

    transmit: TransmitSection | None
    """The transmit field, where a map of it was used."""

    record: tuple[Row, ...]


def describe_run(run: RunResult, number: int) -> RunSection:
    """Draw and describe one run."""
    voice, quantity = voice_of(run), quantity_of(run.sequence)
    axis = sequence_of(run.sequence).axis
    shown = trusted(run)
    layout = lay_out(run.grid, shown, n_slices=N_SLICES)
    few = layout.fewer(N_SLICES_OF_OTHERS)
    drawn = _draw_maps(run, layout, few)
    rows = by_quantity(run.sequence)
    status = rows.get(STATUS) if STATUS in run.maps else None
    return RunSection(
        anchor=f"run-{number}",
        title=title_of(run),
        name=str(run.name),
        file=f"{run.name.folder('anat')}/{run.name}",
        quantity=quantity,
        warnings=tuple(map(wording.without_folders, run.warnings)),
        cautions=voice.cautions(run),
        summary=voice.summarise(run),
        layout=layout,
        main=drawn.pop(MAIN, None),
        maps=tuple(drawn.values()),
        missing=tuple(_missing(run, row) for row in rows.values() if _is_missing(run, row.quantity)),
        status=draw_status(status, run.maps[STATUS], few, file_of(run, status)) if status else None,
        status_rows=_status_rows(run),
        histogram=_histogram(run, run.maps[MAIN][shown] if MAIN in run.maps else np.empty(0)),
        curves=plots.draw_curves(run.examples, quantity, axis) if axis and run.examples else NO_DRAWING,
        curves_alt=plots.describe_curves(run.examples, quantity, axis) if axis else "",
        residuals=residual_table(run.record),
        motion=motion_figure(run.record),
        n_curves_left_out=max(0, len(run.examples) - plots.MAX_EXAMPLES),
        extras=voice.extras(run),
        transmit=transmit.describe_transmit(run, _draw_transmit(run, layout)),
        record=record_rows(run, voice.meanings, voice.shown),
    )


def _draw_maps(run: RunResult, layout: Layout, few: Layout) -> dict[str, MapFigure]:
    """Draw all maps but those with a place of their own, in the order in which they are shown."""
    rows = by_quantity(run.sequence)
    order = (MAIN, *voice_of(run).order, *rows)
    elsewhere = {STATUS, transmit.MAP, transmit.EXTRAPOLATED}
    return {
        quantity: _draw_marked(run, rows[quantity], few)
        if quantity in MARKED
        else _draw(run, rows[quantity], layout if quantity == MAIN else few)
        for quantity in dict.fromkeys(order)
        if quantity in rows and quantity in run.maps and quantity not in elsewhere
    }


def _draw(run: RunResult, row: Output, layout: Layout) -> MapFigure:
    shown, values = quantity_of(run.sequence).shown(row, run.maps[row.quantity])
    return draw_map(shown, values, layout, file_of(run, row))


def _draw_marked(run: RunResult, row: Output, few: Layout) -> MapFigure:
    """Mark the voxels of a mask over UNI, or over T1 where there is none."""
    marked = run.maps[row.quantity] > 0
    where = _with_most(run, marked) if marked.any() else few  # anywhere, not only in the slices of other maps
    under = next((quantity for quantity in ("uni", MAIN) if quantity in run.maps), row.quantity)
    return _draw_marks_over(run, row, under, where)


def _draw_transmit(run: RunResult, layout: Layout) -> tuple[MapFigure, ...]:
    """Draw the transmit field, and in the same slices where it was extrapolated."""
    rows = by_quantity(run.sequence)
    if transmit.MAP not in run.maps:
        return ()
    where, marked = layout.fewer(N_SLICES_OF_OTHERS), run.maps.get(transmit.EXTRAPOLATED)
    field = _draw(run, rows[transmit.MAP], where)
    if marked is None:
        return (field,)
    return (field, _draw_marks_over(run, rows[transmit.EXTRAPOLATED], transmit.MAP, where))


def _draw_marks_over(run: RunResult, row: Output, under: str, where: Layout) -> MapFigure:
    """Mark the voxels of a mask over another map in shades of grey."""
    view = by_quantity(run.sequence)[under].view
    background = colours.indices(run.maps[under], colours.limits_of(view, run.maps[under]))
    return draw_marks(row, run.maps[row.quantity] > 0, background, where, file_of(run, row))


def _with_most(run: RunResult, marked: NDArray[np.bool_]) -> Layout:
    """Return the slices that hold most marked voxels."""
    every_slice = lay_out(run.grid, trusted(run) | marked, n_slices=max(run.grid.shape))
    return every_slice.with_most(marked, N_SLICES_OF_OTHERS)


def _is_missing(run: RunResult, quantity: str) -> bool:
    """Tell maps that could have been made; corrected ones are made only where they are asked for."""
    unasked = {*SLOW, *(() if calibrated.CALIBRATED in run.maps else CALIBRATED)}
    return quantity not in run.maps and quantity not in unasked


def _missing(run: RunResult, row: Output) -> str:
    reason = voice_of(run).why_missing(run, row.quantity)
    return f"{row.view.label} ({reason})" if reason else row.view.label


def title_of(run: RunResult) -> str:
    """Name a run by its sequence and by what tells it from its neighbours."""
    parts = [f"{key}-{label}" for key, label in run.name.entities if key not in {"sub", "desc"}]
    return " · ".join([sequences.title_of(run.sequence), *parts])


def file_of(run: RunResult, row: Output) -> str:
    """Return the name of the file that holds a map."""
    return str(run.name.having({"desc": row.desc}, suffix=row.suffix))


def _status_rows(run: RunResult) -> tuple[StatusRow, ...]:
    """Return the legend: statuses that occur first, in the order of their codes."""
    total = sum(run.status_counts.values())
    impossible = sequence_of(run.sequence).impossible
    counts = {
        status: count
        for status in VoxelStatus
        if (count := run.status_counts.get(status.name, 0)) or status not in impossible
    }
    return tuple(
        StatusRow(
            colour=colours.of_page(colours.STATUS_GROUND)
            if status is VoxelStatus.NO_SIGNAL
            else colours.hexadecimal(colours.STATUS_COLOURS[status]),
            meaning=status.meaning,
            count=wording.grouped(counts[status]),
            share=wording.percent(counts[status], total),
        )
        for status in sorted(counts, key=lambda status: (counts[status] == 0, status))
    )


def _histogram(run: RunResult, fitted: NDArray[np.floating]) -> Histogram | None:
    if not fitted.size:
        return None
    quantity = quantity_of(run.sequence)
    bands = literature.reference_bands(run.record.get("MagneticFieldStrength")) if quantity is T1 else ()
    n_low = run.status_counts.get(VoxelStatus.LOW_CONFIDENCE.name, 0)
    n_beyond = int((fitted > quantity.histogram_end / quantity.per_second).sum())
    lower, median, upper = (quantity.written(float(value)) for value in np.percentile(fitted, (25, 50, 75)))
    return Histogram(
        source=plots.draw_histogram(fitted, quantity, bands),
        alt=f"Histogram of {quantity.name} in {wording.grouped(fitted.size)} fitted voxels: median {median}, "
        f"half of them between {lower} and {upper}",
        of="fitted voxels without low confidence" if n_low else "fitted voxels",
        beyond=f"{wording.percent(n_beyond, fitted.size)} of them lie above {quantity.histogram_end:g} {quantity.unit}."
        if n_beyond
        else "",
        bands=bands,
    )
