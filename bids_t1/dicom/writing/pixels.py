"""What the DICOM files themselves say an image is: pixels by pydicom, scaling and place of each slice by its header.

The image that dcm2niix made is held against it, since it takes one scaling for all frames of some files, and another
order of slices in others, without an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.pixels.utils import pixel_array

from bids_t1.data.errors import InvalidInputError
from bids_t1.dicom.header import DAMAGE
from bids_t1.dicom.reading.slices import quiet
from bids_t1.dicom.writing.placement import placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.uid import UID

    from bids_t1.dicom.reading.slices import Scaling, Scalings
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.writing.extract import Copied
    from bids_t1.dicom.writing.nifti import Nifti
    from bids_t1.dicom.writing.placement import Placement

    Array = np.ndarray[Any, np.dtype[Any]]

_TOLERANCE = 1e-3
"""Relative difference of values that is rounding: dcm2niix computes in single precision."""

_TOLERANCE_STORED = 0.1
"""Difference that is rounding, in steps of stored values."""

_MOST_DECODED = 8
"""Slices of compressed images that are compared: pydicom's decoder is slow."""


class Pixels:
    """The slices of one volume as their files hold them."""

    def __init__(self, volume: Volume, copies: Sequence[Copied], *, display: bool = False) -> None:
        """Take what was read of the files of a volume.

        Parameters
        ----------
        volume
            Slices of one image.
        copies
            Of each slice, with its pixels.
        display
            Take values as the console of Philips displays them, and not in units of signal.
        """
        self.volume = volume
        self._copies = copies
        scalings = [_readings(source.values.scalings, display=display) for source in volume.slices]
        self.scalings: list[list[Scaling]] = [list(of_all) for of_all in zip(*scalings, strict=True)]
        """Readings of the headers, each with the scaling of every slice; the first is what is meant."""

    @property
    def syntax(self) -> str:
        """Return the name of the transfer syntax."""
        return self._syntax.name

    @property
    def is_compressed(self) -> bool:
        """Tell whether pixels have to be decoded."""
        return bool(self._syntax.is_encapsulated)

    @property
    def _syntax(self) -> UID:
        syntax: UID = self._copies[0].dataset.file_meta.TransferSyntaxUID
        return syntax

    @property
    def scaling_varies(self) -> bool:
        """Tell whether slices differ in what a stored value stands for."""
        first = self.scalings[0][0]
        return any(not np.allclose(scaling, first, rtol=1e-6) for scaling in self.scalings[0])

    def plane(self, index: int) -> Array | None:
        """Return the stored values of one slice, rows x columns; None where they cannot be decoded."""
        copied = self._copies[index]
        try:
            with quiet():
                plane = np.asarray(pixel_array(copied.dataset, index=copied.frame))
        except (*DAMAGE, RuntimeError):
            return None
        return plane if plane.shape == self.volume.slices[index].place.matrix else None


def _readings(scalings: Scalings, *, display: bool) -> tuple[Scaling, Scaling]:
    """Return slope and intercept of a slice, by its rescale attributes and by its real world values."""
    signal = None if display else scalings.signal
    return _of_signal(scalings.rescale, signal), _of_signal(scalings.mapped, signal)


def _of_signal(rescale: Scaling, scale: float | None) -> Scaling:
    """Return the scaling to units of signal where Philips tells it (doi:10.1016/j.tranon.2014.03.001)."""
    slope, intercept = rescale
    return (1 / scale, intercept / (slope * scale)) if scale else rescale


def _require_no_need(pixels: Pixels, doubts: Sequence[str], where: str) -> None:
    """Refuse an image whose pixels cannot be decoded here where they are needed to apply or to compare something."""
    if pixels.scaling_varies:
        raise InvalidInputError(
            f"{where}: slices differ in their rescale slope, and their transfer syntax ({pixels.syntax}) cannot be "
            "decoded here to apply it; expected one slope. Decompress the files, such as with dcmdjpeg or gdcmconv."
        )
    if doubts:
        raise InvalidInputError(
            f"{where}: dcm2niix warns ({'; '.join(doubts)}), and the transfer syntax ({pixels.syntax}) cannot be "
            "decoded here to compare. Decompress the files, such as with dcmdjpeg or gdcmconv."
        )


def corrected(nifti: Nifti, pixels: Pixels, *, where: str, doubts: Sequence[str] = ()) -> str | None:
    """Compare an image with the files it was made of, and take the values from there where they differ.

    Parameters
    ----------
    nifti
        Image of dcm2niix, whose values are replaced where they are wrong.
    pixels
        The slices that it was made of.
    where
        What to call the image in an error.
    doubts
        What dcm2niix said against its image: it counts where pixels cannot be decoded here.

    Returns
    -------
    str or None
        What was wrong, in words; None where nothing was.

    Raises
    ------
    InvalidInputError
        If slices do not lie where the image says, or cannot be decoded where their scaling varies or dcm2niix warns.
    """
    volume = pixels.volume
    placement = placed(nifti.affine, nifti.volume_shape, volume, where=where)
    shown = range(len(volume.slices))
    if pixels.is_compressed:
        shown = range(0, len(volume.slices), -(-len(volume.slices) // _MOST_DECODED))
    with quiet():
        planes = {index: plane for index in shown if (plane := pixels.plane(index)) is not None}
    if len(planes) < len(shown):
        _require_no_need(pixels, doubts, where)
        return None
    if any(_agrees(nifti, placement, planes, scalings) for scalings in pixels.scalings):
        return None
    if pixels.scaling_varies and volume.first.values.zero_level is not None:
        raise InvalidInputError(
            f"{where}: slices differ in their rescale slope, and stored values have their zero in the middle of the "
            "range; expected one slope for such an image. Report this with the scanner's model and software version."
        )
    _replace(nifti, placement, pixels, where)
    if pixels.scaling_varies:
        return "slices differ in their rescale slope, and each has its own: values are of pydicom, not of dcm2niix"
    return "dcm2niix gives other values, or another order of slices, than the DICOM files: values are of pydicom"


def _agrees(nifti: Nifti, placement: Placement, planes: dict[int, Array], scalings: list[Scaling]) -> bool:
    """Tell whether the image has the values of some slices."""
    slope, intercept = nifti.scaling
    stored = nifti.stored()
    return all(
        _close((placement.plane(stored, index), (slope, intercept)), plane, scalings[index])
        for index, plane in planes.items()
    )


def _close(found: tuple[Array, Scaling], plane: Array, scaling: Scaling) -> bool:
    """Tell whether two planes of stored values stand for the same; each comes with its slope and intercept."""
    stored, own = found
    if plane.size and np.array_equal(stored, plane):
        # Differences of equal values are linear in these, and the tolerance bends at zero alone.
        stored = plane = _turning(plane, scaling)
    slope, intercept = scaling
    expected = slope * plane.astype(float) + intercept
    found_values = own[0] * stored.astype(float) + own[1]
    tolerance = _TOLERANCE * np.abs(expected) + _TOLERANCE_STORED * abs(slope)
    return bool(np.all(np.abs(found_values - expected) <= tolerance))


def _turning(plane: Array, scaling: Scaling) -> Array:
    """Return the least and the largest stored value, and what stands for zero if it lies between."""
    low, high = float(plane.min()), float(plane.max())
    zero = -scaling[1] / scaling[0] if scaling[0] else low
    return np.array([low, high, min(max(zero, low), high)])


def _replace(nifti: Nifti, placement: Placement, pixels: Pixels, where: str) -> None:
    """Write the values of all slices into an image: as stored where one scaling holds, else as they are meant."""
    image = np.zeros(nifti.volume_shape, np.float32)
    scalings = pixels.scalings[0]
    for index, scaling in enumerate(scalings):
        plane = pixels.plane(index)
        if plane is None:
            raise InvalidInputError(
                f"{where}: slice {index + 1} cannot be decoded (transfer syntax {pixels.syntax}), and dcm2niix gives "
                "other values than it has. Decompress the files, such as with dcmdjpeg or gdcmconv."
            )
        slope, intercept = scaling if pixels.scaling_varies else (1.0, 0.0)
        placement.plane(image, index)[...] = slope * plane.astype(float) + intercept
    nifti.replace(image, (1.0, 0.0) if pixels.scaling_varies else scalings[0])
