"""The raw dataset that converted images go to: written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_t1 import __version__
from bids_t1.data.errors import CannotCreateOutputError, InputOutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

BIDS_VERSION = "1.10.0"

_README = """\
Inversion-recovery images converted from DICOM by bids_t1 with dcm2niix.
Times and angles come from the DICOM headers. Names, dates and identifiers of the participants are left out.
"""


def describe(raw_dir: Path) -> None:
    """Write the files at the root of the raw dataset; the same bytes from every process.

    Raises
    ------
    CannotCreateOutputError
        If the folder cannot be written.
    """
    description = {
        "Name": "Inversion-recovery images converted from DICOM",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [
            {"Name": "bids_t1", "Version": __version__, "Description": "DICOM to BIDS conversion"},
            {"Name": "dcm2niix", "CodeURL": "https://github.com/rordenlab/dcm2niix"},
        ],
    }
    try:
        raw_dir.mkdir(parents=True, exist_ok=True)
        write_whole(raw_dir / "dataset_description.json", as_json(description))
        write_whole(raw_dir / "README", _README)
    except OSError as error:
        raise CannotCreateOutputError(
            f"{raw_dir}: cannot be written ({error.strerror}); expected a folder for the converted images. "
            "Check the output folder and the space on its disk."
        ) from error


def as_json(content: Any) -> str:
    """Return readable JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there completely or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def publishing(raw_dir: Path, folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``raw_dir/folder`` by one rename when all went well.

    The folder being filled lies beside the raw dataset, hidden, on the same file system. A folder that was
    there before is moved away just before the rename.

    Raises
    ------
    CannotCreateOutputError
        If the folder cannot be written.
    InputOutputError
        If writing fails on the way, such as on a full disk.
    """
    final = raw_dir / folder
    try:
        raw_dir.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".bids_t1-{'-'.join(folder.parts)}-", dir=raw_dir.parent))
    except OSError as error:
        raise CannotCreateOutputError(
            f"{raw_dir.parent}: cannot be written ({error.strerror}). Check the output folder."
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
