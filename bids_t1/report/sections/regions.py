"""T1 in the tissues of the brain: names of maps, the table, and the medians at the head of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.entities import BidsName
from bids_t1.data.sequences import NAMES, title_of
from bids_t1.data.tissue import TISSUES, Hemisphere, Tissue
from bids_t1.report.figures import colours
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import T1

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bids_t1.data.tissue import RegionStatistics

FEW = 100
"""Voxels of a tissue below which the page cautions: a handful of them decides the median."""

MUCH_NOT_FITTED = 0.1
"""Share of the voxels of a tissue without an estimate from which the page cautions."""

SIDES = {Hemisphere.LEFT: "left", Hemisphere.RIGHT: "right"}
HEADLINE = (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.SUBCORTICAL_GREY_MATTER)
NO_NUMBER = "\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """One line of the table: numbers as they are written."""

    tissue: str
    colour: str
    side: str
    """Left or right; empty for both together."""

    n_voxels: str
    volume: str
    median: str
    middle_half: str
    mean: str
    sd: str
    not_fitted: str
    n_inside: str
    """Voxels away from the borders of the tissue."""

    median_inside: str
    sd_inside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOfRegions:
    """The tissues of one map."""

    title: str
    file: str
    rows: tuple[RegionRow, ...]
    by_side: tuple[RegionRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Medians of one map, in the order of `headline_tissues`."""

    title: str
    medians: tuple[str, ...]


CORRECTED = {"calibrated": "calibrated", "slow": "slow T1 by a tissue prior"}
"""How maps of T1 that were corrected are called, by the end of their ``desc``."""


def title_of_map(file: str) -> str:
    """Name a map by its sequence, whether it is calibrated, and what tells it from its neighbours."""
    name = BidsName.parse(file)
    desc = name.get("desc") or ""
    sequence = next((known for known in NAMES if desc.startswith(known)), desc)
    corrected = next((f", {word}" for kind, word in CORRECTED.items() if desc.endswith(kind)), "")
    others = [f"{key}-{label}" for key, label in name.entities if key not in {"sub", "desc", "space"}]
    return " \N{MIDDLE DOT} ".join([title_of(sequence) + corrected, *others])


def maps_of(regions: Iterable[RegionStatistics]) -> list[str]:
    """Return the files that are described, in their order."""
    return list(dict.fromkeys(one.map for one in regions))


def find(
    regions: Iterable[RegionStatistics], tissue: Tissue, side: Hemisphere = Hemisphere.NEITHER, *, eroded: bool = False
) -> RegionStatistics | None:
    """Return what is said of a tissue, or None."""
    wanted = (tissue, side, eroded)
    return next((one for one in regions if (one.tissue, one.hemisphere, one.eroded) == wanted), None)


def tabulate(regions: Sequence[RegionStatistics]) -> tuple[MapOfRegions, ...]:
    """Return the table of all maps."""
    tables = []
    for file in maps_of(regions):
        own = [one for one in regions if one.map == file]
        tables.append(
            MapOfRegions(
                title=title_of_map(file),
                file=file,
                rows=_rows(own, (Hemisphere.NEITHER,)),
                by_side=_rows(own, (Hemisphere.LEFT, Hemisphere.RIGHT)),
            )
        )
    return tuple(tables)


def headline_tissues(regions: Sequence[RegionStatistics]) -> tuple[Tissue, ...]:
    """Return the tissues that a reader asks for first, those without a median in any map left out."""
    found = {one.tissue for one in regions if one.median is not None}
    return tuple(tissue for tissue in HEADLINE if tissue in found)


def headlines(regions: Sequence[RegionStatistics]) -> tuple[Headline, ...]:
    """Return the medians that a reader asks for first."""
    tissues = headline_tissues(regions)
    lines = []
    for file in maps_of(regions):
        own = [one for one in regions if one.map == file]
        medians = [None if (one := find(own, tissue)) is None else one.median for tissue in tissues]
        lines.append(Headline(title=title_of_map(file), medians=tuple(map(_time, medians))))
    return tuple(lines)


def cautions_of(regions: Sequence[RegionStatistics]) -> tuple[str, ...]:
    """Return what makes these numbers say less than they seem to."""
    return tuple(
        caution
        for file in maps_of(regions)
        for tissue in TISSUES
        if (one := find([one for one in regions if one.map == file], tissue))
        for caution in (_few(one), _not_fitted(one))
        if caution
    )


def _few(one: RegionStatistics) -> str:
    if one.n_voxels >= FEW:
        return ""
    voxels = "1 voxel" if one.n_voxels == 1 else f"{one.n_voxels} voxels"
    return f"{title_of_map(one.map)}: {one.tissue.meaning} has {voxels} only. A handful of them decides its numbers."


def _not_fitted(one: RegionStatistics) -> str:
    if one.not_fitted < MUCH_NOT_FITTED or one.tissue is Tissue.FLUID:
        return ""
    share = wording.percent(round(one.not_fitted * one.n_voxels), one.n_voxels)
    return (
        f"{title_of_map(one.map)}: {share} of the voxels of {one.tissue.meaning} have no T1. The numbers are those of "
        "the others, which need not be like them."
    )


def _rows(own: Sequence[RegionStatistics], sides: Iterable[Hemisphere]) -> tuple[RegionRow, ...]:
    return tuple(
        _row(one, find(own, tissue, side, eroded=True))
        for tissue in TISSUES
        for side in sides
        if (one := find(own, tissue, side))
    )


def _row(one: RegionStatistics, inside: RegionStatistics | None) -> RegionRow:
    return RegionRow(
        tissue=one.tissue.meaning,
        colour=colours.hexadecimal(colours.TISSUE_COLOURS[one.tissue]),
        side=SIDES.get(one.hemisphere, ""),
        n_voxels=wording.grouped(one.n_voxels),
        volume=f"{one.volume:.1f}",
        median=_time(one.median),
        middle_half=NO_NUMBER
        if one.quartile_1 is None or one.quartile_3 is None
        else f"{T1.written(one.quartile_1, unit=False)} to {T1.written(one.quartile_3, unit=False)}",
        mean=_time(one.mean),
        sd=_time(one.sd),
        not_fitted=wording.percent(round(one.not_fitted * one.n_voxels), one.n_voxels),
        n_inside=wording.grouped(inside.n_voxels) if inside else "0",
        median_inside=_time(inside.median if inside else None),
        sd_inside=_time(inside.sd if inside else None),
    )


def _time(value: float | None) -> str:
    """Write a time [s] without its unit."""
    return NO_NUMBER if value is None else T1.written(value, unit=False)
