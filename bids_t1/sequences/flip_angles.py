"""What nominal flip angles of gradient echoes can be meant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = 90.0
SMALLEST = 0.5
"""If all angles are below this they are radians [degree]."""


def require_degrees(angles: Sequence[float]) -> None:
    """Refuse nominal flip angles [rad] that no gradient echo has, or that were in radians where degrees are meant."""
    degrees = [math.degrees(angle) for angle in angles]
    if not all(0 < angle <= LARGEST for angle in degrees):
        raise InvalidInputError(f"FlipAngle is {listed(degrees)}; expected degrees, above 0 and at most 90.")
    if all(angle < SMALLEST for angle in degrees):
        raise InvalidInputError(
            f"FlipAngle is {listed(degrees)}; expected degrees. These look like radians: multiply by 57.3."
        )


def listed(values: Sequence[float]) -> str:
    """Write numbers for a message."""
    return ", ".join(f"{value:g}" for value in values)
