"""Image files become numbers on a grid here, and nowhere else; a damaged file is named."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import nibabel as nib
import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import SAME_GRID_SHIFT, TOLERATED_SHIFT, Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import RawFile

T = TypeVar("T")

UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
)
"""What nibabel raises for a damaged file."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One image, the scale factor and offset of its header applied."""

    values: np.ndarray
    """(x, y, z), integers or real numbers."""

    grid: Grid
    holds_integers: bool
    """Whether the file holds integers, and the header no scale factor; an offset may be there."""


def open_image(path: Path) -> nib.spatialimages.SpatialImage:
    """Open an image without reading its voxels; raise one of `UNREADABLE` where it is damaged."""
    image = nib.load(path)
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise nib.filebasedimages.ImageFileError("it holds no voxels")
    return image


def shape_of(path: Path) -> tuple[int, ...]:
    """Return the shape of an image from its header.

    Raises
    ------
    InvalidInputError
        If it cannot be read.
    """
    return _reading(path, lambda image: tuple(image.shape))


def read_volume(path: Path) -> Volume:
    """Read an image of one volume.

    Raises
    ------
    InvalidInputError
        If it cannot be read, holds complex numbers or several volumes, or its affine places no voxels.
    """
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
            f"{path.name}: has shape {data.shape}; expected one volume per file. "
            "Split it, and give each volume of an inversion series its own InversionTime."
        )
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < len(affine):
        raise InvalidInputError(
            f"{path.name}: its affine {affine[:3].tolist()} places no voxels; expected finite, independent axes. "
            "Correct the header."
        )
    return Volume(
        values=data,
        grid=Grid((data.shape[0], data.shape[1], data.shape[2]), affine),
        holds_integers=image.get_data_dtype().kind in "iu" and getattr(image.dataobj, "slope", 1.0) == 1.0,
    )


def _reading(path: Path, take: Callable[[nib.spatialimages.SpatialImage], T]) -> T:
    """Take something from an image file, and say which file it was where that fails."""
    try:
        return take(open_image(path))
    except UNREADABLE as error:
        raise InvalidInputError(
            f"{path.name}: cannot be read as NIfTI ({error}); expected a complete file. Copy it again."
        ) from error


def common_grid(grids: Sequence[tuple[RawFile, Grid]]) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid that all images of a run share, and warnings of small differences.

    Raises
    ------
    InvalidInputError
        If an image lies on another grid.
    """
    first_file, first = grids[0]
    warnings = []
    for file, grid in grids[1:]:
        shift = first.shift_to(grid)
        if shift > SAME_GRID_SHIFT:
            refuse_grid((first_file, first), (file, grid))
        if shift > TOLERATED_SHIFT:
            warnings.append(
                f"{file.name}: its voxels lie up to {shift:.3f} voxels beside those of {first_file.name}; "
                "taken as one grid."
            )
    return first, tuple(warnings)


def refuse_grid(first: tuple[RawFile, Grid], other: tuple[RawFile, Grid]) -> None:
    """Raise an error that shows both grids."""
    raise InvalidInputError(
        f"{other[0].name}: its grid is {other[1]}; expected that of {first[0].name}: {first[1]}. "
        "All images of a run must share one grid."
    )
