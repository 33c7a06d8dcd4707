"""The command line: arguments to settings to exit code. Nothing heavy is imported before the arguments are right."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.arguments import Parser, TellVersion, add_options, one_of
from bids_t1.data.errors import BidsT1Error, CannotCreateOutputError, Stopped, UsageError
from bids_t1.data.options import GROUPS
from bids_t1.data.sidecar import numbered, plain
from bids_t1.data.timing import told_duration
from bids_t1.scratch import sweep
from bids_t1.settings import Settings, choose
from bids_t1.stopping import forget_stop, ignored, stop, stop_if_asked, without_stopping

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bids_t1.work import Outcome, Work

LOG = logging.getLogger(__name__)

SOME_FAILED = BidsT1Error.exit_code

LEVELS = ("participant", "group")

HOW_THREADS_WAIT = "OMP_WAIT_POLICY"
"""Of OpenMP, whose threads spin while they wait for each other unless it says passive. Where others use the same
processors that costs several times the time."""

SHOWN = 20
"""Participants whose warnings the last line counts."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="bids_t1",
        description="Measure T1 from multi-TI and selective inversion recovery, from MP2RAGE or "
        "MP3RAGE and from variable flip angles, and T2* "
        "from multi-echo gradient echo: DICOM or BIDS in, BIDS derivatives and a page out.",
        epilog="Exit codes: 0 all done, 1 some participant failed, 16 input invalid, 18 labels or filters select "
        "nothing, 64 usage, 66 no input, 73 cannot create output, 74 input/output error, "
        "75 stopped from outside, 130 interrupted.",
    )
    parser.add_argument("bids_dir", type=Path, help="BIDS dataset, or folder of DICOM files; only read")
    parser.add_argument(
        "out_dir", type=Path, help="folder for the derivatives: one that is not there, empty, or of an earlier run"
    )
    parser.add_argument(
        "analysis_level",
        choices=LEVELS,
        type=one_of(LEVELS),
        help="what to do: each participant by itself, or tables and a page of all that were processed",
    )
    parser.add_argument("--version", action=TellVersion, nargs=0, help="show program's version number and exit")
    add_options(parser, GROUPS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    os.environ.setdefault(HOW_THREADS_WAIT, "passive")  # read once, when PyTorch is imported
    arguments = build_parser().parse_args(argv)
    _configure_logging(arguments.verbose)
    with _stoppable():
        try:
            settings = choose(arguments)
            code = _run_group(settings) if arguments.analysis_level == "group" else _run(settings)
            stop_if_asked()
        except BidsT1Error as error:
            LOG.error("%s", error)  # noqa: TRY400 - an expected failure is its message
            return error.exit_code
        except Stopped as stopped:
            LOG.error("stopped; what was finished is kept, the same command goes on with the rest")  # noqa: TRY400
            return stopped.exit_code
        return code


@contextmanager
def _stoppable() -> Iterator[None]:
    """Obey requests to stop in a block, however they come; one that this process was told to ignore stays ignored."""
    forget_stop()
    signals = [one for one in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(one) != signal.SIG_IGN]
    before = [signal.signal(one, stop) for one in signals]
    said, sys.unraisablehook = sys.unraisablehook, ignored
    try:
        yield
    finally:
        sys.unraisablehook = said
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _run(settings: Settings) -> int:
    """Process the participants and say what came of them."""
    from bids_t1.cohort import find_work, process_all  # noqa: PLC0415 - heavy imports wait for right arguments
    from bids_t1.places import describe_output  # noqa: PLC0415 - as above

    began = time.monotonic()
    _require_places(settings)
    work = find_work(settings)
    if settings.running.dry_run:
        return _look(work, settings)
    try:
        if not settings.running.reports_only:
            _make(settings.out_dir, settings.work_dir, settings.out_dir / "logs")
            describe_output(settings)
        _sweep(settings)
        outcomes = process_all(work, settings)
    finally:
        with without_stopping():
            _tidy(settings)
    LOG.info("bids_t1: took %s", told_duration(time.monotonic() - began))
    return _summarise(outcomes, settings)


def _look(work: Sequence[Work], settings: Settings) -> int:
    """Show what there is of each participant and what would come of it, and return the exit code."""
    from bids_t1.dry_run import look  # noqa: PLC0415 - heavy imports wait for right arguments

    outcomes = []
    for one in work:
        found = look(one, settings)
        sys.stdout.write(f"{found}\n")
        outcomes.append(found.outcome)
    n_runs = sum(outcome.n_runs for outcome in outcomes)
    can = f"{numbered(n_runs, 'run')} of {numbered(len(outcomes), 'participant')} can start; nothing was written"
    LOG.warning("bids_t1: %s", "; ".join(filter(None, (can, _named(_failed(outcomes))))))
    return _code(outcomes)


def _tidy(settings: Settings) -> None:
    """Remove what nothing needs any more, however it ended: a process of ours may have been killed."""
    _sweep(settings)
    if settings.work_dir.parent == settings.out_dir:
        with suppress(OSError):  # not empty: something is being worked on there
            settings.work_dir.rmdir()


def _require_places(settings: Settings) -> None:
    """Refuse folders in which something of somebody else could be lost."""
    from bids_t1.places import require_out_dir, require_work_dir  # noqa: PLC0415 - heavy imports wait

    require_out_dir(settings.out_dir, settings.bids_dir)
    require_work_dir(settings.work_dir, settings.out_dir, settings.bids_dir)


def _make(*folders: Path) -> None:
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotCreateOutputError(
            f"{error.filename}: cannot be made ({error.strerror}); expected a folder that can be written. "
            "Choose another out_dir or --work-dir."
        ) from error


def _sweep(settings: Settings) -> None:
    """Remove what killed processes left, wherever something is filled before it is seen."""
    out_dir, work_dir = settings.out_dir, settings.work_dir
    for folder in (out_dir, out_dir / "logs", out_dir / "calibration", out_dir / "sourcedata" / "raw", work_dir):
        sweep(folder)


def _run_group(settings: Settings) -> int:
    """Bring the results of all participants together."""
    from bids_t1.group import process_group  # noqa: PLC0415 - heavy imports wait for right arguments

    if settings.running.dry_run:
        raise UsageError("--dry-run looks at the input of participants; expected the level participant.")
    _require_places(settings)
    _sweep(settings)
    page = process_group(settings)
    LOG.warning("bids_t1: open %s", page)
    return 0


def _summarise(outcomes: Sequence[Outcome], settings: Settings) -> int:
    """Say in one last line what was written and what failed, and return the exit code."""
    failed = _failed(outcomes)
    n_runs = sum(outcome.n_runs for outcome in outcomes)
    n_done = len(outcomes) - len(failed)
    done = f"{numbered(n_runs, 'run')} of {numbered(n_done, 'participant')} without failure"
    parts = (done, _named(failed), _warned(outcomes), _pages(outcomes, settings.out_dir))
    LOG.warning("bids_t1: %s", "; ".join(filter(None, parts)))
    return _code(outcomes)


def _failed(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.failures]


def _code(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code: that of the failures, where all participants failed in the same way."""
    codes = {failure.exit_code for outcome in outcomes for failure in outcome.failures}
    none_succeeded = all(outcome.failures and not outcome.n_runs for outcome in outcomes)
    if not codes:
        return 0
    return codes.pop() if none_succeeded and len(codes) == 1 else SOME_FAILED


def _named(failed: Sequence[Outcome]) -> str:
    names = ", ".join(plain(outcome.participant) for outcome in failed)
    return f"{numbered(len(failed), 'participant')} with failures: {names}" if failed else ""


def _pages(outcomes: Sequence[Outcome], out_dir: Path) -> str:
    pages = [outcome.page.name for outcome in outcomes if outcome.page is not None]
    return f"open {out_dir / (pages[0] if len(pages) == 1 else 'sub-*.html')}" if pages else ""


def _warned(outcomes: Sequence[Outcome]) -> str:
    """Count the warnings of each participant; they stand on its page and in the sidecars too."""
    warned = [outcome for outcome in outcomes if outcome.n_warnings]
    counts = [f"{outcome.participant}: {outcome.n_warnings}" for outcome in warned[:SHOWN]]
    if len(warned) > SHOWN:
        counts.append(numbered(len(warned) - SHOWN, "more participant"))
    return f"warnings of {', '.join(counts)}" if warned else ""


def _configure_logging(verbosity: int) -> None:
    levels = (logging.INFO, logging.INFO, logging.DEBUG)
    logging.captureWarnings(capture=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(message)s" if verbosity == 0 else "%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logger = logging.getLogger("bids_t1")
    logger.handlers[:] = [handler]
    logger.setLevel(levels[min(verbosity, 2)])
    logger.propagate = False
    # nibabel writes what it mends in headers to the terminal, without the name of the file: soundness tells that.
    logging.getLogger("nibabel.global").setLevel(logging.DEBUG if verbosity > 1 else logging.CRITICAL + 1)
