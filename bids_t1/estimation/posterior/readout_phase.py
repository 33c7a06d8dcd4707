"""The phase between readouts: none in the model, which has one complex amplitude, and some in many images.

Coils that are combined for each readout on its own, and eddy currents, turn whole readouts against one another. With z
the product conj(g1) gk, real but for that turn and noise, half the argument of the sum of its squares is the turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from bids_t1.data.shapes import Map, Measurements

SMOOTHING = 3.0
"""SD of the neighbourhood whose phase is taken as one [voxels]."""

NEGLIGIBLE = 1.0
"""Phase that changes T1 by less than 0.1 % and stays [degree]."""

LARGE = 5.0
"""Phase from which to warn [degree]."""

BRIGHT = 0.1
"""Share of the mean weight from which a voxel is bright."""


@dataclass(frozen=True, slots=True)
class PhaseTurn:
    """What a readout is turned by against the first one, over bright voxels [degree]."""

    readout: int
    """Counted from 1."""

    median: float
    lowest: float
    """5 % quantile."""

    highest: float
    """95 % quantile."""

    removed: bool

    @property
    def largest(self) -> float:
        """Largest turn of most voxels."""
        return max(abs(self.lowest), abs(self.highest))

    @property
    def warning(self) -> str | None:
        """One sentence where the turn is large."""
        if self.largest <= LARGE:
            return None
        return (
            f"The phase of readout {self.readout} differs from that of readout 1 by {self.median:.0f} degrees "
            f"({self.lowest:.0f} to {self.highest:.0f}); it was estimated from the images and taken off. Coils that "
            "are combined for each readout on its own and eddy currents do this. A turn beyond 90 degrees cannot be "
            "told from another sign."
        )


def remove_phase(readouts: Measurements, negligible: float = NEGLIGIBLE) -> tuple[Measurements, tuple[PhaseTurn, ...]]:
    """Take the phase off that turns readouts against the first one.

    Parameters
    ----------
    readouts
        Complex, (readout, *voxels).
    negligible
        Phase that stays [degree].

    Returns
    -------
    readouts, turns
        The same array where nothing is turned; and what was found of each further readout.
    """
    aligned, turns = readouts, []
    for index in range(1, len(readouts)):
        phase, bright = _phase_of(readouts[0], readouts[index])
        low, median, high = np.degrees(np.quantile(phase[bright], (0.05, 0.5, 0.95))) if bright.any() else (0.0,) * 3
        is_turned = bool(max(abs(low), abs(high)) > negligible)
        turn = PhaseTurn(index + 1, float(median), float(low), float(high), removed=is_turned)
        turns.append(turn)
        if turn.removed:
            aligned = aligned.copy() if aligned is readouts else aligned
            aligned[index] *= np.exp(-1j * phase).astype(np.complex64)
    return aligned, tuple(turns)


def _phase_of(first: Map, other: Map) -> tuple[Map, Map]:
    """Return the phase [rad] in the neighbourhood of each voxel, or of a list of voxels, and which ones are bright."""
    with np.errstate(invalid="ignore", over="ignore"):
        square = np.square(first.conj() * other)
    square[~np.isfinite(square)] = 0
    size = np.abs(square)
    overall = np.angle(square.sum()) / 2
    square *= np.exp(-2j * overall).astype(square.dtype)
    bright: Map = size > BRIGHT * size.mean()
    if size.ndim == 1:  # voxels of a list need not be neighbours in space
        return np.full(size.shape, overall, np.float32), bright
    around = gaussian_filter(square.real, SMOOTHING) + 1j * gaussian_filter(square.imag, SMOOTHING)
    phase: Map = (overall + np.angle(around) / 2).astype(np.float32)
    return phase, bright
