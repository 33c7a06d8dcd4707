"""Complex echoes without their phase: real signals with Gaussian noise, where magnitudes have a noise floor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.estimation.scale import unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Measurements

N_REFINEMENTS = 3

WHOLE = 0.97
"""Share of the magnitude that is left in the real part, from which the phase is taken as a straight line."""

BRIGHT = 0.2
"""Share of the highest magnitudes from which a voxel tells about the phase."""


def demodulate(echoes: Measurements, echo_times: Sequence[float]) -> Measurements | None:
    """Turn complex echoes by a phase that is linear in time, fitted in each voxel, and keep the real part.

    Parameters
    ----------
    echoes
        Complex images (echo, *voxels).
    echo_times
        [s], rising.

    Returns
    -------
    Real signals (echo, *voxels); None where the phase of bright voxels is no straight line, as with readouts of
    alternating polarity: magnitudes are then the better choice.
    """
    unit = np.float32(unit_of(echoes))
    echoes = echoes / unit
    times = np.asarray(echo_times, np.float32).reshape(-1, *(1,) * (echoes.ndim - 1))
    steps = np.diff(times, axis=0)
    closest = np.isclose(steps.ravel(), steps.min(), rtol=1e-3)
    products = (echoes[:-1].conj() * echoes[1:])[closest].sum(0)
    frequency = np.angle(products) / steps.min()
    weights = np.square(np.abs(echoes))
    total = weights.sum(0) + np.finfo(np.float32).tiny
    mean_time = (weights * times).sum(0) / total
    spread = (weights * np.square(times - mean_time)).sum(0) + np.finfo(np.float32).tiny
    for _ in range(N_REFINEMENTS):
        turned = echoes * np.exp(-1j * frequency * times)
        turned *= np.exp(-1j * np.angle((turned * np.abs(turned)).sum(0)))
        frequency += (weights * (times - mean_time) * np.angle(turned)).sum(0) / spread
    turned = echoes * np.exp(-1j * frequency * times)
    turned *= np.exp(-1j * np.angle((turned * np.abs(turned)).sum(0)))
    real: Measurements = turned.real.astype(np.float32) * unit
    magnitude = np.abs(echoes).sum(0)
    bright = magnitude > BRIGHT * np.nanquantile(magnitude, 0.98)
    return real if np.median(turned.real.sum(0)[bright] / magnitude[bright]) > WHOLE else None
