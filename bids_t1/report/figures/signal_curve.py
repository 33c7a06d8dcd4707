"""What S tells of T1: where two T1 share one S, and what a wrong B1+ does to T1."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.result import SignalCurve

NOTICEABLE = 1e-3
"""Change of S that images can show; a curve that turns by less is taken as straight."""

PLATEAU = 5 * NOTICEABLE
"""Change of S over which a curve counts as flat."""

SHORTEST_RANGE = 0.05
"""Shared ranges shorter than this are left out: the edge of the plateau at very short T1 [s]."""

NOMINAL = 1.0


def nominal(curve: SignalCurve) -> NDArray[np.float64]:
    """Return S at the transmit field nearest to nominal."""
    nearest = int(np.abs(np.subtract(curve.transmit, NOMINAL)).argmin())
    return np.array(curve.values[nearest])


def shared(curve: SignalCurve) -> NDArray[np.bool_]:
    """Tell for each T1 whether its S, at nominal B1+, is also that of another T1, or hardly changes in between."""
    values = nominal(curve)
    found = np.array([
        _returns(values[index:] - value) or _returns(values[index::-1] - value) for index, value in enumerate(values)
    ])  # fmt: skip
    ranges = _ranges(found)
    for (_, before), (after, _) in pairwise(ranges):
        if np.ptp(values[before : after + 1]) <= PLATEAU:
            found[before : after + 1] = True
    for first, last in _ranges(found):
        if curve.times[last] - curve.times[first] < SHORTEST_RANGE:
            found[first : last + 1] = False
    return found


def shared_ranges(curve: SignalCurve) -> tuple[tuple[float, float], ...]:
    """Return the ranges of T1 whose S, at nominal B1+, is also that of another T1 [s]."""
    return tuple((curve.times[first], curve.times[last]) for first, last in _ranges(shared(curve)))


def plateau_end(curve: SignalCurve) -> float:
    """Return the T1 up to which S, at nominal B1+, stays near its value at the shortest T1 [s]."""
    values = nominal(curve)
    away = np.flatnonzero(np.abs(values - values[0]) > PLATEAU)
    return curve.times[int(away[0])] if away.size else curve.times[-1]


def read_as(curve: SignalCurve, t1: float) -> tuple[tuple[float, float], ...]:
    """Return for the lowest and the highest B1+ which T1 its S stands for at nominal B1+ [s].

    Nothing where S is shared there, or lies beyond the part of the curve that falls through this T1.
    """
    times, values = np.array(curve.times), nominal(curve)
    here = int(np.abs(times - t1).argmin())
    falls = np.diff(values) < 0
    rises_before, rises_after = np.flatnonzero(~falls[:here]), np.flatnonzero(~falls[here:])
    first = int(rises_before[-1]) + 1 if rises_before.size else 0
    last = here + int(rises_after[0]) if rises_after.size else len(values) - 1
    fields = (0, len(curve.transmit) - 1)
    seen = [float(np.interp(t1, times, curve.values[field])) for field in fields]
    if shared(curve)[here] or not all(values[last] <= value <= values[first] for value in seen):
        return ()
    branch = slice(last, first - 1 if first else None, -1)
    return tuple(
        (curve.transmit[field], float(np.interp(value, values[branch], times[branch])))
        for field, value in zip(fields, seen, strict=True)
        if curve.transmit[field] != NOMINAL
    )


def _ranges(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last index of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]]))).reshape(-1, 2)
    return [(int(first), int(last) - 1) for first, last in edges]


def _returns(differences: NDArray[np.float64]) -> bool:
    """Whether differences to the first point become noticeable and later change their sign."""
    away = np.flatnonzero(np.abs(differences) > NOTICEABLE)
    if not away.size:
        return False
    return bool(np.any(differences[away[0] :] * np.sign(differences[away[0]]) <= 0))
