"""The scale of images, which scanners and conversions choose freely: results must not depend on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bids_t1.data.shapes import Measurements

SAMPLE = 100_000
"""Voxels looked at in each image."""


def unit_of(measurements: Measurements) -> float:
    """Return a power of two near the typical size of some images; 1 where they hold nothing.

    Division by it is exact, and squares of what is left neither overflow nor vanish in single precision.

    Parameters
    ----------
    measurements
        (measurement, *voxels).
    """
    flat = measurements.reshape(len(measurements), -1)
    sizes = np.abs(flat[:, :: max(1, flat.shape[1] // SAMPLE)].astype(np.complex128))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return 2.0 ** math.floor(math.log2(np.median(sizes))) if sizes.size else 1.0
