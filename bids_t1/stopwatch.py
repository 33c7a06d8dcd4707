"""The stages of a participant, announced and timed in one place."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bids_t1.data.timing import Lap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bids_t1.data.entities import BidsName
    from bids_t1.data.timing import Stage

LOG = logging.getLogger(__name__)


class Stopwatch:
    """Keeps how long each stage took; a stage that fails took its time too."""

    def __init__(self) -> None:
        self.laps: list[Lap] = []

    @contextmanager
    def stage(self, stage: Stage, of: BidsName | str, said: str | None = None) -> Iterator[None]:
        """Announce what a block does, and keep how long it takes.

        Parameters
        ----------
        stage
            Which of the stages it is.
        of
            What it is done for.
        said
            What it does, where the stage alone does not tell.
        """
        LOG.info("%s: %s", of, said or stage.meaning)
        began, worked = time.monotonic(), _processor_seconds()
        try:
            yield
        finally:
            seconds, processor = time.monotonic() - began, _processor_seconds() - worked
            self.laps.append(Lap(stage=stage, of=str(of), seconds=seconds, processor_seconds=processor))


def _processor_seconds() -> float:
    """Return what this process, its threads and the programs that it called took of all processors [s]."""
    return sum(os.times()[:4])
