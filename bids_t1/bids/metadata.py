"""Metadata of images by BIDS' inheritance: the sidecars above and beside an image, each read once.

A sidecar that cannot be read concerns the images it applies to, and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar, Unreadable
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Metadata:
    """The sidecars of one dataset."""

    def __init__(self, dataset: Path) -> None:
        self.dataset = dataset
        self._named: dict[Path, list[tuple[BidsName, Path]]] = {}
        self._fields: dict[Path, Mapping[str, object]] = {}

    def of(self, image: Path, name: BidsName) -> Sidecar:
        """Return the metadata of an image: of two sidecars that apply, the nearer and more specific counts.

        Parameters
        ----------
        image
            Its path, below the dataset.
        name
            Its name, parsed.
        """
        fields: dict[str, object] = {}
        try:
            for path in self._applying(image, name):
                fields |= self._read(path)
        except InvalidInputError as error:
            return Sidecar(_own(name), Unreadable(error))
        return Sidecar(_own(name), fields)

    def _applying(self, image: Path, name: BidsName) -> list[Path]:
        """Return the sidecars of an image, that of the widest scope first."""
        below = image.parent.relative_to(self.dataset).parts
        folders = [self.dataset.joinpath(*below[:depth]) for depth in range(len(below) + 1)]
        return [
            path
            for folder in folders
            for sidecar, path in sorted(self._sidecars(folder), key=lambda pair: _closeness(pair[0], name))
            if sidecar.describes(name)
        ]

    def _sidecars(self, folder: Path) -> list[tuple[BidsName, Path]]:
        if folder not in self._named:
            found = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
            self._named[folder] = [
                (name, path) for path in found if (name := BidsName.parse_if_valid(path.name)) is not None
            ]
        return self._named[folder]

    def _read(self, path: Path) -> Mapping[str, object]:
        if path not in self._fields:
            self._fields[path] = read_json(path, path.relative_to(self.dataset).as_posix())
        return self._fields[path]


def _closeness(sidecar: BidsName, name: BidsName) -> tuple[int, bool]:
    """Sort sidecars of one folder, that of the image alone last."""
    return len(sidecar.entities), sidecar.entities == name.entities


def _own(name: BidsName) -> str:
    return str(name.having({}, extension=".json"))
