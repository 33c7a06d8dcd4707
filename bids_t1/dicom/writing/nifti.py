"""The NIfTI-1 image that dcm2niix leaves: checked, corrected in its header, and stripped of free text."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_t1.data.errors import InputOutputError
from bids_t1.packing import pack

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, np.dtype[Any]]

_DIM, _DATATYPE, _OFFSET, _SLOPE, _HEADER = 40, 70, 108, 112, 348
"""Offsets of dim[8], data type, vox_offset and scl_slope with scl_inter; size of the header [byte]."""

_FREE_TEXT = ((148, 80), (228, 24))
"""Offset and length of descrip and aux_file, where dcm2niix writes the time of day and the image comments."""

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
"""Kinds of numbers of NIfTI data types."""

_FLOAT, _FLOAT_BITS = 16, 32
"""Code and bits of single precision."""

_SFORM = 280
"""Offset of the rows of the affine."""


class Nifti:
    """An uncompressed NIfTI-1 image in memory: value = slope x stored + intercept."""

    def __init__(self, path: Path) -> None:
        """Read an image.

        Raises
        ------
        InputOutputError
            If the file is no NIfTI-1 image.
        """
        self._content = bytearray(path.read_bytes())
        orders = [
            order
            for order in "<>"
            if len(self._content) >= _HEADER and struct.unpack_from(f"{order}i", self._content)[0] == _HEADER
        ]
        if not orders:
            raise InputOutputError(f"{path.name}: no NIfTI-1 header; expected an image of dcm2niix.")
        self._order = orders[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the number of voxels along each axis."""
        n_axes, *lengths = self._unpack("8h", _DIM)
        return tuple(int(length) for length in lengths[: int(n_axes)])

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Return the number of voxels along the three axes of space, of an image that is one volume."""
        x, y, z, *_ = (*self.shape, 1, 1, 1)
        return x, y, z

    @property
    def scaling(self) -> tuple[float, float]:
        """Return slope and intercept; a slope of zero means none (NIfTI-1)."""
        slope, intercept = self._unpack("2f", _SLOPE)
        return (slope, intercept) if slope else (1.0, 0.0)

    @property
    def affine(self) -> Array:
        """Return the affine from voxels to mm, 4 x 4, RAS."""
        return np.array([*np.reshape(self._unpack("12f", _SFORM), (3, 4)), (0, 0, 0, 1)])

    def stored(self) -> Array:
        """Return the values as they are stored.

        Raises
        ------
        InputOutputError
            If they are of no plain kind, or not all there.
        """
        kind = _TYPES.get(int(self._unpack("h", _DATATYPE)[0]))
        shape, offset = self.volume_shape, int(self._unpack("f", _OFFSET)[0])
        try:
            values = np.frombuffer(self._content, f"{self._order}{kind}", math.prod(shape), offset)
        except (TypeError, ValueError) as error:
            raise InputOutputError("dcm2niix made an image of complex or colour values, or a cut one.") from error
        return values.reshape(shape, order="F")

    def largest(self) -> float:
        """Return the largest absolute value."""
        slope, intercept = self.scaling
        stored = self.stored()
        return max(abs(slope * float(extreme) + intercept) for extreme in (stored.min(), stored.max()))

    def replace(self, values: Array, scaling: tuple[float, float]) -> None:
        """Put other stored values in the place of those there, and say what they stand for."""
        offset = int(self._unpack("f", _OFFSET)[0])
        struct.pack_into(f"{self._order}2h", self._content, _DATATYPE, _FLOAT, _FLOAT_BITS)
        self._content[offset:] = values.astype(f"{self._order}f4").tobytes(order="F")
        self._pack_scaling(*scaling)

    def shift_stored(self, zero: float) -> None:
        """Let a stored value stand for zero, by the header alone."""
        slope, intercept = self.scaling
        self._pack_scaling(slope, intercept - zero * slope)

    def multiply(self, factor: float) -> None:
        """Multiply all values, by the header alone."""
        slope, intercept = self.scaling
        self._pack_scaling(slope * factor, intercept * factor)

    def save(self, path: Path) -> None:
        """Write the image gzipped, without free text; the same image gives the same bytes."""
        for offset, length in _FREE_TEXT:
            self._content[offset : offset + length] = bytes(length)
        path.write_bytes(pack(self._content))

    def _unpack(self, code: str, offset: int) -> tuple[float, ...]:
        return struct.unpack_from(self._order + code, self._content, offset)

    def _pack_scaling(self, slope: float, intercept: float) -> None:
        struct.pack_into(f"{self._order}2f", self._content, _SLOPE, slope, intercept)
