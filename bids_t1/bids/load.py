"""From the files of one run to numbers in memory, all checks of the files included."""

from __future__ import annotations

import math
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import nibabel as nib
import numpy as np

from bids_t1.data.acquisition import Series
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import SAME_GRID_SHIFT, TOLERATED_SHIFT, Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import Acquisition, Kind, RawFile

T = TypeVar("T")

PARTS: dict[frozenset[str], Kind] = {
    frozenset({""}): "magnitude",
    frozenset({"mag"}): "magnitude",
    frozenset({"real"}): "real",
    frozenset({"real", "imag"}): "complex",
    frozenset({"mag", "phase"}): "complex",
}
"""What the ``part`` entities of a run make together, the most informative last."""

UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
)
"""What nibabel raises for a damaged file."""

FULL_TURN = 2 * math.pi * 1.01
"""Largest angle of a phase image in radians, with a margin for rounding [rad]."""


def load_inversion_recovery(acquisition: Acquisition) -> Series:
    """Open the images of one inversion-recovery run, ordered by rising inversion time.

    Magnitude, real, real and imaginary, or magnitude and phase images; of several, the most informative are used.

    Raises
    ------
    InvalidInputError
        If images are missing, unreadable, of different grids, or their inversion times missing or equal.
    """
    by_part: dict[str, list[RawFile]] = {}
    for file in acquisition.files:
        by_part.setdefault(file.name.get("part") or "", []).append(file)
    kind, parts = _choose_parts(acquisition, by_part)
    ordered = [_by_inversion_time(by_part[part]) for part in parts]
    _require_same_times(acquisition, parts, ordered)
    grids: list[tuple[RawFile, Grid]] = []
    stacks = [_stack(files, grids) for files in ordered]
    grid, warnings = _common_grid(grids)
    return Series(
        acquisition=acquisition,
        measurements=_combine(parts, stacks, ordered),
        kind=kind,
        grid=grid,
        sidecars=tuple(file.sidecar for file in ordered[0]),
        sources=tuple(file.path for files in ordered for file in files),
        warnings=warnings,
    )


def size_in_memory(acquisition: Acquisition) -> int:
    """Return the bytes that the images of a run take when loaded in single precision, from their headers."""
    shapes = [_reading(file.path, lambda image: image.shape) for file in acquisition.files]
    return sum(4 * math.prod(shape) for shape in shapes)


def _choose_parts(acquisition: Acquisition, by_part: dict[str, list[RawFile]]) -> tuple[Kind, tuple[str, ...]]:
    usable = [parts for parts in PARTS if parts <= set(by_part)]
    if not usable:
        raise InvalidInputError(
            f"{acquisition.name}: has only part {', '.join(sorted(by_part))}; expected magnitude, real, real and "
            "imaginary, or magnitude and phase images."
        )
    parts = usable[-1]
    return PARTS[parts], tuple(sorted(parts, key=("", "mag", "phase", "real", "imag").index))


def _by_inversion_time(files: Sequence[RawFile]) -> list[RawFile]:
    times = [(file.sidecar.seconds("InversionTime"), file) for file in files]
    missing = [file.sidecar.name for time, file in times if time is None]
    if missing:
        raise InvalidInputError(
            f"{', '.join(missing)}: InversionTime is missing; expected seconds in the sidecar of every image, or in "
            "one it inherits from. It is never guessed."
        )
    ordered = sorted(((time, file) for time, file in times if time is not None), key=lambda pair: pair[0])
    for (time, file), (next_time, next_file) in pairwise(ordered):
        if math.isclose(time, next_time, abs_tol=1e-6):
            raise InvalidInputError(
                f"{file.name} and {next_file.name}: both have InversionTime {time:g} s; expected different ones. "
                "Tell repeated acquisitions apart with run-, or exclude one with --bids-filter-file."
            )
    return [file for _, file in ordered]


def _require_same_times(acquisition: Acquisition, parts: Sequence[str], ordered: Sequence[list[RawFile]]) -> None:
    times = [tuple(file.sidecar.seconds("InversionTime") for file in files) for files in ordered]
    if len(set(times)) > 1:
        found = "; ".join(
            f"part-{part}: {', '.join(map(str, found))} s" for part, found in zip(parts, times, strict=True)
        )
        raise InvalidInputError(
            f"{acquisition.name}: the parts have different inversion times ({found}); expected the same."
        )


def _stack(files: Sequence[RawFile], grids: list[tuple[RawFile, Grid]]) -> np.ndarray:
    stack: np.ndarray | None = None
    for index, file in enumerate(files):
        data, grid = _read(file.path)
        grids.append((file, grid))
        if stack is None:
            stack = np.empty((len(files), *grid.shape), np.float32)
        if grid.shape != stack.shape[1:]:
            _refuse_grid(grids[0], (file, grid))
        stack[index] = data
    if stack is None:
        raise InvalidInputError("a run without images; expected one per inversion time.")
    return stack


def open_image(path: Path) -> nib.spatialimages.SpatialImage:
    """Open an image without reading its voxels; raise one of `UNREADABLE` where it is damaged."""
    image = nib.load(path)
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise nib.filebasedimages.ImageFileError("it holds no voxels")
    return image


def _reading(path: Path, take: Callable[[nib.spatialimages.SpatialImage], T]) -> T:
    """Take something from an image file, and say which file it was where that fails."""
    try:
        return take(open_image(path))
    except UNREADABLE as error:
        raise InvalidInputError(
            f"{path.name}: cannot be read as NIfTI ({error}); expected a complete file. Copy it again."
        ) from error


def _read(path: Path) -> tuple[np.ndarray, Grid]:
    image, data = _reading(path, lambda image: (image, np.asanyarray(image.dataobj)))
    if data.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"{path.name}: holds numbers of type {data.dtype}; expected integers or real numbers. "
            "Write complex images as part-real and part-imag."
        )
    if data.ndim > 3 and math.prod(data.shape[3:]) == 1:  # noqa: PLR2004
        data = data.reshape(data.shape[:3])
    data = data.reshape(*data.shape, *(1,) * (3 - data.ndim))
    if data.ndim != 3:  # noqa: PLR2004
        raise InvalidInputError(
            f"{path.name}: has shape {data.shape}; expected one volume per file, one file per inversion time. "
            "Split it, and give each volume its own InversionTime."
        )
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < len(affine):
        raise InvalidInputError(
            f"{path.name}: its affine {affine[:3].tolist()} places no voxels; expected finite, independent axes. "
            "Correct the header."
        )
    return data, Grid((data.shape[0], data.shape[1], data.shape[2]), affine)


def _common_grid(grids: Sequence[tuple[RawFile, Grid]]) -> tuple[Grid, tuple[str, ...]]:
    first_file, first = grids[0]
    warnings = []
    for file, grid in grids[1:]:
        shift = first.shift_to(grid)
        if shift > SAME_GRID_SHIFT:
            _refuse_grid((first_file, first), (file, grid))
        if shift > TOLERATED_SHIFT:
            warnings.append(
                f"{file.name}: its voxels lie up to {shift:.3f} voxels beside those of {first_file.name}; "
                "taken as one grid."
            )
    return first, tuple(warnings)


def _refuse_grid(first: tuple[RawFile, Grid], other: tuple[RawFile, Grid]) -> None:
    raise InvalidInputError(
        f"{other[0].name}: its grid is {other[1]}; expected that of {first[0].name}: {first[1]}. "
        "All inversion times must share one grid."
    )


def _combine(parts: Sequence[str], stacks: Sequence[np.ndarray], ordered: Sequence[list[RawFile]]) -> np.ndarray:
    if len(parts) == 1:
        return stacks[0]
    combined = np.empty(stacks[0].shape, np.complex64)
    if parts == ("real", "imag"):
        combined.real, combined.imag = stacks
        return combined
    magnitude, phase = stacks
    for index, file in enumerate(ordered[1]):
        units = file.sidecar.text("Units")
        if units != "rad":
            raise InvalidInputError(
                f"{file.sidecar.name}: Units is {units!r}; expected 'rad' for phase images, so that their scaling is "
                "known. Rescale the images to radians, or leave the phase out with --bids-filter-file."
            )
        largest = float(np.nanmax(np.abs(phase[index]), initial=0.0))
        if largest > FULL_TURN:
            raise InvalidInputError(
                f"{file.name}: the phase reaches {largest:g} and its Units are 'rad'; expected at most 2 pi. "
                "Rescale the images to radians."
            )
        combined[index] = magnitude[index] * np.exp(1j * phase[index])
    return combined
