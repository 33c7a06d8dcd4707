"""What is done side by side comes in the order of what it is done for, and ends with the first failure."""

from __future__ import annotations

import time
from threading import Barrier

import pytest

from bids_t1.data.errors import Stopped
from bids_t1.threads import side_by_side


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return 10 * item

    assert side_by_side(slow_at_first, range(5), 3) == [0, 10, 20, 30, 40]


def test_as_many_threads_work_at_a_time_as_are_asked_for() -> None:
    both = Barrier(2, timeout=30)
    assert len(side_by_side(lambda _: both.wait(), range(2), 2)) == 2


def test_the_first_failure_is_raised_and_what_is_not_begun_is_left() -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        side_by_side(fail, range(1000), 1)
    assert len(begun) < 1000


def test_a_request_to_stop_is_obeyed_between_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bids_t1.stopping._REQUEST.kind", Stopped)
    with pytest.raises(Stopped):
        side_by_side(str, range(3), 1)
