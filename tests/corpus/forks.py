"""The command in a fork of this process, whose modules are loaded, with its time and memory measured."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PRELOADED = (
    "bids", "nibabel", "matplotlib.pyplot", "nilearn", "torch", "pydicom", "pydicom.pixels", "sqlalchemy", "jinja2",
    "bids_t1.cli", "bids_t1.cohort", "bids_t1.group", "bids_t1.participant", "bids_t1.learning",
)  # fmt: skip

MOST_SECONDS = 30.0
"""Processor time of a case [s]."""

MOST_WAITED = 60.0
"""Time from start to end, on a machine that others use too [s]."""

MOST_MEMORY = 2048.0
"""[MB]."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one command."""

    code: int
    """Exit code; negative: the signal that ended it."""

    said: str
    seconds: float
    """Processor time, children included [s]."""

    memory: float
    """Largest resident set [MB]."""

    ended: str = ""
    """Why it was ended from outside: it hung, or took too much memory."""


def preload() -> None:
    """Load what the command needs, so that a fork need not."""
    import torch  # noqa: PLC0415 - after the arguments of this tool are right

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in PRELOADED:
            importlib.import_module(name)
    gc.freeze()


class Fork:
    """One running command."""

    def __init__(self, arguments: Sequence[str], said: Path) -> None:
        self._said = said
        self._started = time.monotonic()
        self._ended = ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # this process has no threads that hold locks
            self._pid = os.fork()
        if self._pid == 0:
            _become(arguments, said)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command and all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def poll(self) -> Ran | None:
        """Return what came of it, or None while it runs; end what hangs or eats memory."""
        pid, status, usage = os.wait4(self._pid, os.WNOHANG)
        if pid == 0:
            self._guard()
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)  # what it may have left running
        return Ran(
            code=os.waitstatus_to_exitcode(status),
            said=self._said.read_text(encoding="utf-8", errors="replace"),
            seconds=usage.ru_utime + usage.ru_stime,
            memory=usage.ru_maxrss / 1024,
            ended=self._ended,
        )

    def wait(self) -> Ran:
        while (ran := self.poll()) is None:
            time.sleep(0.02)
        return ran

    def _guard(self) -> None:
        if time.monotonic() - self._started > MOST_WAITED:
            self._ended = "hangs"
        elif _resident(self._pid) > 1.2 * MOST_MEMORY:
            self._ended = "memory"
        if self._ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)


def _resident(pid: int) -> float:
    """Return the resident set of a process [MB]; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123 - called every few milliseconds
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
    except (OSError, IndexError):
        return 0.0


def _become(arguments: Sequence[str], said: Path) -> None:
    """Run the command and end: nothing of the process that was forked goes on here."""
    code = 99
    try:
        os.setsid()
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for number in (1, 2):
            os.dup2(handle, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        warnings.resetwarnings()
        code = _main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _main(arguments: Sequence[str]) -> int:
    from bids_t1.cli import main  # noqa: PLC0415 - loaded by `preload`

    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
