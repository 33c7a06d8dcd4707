"""Slices read one after the other: their inversion times are the same only where each has an inversion of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.sidecar import Sidecar

INVERSION_KEY = "Inversion"
"""Field that tells whether one inversion serves all slices; not of BIDS."""

SELECTIVE, NON_SELECTIVE = "selective", "non-selective"

SAME_TIME = 1e-3
"""Differences between slices that are none [s]."""


def slice_doubts(sidecars: Sequence[Sidecar], *, ideal: bool) -> tuple[str, ...]:
    """Warn where slices are read at different times, and nothing tells whether they share an inversion.

    A delay that is the same for all inversion times leaves T1 as it is and changes the efficiency; of slices whose
    order changes from image to image it changes both.

    Raises
    ------
    InvalidInputError
        If the efficiency is not free to take up the delay.
    """
    spread = max((_spread(sidecar) for sidecar in sidecars), default=0.0)
    if spread <= SAME_TIME or all(sidecar.text(INVERSION_KEY) == SELECTIVE for sidecar in sidecars):
        return ()
    shared = any(sidecar.text(INVERSION_KEY) == NON_SELECTIVE for sidecar in sidecars)
    told = (
        f"SliceTiming differs by up to {spread:.3g} s between slices, which "
        + ("add" if shared else "would add")
        + " to InversionTime where one inversion serves all slices"
    )
    advice = (
        f'Write {INVERSION_KEY} = "{SELECTIVE}" into the sidecars, or the table IRT1 of the protocol file, where each '
        "slice has an inversion of its own."
    )
    if ideal:
        raise InvalidInputError(
            f"{told}: an ideal inversion leaves no room for that. Use --ir-efficiency free. {advice}"
        )
    doubt = (
        f"{told}. It is taken as the same for all slices: the efficiency takes up a delay that is the same in all "
        f"images, but T1 is wrong where the order of slices changes from image to image. {advice}"
    )
    return (doubt,)


def _spread(sidecar: Sidecar) -> float:
    """Return the time between the first and the last slice [s]; zero where none is told."""
    value = sidecar.fields.get("SliceTiming")
    times = [
        float(time)
        for time in (value if isinstance(value, list | tuple) else ())
        if isinstance(time, int | float) and not isinstance(time, bool) and math.isfinite(time)
    ]
    return max(times) - min(times) if times else 0.0
