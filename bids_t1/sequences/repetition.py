"""The delay between two inversions, where metadata tell more than one that it could be."""

from __future__ import annotations

from bids_t1.data.sidecar import LONGEST_TIME, finite


def may_repeat(value: object, inversion_time: float) -> float | None:
    """Return a field as a delay that can be the one between two inversions [s]; None where it cannot."""
    delay = finite(value)
    return delay if delay is not None and inversion_time < delay < LONGEST_TIME else None


def told_rival(name: str, field: str, other: float, used: str) -> str:
    """Say that a field has another delay [s] than the one that is used."""
    return (
        f"{name}: {field} is {other:g} s, and {used} is used as the delay between two inversions; expected one. T1 is "
        "wrong if it is the other: remove what is not so."
    )
