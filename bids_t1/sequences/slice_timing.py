"""Slices read one after the other: their inversion times are the same only where each has an inversion of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
    spread, declared = _told(sidecars)
    if spread <= SAME_TIME or declared in ({SELECTIVE}, {NON_SELECTIVE}):
        return ()
    told = (
        f"SliceTiming differs by up to {spread:.3g} s between slices, which would add to InversionTime where one "
        "inversion serves all slices"
    )
    advice = (
        f'Write {INVERSION_KEY} = "{NON_SELECTIVE}" into the sidecars, or the table IRT1 of the protocol file, where '
        f'it does, and "{SELECTIVE}" where each slice has an inversion of its own.'
    )
    if ideal:
        raise InvalidInputError(
            f"{told}: an ideal inversion leaves no room for that, a free efficiency would. {advice}",
            remedy="ir_efficiency free",
        )
    doubt = (
        f"{told}. It is taken as the same for all slices: the efficiency takes up a delay that is the same in all "
        f"images, but T1 is wrong where the order of slices changes from image to image. {advice}"
    )
    return (doubt,)


def are_unlike(sidecars: Sequence[Sidecar]) -> bool:
    """Tell whether slices are read at different times, and are not said to have an inversion of their own each."""
    spread, declared = _told(sidecars)
    return spread > SAME_TIME and declared != {SELECTIVE}


def _told(sidecars: Sequence[Sidecar]) -> tuple[float, set[str | None]]:
    """Return by how much slices of one image differ [s], and what is said of their inversion."""
    spread = max((_spread(sidecar) for sidecar in sidecars), default=0.0)
    return spread, {_declared(sidecar) for sidecar in sidecars}


def _declared(sidecar: Sidecar) -> str | None:
    """Return what is said of the inversion, however it is spelt."""
    text = sidecar.text(INVERSION_KEY)
    spelt = None if text is None else re.sub("[^a-z]", "", text.lower())
    return {SELECTIVE: SELECTIVE, NON_SELECTIVE.replace("-", ""): NON_SELECTIVE}.get(spelt or "", text)


def slice_delays(sidecars: Sequence[Sidecar], shape: Sequence[int]) -> tuple[int, NDArray[np.float64]] | None:
    """Return what is added to the inversion time of each slice; None where slices share no inversion.

    Returns
    -------
    The axis of the slices, and delays (measurement, slice) [s].

    Raises
    ------
    InvalidInputError
        If one inversion is said to serve all slices, and their timing does not fit the images.
    """
    spread, declared = _told(sidecars)
    if spread <= SAME_TIME or declared != {NON_SELECTIVE}:
        return None
    direction = sidecars[0].text("SliceEncodingDirection") or "k"
    axis = "ijk".find(direction[:1])
    delays = [sidecar.numbers("SliceTiming") or () for sidecar in sidecars]
    if axis < 0 or not all(_is_one_each(times, shape[axis]) for times in delays):
        raise InvalidInputError(
            f"{sidecars[0].name}: SliceTiming holds {', '.join(map(str, map(len, delays)))} times along "
            f"{direction!r} for images of {' x '.join(map(str, shape))} voxels; expected one per slice, from 0 s. "
            "Correct the sidecars."
        )
    table = np.array(delays)
    return axis, table[:, ::-1] if direction.endswith("-") else table


def _spread(sidecar: Sidecar) -> float:
    """Return the time between the first and the last slice [s]; zero where none is told."""
    value = sidecar.fields.get("SliceTiming")
    listed = value if isinstance(value, list | tuple) else ()
    times = [time for each in listed if (time := finite(each)) is not None]
    return max(times) - min(times) if times else 0.0


def _is_one_each(times: Sequence[float], n_slices: int) -> bool:
    return len(times) == n_slices and min(times) >= 0
