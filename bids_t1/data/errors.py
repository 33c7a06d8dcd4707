"""The one family of expected failures, and the exit code each one stands for.

Anything raised outside this family is a bug and keeps its traceback.
Exit codes follow sysexits.h and the BIDS execution specification draft (BEP027).
"""

from __future__ import annotations

import sys
from threading import Event
from typing import ClassVar


class BidsT1Error(Exception):
    """An expected failure; its message says where, what was found, what was expected, what to do."""

    exit_code: ClassVar[int] = 1


class InvalidInputError(BidsT1Error):
    """Input data or metadata that cannot be used as they are."""

    exit_code = 16


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


class Stopped(KeyboardInterrupt):
    """A request to stop from outside, such as a scheduler's warning that time is up; nothing catches it on the way."""

    exit_code: ClassVar[int] = 75


_STOPPING = Event()
"""Whether this process was asked to stop: Python ignores what a handler raises inside of a destructor."""


def stop(_signal: int, _frame: object) -> None:
    """Handle a signal: end what is going on, cleaning up on the way."""
    _STOPPING.set()
    raise Stopped


def ignored(unraisable: sys.UnraisableHookArgs) -> None:
    """Say nothing of a `Stopped` that Python ignores, as it is obeyed a little later; all else as usual."""
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)


def forget_stop() -> None:
    """Begin anew, for a process that runs several commands."""
    _STOPPING.clear()


def stop_if_asked() -> None:
    """Raise `Stopped` where a request to stop came and was ignored."""
    if _STOPPING.is_set():
        raise Stopped
