"""What the page asks of a sequence: the one thing that all sections and the voice of a sequence share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.result import RunResult
    from bids_t1.report.voices.extras import Extras
    from bids_t1.report.words.literature import References
    from bids_t1.report.words.numbers import Summary


class Voice(Protocol):
    """The file of a sequence in this room: what is said of its runs, from what is on record."""

    ORDER: tuple[str, ...]
    """Maps beside the main one, those that tell most first; others follow in the order of the outputs table."""

    SHOWN: frozenset[str]
    """Keys of a record that the extras show, and the table of everything else does not."""

    MEANINGS: Mapping[str, str]
    """What kinds of data mean here, where the word alone does not say it."""

    def equations(self, run: RunResult, /) -> tuple[str, ...]:
        """Return the macros that set the signal model of a run."""
        ...

    def cautions(self, run: RunResult, /) -> tuple[str, ...]:
        """Return what a reader has to know before using the numbers."""
        ...

    def summarise(self, run: RunResult, /) -> Summary:
        """Return the numbers of a run and what they are."""
        ...

    def why_missing(self, run: RunResult, quantity: str, /) -> str:
        """Return why a run lacks a map, or nothing where that is not known."""
        ...

    def extras(self, run: RunResult, /) -> Extras | None:
        """Return what is shown of this sequence only."""
        ...

    def paragraphs(self, run: RunResult, references: References, /) -> tuple[str, ...]:
        """Return the methods of a run, empty ones where nothing is known."""
        ...
