"""Measurements of some voxels beside what was fitted to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.data.estimate import Estimate, VoxelStatus
from bids_t1.data.result import ResidualsByTime
from bids_t1.data.signal_model import SurfaceModel
from bids_t1.estimation.curves.polarity import real_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Series
    from bids_t1.data.signal_model import SignalModel

MAX_VOXELS = 20_000
"""Voxels over which residuals are summed up."""

N_GROUPS = 3
"""Groups of equal size by relaxation time."""

MIN_VOXELS = 30
"""Fewer in a group give no median worth showing."""


def fitted_signals(
    model: SignalModel | SurfaceModel, estimate: Estimate, voxels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the signals of the fit, (measurement, voxel), at some flat voxel indices."""

    def values(of: NDArray[np.floating]) -> torch.Tensor:
        return torch.from_numpy(of.reshape(-1)[voxels].astype(np.float64))

    time, last = values(estimate.time), values(estimate.amplitude)
    if isinstance(model, SurfaceModel):
        (first, second), _ = model.surface(time, values(estimate.share))
        return np.asarray((last * (first + values(estimate.ratio) * second)).numpy())
    columns, _ = model.columns(time)
    coefficients = [last]
    if model.n_coefficients > 1:
        last = last * values(estimate.ratio)
        coefficients.append(last)
    signals = (torch.stack(coefficients)[:, None] * columns).sum(0)
    if model.companion is not None:
        signals += values(estimate.share) * last * model.companion.column(time)[0]
    return signals.numpy()


def measured_signals(series: Series, fitted: NDArray[np.float64], voxels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the measurements with the signs that the fit gives them, (measurement, voxel)."""
    measured = series.measurements.reshape(len(series.measurements), -1)[:, voxels]
    if series.kind == "magnitude":
        return np.asarray(np.abs(measured) * np.sign(fitted), dtype=np.float64)
    if series.kind == "complex":
        measured = real_part(torch.from_numpy(measured)).numpy()
    return np.asarray(measured * np.sign((measured * fitted).sum(0)), dtype=np.float64)


def residuals_by_time(
    model: SignalModel | SurfaceModel, series: Series, estimate: Estimate
) -> tuple[ResidualsByTime, ...]:
    """Return what the fit leaves at each inversion time, as medians over voxels of like relaxation time.

    Noise leaves nothing there; a second component, a wrong time or an image out of scale do.
    """
    chosen = np.flatnonzero(estimate.status == VoxelStatus.FITTED)
    chosen = chosen[:: max(1, len(chosen) // MAX_VOXELS)]
    by_time = chosen[np.argsort(estimate.time.reshape(-1)[chosen], kind="stable")]
    return tuple(
        _medians(model, series, estimate, group)
        for group in np.array_split(by_time, N_GROUPS)
        if len(group) >= MIN_VOXELS
    )


def _medians(
    model: SignalModel | SurfaceModel, series: Series, estimate: Estimate, voxels: NDArray[np.integer]
) -> ResidualsByTime:
    fitted = fitted_signals(model, estimate, voxels)
    relative = (measured_signals(series, fitted, voxels) - fitted) / estimate.amplitude.reshape(-1)[voxels]
    times = estimate.time.reshape(-1)[voxels]
    return ResidualsByTime(
        between=(float(times[0]), float(times[-1])),
        n_voxels=len(voxels),
        medians=tuple(float(value) for value in np.median(relative, axis=1)),
    )
