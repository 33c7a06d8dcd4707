"""One patient, one day: headers of one folder are compared with each other, and what they say is never told."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.groups import grouped_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.dicom.reading.identity import Identity
    from bids_t1.dicom.reading.slices import FileContent, SeriesKey
    from bids_t1.dicom.recognising.verdict import PlannedImage


def require_one_patient(contents: Sequence[FileContent]) -> None:
    """Refuse a folder that holds files of several patients.

    A name alone may be written in two ways: it counts where nothing else says that the patient is the same.

    Raises
    ------
    InvalidInputError
        If patient identifiers differ; it names series, never what their headers say.
    """
    _require_same(contents, "PatientID", lambda identity: identity.patient_id)
    _require_same(contents, "PatientBirthDate", lambda identity: identity.birth_date)
    if not all(content.identity.patient_id and content.identity.birth_date for content in contents):
        _require_same(contents, "PatientName", lambda identity: identity.name)


def _require_same(contents: Iterable[FileContent], attribute: str, value: Callable[[Identity], str]) -> None:
    holders: dict[str, set[SeriesKey]] = defaultdict(set)
    for content in contents:
        holders[value(content.identity)].add(content.series)
    holders.pop("", None)
    if len(holders) > 1:
        raise InvalidInputError(
            f"{_several(list(holders.values()), 'patient')} ({attribute} differs); expected the files of one. Put "
            "those of each patient into a folder of its own, or correct the headers if they are of one patient."
        )


def _several(holders: Sequence[set[SeriesKey]], noun: str) -> str:
    """Say which series belong to which of several patients or examinations, by their numbers."""
    mixed = {series for one in holders for series in one if sum(series in other for other in holders) > 1}
    if mixed:
        return f"series {_numbers(mixed)} {'hold' if len(mixed) > 1 else 'holds'} files of {len(holders)} {noun}s"
    listed = " and ".join(f"series {_numbers(series)}" for series in holders)
    return f"{listed} belong to {len(holders)} {noun}s"


def _numbers(series: Iterable[SeriesKey]) -> str:
    numbers = sorted({key.number for key in series if key.number is not None})
    without = ["without number"] if any(key.number is None for key in series) else []
    return ", ".join([*map(str, numbers), *without])


def check_examinations(contents: Iterable[FileContent], kept: Sequence[PlannedImage]) -> list[str]:
    """Compare examination and frame of reference of the images that are used.

    Two examinations of one day may be one that was exported in parts, or two with a break: that is told. Images
    that are fitted together must not have been taken in two examinations with two frames of reference.

    Returns
    -------
    list of str
        What the user must know.

    Raises
    ------
    InvalidInputError
        If images are of several days, or those of one run are of several examinations in several positions.
    """
    by_path = {plane.path: content.identity for content in contents for plane in content.slices}
    _require_one_day(kept, by_path)
    runs = grouped_by(kept, lambda image: (image.computed_of or image.suffix, image.run, image.label))
    for images in runs.values():
        _check_run(images, by_path)
    studies = _holders(kept, by_path, lambda identity: identity.study)
    frames = _holders(kept, by_path, lambda identity: identity.frame_of_reference)
    several = (
        f"{_several(studies, 'examination')} (StudyInstanceUID differs): taken for one of the same day; put them "
        "into ses-* folders if the patient left the scanner in between"
    )
    moved = (
        f"{_several(frames, 'frame')} of reference (FrameOfReferenceUID differs): their positions are comparable "
        "only if the patient was not moved in between"
    )
    return [words for words, holders in ((several, studies), (moved, frames)) if len(holders) > 1]


def _require_one_day(kept: Sequence[PlannedImage], by_path: Mapping[Path, Identity]) -> None:
    days = _holders(kept, by_path, lambda identity: identity.study_date)
    if len(days) > 1:
        raise InvalidInputError(
            f"{_several(days, 'examination')} of different days (StudyDate differs); expected those of one. Put each "
            "examination into a ses-* folder of the participant."
        )


def _check_run(images: Sequence[PlannedImage], by_path: Mapping[Path, Identity]) -> None:
    studies = _holders(images, by_path, lambda identity: identity.study)
    frames = _holders(images, by_path, lambda identity: identity.frame_of_reference)
    if len(studies) > 1 and len(frames) > 1:
        raise InvalidInputError(
            f"{images[0].suffix}: {_several(studies, 'examination')} with a frame of reference each (StudyInstanceUID "
            "and FrameOfReferenceUID differ); expected images of one position. Put each examination into a ses-* "
            "folder."
        )


def _holders(
    images: Iterable[PlannedImage], by_path: Mapping[Path, Identity], value: Callable[[Identity], str]
) -> list[set[SeriesKey]]:
    """Return the series that share each value, where it is known."""
    holders: dict[str, set[SeriesKey]] = defaultdict(set)
    for image in images:
        for plane in image.volume.slices:
            holders[value(by_path[plane.path])].add(plane.series)
    holders.pop("", None)
    return list(holders.values())
