"""How far all networks are, and how long the rest takes at most, told from how fast they learn now."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappush, heapreplace
from typing import TYPE_CHECKING

from bids_t1.data.calibration import TrainingProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from bids_t1.calibration.training import Epoch

FINAL = 0
"""Number of the network that has seen everybody; folds are counted from one."""


@dataclass(slots=True)
class Forecast:
    """Keeps account of what is left to do."""

    left: dict[int, float]
    """What is left of each fold, and of the network that follows them, in the units of `TrainingPlan.cost`."""

    n_processes: int
    """Folds at a time."""

    progress: Callable[[TrainingProgress], object] | None = None
    whole: float = field(init=False)
    cost: float = 0.0
    seconds: float = 0.0
    """Of all epochs that were heard of: what their costs take."""

    def __post_init__(self) -> None:
        self.whole = sum(self.left.values())

    def hear(self, epoch: Epoch) -> None:
        """Take note of an epoch of one of the networks, and tell where the training stands."""
        self.left[epoch.index] = epoch.left
        self.cost += epoch.cost
        self.seconds += epoch.seconds
        if self.progress is not None:
            self.progress(
                TrainingProgress(
                    member=epoch.member,
                    epoch=epoch.epoch,
                    epochs=epoch.epochs,
                    share=1 - sum(self.left.values()) / self.whole,
                    seconds_left=self._longest() * self.seconds / self.cost,
                    training_loss=epoch.training_loss,
                    validation_loss=epoch.validation_loss,
                )
            )

    def end(self, number: int) -> None:
        """Take note that a fold is judged."""
        self.left[number] = 0.0

    def _longest(self) -> float:
        """Return the cost of what one process after the other has to do: folds side by side, then the last network."""
        ends: list[float] = []
        for _, cost in sorted(item for item in self.left.items() if item[0] != FINAL):
            if len(ends) < self.n_processes:
                heappush(ends, cost)
            else:
                heapreplace(ends, ends[0] + cost)
        return max(ends, default=0.0) + self.left[FINAL]
