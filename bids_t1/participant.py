"""One participant, from files to maps and page. Read `process_participant` first."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_t1 import resume
from bids_t1.bids import discover, results, write, write_spaces
from bids_t1.bids.logs import log_path, log_paths
from bids_t1.bids.raw_images import read_raw_images
from bids_t1.bids.timing import timing_path, write_timing
from bids_t1.data.codec import decode
from bids_t1.data.entities import BidsName, stem_of
from bids_t1.data.errors import (
    BidsT1Error,
    CannotCreateOutputError,
    InvalidInputError,
    NoInputError,
    NotEnoughMemoryError,
    NothingSelectedError,
    UsageError,
)
from bids_t1.data.groups import grouped_by
from bids_t1.data.sequences import BY_SUFFIX
from bids_t1.data.sidecar import numbered
from bids_t1.data.timing import Stage, time_taken, told_duration
from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.writing.record import Conversion
from bids_t1.places import describe_output, raw_dataset, require_raw
from bids_t1.report.pages.citation import write_citation
from bids_t1.report.pages.participant import write_page
from bids_t1.report.sections.quality import qualities_of
from bids_t1.report.sections.viewer import can_show_volumes
from bids_t1.runs.by_sequence import process
from bids_t1.runs.common import Run, versions
from bids_t1.spaces import Related, relate
from bids_t1.stopping import stop_if_asked, without_stopping
from bids_t1.stopwatch import Stopwatch
from bids_t1.storage import as_json, publish, publish_file, staging, writing
from bids_t1.threads import side_by_side
from bids_t1.untrusted import read_json
from bids_t1.work import Outcome, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bids_t1.bids.discover import Found
    from bids_t1.data.acquisition import Acquisition, TransmitImages
    from bids_t1.data.result import ParticipantResult, RunResult
    from bids_t1.data.timing import Lap
    from bids_t1.dicom.sources import DicomSource
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Session:
    """What there is to process for one session, or for a participant without sessions."""

    label: str | None
    acquisitions: tuple[Acquisition, ...] = ()
    transmit_fields: tuple[TransmitImages, ...] = ()
    conversion: Conversion | None = None
    failures: tuple[BidsT1Error, ...] = ()
    warnings: tuple[str, ...] = ()
    """Of files of the input that are left out."""

    watch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True, slots=True)
class _Staged:
    """A session whose maps and log are made, and not to be seen yet."""

    label: str | None
    folder: Path
    """Of its maps, relative to the dataset."""

    n_runs: int
    own: frozenset[str]
    """Files of an earlier run that are not made again, relative to the dataset."""

    failures: tuple[BidsT1Error, ...]
    laps: tuple[Lap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """Files beside maps and logs, relative to the dataset."""

    before: tuple[Path, ...]
    """Seen before the logs, by which a participant is finished."""

    after: tuple[Path, ...]
    """Seen when all else is."""

    obsolete: Path | None
    """A log that is to go."""


def process_participant(work: Work, settings: Settings) -> Outcome:
    """Convert, find, fit, write and report one participant; failures of its data are returned, not raised.

    Nothing is seen before maps, logs and page are all made.

    Raises
    ------
    BidsT1Error
        If the choices of the command fit nothing here, or nothing can be written; what an earlier run made stays.
    """
    if work.refused is not None:
        raise work.refused
    participant = work.participant
    if settings.running.reports_only:
        return _reported(participant, settings)
    digest = resume.fingerprint(participant, [source.folder for source in work.sources], settings)
    if not settings.running.force and resume.finished_runs(participant, digest, settings) is not None:
        resume.say_finished(participant)
        return _reported(participant, settings)
    _require_given(participant, settings)
    sessions = list(_sessions(work, settings))
    command = {
        "command": settings.command,
        "fingerprint": digest,
        "all_sessions": not settings.selection.session_label,
        "sessions": [session.label for session in sessions],
    }
    with staging(settings.out_dir) as stage:
        staged = [_stage_session(participant, session, command, stage, settings) for session in sessions]
        return _published(participant, staged, stage, settings)


def _reported(participant: str, settings: Settings) -> Outcome:
    """Make the page of what is there."""
    result = results.read_result(settings.out_dir, participant, n_threads=settings.n_threads)
    if result is None:
        raise NoInputError(
            f"sub-{participant}: {settings.out_dir.name} holds no results of it; expected a log. Process it first."
        )
    n_changed = resume.n_changed(participant, settings)
    if n_changed:
        changed = f"{numbered(n_changed, 'file')} of it changed since they were written; they are shown as they are."
        result = replace(result, warnings=(*result.warnings, changed))
    resume.tell(participant, result.all_warnings)
    write_citation(result, settings.out_dir)
    page = write_page(_with_raw_images(result, settings), settings.out_dir, n_threads=settings.n_threads)
    return Outcome(participant, len(result.runs), (), page, len(result.all_warnings))


def _with_raw_images(result: ParticipantResult, settings: Settings) -> ParticipantResult:
    """Add the images that runs were measured from, where they are still there and the page can show them."""
    if not can_show_volumes():
        return result
    roots = {"raw": settings.bids_dir, "converted": raw_dataset(settings, converted=True)}
    return replace(result, raw_images=read_raw_images(result.runs, roots))


def _published(participant: str, staged: Sequence[_Staged], stage: Path, settings: Settings) -> Outcome:
    """Make the page, and then let everything be seen: maps, logs, page."""
    page = Path(f"sub-{participant}.html")
    failures = tuple(chain.from_iterable(session.failures for session in staged))
    for failure in failures:
        LOG.error("sub-%s: %s", participant, failure)
    obsolete = resume.obsolete_log(participant, [session.label for session in staged], settings)
    watch = Stopwatch()
    with watch.stage(Stage.PAGE, stem_of(participant, None)):
        result = results.read_result(
            settings.out_dir, participant, staged=stage, obsolete=obsolete, n_threads=settings.n_threads
        )
        beside = () if result is None else _stage_page(result, stage, settings)
    warnings = () if result is None else result.all_warnings
    resume.tell(participant, warnings)
    timings = _write_timings(participant, staged, watch.laps, stage)
    _show(participant, staged, _Beside(before=timings, after=(*beside, page), obsolete=obsolete), stage, settings)
    n_runs = sum(session.n_runs for session in staged)
    return Outcome(participant, n_runs, failures, settings.out_dir / page, len(warnings))


def _show(participant: str, staged: Sequence[_Staged], beside: _Beside, stage: Path, settings: Settings) -> None:
    """Move everything to where it is seen."""
    out_dir = settings.out_dir
    with writing(out_dir / f"sub-{participant}"), without_stopping():
        if any(session.n_runs for session in staged):
            describe_output(settings)
        for file in beside.before:
            publish_file(stage, out_dir, file)
        # Sessions first: the folder of what lies outside of them holds theirs.
        for session in sorted(staged, key=lambda session: session.label is None):
            _publish_session(participant, session, stage, out_dir)
        if beside.obsolete is not None:
            resume.forget(beside.obsolete, out_dir)
        for file in beside.after:
            publish_file(stage, out_dir, file)


def _stage_page(result: ParticipantResult, stage: Path, settings: Settings) -> tuple[Path, ...]:
    """Make the page and what belongs to it where nobody sees them yet; return the files beside the page."""
    write_page(_with_raw_images(result, settings), stage, n_threads=settings.n_threads)
    return write_citation(result, stage)


def _write_timings(
    participant: str, staged: Sequence[_Staged], of_page: Sequence[Lap], stage: Path
) -> tuple[Path, ...]:
    """Write how long the stages of each session took, and tell the terminal; return the files."""
    laps = {session.label: session.laps for session in staged}
    laps[None] = (*laps.get(None, ()), *of_page)
    for session, own in laps.items():
        write_timing(timing_path(stage, participant, session), own)
    taken = time_taken(participant, chain.from_iterable(laps.values()))
    parts = ", ".join(f"{name} {told_duration(seconds)}" for name, seconds in taken.by_stage.items())
    LOG.info("sub-%s: took %s (%s)", participant, told_duration(taken.seconds), parts)
    return tuple(timing_path(Path(), participant, session) for session in laps)


def _publish_session(participant: str, session: _Staged, stage: Path, out_dir: Path) -> None:
    if session.n_runs:
        _say_kept(publish(stage, out_dir, session.folder, session.own), session)
    publish_file(stage, out_dir, log_path(Path(), participant, session.label))


def _say_kept(kept: Iterable[str], session: _Staged) -> None:
    of_others = [name for name in kept if session.label is not None or "/ses-" not in name]
    if of_others:
        LOG.info("%s: kept %s not of this program", session.folder, numbered(len(of_others), "file"))


def _require_given(participant: str, settings: Settings) -> None:
    """Refuse a participant of whom no folder of masks and segmentations knows: its name may be mistyped."""
    given = () if settings.session.maps_only else settings.session.derivatives
    if given and not any((folder / f"sub-{participant}").is_dir() for folder in given):
        raise NothingSelectedError(
            f"sub-{participant}: is in none of --derivatives; expected its masks or segmentations there. Check the "
            "folder, or process this participant without it."
        )


def _is_of_command(error: BidsT1Error, participant: str, settings: Settings) -> bool:
    """Tell whether the choices of the command are to blame, and not the data: results that are there then stay."""
    if isinstance(error, NotEnoughMemoryError):
        return bool(log_paths(settings.out_dir, participant))
    return isinstance(error, UsageError | NothingSelectedError | CannotCreateOutputError)


def _sessions(work: Work, settings: Settings) -> Iterator[_Session]:
    """Find what there is to fit, converting scanner files where the dataset has no raw images of the sequence."""
    try:
        found = find_runs(settings.bids_dir, work.participant, settings, settings.selection.session_label)
    except BidsT1Error as error:
        if _is_of_command(error, work.participant, settings):
            raise
        yield _Session(None, failures=(error,))
        return
    if found.runs:
        yield from _of_images(found)
    elif work.sources:
        for source in work.sources:
            yield _converted(work.participant, source, settings)
    else:
        missing = no_images(work.participant, found, settings)
        if _is_of_command(missing, work.participant, settings):
            raise missing
        yield _Session(None, failures=(missing,))


def _of_images(found: Found) -> Iterator[_Session]:
    """Return the sessions of raw images; those outside of sessions first, so that checksums are of nothing else."""
    by_label = grouped_by(found.runs, lambda run: run.name.get("ses"))
    warnings = found.warnings
    for label in sorted(by_label, key=lambda label: label or ""):
        yield _Session(label, tuple(by_label[label]), found.transmit_fields, warnings=warnings)
        warnings = ()


def no_images(participant: str, found: Found, settings: Settings) -> NoInputError | NothingSelectedError:
    """Say that there is nothing to measure, or nothing of it in the sessions asked for."""
    where = f" in session {', '.join(settings.selection.session_label)}" if settings.selection.session_label else ""
    message = (
        f"sub-{participant}: no images with suffix {' or '.join(BY_SUFFIX)} and no DICOM files{where}; expected "
        f"either. {' '.join([*found.warnings, 'Check the folder,'])} or leave this participant out with "
        "--participant-label."
    )
    return NothingSelectedError(message) if where else NoInputError(message)


def find_runs(dataset: Path, participant: str, settings: Settings, sessions: tuple[str, ...]) -> Found:
    """Find the runs of a participant in a raw dataset, as the command chooses them."""
    return discover.find(
        dataset,
        participant,
        sessions=sessions,
        filters=discover.read_filters(settings.selection.bids_filter_file),
        database=settings.selection.bids_database_dir if dataset == settings.bids_dir else None,
    )


def _converted(participant: str, source: DicomSource, settings: Settings) -> _Session:
    """Convert the scanner files of one session, or take over an earlier conversion of the same files."""
    raw = raw_dataset(settings, converted=True)
    record = log_path(settings.out_dir, participant, source.session).with_suffix(".conversion.json")
    watch = Stopwatch()
    try:
        with watch.stage(Stage.CONVERSION, stem_of(participant, source.session)):
            _require_outside(raw, settings.bids_dir)
            require_raw(raw)
            conversion = convert(
                source.folder,
                Destination(raw, participant, source.session, _previous(record)),
                settings.work_dir,
                settings.protocol,
                n_threads=settings.n_threads,
            )
            write.write_log(record, asdict(conversion))
            sessions = () if source.session is None else (source.session,)
            found = find_runs(raw, participant, settings, sessions)
        return _Session(source.session, found.runs, found.transmit_fields, conversion, watch=watch)
    except BidsT1Error as error:
        if _is_of_command(error, participant, settings):
            raise
        return _Session(source.session, failures=(error,), watch=watch)


def _previous(record: Path) -> Conversion | None:
    """Return the record of an earlier conversion; None where there is none that can be read."""
    try:
        return decode(Conversion, read_json(record))
    except (InvalidInputError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _require_outside(raw: Path, bids_dir: Path) -> None:
    """Refuse to convert into the input itself, which is possible where it lies in out_dir/sourcedata/raw."""
    if raw == bids_dir or bids_dir.is_relative_to(raw):
        raise UsageError(
            f"{raw}: is where DICOM files are converted to, and holds bids_dir, which is only read; "
            "expected another out_dir."
        )


def _stage_session(
    participant: str, session: _Session, command: Mapping[str, object], stage: Path, settings: Settings
) -> _Staged:
    """Fit every run of a session, and write what succeeded and the log where nobody sees them yet."""
    runs, failures = _runs(participant, session, settings)
    related = _related(runs, failures, settings, session.watch)
    folder = Path(BidsName.build({"sub": participant, "ses": session.label}, "T1map").folder("."))
    before = resume.outputs(log_path(settings.out_dir, participant, session.label))
    notes = (*session.warnings, *(() if session.conversion is None else session.conversion.warnings))
    if before and not related.runs:
        notes = (*notes, f"{folder}: the maps of an earlier run are left there, as none could be made now.")
    notes = tuple(map(settings.without_paths, notes))
    timed = session.watch.stage(Stage.WRITING, stem_of(participant, session.label))
    with writing(settings.out_dir / folder), timed:
        qualities = qualities_of(related)
        if related.runs:
            (stage / folder).mkdir(parents=True)
            _write_maps(stage / folder, related, notes, settings.n_threads)
            write_spaces.write_tables(stage / folder, related.runs[0].name, related.regions, related.agreements)
            write.write_quality(stage / folder, related.runs[0].name, qualities)
        outputs = resume.checksums(stage, stage / folder) if related.runs else before
        told = [settings.without_paths(str(failure)) for failure in failures]
        judged = {"quality": {one.name: one.to_json() for one in qualities}}
        log = {**_log(session, related, told, notes), **judged, **command, "outputs": outputs}
        path = log_path(stage, participant, session.label)
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_json(log), encoding="utf-8")
    own = resume.unchanged(settings.out_dir, {name: before[name] for name in before.keys() - outputs.keys()})
    return _Staged(session.label, folder, len(related.runs), own, tuple(failures), tuple(session.watch.laps))


def _runs(participant: str, session: _Session, settings: Settings) -> tuple[list[RunResult], list[BidsT1Error]]:
    """Fit every run of a session; return what succeeded, and why the rest did not."""
    raw = raw_dataset(settings, converted=session.conversion is not None)
    runs: list[RunResult] = []
    failures = list(session.failures)
    for acquisition in session.acquisitions:
        stop_if_asked()
        try:
            with session.watch.stage(Stage.MAPS, acquisition.name):
                run = process(Run(acquisition=acquisition, raw=raw, transmit_fields=session.transmit_fields), settings)
            _require_estimates(run)
            runs.append(run)
        except BidsT1Error as error:
            if _is_of_command(error, participant, settings):
                raise
            failures.append(error)
    return runs, failures


def _require_estimates(run: RunResult) -> None:
    """Refuse a map without a value: it is no result."""
    if np.isfinite(run.maps["time"]).any():
        return
    counts = ", ".join(f"{count} {name}" for name, count in run.status_counts.items() if count)
    raise InvalidInputError(
        f"{run.name}: no voxel has an estimate ({counts}); expected some. Check that the images show an object, differ "
        "as their times do, and that their metadata are theirs."
    )


def _log(session: _Session, related: Related, failures: Sequence[str], notes: Sequence[str]) -> dict[str, object]:
    """Return what was found, done and refused in a session."""
    conversion = session.conversion
    return {
        "runs": [write.log_of_run(run) for run in related.runs],
        "anatomies": [write_spaces.log_of_anatomy(anatomy) for anatomy in related.anatomies],
        "comparisons": [write_spaces.log_of_comparison(comparison) for comparison in related.comparisons],
        "in_templates": [write_spaces.log_of_template(one) for one in related.in_templates],
        "regions": [write_spaces.plain(row) for row in related.regions],
        "agreements": [write_spaces.plain(row) for row in related.agreements],
        "failures": list(failures),
        "warnings": list(notes),
        "series": [] if conversion is None else [asdict(series) for series in conversion.series],
        "versions": versions(),
    }


def _related(runs: Sequence[RunResult], failures: list[BidsT1Error], settings: Settings, watch: Stopwatch) -> Related:
    """Bring the runs together; where that fails, their maps are kept."""
    try:
        related = relate(runs, settings, watch)
    except BidsT1Error as error:
        failures.append(error)
        return Related(runs=tuple(runs))
    failures += related.failures
    return related


def _write_maps(folder: Path, related: Related, notes: Sequence[str], n_threads: int) -> None:
    """Write the maps of runs, and what they say together, some side by side."""
    comparisons = zip(related.comparisons, related.transforms, strict=True)
    writers = [
        *(partial(write.write_run, folder, run, notes) for run in related.runs),
        *(partial(write_spaces.write_anatomy, folder, anatomy) for anatomy in related.anatomies),
        *(partial(write_spaces.write_comparison, folder, one, transforms) for one, transforms in comparisons),
        *(partial(write_spaces.write_in_template, folder, one) for one in related.in_templates),
    ]
    side_by_side(lambda write_one: write_one(), writers, n_threads)
