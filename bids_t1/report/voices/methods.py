"""The methods section of a paper, written from what was really done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.outputs import outputs_of
from bids_t1.report.figures import colours
from bids_t1.report.voices import echo_methods, readout_methods, selective_inversion_recovery, tissue_methods
from bids_t1.report.voices.fit_methods import noise_of_magnitudes
from bids_t1.report.words import literature, wording
from bids_t1.report.words.literature import References
from bids_t1.report.words.quantity import T1, quantity_of
from bids_t1.report.words.record import times_of

if TYPE_CHECKING:
    from bids_t1.data.outputs import Output
    from bids_t1.data.result import ParticipantResult, RunResult
    from bids_t1.report.words.literature import Work

FREE_EQUATION = "S(TI) = M0 (1 - exp(-TR/T1)) + κ M0 (exp(-TR/T1) - exp(-TI/T1))"
IDEAL_EQUATION = "S(TI) = M0 (1 - 2 exp(-TI/T1))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """Text to copy, the works it cites, and the signal models it is about."""

    paragraphs: tuple[str, ...]
    pictures: str
    """How the page itself was drawn: not for the paper."""

    references: tuple[Work, ...]
    models: tuple[str, ...]
    """Efficiency models whose equations are shown: 'free', 'learned', 'ideal'."""

    shows_uni: bool
    """Whether the equation of UNI is shown."""

    shows_decay: bool
    """Whether the equation of the decay is shown."""


def write_methods(result: ParticipantResult) -> Methods:
    """Write the methods of all runs, at least one; runs that were treated alike share their text."""
    references = References()
    paragraphs = [_preparation(result, references)]
    for run in result.runs:
        of_run = _paragraphs_of(run, references)
        paragraphs += [paragraph for paragraph in of_run if paragraph and paragraph not in paragraphs]
    paragraphs += tissue_methods.paragraphs_of(result, references)
    models = (str(run.record["EfficiencyModel"]) for run in result.runs if "EfficiencyModel" in run.record)
    return Methods(
        paragraphs=tuple(map(wording.typeset, paragraphs)),
        pictures=_pictures(result, references),
        references=tuple(references.works),
        models=tuple(dict.fromkeys(models)),
        shows_uni=any(run.sequence in readout_methods.SEQUENCES for run in result.runs),
        shows_decay=any(run.sequence in echo_methods.SEQUENCES for run in result.runs),
    )


def _paragraphs_of(run: RunResult, references: References) -> tuple[str, ...]:
    if run.sequence in readout_methods.SEQUENCES:
        return readout_methods.paragraphs_of(run, references)
    if run.sequence in echo_methods.SEQUENCES:
        return echo_methods.paragraphs_of(run, references)
    if run.sequence in selective_inversion_recovery.SEQUENCES:
        return selective_inversion_recovery.paragraphs_of(run, references)
    return (_acquisition(run), _model(run, references), _fit(run, references), _uncertainty(run))


def _preparation(result: ParticipantResult, references: References) -> str:
    version = result.versions.get("bids_t1")
    program = f"bids_t1 (version {version})" if version else "bids_t1"
    converted = (
        f"DICOM series were converted to NIfTI with dcm2niix {references.cite(literature.DCM2NIIX)}. "
        if result.series
        else ""
    )
    standard = references.cite(literature.BIDS, literature.QMRI_BIDS)
    measured = wording.listed(list(dict.fromkeys(quantity_of(run.sequence).name for run in result.runs)))
    return (
        f"{converted}Maps of {measured} were computed with {program}. Data and results are organised by the Brain "
        f"Imaging Data Structure and its conventions for quantitative MRI {standard}."
    )


def _acquisition(run: RunResult) -> str:
    inversion_times = times_of(run.record, "InversionTimes")
    repetition_times = times_of(run.record, "RepetitionTimes")
    known = sorted({time for time in repetition_times if math.isfinite(time)})
    echo_time, field_strength = run.record.get("EchoTime"), run.record.get("MagneticFieldStrength")
    parts = [f"inversion times of {wording.times(inversion_times)}"] if inversion_times else []
    if len(known) == 1:
        parts.append(f"a repetition time of {wording.number(known[0])} s")
    elif known:
        parts.append(f"repetition times of {wording.number(known[0])} to {wording.number(known[-1])} s")
    if isinstance(echo_time, int | float):
        parts.append(f"an echo time of {wording.number(1000 * echo_time)} ms")
    parts.append(f"voxels of {' x '.join(wording.number(size, 3) for size in run.grid.voxel_sizes)} mm")
    place = f" at {wording.number(field_strength)} T" if isinstance(field_strength, int | float) else ""
    return f"Inversion-recovery images{place} had {wording.listed(parts)}."


def _model(run: RunResult, references: References) -> str:
    variant = run.record.get("EfficiencyModel")
    if variant == "ideal":
        text = (
            f"The signal of each voxel was modelled as {IDEAL_EQUATION}: an ideal inversion, and recovery "
            f"between repetitions taken as complete {references.cite(literature.BARRAL)}."
        )
        return " ".join(filter(None, (text, _fast_component(run, references))))
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
    free = _learned(run) if variant == "learned" else "M0, κ and T1 were free in every voxel."
    return " ".join(filter(None, (text.rstrip(), _fast_component(run, references), free)))


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
    limits = times_of(run.record, "SearchRange")
    where = f" between {wording.number(limits[0])} and {wording.number(limits[-1])} s" if limits else ""
    numbers = references.cite(literature.GOLUB, literature.KAUFMAN)
    text = (
        f"For a given T1 the other unknowns follow from linear least squares (variable projection "
        f"{numbers}); T1 was searched{where} and refined to the continuous optimum."
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
            source = "phase-corrected complex images" if kind == "complex" else "real-part images"
            return (
                f"The signs in the {source} were set aside: {rule}"
                if restored
                else f"Signs were those of the {source}."
            )
        case _:
            return ""


def _uncertainty(run: RunResult) -> str:
    degrees = run.record.get("DegreesOfFreedom")
    freedom = f" with {wording.counted(degrees, 'degree')} of freedom" if isinstance(degrees, int) else ""
    return (
        f"The standard deviation of T1 is its Cramér-Rao bound at the residual of the voxel{freedom}; where "
        "two choices of sign explain the data, it covers both. Voxels have no value where they hold no signal, "
        "where the signal is below three times its noise, and where the best T1 lies at an end of the search range."
    )


def _rows(result: ParticipantResult) -> list[Output]:
    sequences = dict.fromkeys(run.sequence for run in result.runs)
    return [row for sequence in sequences for row in outputs_of(sequence)]


def _pictures(result: ParticipantResult, references: References) -> str:
    text = "Maps are shown voxel by voxel, without interpolation."
    recommended = dict.fromkeys(
        row.suffix.removesuffix("map").replace("star", "*") for row in _rows(result) if colours.is_recommended(row)
    )
    if recommended:
        text += (
            f" The colours of {wording.listed(list(recommended))} are those recommended for relaxometry, along a curve "
            "that is linear up to 1/e of the upper limit and logarithmic above "
            f"{references.cite(literature.FUDERER)}."
        )
    fields = [run.record.get("MagneticFieldStrength") for run in result.runs if quantity_of(run.sequence) is T1]
    if any(map(literature.reference_bands, fields)):
        text += (
            " Reference bands of the histograms are means ± SD of four participants "
            f"{references.cite(literature.WRIGHT)}."
        )
    if result.regions and any(literature.BOUDREAU in _works(field) for field in fields):
        text += f" Those of tissues by inversion recovery are of 56 data sets {references.cite(literature.BOUDREAU)}."
    return text


def _works(field_strength: object) -> set[Work]:
    return {one.work for of_tissue in literature.published(field_strength).values() for one in of_tissue}
