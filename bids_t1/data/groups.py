"""Items put into groups: by a key that each has, or by whether one joins those that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

T = TypeVar("T")
K = TypeVar("K", bound="Hashable")


def grouped_by(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the items of each key; keys and items stand in the order in which they come."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def grouped(items: Iterable[T], joins: Callable[[Sequence[T], T], bool]) -> list[list[T]]:
    """Put each item into the first group that it joins, in the order in which they come."""
    groups: list[list[T]] = []
    for item in items:
        home = next((group for group in groups if joins(group, item)), None)
        if home is None:
            groups.append([item])
        else:
            home.append(item)
    return groups
