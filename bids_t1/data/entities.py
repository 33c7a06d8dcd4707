"""BIDS file names, parsed and formatted in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import brief, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTITY_ORDER = (
    "sub", "tpl", "ses", "cohort", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec",
    "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk",
    "atlas", "seg", "scale", "res", "den", "label", "desc",
)  # fmt: skip
"""Order of entities in a file name (BIDS 1.11)."""

_LABEL = re.compile(r"[0-9A-Za-z+]+")


def is_label(text: str) -> bool:
    """Tell whether BIDS allows a label."""
    return _LABEL.fullmatch(text) is not None


def strip_label(prefix: str, label: str) -> str:
    """Return a participant or session label without its ``sub-`` or ``ses-`` prefix.

    Raises
    ------
    InvalidInputError
        If what is left is not alphanumeric, as BIDS asks.
    """
    bare = label.removeprefix(f"{prefix}-")
    if not _LABEL.fullmatch(bare):
        several = " Several labels are separated by blanks." if "," in bare else ""
        raise InvalidInputError(
            f"{prefix}-{plain(bare)}: the label is {brief(bare)}; expected letters, digits and + only, as BIDS asks. "
            f"Rename the folder or give another label.{several}"
        )
    return bare


def _label(key: str, value: str) -> str:
    """Return the label of an entity for comparison: run-01 is run-1, as pybids has it."""
    return value.lstrip("0") if key == "run" else value


@dataclass(frozen=True, slots=True)
class BidsName:
    """A BIDS file name: its entities in order, its suffix and its extension."""

    entities: tuple[tuple[str, str], ...]
    """Pairs such as ``("sub", "01")``, in the order of `ENTITY_ORDER`."""

    suffix: str
    extension: str = ".nii.gz"

    @classmethod
    def build(cls, entities: Mapping[str, str | None], suffix: str, extension: str = ".nii.gz") -> BidsName:
        """Put entities in their order; those whose value is None are left out."""
        kept = {key: value for key, value in entities.items() if value is not None}
        unknown = sorted(set(kept) - set(ENTITY_ORDER))
        if unknown:
            raise InvalidInputError(
                f"{', '.join(unknown)}: unknown BIDS entities; known are {', '.join(ENTITY_ORDER)}."
            )
        return cls(tuple((key, kept[key]) for key in ENTITY_ORDER if key in kept), suffix, extension)

    @classmethod
    def parse(cls, filename: str) -> BidsName:
        """Read a file name such as ``sub-01_inv-2_IRT1.nii.gz``.

        Raises
        ------
        InvalidInputError
            If the name is not made of ``key-label`` pairs and a suffix.
        """
        stem, dot, extension = filename.partition(".")
        *pairs, suffix = stem.split("_")
        entities: dict[str, str | None] = {}
        for pair in pairs:
            key, dash, value = pair.partition("-")
            if not dash or not _LABEL.fullmatch(value) or key in entities:
                raise InvalidInputError(
                    f"{plain(filename)}: {brief(pair)} is not a BIDS entity; expected key-label, each key once, such "
                    "as sub-01. Rename the file."
                )
            entities[key] = value
        unknown = sorted(set(entities) - set(ENTITY_ORDER))
        if unknown:
            raise InvalidInputError(
                f"{plain(filename)}: {plain(', '.join(unknown))} is no entity of BIDS; expected one of "
                f"{', '.join(ENTITY_ORDER)}. Rename the file."
            )
        return cls.build(entities, suffix, dot + extension)

    @classmethod
    def parse_if_valid(cls, filename: str) -> BidsName | None:
        """Read a file name; None where it is none of BIDS, as that of ``participants.json``."""
        try:
            return cls.parse(filename)
        except InvalidInputError:
            return None

    def __str__(self) -> str:
        return "_".join([*(f"{key}-{value}" for key, value in self.entities), self.suffix]) + self.extension

    def get(self, key: str) -> str | None:
        """Return the label of an entity, or None where the name lacks it."""
        return dict(self.entities).get(key)

    def index(self, key: str) -> int | None:
        """Return an index entity (``inv``, ``echo``, ``run``, ...) as an integer: ``inv-01`` equals ``inv-1``.

        Raises
        ------
        InvalidInputError
            If the label is not a whole number.
        """
        value = self.get(key)
        if value is None:
            return None
        if not value.isdecimal():
            raise InvalidInputError(f"{self}: {key}-{value} is not a number; expected an index such as {key}-1.")
        return int(value)

    def having(
        self, entities: Mapping[str, str | None], *, suffix: str | None = None, extension: str | None = None
    ) -> BidsName:
        """Return a name with some entities set (or, with None, removed), and another suffix or extension."""
        return BidsName.build(
            {**dict(self.entities), **entities},
            self.suffix if suffix is None else suffix,
            self.extension if extension is None else extension,
        )

    def describes(self, other: BidsName) -> bool:
        """Tell whether a sidecar of this name applies to a file of another: BIDS' inheritance of metadata."""
        there = dict(other.entities)
        return self.suffix == other.suffix and all(
            key in there and _label(key, value) == _label(key, there[key]) for key, value in self.entities
        )

    def folder(self, datatype: str) -> str:
        """Return the folder of the file below the dataset root, such as ``sub-01/ses-1/anat``."""
        parts = [f"{key}-{self.get(key)}" for key in ("sub", "ses") if self.get(key) is not None]
        return "/".join([*parts, datatype])


def stem_of(participant: str, session: str | None) -> str:
    """Return what names of files of a participant or session begin with, such as ``sub-01_ses-1``."""
    return f"sub-{participant}" + ("" if session is None else f"_ses-{session}")
