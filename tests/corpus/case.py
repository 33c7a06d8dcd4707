"""One case: what is done to the data of one of two participants, and what has to come of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD, BAD = "sub-01", "sub-02"
"""The participant that stays as it is, and the one whose data are changed."""


class Wanted(StrEnum):
    """What has to come of the participant whose data were changed."""

    FINE = "fine"
    """Exit code 0, and the numbers of the intact data."""

    WARNED = "warned"
    """Exit code 0, and a warning on the terminal, on the page and in the log."""

    FAILED = "failed"
    """Exit code 1, no map of this participant; the other one is done."""

    TOLD = "told"
    """Failed or warned: what is wrong with an image is said, and whether the others are enough may be decided."""

    REFUSED = "refused"
    """The command does nothing, and out_dir stays byte for byte."""


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of one case."""

    root: Path

    @property
    def bids_dir(self) -> Path:
        return self.root / "data"

    @property
    def out_dir(self) -> Path:
        return self.root / "out"

    @property
    def aside(self) -> Path:
        """Folder for files that options name."""
        return self.root / "aside"

    @property
    def bad(self) -> Path:
        """Folder of the participant whose data are changed."""
        return self.bids_dir / BAD

    @property
    def images(self) -> list[Path]:
        """Images of this participant, by the numbers in their names."""
        return sorted((self.bad / "anat").glob("*.nii.gz"), key=lambda path: _numbers(path.name))

    @property
    def image(self) -> Path:
        """The one that most cases change: neither the first nor the last."""
        return self.images[-2]

    @property
    def sidecar(self) -> Path:
        return sidecar_of(self.image)

    @property
    def files(self) -> list[Path]:
        """Scanner files of this participant."""
        return sorted(path for path in self.bad.rglob("*") if path.is_file())


def sidecar_of(image: Path) -> Path:
    return image.with_name(image.name.replace(".nii.gz", ".json"))


def _numbers(name: str) -> list[object]:
    return [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", name)]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    form: str
    """What the data are, a key of `tests.corpus.datasets.FORMS`."""

    kind: str
    """Which kind of fault this is of."""

    words: str
    """What is done; no two cases of a form and kind have the same."""

    change: Callable[[Place], object]
    wanted: Wanted
    names: str = ""
    """Regular expression that the terminal must hold."""

    never: str = ""
    """Regular expression that neither the terminal nor any file or name of a file may hold, in whatever case."""

    code: int | None = None
    """Exit code; None: that of what is wanted."""

    options: tuple[str, ...] = ()
    """Options of the command; ``{aside}``, ``{bids_dir}`` and ``{out_dir}`` become paths."""

    level: str = "participant"
    lost: float = 0.01
    """Share of the fitted voxels that may be others: more where the change itself takes voxels away."""

    finished: bool = False
    """Whether out_dir holds the finished results of both participants before."""

    def __str__(self) -> str:
        return f"{self.form}: {self.kind}: {self.words}"

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """Exit codes that are right."""
        if self.code is not None:
            return (self.code,)
        return {Wanted.FAILED: (1,), Wanted.TOLD: (0, 1)}.get(self.wanted, (0,))


def nothing(place: Place) -> None:
    """Leave the data as they are."""
