"""Series of DICOM images: which images a scanner keeps together, and the slices of their volumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1_phantom.writers.habits import HABITS, ORDERS
from bids_t1_phantom.writers.headers import SeriesName, position
from bids_t1_phantom.writers.siemens_protocol import series_header
from bids_t1_phantom.writers.vendors import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Grid
    from bids_t1_phantom.sequences.scan import Scan, Timing
    from bids_t1_phantom.writers.habits import DicomOptions, Order
    from bids_t1_phantom.writers.vendors import Habit, Stored

    Group = list[tuple[str, int]]
    """Part and index of each image of a series."""

_SCALED = frozenset({"mag", "real", "imag"})
"""Parts whose brightness the scanner chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Images that a scanner keeps together."""

    name: SeriesName
    habit: Habit
    frames: tuple[Frame, ...]
    grid: Grid
    private_header: bytes | None
    """What Siemens hides in its private series header; None where nothing is."""


def plan_series(scans: Sequence[Scan], options: DicomOptions) -> list[Series]:
    """Sort the images of an examination into series."""
    series: list[Series] = []
    for scan in scans:
        series += _of_scan(scan, options, rank=len(series))
    return series


def _of_scan(scan: Scan, options: DicomOptions, *, rank: int) -> list[Series]:
    habit, order = HABITS[scan.name][options.vendor], ORDERS[scan.name]
    apart = order.apart(options)
    parts = habit.parts[order.choice(options)]
    groups = _groups(scan, habit, parts, options) + [[(part, 0)] for part in habit.derived]
    stored = {part: _stored(scan, habit, order, part) for part in (*parts, *habit.derived)}
    header = None if habit.private_protocol is None else series_header(habit.private_protocol(scan))
    series = []
    for index, group in enumerate(groups, start=rank):
        part, first = group[0]
        protocol = scan.called(first if apart else None)
        name = SeriesName(
            number=_number(habit, index),
            description=habit.describe(part, protocol=protocol, name=scan.name, number=first + 1),
            protocol=protocol,
        )
        frames = (
            frame
            for part, image in group
            for frame in _slices(stored[part][image], part, _timing(scan, habit, part, image), scan.grid)
        )
        series.append(Series(name=name, habit=habit, frames=tuple(frames), grid=scan.grid, private_header=header))
    return series


def _groups(scan: Scan, habit: Habit, parts: tuple[str, ...], options: DicomOptions) -> list[Group]:
    """Sort images by measurement where they are apart, and by part where the vendor does."""
    order = ORDERS[scan.name]
    images = range(scan.n_images)
    measurements = [[image] for image in images] if order.apart(options) else [list(images)]
    shares = _shares(habit, order, parts, options)
    return [[(part, image) for image in kept for part in share] for kept in measurements for share in shares]


def _shares(habit: Habit, order: Order, parts: tuple[str, ...], options: DicomOptions) -> list[tuple[str, ...]]:
    together = habit.vendor.parts_share_series or (options.one_series and order.one_series_joins_parts)
    return [parts] if together else [(part,) for part in parts]


def _stored(scan: Scan, habit: Habit, order: Order, part: str) -> list[Stored]:
    volumes = scan.volumes(part).astype(np.float32)
    if order.brightest is not None and part in _SCALED and not habit.vendor.scales_volumes:
        volumes = volumes * np.float32(order.brightest / float(np.abs(scan.images).max()))
    return [habit.vendor.store(volume, part) for volume in volumes]


def _timing(scan: Scan, habit: Habit, part: str, image: int) -> Timing:
    timing = scan.timing(part, image)
    if timing.cycle_time is not None and habit.vendor.repeats_cycles:
        return replace(timing, repetition_time=timing.cycle_time)
    return timing


def _number(habit: Habit, rank: int) -> int:
    """Return the number of a series by its rank, from 0, in the examination."""
    step = habit.vendor.series_step
    return (rank + 3) * step + (step > 1)


def _slices(stored: Stored, part: str, timing: Timing, grid: Grid) -> Iterator[Frame]:
    for index in range(grid.shape[2]):
        yield Frame(
            pixels=_to_rows(stored.pixels[:, :, index]),
            stored=stored,
            part=part,
            slice_number=index + 1,
            n_slices=grid.shape[2],
            position=position(grid, index),
            timing=timing,
        )


def _to_rows(plane: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn (x, y), which grow right and forward, into (row, column), which grow back and left."""
    return np.ascontiguousarray(plane[::-1, ::-1].T)
