"""What the page adds for MP2RAGE and MP3RAGE: cautions, timing diagram, S against T1, origins of all values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.report.figures import readout_plots, signal_curve
from bids_t1.report.figures.cycle import Cycle
from bids_t1.report.voices import calibrated, transmit
from bids_t1.report.voices.origins import Origin, list_origins, prior_of, voxels_without_map
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult, SignalCurve

TITLES = {"MP2RAGE": "MP2RAGE", "MP3RAGE": "MP3RAGE"}

ORDER = (
    "calibrated", "calibrated_sd", "outside_training", "uni", "robust_uni", "time_sd", "lower", "upper", "two_modes",
    "confidence", "mean", "point", "rate", "amplitude",
)  # fmt: skip
"""Maps beside T1, those that tell most first."""

TYPICAL_T1 = 1.5
"""Grey matter, roughly: for an example of what a wrong B1+ does [s]."""

MUCH_EXTRAPOLATED = 0.05
"""Share of fitted voxels with extrapolated B1+ from which the page cautions."""

SHORT_T1 = 0.1
"""Shorter than any tissue that a head shows: a curve that is flat below needs no remark [s]."""

STRENGTH_TELLS = "The strength of the signal entered too, and often can; where it could not, two modes are marked."

ROLES_OF_FIRST_TWO = {
    "UNIT1": "nothing else entered",
    **dict.fromkeys(("complex", "UNIT1 and magnitudes", "magnitudes"), "the others entered as well"),
}
"""What more than two readouts contributed, by form of the input."""

REASONS = {
    "amplitude": {"UNIT1": "UNIT1 has no signal strength"},
    "robust_uni": {
        "UNIT1": "UNIT1 has no signal strength",
        "UNIT1 and last magnitude": "needs the magnitude of the first readout",
    },
}
"""Why a map cannot be made, by form of the input."""

UNIT1_ALONE = (
    "Only UNIT1 was there. The noise was taken as the same everywhere: where the signal is weak the 95 % interval is "
    "too narrow, where it is strong too wide. Without magnitudes, air differs from tissue only by the roughness of "
    "UNIT1: what is left of the noise outside the head has values of T1 that mean nothing, and they count in all "
    "numbers and in the histogram."
)
SIGN_LOST = (
    "There are magnitudes only: the sign of the signal is lost, and most voxels have two possible T1. Between these "
    "the evenness of M0 over the image decided where it could; elsewhere the voxel is marked as having two modes, and "
    "its T1 is a coin toss. An uneven receive field may mislead the choice. Phase images or UNIT1 would tell."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutSection:
    """What the template shows of such a run beside what every run has."""

    timing: str
    timing_alt: str
    curve: str
    curve_alt: str
    curve_notes: tuple[str, ...]
    origins: tuple[Origin, ...]


def describe_readouts(run: RunResult) -> ReadoutSection:
    """Draw and describe what is particular to these sequences."""
    cycle, curve = Cycle.from_record(run.record), run.curve
    return ReadoutSection(
        timing=readout_plots.draw_cycle(cycle) if cycle else "",
        timing_alt=readout_plots.describe_cycle(cycle) if cycle else "",
        curve=readout_plots.draw_signal_curve(curve) if curve else "",
        curve_alt=readout_plots.describe_signal_curve(curve) if curve else "",
        curve_notes=_curve_notes(run, curve) if curve else (),
        origins=list_origins(run),
    )


def why_missing(run: RunResult, quantity: str) -> str:
    """Return why a run lacks a map, or nothing where that is not known."""
    if quantity in {transmit.MAP, transmit.EXTRAPOLATED}:
        return "no map of B1+ was used" if "TransmitField" not in run.record else ""
    return REASONS.get(quantity, {}).get(str(run.record.get("DataKind")), "")


def cautions_of(run: RunResult) -> tuple[str, ...]:
    """Return what a reader has to know before using the numbers."""
    by_form = {"UNIT1": UNIT1_ALONE, "magnitudes": SIGN_LOST}
    found = (
        _about_transmit(run),
        _about_extrapolation(run),
        by_form.get(str(run.record.get("DataKind")), ""),
        _about_efficiency(run),
        *calibrated.cautions_of_run(run),
    )
    return tuple(map(wording.typeset, filter(None, found)))


def _about_extrapolation(run: RunResult) -> str:
    found = transmit.extrapolated_share(run)
    if found is None or found[0] < MUCH_EXTRAPOLATED * found[1]:
        return ""
    return (
        f"In {wording.percent(*found)} of the fitted voxels B1+ was not measured but continued from its neighbourhood: "
        "there the 95 % interval takes it as exact. A picture below shows where."
    )


def _about_transmit(run: RunResult) -> str:
    n_without, prior = voxels_without_map(run), prior_of(run)
    if prior is None or n_without == 0:
        return ""
    mean, sd, limits = prior
    within = f" (from {limits[0]:g} to {limits[-1]:g})" if limits else ""
    if n_without is None:
        start = "No map of the transmit field B1+ was used."
        example = _example(run) if mean == signal_curve.NOMINAL else ""  # the curve is read at nominal B1+
    else:
        voxels = "1 voxel" if n_without == 1 else f"{wording.grouped(n_without)} voxels"
        start, example = f"The map of the transmit field B1+ has no value in {voxels}.", ""
    if not sd:
        return (
            f"{start} It was taken as {mean:g}: T1 is wrong where it is not, and the 95 % interval does not tell. "
            f"{example}"
        )
    there = "" if n_without is None else " there"
    return (
        f"{start} T1{there} carries the uncertainty of B1+, which was allowed to be "
        f"{wording.plus_minus(mean, sd)}{within}: the SD and the 95 % interval include it. {example}"
    )


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
    return (
        f"The inversion efficiency is not in the data: the default of {value:g} was taken. If it is another on this "
        f"scanner, T1 is shifted everywhere; the 95 % interval allows for an SD of {sd:g}."
    )


def _curve_notes(run: RunResult, curve: SignalCurve) -> tuple[str, ...]:
    kind = str(run.record.get("DataKind"))
    notes = []
    if (plateau := signal_curve.plateau_end(curve)) > SHORT_T1:
        notes.append(f"Below T1 of {plateau:.2f} s S hardly changes.")
    if ranges := signal_curve.shared_ranges(curve):
        where = wording.listed([f"{first:.2f} to {last:.2f} s" for first, last in ranges])
        notes.append(f"Orange: S turns, and two T1 share one S, for T1 of {where}; there S alone cannot tell.")
        if kind != "UNIT1":
            notes.append(STRENGTH_TELLS)
    else:
        notes.append("No two T1 share one S, as far as images can show.")
    if run.sequence == "MP3RAGE" and kind in ROLES_OF_FIRST_TWO:
        notes.append(f"S is that of the first two readouts; {ROLES_OF_FIRST_TWO[kind]}.")
    return tuple(map(wording.typeset, notes))
