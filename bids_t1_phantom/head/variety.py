"""What differs between and within heads beside T1, so that the bias of MP2RAGE is no function of T1 alone.

The size of the bound pool, its exchange, what an inversion leaves of it, the efficiency of the inversion, which fails
where the transmit field is weak, and the error of the B1+ map are drawn by themselves, each between participants and as
a smooth texture within one; some white matter is lesion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Field = Callable[..., NDArray[np.float64]]

BETWEEN = 0.10
"""SD between participants of pool size and exchange, relative."""

WITHIN = 0.10
"""The same within a head, smoothly."""

LEFT = (0.10, 0.06)
"""SD of what an inversion of MP2RAGE leaves of the bound pool, between participants and within a head."""

EFFICIENCY = 0.015
"""SD of the efficiency of MP2RAGE's inversion between participants."""

ADIABATIC = (
    (0.30, 0.40, 0.50, 0.60, 0.70, 0.80),
    (0.40, 0.66, 0.90, 0.98, 0.995, 1.0),
)
"""Transmit field, and efficiency over that of a strong field: a hyperbolic secant of 10 ms and 14 uT, by the Bloch
equations."""

FIELD_ERROR = (0.02, 0.03)
"""SD of the error of a B1+ map between participants and within a head, relative."""

LESION_T1, LESION_POOL = 1.2, 0.7
"""T1 and pool size of a lesion over those of the white matter around it."""

_LESIONS = 40
"""Balls that are placed; what of them lies in white matter is lesion."""

_LESION_CENTRE, _LESION_RADII = (0.0, -18.0, 20.0), (45.0, 60.0, 40.0)
"""Of the ellipsoid that their centres lie in [mm]."""

_LESION_SIZES = (3.0, 8.0)
"""Their radii [mm]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variety:
    """Of one head; arrays (x, y, z)."""

    pool: NDArray[np.float64]
    """Factor of the bound fraction, smaller where a lesion is: there also that of what is not white matter."""

    exchange: NDArray[np.float64]
    """Factor of the rate of exchange."""

    left: NDArray[np.float64]
    """Added to what an inversion of MP2RAGE or MP3RAGE leaves of the bound pool."""

    efficiency: NDArray[np.float64]
    """Factor of the efficiency of these inversions."""

    lesion: NDArray[np.bool_]
    """Where a lesion is if there is white matter."""


def draw(points: NDArray[np.float64], transmit: NDArray[np.float64], smooth: Field, *, seed: list[int]) -> Variety:
    """Draw what differs at points of one head.

    Parameters
    ----------
    points : array (3, x, y, z)
        Scanner coordinates of the head at rest [mm].
    transmit : array (x, y, z)
        Transmit field.
    smooth : callable
        Draws a smooth random field of unit variance: points, generator, spacing [mm].
    seed : list of int
        Determines everything; its random numbers are used for nothing else.
    """
    rng = np.random.default_rng(seed)

    def texture(between: float, within: float, spacing: float) -> NDArray[np.float64]:
        own = between * float(np.clip(rng.standard_normal(), -2, 2))
        return own + within * np.clip(smooth(points, rng, spacing=spacing), -2, 2)

    pool, exchange = 1 + texture(BETWEEN, WITHIN, 30.0), 1 + texture(BETWEEN, WITHIN, 40.0)
    left = texture(*LEFT, 50.0)
    lesion = _lesions(points, rng)
    return Variety(
        pool=np.where(lesion, LESION_POOL, 1.0) * pool,
        exchange=exchange,
        left=left,
        efficiency=np.interp(transmit, *ADIABATIC) + texture(EFFICIENCY, 0.0, 60.0),
        lesion=lesion,
    )


def field_error(points: NDArray[np.float64], smooth: Field, *, seed: list[int]) -> NDArray[np.float64]:
    """Return by which factor a map of the transmit field is wrong at points (3, ...) of the head at rest [mm]."""
    rng = np.random.default_rng(seed)
    own = FIELD_ERROR[0] * float(np.clip(rng.standard_normal(), -2, 2))
    return np.asarray(1 + own + FIELD_ERROR[1] * np.clip(smooth(points, rng, spacing=50.0), -2, 2))


def _lesions(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    found = np.zeros(points.shape[1:], bool)
    for _ in range(_LESIONS):
        direction, reach = rng.standard_normal(3), rng.uniform() ** (1 / 3)
        centre = np.array(_LESION_CENTRE) + reach * np.array(_LESION_RADII) * direction / np.linalg.norm(direction)
        radius = rng.uniform(*_LESION_SIZES)
        found |= np.sum((points - centre.reshape(3, *[1] * (points.ndim - 1))) ** 2, axis=0) < radius**2
    return found
