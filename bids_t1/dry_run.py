"""What a command would do, from looking alone: what is there, what is missing, what would be written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from bids_t1 import resume
from bids_t1.data.errors import BidsT1Error, InvalidInputError
from bids_t1.data.outputs import BRAIN_AND_TISSUES, CALIBRATED, SLOW, outputs_of
from bids_t1.data.sequences import MP2RAGE
from bids_t1.data.sidecar import plain
from bids_t1.dicom.convert import plan
from bids_t1.participant import find_runs, no_images
from bids_t1.runs.by_sequence import ready
from bids_t1.runs.common import Run, times
from bids_t1.sequences.mp2rage_timing import to_fill_in
from bids_t1.stopping import stop_if_asked
from bids_t1.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bids_t1.bids.discover import Found
    from bids_t1.dicom.convert import Plan
    from bids_t1.runs.common import Ready
    from bids_t1.settings import Settings
    from bids_t1.work import Work

READY = "can start"
REFUSED = "CANNOT START"
FINISHED = f"{resume.FINISHED}: would be left as it is (--force does it again)"

WIDTH = 120
"""Of a line of the table."""

MOST_NAMED = 3
"""Files of a run that are named one by one."""

OF_ALL = {
    False: "sub-{}.html; desc-quality_metrics.json; where a brain is found: {}, tables of T1 by tissue, MP2RAGE in the "
    "space of inversion recovery",
    True: "sub-{}.html; desc-quality_metrics.json",
}
"""What is written beside the maps of runs, and with --maps-only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was found of one run, or of the scanner files of one session."""

    name: str
    told: tuple[tuple[str, str], ...] = ()
    """Headings and what stands beside them."""

    failure: BidsT1Error | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a command would do with one participant."""

    participant: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What is known of the result beforehand."""
        failures = tuple(line.failure for line in self.lines if line.failure is not None)
        return Outcome(self.participant, len(self.lines) - len(failures), failures, None, len(self.notes))

    def __str__(self) -> str:
        """Write the table of the participant."""
        width = max((len(line.name) for line in self.lines), default=0)
        rows = (text for line in self.lines for text in _rows(line, width))
        notes = (
            text for note in self.notes for text in wrap(note, WIDTH, initial_indent="  ", subsequent_indent=" " * 14)
        )
        return "\n".join([f"sub-{plain(self.participant)}", *rows, *notes, ""])


def look(work: Work, settings: Settings) -> Look:
    """Read what a participant would be measured from; nothing is computed, and nothing written."""
    if work.refused is not None:
        return Look(participant=work.participant, lines=(Line(name="input", failure=work.refused),))
    try:
        found = find_runs(settings.bids_dir, work.participant, settings, settings.selection.session_label)
    except BidsT1Error as error:
        return Look(participant=work.participant, lines=(Line(name="input", failure=error),))
    lines = tuple(_of_images(found, settings)) if found.runs else tuple(_of_scanner_files(work, settings))
    if not lines:
        lines = (Line(name="input", failure=no_images(work.participant, found, settings)),)
    starts = any(line.failure is None for line in lines)
    beside = (*_finished(work, settings), _beside(work, settings)) if starts else ()
    return Look(participant=work.participant, lines=lines, notes=(*found.warnings, *beside))


def _beside(work: Work, settings: Settings) -> str:
    """Say what is written beside the maps of the runs."""
    tissues = ", ".join(row.ending for row in BRAIN_AND_TISSUES)
    return "beside them: " + OF_ALL[settings.session.maps_only].format(work.participant, tissues)


def _finished(work: Work, settings: Settings) -> Iterator[str]:
    sources = [source.folder for source in work.sources]
    if not settings.running.force and settings.out_dir.is_dir():
        digest = resume.fingerprint(work.participant, sources, settings)
        if resume.finished_runs(work.participant, digest, settings) is not None:
            yield FINISHED


def _of_images(found: Found, settings: Settings) -> Iterator[Line]:
    """Look at every run of a BIDS dataset."""
    for acquisition in found.runs:
        stop_if_asked()
        run = Run(acquisition=acquisition, raw=settings.bids_dir, transmit_fields=found.transmit_fields)
        files = [file.path for file in acquisition.files]
        name = str(acquisition.name)
        try:
            there = ready(run, settings)
        except BidsT1Error as error:
            yield Line(name=name, told=(("files", _listed(files)),), failure=error)
        else:
            yield Line(name=name, told=(("files", _listed(files)), *_told(there, settings)))


def _told(there: Ready, settings: Settings) -> Iterator[tuple[str, str]]:
    images = f"{there.n_images} {there.kind}, {times(there.shape)} voxels"
    yield "images", f"{images}, B1+ from {there.transmit}" if there.transmit else images
    yield from (("warning", warning) for warning in there.warnings)
    yield "writes", ", ".join(_expected(there, settings))


def _expected(there: Ready, settings: Settings) -> Iterator[str]:
    """Name the maps that a run would have."""
    absent = {*there.lacking, *_not_asked(settings)}
    for row in outputs_of(there.sequence):
        if row.quantity not in absent:
            condition = there.perhaps.get(row.quantity)
            yield f"{row.ending}, {condition}" if condition else row.ending


def _not_asked(settings: Settings) -> Iterator[str]:
    """Yield the quantities that the options leave out."""
    if settings.calibrating.calibration is None:
        yield from CALIBRATED
    if settings.readouts.mt_prior != "tissue":
        yield from SLOW


def _of_scanner_files(work: Work, settings: Settings) -> Iterator[Line]:
    """Look at the headers of every session."""
    for source in work.sources:
        stop_if_asked()
        name = "DICOM" if source.session is None else f"DICOM of ses-{source.session}"
        try:
            planned = plan(source.folder, settings.protocol)
        except BidsT1Error as error:
            yield Line(name=name, failure=error)
        else:
            yield from _of_plan(name, planned)


def _of_plan(name: str, planned: Plan) -> Iterator[Line]:
    """Say what the headers of one session would become."""
    series = ((f"series {one.number or '?'}", f"{one.n_files} files: {one.outcome}") for one in planned.series)
    warnings = (("warning", warning) for warning in planned.warnings)
    lacking = InvalidInputError(
        f"the headers lack {', '.join(planned.lacking)}. Give what is missing in a file for --protocol, with your "
        "numbers in place of these:\n" + "\n".join(to_fill_in(planned.lacking))
    )
    others = planned.suffixes - {MP2RAGE.name, "UNIT1"}
    whole = Line(name=name, told=(*series, *warnings), failure=lacking if planned.lacking and not others else None)
    yield whole
    if planned.lacking and others:
        yield Line(name=f"{name}: {MP2RAGE.name}", failure=lacking)


def _listed(files: Sequence[Path]) -> str:
    """Name the first and the last of some files of one folder."""
    names = [path.name for path in sorted(files, key=_counting)]
    shown = names if len(names) <= MOST_NAMED else [names[0], "...", names[-1]]
    return f"{len(names)} in {files[0].parent.name}: {' '.join(shown)}"


def _counting(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


def _rows(line: Line, width: int) -> Iterator[str]:
    yield f"  {line.name:{width}}  {READY if line.failure is None else REFUSED}"
    for heading, text in line.told:
        yield from wrap(
            text,
            WIDTH,
            initial_indent=f"    {heading:9} ",
            subsequent_indent=" " * 14,
            break_long_words=False,
            break_on_hyphens=False,
        )
    if line.failure is not None:  # its lines may be a table to be pasted: as they are
        yield from (f"    {text}" for text in str(line.failure).splitlines())
