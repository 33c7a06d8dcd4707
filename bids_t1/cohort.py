"""All participants of one command: who they are, and one after the other or side by side."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TYPE_CHECKING

import torch

from bids_t1.bids import discover
from bids_t1.data.errors import (
    BidsT1Error,
    InputOutputError,
    NoInputError,
    Stopped,
    UsageError,
    ignored,
    stop,
    stop_if_asked,
)
from bids_t1.dicom.sources import find_sources
from bids_t1.estimation.chunks import choose_device
from bids_t1.participant import Outcome, Work, process_participant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from bids_t1.dicom.sources import DicomSource
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

FLAT_LABEL = "01"
"""Label of the participant of a flat DICOM folder, where none is given."""


class UnexpectedError(BidsT1Error):
    """A bug met while processing one participant; its traceback is in the log."""


def find_work(settings: Settings) -> tuple[Work, ...]:
    """Find the participants to process and where their images are.

    Raises
    ------
    NoInputError
        If the input holds neither raw images nor DICOM files.
    NothingSelectedError
        If a participant or session asked for is not there.
    UsageError
        If several labels are given for one flat folder, or the device is not there.
    """
    choose_device(settings.device)
    discover.read_filters(settings.filter_file)
    raw = discover.participants(settings.bids_dir)
    sources = _sources(settings)
    by_label: dict[str, tuple[DicomSource, ...]] = dict.fromkeys(raw, ())
    for source in sources:
        for warning in source.warnings:
            LOG.warning(warning)
        label = source.participant or _flat_label(settings)
        by_label[label] = (*by_label.get(label, ()), source)
    if not by_label:
        raise NoInputError(
            f"{settings.bids_dir}: holds no sub-* folder with images and no DICOM files; expected a BIDS dataset, or "
            "DICOM files in one folder per participant or directly in it."
        )
    if raw and not settings.skip_validation:
        _check_description(settings)
    chosen = discover.require(sorted(by_label), settings.participants, "participant")
    sessions = {source.session for source in sources if source.session is not None}
    if settings.sessions and not raw:
        discover.require(sorted(sessions), settings.sessions, "session")
    return tuple(Work(label, _wanted(by_label[label], settings.sessions)) for label in chosen)


def _sources(settings: Settings) -> tuple[DicomSource, ...]:
    """Find DICOM files, leaving out what this program wrote, should out_dir lie inside bids_dir."""
    sources = find_sources(settings.bids_dir)
    if not settings.out_dir.is_relative_to(settings.bids_dir):
        return sources
    return tuple(source for source in sources if not source.folder.is_relative_to(settings.out_dir))


def _wanted(sources: tuple[DicomSource, ...], sessions: Sequence[str]) -> tuple[DicomSource, ...]:
    return tuple(source for source in sources if not sessions or source.session in sessions)


def _flat_label(settings: Settings) -> str:
    """Name the participant of a flat folder: from the command line, never from a header."""
    if len(settings.participants) > 1:
        raise UsageError(
            f"{settings.bids_dir}: holds the DICOM files of one participant, but --participant-label names "
            f"{len(settings.participants)}; expected one label."
        )
    return settings.participants[0] if settings.participants else FLAT_LABEL


def _check_description(settings: Settings) -> None:
    path = settings.bids_dir / "dataset_description.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        LOG.warning("%s: missing or no JSON; BIDS asks for one. Going on.", path.name)
        return
    if not isinstance(description, dict) or "BIDSVersion" not in description:
        LOG.warning("%s: has no BIDSVersion, which BIDS asks for. Going on.", path.name)


def process_all(work: Sequence[Work], settings: Settings) -> tuple[Outcome, ...]:
    """Process participants, in this process or in several; one that fails leaves the others alone."""
    if settings.n_processes == 1 or len(work) == 1:
        torch.set_num_threads(1)
        return tuple(_until_crash(((item, partial(_process_one, item, settings)) for item in work), settings))
    # A fresh interpreter per process: forked copies of a threaded torch may hang.
    with ProcessPoolExecutor(
        settings.n_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_process,
        initargs=(LOG.getEffectiveLevel(),),
    ) as pool:
        try:
            pending = [(item, pool.submit(_process_apart, item, settings)) for item in work]
            awaited = ((item, partial(_await, item, future)) for item, future in pending)
            return tuple(_until_crash(awaited, settings))
        except KeyboardInterrupt:
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process(level: int) -> None:
    torch.set_num_threads(1)  # the engine has threads of its own
    signal.signal(signal.SIGTERM, stop)
    sys.unraisablehook = ignored
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process tells the others
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("bids_t1").setLevel(level)


def _process_apart(work: Work, settings: Settings) -> Outcome:
    """Process one participant in a process of its own, which ends where it is stopped, after cleaning up."""
    try:
        return _process_one(work, settings)
    except Stopped as stopped:
        os._exit(stopped.exit_code)  # an executor would go on with the next participant


def _until_crash(jobs: Iterable[tuple[Work, Callable[[], Outcome]]], settings: Settings) -> Iterator[Outcome]:
    for work, job in jobs:
        stop_if_asked()
        outcome = job()
        yield outcome
        if outcome.failures and settings.stop_on_first_crash:
            LOG.error("stopping at sub-%s, as asked", work.participant)
            return


def _await(work: Work, future: Future[Outcome]) -> Outcome:
    """Wait for a participant of another process, which may have been ended from outside."""
    try:
        return future.result()
    except BrokenProcessPool:
        error = InputOutputError(
            f"sub-{work.participant}: its process, or one beside it, ended without a word; "
            "most often memory has run out. Use fewer --nprocs."
        )
        LOG.error("%s", error)  # noqa: TRY400 - an expected failure is its message
        return Outcome(work.participant, 0, (error,), None)


def _process_one(work: Work, settings: Settings) -> Outcome:
    """Process one participant and turn whatever goes wrong into its failure."""
    try:
        return process_participant(work, settings)
    except BidsT1Error as error:
        LOG.error("sub-%s: %s", work.participant, error)  # noqa: TRY400 - an expected failure is its message
        return Outcome(work.participant, 0, (error,), None)
    except Exception as error:
        LOG.exception("sub-%s: unexpected failure; this is a bug, please report it", work.participant)
        return Outcome(work.participant, 0, (UnexpectedError(f"unexpected failure: {error!r}"),), None)
