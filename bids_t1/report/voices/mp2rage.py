"""What the page adds for MP2RAGE and MP3RAGE: cautions, timing diagram, S against T1, origins of all values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.forms import recorded_form
from bids_t1.data.outputs import OF_TRANSMIT
from bids_t1.data.sequences import name_of_readouts
from bids_t1.report.figures import readout_plots, signal_curve
from bids_t1.report.figures.cycle import Cycle
from bids_t1.report.figures.drawing import NO_DRAWING
from bids_t1.report.voices import calibrated, origins, transmit
from bids_t1.report.voices.extras import Extras
from bids_t1.report.voices.mp2rage_methods import paragraphs
from bids_t1.report.voices.voice import Voice
from bids_t1.report.words import wording
from bids_t1.report.words.numbers import summarise_posterior

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult, SignalCurve

TYPICAL_T1 = 1.5
"""Grey matter, roughly: for an example of what a wrong B1+ does [s]."""

SHORT_T1 = 0.1
"""Shorter than any tissue that a head shows: a curve that is flat below needs no remark [s]."""

STRENGTH_TELLS = "The strength of the signal entered too, and often can; where it could not, two modes are marked."


def extras(run: RunResult) -> Extras:
    """Draw and describe what is particular to readouts after one inversion."""
    cycle, curve = Cycle.from_record(run.record), run.curve
    return Extras(
        timing=readout_plots.draw_cycle(cycle) if cycle else NO_DRAWING,
        timing_alt=readout_plots.describe_cycle(cycle) if cycle else "",
        curve=readout_plots.draw_signal_curve(curve) if curve else NO_DRAWING,
        curve_alt=readout_plots.describe_signal_curve(curve) if curve else "",
        curve_notes=_curve_notes(run, curve) if curve else (),
        origins=origins.list_origins(run),
    )


def why_missing(run: RunResult, quantity: str) -> str:
    """Return why a run lacks a map, or nothing where that is not known."""
    if quantity in OF_TRANSMIT:
        return transmit.why_missing(run)
    form = recorded_form(run.record.get("DataKind"))
    return "" if form is None else form.missing.get(quantity, "")


def cautions(run: RunResult) -> tuple[str, ...]:
    """Return what a reader has to know before using the numbers."""
    form = recorded_form(run.record.get("DataKind"))
    found = (
        transmit.caution_of_unknown(run, _example(run)),
        transmit.caution_of_extrapolated(run),
        "" if form is None else form.caution,
        _about_efficiency(run),
        _about_transfer(run),
        *calibrated.cautions_of_run(run),
    )
    return tuple(map(wording.typeset, filter(None, found)))


def _example(run: RunResult) -> str:
    found = signal_curve.read_as(run.curve, TYPICAL_T1) if run.curve else ()
    if not found:
        return ""
    seen = " and ".join(f"{t1:.2f} s where B1+ is {field:g}" for field, t1 in found)
    return f"With this protocol, UNI of T1 = {TYPICAL_T1:g} s looks like that of {seen}."


def _about_efficiency(run: RunResult) -> str:
    origins = run.record.get("TimingOrigins")
    origin = origins.get("InversionEfficiency") if isinstance(origins, dict) else None
    value, sd = run.record.get("InversionEfficiency"), run.record.get("InversionEfficiencySD") or 0.0
    if origin != "default" or not isinstance(value, int | float):
        return ""
    lower = run.record.get("IfEfficiencyIsLower")
    example = ""
    if isinstance(lower, dict):
        example = (
            f": where it is {value - lower['By']:.2g} in truth, T1 of {lower['T1']:g} s reads as {lower['ReadAs']:g} s"
        )
    return (
        f"The inversion efficiency is not in the data: the default of {value:g} was taken. If it is another on this "
        f"scanner, T1 is shifted everywhere{example}. The 95 % interval allows for an SD of {sd:g}."
    )


def _about_transfer(run: RunResult) -> str:
    """Say what a correction by belief is worth."""
    if "TissuePrior" in run.record:
        return (
            "Slow T1 is T1 of MP2RAGE corrected for magnetisation transfer as the literature has it, not as it was "
            "measured here: in tissue unlike that, such as lesions or the brains of children, it may be wrong by some "
            "5 %."
        )
    return ""


def _curve_notes(run: RunResult, curve: SignalCurve) -> tuple[str, ...]:
    form = recorded_form(run.record.get("DataKind"))
    notes = []
    if (plateau := signal_curve.plateau_end(curve)) > SHORT_T1:
        notes.append(f"Below T1 of {plateau:.2f} s S hardly changes.")
    if ranges := signal_curve.shared_ranges(curve):
        where = wording.listed([f"{first:.2f} to {last:.2f} s" for first, last in ranges])
        notes.append(f"Orange: S turns, and two T1 share one S, for T1 of {where}; there S alone cannot tell.")
        if form is None or form.has_amplitude:
            notes.append(STRENGTH_TELLS)
    else:
        notes.append("No two T1 share one S, as far as images can show.")
    if run.sequence != name_of_readouts(2) and form is not None and form.others:
        notes.append(f"S is that of the first two readouts; {form.others}.")
    return tuple(map(wording.typeset, notes))


VOICE = Voice(
    summarise=summarise_posterior,
    paragraphs=paragraphs,
    equations=lambda _run: ("uni",),
    cautions=cautions,
    why_missing=why_missing,
    extras=extras,
    order=(
        "calibrated", "calibrated_sd", "outside_training", "slow", "slow_sd", "uni", "robust_uni", "time_sd", "lower",
        "upper", "two_modes", "confidence", "mean", "point", "rate", "amplitude",
    ),
    shown=origins.SHOWN,
)  # fmt: skip
