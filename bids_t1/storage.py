"""Files that are there completely or not at all, and the same bytes from every process."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_t1.data.errors import CannotCreateOutputError, InputOutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BIDS_VERSION = "1.10.0"
"""Version of BIDS that datasets written here follow."""


SCRATCH = ".bids_t1-"
"""Beginning of the names of folders that are being filled."""

ABANDONED = 2 * 24 * 3600
"""Age from which such a folder belongs to nobody [s]."""


def as_json(content: Any) -> str:
    """Return readable JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_tsv(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return tab-separated values, n/a where there is none; line breaks and tabs become spaces."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
    writer.writerow(columns)
    for row in rows:
        writer.writerow("n/a" if value is None else " ".join(str(value).replace('"', "'").split()) for value in row)
    return text.getvalue()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there completely or not at all.

    Raises
    ------
    InputOutputError
        If it cannot be written.
    """
    unfinished: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        unfinished = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except OSError as error:
        raise InputOutputError(
            f"{path}: cannot be written ({error.strerror}); nothing half-written was left there. "
            "Check the disk and run again."
        ) from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def sweep(root: Path) -> None:
    """Remove what processes that were killed left unfinished, once it is so old that nobody can be working on it."""
    for scratch in root.glob(f"{SCRATCH}*"):
        with suppress(OSError):
            if time.time() - scratch.stat().st_mtime > ABANDONED:
                shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def publishing(root: Path, folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``root/folder`` by one rename when all went well.

    The folder being filled lies hidden in the dataset, on the same file system. A folder that was there before is
    moved away just before the rename.

    Raises
    ------
    CannotCreateOutputError
        If the folder cannot be written.
    InputOutputError
        If writing fails on the way, such as on a full disk.
    """
    final = root / folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{'-'.join(folder.parts)}-", dir=root))
    except OSError as error:
        raise CannotCreateOutputError(
            f"{root}: cannot be written ({error.strerror}). Check the output folder."
        ) from error
    try:
        fresh = scratch / "new"
        fresh.mkdir()
        yield fresh
        _replace(final, fresh, scratch / "old")
    except OSError as error:
        raise InputOutputError(
            f"{final}: reading or writing failed ({error.strerror}); nothing half-written was left there. "
            "Check the disk and run again."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace(final: Path, fresh: Path, old: Path) -> None:
    """Put a finished folder in its place; what was there comes back if that fails."""
    final.parent.mkdir(parents=True, exist_ok=True)
    replaced = final.exists()
    if replaced:
        final.rename(old)
    try:
        fresh.rename(final)
    except OSError:
        if replaced:
            old.rename(final)
        raise
