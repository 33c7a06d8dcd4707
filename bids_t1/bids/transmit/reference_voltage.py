"""The reference voltage of the transmitter, at which a map of the transmit field and the images were played.

A nominal flip angle is played with a voltage in proportion to the reference voltage (Siemens; TxRefAmp of dcm2niix). A
map of B1+ in units of the nominal angle is that of its own reference voltage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.sidecar import Sidecar

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
    there, here = _known(of_map), _known(of_run)
    if there is None or here is None:
        holders = [text for text, value in (("the map", there), ("the images", here)) if value is None]
        return VoltageCheck(1.0, f"reference voltages not compared, as {KEY} of {' and '.join(holders)} is not known")
    ratio = here / there
    told = f"{KEY} is {there:g} V for the map and {here:g} V for the images"
    if abs(ratio - 1) <= SAME:
        return VoltageCheck(1.0, f"played at the reference voltage of the images, {here:g} V")
    if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
        warning = f"{name}: {told}; expected within a factor of {LARGEST_RATIO:g}. B1+ is used as it is: check both."
        return VoltageCheck(1.0, f"{told}, which cannot be, and was not applied", (warning,))
    warning = f"{name}: {told}: B1+ of the map is multiplied by {ratio:.4g}."
    return VoltageCheck(ratio, f"multiplied by {ratio:.4g}, as {told}", (warning,))


def _known(sidecars: Sequence[Sidecar]) -> float | None:
    """Return the one voltage that the sidecars agree on; None where they tell none or several."""
    try:
        values = [value for sidecar in sidecars if (value := sidecar.number(KEY)) is not None]
    except InvalidInputError:  # it enters nothing where it cannot be read
        return None
    if not values or min(values) <= 0 or max(values) > (1 + SAME) * min(values):
        return None
    return values[0]
