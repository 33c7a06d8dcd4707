"""The NIfTI-1 image that dcm2niix leaves: checked, corrected in its header, and stripped of free text."""

from __future__ import annotations

import gzip
import math
import struct
import sys
from array import array
from typing import TYPE_CHECKING

from bids_t1.data.errors import InputOutputError

if TYPE_CHECKING:
    from pathlib import Path

_DIM, _DATATYPE, _OFFSET, _SLOPE, _HEADER = 40, 70, 108, 112, 348
"""Offsets of dim[8], data type, vox_offset and scl_slope with scl_inter; size of the header [byte]."""

_FREE_TEXT = ((148, 80), (228, 24))
"""Offset and length of descrip and aux_file, where dcm2niix writes the time of day and the image comments."""

_TYPES = {2: "B", 4: "h", 8: "i", 16: "f", 512: "H"}
"""Array type codes of NIfTI data types."""


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
    def scaling(self) -> tuple[float, float]:
        """Return slope and intercept; a slope of zero means none (NIfTI-1)."""
        slope, intercept = self._unpack("2f", _SLOPE)
        return (slope, intercept) if slope else (1.0, 0.0)

    def largest(self) -> float:
        """Return the largest absolute value; infinite where the data type is not a plain one."""
        code = _TYPES.get(int(self._unpack("h", _DATATYPE)[0]))
        if code is None:
            return math.inf
        stored = array(code, bytes(self._content[int(self._unpack("f", _OFFSET)[0]) :]))
        if self._order != {"little": "<", "big": ">"}[sys.byteorder]:
            stored.byteswap()
        slope, intercept = self.scaling
        return max(abs(slope * extreme + intercept) for extreme in (min(stored), max(stored)))

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
        path.write_bytes(gzip.compress(self._content, compresslevel=6, mtime=0))

    def _unpack(self, code: str, offset: int) -> tuple[float, ...]:
        return struct.unpack_from(self._order + code, self._content, offset)

    def _pack_scaling(self, slope: float, intercept: float) -> None:
        struct.pack_into(f"{self._order}2f", self._content, _SLOPE, slope, intercept)
