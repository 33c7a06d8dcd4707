"""What measurements of the transmit field share: angles, their cosines, and T1 where it is assumed."""

from __future__ import annotations

import math

import numpy as np

from bids_t1.data.errors import InvalidInputError

SMALLEST_ANGLE, LARGEST_ANGLE = 1.0, 180.0
"""Nominal flip angles of pulses that measure B1+; smaller ones are radians [degree]."""

ASSUMED_T1 = ((2.0, 0.9), (5.0, 1.2), (math.inf, 1.5))
"""T1 of brain below a field strength [T], [s].

The mean of grey and white matter, rounded: 0.92 s at 1.5 T, 1.22 s at 3 T and 1.53 s at 7 T (Wright et al. 2008, doi
10.1007/s10334-008-0104-8). Eggenschwiler et al. 2012, doi 10.1002/mrm.23145, assume 1.5 s at 7 T.
"""


def assumed_t1(field_strength: float) -> float:
    """Return T1 of brain [s] at a field strength [T], for methods that depend on it a little."""
    return next(time for limit, time in ASSUMED_T1 if field_strength < limit)


def flip_angle(degrees: float) -> float:
    """Return a nominal flip angle in rad.

    Raises
    ------
    InvalidInputError
        If it is not within 1 to 180 degrees.
    """
    if not SMALLEST_ANGLE <= degrees <= LARGEST_ANGLE:
        raise InvalidInputError(
            f"FlipAngle is {degrees:g}; expected degrees, {SMALLEST_ANGLE:g} to {LARGEST_ANGLE:g}. Multiply by 57.3 if "
            "these are radians."
        )
    return math.radians(degrees)


def arc_cosine(cosine: np.ndarray) -> np.ndarray:
    """Return angles [rad]; NaN where noise or another physics leads out of the range of a cosine."""
    within = np.abs(cosine) <= 1
    angle: np.ndarray = np.arccos(np.where(within, cosine, 0.0))
    return np.where(within, angle, np.nan)


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is not positive or either is no number."""
    usable = np.isfinite(numerator) & np.isfinite(denominator) & (denominator > 0)
    ratio: np.ndarray = np.where(usable, numerator, np.nan) / np.where(usable, denominator, 1.0)
    return ratio
