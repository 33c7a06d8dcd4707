"""The section on the brain and its tissues: outlines, how they came about, and T1 in each tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.tissue import Tissue
from bids_t1.report.figures.drawing import NO_DRAWING
from bids_t1.report.figures.orientation import Layout, lay_out
from bids_t1.report.figures.overlay import draw_tissues
from bids_t1.report.sections import tissue_plots
from bids_t1.report.sections.regions import MapOfRegions, cautions_of, tabulate, title_of_map
from bids_t1.report.words import literature, wording
from bids_t1.report.words.quantity import T1, quantity_of
from bids_t1.report.words.record import Row, plain

if TYPE_CHECKING:
    from bids_t1.data.result import Anatomy, ParticipantResult, RunResult
    from bids_t1.report.figures.drawing import Drawing
    from bids_t1.report.figures.mosaic import MapFigure
    from bids_t1.report.words.literature import Work

N_SLICES = 8

EVERY_SLICE = 18
"""Slices that fewer are chosen among, so that the ends of the brain are not."""

THICK = 80.0
"""Fields of view thinner than this do not hold a whole brain [mm]."""

LABELS = {
    "BrainMask": "Brain mask",
    "TissueMethod": "Tissues",
    "Template": "Template",
    "TemplateFiles": "Files of the template",
    "SubcorticalAtlas": "Atlas of subcortical grey matter",
    "SpatialReference": "Template",
    "Transformation": "Transform",
    "TransformationMethod": "How it was found",
    "Sources": "Source files",
}
"""Names of known keys of the record, in the order of the table; unknown ones follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnatomyFigure:
    """The tissues on one grid."""

    title: str
    figure: MapFigure | None
    layout: Layout
    record: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueSection:
    """Everything of brain and tissues, ready for the template."""

    anchor: str
    title: str
    warnings: tuple[str, ...]
    cautions: tuple[str, ...]
    anatomies: tuple[AnatomyFigure, ...]
    boxes: Drawing
    boxes_alt: str
    works: tuple[Work, ...]
    measured: tuple[str, ...]
    """Publications in the plot, and how each measured."""

    tables: tuple[MapOfRegions, ...]


def describe_tissues(result: ParticipantResult) -> TissueSection | None:
    """Draw and describe brain and tissues; None where there are none."""
    if not result.anatomies and not result.regions:
        return None
    published = literature.published(field_strength_of(result)) if result.regions else {}
    texts = chain.from_iterable(anatomy.warnings for anatomy in result.anatomies)
    works = dict.fromkeys(one.work for of_tissue in published.values() for one in of_tissue)
    return TissueSection(
        anchor="tissues",
        title="Brain and tissues",
        warnings=tuple(dict.fromkeys(map(wording.without_folders, texts))),
        cautions=(*_of_field_of_view(result), *cautions_of(result.regions)),
        anatomies=tuple(_draw(anatomy, result) for anatomy in result.anatomies),
        boxes=tissue_plots.draw_boxes(result.regions, published) if _has_boxes(result) else NO_DRAWING,
        boxes_alt=tissue_plots.describe_boxes(result.regions),
        works=tuple(works),
        measured=tuple(literature.MEASURED_BY[work.doi] for work in works),
        tables=tabulate(result.regions),
    )


def _has_boxes(result: ParticipantResult) -> bool:
    return any(one.median is not None and one.tissue is not Tissue.FLUID for one in result.regions)


def field_strength_of(result: ParticipantResult) -> object:
    """Return the field strength of all T1 maps [T]; None where they differ or it is not known."""
    found = {run.record.get("MagneticFieldStrength") for run in result.runs if quantity_of(run.sequence) is T1}
    return found.pop() if len(found) == 1 else None


def run_of(result: ParticipantResult, file: str) -> RunResult | None:
    """Return the run whose T1 map has this name; None where there is none, or it has no map."""
    return next((run for run in result.runs if str(run.name) == file and "time" in run.maps), None)


def _draw(anatomy: Anatomy, result: ParticipantResult) -> AnatomyFigure:
    tissue = anatomy.maps.get("tissue", np.zeros(anatomy.grid.shape, np.uint8))
    run = next((run for file in anatomy.runs if (run := run_of(result, file))), None)
    layout = lay_out(anatomy.grid, tissue > 0, n_slices=EVERY_SLICE).fewer(N_SLICES)
    return AnatomyFigure(
        title=" and ".join(map(title_of_map, anatomy.runs)),
        figure=None if run is None else draw_tissues(run.maps["time"], tissue, layout, str(anatomy.name)),
        layout=layout,
        record=rows_of(anatomy.record),
    )


def rows_of(record: Mapping[str, object]) -> tuple[Row, ...]:
    """Return how mask and tissues came about, for the table."""
    keys = [*(key for key in LABELS if key in record), *(key for key in record if key not in LABELS)]
    return tuple(
        Row(LABELS.get(key, wording.spelt_out(key)), wording.without_folders(_written(record[key]))) for key in keys
    )


def _written(value: object) -> str:
    match value:
        case Mapping():
            return "\n".join(f"{wording.spelt_out(str(key))}: {_within(item)}" for key, item in value.items())
        case list() | tuple():
            return "\n".join(map(plain, value))
        case _:
            return plain(value)


def _within(value: object) -> str:
    """Write an item of a record; of files with their checksums, the names."""
    return ", ".join(map(str, value)) if isinstance(value, Mapping) else plain(value)


def _of_field_of_view(result: ParticipantResult) -> tuple[str, ...]:
    """Say where only part of the brain was imaged: volumes are then of that part."""
    cautions = []
    for anatomy in result.anatomies:
        names = " and ".join(map(title_of_map, anatomy.runs))
        extents = np.multiply(anatomy.grid.shape, anatomy.grid.voxel_sizes)
        if 1 in anatomy.grid.shape:
            cautions.append(
                f"{names}: a single slice. Its place in the brain decides all numbers, and tissues were told apart "
                "with little help from their neighbourhood."
            )
        elif extents.min() < THICK:
            cautions.append(
                f"{names}: a slab of {extents.min():.0f} mm, not a whole brain. Numbers and volumes are of the part "
                "that was imaged."
            )
    return tuple(cautions)
