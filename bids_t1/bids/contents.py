"""What the folders of a participant hold that is meant for this program: images, and files that miss being one.

Nothing is opened here. What is left out is told with its reason: maps from fewer images than were measured look fine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import brief, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

EXTENSIONS = (".nii", ".nii.gz")

_LIKE_AN_IMAGE = re.compile(r"\.(nii|json|img|hdr|mg[hz]|nrrd|mha|mnc)\b|.*\.nii(\.gz)?$", re.IGNORECASE)
"""Extensions of images and sidecars, whatever follows; tables and pictures of quality control are no images."""

_TRANSMIT = re.compile(r"TB1[0-9A-Za-z]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is called almost as an image is."""

    path: Path
    name: BidsName | None
    """What it should be called; None where that cannot be told."""

    suffix: str | None
    """The suffix that is meant; None for one that is not known here."""

    reason: str

    def __str__(self) -> str:
        return f"{plain(self.path.name)}: left out, {self.reason}"


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a participant that are meant for this program, by path."""

    images: tuple[Path, ...]
    sidecars: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]

    def held(self, suffixes: Iterable[str]) -> list[str]:
        """Return the suffixes of which there are images."""
        there = {path.name.partition(".")[0].rpartition("_")[2] for path in self.images}
        return [suffix for suffix in suffixes if suffix in there]


def look(folder: Path, suffixes: Sequence[str]) -> Contents:
    """List the images of some suffixes in the folders of a participant, and what misses being one.

    Parameters
    ----------
    folder
        Of the participant.
    suffixes
        As BIDS writes them.

    Raises
    ------
    InvalidInputError
        If a folder cannot be listed.
    """
    images: list[Path] = []
    sidecars: list[Path] = []
    left_out: list[LeftOut] = []
    for path, lies_right in _files(folder):
        found = _parts(path.name, suffixes)
        if found is None:
            continue
        stem, suffix, extension = found
        reason = _reason(path, suffix, suffixes, lies_right=lies_right)
        if reason is not None:
            meant = _meant(suffix, suffixes)
            left_out.append(LeftOut(path, _named(stem, meant), meant, reason))
        elif extension == ".json":
            sidecars.append(path)
        else:
            images.append(path)
    left_out = [one for one in left_out if not _has_image(one, left_out)]
    return Contents(tuple(images), tuple(sidecars), (*left_out, *_without_image(images, sidecars, left_out)))


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what lies in the folders of datatypes, and what lies beside them; nothing hidden, nothing deeper."""
    for path in _listed(folder):
        if not path.is_dir():
            yield path, False
        elif path.name.startswith("ses-"):
            for within in _listed(path):
                yield from ((file, True) for file in _listed(within)) if within.is_dir() else ((within, False),)
        else:
            yield from ((file, True) for file in _listed(path))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InvalidInputError(
            f"{folder.name}: cannot be listed ({error.strerror}); expected a folder. Check its permissions."
        ) from error


def _parts(name: str, suffixes: Sequence[str]) -> tuple[str, str, str] | None:
    """Split a name into what is before its suffix, suffix and extension; None where it is none of ours."""
    stem, dot, extension = name.partition(".")
    before, underscore, suffix = stem.rpartition("_")
    known = {one.lower() for one in suffixes}
    if not underscore or not _LIKE_AN_IMAGE.match(dot + extension):
        return None
    if suffix.lower() in known or _TRANSMIT.fullmatch(suffix):
        return before, suffix, dot + extension
    # As file managers call copies, and other converters their images.
    goes_on = re.fullmatch(rf"(.+?)_({'|'.join(known)})[^0-9a-z].*", stem, re.IGNORECASE)
    return None if goes_on is None else (goes_on[1], goes_on[2], dot + extension)


def _reason(path: Path, suffix: str, suffixes: Sequence[str], *, lies_right: bool) -> str | None:
    """Say why a file is no image or sidecar; None where it is one."""
    extension = path.name[path.name.index(".") :]
    if suffix not in suffixes:
        meant = _meant(suffix, suffixes)
        if meant is not None:
            return f"its suffix is _{suffix}; expected _{meant}, in upper and lower case as BIDS writes it. Rename it."
        known = ", ".join(one for one in suffixes if _TRANSMIT.fullmatch(one))
        return f"it measures the transmit field in a way that is not known here; expected {known}."
    more = path.name.partition(".")[0].rpartition(f"_{suffix}")[2]
    if more:
        return (
            f"its name goes on behind _{suffix} with {brief(more)}; expected nothing there. Is it a copy? Remove it, "
            "or rename it, with a run- of its own where it was measured again."
        )
    if extension not in (*EXTENSIONS, ".json"):
        return f"it ends in {plain(extension)}; expected .nii.gz or .nii. Complete, convert or rename it."
    if not lies_right:
        return "it lies beside the folders anat and fmap; expected in one of them. Move it."
    return "it is a folder; expected an image. Copy it again." if path.is_dir() and not path.is_symlink() else None


def _meant(suffix: str, suffixes: Sequence[str]) -> str | None:
    return next((one for one in suffixes if one.lower() == suffix.lower()), None)


def _named(stem: str, suffix: str | None) -> BidsName | None:
    return None if suffix is None else BidsName.parse_if_valid(f"{stem}_{suffix}.nii.gz")


def _has_image(one: LeftOut, others: Sequence[LeftOut]) -> bool:
    """Tell whether this is the sidecar of another file that is left out: the other is told."""
    stem, _, extension = one.path.name.partition(".")
    return extension == "json" and any(
        other is not one and other.path.name.partition(".")[0] == stem for other in others
    )


def _without_image(images: Sequence[Path], sidecars: Sequence[Path], left_out: Sequence[LeftOut]) -> Iterator[LeftOut]:
    """Yield sidecars that apply to no image, nor to one that is left out already."""
    names = [name for path in images if (name := BidsName.parse_if_valid(path.name)) is not None]
    names += [one.name for one in left_out if one.name is not None]
    for path in sidecars:
        name = BidsName.parse_if_valid(path.name)
        if name is None:
            suffix = path.name.partition(".")[0].rpartition("_")[2]
            yield LeftOut(
                path, None, suffix, "its name is not that of a sidecar in BIDS; expected key-label pairs. Rename it."
            )
        elif not any(name.describes(image) for image in names):
            yield LeftOut(
                path, name, name.suffix, "it describes no image that is here; expected its image. Copy the image again."
            )


def require_own(images: Sequence[Path], folder: Path) -> None:
    """Refuse images that are called after another participant or session than the folders they lie in.

    Raises
    ------
    InvalidInputError
        If there are any: a folder that was copied and not renamed, or a link to another participant.
    """
    for path in images:
        name = BidsName.parse(path.name)
        folders = path.relative_to(folder.parent).parts
        session = folders[1] if folders[1].startswith("ses-") else None
        for key, expected in (("sub", folders[0]), ("ses", session)):
            found = None if name.get(key) is None else f"{key}-{name.get(key)}"
            if found != expected:
                raise InvalidInputError(
                    f"{path.relative_to(folder.parent)}: is called after {found or f'no {key}-'} and lies in "
                    f"{'/'.join(folders[:-1])}; expected {expected or f'no {key}-'} in both. Was the folder copied, or "
                    "linked, and not renamed? Rename its files, or the folder."
                )
