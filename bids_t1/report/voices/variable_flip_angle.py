"""What the page says of variable flip angles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.outputs import OF_TRANSMIT
from bids_t1.report.voices import origins, posteriors, scan, transmit
from bids_t1.report.voices.extras import Extras
from bids_t1.report.voices.voice import Voice
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import summarise_posterior
from bids_t1.report.words.record import numbers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References

TWICE = "An error of B1+ of 1 % makes T1 about 2 % wrong: the whole accuracy of T1 hangs on that of B1+."
UNSPOILED = (
    "Spoiling was taken as perfect, as neither metadata nor protocol file tell the phase increment of the pulses "
    "(SpoilingRFPhaseIncrement), or as it was so asked. What spoiling leaves makes T1 wrong by some percent, "
    "everywhere and unseen: the 95 % interval does not tell."
)


def cautions(run: RunResult) -> tuple[str, ...]:
    """Return what a reader has to know before using the numbers."""
    found = (
        transmit.caution_of_unknown(run, TWICE),
        transmit.caution_of_extrapolated(run),
        _about_map(run),
        "" if _spoiling(run) else UNSPOILED,
    )
    return tuple(map(wording.typeset, filter(None, found)))


def why_missing(run: RunResult, quantity: str) -> str:
    """Return why a run lacks a map, or nothing where that is not known."""
    return transmit.why_missing(run) if quantity in OF_TRANSMIT else ""


def extras(run: RunResult) -> Extras:
    """Return where all values come from."""
    return Extras(origins=origins.list_origins(run))


def paragraphs(run: RunResult, references: References) -> tuple[str, ...]:
    """Return acquisition, signal model, estimation and uncertainty of a run."""
    return (
        _acquisition(run),
        _model(run, references),
        posteriors.estimation(run, references, _map_sd(run)),
        posteriors.SUMMARIES,
    )


def _spoiling(run: RunResult) -> Mapping[str, object] | None:
    """Return what was taken of the spoiling; None where it was taken as perfect."""
    found = run.record.get("Spoiling")
    return found if isinstance(found, dict) else None


def _sd(run: RunResult) -> float:
    """Return the SD of the map of B1+ that was told; 0 where none was, or there is no map."""
    sd = (origins.field_of(run) or {}).get("SD")
    return float(sd) if isinstance(sd, int | float) else 0.0


def _about_map(run: RunResult) -> str:
    if origins.field_of(run) is None or _sd(run):
        return ""
    return f"The map of B1+ was taken as true: --b1-map-sd tells how far it may be off. {TWICE}"


def _map_sd(run: RunResult) -> str:
    return f"The SD of its map, {_sd(run):g} of nominal, was integrated over." if _sd(run) else ""


def _acquisition(run: RunResult) -> str:
    angles = ", ".join(f"{angle:g}°" for angle in numbers_of(run.record.get("FlipAngles")))
    spacings = dict.fromkeys(
        wording.number(1000 * time) for time in numbers_of(run.record.get("RepetitionTimesExcitation"))
    )
    parts = [f"flip angles of {angles}", f"repetition times of {', '.join(spacings)} ms"] if angles else []
    return scan.acquired(run, "Spoiled gradient-echo images at variable flip angles", parts)


def _model(run: RunResult, references: References) -> str:
    works = references.cite(literature.GUPTA, literature.DEONI)
    text = f"The signal was the steady state of spoiled gradient echoes {works}"
    spoiling = _spoiling(run)
    if spoiling is None:
        return f"{text}, with spoiling taken as perfect."
    return (
        f"{text}, times what the phase increment of the pulses of {spoiling.get('PhaseIncrement')}° leaves of perfect "
        f"spoiling {references.cite(literature.PREIBISCH)}, from extended phase graphs at a T2 of "
        f"{spoiling.get('T2')} s {references.cite(literature.WEIGEL)}."
    )


VOICE = Voice(
    summarise=summarise_posterior,
    paragraphs=paragraphs,
    equations=lambda _run: ("spoiled_echo",),
    cautions=cautions,
    why_missing=why_missing,
    extras=extras,
    order=("time_sd", "lower", "upper", "mean", "rate", "amplitude"),
    shown=origins.SHOWN,
)
