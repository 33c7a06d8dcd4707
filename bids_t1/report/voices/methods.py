"""The methods section of a paper, written from what was really done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.outputs import outputs_of
from bids_t1.report.figures import colours
from bids_t1.report.voices import tissue_methods
from bids_t1.report.voices.by_sequence import VOICES, voice_of
from bids_t1.report.words import literature, wording
from bids_t1.report.words.literature import References
from bids_t1.report.words.quantity import T1, quantity_of

if TYPE_CHECKING:
    from bids_t1.data.outputs import Output
    from bids_t1.data.result import ParticipantResult
    from bids_t1.report.words.literature import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """Text to copy, the works it cites, and the signal models it is about."""

    paragraphs: tuple[str, ...]
    pictures: str
    """How the page itself was drawn: not for the paper."""

    references: tuple[Work, ...]
    equations: tuple[str, ...]
    """Signal models whose equations are shown, by the macro that sets them."""


def write_methods(result: ParticipantResult) -> Methods:
    """Write the methods of all runs, at least one; runs that were treated alike share their text."""
    references = References()
    paragraphs = [_preparation(result, references)]
    for run in result.runs:
        of_run = voice_of(run).paragraphs(run, references)
        paragraphs += [paragraph for paragraph in of_run if paragraph and paragraph not in paragraphs]
    paragraphs += tissue_methods.paragraphs_of(result, references)
    return Methods(
        paragraphs=tuple(map(wording.typeset, paragraphs)),
        pictures=_pictures(result, references),
        references=tuple(references.works),
        equations=_equations(result),
    )


def _equations(result: ParticipantResult) -> tuple[str, ...]:
    """Return the equations of all runs, each once, those of one sequence together."""
    found = [
        name
        for voice in VOICES.values()
        for run in result.runs
        if voice_of(run) is voice
        for name in voice.equations(run)
    ]
    return tuple(dict.fromkeys(found))


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
