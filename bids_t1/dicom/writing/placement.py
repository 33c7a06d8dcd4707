"""Where the slices of DICOM headers lie in an image, by its affine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from bids_t1.dicom.reading.slices import Slice
    from bids_t1.dicom.reading.volumes import Volume

    Array = np.ndarray[Any, np.dtype[Any]]

_FARTHEST = 0.25
"""Largest distance between where a header and an image put a pixel [voxel]."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Axes of an image along rows, columns and slices of its DICOM files."""

    axes: tuple[int, int, int]
    """Axis of the image along which rows are counted, then columns, then slices."""

    reversed: tuple[bool, bool]
    """Whether rows, and columns, are counted the other way."""

    layers: tuple[int, ...]
    """Place of each slice along its axis."""

    def plane(self, image: Array, index: int) -> Array:
        """Return the view of an image that is one slice of the volume, rows x columns."""
        rows, columns = (slice(None, None, -1) if turned else slice(None) for turned in self.reversed)
        view: Array = np.moveaxis(image, self.axes, (0, 1, 2))[rows, columns, self.layers[index]]
        return view


def placed(affine: Array, shape: tuple[int, int, int], volume: Volume, *, where: str) -> Placement:
    """Find the slices of a volume in an image of them.

    Parameters
    ----------
    affine
        4 x 4, from voxels to mm, RAS.
    shape
        Number of voxels along each axis.
    volume
        Slices of which the image was made.
    where
        What to call the image in an error.

    Raises
    ------
    InvalidInputError
        If a pixel lies elsewhere than the image says.
    """
    if not abs(np.linalg.det(affine)) > 0:
        raise _misplaced(where)
    corners = np.array([_corners(plane) @ np.linalg.inv(affine).T for plane in volume.slices])[..., :3]
    nearest = np.rint(corners)
    if np.abs(corners - nearest).max() > _FARTHEST or len(np.unique(nearest[:, 0], axis=0)) < len(corners):
        raise _misplaced(where)
    rows, columns = nearest[0, 1] - nearest[0, 0], nearest[0, 2] - nearest[0, 0]
    axes = int(np.abs(rows).argmax()), int(np.abs(columns).argmax())
    if axes[0] == axes[1]:
        raise _misplaced(where)
    found = Placement(
        axes=(*axes, 3 - sum(axes)),
        reversed=(rows[axes[0]] < 0, columns[axes[1]] < 0),
        layers=tuple(int(layer) for layer in nearest[:, 0, 3 - sum(axes)]),
    )
    inside = min(found.layers) >= 0 and max(found.layers) < shape[found.axes[2]]
    if not inside or not np.array_equal(nearest, _expected(found, shape, volume)):
        raise _misplaced(where)
    return found


def _corners(plane: Slice) -> Array:
    """Return the places of the first pixel, the last of the first column, the last of the first row [mm, RAS, 1]."""
    n_rows, n_columns = plane.place.matrix
    along_row, along_column = np.array(plane.place.orientation).reshape(2, 3)
    down = along_column * plane.place.spacing[0] * (n_rows - 1)
    right = along_row * plane.place.spacing[1] * (n_columns - 1)
    places = np.array(plane.place.position) + np.array([np.zeros(3), down, right])
    return np.column_stack([places * (-1, -1, 1), np.ones(3)])


def _expected(found: Placement, shape: tuple[int, int, int], volume: Volume) -> Array:
    """Return the indices of the same three pixels of each slice, by what was found."""
    corners = np.zeros((len(volume.slices), 3, 3))
    last = np.array(shape) - 1
    for axis, turned, far in zip(found.axes, found.reversed, (1, 2), strict=False):
        corners[:, :, axis] = last[axis] if turned else 0
        corners[:, far, axis] = 0 if turned else last[axis]
    corners[:, :, found.axes[2]] = np.array(found.layers)[:, None]
    return corners


def require_equal_distances(volume: Volume, *, where: str) -> None:
    """Refuse slices that no image of NIfTI can hold.

    Raises
    ------
    InvalidInputError
        If the distance between slices varies.
    """
    places = np.array([plane.place.position for plane in volume.slices])
    steps = [float(step) for step in np.linalg.norm(np.diff(places, axis=0), axis=1)]
    if steps and max(steps) > (1 + _FARTHEST) * min(steps):
        raise InvalidInputError(
            f"{where}: the distance between slices varies from {min(steps):.4g} to {max(steps):.4g} mm; expected equal "
            "distances, as an image of NIfTI has. A slice may be missing: copy the files again."
        )


def _misplaced(where: str) -> InvalidInputError:
    return InvalidInputError(
        f"{where}: dcm2niix puts slices elsewhere than their headers (ImagePositionPatient, ImageOrientationPatient, "
        "PixelSpacing). Report this with the scanner's model and software version."
    )
