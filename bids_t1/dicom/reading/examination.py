"""Folders of series told from folders of participants, as archives export either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.reading.files import first_dicom, last_dicom
from bids_t1.dicom.reading.slices import UnreadableError, read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.dicom.reading.slices import FileContent

ONE_EXAMINATION = (
    "the folders hold one series each of the same examination (one StudyInstanceUID): taken for one participant; call "
    "them sub-* if they are participants."
)


def are_series_of_one_examination(folders: Sequence[Path]) -> bool:
    """Tell whether each folder holds one series, all of the same examination and patient.

    Folders called ``sub-*`` are participants whatever they hold.
    """
    if any(folder.name.startswith("sub-") for folder in folders):
        return False
    found: dict[Path, FileContent] = {}
    for folder in folders:
        path = first_dicom(folder)
        if path is None:
            continue
        content = _read(path)
        if content is None or (found and not _another_series(list(found.values()), content)):
            return False
        found[folder] = content
    return len(found) > 1 and all(_ends_with_it(folder, content) for folder, content in found.items())


def _another_series(others: Sequence[FileContent], content: FileContent) -> bool:
    """Tell whether a file is of the examination of the others, and of none of their series."""
    one, other = others[0].identity, content.identity
    return (
        bool(one.study)
        and (one.study, one.patient_id, one.name) == (other.study, other.patient_id, other.name)
        and all(content.series.uid != known.series.uid for known in others)
    )


def _ends_with_it(folder: Path, content: FileContent) -> bool:
    """Tell whether the last file of a folder is of the series of its first."""
    path = last_dicom(folder)
    last = None if path is None else _read(path)
    return last is not None and last.series == content.series


def _read(path: Path) -> FileContent | None:
    try:
        return read_file(path)
    except (UnreadableError, OSError):
        return None
