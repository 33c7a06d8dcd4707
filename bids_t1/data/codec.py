"""Frozen dataclasses read back from JSON, by their annotations; `dataclasses.asdict` writes them."""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from itertools import repeat
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], value: Any) -> T:
    """Return a noun of what JSON holds of it.

    Parameters
    ----------
    kind
        A dataclass whose annotations exist at run time.
    value
        The object of JSON.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        If it is no such noun: a field is missing or unknown, or its value of another kind.
    """
    decoded: T = _decode(kind, value)
    return decoded


def _decode(kind: Any, value: Any) -> Any:
    if get_origin(kind) in {Union, UnionType}:
        return _decode_optional(get_args(kind), value)
    if get_origin(kind) is tuple:
        return _decode_tuple(get_args(kind), value)
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{key: _decode(_hints(kind)[key], item) for key, item in value.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return math.nan if kind is float and value is None else value  # JSON knows no NaN


def _decode_optional(kinds: tuple[Any, ...], value: Any) -> Any:
    (wanted,) = set(kinds) - {NoneType}
    return None if value is None else _decode(wanted, value)


def _decode_tuple(kinds: tuple[Any, ...], values: Any) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(map(_decode, repeat(kinds[0]), values))
    return tuple(_decode(kind, value) for kind, value in zip(kinds, values, strict=True))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
