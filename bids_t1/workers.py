"""Tasks in processes of their own: where one is ended from outside its task is known, and the others go on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bids_t1.data.errors import InputOutputError, Stopped
from bids_t1.stopping import ignored, stop, stop_if_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 60.0
"""How long a process that was asked to end may clean up [s]."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What there is of a task that has no result."""

    reason: str


def told(lost: Lost, less: str) -> InputOutputError:
    """Tell of a process that ended before its task was done, and what to use less of."""
    return InputOutputError(
        f"{lost.reason}. Signal 9 most often means that memory has run out: use {less}, or give the job more "
        "memory. The same command goes on with what is missing."
    )


@dataclass(frozen=True, slots=True)
class _News:
    """What a task tells before it is done."""

    content: Any


@dataclass(slots=True)
class _Worker:
    """A process, this end of the line to it, and the number of the task that it was given."""

    process: SpawnProcess
    line: Connection[Any, Any]
    task: int | None = None
    was_ready: bool = False


def of_one_thread() -> None:
    """Keep PyTorch from threads of its own in each operation: there are threads or processes beside it."""
    import torch  # noqa: PLC0415 - a finished cohort needs none

    torch.set_num_threads(1)


def begin(level: int) -> None:
    """Prepare a process for tasks: one thread, requests to stop, and what goes to the terminal from which level on."""
    from tqdm import tqdm  # noqa: PLC0415 - as above

    of_one_thread()
    tqdm.set_lock(threading.RLock())  # one between processes would be left over by a process that is killed
    signal.signal(signal.SIGTERM, stop)
    sys.unraisablehook = ignored
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("bids_t1").setLevel(level)
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)


def apart(
    function: Callable[..., R],
    tasks: Sequence[T],
    n_processes: int,
    begin: Callable[[], None],
    heard: Callable[[Any], object] | None = None,
) -> Generator[tuple[int, R | Lost], None, None]:
    """Do tasks in several processes, each of which does one after the other.

    A process asks for a task when it is ready, so that one that dies takes no more with it than the task it was given;
    another takes its place. Where one dies before it was ready there is no room for so many.

    Parameters
    ----------
    function
        Does one task.
    tasks
        What to call it with.
    n_processes
        How many there are at once, at most.
    begin
        Prepares a process.
    heard
        Called here with what tasks tell on the way: `function` takes what to tell it with after its task. None where
        they tell nothing.

    Yields
    ------
    The number of a task and its result, in the order in which they are done. Processes that are still at work when no
    more is asked for are ended.
    """
    crew = _Crew(function, begin, n_processes, deque(enumerate(tasks)), heard)
    try:
        yield from crew.results()
    finally:
        crew.dismiss()


class _Crew(Generic[T, R]):
    """The processes that are there at a time, and the tasks that none of them has been given yet."""

    def __init__(
        self,
        function: Callable[..., R],
        begin: Callable[[], None],
        room: int,
        waiting: deque[tuple[int, T]],
        heard: Callable[[Any], object] | None,
    ) -> None:
        self._function = function
        self._begin = begin
        self._room = room
        self._waiting = waiting
        self._heard = heard
        self._workers: list[_Worker] = []

    def results(self) -> Iterator[tuple[int, R | Lost]]:
        while self._waiting or self._workers:
            self._recruit()
            if not self._workers:
                yield from ((number, Lost("no process can be started")) for number, _ in self._waiting)
                return
            for worker in self._speaking():
                done, answer = worker.task, self._listen(worker)
                if isinstance(answer, _News):
                    self._pass_on(answer)
                elif done is not None:
                    yield done, answer

    def dismiss(self) -> None:
        """End all processes, which clean up before."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(PATIENCE)
            worker.process.kill()
            self._leave(worker)

    def _recruit(self) -> None:
        """Start as many processes as there is room and work for."""
        n_idle = sum(worker.task is None for worker in self._workers)
        for _ in range(min(self._room - len(self._workers), len(self._waiting) - n_idle)):
            try:
                self._workers.append(_start(self._function, self._begin, tells=self._heard is not None))
            except OSError:  # neither memory nor processes for one more
                self._room = len(self._workers)
                return

    def _speaking(self) -> list[_Worker]:
        """Wait until a process says something or ends."""
        ready = wait([end for worker in self._workers for end in (worker.line, worker.process.sentinel)])
        return [worker for worker in self._workers if worker.line in ready or worker.process.sentinel in ready]

    def _pass_on(self, news: _News) -> None:
        if self._heard is not None:
            self._heard(news.content)

    def _listen(self, worker: _Worker) -> R | Lost | _News:
        """Take what a process has to say, and give it its next task where it is done with one."""
        if not worker.line.poll():
            return self._bury(worker)
        try:
            answer: R | Lost | _News = worker.line.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        except Exception as error:
            answer = Lost(f"its result cannot be read ({error!r})")
        if not isinstance(answer, _News):
            worker.was_ready = True
            self._give(worker)
        return answer

    def _give(self, worker: _Worker) -> None:
        if not self._waiting:
            self._leave(worker)
            return
        worker.task, task = self._waiting.popleft()
        try:
            worker.line.send(task)
        except OSError:  # it died since: not of this task
            self._waiting.appendleft((worker.task, task))
            worker.task = None

    def _leave(self, worker: _Worker) -> None:
        """Let a process end, which it does where nobody is at the other end of its line."""
        self._workers = [other for other in self._workers if other is not worker]
        worker.line.close()
        worker.process.join()

    def _bury(self, worker: _Worker) -> Lost:
        self._leave(worker)
        if not worker.was_ready:
            self._room -= 1
        return Lost(_how_it_ended(worker.process.exitcode or 0))


def _how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"its process ended by itself, with code {exit_code}"
    return f"its process was ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"


def _start(function: Callable[..., R], begin: Callable[[], None], *, tells: bool) -> _Worker:
    """Start a process: a fresh interpreter, as forked copies of a threaded torch may hang."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function, begin, tells), daemon=True)
    try:
        with _uninterrupted():
            process.start()
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()  # only the process holds it now, so that the line ends with it
    return _Worker(process, ours)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off SIGINT, also in what is started: it comes to all processes of a terminal, and is for the first only."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(line: Connection[Any, Any], function: Callable[..., R], begin: Callable[[], None], tells: bool) -> None:
    """Do one task after the other, in a process of its own, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process tells the others
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        begin()
        _say(line, None)
        means = (partial(_tell, line),) if tells else ()
        for task in iter(lambda: _received(line), None):
            _say(line, function(task, *means))
            stop_if_asked()
    except Stopped as stopped:
        os._exit(stopped.exit_code)  # all is cleaned up, and another request must not find this process at its end


def _received(line: Connection[Any, Any]) -> Any:
    """Return the next task; None where there is none, or nobody to give one."""
    try:
        return line.recv()
    except (EOFError, OSError):
        return None


def _say(line: Connection[Any, Any], answer: object) -> None:
    try:
        line.send(answer)
    except OSError:  # nobody listens any more, as the next look for a task will find
        return
    except Exception as error:
        line.send(Lost(f"its result cannot be sent ({error!r})"))


def _tell(line: Connection[Any, Any], content: object) -> None:
    """Send news of a task; where nobody listens any more, the task is for nobody."""
    try:
        line.send(_News(content))
    except OSError as error:
        raise Stopped from error
