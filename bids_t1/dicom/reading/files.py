"""Files of a folder: which of them are DICOM, told by their content and never by their name."""

from __future__ import annotations

import gzip
import os
import struct
import warnings
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from bids_t1.dicom.header import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

PREAMBLE = 128
"""Bytes before the letters DICM (DICOM PS3.10, 7.1)."""

_GZIP_MAGIC = b"\x1f\x8b"
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
"""A data set without preamble starts with a tag of group 0002 or 0008, little endian."""

_INDEX_NAME = "DICOMDIR"

_START = 1024
"""Bytes from the start within which the transfer syntax is named."""

_GROUP_LENGTH = PREAMBLE + 12
"""Where the length of group 0002 stands; the group goes on behind its four bytes (DICOM PS3.10, 7.1)."""

_LONGEST_HEADER = 2**28
"""More bytes in front of the pixels are no header: 10 000 frames have some 50 MB."""

_MOST_READS = 2_000_000
"""More steps are no header: each frame of an enhanced file takes about 300."""

_MOST_EMPTY = 1000
"""So many reads of nothing but zeros in a row are no header, where every attribute begins with its tag."""

_ALWAYS_UNPACKED = 2**26
_MOST_UNPACKED = 100
"""A file may unpack to so many bytes, or so many times its size: images of a scanner shrink to a half or a tenth."""

_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\xfd7zXZ\x00", b"BZh")
"""First bytes of zip, 7z, rar, xz and bzip2."""

_TAR = (257, b"ustar")


class TooLargeError(OSError):
    """A file that unpacks, or goes on, far beyond what an image can need."""


class Bounded:
    """A file to read a header from, which ends with an error where no header can go on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._n_reads = self._n_empty = 0
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read some bytes.

        Raises
        ------
        TooLargeError
            If the header goes on beyond any that is known.
        """
        self._n_reads += 1
        end = self.tell() + size
        if size < 0 or end > _LONGEST_HEADER or max(self._n_reads / _MOST_READS, self._n_empty / _MOST_EMPTY) > 1:
            raise TooLargeError("header without an end")
        content = self._file.read(size)
        self._n_empty = 0 if content.strip(b"\0") else self._n_empty + 1
        return content


def walk(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder in a stable order, without hidden ones and DICOMDIR.

    Pipes, sockets and devices, which may keep a reader waiting for ever, are never opened.
    """
    return (path for path in _everything(folder) if path.is_file())


def _everything(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name != _INDEX_NAME:
                yield Path(parent, name)


def open_plain(path: Path) -> IO[bytes]:
    """Open a DICOM file for reading as it would be without gzip and without the deflated transfer syntax.

    Raises
    ------
    TooLargeError
        If a deflated data set is far larger than its file.
    """
    file = _open_unzipped(path)
    start = file.read(_START)
    file.seek(0)
    if not _is_deflated(start):
        return file
    with file:
        return _inflated(file, unpacked_limit(path))


def _open_unzipped(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if _is_gzipped(path) else path.open("rb")


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


def _is_deflated(start: bytes) -> bool:
    return start[PREAMBLE : PREAMBLE + 4] == b"DICM" and DeflatedExplicitVRLittleEndian.encode() in start


def unpacked_limit(path: Path) -> int:
    """Return the most bytes that a file may unpack to."""
    return max(_ALWAYS_UNPACKED, _MOST_UNPACKED * path.stat().st_size)


def _inflated(file: IO[bytes], limit: int) -> IO[bytes]:
    """Return a deflated file as one of the plain transfer syntax (DICOM PS3.5, A.5)."""
    start = file.read(_GROUP_LENGTH + 4)
    (length,) = struct.unpack_from("<I", start, _GROUP_LENGTH)
    meta = dcmread(BytesIO(start + file.read(length))).file_meta
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    content = stream.decompress(file.read(limit), limit)
    if stream.unconsumed_tail:
        raise TooLargeError("unpacks to far more than an image")
    if not stream.eof:
        raise EOFError("cut short")
    plain = DicomBytesIO()
    plain.write(start[: PREAMBLE + 4])
    write_file_meta_info(plain, meta)
    plain.write(content)
    return BytesIO(plain.getvalue())


def is_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM: the letters DICM after the preamble, or a sane data set without them.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    try:
        with _open_unzipped(path) as file:
            start = file.read(PREAMBLE + 4)
    except (EOFError, zlib.error):  # an empty or cut gzip
        return False
    if start[PREAMBLE:] == b"DICM":
        return True
    return start[:2] in _FIRST_GROUPS and _is_bare_data_set(path)


def _is_bare_data_set(path: Path) -> bool:
    wanted = ["SOPClassUID", "Modality"]
    try:
        with _open_unzipped(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is no data set at all, such as pixels of other formats
            bounded = cast("IO[bytes]", Bounded(file))
            header = dcmread(bounded, force=True, specific_tags=wanted, stop_before_pixels=True)
    except DAMAGE:
        return False
    return "SOPClassUID" in header and "Modality" in header


def is_par(path: Path) -> bool:
    """Tell whether a file is a PAR file of Philips, by its first words."""
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError:
        return False
    return start.startswith(b"#") and b"DATA DESCRIPTION FILE" in start


def is_of_scanner(path: Path) -> bool:
    """Tell whether a file is DICOM or PAR.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    return is_dicom(path) or is_par(path)


def first_of_scanner(folder: Path) -> Path | None:
    """Return the first DICOM or PAR file below a folder, reading no further than it."""
    return _first(walk(folder), is_of_scanner)


def first_dicom(folder: Path) -> Path | None:
    """Return the first DICOM file below a folder, reading no further than it."""
    return _first(walk(folder))


def last_dicom(folder: Path) -> Path | None:
    """Return the last DICOM file below a folder."""
    return _first(reversed(list(walk(folder))))


def _first(paths: Iterable[Path], wanted: Callable[[Path], bool] = is_dicom) -> Path | None:
    for path in paths:
        try:
            if wanted(path):
                return path
        except OSError:
            continue
    return None


def found_instead(folder: Path, *, noteworthy: bool = False) -> str:
    """Say in words, without a name, what lies in a folder beside DICOM files; empty where there is nothing.

    Parameters
    ----------
    folder
        A folder.
    noteworthy
        Leave out files of which nobody expects anything, such as texts.
    """
    kinds = Counter(kind for path in _everything(folder) if (kind := _kind(path)) is not None)
    if noteworthy:
        del kinds["other"]
    return ", ".join(_counted(count, *_KINDS[kind]) for kind, count in sorted(kinds.items()))


_KINDS = {
    "archive": ("archive (unpack it)", "archives (unpack them)"),
    "damaged": (
        "gzip file that cannot be unpacked (copy it again)",
        "gzip files that cannot be unpacked (copy them again)",
    ),
    "dangling": (
        "link to content that is not there (fetch it)",
        "links to content that is not there (fetch it)",
    ),
    "empty": ("empty file", "empty files"),
    "other": ("other file", "other files"),
    "special": ("pipe, socket or device, never opened", "pipes, sockets or devices, never opened"),
}
"""What a folder may hold beside DICOM files, as one and as several."""


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _kind(path: Path) -> str | None:
    """Return what a file is, by its content; None for DICOM."""
    try:
        if not path.is_file():
            return "special" if path.exists() else "dangling"
        return None if is_dicom(path) else _kind_of_file(path)
    except OSError:
        return "dangling" if path.is_symlink() else "other"


def _kind_of_file(path: Path) -> str:
    if not path.stat().st_size:
        return "empty"
    try:
        with _open_unzipped(path) as file:
            start = file.read(_TAR[0] + len(_TAR[1]))
    except (EOFError, zlib.error):
        return "damaged"
    return "archive" if start.startswith(_ARCHIVES) or start[_TAR[0] :] == _TAR[1] else "other"
