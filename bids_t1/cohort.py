"""All participants of one command: who they are, and one after the other or side by side."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from contextlib import closing, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import bids_t1
from bids_t1 import resume
from bids_t1.bids import discover
from bids_t1.bids.group import participants_with_logs
from bids_t1.bids.logs import DAMAGED_LOG
from bids_t1.data.entities import strip_label
from bids_t1.data.errors import BidsT1Error, InputOutputError, InvalidInputError, NoInputError, UsageError
from bids_t1.data.sequences import BY_SUFFIX
from bids_t1.data.sidecar import numbered, plain
from bids_t1.data.timing import told_duration
from bids_t1.dicom.reading.files import found_instead
from bids_t1.dicom.sources import find_sources
from bids_t1.stopping import stop_if_asked
from bids_t1.storage import write_whole
from bids_t1.untrusted import read_json
from bids_t1.work import Outcome, Work
from bids_t1.workers import Lost, apart, begin, of_one_thread, told

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from bids_t1.dicom.sources import DicomSource, Sources
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

_SHOWN = 20
"""Labels named in one line."""

FLAT_LABEL = "01"
"""Label of the participant of a flat DICOM folder, where none is given."""


class UnexpectedError(BidsT1Error):
    """A bug met while processing one participant; its traceback is in the log."""


def find_work(settings: Settings) -> tuple[Work, ...]:
    """Find the participants to process and where their images are.

    What is wrong with the folder of one participant becomes its own failure. Scanner files of participants that have
    raw images to measure are not looked at. Participants that have images of other kinds only are normal in a mixed
    dataset: they are named, and left aside unless asked for.

    Raises
    ------
    NoInputError
        If the input holds neither raw images nor DICOM files.
    NothingSelectedError
        If a participant or session asked for is not there.
    UsageError
        If several labels are given for one flat folder, or the device is not there.
    """
    _check_device(settings.computing.device)
    _check_files(settings)
    is_gone = settings.running.reports_only and _is_gone(settings.bids_dir)
    return _processed(settings) if is_gone else _measured(settings)


def _measured(settings: Settings) -> tuple[Work, ...]:
    """Return the participants that the input holds, as the command chooses them."""
    declared = discover.declared(settings.bids_dir)
    measured = set(filter(partial(discover.is_measured, settings.bids_dir), declared))
    out_dir = settings.out_dir if settings.out_dir.is_relative_to(settings.bids_dir) else None
    sources = find_sources(settings.bids_dir, known=measured, out_dir=out_dir)
    by_label = _by_label(measured, sources, settings)
    by_label |= _meant(set(declared) - by_label.keys(), settings)
    others = set(discover.participants(settings.bids_dir)) - by_label.keys()
    by_label |= {label: [Work(label)] for label in settings.selection.participant_label if label in others}
    nothing = {
        label: _nothing_usable(label, settings.bids_dir, sources.empty)
        for label in sorted({*declared, *sources.empty} - by_label.keys() - others)
    }
    _say_aside(sorted(others - by_label.keys()), sources.aside)
    if not by_label:
        raise _no_input(nothing, settings)
    by_label |= {label: [Work(label, refused=error)] for label, error in nothing.items()}
    _warn_of_likeness(by_label)
    if measured and not settings.selection.skip_bids_validation:
        _check_description(settings)
    chosen = discover.require(sorted(by_label), settings.selection.participant_label, "participant")
    _require_sessions(chosen, sources, settings)
    return tuple(chain.from_iterable(by_label[label] for label in chosen))


def _is_gone(bids_dir: Path) -> bool:
    """Tell whether there is no input any more: no folder, or one without anything in it."""
    return not bids_dir.is_dir() or next(bids_dir.iterdir(), None) is None


def _processed(settings: Settings) -> tuple[Work, ...]:
    """Return the participants that have results."""
    labels = sorted(participants_with_logs(settings.out_dir))
    if not labels:
        raise NoInputError(
            f"{settings.bids_dir}: is no folder with input, and {settings.out_dir.name} holds no results; expected "
            "either."
        )
    chosen = discover.require(labels, settings.selection.participant_label, "participant")
    return tuple(map(Work, chosen))


def _meant(labels: Iterable[str], settings: Settings) -> dict[str, list[Work]]:
    """Return participants that have files called almost as images that are measured."""
    meant = (label for label in labels if discover.is_meant(settings.bids_dir, label))
    return {label: [Work(label, refused=_misnamed(label))] for label in meant}


def _warn_of_likeness(labels: Iterable[str]) -> None:
    for alike in discover.alike(sorted(labels)):
        LOG.warning(
            "%s: differ in upper and lower case only; on some file systems their results overwrite one another",
            _listed(alike),
        )


def _require_sessions(chosen: Sequence[str], sources: Sources, settings: Settings) -> None:
    """Refuse sessions asked for that none of the participants has."""
    if settings.selection.session_label:
        converted = {source.session for source in sources.found if source.session is not None}
        raw = {session for label in chosen for session in discover.sessions(settings.bids_dir, label)}
        discover.require(sorted(converted | raw), settings.selection.session_label, "session")


def _check_device(wanted: str) -> None:
    """Refuse a device that is not there, before anything is written."""
    if wanted == "cuda":
        from bids_t1.estimation.chunks import choose_device  # noqa: PLC0415 - a finished cohort needs no PyTorch

        choose_device(wanted)


def _check_files(settings: Settings) -> None:
    """Read the files that options name: what is wrong with one is told before anything is written."""
    discover.read_filters(settings.selection.bids_filter_file)
    if settings.readouts.b1_map is not None:
        from bids_t1.bids.transmit.field import check_given_transmit_field  # noqa: PLC0415 - as above

        check_given_transmit_field(settings.readouts.b1_map)
    if settings.calibrating.calibration is not None:
        from bids_t1.calibration.model_file import load_model  # noqa: PLC0415 - as above

        load_model(settings.calibrating.calibration)


def _by_label(measured: set[str], sources: Sources, settings: Settings) -> dict[str, list[Work]]:
    """Put together what is known of each participant that has images, or scanner files usable or not."""
    found: dict[str, tuple[DicomSource, ...]] = dict.fromkeys(measured, ())
    for source in sources.found:
        for warning in source.warnings:
            LOG.warning(warning)
        label = source.participant or _flat_label(settings)
        found[label] = (*found.get(label, ()), source)
    work = {
        label: [Work(label, _wanted(each, settings.selection.session_label), _misnamed(label))]
        for label, each in found.items()
    }
    for label, error in sources.refused:
        if label not in found:
            work.setdefault(label, []).append(Work(label, refused=error))
    return work


def _misnamed(label: str) -> BidsT1Error | None:
    try:
        strip_label("sub", label)
    except BidsT1Error as error:
        return error
    return None


def _no_input(nothing: Mapping[str, NoInputError], settings: Settings) -> NoInputError:
    """Name all participants where there is nothing to process of any."""
    for label, error in nothing.items():
        LOG.error("sub-%s: %s", label, error)
    return NoInputError(
        f"{settings.bids_dir}: holds no sub-* folder with images and no DICOM files; expected a BIDS dataset, or "
        "DICOM files in one folder per participant or directly in it."
    )


def _say_aside(others: Sequence[str], aside: Sequence[str]) -> None:
    """Name, in a line, those that are left aside without being failures."""
    if others:
        LOG.warning(
            "left aside, with images of other kinds only: %s; expected %s",
            _listed(others),
            " or ".join(BY_SUFFIX),
        )
    if aside:
        LOG.warning("left aside, without DICOM files and not called sub-*: %s", numbered(len(aside), "folder"))


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(f"sub-{plain(label)}" for label in labels[:_SHOWN])
    return shown if len(labels) <= _SHOWN else f"{shown} and {len(labels) - _SHOWN} more"


def _nothing_usable(label: str, bids_dir: Path, empty: Mapping[str, Path]) -> NoInputError:
    """Say what there is in place of images."""
    folder = empty.get(label, bids_dir / f"sub-{label}")
    where = "" if folder.parent == bids_dir else f"{folder.parent.name}/"
    return NoInputError(
        f"nothing usable: {where}sub-{label} {_what_it_is(folder)}; expected images or DICOM files. "
        "Check the folder, or leave this participant out with --participant-label."
    )


def _what_it_is(folder: Path) -> str:
    if not folder.is_dir():
        return "is a link to what is not there" if folder.is_symlink() else "is no folder"
    for name in ("anat", "fmap"):
        if os.path.lexists(folder / name) and not (folder / name).is_dir():
            return f"holds {name} that is no folder"
    entries = sum(len(names) for _, _, names in os.walk(folder))
    if not entries:
        return "is empty"
    return f"holds {entries} files, none of them an image or DICOM: {found_instead(folder) or 'all hidden'}"


def _wanted(sources: tuple[DicomSource, ...], sessions: Sequence[str]) -> tuple[DicomSource, ...]:
    return tuple(source for source in sources if not sessions or source.session in sessions)


def _flat_label(settings: Settings) -> str:
    """Name the participant of a flat folder: from the command line, never from a header."""
    if len(settings.selection.participant_label) > 1:
        raise UsageError(
            f"{settings.bids_dir}: holds the DICOM files of one participant, but --participant-label names "
            f"{len(settings.selection.participant_label)}; expected one label."
        )
    return settings.selection.participant_label[0] if settings.selection.participant_label else FLAT_LABEL


def _check_description(settings: Settings) -> None:
    path = settings.bids_dir / "dataset_description.json"
    try:
        description = read_json(path)
    except InvalidInputError as error:
        LOG.warning("%s BIDS asks for this file. Going on.", error)
        return
    if "BIDSVersion" not in description:
        LOG.warning("%s: has no BIDSVersion, which BIDS asks for. Going on.", path.name)


def process_all(work: Sequence[Work], settings: Settings) -> tuple[Outcome, ...]:
    """Process participants, in this process or in several; one that fails leaves the others alone.

    Those that are finished are left as they are, before anything that processing needs is imported.
    """
    done = dict(_finished(work, settings))
    waiting = [number for number in range(len(work)) if number not in done]
    began = time.monotonic()
    with closing(_outcomes([work[number] for number in waiting], settings)) as outcomes:
        for n_done, (place, outcome) in enumerate(outcomes, 1):
            done[waiting[place]] = outcome
            _say_progress(n_done, len(waiting), time.monotonic() - began)
            if outcome.failures and settings.running.stop_on_first_crash:
                LOG.error("stopping at sub-%s, as asked", plain(outcome.participant))
                break
    return tuple(done[number] for number in sorted(done))


def _finished(work: Sequence[Work], settings: Settings) -> Iterator[tuple[int, Outcome]]:
    """Yield number and outcome of the participants that are finished; in doubt, one is not."""
    for number, item in enumerate(work):
        stop_if_asked()
        if item.refused is None:
            with suppress(BidsT1Error, OSError, *DAMAGED_LOG):
                sources = [source.folder for source in item.sources]
                outcome = resume.left_as_it_is(item.participant, sources, settings)
                if outcome is not None:
                    yield number, outcome


def _say_progress(n_done: int, n_all: int, seconds: float) -> None:
    """Say how many of several participants are done, and to somebody who may be waiting how long the rest takes."""
    left = n_all - n_done
    if n_all == 1 or not left:
        return
    remaining = f", about {told_duration(seconds / n_done * left)} left" if sys.stderr.isatty() else ""
    LOG.info("participant %d of %d done%s", n_done, n_all, remaining)


def _outcomes(work: Sequence[Work], settings: Settings) -> Generator[tuple[int, Outcome], None, None]:
    """Process participants; number and outcome of each, as they are done."""
    if not work:
        return
    if settings.running.nprocs == 1 or len(work) == 1:
        of_one_thread()
        for number, item in enumerate(work):
            stop_if_asked()
            yield number, _process_one(item, settings)
        return
    ready = partial(begin, LOG.getEffectiveLevel())
    with closing(apart(partial(_process_one, settings=settings), work, settings.running.nprocs, ready)) as results:
        for number, result in results:
            yield number, _outcome(work[number], result)
            stop_if_asked()


def _outcome(work: Work, result: Outcome | Lost) -> Outcome:
    return _failed(work, told(result, "fewer --nprocs")) if isinstance(result, Lost) else result


def _process_one(work: Work, settings: Settings) -> Outcome:
    """Process one participant and turn whatever goes wrong into its failure."""
    crash = settings.out_dir / "logs" / f"sub-{work.participant}_crash.txt"
    with suppress(OSError):
        crash.unlink(missing_ok=True)
    try:
        from bids_t1.participant import process_participant  # noqa: PLC0415 - a finished cohort needs none of it

        return process_participant(work, settings)
    except BidsT1Error as error:
        return _failed(work, error)
    except MemoryError:
        return _failed(work, InputOutputError("memory has run out. Use fewer --nprocs, or give the job more memory."))
    except Exception as error:
        unexpected = _unexpected(error)
        with suppress(InputOutputError):
            write_whole(crash, f"bids_t1 {bids_t1.__version__}: {unexpected}")
        return _failed(work, unexpected)


def _unexpected(error: Exception) -> UnexpectedError:
    """Tell of a bug by its place in the program: its own words may hold a name of a header or a folder."""
    frames = traceback.extract_tb(error.__traceback__)
    listed = "".join(traceback.format_list(frames))
    return UnexpectedError(
        f"unexpected failure; this is a bug, please report it: {type(error).__name__} in line {frames[-1].lineno} of "
        f"{Path(frames[-1].filename).name}\n{listed}"
    )


def _failed(work: Work, error: BidsT1Error) -> Outcome:
    LOG.error("sub-%s: %s", plain(work.participant), error)
    return Outcome(work.participant, 0, (error,), None)
