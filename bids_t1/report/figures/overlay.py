"""Lines over a map in shades of grey: outlines of tissues, and edges of one map over another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.data.outputs import T1_VIEW, View
from bids_t1.data.tissue import TISSUES, Tissue
from bids_t1.report.figures import colours
from bids_t1.report.figures.mosaic import LegendEntry, MapFigure, Tile, enlarged, enlargement, tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from bids_t1.report.figures.orientation import Layout

LIMITS = (0.0, 3.0)
"""T1 that is drawn black and white [s]."""

EDGE = 0.25
"""Step of T1 that is drawn as an edge [s]."""

BLUR = 0.6
"""SD of the smoothing before edges are sought, in voxels: less, and noise has edges."""

EDGE_COLOUR = (255, 128, 0)

FIRST_LINE = colours.MISSING - len(TISSUES)
"""Palette index of the first of the colours of lines; the lightest greys give way to them."""

LINE = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 2)
"""What lies within two pixels: the width of outlines."""

NEAR = 4
"""How far outside of the brain edges are drawn, in voxels."""

RANKS = {
    Tissue.FLUID: 1,
    Tissue.GREY_MATTER: 2,
    Tissue.WHITE_MATTER: 3,
    Tissue.SUBCORTICAL_GREY_MATTER: 4,
}
"""A border between two tissues is drawn once, in the colour of the higher one."""


def draw_tissues(time: NDArray[np.floating], tissue: NDArray[np.integer], layout: Layout, file: str) -> MapFigure:
    """Draw the outlines of tissues on a map of T1 [s]."""
    ranks = np.zeros(256, np.uint8)
    for kind, rank in RANKS.items():
        ranks[kind] = rank
    by_rank = {rank: TISSUES.index(kind) for kind, rank in RANKS.items()}
    codes = np.array([colours.MISSING, *(FIRST_LINE + by_rank[rank] for rank in sorted(by_rank))], np.uint8)
    shown = ranks[tissue]

    def lines(index: int) -> NDArray[np.uint8]:
        labels = enlarged(layout.picture(shown, index).astype(np.uint8))
        return np.where(labels > ndimage.minimum_filter(labels, footprint=LINE), codes[labels], 0)

    present = [kind for kind in TISSUES if np.any(tissue == kind)]
    names = ", ".join(kind.meaning for kind in present) or "none"
    return MapFigure(
        label="Tissues on T1",
        description="Lines: outlines of the tissues. Under them T1 in shades of grey, from 0 s (black) to 3 s (white).",
        file=file,
        tiles=_tiles(time, layout, lines),
        bar=None,
        alt=f"Outlines of tissues ({names}) on T1, {layout.plane.name} slice",
        legend=legend(present),
    )


def legend(tissues: Iterable[Tissue]) -> tuple[LegendEntry, ...]:
    """Return what the colours of tissues mean."""
    return tuple(
        LegendEntry(colour=colours.hexadecimal(colours.TISSUE_COLOURS[kind]), meaning=kind.meaning) for kind in tissues
    )


def draw_edges(
    maps: tuple[NDArray[np.floating], NDArray[np.floating]], brain: NDArray[np.bool_], layout: Layout, label: str
) -> MapFigure:
    """Draw the edges that the second map of T1 [s] has in and near the brain over the first."""
    time, moving = maps
    near = ndimage.binary_dilation(brain, iterations=NEAR)

    def lines(index: int) -> NDArray[np.uint8]:
        where = enlarged(layout.picture(near, index).astype(np.uint8)) > 0
        return np.where(find_edges(layout.picture(moving, index)) & where, FIRST_LINE, 0).astype(np.uint8)

    table = _table()
    table[FIRST_LINE] = EDGE_COLOUR
    return MapFigure(
        label=label,
        description="",
        file="",
        tiles=_tiles(time, layout, lines, table),
        bar=None,
        alt=f"Edges of the other T1 map over T1 of inversion recovery, {label}, {layout.plane.name} slice",
    )


def find_edges(picture: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return where T1 [s] changes most steeply, in a picture enlarged as those of the page are.

    Crests of the gradient of the smoothed picture, where they are as high as that of a step of `EDGE` is.
    """
    factor = enlargement(picture.shape)
    known = np.clip(np.nan_to_num(picture, nan=0.0, posinf=LIMITS[1]), *LIMITS).astype(np.float64)
    fine = ndimage.zoom(known, factor, order=1, mode="nearest", grid_mode=True)
    width = BLUR * factor
    rows, columns = np.gradient(ndimage.gaussian_filter(fine, width))
    steepness = np.hypot(rows, columns)
    along = np.divide((rows, columns), steepness, out=np.zeros((2, *fine.shape)), where=steepness > 0)
    here = np.indices(fine.shape, dtype=np.float64)
    ahead, behind = (
        ndimage.map_coordinates(steepness, here + sign * along, order=1, mode="nearest") for sign in (1, -1)
    )
    # Linear interpolation has blurred the step too, by a triangle one voxel wide on each side.
    lowest = EDGE / (np.sqrt(2 * np.pi * (BLUR**2 + 1 / 6)) * factor)
    crests = (steepness >= ahead) & (steepness > behind) & (steepness > lowest)
    edges: NDArray[np.bool_] = ndimage.binary_dilation(crests)
    return edges


def _tiles(
    time: NDArray[np.floating],
    layout: Layout,
    lines: Callable[[int], NDArray[np.uint8]],
    table: NDArray[np.uint8] | None = None,
) -> tuple[Tile, ...]:
    tiles = []
    for index, position in zip(layout.slices, layout.positions, strict=True):
        background, drawn = enlarged(_shades(layout.picture(time, index))), lines(index)
        picture = np.where(drawn > 0, drawn, background).astype(np.uint8)
        tiles.append(tile(picture, _table() if table is None else table, layout.pixel_size, position))
    return tuple(tiles)


def _shades(time: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return palette indices of T1 [s], of which those of lines are left out."""
    codes = colours.indices(time, LIMITS)
    return np.where(codes == colours.MISSING, codes, np.minimum(codes, FIRST_LINE - 1)).astype(np.uint8)


def _table() -> NDArray[np.uint8]:
    """Return shades of grey with the colours of tissues among them."""
    view = View(colour_map="grey", limits=T1_VIEW.limits, label=T1_VIEW.label)
    table = colours.colour_table(view, LIMITS)
    for place, kind in enumerate(TISSUES):
        table[FIRST_LINE + place] = colours.TISSUE_COLOURS[kind]
    return table
