"""Saturated turbo FLASH, whose scanner computes the achieved angle of the saturation pulse (TB1TFL)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.transmit_field.limits import flip_angle

STORED_PER_DEGREE = 10.0
"""Siemens stores ten times the achieved angle in degrees (qMRLab/qMRLab#292: 800 for a pulse of 80 degrees)."""

SMALLEST_SATURATION = 30.0
"""A pulse below this saturates too little to measure B1+, and is the excitation of the readout [degree]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurboFlash:
    """An image after a saturation pulse over one without it is the cosine of the pulse's angle.

    Chung et al. 2010, doi 10.1002/mrm.22423. The product sequence of Siemens stores the angle itself.
    """

    flip_angle: float
    """Nominal flip angle of the saturation pulse [degree]."""

    def __post_init__(self) -> None:
        flip_angle(self.flip_angle)
        if self.flip_angle < SMALLEST_SATURATION:
            raise InvalidInputError(
                f"FlipAngle is {self.flip_angle:g}; expected the nominal angle of the saturation pulse, such as 80 "
                "degrees. This looks like the excitation of the readout, which newer software stores in its place "
                "(spinal-cord-7t/coil-qc-code#18): write that of the saturation pulse, from the protocol, to the "
                "sidecar of the acq-famp image."
            )

    def transmit(self, stored: np.ndarray) -> np.ndarray:
        """Return the relative transmit field from a flip-angle map as Siemens stores it; NaN where it holds zero."""
        angle: np.ndarray = np.where(np.isfinite(stored) & (stored > 0), stored, np.nan)
        return angle / (STORED_PER_DEGREE * self.flip_angle)
