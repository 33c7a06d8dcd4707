"""The reference voltage of the transmitter, at which a map of the transmit field and the images were played.

A nominal flip angle is played with a voltage in proportion to the reference voltage (Siemens; TxRefAmp of dcm2niix). A
map of B1+ in units of the nominal angle is that of its own reference voltage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar, brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY = "TxRefAmp"

SAME = 0.01
"""Reference voltages that differ by less are taken as equal."""

LARGEST_RATIO = 2.0
"""No two scans of one head differ by more; larger ratios are mistakes."""


@dataclass(frozen=True, slots=True)
class VoltageCheck:
    """What the reference voltages of a map and of a run say."""

    factor: float
    """By which the map is multiplied."""

    reading: str
    """For the record."""

    warnings: tuple[str, ...] = ()


def compare_voltages(name: str, of_map: Sequence[Sidecar], of_run: Sequence[Sidecar]) -> VoltageCheck:
    """Compare the reference voltage of a map of the transmit field with that of a run.

    Parameters
    ----------
    name
        Of the map, for messages.
    of_map
        Sidecars of the images that the map comes from.
    of_run
        Sidecars of the images to correct.
    """
    there, here = _Told.of(of_map), _Told.of(of_run)
    if there.voltage is None or here.voltage is None:
        return _not_compared(name, {"the map": there, "the images": here})
    return _compared(name, there.voltage, here.voltage)


@dataclass(frozen=True, slots=True)
class _Told:
    """What sidecars say of one voltage."""

    voltage: float | None
    """None where it is not known."""

    odd: str = ""
    """What is there in its place."""

    @classmethod
    def of(cls, sidecars: Sequence[Sidecar]) -> _Told:
        """Read the one voltage that sidecars agree on."""
        given = [value for sidecar in sidecars if (value := sidecar.fields.get(KEY)) is not None]
        values = [_voltage(value) for value in given]
        known = [value for value in values if value is not None]
        if not given:
            return cls(None)
        if len(known) < len(given) or max(known) > (1 + SAME) * min(known):
            return cls(None, " and ".join(dict.fromkeys(map(brief, given))))
        return cls(known[0])


def _voltage(value: object) -> float | None:
    """Return a voltage above zero; None for what is none, since it enters nothing where it cannot be read."""
    try:
        number = Sidecar("", {KEY: value}).number(KEY)
    except InvalidInputError:
        return None
    return None if number is None or number <= 0 else number


def _not_compared(name: str, told: Mapping[str, _Told]) -> VoltageCheck:
    """Say what is missing, and warn of what is there and no voltage."""
    holders = " and ".join(text for text, one in told.items() if one.voltage is None)
    odd = "; ".join(
        f"that of {text} is {one.odd}, expected one number of volts, above 0" for text, one in told.items() if one.odd
    )
    reading = f"reference voltages not compared, as {KEY} of {holders} is not known"
    if not odd:
        return VoltageCheck(1.0, reading)
    reading = f"{reading} ({odd})"
    return VoltageCheck(1.0, reading, (f"{name}: {reading}. B1+ is used as it is.",))


def _compared(name: str, there: float, here: float) -> VoltageCheck:
    ratio = here / there
    told = f"{KEY} is {there:g} V for the map and {here:g} V for the images"
    if abs(ratio - 1) <= SAME:
        return VoltageCheck(1.0, f"played at the reference voltage of the images, {here:g} V")
    if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
        warning = f"{name}: {told}; expected within a factor of {LARGEST_RATIO:g}. B1+ is used as it is: check both."
        return VoltageCheck(1.0, f"{told}, which cannot be, and was not applied", (warning,))
    warning = f"{name}: {told}: B1+ of the map is multiplied by {ratio:.4g}."
    return VoltageCheck(ratio, f"multiplied by {ratio:.4g}, as {told}", (warning,))
