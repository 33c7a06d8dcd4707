"""Maps as pictures: one small PNG per slice, a colour bar, and words for those who cannot see them.

The pictures hold voxels and nothing else. Letters, positions and numbers are text of the page, which can be
read aloud, copied, enlarged and printed, and follows the reader's dark or light theme.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from bids_t1.data.estimate import VoxelStatus
from bids_t1.report.figures import colours
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bids_t1.data.outputs import Output
    from bids_t1.report.figures.orientation import Layout

CRISP = 400
"""Pixels along the longer side that pictures are enlarged to, by whole factors: voxels stay squares."""

N_TICKS = 6

MARK = colours.MISSING - 1
"""Palette index of marked voxels; the lightest grey gives way to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One slice."""

    source: str
    """PNG as a data URI."""

    width: int
    height: int
    """Size in pixels whose ratio is that of the millimetres."""

    position: str
    ground: str
    """What shows where the picture is clear; see `colours.GROUNDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourBar:
    """What the colours mean."""

    source: str
    label: str
    no_value: str
    """Colour of voxels without a value, as the style sheet writes it."""

    ticks: tuple[tuple[float, str], ...]
    """Place along the bar in percent, and the value there."""

    beyond: str
    """How many voxels lie beyond the ends; empty where none do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """What one colour means, where there is no scale."""

    colour: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFigure:
    """A map of one quantity."""

    label: str
    description: str
    file: str
    tiles: tuple[Tile, ...]
    bar: ColourBar | None
    alt: str
    legend: tuple[LegendEntry, ...] = ()

    def few(self, n_tiles: int) -> MapFigure:
        """Return the figure with some of its slices, from the middle half of them."""
        last = len(self.tiles) - 1
        chosen = dict.fromkeys(round(last * (0.3 + 0.4 * tile / max(1, n_tiles - 1))) for tile in range(n_tiles))
        return replace(self, tiles=tuple(self.tiles[tile] for tile in chosen))


def draw_map(output: Output, values: NDArray[np.floating], layout: Layout, file: str) -> MapFigure:
    """Draw a map in the colours of its row in the outputs table."""
    finite = values[np.isfinite(values)]
    limits = colours.limits_of(output.view, finite)
    table = colours.colour_table(output.view, limits)
    median = wording.number(float(np.median(finite)), 3) if finite.size else "none, no voxel has a value"
    name, _, unit = output.view.label.partition(" [")
    return MapFigure(
        label=output.view.label,
        description=wording.typeset(output.description),
        file=file,
        tiles=_tiles(values, table, layout, lambda picture: colours.indices(picture, limits)),
        bar=ColourBar(
            source=_png(np.arange(colours.N_COLOURS, dtype=np.uint8)[None], table),
            label=output.view.label,
            no_value=colours.of_page(colours.ground_of(table)),
            ticks=_ticks(limits),
            beyond=_beyond(finite, limits),
        ),
        alt=f"{name}, {layout.plane.name} slice; median {median} {unit.rstrip(']')}".rstrip(),
    )


def draw_marks(
    output: Output, marked: NDArray[np.bool_], background: NDArray[np.uint8], layout: Layout, file: str
) -> MapFigure:
    """Draw marked voxels over a picture in shades of grey (palette indices), on the slices that hold most of them."""
    codes = np.where(
        marked, MARK, np.where(background == colours.MISSING, colours.MISSING, background - (background == MARK))
    )
    table = colours.colour_table(replace(output.view, colour_map="grey"), (0.0, 1.0))
    table[MARK] = colours.STATUS_COLOURS[VoxelStatus.TWO_MODES]
    count = int(marked.sum())
    meaning = f"{output.view.label}: {wording.grouped(count)} {'voxel' if count == 1 else 'voxels'}"
    return MapFigure(
        label=output.view.label,
        description=wording.typeset(output.description),
        file=file,
        tiles=_tiles(codes, table, layout),
        bar=None,
        alt=f"{meaning} in the whole image, marked over an {layout.plane.name} slice",
        legend=(
            LegendEntry(colour=colours.hexadecimal(table[MARK]), meaning=meaning),
            LegendEntry(colour=colours.of_page(colours.ground_of(table)), meaning="no value"),
        ),
    )


def draw_status(output: Output, status: NDArray[np.integer], layout: Layout, file: str) -> MapFigure:
    """Draw the map of why voxels have, or have not, an estimate."""
    return MapFigure(
        label=output.view.label,
        description=wording.typeset(output.description),
        file=file,
        tiles=_tiles(status, colours.status_table(), layout, of_status=True),
        bar=None,
        alt=f"Status of each voxel, {layout.plane.name} slice; the table beside it gives the numbers",
    )


def data_uri(kind: str, content: bytes) -> str:
    """Return content that stands in the page itself, so that the page can be mailed as one file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _as_codes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return picture.astype(np.uint8)


def _tiles(
    values: NDArray[Any],
    table: NDArray[np.uint8],
    layout: Layout,
    painted: Callable[[NDArray[Any]], NDArray[np.uint8]] = _as_codes,
    *,
    of_status: bool = False,
) -> tuple[Tile, ...]:
    pictures = (painted(layout.picture(values, index)) for index in layout.slices)
    return tuple(
        tile(picture, table, layout.pixel_size, position, of_status=of_status)
        for picture, position in zip(pictures, layout.positions, strict=True)
    )


def tile(
    picture: NDArray[np.uint8],
    table: NDArray[np.uint8],
    pixel_size: tuple[float, float],
    position: str,
    *,
    of_status: bool = False,
) -> Tile:
    """Return one slice of palette indices; `pixel_size` gives its proportions.

    It is clear where there is no value, or, of the status, no signal: the page has a ground for light and for dark.
    """
    rows, columns = picture.shape
    width, height = columns * pixel_size[0], rows * pixel_size[1]
    scale = CRISP / max(width, height)
    return Tile(
        source=_png(enlarged(picture), table, clear=VoxelStatus.NO_SIGNAL if of_status else colours.MISSING),
        ground=colours.STATUS_GROUND if of_status else colours.ground_of(table),
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        position=position,
    )


def enlargement(shape: tuple[int, ...]) -> int:
    """Return the whole factor by which a picture is enlarged."""
    return max(1, round(CRISP / max(shape)))


def enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture whose voxels are squares of several pixels."""
    factor = enlargement(picture.shape)
    return picture.repeat(factor, 0).repeat(factor, 1)


def _png(picture: NDArray[np.uint8], table: NDArray[np.uint8], clear: int | None = None) -> str:
    """Return a picture of palette indices, one of which is clear: a third of the size of one in full colour."""
    rows, columns = picture.shape
    image = Image.frombytes("P", (columns, rows), np.ascontiguousarray(picture).tobytes())
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, **({} if clear is None else {"transparency": int(clear)}))
    return data_uri("image/png", buffer.getvalue())


def _ticks(limits: tuple[float, float]) -> tuple[tuple[float, str], ...]:
    """Return round values along a colour bar, its ends included."""
    lower, upper = limits
    step = _round_step((upper - lower) / N_TICKS)
    inner = np.arange(math.ceil(lower / step), math.floor(upper / step + 1e-9) + 1) * step
    return tuple((round(100 * (float(v) - lower) / (upper - lower), 3), f"{round(float(v), 9):g}") for v in inner)


def _round_step(smallest: float) -> float:
    unit = 10.0 ** math.floor(math.log10(smallest))
    return next(factor * unit for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if smallest <= factor * unit * (1 + 1e-9))


def _beyond(finite: NDArray[np.floating], limits: tuple[float, float]) -> str:
    """Say how many values the ends of the colour bar hide."""
    below, above = int((finite < limits[0]).sum()), int((finite > limits[1]).sum())
    parts = [
        f"{wording.percent(count, finite.size)} of values {side} {limit:g}"
        for count, side, limit in ((below, "below", limits[0]), (above, "above", limits[1]))
        if count
    ]
    return f"{wording.listed(parts)}, shown in the colour of the end" if parts else ""
