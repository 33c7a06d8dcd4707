"""Inversion recovery whose inversion times differ from slice to slice: one model for slices of like times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import NoSignalError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.groups import grouped_by
from bids_t1.estimation.curves.engine import estimate
from bids_t1.estimation.noise import find_background

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.estimation.curves.engine import EstimationOptions
    from bids_t1.sequences.inversion_recovery import InversionRecovery

MAPS = ("time", "time_sd", "amplitude", "ratio", "residual", "relative_error", "share")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Slices of like inversion times."""

    model: InversionRecovery
    """With the times of these slices, rising."""

    images: tuple[int, ...]
    """Numbers of the images in the order of their times."""

    slices: NDArray[np.intp]


def group_slices(model: InversionRecovery, delays: NDArray[np.float64]) -> tuple[Group, ...]:
    """Return the groups of slices; delays (measurement, slice) add to the inversion times [s].

    Raises
    ------
    InvalidInputError
        If a slice is read after its repetition time.
    """
    by_delays = grouped_by(range(delays.shape[1]), lambda number: tuple(delays[:, number].tolist()))
    groups = []
    for column, slices in by_delays.items():
        times = [time + delay for time, delay in zip(model.inversion_times, column, strict=True)]
        order = tuple(int(image) for image in np.argsort(times, kind="stable"))
        of_slice = replace(model, inversion_times=tuple(times)).select(order)
        groups.append(Group(model=of_slice, images=order, slices=np.array(slices)))
    return tuple(groups)


def estimate_slices(
    groups: tuple[Group, ...],
    series: Series,
    axis: int,
    options: EstimationOptions,
    progress: Callable[[int], object],
) -> tuple[Estimate, Group]:
    """Fit all groups; return the maps together, and the group with most fitted voxels.

    Noise is learned from the whole image, the efficiency prior of each group from its own slices.

    Raises
    ------
    NoSignalError
        If no slice has signal.
    """
    if series.kind == "magnitude":
        options = replace(options, background=find_background(series.measurements))
    shape = series.measurements.shape[1:]
    maps = {name: np.full(shape, np.nan, np.float32) for name in MAPS}
    status = np.full(shape, VoxelStatus.NO_SIGNAL, np.uint8)
    best: tuple[int, Estimate, Group] | None = None
    for group in groups:
        part = np.take(series.measurements[list(group.images)], group.slices, axis=axis + 1)
        try:
            found = estimate(group.model, np.ascontiguousarray(part), series.kind, options, progress=progress)
        except NoSignalError:
            continue
        where = (slice(None),) * axis + (group.slices,)
        for name, values in maps.items():
            values[where] = getattr(found, name)
        status[where] = found.status
        n_fitted = int((found.status == VoxelStatus.FITTED).sum())
        if best is None or n_fitted > best[0]:
            best = n_fitted, found, group
    if best is None:
        raise NoSignalError("no voxel has a finite signal above the noise; expected images of a head or phantom.")
    whole = replace(
        best[1],
        time=maps["time"],
        time_sd=maps["time_sd"],
        amplitude=maps["amplitude"],
        ratio=maps["ratio"],
        residual=maps["residual"],
        relative_error=maps["relative_error"],
        share=maps["share"],
        status=status,
    )
    return whole, best[2]


def only(group: Group, axis: int, series: Series, fitted: Estimate) -> tuple[Series, Estimate]:
    """Return images in the order of one group, and the estimate of its slices alone, for examples."""
    outside = np.ones(fitted.status.shape, dtype=bool)
    outside[(slice(None),) * axis + (group.slices,)] = False
    status = np.where(outside, np.uint8(VoxelStatus.NO_SIGNAL), fitted.status)
    ordered = replace(series, measurements=series.measurements[list(group.images)])
    return ordered, replace(fitted, status=status)
