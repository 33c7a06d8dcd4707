"""Sentences of the methods section that hold for every posterior of T1, whatever the sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.forms import recorded_form
from bids_t1.report.voices import scan, transmit

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References

SUMMARIES = (
    "T1 is the maximum of the posterior; its mean, its standard deviation and its 95 % credible interval of highest "
    "density were computed as well."
)


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
    shape = run.record.get("T1Prior")
    prior = f"T1 had a {shape} prior{scan.searched(run)}." if isinstance(shape, str) else ""
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
