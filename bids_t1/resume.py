"""What is finished, and can be left as it is: same input, same options, same version, and outputs that are whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from bids_t1 import __version__
from bids_t1.bids import results
from bids_t1.estimation.chunks import choose_device
from bids_t1.tissue.templates import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bids_t1.settings import Settings

WITHOUT_EFFECT = frozenset({
    "bids_dir", "out_dir", "work_dir", "participants", "sessions", "database", "skip_validation", "reports_only",
    "stop_on_first_crash", "n_processes", "n_threads", "memory_mb", "command", "force", "filter_file", "transmit_map",
    "device", "derivatives", "calibration", "calibration_preset", "folds", "random_seed",
})  # fmt: skip
"""Settings that change no result, or enter by the content of their files."""


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
    for one in fields(settings):
        if one.name not in WITHOUT_EFFECT:
            digest.update(f"|{one.name}={getattr(settings, one.name)!r}".encode())
    digest.update(f"|{choose_device(settings.device).type}".encode())
    for path in (settings.filter_file, settings.transmit_map, settings.calibration):
        if path is not None and path.is_file():
            digest.update(path.read_bytes())
    for path in () if settings.maps_only else installed():
        digest.update(f"|{path.name}|{path.stat().st_size}".encode())
    root = settings.bids_dir
    given = [dataset / f"sub-{participant}" for dataset in settings.derivatives]
    folders = [root / f"sub-{participant}", *sources, *given]
    tables = {path for dataset in settings.derivatives for path in dataset.glob("*dseg.tsv")}
    for path in sorted({*_files(folders), *root.glob("*.json"), *root.glob("*.bval"), *tables}):
        if path.is_relative_to(settings.out_dir):
            continue
        status = path.stat()
        name = path.relative_to(root) if path.is_relative_to(root) else path
        digest.update(f"|{name}|{status.st_size}|{status.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(folders: Iterable[Path]) -> set[Path]:
    return {path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()}


def checksums(out_dir: Path, folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder of the derivatives, by its path."""
    return {path.relative_to(out_dir).as_posix(): _checksum(path) for path in sorted(_files([folder]))}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finished_runs(participant: str, wanted: str, settings: Settings) -> int | None:
    """Return how many runs of a participant are finished, or None where it has to be processed.

    Finished means: every log is of the same fingerprint and tells of no failure, and every output has its checksum.
    Without a choice of sessions, the logs must come from a command that had none either: it has seen all sessions.
    """
    if settings.sessions:
        logs = [_read(results.log_path(settings.out_dir, participant, session)) for session in settings.sessions]
    else:
        logs = [_read(path) for path in results.log_paths(settings.out_dir, participant)]
        if not all(log.get("all_sessions") for log in logs):
            return None
    if not logs or any(log.get("fingerprint") != wanted or log.get("failures") for log in logs):
        return None
    for log in logs:
        for name, checksum in log.get("outputs", {}).items():
            path = settings.out_dir / name
            if not path.is_file() or _checksum(path) != checksum:
                return None
    return sum(len(log["runs"]) for log in logs)


def _read(path: Path) -> dict[str, Any]:
    """Read a log; one that cannot be read is that of nothing."""
    try:
        log = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return log if isinstance(log, dict) else {}
