"""Image files become numbers on a grid here, and nowhere else; a damaged file is named."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import nibabel as nib
import numpy as np

from bids_t1.data.errors import InputOutputError, InvalidInputError
from bids_t1.data.grid import PLAUSIBLE_EDGES, SAME_GRID_SHIFT, TOLERATED_SHIFT, Grid, in_millimetres
from bids_t1.packing import DAMAGED, unpacked
from bids_t1.untrusted import require_content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import RawFile

T = TypeVar("T")

UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    zlib.error,
    DAMAGED,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
)
"""What nibabel raises for a damaged file."""

MOST_COMPRESSION = 1032
"""Deflate makes data at most this many times smaller (zlib's technical notes)."""

MOST_VOXELS_BESIDE = 512**3
"""Most voxels of an image that is read beside a run, such as a mask: what it declares is memory that it takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What an image says of itself before any voxel is read."""

    grid: Grid
    n_bytes: int
    """What its voxels take, as stored; of several volumes, as they are read."""

    n_volumes: int = 1
    """Along the fourth axis and those behind it."""

    is_placed: bool = True
    """Whether it says where the head lies: without, left and right are those that nibabel takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One image, the scale factor and offset of its header applied."""

    values: np.ndarray
    """(x, y, z), integers or real numbers."""

    grid: Grid
    holds_integers: bool
    """Whether the file holds integers, and the header no scale factor; an offset may be there."""

    scale: float = 1.0
    offset: float = 0.0
    """Of the header: values are what is stored times `scale`, plus `offset`."""


def open_image(path: Path) -> nib.spatialimages.SpatialImage:
    """Open an image without reading its voxels; raise one of `UNREADABLE` where it is damaged."""
    image = nib.load(path)
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise nib.filebasedimages.ImageFileError("it holds no voxels")
    return image


def count_volumes(path: Path) -> int:
    """Return how many volumes a file holds along its fourth axis; one where it has none.

    Raises
    ------
    InvalidInputError
        If it cannot be read.
    """
    require_content(path, path.name)
    shape = _reading(path, lambda: open_image(path)).shape
    return int(math.prod(shape[3:]))


def read_header(path: Path, *, several: bool = False) -> Header:
    """Read where the voxels of an image lie and what they take, and none of them.

    Parameters
    ----------
    path
        The image.
    several
        Whether it may hold several volumes.

    Raises
    ------
    InvalidInputError
        If it cannot be read, is cut short, holds complex numbers or several volumes, or its affine places no voxels.
    """
    require_content(path, path.name)
    return _header(path, _reading(path, lambda: open_image(path)), several=several)


def read_volume(path: Path, most_voxels: int | None = None) -> Volume:
    """Read an image of one volume, and its file to the end, where a compressed one keeps its checksum.

    Parameters
    ----------
    path
        The image.
    most_voxels
        More are refused before they are read; None: the caller knows that they fit into memory.

    Raises
    ------
    InvalidInputError
        If it cannot be read, is damaged, or `read_header` refuses it.
    InputOutputError
        If it does not fit into memory.
    """
    (volume,) = _read(path, most_voxels, several=False)
    return volume


def read_volumes(path: Path) -> tuple[Volume, ...]:
    """Read all volumes of an image; see `read_volume`.

    Raises
    ------
    InvalidInputError
        If it cannot be read, is damaged, or `read_header` refuses it.
    InputOutputError
        If it does not fit into memory.
    """
    return _read(path, None, several=True)


def _read(path: Path, most_voxels: int | None, *, several: bool) -> tuple[Volume, ...]:
    require_content(path, path.name)
    image = _reading(path, lambda: open_image(path))
    header = _header(path, image, several=several)
    if most_voxels is not None:
        require_few_voxels(path.name, header.grid.shape, most_voxels)
    data = _reading(path, lambda: voxels_of(path, image)).reshape(*header.grid.shape, -1)
    return tuple(
        Volume(
            values=data[..., index],
            grid=header.grid,
            holds_integers=image.get_data_dtype().kind in "iu" and getattr(image.dataobj, "slope", 1.0) == 1.0,
            scale=getattr(image.dataobj, "slope", 1.0),
            offset=getattr(image.dataobj, "inter", 0.0),
        )
        for index in range(data.shape[-1])
    )


def require_few_voxels(name: str, shape: Sequence[int], most: int) -> None:
    """Refuse an image beside a run that declares more voxels than such images have, before they are read.

    Raises
    ------
    InvalidInputError
        If it does.
    """
    if math.prod(shape) > most:
        raise InvalidInputError(
            f"{name}: declares {' x '.join(map(str, shape))} voxels; expected at most {most} beside a run. Resample it "
            "to the grid of the run."
        )


def _header(path: Path, image: nib.spatialimages.SpatialImage, *, several: bool = False) -> Header:
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        raise InvalidInputError(
            f"{path.name}: holds numbers of type {dtype}; expected integers or real numbers. "
            "Write complex images as part-real and part-imag."
        )
    shape = tuple(int(length) for length in image.shape)
    if not shape or min(shape) < 1:
        raise InvalidInputError(f"{path.name}: has shape {shape}; expected voxels. Copy or convert it again.")
    n_volumes = math.prod(shape[3:])
    if n_volumes != 1 and not several:
        raise InvalidInputError(
            f"{path.name}: has shape {shape}; expected one volume per file. Split it, and give each volume of an "
            "inversion series its own InversionTime; or write InversionTime as a list, one number per volume."
        )
    n_bytes = math.prod(shape) * dtype.itemsize
    is_placed = not isinstance(image, nib.Nifti1Pair) or _reading(path, lambda: _require_sense(path, image))
    if isinstance(image, nib.Nifti1Image):
        proxy: Any = image.dataobj
        _require_length(path, proxy.offset + n_bytes)
    i, j, k = (*shape, 1, 1, 1)[:3]
    # Volumes of one file are scaled together, in double precision.
    as_read = 8 * math.prod(shape) if several else n_bytes
    return Header(Grid((i, j, k), _affine(path, image)), as_read, n_volumes, is_placed)


def _require_length(path: Path, expected: int) -> None:
    """Refuse a file that cannot hold what its header declares, or that goes on behind it."""
    size = path.stat().st_size
    most = size * MOST_COMPRESSION if path.suffix == ".gz" else size
    if expected > most or (path.suffix != ".gz" and expected < size):
        raise InvalidInputError(
            f"{path.name}: has {size} bytes, and its header declares {expected}; expected a complete file, whose "
            "header has the shape and type of its voxels. Copy or convert it again."
        )


def _require_sense(path: Path, image: nib.Nifti1Pair) -> bool:
    """Refuse numbers of a header that nibabel replaces by others; return whether it says where the head lies.

    A distance of zero becomes 1 mm, and an infinite factor 1: neither is what was measured.
    """
    with image.file_map.get("header", image.file_map["image"]).get_prepare_fileobj() as file:
        stored = type(image.header).from_fileobj(file, check=False)
    placed = int(stored["sform_code"]) > 0
    edges = np.asarray(stored["pixdim"][1:4], np.float64)
    if not placed and not edges.all():
        raise InvalidInputError(
            f"{path.name}: its voxels measure {' x '.join(f'{edge:.4g}' for edge in edges)} (pixdim), and no affine "
            "says otherwise (sform_code 0); expected their size. Correct the header."
        )
    if np.isinf(stored["scl_slope"]):
        raise InvalidInputError(
            f"{path.name}: the factor of its voxels is {stored['scl_slope']} (scl_slope); expected a number. Correct "
            "the header."
        )
    return placed or int(stored["qform_code"]) > 0


def _affine(path: Path, image: nib.spatialimages.SpatialImage) -> np.ndarray:
    """Return the affine in millimetres, whatever the unit of the file."""
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < len(affine):
        raise InvalidInputError(
            f"{path.name}: its affine {affine[:3].tolist()} places no voxels; expected finite, independent axes. "
            "Correct the header."
        )
    unit = int(image.header["xyzt_units"]) if isinstance(image, nib.Nifti1Pair) else 0
    affine = in_millimetres(affine, unit)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = PLAUSIBLE_EDGES
    if edges.min() < low or edges.max() > high:
        raise InvalidInputError(
            f"{path.name}: its voxels measure {' x '.join(f'{edge:.4g}' for edge in edges)} mm, by its affine and "
            f"its unit of length (xyzt_units {unit}); expected {low:g} to {high:g} mm. Correct the header."
        )
    return affine


def voxels_of(path: Path, image: nib.spatialimages.SpatialImage) -> np.ndarray:
    """Read all voxels of an open image; raise one of `UNREADABLE` where it is damaged.

    A compressed NIfTI file is read to its end: what is behind the last voxel proves the others.
    """
    proxy: Any = image.dataobj
    if path.suffix != ".gz" or not isinstance(image, nib.Nifti1Image):
        return np.asanyarray(proxy)
    # The header was read by nibabel from a stream of its own; this one goes to the end.
    with unpacked(path) as stream:
        spec = (proxy.shape, proxy.dtype, proxy.offset, proxy.slope, proxy.inter)
        data = np.asanyarray(nib.arrayproxy.ArrayProxy(stream, spec))
        if stream.read(1):
            raise EOFError("it goes on after its last voxel")
    return data


def _reading(path: Path, take: Callable[[], T]) -> T:
    """Take something from an image file, and say which file it was where that fails."""
    try:
        return take()
    except UNREADABLE as error:
        why = " ".join(str(error).replace(f"{path.parent}/", "").split())  # a folder may be named after somebody
        raise InvalidInputError(
            f"{path.name}: cannot be read as NIfTI ({why}); expected a complete file. Copy it again."
        ) from error
    except MemoryError as error:
        raise InputOutputError(f"{path.name}: does not fit into memory. Give the job more.") from error


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
