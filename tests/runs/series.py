"""Measurements as a series of inversion recovery, as if they had been read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.acquisition import Acquisition, Kind, Series
from bids_t1.data.entities import BidsName
from bids_t1.data.grid import Grid
from bids_t1.data.sidecar import Sidecar

if TYPE_CHECKING:
    from bids_t1.data.shapes import Affine


def series_of(measurements: np.ndarray, kind: Kind, affine: Affine | None = None) -> Series:
    """Return measurements (measurement, x, y, z) in single precision, on voxels of 1 mm unless told."""
    _, *shape = measurements.shape
    return Series(
        acquisition=Acquisition(BidsName.parse("sub-01_IRT1.nii.gz"), (), "IRT1"),
        measurements=np.ascontiguousarray(measurements, np.complex64 if kind == "complex" else np.float32),
        kind=kind,
        grid=Grid((shape[0], shape[1], shape[2]), np.eye(4) if affine is None else affine),
        sidecars=tuple(Sidecar(f"{number}.json", {}) for number in range(len(measurements))),
        sources=(),
        warnings=(),
    )
