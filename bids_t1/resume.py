"""What is finished, and can be left as it is: same input, same options, same version, and outputs that are whole."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_t1 import __version__
from bids_t1.bids.logs import log_path, log_paths, read_warnings
from bids_t1.cgroup import may_have_gpu
from bids_t1.data.errors import InvalidInputError
from bids_t1.tissue.template_files import installed
from bids_t1.untrusted import read_json
from bids_t1.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

FINISHED = "finished before with the same input, options and version"


def fingerprint(participant: str, sources: Sequence[Path], settings: Settings) -> str:
    """Return a digest of everything that a participant's results depend on.

    Images enter by name, size and time of their last change; files named by options by their content.

    Parameters
    ----------
    participant
        Label.
    sources
        Folders of scanner files.
    settings
        The choices of the command.
    """
    digest = hashlib.sha256(__version__.encode())
    for field, option, value in settings.options():
        if option.effect == "value":
            digest.update(f"|{field}={value!r}".encode())
    digest.update(f"|{settings.protocol!r}|{_device(settings.computing.device)}".encode())
    for path in settings.files():
        if path.is_file():
            digest.update(path.read_bytes())
    for path in () if settings.session.maps_only else installed():
        digest.update(f"|{path.name}|{path.stat().st_size}".encode())
    for path in _inputs(participant, sources, settings):
        name = path.relative_to(settings.bids_dir) if path.is_relative_to(settings.bids_dir) else path
        digest.update(f"|{name}|{_state(path)}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _device(wanted: str) -> str:
    """Return the kind of device that is computed on; PyTorch, which takes seconds to import, is asked in doubt only."""
    if wanted == "cpu" or (wanted == "auto" and not may_have_gpu()):
        return "cpu"
    from bids_t1.estimation.chunks import choose_device  # noqa: PLC0415 - as above

    return choose_device(wanted).type


def left_as_it_is(participant: str, sources: Sequence[Path], settings: Settings) -> Outcome | None:
    """Return the outcome of a participant that is finished, its page included; None where there is something to do."""
    page = settings.out_dir / f"sub-{participant}.html"
    if settings.running.force or settings.running.reports_only or not _is_of_logs(page, participant, settings.out_dir):
        return None
    n_runs = finished_runs(participant, fingerprint(participant, sources, settings), settings)
    if n_runs is None:
        return None
    say_finished(participant)
    warnings = read_warnings(settings.out_dir, participant)
    tell(participant, warnings)
    return Outcome(participant, n_runs, (), page, len(warnings))


def _is_of_logs(page: Path, participant: str, out_dir: Path) -> bool:
    """Tell whether a page is there that was made after the logs: a command may have been killed between them."""
    logs = log_paths(out_dir, participant)
    return page.is_file() and all(log.stat().st_mtime_ns <= page.stat().st_mtime_ns for log in logs)


def say_finished(participant: str) -> None:
    """Say why nothing is computed."""
    LOG.info("sub-%s: %s; left as it is (--force does it again)", participant, FINISHED)


def tell(participant: str, warnings: Iterable[str]) -> None:
    """Show on the terminal what page and sidecars warn of."""
    for warning in warnings:
        LOG.warning("sub-%s: %s", participant, warning)


def _inputs(participant: str, sources: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files of the input that a participant's results may depend on, in the order of their names."""
    root, datasets = settings.bids_dir, settings.session.derivatives
    folders = [root / f"sub-{participant}", *sources, *(dataset / f"sub-{participant}" for dataset in datasets)]
    tables = {path for dataset in datasets for path in dataset.glob("*dseg.tsv")}
    found = {*_files(folders), *root.glob("*.json"), *root.glob("*.bval"), *tables}
    return sorted(path for path in found if not path.is_relative_to(settings.out_dir))


def _state(path: Path) -> str:
    """Return size and time of the last change, of what a link leads to; or that there is nothing to be read."""
    try:
        status = path.stat()
    except OSError:  # a link to content that was not fetched, or to itself
        return "not there"
    return f"{status.st_size}|{status.st_mtime_ns}"


def _files(folders: Iterable[Path]) -> set[Path]:
    """Return the files below folders, links among them whatever they lead to."""
    return {path for folder in folders for path in _below(folder, set())}


def _below(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Yield the files below a folder, in folders that are links too, each folder once however links lead to it."""
    for place, folders, files in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (Path(place, name) for name in files)


def checksums(out_dir: Path, folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder of the derivatives, by its path."""
    return {
        path.relative_to(out_dir).as_posix(): _checksum(path) for path in sorted(_files([folder])) if path.is_file()
    }


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finished_runs(participant: str, wanted: str, settings: Settings) -> int | None:
    """Return how many runs of a participant are finished, or None where it has to be processed.

    Finished means: every log is of the same fingerprint and tells of no failure, and every output has its checksum.
    Without a choice of sessions, the logs must come from a command that had none either, as it has seen all sessions,
    and be there for all of them.
    """
    logs = _logs(participant, settings)
    if not logs or not all(_is_finished(log, wanted, settings.out_dir) for log in logs):
        return None
    return sum(len(log["runs"]) for log in logs)


def _logs(participant: str, settings: Settings) -> list[dict[str, Any]]:
    """Read the logs of all sessions that are asked for; none where those that are there do not speak of all."""
    sessions = settings.selection.session_label
    if sessions:
        return [_read(log_path(settings.out_dir, participant, session)) for session in sessions]
    logs = [_read(path) for path in log_paths(settings.out_dir, participant)]
    complete = all(log.get("all_sessions") and _has_logs(log, participant, settings) for log in logs)
    return logs if complete else []


def _is_finished(log: Mapping[str, Any], wanted: str, out_dir: Path) -> bool:
    """Tell whether a log is of the same fingerprint and without failure, and its outputs are as it left them."""
    if log.get("fingerprint") != wanted or log.get("failures"):
        return False
    return len(unchanged(out_dir, log["outputs"])) == len(log["outputs"])


def _has_logs(log: Mapping[str, Any], participant: str, settings: Settings) -> bool:
    """Tell whether every session that a command knew has a log."""
    sessions = log.get("sessions")
    return isinstance(sessions, list) and all(
        log_path(settings.out_dir, participant, session).is_file() for session in sessions
    )


def outputs(log: Path) -> dict[str, str]:
    """Return the checksums of what a log knows as outputs, by path in the dataset; none without a log."""
    found = _read(log).get("outputs")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def unchanged(out_dir: Path, known: Mapping[str, str]) -> frozenset[str]:
    """Return which outputs of an earlier run are as it left them; what somebody changed is theirs."""
    return frozenset(
        name for name, value in known.items() if (out_dir / name).is_file() and _checksum(out_dir / name) == value
    )


def n_changed(participant: str, settings: Settings) -> int:
    """Return how many outputs of a participant are not as the run left them that its logs tell of."""
    logs = log_paths(settings.out_dir, participant)
    known = {name: value for log in logs for name, value in outputs(log).items()}
    return len(known) - len(unchanged(settings.out_dir, known))


def obsolete_log(participant: str, labels: Sequence[str | None], settings: Settings) -> Path | None:
    """Return the log of what an earlier run could not tell sessions of, where they are known now."""
    log = log_path(settings.out_dir, participant, None)
    if None in labels or not log.is_file() or (settings.selection.session_label and outputs(log)):
        return None
    return log


def forget(log: Path, out_dir: Path) -> None:
    """Remove a log and the outputs that only it knows.

    Raises
    ------
    OSError
        If something cannot be removed.
    """
    for name in unchanged(out_dir, outputs(log)):
        (out_dir / name).unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            (out_dir / name).parent.rmdir()
    log.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """Read a log; one that cannot be read, or lists no runs and outputs, is that of nothing."""
    try:
        log = read_json(path)
    except InvalidInputError:
        return {}
    whole = isinstance(log.get("outputs"), dict) and isinstance(log.get("runs"), list)
    return log if whole else {}
