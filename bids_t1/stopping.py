"""A request to stop from outside: obeyed at once where nothing is half-done, else a little later."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bids_t1.data.errors import Interrupted, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Request:
    """What this process was asked from outside: Python ignores what a handler raises inside of a destructor."""

    def __init__(self) -> None:
        self.kind: type[Stopped] | None = None
        self.n_waiting = 0
        """How many blocks are to be left first."""


_REQUEST = _Request()


def stop(number: int, _frame: object) -> None:
    """Handle a signal: end what is going on, cleaning up on the way."""
    _REQUEST.kind = Interrupted if number == signal.SIGINT else Stopped
    if not _REQUEST.n_waiting:
        raise _REQUEST.kind


@contextmanager
def without_stopping() -> Iterator[None]:
    """Let requests to stop wait until the end of a block that leaves things half-done in between."""
    _REQUEST.n_waiting += 1
    try:
        yield
    finally:
        _REQUEST.n_waiting -= 1
    stop_if_asked()


def ignored(unraisable: sys.UnraisableHookArgs) -> None:
    """Say nothing of a `Stopped` that Python ignores, as it is obeyed a little later; all else as usual."""
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)


def forget_stop() -> None:
    """Begin anew, for a process that runs several commands."""
    _REQUEST.kind = None


def stop_if_asked() -> None:
    """Raise `Stopped` where a request to stop came and was ignored, or had to wait."""
    if _REQUEST.kind is not None and not _REQUEST.n_waiting:
        raise _REQUEST.kind
