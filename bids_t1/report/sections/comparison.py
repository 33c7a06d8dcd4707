"""The section on a run in the space of inversion recovery: whether they line up, and agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.tissue import TISSUES
from bids_t1.report.figures import agreement_plots, colours
from bids_t1.report.figures.agreement_plots import SOLID, Pair
from bids_t1.report.figures.orientation import Layout, lay_out
from bids_t1.report.figures.overlay import draw_edges, legend
from bids_t1.report.sections.regions import FEW, NO_NUMBER, title_of_map
from bids_t1.report.sections.tissues import EVERY_SLICE, run_of
from bids_t1.report.voices.calibrated import CALIBRATED, OUTSIDE, caution_of_forced, caution_of_outside
from bids_t1.report.words import wording
from bids_t1.report.words.numbers import Number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bids_t1.data.alignment import Alignment
    from bids_t1.data.result import Comparison, ParticipantResult, RunResult
    from bids_t1.data.tissue import Agreement, Tissue
    from bids_t1.report.figures.drawing import Drawing
    from bids_t1.report.figures.mosaic import LegendEntry, MapFigure

N_SLICES = 4
RIGID = 6
"""Parameters of a rigid transformation."""

MUCH_WITHOUT = 0.2
"""Share of the voxels of tissue that are not compared from which the page cautions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRow:
    """One line of the table: numbers as they are written."""

    tissue: str
    colour: str
    n_voxels: str
    bias: str
    limits: str
    rmse: str
    correlation: str
    ratio: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementTable:
    """The tissues of one map, with or without their borders."""

    title: str
    rows: tuple[AgreementRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Joint histogram and Bland-Altman plot of one map."""

    title: str
    source: Drawing
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSection:
    """Everything of one comparison, ready for the template."""

    anchor: str
    title: str
    fixed: str
    moving: str
    files: tuple[str, ...]
    """Of the maps in the space of inversion recovery."""

    reasons: tuple[str, ...]
    """Why the registration failed; empty where it did not."""

    warnings: tuple[str, ...]
    cautions: tuple[str, ...]
    numbers: tuple[Number, ...]
    estimated: str
    layout: Layout | None
    overlays: tuple[MapFigure, ...]
    plots: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]
    """Of the tissues that are in the plots."""

    tables: tuple[AgreementTable, ...]


def describe_comparison(comparison: Comparison, result: ParticipantResult, number: int) -> ComparisonSection:
    """Draw and describe one comparison."""
    alignment = comparison.alignment
    fixed, tissue = run_of(result, comparison.fixed), _tissue_of(comparison, result)
    layout, overlays = (None, ()) if fixed is None else _pictures(comparison, fixed, tissue)
    names = _names(comparison) if alignment.trusted else {}
    own = {file: _agreements_of(file, comparison, result) for file in names.values()}
    pairs = _pairs(comparison, names, fixed, tissue)
    texts = (*alignment.warnings, *comparison.warnings)
    return ComparisonSection(
        anchor=f"comparison-{number}",
        title=f"{title_of_map(comparison.moving)} in the space of inversion recovery",
        fixed=comparison.fixed,
        moving=comparison.moving,
        files=tuple(names.values()),
        reasons=tuple(map(wording.without_folders, alignment.reasons)),
        warnings=tuple(map(wording.without_folders, dict.fromkeys(texts))),
        cautions=_cautions(comparison, result, tissue, own) if alignment.trusted else (),
        numbers=_numbers(alignment) if alignment.estimated or alignment.trusted else (),
        estimated=_estimated(alignment),
        layout=layout,
        overlays=overlays,
        plots=_plots(pairs, own),
        legend=legend(_drawn_tissues(pairs.values())),
        tables=tuple(
            _table(file, rows, eroded=eroded) for file, rows in own.items() if rows for eroded in (False, True)
        ),
    )


def _agreements_of(file: str, comparison: Comparison, result: ParticipantResult) -> list[Agreement]:
    return [one for one in result.agreements if (one.reference, one.map) == (comparison.fixed, file)]


def _names(comparison: Comparison) -> dict[str, str]:
    """Return the files of the T1 maps that are compared, by quantity."""
    names = {"time": comparison.name, CALIBRATED: comparison.name.having({"desc": f"{comparison.sequence}calibrated"})}
    return {quantity: str(name) for quantity, name in names.items() if quantity in comparison.maps}


def _tissue_of(comparison: Comparison, result: ParticipantResult) -> NDArray[np.integer]:
    """Return the tissues on the grid of inversion recovery; nothing where they are not known."""
    found = (anatomy.maps.get("tissue") for anatomy in result.anatomies if comparison.fixed in anatomy.runs)
    tissue = next((labels for labels in found if labels is not None), None)
    return np.zeros(comparison.grid.shape, np.uint8) if tissue is None else tissue


def _pictures(
    comparison: Comparison, fixed: RunResult, tissue: NDArray[np.integer]
) -> tuple[Layout, tuple[MapFigure, ...]]:
    """Draw the edges of the brain over the images, before and after registration, in the same slices."""
    time = fixed.maps["time"]
    brain = tissue > 0 if tissue.any() else np.isfinite(time)
    layout = lay_out(fixed.grid, brain, n_slices=EVERY_SLICE).fewer(N_SLICES)
    before, after = comparison.by_headers, comparison.maps.get("time")
    if comparison.alignment.headers_kept and after is not None:
        before = None  # the same picture
    return layout, tuple(
        draw_edges((time, moving), brain, layout, label)
        for moving, label in ((before, "before: by the headers alone"), (after, "after registration"))
        if moving is not None
    )


def _pairs(
    comparison: Comparison, names: dict[str, str], fixed: RunResult | None, tissue: NDArray[np.integer]
) -> dict[str, Pair]:
    """Return the voxels of tissue with an estimate in both maps, by file."""
    if fixed is None:
        return {}
    reference, pairs = fixed.maps["time"], {}
    for quantity, file in names.items():
        values = comparison.maps[quantity]
        both = np.isfinite(values) & np.isfinite(reference) & np.isin(tissue, SOLID)
        if both.any():
            pairs[file] = Pair(
                name=f"{comparison.sequence}{', calibrated' if quantity == CALIBRATED else ''}",
                values=values[both].astype(np.float64),
                reference=reference[both].astype(np.float64),
                tissue=tissue[both].astype(np.uint8),
            )
    return pairs


def _drawn_tissues(pairs: Iterable[Pair]) -> list[Tissue]:
    found = {int(kind) for pair in pairs for kind in np.unique(pair.tissue)}
    return [kind for kind in SOLID if kind in found]


def _plots(pairs: dict[str, Pair], own: dict[str, list[Agreement]]) -> tuple[Plot, ...]:
    """Draw all maps on the same axes."""
    if not pairs:
        return ()
    lines = {file: _together(own[file]) for file in pairs}
    ends = agreement_plots.ends_of(list(pairs.values()), lines.values())
    return tuple(
        Plot(
            title=pair.name,
            source=agreement_plots.draw_agreement(pair, lines[file], ends),
            alt=agreement_plots.describe_agreement(pair, lines[file]),
        )
        for file, pair in pairs.items()
    )


def _together(agreements: Sequence[Agreement]) -> Agreement | None:
    """Return the agreement of all tissues but fluid, borders included."""
    return next((one for one in agreements if one.tissue is None and not one.eroded), None)


def _numbers(alignment: Alignment) -> tuple[Number, ...]:
    before, after = (f"{value:.3f}" for value in (alignment.similarity_before, alignment.similarity_after))
    return (
        Number(label="Rotation", value=f"{alignment.rotation:.1f}°", remarks=("against the headers",)),
        Number(label="Shift", value=f"{alignment.translation:.1f} mm", remarks=("of the middle of the brain",)),
        Number(
            label="Overlap of the brains",
            value=f"{100 * alignment.overlap:.1f} %",
            remarks=("of the brain of inversion recovery, within the field of view of the other",),
        ),
        Number(
            label="Similarity of the images",
            value=after,
            remarks=(f"{before} by the headers alone", "normalised mutual information within the brain"),
        ),
    )


def _estimated(alignment: Alignment) -> str:
    if alignment.headers_kept:
        return (
            "The head lies as the headers say: what was estimated moves no part of the brain by a tenth of a voxel. "
            "The headers were kept, so that nothing had to be interpolated for it."
        )
    if len(alignment.estimated) == RIGID:
        return "All three rotations and all three translations were estimated from the images."
    if not alignment.estimated:
        return "Nothing was estimated: the images lie to each other as their headers say."
    return (
        f"Estimated from the images: {wording.listed(alignment.estimated)}. The others cannot be determined from "
        "so thin a part of the head, and stay as in the headers."
    )


def _cautions(
    comparison: Comparison,
    result: ParticipantResult,
    tissue: NDArray[np.integer],
    own: dict[str, list[Agreement]],
) -> tuple[str, ...]:
    moving = run_of(result, comparison.moving)
    outside = comparison.maps.get(OUTSIDE)
    inside_brain = np.isin(tissue, SOLID)
    first = next(iter(own.values()), [])
    cautions = [_of_thin(comparison), _of_few(first), _of_not_compared(first, int(inside_brain.sum()))]
    if outside is not None:
        cautions.append(caution_of_outside(outside, inside_brain))
    cautions.append(caution_of_forced(comparison.record or {}) or (caution_of_forced(moving.record) if moving else ""))
    return tuple(map(wording.typeset, filter(None, cautions)))


def _of_thin(comparison: Comparison) -> str:
    if 1 in comparison.grid.shape:
        return (
            "Inversion recovery is a single slice: its tilt and its place across the slice are less certain than its "
            "place within it, and no other slice would show a mistake."
        )
    if len(comparison.alignment.estimated) < RIGID:
        return "Not every rotation and translation could be determined; look at the edges below."
    return ""


def _of_few(agreements: Sequence[Agreement]) -> str:
    few = [
        f"{one.tissue.meaning} ({one.n_voxels})"
        for one in agreements
        if one.tissue in SOLID and one.tissue and not one.eroded and one.n_voxels < FEW
    ]
    return f"Few voxels are compared in {wording.listed(few)}: bias and limits there say little." if few else ""


def _of_not_compared(agreements: Sequence[Agreement], n_tissue: int) -> str:
    together = _together(agreements)
    if together is None or n_tissue - together.n_voxels < MUCH_WITHOUT * n_tissue:
        return ""
    share = wording.percent(n_tissue - together.n_voxels, n_tissue)
    return (
        f"{share} of the voxels of tissue have no T1 in one map or the other, or lie outside of its field of view. "
        "They are not compared."
    )


def _table(file: str, agreements: Sequence[Agreement], *, eroded: bool) -> AgreementTable:
    where = "away from borders of tissues" if eroded else "every voxel"
    order = (None, *TISSUES)
    chosen = sorted((one for one in agreements if one.eroded is eroded), key=lambda one: order.index(one.tissue))
    return AgreementTable(title=f"{title_of_map(file)}: {where}", rows=tuple(map(_row, chosen)))


def _row(one: Agreement) -> AgreementRow:
    limits = [wording.signed(limit) for limit in (one.lower_limit, one.upper_limit) if limit is not None]
    return AgreementRow(
        tissue="all but fluid" if one.tissue is None else one.tissue.meaning,
        colour="" if one.tissue is None else colours.hexadecimal(colours.TISSUE_COLOURS[one.tissue]),
        n_voxels=wording.grouped(one.n_voxels),
        bias=NO_NUMBER if one.bias is None else wording.signed(one.bias),
        limits=" to ".join(limits) if limits else NO_NUMBER,
        rmse=NO_NUMBER if one.rmse is None else f"{one.rmse:.3f}",
        correlation=NO_NUMBER if one.correlation is None else f"{one.correlation:.2f}".replace("-", "\N{MINUS SIGN}"),
        ratio=NO_NUMBER if one.ratio is None else f"{one.ratio:.3f}",
    )
