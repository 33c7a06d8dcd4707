"""Processes that die take one task with them, and no more."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Never

import pytest

from bids_t1 import workers
from bids_t1.data.errors import Stopped
from bids_t1.workers import Lost, apart

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import SpawnProcess
    from pathlib import Path


def nothing() -> None:
    """Begin, with nothing to prepare."""


def double(number: int) -> int:
    return 2 * number


def die_of(signals: dict[int, int], number: int) -> int:
    if number in signals:
        os.kill(os.getpid(), signals[number])
        time.sleep(30)
    return number


def leave(_number: int) -> Never:
    os._exit(7)


class Unreadable:
    def __reduce__(self) -> Any:
        return int, ("no number",)


def odd(number: int) -> Any:
    return {0: threading.Lock(), 1: Unreadable(), 2: number}[number]


def count_aloud(number: int, tell: Callable[[int], None]) -> int:
    for each in range(number):
        tell(each)
    return number


def mark_and_wait(folder: Path, number: int) -> None:
    try:
        (folder / str(number)).touch()
        time.sleep(60)
    finally:
        (folder / f"{number}-cleaned").touch()


def obey() -> None:
    from bids_t1.stopping import stop  # noqa: PLC0415 - as the cohort does

    signal.signal(signal.SIGTERM, stop)


def test_every_task_is_done_once() -> None:
    assert sorted(apart(double, range(7), 2, nothing)) == [(number, 2 * number) for number in range(7)]


def test_no_task_needs_no_process() -> None:
    assert list(apart(double, [], 2, nothing)) == []


def test_a_process_that_is_killed_takes_only_its_own_task_with_it() -> None:
    done = dict(apart(partial(die_of, {1: signal.SIGKILL, 4: signal.SIGSEGV}), range(6), 2, nothing))
    lost = {number: result.reason for number, result in done.items() if isinstance(result, Lost)}
    assert lost == {
        1: "its process was ended by signal 9 (Killed)",
        4: "its process was ended by signal 11 (Segmentation fault)",
    }
    assert {number: result for number, result in done.items() if number not in lost} == {0: 0, 2: 2, 3: 3, 5: 5}


def test_processes_that_always_die_come_to_an_end() -> None:
    done = dict(apart(leave, range(3), 2, nothing))
    assert done == dict.fromkeys(range(3), Lost("its process ended by itself, with code 7"))


def test_processes_that_cannot_begin_come_to_an_end() -> None:
    assert dict(apart(double, range(3), 2, partial(leave, 0))) == dict.fromkeys(
        range(3), Lost("no process can be started")
    )


def test_processes_for_which_there_is_no_memory_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_process: SpawnProcess) -> None:
        raise BlockingIOError

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    assert list(apart(double, [1], 2, nothing)) == [(0, Lost("no process can be started"))]


def test_results_that_cannot_be_told_are_lost_and_the_others_not() -> None:
    done = dict(apart(odd, range(3), 1, nothing))
    assert "cannot be sent" in done[0].reason
    assert "cannot be read" in done[1].reason
    assert done[2] == 2


def test_what_tasks_tell_on_the_way_is_heard_in_order_and_before_their_results() -> None:
    heard: list[int] = []
    done = []
    for number, result in apart(count_aloud, [3, 0, 2], 1, nothing, heard.append):
        done.append((number, result, list(heard)))
    assert done == [(0, 3, [0, 1, 2]), (1, 0, [0, 1, 2]), (2, 2, [0, 1, 2, 0, 1])]


def test_a_task_that_tells_what_nobody_hears_any_more_is_stopped() -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    with pytest.raises(Stopped):
        workers._tell(theirs, 1)


def test_processes_are_ended_and_clean_up_when_no_more_is_asked_for(tmp_path: Path) -> None:
    def interrupt() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(apart(partial(mark_and_wait, tmp_path), range(5), 2, obey))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "0-cleaned", "1", "1-cleaned"]
