"""Series of DICOM images: how they are asked for, what they hold, their numbers, and the slices of their volumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import UsageError
from bids_t1_phantom.writers.headers import position
from bids_t1_phantom.writers.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Grid
    from bids_t1_phantom.writers.headers import SeriesName
    from bids_t1_phantom.writers.vendors import Frame, Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomOptions:
    """How scanner files are written."""

    vendor: str = "siemens"
    """siemens, philips or ge."""

    enhanced: bool = False
    """Multi-frame files."""

    one_series: bool = False
    """All inversion times in one series, instead of a series each."""

    echo_part: str = "mag"
    """Of the multi-echo gradient echo: mag, polar or complex."""

    echo_series: str = "one"
    """Series of the multi-echo gradient echo: one for all echoes, or each its own."""

    nested: bool = True
    """A folder per series; False puts all files into one."""

    def __post_init__(self) -> None:
        """Refuse what no scanner writes."""
        if self.vendor not in VENDORS:
            raise UsageError(f"vendor {self.vendor!r}; expected one of {', '.join(VENDORS)}.")
        if self.enhanced and self.vendor == "ge":
            raise UsageError("GE scanners write no enhanced files here; expected siemens or philips, or no --enhanced.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Images that a scanner keeps together."""

    name: SeriesName
    vendor: Vendor
    frames: tuple[Frame, ...]
    grid: Grid


def series_number(vendor: Vendor, rank: int) -> int:
    """Return the number of a series by its rank, from 0, in the examination."""
    return (rank + 3) * vendor.series_step + (vendor.series_step > 1)


def slices(first: Frame, grid: Grid) -> Iterator[Frame]:
    """All slices of an image whose lowest is given."""
    for index in range(grid.shape[2]):
        yield replace(
            first,
            pixels=to_rows(first.stored.pixels[:, :, index]),
            slice_number=index + 1,
            position=position(grid, index),
        )


def to_rows(plane: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn (x, y), which grow right and forward, into (row, column), which grow back and left."""
    return np.ascontiguousarray(plane[::-1, ::-1].T)
