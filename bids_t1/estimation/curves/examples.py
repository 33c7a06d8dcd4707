"""A few voxels' measurements beside their fits, for eyes to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.estimate import Estimate, VoxelStatus
from bids_t1.data.result import Example
from bids_t1.estimation.curves.fitted import fitted_signals, measured_signals

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Series
    from bids_t1.data.signal_model import SignalModel, SurfaceModel

QUANTILES = (0.1, 0.35, 0.65, 0.9)
"""Positions of the examples among the fitted relaxation times."""


def choose_examples(
    model: SignalModel | SurfaceModel, series: Series, times: tuple[float, ...], estimate: Estimate
) -> tuple[Example, ...]:
    """Pick fitted voxels from short to long relaxation times, and give magnitudes the signs of their fits.

    Parameters
    ----------
    model
        The sequence fitted.
    series
        The images fitted.
    times
        Inversion time of each image [s].
    estimate
        Maps of the fit.
    """
    fitted = np.flatnonzero(estimate.status == VoxelStatus.FITTED)
    if not len(fitted):
        return ()
    by_time = fitted[np.argsort(estimate.time.flat[fitted], kind="stable")]
    chosen = sorted({int(by_time[int(quantile * (len(by_time) - 1))]) for quantile in QUANTILES})
    found = [_example(model, series, times, estimate, voxel) for voxel in chosen]
    return tuple(sorted(found, key=lambda example: example.estimate))


def _example(
    model: SignalModel | SurfaceModel, series: Series, times: tuple[float, ...], estimate: Estimate, voxel: int
) -> Example:
    index = np.array([voxel])
    fitted = fitted_signals(model, estimate, index)
    measured = measured_signals(series, fitted, index)
    i, j, k = (int(place) for place in np.unravel_index(voxel, estimate.time.shape))
    return Example(
        voxel=(i, j, k),
        times=times,
        measured=tuple(float(value) for value in measured[:, 0]),
        fitted=tuple(float(value) for value in fitted[:, 0]),
        estimate=float(estimate.time.flat[voxel]),
        sd=float(estimate.time_sd.flat[voxel]),
    )
