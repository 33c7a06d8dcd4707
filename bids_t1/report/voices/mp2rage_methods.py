"""The methods section of MP2RAGE and MP3RAGE runs, written from what was really done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.report.figures.cycle import Cycle
from bids_t1.report.voices import posteriors, scan
from bids_t1.report.voices.origins import efficiency
from bids_t1.report.words import literature, wording

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References


def paragraphs(run: RunResult, references: References) -> tuple[str, ...]:
    """Return acquisition, signal model, estimation and uncertainty of a run; empty ones where nothing is known."""
    return (_acquisition(run), _model(run, references), _estimation(run, references), _summaries(run, references))


def _acquisition(run: RunResult) -> str:
    cycle = Cycle.from_record(run.record)
    timing = [] if cycle is None else _timing(cycle)
    return scan.acquired(run, f"{run.sequence} images", [*timing, *scan.echo_time(run)])


def _timing(cycle: Cycle) -> list[str]:
    trains = cycle.trains
    spacings = dict.fromkeys(wording.number(1000 * train.excitation_time) for train in trains)
    counts = dict.fromkeys(f"{wording.number(t.before)} + {wording.number(t.after)}" for t in trains)
    angles = ", ".join(f"{train.flip_angle:g}°" for train in trains)
    return [
        f"a cycle of {wording.number(cycle.duration)} s",
        f"inversion times of {wording.times(train.inversion_time for train in trains)}",
        f"flip angles of {angles}",
        f"{', '.join(counts)} excitations before and after the k-space centre, {', '.join(spacings)} ms apart",
    ]


def _model(run: RunResult, references: References) -> str:
    text = (
        "The signal of each readout was that of the steady state of inversion, delays and gradient-echo trains "
        f"{references.cite(literature.MARQUES)}, generalised to any number of readouts, with an inversion "
        "efficiency of "
    )
    if not (value := efficiency(run.record)):
        return ""
    if not run.record.get("InversionEfficiencySlope"):
        return f"{text}{value}."
    return (
        f"{text}{value}, because magnetisation transfer makes the apparent efficiency depend on R1 = 1/T1 "
        f"{references.cite(literature.OLSSON)}."
    )


def _estimation(run: RunResult, references: References) -> str:
    return " ".join(filter(None, (posteriors.estimation(run, references, _inversion(run)), _transfer(run, references))))


def _inversion(run: RunResult) -> str:
    sd = run.record.get("InversionEfficiencySD")
    if not isinstance(sd, int | float) or not sd:
        return ""
    return f"The inversion efficiency was integrated over a normal prior with an SD of {sd:g}."


def _transfer(run: RunResult, references: References) -> str:
    prior = run.record.get("TissuePrior")
    if not isinstance(prior, dict):
        return ""
    return (
        "T1 of the slow component of tissue was had from T1 as measured by a correction that was learned from two "
        f"exchanging pools {references.cite(literature.DORTCH, literature.RIOUX)} played through this protocol, with "
        f"parameters drawn from what is published at {wording.number(float(prior['FieldStrength']))} T; its SD holds "
        "what these parameters leave open."
    )


def _summaries(run: RunResult, references: References) -> str:
    text = (
        f"{posteriors.SUMMARIES} Voxels whose posterior has two separate modes are marked. Confidence "
        "is the likelihood of UNI "
        f"over itself plus that of a uniform UNI {references.cite(literature.SAUNDERS)}."
    )
    if "robust_uni" in run.maps:
        beta = run.record.get("RobustBeta")
        chosen = f" with β = {wording.number(beta)}, chosen from the noise" if isinstance(beta, int | float) else ""
        text += (
            f" Robust UNI suppresses the noise of the background{chosen} {references.cite(literature.OBRIEN)}; "
            "it has no part in T1."
        )
    return text
