"""Siemens' DICOM files of two measurements of the transmit field, each habit with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bids_t1_phantom.sequences.field_protocols import MAGNETIC_FIELD_STRENGTH
from bids_t1_phantom.writers.dicom_series import Series, series_number, slices, to_rows
from bids_t1_phantom.writers.headers import SeriesName, position
from bids_t1_phantom.writers.siemens_protocol import as_text, series_header
from bids_t1_phantom.writers.vendors import Frame, Siemens, Stored

if TYPE_CHECKING:
    from pydicom import Dataset

    from bids_t1_phantom.sequences.transmit_field import FieldScan
    from bids_t1_phantom.writers.vendors import Vendor

_BRIGHTEST = 4000.0
"""Stored value of the brightest voxel of an ordinary image."""


class SiemensTurboFlash(Siemens):
    """tfl_b1map as of software VB: an ordinary image, and ten times the angle of the saturation pulse in degrees.

    FlipAngle is that of the saturation pulse in VB only; later versions write that of the excitation, and the other
    one nowhere: github.com/spinal-cord-7t/coil-qc-code/issues/18.
    """

    software: ClassVar[str | list[str]] = "syngo MR B17"

    _IMAGE_TYPES: ClassVar[dict[str, str]] = {"mag": "M", "angle": "FLIP ANGLE MAP"}
    _COMMENTS: ClassVar[dict[str, str]] = {"mag": "anatomical image", "angle": "flip angle map"}

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Write image type, sequence and comment.

        Source: hMRI-group/hMRI-toolbox, hmri_run_b1map.m, for the comments; shimming-toolbox/shimming-toolbox pull
        request 227 for the sequence name. The image type is an assumption: no public header was found.
        """
        dataset.ImageType = ["ORIGINAL", "PRIMARY", self._IMAGE_TYPES[frame.part], "ND"]
        dataset.ScanningSequence = "GR"
        dataset.SequenceVariant = ["SP", "MP"]
        dataset.SequenceName = "*tfl2d1_16"
        dataset.ImageComments = self._COMMENTS[frame.part]
        protocol = as_text({"tSequenceFileName": '""%SiemensSeq%\\tfl_b1map""', "tProtocolName": '""B1map""'})
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x20, "OB", series_header(protocol))


class SiemensActualFlipAngle(Siemens):
    """AFI: both images in one series, told apart by the number of the echo.

    Both have the first repetition time; the protocol has both: rordenlab/dcm2niix#918.
    """

    def __init__(self, times: tuple[float, ...]) -> None:
        text = {f"alTR[{index}]": round(time * 1e6) for index, time in enumerate(times)}
        self._series_header = series_header(as_text(text))

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Write image type, sequence and protocol."""
        super().stamp(dataset, frame)
        dataset.ScanningSequence = "GR"
        dataset.SequenceVariant = "SP"
        dataset.SequenceName = "*fl3d1"
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x20, "OB", self._series_header)


def plan_field(scan: FieldScan, rank: int) -> list[Series]:
    """Sort the images of turbo-FLASH into two series, those of actual flip-angle imaging into one.

    Parameters
    ----------
    scan : FieldScan
        What to write.
    rank : int
        Number of series before these.
    """
    magnitudes = scan.part("mag") * np.float32(_BRIGHTEST / float(np.abs(scan.images).max()))
    if scan.protocol.suffix == "TB1TFL":
        vendor: Vendor = SiemensTurboFlash()
        angles = Stored(pixels=scan.saturation_angles().astype(np.int64), bits=12)
        images = [("mag", vendor.store(magnitudes[0], "mag")), ("angle", angles)]
        groups = [[_first_frame(scan, stored, part, index)] for index, (part, stored) in enumerate(images)]
        name = "tfl_b1map"
    else:
        vendor = SiemensActualFlipAngle(tuple(_number(scan, index, "RepetitionTimeExcitation") for index in range(2)))
        stored = [vendor.store(values, "mag") for values in magnitudes]
        groups = [[_first_frame(scan, values, "mag", index) for index, values in enumerate(stored)]]
        name = "AFI_B1"
    plans = []
    for index, group in enumerate(groups, start=rank):
        frames = [frame for first in group for frame in slices(first, scan.grid)]
        series = SeriesName(number=series_number(vendor, index), description=name, protocol=name)
        plans.append(Series(name=series, vendor=vendor, frames=tuple(frames), grid=scan.grid))
    return plans


def _number(scan: FieldScan, index: int, key: str) -> float:
    value = scan.protocol.images[index].metadata[key]
    return value if isinstance(value, float) else float("nan")


def _first_frame(scan: FieldScan, stored: Stored, part: str, index: int) -> Frame:
    """Return the lowest slice of one image."""
    is_pair = scan.protocol.suffix == "TB1AFI"
    return Frame(
        pixels=to_rows(stored.pixels[:, :, 0]),
        stored=stored,
        part=part,
        measurement=1,
        slice_number=1,
        n_slices=scan.grid.shape[2],
        inversion_time=None,
        repetition_time=_number(scan, 0, "RepetitionTimeExcitation" if is_pair else "RepetitionTime"),
        echo_time=_number(scan, 0, "EchoTime"),
        position=position(scan.grid, 0),
        flip_angle=_number(scan, index, "FlipAngle"),
        magnetic_field_strength=MAGNETIC_FIELD_STRENGTH,
        acquisition_type="3D" if is_pair else "2D",
        echo_number=index + 1 if is_pair else 1,
    )
