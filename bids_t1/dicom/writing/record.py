"""What a conversion did: kept as JSON beside the raw data, and compared before converting again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.data.result import SeriesNote  # noqa: TC001 - read back by annotation
from bids_t1.dicom.reading.files import walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.sidecar import Sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The record of converting one participant (or session); it holds no name and no date."""

    digest: str
    """Fingerprint of the source folder and of the conversion rules."""

    written: tuple[str, ...]
    """Files written, relative to the raw dataset."""

    series: tuple[SeriesNote, ...]
    warnings: tuple[str, ...] = ()

    def holds_for(self, digest: str, raw_dir: Path) -> bool:
        """Tell whether this record describes the same source and all its files are still there."""
        return self.digest == digest and all((raw_dir / name).is_file() for name in self.written)


def source_digest(folder: Path, labels: Mapping[str, str | None], tables: Sequence[Sidecar | None] = ()) -> str:
    """Fingerprint a source folder from names, sizes and modification times, without opening any file.

    Whose it is, and the tables of the protocol file that the conversion depends on, are part of it.
    """
    said = [json.dumps(dict(table.fields), sort_keys=True, default=str) for table in tables if table is not None]
    digest = hashlib.sha256(f"{_rules()}|{labels}|{said}".encode())
    for path in walk(folder):
        try:
            status = path.stat()
        except OSError:  # a link to content that is not there
            continue
        digest.update(
            f"|{path.relative_to(folder)}|{status.st_size}|{status.st_mtime_ns}".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def _rules() -> str:
    """Fingerprint how DICOM files are converted: by the code of this step, pydicom and dcm2niix.

    The code counts as it is written, so that old results are never reused after a change.
    """
    digest = hashlib.sha256(f"{_version('pydicom')}|{_version('dcm2niix')}".encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a program on the PATH
        return ""
