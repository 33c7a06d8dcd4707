"""What the runs of one session say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.errors import BidsT1Error
    from bids_t1.data.result import Anatomy, Comparison, RunResult
    from bids_t1.data.tissue import Agreement, RegionStatistics
    from bids_t1.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Related:
    """The runs of a session, and what follows from having several."""

    runs: tuple[RunResult, ...]
    anatomies: tuple[Anatomy, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    transforms: tuple[Mapping[tuple[str, str], str], ...] = ()
    """Of each comparison: ITK texts by the spaces they lead from and to."""

    regions: tuple[RegionStatistics, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    failures: tuple[BidsT1Error, ...] = ()


def relate(runs: Sequence[RunResult], settings: Settings) -> Related:
    return Related(runs=tuple(runs))
