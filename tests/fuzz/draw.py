"""Choices made from bytes, so that a fuzzer that changes bytes changes choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

_T = TypeVar("_T")

if TYPE_CHECKING:
    from collections.abc import Sequence


class Draw:
    """Bytes, used up from the front; zeros where there are no more."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._used = 0

    def below(self, limit: int) -> int:
        """Return a number from 0 to below a limit of at most 256."""
        return self.take(1)[0] % limit

    def one_of(self, choices: Sequence[_T]) -> _T:
        return choices[self.below(len(choices))]

    def take(self, n_bytes: int) -> bytes:
        start, self._used = self._used, self._used + n_bytes
        return self._content[start : self._used].ljust(n_bytes, b"\0")

    def text(self) -> str:
        """Return up to 15 characters of any kind."""
        return self.take(self.below(16)).decode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        return self._content[self._used :]
