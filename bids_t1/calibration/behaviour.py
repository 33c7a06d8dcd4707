"""What a correction does beside being right on average: whether a lesion survives it, and whether it smooths.

A correction that has learned what brains look like could turn an unusual T1 into a usual one, and lower errors by
smoothing. Both are measured on the lattice, in heads that were held out.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt

from bids_t1.data.calibration import Behaviour
from bids_t1.data.tissue import Tissue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.calibration.lattice import LatticeScan
    from bids_t1.data.calibration import Method
    from bids_t1.data.shapes import Map, VoxelFlags

    Predict = Callable[[LatticeScan, VoxelFlags], Map]

LESION = 1.2
"""T1 in a painted lesion over that before."""

RADIUS = 6.0
"""Of the lesion [mm]."""

N_BANDS = 3
"""Of spatial frequency, from zero to that of the lattice, of equal width."""


def lesion_of(scan: LatticeScan) -> VoxelFlags | None:
    """Return a ball in the thickest white matter of a head; None where none is told."""
    white = (scan.tissue == Tissue.WHITE_MATTER) & scan.wanted
    if not white.any():
        return None
    depth = distance_transform_edt(white)
    centre = np.unravel_index(int(np.argmax(depth)), white.shape)
    away = np.sum((np.indices(white.shape) - np.reshape(centre, (3, 1, 1, 1))) ** 2, axis=0)
    ball: VoxelFlags = white & (away <= (RADIUS / min(scan.grid.voxel_sizes)) ** 2)
    return ball


def lesion_response(scan: LatticeScan, predict: Predict) -> float | None:
    """Return d log(T1 out) / d log(T1 in) of a painted lesion: 1 where it survives, 0 where it is corrected away.

    Parameters
    ----------
    scan
        Of a head that was held out.
    predict
        Logarithm of the factor of a correction, at some voxels.
    """
    ball = lesion_of(scan)
    if ball is None:
        return None
    painted = replace(scan, time=np.where(ball, LESION * scan.time, scan.time).astype(np.float32))
    change = (predict(painted, ball) - predict(scan, ball))[ball]
    known = np.isfinite(change)
    return 1 + float(change[known].mean()) / math.log(LESION) if known.any() else None


def spectrum(scan: LatticeScan, predict: Predict) -> tuple[float, ...] | None:
    """Return the amplitude of log T1 after correction over that before, by spatial frequency, low ones first."""
    log_factor = predict(scan, scan.wanted)
    known = np.isfinite(log_factor)
    if not known.any():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        before, after = (_power(values, known) for values in (np.log(scan.time), np.log(scan.time) + log_factor))
    return tuple(math.sqrt(new / old) if old else math.nan for old, new in zip(before, after, strict=True))


def _power(values: Map, known: VoxelFlags) -> list[float]:
    """Return the power in each band; what is not known is the mean."""
    filled = np.where(known, values - values[known].mean(), 0)
    axes = np.meshgrid(*(np.fft.fftfreq(n) for n in filled.shape), indexing="ij")
    band = np.minimum(2 * N_BANDS * np.sqrt(sum(axis**2 for axis in axes)), N_BANDS - 1).astype(int)
    power = np.abs(np.fft.fftn(filled)) ** 2
    return [float(power[band == each].sum()) for each in range(N_BANDS)]


def behave(found: Mapping[Method, Sequence[tuple[float | None, tuple[float, ...] | None]]]) -> tuple[Behaviour, ...]:
    """Bring what was measured in single heads together."""
    rows = []
    for method, heads in found.items():
        responses = [response for response, _ in heads if response is not None]
        spectra = [bands for _, bands in heads if bands is not None]
        if responses and spectra:
            rows.append(
                Behaviour(
                    method=method,
                    n_scans=len(heads),
                    lesion_response=float(np.mean(responses)),
                    least_response=min(responses),
                    spectrum=tuple(float(each) for each in np.mean(spectra, axis=0)),
                )
            )
    return tuple(rows)
