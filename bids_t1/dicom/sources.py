"""Which participants have scanner files, and where."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bids_t1.data.errors import BidsT1Error, InputOutputError, InvalidInputError
from bids_t1.data.groups import grouped_by
from bids_t1.dicom.reading.examination import ONE_EXAMINATION, are_series_of_one_examination
from bids_t1.dicom.reading.files import first_of_scanner, is_of_scanner

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

_NOT_PARTICIPANTS = frozenset({"sourcedata", "derivatives", "code", "logs", "stimuli", "phenotype"})
"""Folders with a meaning of their own in BIDS."""

_LABEL = re.compile(r"(?:(?:sub|ses)-)?[0-9A-Za-z]+")

NOBODY = "?"
"""Stands for the label of files that no participant can be named for."""


@dataclass(frozen=True, slots=True)
class DicomSource:
    """The scanner files of one participant, or of one session of a participant."""

    participant: str | None
    """Label without ``sub-``; None for a flat folder, whose label the user gives."""

    session: str | None
    """Label without ``ses-``."""

    folder: Path
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Sources:
    """What a folder holds of scanner files, and the folders that cannot be used, which keep no other from it."""

    found: list[DicomSource] = field(default_factory=list)
    refused: list[tuple[str, BidsT1Error]] = field(default_factory=list)
    """Labels, and why scanner files of theirs cannot be used."""

    empty: dict[str, Path] = field(default_factory=dict)
    """By label, folders of participants (``sub-*``) that hold no scanner files."""

    aside: list[str] = field(default_factory=list)
    """Labels that other folders would have, which hold no scanner files either."""


def find_sources(bids_dir: Path, *, known: Collection[str] = (), out_dir: Path | None = None) -> Sources:
    """Find the scanner files of each participant, opening no more than the first DICOM file of each folder.

    Where that is of the same examination in all of them, these are folders of series, and of one participant.

    Three layouts are known: a BIDS dataset with ``sourcedata/sub-*/[ses-*/]``; a plain folder with one folder
    per participant (``sub-L`` or ``L``; sessions only where folders are named ``ses-*``); a flat folder of
    one participant's files. Labels come from folder names only, never from a DICOM header; characters that
    BIDS does not allow in a label are left out, with a warning. Folders that are no labels are told by their place
    and not by their name, which may be that of a person.

    Parameters
    ----------
    bids_dir
        The folder to look into.
    known
        Labels of participants of which nothing is needed: their folders are not looked at.
    out_dir
        Where this program writes, which is left out should it lie inside ``bids_dir``.
    """
    listed = _Looking(known, out_dir)
    listed.look(_of_participants(listed.folders(bids_dir / "sourcedata")))
    # A link to nothing counts: a dataset whose description was not fetched is a dataset.
    if listed.sources.found or os.path.lexists(bids_dir / "dataset_description.json"):
        return listed.sources
    folders = [folder for folder in listed.folders(bids_dir) if folder.name not in _NOT_PARTICIPANTS]
    participants = _of_participants(folders)
    if not _has_own_dicom(bids_dir):
        if are_series_of_one_examination(folders):
            listed.sources.found.append(DicomSource(None, None, bids_dir, (ONE_EXAMINATION,)))
        else:
            listed.look(folders)
    elif not participants:
        listed.sources.found.append(DicomSource(None, None, bids_dir))
    else:
        listed.look(participants)
        listed.refuse(
            NOBODY,
            InvalidInputError(
                "DICOM files lie beside participant folders (sub-*), and are nobody's; expected either. "
                "Move the loose files into the folder of their participant."
            ),
        )
    return listed.sources


def _of_participants(folders: Iterable[Path]) -> list[Path]:
    return [folder for folder in folders if folder.name.startswith("sub-")]


class _Looking:
    """One look at the folders of participants; what is wrong with one of them is noted, and the next is looked at."""

    def __init__(self, known: Collection[str], out_dir: Path | None) -> None:
        self.sources = Sources()
        self._known = known
        self._out_dir = out_dir

    def folders(self, parent: Path) -> list[Path]:
        """List the folders in a folder; one that cannot be listed is noted."""
        try:
            return _folders(parent)
        except OSError as error:
            self.refuse(NOBODY, _unreadable(parent, error))
            return []

    def refuse(self, label: str, error: BidsT1Error) -> None:
        """Note that files of a participant cannot be used."""
        self.sources.refused.append((label, error))

    def look(self, folders: Iterable[Path]) -> None:
        """Look at each folder as that of a participant."""
        by_label: dict[str, list[Path]] = {}
        for folder in folders:
            label = _label(folder, "sub")
            if label in self._known or self._is_written_here(folder):
                continue
            if first_of_scanner(folder) is None:
                self._note_empty(label, folder)
            elif label:
                by_label.setdefault(label, []).append(folder)
            else:
                self.refuse(NOBODY, _unlabelled(folder))
        for label, found in by_label.items():
            self._take(label, found)

    def _is_written_here(self, folder: Path) -> bool:
        return self._out_dir is not None and folder.is_relative_to(self._out_dir)

    def _note_empty(self, label: str, folder: Path) -> None:
        if self._out_dir is not None and self._out_dir.is_relative_to(folder):
            return
        if folder.name.startswith("sub-"):
            self.sources.empty[label or NOBODY] = folder
        elif label:
            self.sources.aside.append(label)

    def _take(self, label: str, folders: list[Path]) -> None:
        try:
            _require_one(f"sub-{label}", folders)
            self.sources.found += _sessions(folders[0], label)
        except BidsT1Error as error:
            self.refuse(label, error)
        except OSError as error:
            self.refuse(label, _unreadable(folders[0], error))


def _sessions(folder: Path, participant: str) -> Iterator[DicomSource]:
    notes = _notes(folder, f"sub-{participant}")
    named = [child for child in _folders(folder) if child.name.startswith("ses-")]
    sessions = [child for child in named if first_of_scanner(child) is not None]
    if not sessions:
        yield DicomSource(participant, None, folder, notes)
        return
    _require_all_inside(folder, named)
    for label, children in grouped_by(sessions, lambda child: _label(child, "ses")).items():
        if not label:
            raise _unlabelled(children[0])
        _require_one(f"ses-{label}", children)
        yield DicomSource(participant, label, children[0], (*notes, *_notes(children[0], f"ses-{label}")))


def _require_all_inside(folder: Path, sessions: Collection[Path]) -> None:
    if _has_own_dicom(folder) or any(first_of_scanner(child) for child in _folders(folder) if child not in sessions):
        raise InvalidInputError(
            "DICOM files lie inside and outside ses-* folders; expected all of them inside. "
            "Move the others into a session folder."
        )


def _label(folder: Path, entity: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", folder.name.removeprefix(f"{entity}-"))


def _notes(folder: Path, called: str) -> tuple[str, ...]:
    """Return a warning where a label differs from the folder's name."""
    if folder.name in {called, called.split("-")[1]}:
        return ()
    return (f"{_told(folder)}: called {called}, because a BIDS label has letters and digits only.",)


def _told(folder: Path) -> str:
    """Say which folder it is: by its name where that is a label, else by its place."""
    if _LABEL.fullmatch(folder.name):
        return folder.name
    beside = _folders(folder.parent)
    return f"folder {1 + beside.index(folder)} of {len(beside)}, in the order of names"


def _unlabelled(folder: Path) -> InvalidInputError:
    return InvalidInputError(
        f"the name of {_told(folder)}, holds no letter or digit of ASCII; expected a BIDS label. Rename the folder."
    )


def _unreadable(folder: Path, error: OSError) -> InputOutputError:
    return InputOutputError(f"{_told(folder)}: cannot be read ({error.strerror}). Check its permissions and its disk.")


def _require_one(called: str, folders: list[Path]) -> None:
    if len(folders) > 1:
        named = " and ".join(_told(folder) for folder in folders)
        raise InvalidInputError(f"{named}: all give {called}; expected different labels. Rename all but one.")


def _folders(folder: Path) -> list[Path]:
    return _children(folder, lambda path: path.is_dir())


def _has_own_dicom(folder: Path) -> bool:
    return any(_is_dicom(path) for path in _children(folder, lambda path: path.is_file()) if path.name != "DICOMDIR")


def _is_dicom(path: Path) -> bool:
    try:
        return is_of_scanner(path)
    except OSError:
        return False


def _children(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and wanted(path))
