"""Strips of points along one axis, as SVG that takes its colours from the page and needs no script."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WIDTH = 360
LEFT, RIGHT = 12, 12
NAME, LANE, AXIS = 18, 7, 26
"""Heights of the name of a row, of one lane of points, and of the axis [pixel]."""

RADIUS = 4.5
FEWEST_LANES, MOST_LANES = 4, 9


@dataclass(frozen=True, slots=True)
class Band:
    """A range behind the points."""

    low: float
    high: float | None
    """None: to the end of the axis."""

    told: str
    kind: Literal["published", "doubtful", "bad"] = "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One map."""

    value: float
    page: str
    name: str
    """File name of the map."""

    told: str
    is_far: bool
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The points of one sequence."""

    title: str
    points: tuple[Point, ...]
    bands: tuple[Band, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A point where it is drawn [pixel]."""

    x: float
    y: float
    point: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A band where it is drawn [pixel]."""

    x: float
    width: float
    band: Band


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A row where it is drawn [pixel]."""

    title: str
    top: float
    bottom: float
    boxes: tuple[Box, ...]
    points: tuple[Placed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One number of all maps."""

    title: str
    unit: str
    key: str
    height: float
    rows: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    told: str
    """What it shows, for readers who cannot see it."""

    bands: tuple[str, ...]
    """What the ranges are."""

    width: int = WIDTH


def draw_strip(title: str, unit: str, key: str, rows: Sequence[Row]) -> Strip:
    """Place the points of one number."""
    low, high, step = _axis(rows)
    scale = (WIDTH - LEFT - RIGHT) / (high - low)
    top, lanes = 0.0, []
    for row in rows:
        bottom = top + NAME + LANE * _n_lanes(row)
        lanes.append(
            Lane(
                title=row.title,
                top=top + NAME,
                bottom=bottom,
                boxes=tuple(_boxes(row.bands, low, high, scale)),
                points=_placed(row, lambda value: LEFT + (value - low) * scale, (top + NAME + bottom) / 2),
            )
        )
        top = bottom + 6
    n_steps = round((high - low) / step)
    ticks = tuple((LEFT + step * place * scale, f"{low + step * place:g}") for place in range(n_steps + 1))
    return Strip(
        title=title,
        unit=unit,
        key=key,
        height=top + AXIS,
        rows=tuple(lanes),
        ticks=ticks,
        told="; ".join(_told(row, unit) for row in rows),
        bands=tuple(dict.fromkeys(box.band.told for lane in lanes for box in lane.boxes)),
    )


def _told(row: Row, unit: str) -> str:
    values = sorted(point.value for point in row.points)
    return f"{row.title}: {len(values)} from {values[0]:.3g} to {values[-1]:.3g} {unit}".rstrip()


def _axis(rows: Sequence[Row]) -> tuple[float, float, float]:
    """Return ends at round numbers around all points and published ranges, and the step between ticks."""
    low, high = _extremes(rows)
    spread = (high - low) or abs(high) or 1.0
    rough = spread / 4
    step = 10.0 ** math.floor(math.log10(rough))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, max(last, first + 1) * step, step


def _extremes(rows: Sequence[Row]) -> tuple[float, float]:
    values = [point.value for row in rows for point in row.points]
    ends = [end for row in rows for band in row.bands if band.high is not None for end in (band.low, band.high)]
    return min([*values, *ends]), max([*values, *ends])


def _boxes(bands: Sequence[Band], low: float, high: float, scale: float) -> Iterator[Box]:
    for band in bands:
        begin, end = max(band.low, low), min(high if band.high is None else band.high, high)
        if end > begin:
            yield Box(x=LEFT + (begin - low) * scale, width=(end - begin) * scale, band=band)


def _n_lanes(row: Row) -> int:
    return max(FEWEST_LANES, min(MOST_LANES, math.ceil(len(row.points) / 12)))


def _placed(row: Row, x_of: Callable[[float], float], middle: float) -> tuple[Placed, ...]:
    """Put points of like value beside each other: each in the lane nearest to the middle that is free, if any is."""
    order = sorted(row.points, key=lambda point: point.value)
    lanes = sorted(range(-(_n_lanes(row) // 2), _n_lanes(row) // 2 + 1), key=abs)
    ends = dict.fromkeys(lanes, -math.inf)
    placed = []
    for point in order:
        x = x_of(point.value)
        lane = next((lane for lane in lanes if ends[lane] <= x), min(lanes, key=lambda lane: ends[lane]))
        ends[lane] = x + 2 * RADIUS
        placed.append(Placed(x=round(x, 1), y=round(middle + LANE * lane * 0.75, 1), point=point))
    return tuple(placed)
