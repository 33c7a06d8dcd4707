"""Where slices lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import Slice

_N_COSINES = 6
_N_COORDINATES = 3
_N_SPACINGS = 2


def close(a: Sequence[float], b: Sequence[float], tolerance: float) -> bool:
    """Tell whether two vectors agree element by element."""
    return len(a) == len(b) and all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


def has_place(plane: Slice) -> bool:
    """Tell whether the header says where a slice lies, and how far its pixels are apart."""
    lengths = len(plane.place.orientation), len(plane.place.position), len(plane.place.spacing)
    return lengths == (_N_COSINES, _N_COORDINATES, _N_SPACINGS) and min(plane.place.spacing) > 0


def along_normal(plane: Slice) -> float:
    """Return a slice's place along its normal [mm]."""
    rx, ry, rz, cx, cy, cz = plane.place.orientation
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    return sum(a * b for a, b in zip(normal, plane.place.position, strict=True))
