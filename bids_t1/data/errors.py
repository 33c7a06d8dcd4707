"""The one family of expected failures, and the exit code each one stands for.

Anything raised outside this family is a bug and keeps its traceback.
Exit codes follow sysexits.h and the BIDS execution specification draft (BEP027).
"""

from __future__ import annotations

from typing import ClassVar


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
