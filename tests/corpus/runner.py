"""All cases, some at a time."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from tests.corpus.case import Wanted
from tests.corpus.datasets import Datasets, arguments
from tests.corpus.forks import Fork, Ran
from tests.corpus.verdict import Before, Verdict, judge, look

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.corpus.case import Case, Place


class Running:
    """One case that is being run."""

    def __init__(self, case: Case, datasets: Datasets) -> None:
        self.case = case
        plain = case.wanted is Wanted.REFUSED or case.level == "group"
        self._processed = datasets.of(case.form) if plain else datasets.processed(case)
        self._place: Place = datasets.place(case)
        self._before: Before = look(self._place)
        self._fork = Fork(arguments(self._place, case.options, case.level), self._place.root / "said")

    def verdict(self) -> Verdict | None:
        """Return what came of it, or None while it runs."""
        ran = self._fork.poll()
        return None if ran is None else self._judge(ran)

    def _judge(self, ran: Ran) -> Verdict:
        found = judge(self.case, self._place, self._before, ran, self._processed)
        shutil.rmtree(self._place.root, ignore_errors=True)
        return found


def run(cases: Iterable[Case], scratch: Path, n_at_a_time: int = 1) -> Iterator[Verdict]:
    """Run cases, in the order in which they end."""
    datasets = Datasets(scratch)
    waiting, running = list(cases)[::-1], list[Running]()
    while waiting or running:
        while waiting and len(running) < n_at_a_time:
            running.append(Running(waiting.pop(), datasets))
        ended = [(one, verdict) for one in running if (verdict := one.verdict()) is not None]
        for one, verdict in ended:
            running.remove(one)
            yield verdict
        if not ended:
            time.sleep(0.02)
