"""The one family of expected failures, and the exit code each one stands for.

Anything raised outside this family is a bug and keeps its traceback.
Exit codes follow sysexits.h and the BIDS execution specification draft (BEP027).
"""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class BidsT1Error(Exception):
    """An expected failure; its message says where, what was found, what was expected, what to do."""

    exit_code: ClassVar[int] = 1


class InvalidInputError(BidsT1Error):
    """Input data or metadata that cannot be used as they are."""

    exit_code = 16

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        """A field of `data.options`, and its value, that helps where the data stay as they are; the story names it."""


class NoSignalError(InvalidInputError):
    """Images, or a part of them, hold nothing but noise."""


class NothingSelectedError(BidsT1Error):
    """Labels or filters that match no data."""

    exit_code = 18


class UsageError(BidsT1Error):
    """A command line that contradicts itself."""

    exit_code = 64


class NoInputError(BidsT1Error):
    """An input folder that is missing or holds nothing usable."""

    exit_code = 66


class CannotCreateOutputError(BidsT1Error):
    """An output folder that cannot be written."""

    exit_code = 73


class InputOutputError(BidsT1Error):
    """A read or write that failed underneath, such as a full disk."""

    exit_code = 74


class NotEnoughMemoryError(InputOutputError):
    """A run that needs more memory than it may take."""


class Stopped(KeyboardInterrupt):
    """A request to stop from outside, such as a scheduler's warning that time is up; nothing catches it on the way."""

    exit_code: ClassVar[int] = 75


class Interrupted(Stopped):
    """The same from the keyboard."""

    exit_code = 130


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
