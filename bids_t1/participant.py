"""One participant, from files to maps and page. Read `process_participant` first."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1 import resume
from bids_t1.bids import discover, results, write, write_spaces
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import (
    BidsT1Error,
    NoInputError,
    NothingSelectedError,
    UsageError,
)
from bids_t1.dicom.convert import convert
from bids_t1.dicom.record import Conversion
from bids_t1.report.page import write_page
from bids_t1.runs import inversion_recovery, mp2rage, multi_echo_gre
from bids_t1.runs.common import versions
from bids_t1.spaces import Related, relate
from bids_t1.storage import publishing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bids_t1.bids.discover import Found
    from bids_t1.data.acquisition import Acquisition, TransmitImages
    from bids_t1.data.result import RunResult
    from bids_t1.dicom.sources import DicomSource
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """One participant, and the scanner files to convert where there are no raw images."""

    participant: str
    sources: tuple[DicomSource, ...] = ()
    """One per session."""

    refused: BidsT1Error | None = None
    """Why nothing of this participant can be processed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one participant."""

    participant: str
    n_runs: int
    failures: tuple[BidsT1Error, ...]
    page: Path | None


@dataclass(frozen=True, slots=True)
class _Session:
    """What there is to process for one session, or for a participant without sessions."""

    label: str | None
    acquisitions: tuple[Acquisition, ...] = ()
    transmit_fields: tuple[TransmitImages, ...] = ()
    conversion: Conversion | None = None
    failures: tuple[BidsT1Error, ...] = ()


def process_participant(work: Work, settings: Settings) -> Outcome:
    """Convert, find, fit, write and report one participant; expected failures are returned, not raised."""
    if work.refused is not None:
        raise work.refused
    n_runs = 0
    failures: list[BidsT1Error] = []
    digest = resume.fingerprint(work.participant, [source.folder for source in work.sources], settings)
    finished = None if settings.force else resume.finished_runs(work.participant, digest, settings)
    if finished is not None:
        LOG.info(
            "sub-%s: finished before with the same input, options and version; left as it is (--force does it again)",
            work.participant,
        )
        n_runs = finished
    elif not settings.reports_only:
        labels = set()
        for session in _sessions(work, settings):
            n_fitted, failed = _process_session(work.participant, session, digest, settings)
            n_runs += n_fitted
            failures += failed
            labels.add(session.label)
        if None not in labels:  # what an earlier run could not tell sessions of is settled now
            results.log_path(settings.out_dir, work.participant, None).unlink(missing_ok=True)
    result = results.read_result(settings.out_dir, work.participant)
    if result is None:
        raise NoInputError(
            f"sub-{work.participant}: {settings.out_dir.name} holds no results of it; expected a log. Process it first."
        )
    page = write_page(result, settings.out_dir)
    return Outcome(work.participant, n_runs, tuple(failures), page)


def _sessions(work: Work, settings: Settings) -> Iterator[_Session]:
    """Find what there is to fit, converting scanner files where the dataset has no raw images of the sequence."""
    try:
        found = _find(settings.bids_dir, work.participant, settings, settings.sessions)
    except BidsT1Error as error:
        yield _Session(None, failures=(error,))
        return
    if found.runs:
        # Images outside of sessions first: their folder is replaced as a whole, with those of sessions in it.
        for label in sorted({run.name.get("ses") for run in found.runs}, key=lambda label: label or ""):
            runs = tuple(run for run in found.runs if run.name.get("ses") == label)
            yield _Session(label, runs, found.transmit_fields)
        return
    if not work.sources:
        where = f" in session {', '.join(settings.sessions)}" if settings.sessions else ""
        message = (
            f"sub-{work.participant}: no images with suffix {' or '.join(discover.SEQUENCES)} and no DICOM files"
            f"{where}; expected either. Check the folder, or leave this participant out with --participant-label."
        )
        yield _Session(None, failures=(NothingSelectedError(message) if where else NoInputError(message),))
    for source in work.sources:
        yield _converted(work.participant, source, settings)


def _find(dataset: Path, participant: str, settings: Settings, sessions: tuple[str, ...]) -> Found:
    return discover.find(
        dataset,
        participant,
        sessions=sessions,
        filters=discover.read_filters(settings.filter_file),
        database=settings.database if dataset == settings.bids_dir else None,
    )


def _converted(participant: str, source: DicomSource, settings: Settings) -> _Session:
    """Convert the scanner files of one session, or take over an earlier conversion of the same files."""
    raw = raw_dataset(settings, converted=True)
    record = results.log_path(settings.out_dir, participant, source.session).with_suffix(".conversion.json")
    LOG.info("sub-%s: reading DICOM headers", participant)
    try:
        _require_outside(raw, settings.bids_dir)
        conversion = convert(
            source.folder,
            raw,
            settings.work_dir,
            participant=participant,
            session=source.session,
            previous=_previous(record),
            protocol=settings.protocol,
        )
        write.write_log(record, conversion.to_json())
        sessions = () if source.session is None else (source.session,)
        found = _find(raw, participant, settings, sessions)
        return _Session(source.session, found.runs, found.transmit_fields, conversion)
    except BidsT1Error as error:
        return _Session(source.session, failures=(error,))


def _previous(record: Path) -> Conversion | None:
    """Return the record of an earlier conversion; None where there is none that can be read."""
    try:
        return Conversion.from_json(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _require_outside(raw: Path, bids_dir: Path) -> None:
    """Refuse to convert into the input itself, which is possible where it lies in out_dir/sourcedata/raw."""
    if raw == bids_dir or bids_dir.is_relative_to(raw):
        raise UsageError(
            f"{raw}: is where DICOM files are converted to, and holds bids_dir, which is only read; "
            "expected another out_dir."
        )


def raw_dataset(settings: Settings, *, converted: bool) -> Path:
    """Return the root of the raw dataset: the input itself, or what is converted from its DICOM files."""
    return settings.out_dir / "sourcedata" / "raw" if converted else settings.bids_dir


def _source_datasets(settings: Settings) -> dict[str, Path]:
    """Name the raw datasets that maps come from, as in the BIDS URIs of their sidecars.

    A folder of scanner files is not among them: it is no BIDS dataset, and its name may be that of a person.
    """
    converted = raw_dataset(settings, converted=True)
    named = {"raw": settings.bids_dir} if discover.holds_images(settings.bids_dir) else {}
    return named | ({"converted": converted} if converted.is_dir() and converted != settings.bids_dir else {})


def _process_session(
    participant: str, session: _Session, digest: str, settings: Settings
) -> tuple[int, list[BidsT1Error]]:
    """Fit every run of a session and write what succeeded, together, in one step; return how many runs did."""
    raw = raw_dataset(settings, converted=session.conversion is not None)
    runs: list[RunResult] = []
    failures = list(session.failures)
    for acquisition in session.acquisitions:
        try:
            runs.append(_process_run(acquisition, raw, session.transmit_fields, settings))
        except BidsT1Error as error:
            failures.append(error)
    related = _related(runs, failures, settings)
    runs = list(related.runs)
    published = Path(BidsName.build({"sub": participant, "ses": session.label}, "T1map").folder("."))
    if runs:
        write.describe_derivatives(settings.out_dir, _source_datasets(settings))
        with publishing(settings.out_dir, published) as folder:
            for run in runs:
                write.write_run(folder, run)
            _write_related(folder, related, runs[0].name)
    for failure in failures:
        LOG.error("sub-%s: %s", participant, failure)
    conversion = session.conversion
    log = {
        "runs": [write.log_of_run(run) for run in runs],
        "anatomies": [write_spaces.log_of_anatomy(anatomy) for anatomy in related.anatomies],
        "comparisons": [write_spaces.log_of_comparison(comparison) for comparison in related.comparisons],
        "regions": [write_spaces.plain(row) for row in related.regions],
        "agreements": [write_spaces.plain(row) for row in related.agreements],
        "failures": [str(failure) for failure in failures],
        "warnings": [] if conversion is None else list(conversion.warnings),
        "series": [] if conversion is None else [asdict(series) for series in conversion.series],
        "versions": versions(),
        "command": settings.command,
        "fingerprint": digest,
        "all_sessions": not settings.sessions,
        "outputs": resume.checksums(settings.out_dir, settings.out_dir / published) if runs else {},
    }
    write.write_log(results.log_path(settings.out_dir, participant, session.label), log)
    return len(runs), failures


def _related(runs: Sequence[RunResult], failures: list[BidsT1Error], settings: Settings) -> Related:
    """Bring the runs together; where that fails, their maps are kept."""
    try:
        related = relate(runs, settings)
    except BidsT1Error as error:
        failures.append(error)
        return Related(runs=tuple(runs))
    failures += related.failures
    return related


def _write_related(folder: Path, related: Related, name: BidsName) -> None:
    for anatomy in related.anatomies:
        write_spaces.write_anatomy(folder, anatomy)
    for comparison, transforms in zip(related.comparisons, related.transforms, strict=True):
        write_spaces.write_comparison(folder, comparison, transforms)
    write_spaces.write_tables(folder, name, related.regions, related.agreements)


def _process_run(
    acquisition: Acquisition, raw: Path, transmit_fields: tuple[TransmitImages, ...], settings: Settings
) -> RunResult:
    """Estimate the maps of one run with what knows its sequence."""
    if acquisition.sequence == "IRT1":
        return inversion_recovery.process(acquisition, raw, settings)
    if acquisition.sequence == "MEGRE":
        return multi_echo_gre.process(acquisition, raw, settings)
    return mp2rage.process(acquisition, raw, transmit_fields, settings)
