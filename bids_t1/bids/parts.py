"""One image of a run from the files of its parts: a magnitude, a real image, or a complex one from two files."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.images import (
    MOST_VOXELS_BESIDE,
    common_grid,
    read_header,
    read_volume,
    read_volumes,
    require_few_voxels,
)
from bids_t1.bids.phase import phase_in_radians
from bids_t1.bids.soundness import require_different, require_phases, require_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bids_t1.bids.images import Header, Volume
    from bids_t1.data.acquisition import RawFile
    from bids_t1.data.grid import Grid


@dataclass(slots=True)
class PartReader:
    """Reads the images of one run one by one, after their headers, and remembers how phases were read."""

    sources: tuple[Path, ...] = ()
    """Every file that was opened, in order."""

    phase_origins: list[str] = field(default_factory=list)
    constant_phases: list[float | None] = field(default_factory=list)
    """The phase of each image that holds the same one in every voxel [rad], else None."""

    doubts: tuple[str, ...] = ()
    """Warnings of what is odd in the images."""

    _volumes: dict[Path, tuple[Volume, ...]] = field(default_factory=dict)
    """Of files that hold several."""

    def open(
        self, files: Sequence[RawFile], admit: Callable[[int], object] | None = None
    ) -> tuple[Grid, tuple[str, ...]]:
        """Return the grid that all images share, from their headers, and warnings of small differences.

        No voxel is read before: a header may declare any size.

        Parameters
        ----------
        files
            Every image that will be read.
        admit
            Called with the bytes that they take in single precision, one of them as it is stored beside, or a file of
            several volumes as it is read; it raises an error where that is too much. None: images beside a
            run, which must not be larger than `MOST_VOXELS_BESIDE`.

        Raises
        ------
        InvalidInputError
            If a header cannot be read, or an image lies on another grid.
        """
        headers = [(file, read_header(file.path, several=file.volume is not None)) for file in files]
        grid, warnings = common_grid([(file, header.grid) for file, header in headers])
        if admit is None:
            require_few_voxels(files[0].path.name, grid.shape, MOST_VOXELS_BESIDE)
        else:
            admit(4 * len(files) * math.prod(grid.shape) + _beside(headers))
        self.sources += tuple(dict.fromkeys(file.path for file in files))
        lost = [str(file.name) for file, header in headers if not header.is_placed]
        return grid, (*warnings, *_unplaced(list(dict.fromkeys(lost))))

    def stack(self, images: Sequence[Sequence[RawFile]]) -> np.ndarray:
        """Return all images of a run, (measurement, x, y, z), each from one file or two; see `read`."""
        first = self.read(images[0])
        stack = np.empty((len(images), *first.shape), first.dtype)
        stack[0] = first
        for index, files in enumerate(images[1:], 1):
            stack[index] = self.read(files)
        require_phases(images, self.constant_phases)
        self.doubts += require_different(images, stack)
        return stack

    def read(self, files: Sequence[RawFile]) -> np.ndarray:
        """Return one image in single precision, (x, y, z).

        Parameters
        ----------
        files
            One file; or real and imaginary, or magnitude and phase, in this order.

        Raises
        ------
        InvalidInputError
            If a file cannot be read, or is a phase of unknown scaling.
        """
        first = self._sound(files[0])
        if len(files) == 1:
            return np.asarray(first.values, np.float32)
        second = self._sound(files[1])
        combined = np.empty(first.grid.shape, np.complex64)
        if files[1].name.get("part") == "imag":
            combined.real, combined.imag = first.values, second.values
            return combined
        phase, scale = phase_in_radians(files[1], second)
        self.phase_origins.append(scale.origin)
        self.constant_phases.append(float(phase.flat[0]) if (phase == phase.flat[0]).all() else None)
        with np.errstate(invalid="ignore"):  # infinity times zero is NaN: the estimate marks either
            combined.real = first.values * np.cos(phase)
            combined.imag = first.values * np.sin(phase)
        return combined

    def _sound(self, file: RawFile) -> Volume:
        volume = read_volume(file.path) if file.volume is None else self._of_several(file.path)[file.volume]
        self.doubts += require_sound(file, volume)
        return volume

    def _of_several(self, path: Path) -> tuple[Volume, ...]:
        """Return the volumes of a file; what was read stays, as the next image most often is in the same file."""
        if path not in self._volumes:
            self._volumes[path] = read_volumes(path)
        return self._volumes[path]


def _beside(headers: Sequence[tuple[RawFile, Header]]) -> int:
    """Return the bytes of what is held as it is stored while images are read."""
    of_several = {file.path: header.n_bytes for file, header in headers if file.volume is not None}
    alone = max((header.n_bytes for file, header in headers if file.volume is None), default=0)
    return alone + sum(of_several.values())


def _unplaced(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    others = f" and {len(names) - 1} more" if names[1:] else ""
    told = (
        f"{names[0]}{others}: the header says nothing of orientation (qform_code and sform_code 0). Axes are taken as "
        "nibabel does, the first one from right to left: sides may be mistaken. Correct the header."
    )
    return (told,)
