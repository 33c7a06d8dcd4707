"""One image of a run from the files of its parts: a magnitude, a real image, or a complex one from two files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.images import read_volume, refuse_grid
from bids_t1.bids.phase import phase_in_radians

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.bids.images import Volume
    from bids_t1.data.acquisition import RawFile
    from bids_t1.data.grid import Grid
    from bids_t1.data.sidecar import Sidecar


@dataclass(slots=True)
class PartReader:
    """Reads the images of one run one by one, and remembers their grids and how phases were read."""

    protocol: Sidecar | None = None
    """Table of the protocol file, which may declare the scaling of phase images."""

    grids: list[tuple[RawFile, Grid]] = field(default_factory=list)
    phase_origins: list[str] = field(default_factory=list)

    @property
    def sources(self) -> tuple[Path, ...]:
        """Every file read, in order."""
        return tuple(file.path for file, _ in self.grids)

    def stack(self, images: Sequence[Sequence[RawFile]]) -> np.ndarray:
        """Return all images of a run, (measurement, x, y, z), each from one file or two; see `read`."""
        first = self.read(images[0])
        stack = np.empty((len(images), *first.shape), first.dtype)
        stack[0] = first
        for index, files in enumerate(images[1:], 1):
            stack[index] = self.read(files)
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
            If a file cannot be read, lies on another grid, or is a phase of unknown scaling.
        """
        first = self.volume(files[0])
        if len(files) == 1:
            return np.asarray(first.values, np.float32)
        second = self.volume(files[1])
        combined = np.empty(first.grid.shape, np.complex64)
        if files[1].name.get("part") == "imag":
            combined.real, combined.imag = first.values, second.values
            return combined
        phase, scale = phase_in_radians(files[1], second, self.protocol)
        self.phase_origins.append(scale.origin)
        with np.errstate(invalid="ignore"):  # infinity times zero is NaN: the estimate marks either
            combined.real = first.values * np.cos(phase)
            combined.imag = first.values * np.sin(phase)
        return combined

    def volume(self, file: RawFile) -> Volume:
        """Return an image as it is stored, on the grid of those before it."""
        volume = read_volume(file.path)
        self.grids.append((file, volume.grid))
        if volume.grid.shape != self.grids[0][1].shape:
            refuse_grid(self.grids[0], self.grids[-1])
        return volume
