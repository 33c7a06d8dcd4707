"""Which participants have scanner files, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.dicom.files import first_dicom, is_dicom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NOT_PARTICIPANTS = frozenset({"sourcedata", "derivatives", "code", "logs", "stimuli", "phenotype"})
"""Folders with a meaning of their own in BIDS."""


@dataclass(frozen=True, slots=True)
class DicomSource:
    """The scanner files of one participant, or of one session of a participant."""

    participant: str | None
    """Label without ``sub-``; None for a flat folder, whose label the user gives."""

    session: str | None
    """Label without ``ses-``."""

    folder: Path
    warnings: tuple[str, ...] = ()


def find_sources(bids_dir: Path) -> tuple[DicomSource, ...]:
    """Find the scanner files of each participant, opening no more than the first DICOM file of each folder.

    Three layouts are known: a BIDS dataset with ``sourcedata/sub-*/[ses-*/]``; a plain folder with one folder
    per participant (``sub-L`` or ``L``; sessions only where folders are named ``ses-*``); a flat folder of
    one participant's files. Labels come from folder names only, never from a DICOM header; characters that
    BIDS does not allow in a label are left out, with a warning.

    Raises
    ------
    InvalidInputError
        If two folders give the same label, or files lie inside and outside of participant (session) folders.
    """
    source_data = bids_dir / "sourcedata"
    in_source_data = [folder for folder in _folders(source_data) if folder.name.startswith("sub-")]
    sources = _participants(in_source_data)
    if sources or (bids_dir / "dataset_description.json").is_file():
        return sources
    if _has_own_dicom(bids_dir):
        return (_flat(bids_dir),)
    return _participants([folder for folder in _folders(bids_dir) if folder.name not in _NOT_PARTICIPANTS])


def _flat(folder: Path) -> DicomSource:
    participants = [child.name for child in _folders(folder) if child.name.startswith("sub-")]
    if participants:
        raise InvalidInputError(
            f"{folder}: DICOM files lie beside participant folders ({participants[0]}, ...); "
            "expected either. "
            "Move the loose files into the folder of their participant."
        )
    return DicomSource(None, None, folder)


def _participants(folders: list[Path]) -> tuple[DicomSource, ...]:
    with_files = [folder for folder in folders if first_dicom(folder) is not None]
    labels = _labels("sub", with_files)
    return tuple(
        source
        for folder, (label, notes) in zip(with_files, labels, strict=True)
        for source in _sessions(folder, label, notes)
    )


def _sessions(folder: Path, participant: str, notes: tuple[str, ...]) -> Iterator[DicomSource]:
    named = [child for child in _folders(folder) if child.name.startswith("ses-")]
    sessions = [child for child in named if first_dicom(child) is not None]
    if not sessions:
        yield DicomSource(participant, None, folder, notes)
        return
    if _has_own_dicom(folder) or any(first_dicom(child) for child in _folders(folder) if child not in named):
        raise InvalidInputError(
            f"{folder}: DICOM files lie inside and outside ses-* folders; expected all of them inside. "
            "Move the others into a session folder."
        )
    for child, (label, session_notes) in zip(sessions, _labels("ses", sessions), strict=True):
        yield DicomSource(participant, label, child, (*notes, *session_notes))


def _labels(prefix: str, folders: list[Path]) -> list[tuple[str, tuple[str, ...]]]:
    """Return a label for each folder, and a warning where it differs from the folder's name."""
    origin: dict[str, Path] = {}
    labels = []
    for folder in folders:
        name = folder.name.removeprefix(f"{prefix}-")
        label = re.sub(r"[^0-9A-Za-z]", "", name)
        if not label:
            raise InvalidInputError(
                f"{folder}: {name!r} holds no letter or digit of ASCII; expected a BIDS label. Rename the folder."
            )
        if label in origin:
            raise InvalidInputError(
                f"{folder} and {origin[label]}: both give {prefix}-{label}; expected different labels. Rename one."
            )
        origin[label] = folder
        changed = f"{folder}: called {prefix}-{label}, because a BIDS label has letters and digits only."
        notes: tuple[str, ...] = () if label == name else (changed,)
        labels.append((label, notes))
    return labels


def _folders(folder: Path) -> list[Path]:
    return _children(folder, lambda path: path.is_dir())


def _has_own_dicom(folder: Path) -> bool:
    return any(is_dicom(path) for path in _children(folder, lambda path: path.is_file()) if path.name != "DICOMDIR")


def _children(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and wanted(path))
