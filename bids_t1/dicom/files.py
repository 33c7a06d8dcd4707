"""Files of a folder: which of them are DICOM, told by their content and never by their name."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydicom import dcmread

from bids_t1.dicom.header import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

PREAMBLE = 128
"""Bytes before the letters DICM (DICOM PS3.10, 7.1)."""

_GZIP_MAGIC = b"\x1f\x8b"
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
"""A data set without preamble starts with a tag of group 0002 or 0008, little endian."""

_INDEX_NAME = "DICOMDIR"


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a stable order, without hidden ones and DICOMDIR."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name != _INDEX_NAME:
                yield Path(parent, name)


def open_plain(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip where its content is gzipped."""
    with path.open("rb") as file:
        gzipped = file.read(2) == _GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path, "rb")) if gzipped else path.open("rb")


def is_gzipped(path: Path) -> bool:
    """Tell whether a file's content is gzipped."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


def is_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM: the letters DICM after the preamble, or a sane data set without them.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    try:
        with open_plain(path) as file:
            start = file.read(PREAMBLE + 4)
    except (EOFError, zlib.error):  # an empty or cut gzip
        return False
    if start[PREAMBLE:] == b"DICM":
        return True
    return start[:2] in _FIRST_GROUPS and _is_bare_data_set(path)


def _is_bare_data_set(path: Path) -> bool:
    try:
        with open_plain(path) as file:
            header = dcmread(file, force=True, specific_tags=["SOPClassUID", "Modality"], stop_before_pixels=True)
    except DAMAGE:
        return False
    return "SOPClassUID" in header and "Modality" in header


def first_dicom(folder: Path) -> Path | None:
    """Return the first DICOM file below a folder, reading no further than it."""
    for path in walk(folder):
        try:
            if is_dicom(path):
                return path
        except OSError:
            continue
    return None
