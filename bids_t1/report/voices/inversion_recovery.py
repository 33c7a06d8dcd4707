"""What the page says of inversion recovery."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bids_t1.report.voices import scan
from bids_t1.report.voices.fits import at_residual, noise_of_magnitudes, signed_images, without_value
from bids_t1.report.voices.voice import Voice
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import summarise_fit
from bids_t1.report.words.record import times_of

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References
    from bids_t1.report.words.numbers import Summary

FREE_EQUATION = "S(TI) = M0 (1 - exp(-TR/T1)) + κ M0 (exp(-TR/T1) - exp(-TI/T1))"
IDEAL_EQUATION = "S(TI) = M0 (1 - 2 exp(-TI/T1))"


def equations(run: RunResult) -> tuple[str, ...]:
    """Return the signal model that was fitted."""
    model = run.record.get("EfficiencyModel")
    return () if model is None else ("ideal_inversion",) if model == "ideal" else ("inversion",)


def summarise(run: RunResult) -> Summary:
    """Return the numbers of a run."""
    return summarise_fit(run, bends="motion, partial volume, magnetisation transfer")


def paragraphs(run: RunResult, references: References) -> tuple[str, ...]:
    """Return acquisition, signal model, fit and uncertainty of a run."""
    return (_acquisition(run), _model(run, references), _fit(run, references), _uncertainty(run))


def _acquisition(run: RunResult) -> str:
    inversion_times = times_of(run.record, "InversionTimes")
    repetition_times = times_of(run.record, "RepetitionTimes")
    known = sorted({time for time in repetition_times if math.isfinite(time)})
    parts = [f"inversion times of {wording.times(inversion_times)}"] if inversion_times else []
    if len(known) == 1:
        parts.append(f"a repetition time of {wording.number(known[0])} s")
    elif known:
        parts.append(f"repetition times of {wording.number(known[0])} to {wording.number(known[-1])} s")
    parts += scan.echo_time(run)
    return scan.acquired(run, "Inversion-recovery images", parts)


def _model(run: RunResult, references: References) -> str:
    variant = run.record.get("EfficiencyModel")
    if variant == "ideal":
        text = (
            f"The signal of each voxel was modelled as {IDEAL_EQUATION}: an ideal inversion, and recovery "
            f"between repetitions taken as complete {references.cite(literature.BARRAL)}."
        )
        return " ".join(filter(None, (text, _time_shift(run).rstrip(), _fast_component(run, references))))
    if variant not in {"free", "learned"}:
        return ""
    text = (
        f"The signal of each voxel was modelled as {FREE_EQUATION}, with TR the time between inversions and "
        "κ = 1 - cos(inversion angle) the apparent inversion efficiency, 2 for an ideal inversion. Where "
        f"all TR are equal, T1 is that of the model a + b exp(-TI/T1) {references.cite(literature.BARRAL)}. "
    )
    repetition_times = times_of(run.record, "RepetitionTimes")
    if not all(map(math.isfinite, repetition_times)):
        text += "Repetition times that are not known were taken as infinite. "
    text += _time_shift(run)
    free = _learned(run) if variant == "learned" else "M0, κ and T1 were free in every voxel."
    return " ".join(filter(None, (text.rstrip(), _fast_component(run, references), free)))


def _time_shift(run: RunResult) -> str:
    """Say by how much inversion times were read as other than told."""
    match run.record.get("TimeShift"):
        case {"Added": float(added), "SD": float(sd)} if added:
            return (
                f"All inversion times were taken as {wording.number(-1000 * added)} ms (SD {wording.number(1000 * sd)} "
                "ms) shorter than told, as learned from the image: κ as a function of T1 then nowhere exceeds that "
                "of a perfect inversion. "
            )
        case {"Added": float(added)} if added:
            return f"{wording.number(1000 * added)} ms were added to all inversion times, as asked. "
        case _:
            return ""


def _fast_component(run: RunResult, references: References) -> str:
    """Say which T1 was measured: that of the slow component, or of one exponential through which inversion times."""
    match run.record.get("FastComponent"):
        case {"Treatment": "fitted", "RelaxationTime": float(fast)}:
            return (
                "Where T1 is above 0.3 s, a second exponential with a relaxation time of "
                f"{wording.number(1000 * fast)} ms and up to 0.3 of the amplitude of the first was added for the "
                f"exchange of magnetisation with macromolecules {references.cite(literature.RIOUX)}: T1 is that of the "
                "slow component."
            )
        case {"Treatment": "short inversion times left out", "GoneAfter": float(limit)}:
            return (
                f"Inversion times below {wording.number(1000 * limit)} ms were left out, at which the fast component "
                f"of tissue still is there {references.cite(literature.RIOUX)}: T1 is that of the slow component."
            )
        case {"Treatment": "none"}:
            return "T1 is that of one exponential through all inversion times."
        case _:
            return ""


def _learned(run: RunResult) -> str:
    text = (
        "κ had a Gaussian prior, learned from the image itself by maximum marginal likelihood; its mean may "
        "change with T1"
    )
    match run.record.get("LearnedEfficiency"):
        case {"AtT1": [*times], "Mean": [*means], "SD": float(sd), "Voxels": int(n)}:
            places = [f" at T1 {time:.2f} s" for time in times] if len(times) > 1 else [""]
            line = ", ".join(f"{mean:.3f}{place}" for mean, place in zip(means, places, strict=True))
            return f"{text} (mean {line}; SD {sd:.3f}, from {wording.grouped(n)} voxels)."
        case _:
            return text + "."


def _fit(run: RunResult, references: References) -> str:
    numbers = references.cite(literature.GOLUB, literature.KAUFMAN)
    text = (
        f"For a given T1 the other unknowns follow from linear least squares (variable projection "
        f"{numbers}); T1 was searched{scan.searched(run)} and refined to the continuous optimum."
    )
    return " ".join(filter(None, (text, _signs(run, references), noise_of_magnitudes(run, references))))


def _signs(run: RunResult, references: References) -> str:
    kind = run.record.get("DataKind")
    restored = kind == "magnitude" or bool(run.record.get("PolarityRestored"))
    rule = (
        "the signal changes sign at most once with rising TI, and the position of the change with the "
        f"smallest residual was taken {references.cite(literature.BARRAL)}."
        if restored
        else ""
    )
    match kind:
        case "magnitude":
            return f"Magnitude images have lost the sign of the signal: {rule}"
        case "real" | "complex":
            return (
                f"The signs in the {signed_images(run)} were set aside: {rule}"
                if restored
                else f"Signs were those of the {signed_images(run)}."
            )
        case _:
            return ""


def _uncertainty(run: RunResult) -> str:
    return (
        f"The standard deviation of T1 is its Cramér-Rao bound {at_residual(run)}; where two choices of sign explain "
        f"the data, it covers both. {without_value(run)}"
    )


VOICE = Voice(
    summarise=summarise,
    paragraphs=paragraphs,
    equations=equations,
    meanings={"complex": "complex: real part after phase correction"},
)
