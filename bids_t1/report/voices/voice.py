"""What the page asks of a sequence: the one thing that all sections and the voice of a sequence share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bids_t1.data.result import RunResult
    from bids_t1.report.voices.extras import Extras
    from bids_t1.report.words.literature import References
    from bids_t1.report.words.numbers import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What is said of the runs of a sequence, from what is on record; what has a default is not said of most."""

    summarise: Callable[[RunResult], Summary]
    """The numbers of a run and what they are."""

    paragraphs: Callable[[RunResult, References], tuple[str, ...]]
    """The methods of a run, empty ones where nothing is known."""

    equations: Callable[[RunResult], tuple[str, ...]] = lambda _run: ()
    """The macros that set the signal model of a run."""

    cautions: Callable[[RunResult], tuple[str, ...]] = lambda _run: ()
    """What a reader has to know before using the numbers, beside warnings."""

    why_missing: Callable[[RunResult, str], str] = lambda _run, _quantity: ""
    """Why a run lacks a map, or nothing where that is not known."""

    extras: Callable[[RunResult], Extras | None] = lambda _run: None
    """What is shown of this sequence only, beside curves and residuals."""

    order: tuple[str, ...] = ()
    """Maps beside the main one, those that tell most first; others follow in the order of the outputs table."""

    shown: frozenset[str] = frozenset()
    """Keys of a record that the extras show, and the table of everything else does not."""

    meanings: Mapping[str, str] = field(default_factory=dict)
    """What kinds of data mean here, where the word alone does not say it."""
