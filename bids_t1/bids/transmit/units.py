"""The unit of a TB1map: what is declared, checked against its values, never what the values look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from bids_t1.data.sidecar import Sidecar

PLAUSIBLE = (0.4, 1.6)
"""Limits of the median of B1+ relative to nominal; beyond, the unit is another one."""

FACTORS = {
    "ratio": 1.0,
    "1": 1.0,
    "fraction": 1.0,
    "relative": 1.0,
    "dimensionless": 1.0,
    "percent": 1e-2,
    "%": 1e-2,
    "permille": 1e-3,
    "1/1000": 1e-3,
    "x1000": 1e-3,
    "ratio x1000": 1e-3,
}
"""What a stored 1 means, relative to nominal, by the field Units."""

DEGREES = {
    "degree": 1.0,
    "degrees": 1.0,
    "deg": 1.0,
    "0.1 degree": 0.1,
    "degree x10": 0.1,
    "rad": 57.29577951308232,
}
"""What a stored 1 means, for achieved flip angles [degree]; FlipAngle then holds the nominal one."""

UNDECLARED = frozenset({"", "arbitrary", "a.u.", "au", "none"})
"""Units that say nothing: BIDS defines TB1map as a factor, so that a ratio needs no more."""

EITHER = "percent multiplicative"
"""Units that BIDS recommends for TB1map: written for 1 and for 100 alike."""

EXPECTED = (
    "Give Units in the sidecar of the map: 'ratio', 'percent', 'permille' (x1000), or 'degree' or '0.1 degree' with "
    "the nominal angle as FlipAngle."
)


def relative_scale(name: str, sidecar: Sidecar, median: float) -> tuple[float, str]:
    """Return the factor from stored to relative values, and what told so.

    Parameters
    ----------
    name
        Of the image, for messages.
    sidecar
        Its metadata.
    median
        Of the values stored in it.

    Raises
    ------
    InvalidInputError
        If the unit is not known, or makes a field that is no transmit field.
    """
    factor, reading = _declared(sidecar, median)
    relative = median * factor
    if not is_plausible(relative):
        raise InvalidInputError(
            f"{name}: the median of its nonzero voxels is {median:g}, which read as {reading} is {relative:g} of the "
            f"nominal field; expected {PLAUSIBLE[0]} to {PLAUSIBLE[1]}: B1 far from 1. {EXPECTED}"
        )
    return factor, reading


def _declared(sidecar: Sidecar, median: float) -> tuple[float, str]:
    """Return what the sidecar says that a stored 1 means, and its words."""
    units = " ".join((sidecar.text("Units") or "").lower().split())
    reading = f"Units {units!r} of the sidecar"
    if units in DEGREES:
        nominal = _nominal_angle(sidecar, units)
        return DEGREES[units] / nominal, f"{reading}, nominal angle {nominal:g} degrees"
    if units == EITHER:
        is_ratio = is_plausible(median)
        return FACTORS["ratio" if is_ratio else "percent"], f"{reading}, as {'a ratio' if is_ratio else 'percent'}"
    if units in FACTORS:
        return FACTORS[units], reading
    if units in UNDECLARED:
        return 1.0, "a ratio, as BIDS defines TB1map"
    raise InvalidInputError(f"{sidecar.name}: Units is {units!r}; {EXPECTED}")


def _nominal_angle(sidecar: Sidecar, units: str) -> float:
    nominal = sidecar.number("FlipAngle")
    if nominal is None or nominal <= 0:
        raise InvalidInputError(
            f"{sidecar.name}: Units is {units!r} and FlipAngle {nominal}; expected the nominal flip angle in degrees, "
            "by which the achieved one is divided."
        )
    return nominal


def is_plausible(median: float) -> bool:
    """Tell whether a median is that of a relative transmit field."""
    return PLAUSIBLE[0] <= median <= PLAUSIBLE[1]
