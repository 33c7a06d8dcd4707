"""What the DICOM files themselves say an image is: pixels by pydicom, scaling and place of each slice by its header.

The image that dcm2niix made is held against it, since it takes one scaling for all frames of some files, and another
order of slices in others, without an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bids_t1.data.errors import InvalidInputError
from bids_t1.dicom.header import DAMAGE, Header
from bids_t1.dicom.reading.files import open_plain
from bids_t1.dicom.reading.slices import quiet
from bids_t1.dicom.vendors.philips import SCALE_SLOPE
from bids_t1.dicom.writing.placement import placed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from bids_t1.dicom.reading.slices import Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.writing.nifti import Nifti
    from bids_t1.dicom.writing.placement import Placement

    Array = np.ndarray[Any, np.dtype[Any]]
    Scaling = tuple[float, float]
    """Slope and intercept of one slice."""

_TOLERANCE = 1e-3
"""Relative difference of values that is rounding: dcm2niix computes in single precision."""

_TOLERANCE_STORED = 0.1
"""Difference that is rounding, in steps of stored values."""

_MOST_DECODED = 8
"""Slices of compressed images that are compared: pydicom's decoder is slow."""


class Pixels:
    """The slices of one volume as their files hold them."""

    def __init__(self, volume: Volume, *, display: bool = False) -> None:
        """Open the files of a volume.

        Parameters
        ----------
        volume
            Slices of one image.
        display
            Take values as the console of Philips displays them, and not in units of signal.
        """
        self._volume = volume
        self._display = display
        self._datasets: dict[Path, FileDataset] = {}
        with quiet():
            scalings = [self._scalings(source) for source in volume.slices]
        self.scalings: list[list[Scaling]] = [list(of_all) for of_all in zip(*scalings, strict=True)]
        """Readings of the headers, each with the scaling of every slice; the first is what is meant."""

    @property
    def syntax(self) -> str:
        """Return the name of the transfer syntax."""
        return self._dataset(self._volume.first.path).file_meta.TransferSyntaxUID.name

    @property
    def is_compressed(self) -> bool:
        """Tell whether pixels have to be decoded."""
        return bool(self._dataset(self._volume.first.path).file_meta.TransferSyntaxUID.is_encapsulated)

    @property
    def scaling_varies(self) -> bool:
        """Tell whether slices differ in what a stored value stands for."""
        first = self.scalings[0][0]
        return any(not np.allclose(scaling, first, rtol=1e-6) for scaling in self.scalings[0])

    def plane(self, index: int) -> Array | None:
        """Return the stored values of one slice, rows x columns; None where they cannot be decoded."""
        source = self._volume.slices[index]
        try:
            with quiet():
                plane = np.asarray(pixel_array(self._dataset(source.path), index=source.frame or 0))
        except (*DAMAGE, RuntimeError):
            return None
        return plane if plane.shape == source.place.matrix else None

    def _dataset(self, path: Path) -> FileDataset:
        if path not in self._datasets:
            with quiet(), open_plain(path) as file:
                self._datasets[path] = _with_syntax(dcmread(file, force=True))
        return self._datasets[path]

    def _scalings(self, source: Slice) -> tuple[Scaling, Scaling]:
        """Return slope and intercept of a slice, by its rescale attributes and by its real world values."""
        dataset = self._dataset(source.path)
        header = Header(dataset, source.frame)
        rescale = header.number("RescaleSlope") or 1.0, header.number("RescaleIntercept") or 0.0
        (mapping, *_) = [*map(Header, dataset.get("RealWorldValueMappingSequence") or ()), header]
        slope = mapping.number("RealWorldValueSlope")
        mapped = (slope, mapping.number("RealWorldValueIntercept") or 0.0) if slope else rescale
        scale = None if self._display or source.vendor != "Philips" else header.number(SCALE_SLOPE)
        return _of_signal(rescale, scale), _of_signal(mapped, scale)


def _of_signal(rescale: Scaling, scale: float | None) -> Scaling:
    """Return the scaling to units of signal where Philips tells it (doi:10.1016/j.tranon.2014.03.001)."""
    slope, intercept = rescale
    return (1 / scale, intercept / (slope * scale)) if scale else rescale


def _with_syntax(dataset: FileDataset) -> FileDataset:
    """Name the transfer syntax that pydicom found out, where the file does not."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little_endian = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


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


def corrected(
    nifti: Nifti, volume: Volume, *, where: str, display: bool = False, doubts: Sequence[str] = ()
) -> str | None:
    """Compare an image with the files it was made of, and take the values from there where they differ.

    Parameters
    ----------
    nifti
        Image of dcm2niix, whose values are replaced where they are wrong.
    volume
        The slices that it was made of.
    where
        What to call the image in an error.
    display
        Values are meant as the console of Philips displays them.
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
    placement = placed(nifti.affine, nifti.volume_shape, volume, where=where)
    pixels = Pixels(volume, display=display)
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
        _close(slope * placement.plane(stored, index).astype(float) + intercept, plane, scalings[index])
        for index, plane in planes.items()
    )


def _close(found: Array, plane: Array, scaling: Scaling) -> bool:
    slope, intercept = scaling
    expected = slope * plane.astype(float) + intercept
    tolerance = _TOLERANCE * np.abs(expected) + _TOLERANCE_STORED * abs(slope)
    return bool(np.all(np.abs(found - expected) <= tolerance))


def _replace(nifti: Nifti, placement: Placement, pixels: Pixels, where: str) -> None:
    """Write the values of all slices into an image: as stored where one scaling holds, else as they are meant."""
    image = np.zeros(nifti.volume_shape, np.float32)
    scalings = pixels.scalings[0]
    for index, scaling in enumerate(scalings):
        plane = pixels.plane(index)
        if plane is None:
            raise InvalidInputError(
                f"{where}: slice {index + 1} cannot be decoded (transfer syntax {pixels.syntax}), and dcm2niix gives "
                "others values than they have. Decompress the files, such as with dcmdjpeg or gdcmconv."
            )
        slope, intercept = scaling if pixels.scaling_varies else (1.0, 0.0)
        placement.plane(image, index)[...] = slope * plane.astype(float) + intercept
    nifti.replace(image, (1.0, 0.0) if pixels.scaling_varies else scalings[0])
