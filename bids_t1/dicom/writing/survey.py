"""What lies in a source folder, and what is said about it: every series, every file that cannot be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError, NoInputError
from bids_t1.data.groups import grouped_by
from bids_t1.data.result import SeriesNote
from bids_t1.dicom.reading.files import found_instead, is_dicom, walk
from bids_t1.dicom.reading.privacy import known_text
from bids_t1.dicom.reading.slices import NO_IMAGE, FileContent, UnreadableError, quiet, read_file
from bids_t1.dicom.recognising.classify import told

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bids_t1.dicom.reading.slices import SeriesKey
    from bids_t1.dicom.recognising.verdict import Verdict

MOST_LISTED = 5
"""Unreadable files listed."""


@dataclass(frozen=True, slots=True)
class Survey:
    """All DICOM headers below a folder."""

    contents: tuple[FileContent, ...]
    unreadable: tuple[tuple[int, str], ...]
    """Files that cannot be read, and why: numbers in the order of all names, which may be those of people."""

    n_files: int
    """Files of any kind."""

    beside: str = ""
    """What lies there that is no DICOM file and might be expected to hold some, in words."""

    @property
    def identifying(self) -> frozenset[str]:
        """The identifying words of all files: a name may stand in one and be used in another."""
        return frozenset[str]().union(*(content.identifying for content in self.contents))


def survey(folder: Path) -> Survey:
    """Read every DICOM header below a folder.

    Raises
    ------
    NoInputError
        If there is no DICOM file.
    InvalidInputError
        If there are some and none can be read.
    """
    contents: list[FileContent] = []
    unreadable: list[tuple[int, str]] = []
    number = 0
    with quiet():
        for number, path in enumerate(walk(folder), start=1):
            try:
                if is_dicom(path):
                    contents.append(read_file(path))
            except UnreadableError as error:
                unreadable.append((number, str(error)))
            except OSError as error:
                unreadable.append((number, error.strerror or type(error).__name__))
    if not contents and unreadable:
        raise InvalidInputError(
            f"none of {len(unreadable)} DICOM files can be read; expected complete files. Copy them again "
            f"from the scanner or the archive. Found: {_reasons(unreadable)}."
        )
    if not contents:
        raise NoInputError(
            f"no DICOM file found, but {found_instead(folder) or 'nothing at all'}; expected the scanner's "
            "files. Check the folder."
        )
    return Survey(tuple(contents), tuple(unreadable), number, found_instead(folder, noteworthy=True))


def _reasons(unreadable: Iterable[tuple[int, str]]) -> str:
    return "; ".join(sorted({reason for _, reason in unreadable}))


def series_records(found: Survey, verdict: Verdict) -> tuple[SeriesNote, ...]:
    """Say of every series, in the order of the scanner, what became of it."""
    identifying = found.identifying
    n_files = Counter(content.series for content in found.contents)
    outcomes = _outcomes(found, verdict)
    return tuple(
        SeriesNote(
            number=key.number,
            description=_described(key, identifying),
            n_files=n_files[key],
            outcome="; ".join(outcomes[key]),
        )
        for key in sorted(n_files, key=lambda key: (key.number or 0, key.uid))
    )


def _described(key: SeriesKey, never: frozenset[str]) -> str:
    """Return the known words of what a series is called."""
    called = known_text("SeriesDescription", key.description, never)
    return called or known_text("ProtocolName", key.protocol, never)


def _outcomes(found: Survey, verdict: Verdict) -> dict[SeriesKey, list[str]]:
    kept = grouped_by(verdict.kept, lambda image: image.volume.first.series)
    outcomes: dict[SeriesKey, list[str]] = defaultdict(list)
    for key, images in kept.items():
        outcomes[key].extend(told(images))
    for key, reason in [*verdict.skipped, *_problems(found)]:
        text = f"skipped: {reason}"
        if text not in outcomes[key]:
            outcomes[key].append(text)
    return outcomes


def _problems(found: Survey) -> list[tuple[SeriesKey, str]]:
    """Say of each file that holds no usable image why."""
    return [(content.series, content.problem) for content in found.contents if content.problem is not None]


def nothing_usable(series: Iterable[SeriesNote]) -> NoInputError:
    """Return the error for a folder in which nothing can be measured, saying what each series is."""
    found = "\n".join(f"  series {entry.number} {entry.description}: {entry.outcome}" for entry in series)
    return NoInputError(
        "no inversion recovery with at least 3 inversion times was found in the DICOM files, no MP2RAGE, no "
        "multi-echo gradient echo and no variable flip angles; expected images of the same geometry and sequence, each "
        "inversion time with its own inversion, or the readouts or the UNI image of an MP2RAGE, or at least 3 echoes, "
        "or flip angles that differ by a factor of 2 or more, without inversion. "
        f"Series there:\n{found}"
    )


def _gain_warnings(verdict: Verdict) -> list[str]:
    """Compare the receiver gains within each acquisition."""
    gains: dict[object, set[str]] = defaultdict(set)
    for image in verdict.kept:
        if image.volume.first.values.gain:
            gains[image.suffix, image.run].add(image.volume.first.values.gain)
    different = [sorted(found) for found in gains.values() if len(found) > 1]
    return [
        f"receiver gains differ within an acquisition ({'; '.join(found)}): intensities may not be comparable"
        for found in different
    ]


def collect_warnings(found: Survey, verdict: Verdict) -> tuple[str, ...]:
    """Return what the user must know."""
    notes = list(verdict.warnings)
    planes = [image.volume.first for image in verdict.kept]
    notes.extend(sorted({plane.values.caveat for plane in planes if plane.values.caveat}))
    notes.extend(_gain_warnings(verdict))
    for series, attribute in _odd_values(found):
        notes.append(f"series {series}: {attribute} holds no finite number or breaks its kind, and is ignored")
    notes.extend([f"beside the DICOM files: {found.beside}; left out"] if found.beside else [])
    notes.extend([_told_unreadable(found)] if found.unreadable else [])
    damaged = [(key, reason) for key, reason in _problems(found) if not reason.startswith(NO_IMAGE)]
    notes.extend(
        sorted({f"series {key.number}: left out: {reason}" for key, reason in (*damaged, *verdict.incomplete)})
    )
    return tuple(notes)


def _told_unreadable(found: Survey) -> str:
    listed = ", ".join(str(number) for number, _ in found.unreadable[:MOST_LISTED])
    return (
        f"{len(found.unreadable)} DICOM files cannot be read and are left out ({_reasons(found.unreadable)}): "
        f"number {listed}"
        + (", ..." if len(found.unreadable) > MOST_LISTED else "")
        + f" of {found.n_files} files in the order of their names"
    )


def _odd_values(found: Survey) -> list[tuple[str, str]]:
    """Return number and attribute of each series with values that were ignored."""
    return sorted({(str(content.series.number), key) for content in found.contents for key in content.odd})
