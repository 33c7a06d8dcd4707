"""Double-angle method: two images whose nominal flip angles are alpha and 2 alpha (TB1DAM)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.transmit_field.limits import arc_cosine, flip_angle, quotient

if TYPE_CHECKING:
    import numpy as np

RATIO = 2.0
RATIO_TOLERANCE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleAngle:
    """Gradient echoes from full relaxation: S1 = M sin(b1 alpha), S2 = M sin(2 b1 alpha).

    Then b1 = arccos(S2 / (2 S1)) / alpha (Insko & Bolinger 1993, doi 10.1006/jmra.1993.1133). Magnitudes tell angles
    up to 90 degrees; larger ones look like 180 degrees less them.
    """

    angles: tuple[float, float]
    """Nominal flip angles of both images [degree]."""

    def __post_init__(self) -> None:
        low, high = self.angles
        flip_angle(low)
        if not math.isclose(high / low, RATIO, rel_tol=RATIO_TOLERANCE):
            raise InvalidInputError(
                f"FlipAngle is {low:g} and {high:g}; expected one twice the other, as the double-angle method asks. "
                "Correct the sidecars."
            )

    @property
    def limit(self) -> float:
        """Largest relative field that magnitudes tell."""
        return (math.pi / 2) / flip_angle(self.angles[0])

    def transmit(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the relative transmit field from the magnitudes at alpha and at 2 alpha; NaN where they tell none."""
        return arc_cosine(quotient(second, 2 * first)) / flip_angle(self.angles[0])
