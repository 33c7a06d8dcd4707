"""A few voxels' measurements beside their fits, for eyes to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.data.estimate import Estimate, VoxelStatus
from bids_t1.data.result import Example
from bids_t1.estimation.polarity import real_part

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Series
    from bids_t1.data.signal_model import SignalModel

QUANTILES = (0.1, 0.35, 0.65, 0.9)
"""Positions of the examples among the fitted relaxation times."""


def choose_examples(
    model: SignalModel, series: Series, times: tuple[float, ...], estimate: Estimate
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


def _example(model: SignalModel, series: Series, times: tuple[float, ...], estimate: Estimate, voxel: int) -> Example:
    i, j, k = (int(index) for index in np.unravel_index(voxel, estimate.time.shape))
    time = torch.tensor([estimate.time.flat[voxel]], dtype=torch.float64)
    columns, _ = model.columns(time)
    amplitude = float(estimate.amplitude.flat[voxel])
    ratio = float(estimate.ratio.flat[voxel])
    coefficients = torch.tensor([amplitude, amplitude * ratio][: model.n_coefficients], dtype=torch.float64)
    fitted = torch.einsum("c,cm->m", coefficients, columns[..., 0]).numpy()
    measured = series.measurements[:, i, j, k]
    if series.kind == "complex":
        measured = real_part(torch.from_numpy(measured[:, None]))[:, 0].numpy()
    measured = (
        np.abs(measured) * np.sign(fitted) if series.kind == "magnitude" else measured * np.sign(measured @ fitted)
    )
    return Example(
        voxel=(i, j, k),
        times=times,
        measured=tuple(float(value) for value in measured),
        fitted=tuple(float(value) for value in fitted),
        estimate=float(time),
        sd=float(estimate.time_sd.flat[voxel]),
    )
