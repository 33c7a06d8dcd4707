"""The transmit field B1+: strong in the middle of the brain, weak at its edge, as at high field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CENTRE = (0.0, -18.0, 6.0)
_RADII = (86.0, 108.0, 94.0)
"""Centre and half axes of the ellipsoid at whose surface the field has its low value: about the brain [mm]."""

_LARGEST = 2.0
_LEAST = 0.1
"""No transmit field is lower, even far from the brain."""


@dataclass(frozen=True, slots=True)
class TransmitOptions:
    """The transmit field, 1 where the flip angle is nominal."""

    low: float = 0.8
    """About the value at the edge of the brain."""

    high: float = 1.2
    """About the value in its middle."""

    def __post_init__(self) -> None:
        """Refuse what is no field.

        Raises
        ------
        InvalidInputError
            If the range is empty, or far from 1.
        """
        if not _LEAST < self.low <= self.high < _LARGEST:
            raise InvalidInputError(
                f"transmit field from {self.low:g} to {self.high:g}; expected the lower first, both above {_LEAST:g} "
                f"and below {_LARGEST:g}, where 1 is nominal."
            )

    @property
    def flat(self) -> bool:
        """Whether the field is the same everywhere."""
        return self.low == self.high


def transmit_field(points: NDArray[np.float64], options: TransmitOptions, *, seed: list[int]) -> NDArray[np.float64]:
    """Return the relative transmit field at points in scanner coordinates.

    A Gaussian about a point near the centre of the brain, which differs between participants, lies on its side and
    falls slowly outside of the head. It is a formula in space, so every grid samples the same field.

    Parameters
    ----------
    points : array (3, ...)
        Scanner coordinates [mm].
    options : TransmitOptions
        Range of values.
    seed : list of int
        Determines where the centre lies; its random numbers are used for nothing else.

    Returns
    -------
    array (...)
        Ratio of the achieved to the nominal flip angle.
    """
    rng = np.random.default_rng(seed)
    shape = (3,) + (1,) * (points.ndim - 1)
    centre = np.reshape(_CENTRE + rng.normal(0, 6, 3), shape)
    radii = np.reshape(_RADII * rng.normal(1, 0.04, 3), shape)
    fall = np.exp(-np.sum(((points - centre) / radii) ** 2, axis=0))
    height = (fall - np.exp(-1)) / (1 - np.exp(-1))
    return np.asarray(np.maximum(options.low + (options.high - options.low) * height, _LEAST))
