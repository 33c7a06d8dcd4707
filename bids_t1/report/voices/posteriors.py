"""Sentences of the methods section that hold for every posterior of T1, whatever the sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.forms import recorded_form
from bids_t1.report.figures.cycle import numbers_of
from bids_t1.report.voices import transmit
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References


def estimation(run: RunResult, references: References, of_sequence: str = "") -> str:
    """Say which likelihood, noise and priors entered.

    Parameters
    ----------
    run
        Any whose posterior was computed.
    references
        Where works are cited.
    of_sequence
        A sentence of what this sequence only has.
    """
    limits = numbers_of(run.record.get("SearchRange"))
    where = f" between {wording.number(limits[0])} and {wording.number(limits[-1])} s" if limits else ""
    shape = run.record.get("T1Prior")
    prior = f"T1 had a {shape} prior{where}." if isinstance(shape, str) else ""
    form = recorded_form(run.record.get("DataKind"))
    likelihood = "" if form is None else form.likelihood
    return " ".join(filter(None, (likelihood, _noise(run), prior, of_sequence, transmit.sentence_on(run, references))))


def _noise(run: RunResult) -> str:
    match run.record.get("NoiseSD"):
        case {"Origin": str(origin)}:
            given = origin.startswith("option")
            return "The noise SD was given." if given else f"The noise SD was taken from the {origin}."
        case _:
            return ""
