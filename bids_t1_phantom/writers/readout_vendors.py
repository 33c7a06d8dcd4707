"""What each vendor writes into its DICOM files of MP2RAGE and MP3RAGE, each habit with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bids_t1_phantom.writers.siemens_protocol import protocol_text, series_header
from bids_t1_phantom.writers.vendors import GE, LARGEST_DOUBLE, LETTERS, Philips, Siemens, Stored, Vendor, integers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pydicom import Dataset

    from bids_t1_phantom.sequences.mp2rage import ReadoutScan, ReadoutSequence
    from bids_t1_phantom.writers.vendors import Frame

_BRIGHTEST = 4000.0
"""Stored value of the brightest voxel of a vendor that scales all images alike."""


class SiemensReadouts(Siemens):
    """Siemens: magnitude and phase of each readout, UNI, UNI-DEN and a T1 map, all series of their own."""

    parts: ClassVar[dict[str, tuple[str, ...]]] = {"readouts": ("mag", "phase"), "derived": ("uni", "denoised", "t1")}
    names: ClassVar[dict[str, str]] = {
        "mag": "INV{}", "phase": "INV{}_PHS", "uni": "UNI_Images", "denoised": "UNI-DEN", "t1": "T1_Images",
    }  # fmt: skip
    _COMMENTS: ClassVar[dict[str, str]] = {"uni": "Uniform Image", "t1": "T1 Map"}

    def __init__(self, sequence: ReadoutSequence) -> None:
        self._protocol_name = sequence.protocol_name
        self._series_header = series_header(protocol_text(sequence))

    def describe(self, part: str, readout: int) -> str:
        """Return the name of a series: rordenlab/dcm2niix#675, bids-standard/bids-specification#1890."""
        return f"{self._protocol_name}_{self.names[part].format(readout + 1)}"

    def store(self, values: NDArray[np.float32], part: str) -> Stored:
        """12 bits; UNI of -1/2..1/2 is 0..4095, T1 is in ms."""
        if part in {"uni", "denoised"}:
            return Stored(pixels=integers(4095 * (values + 0.5), 0, 4095), bits=12)
        if part == "t1":
            return Stored(pixels=integers(1000 * values, 0, 4095), bits=12)
        return super().store(values, part)

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Image type, sequence name and protocol.

        Source: rordenlab/dcm2niix#536 (image types of readouts), #675 (sequence, comments).
        """
        dataset.ImageType = self._image_type(frame)
        dataset.ScanningSequence = ["GR", "IR"]
        dataset.SequenceVariant = ["SK", "SP", "MP"]
        dataset.ScanOptions = "IR"
        dataset.SequenceName = "*tfl3d1_ns"
        dataset.ImageComments = self._COMMENTS.get(frame.part, "phantom")
        if frame.stored.slope is not None:
            dataset.RescaleType = "US"
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x20, "OB", self._series_header)

    @staticmethod
    def _image_type(frame: Frame) -> list[str]:
        if frame.part == "t1":
            return ["DERIVED", "PRIMARY", "T1 MAP", "ND"]
        if frame.part in {"uni", "denoised"}:
            return ["DERIVED", "PRIMARY", "M", "ND", "UNI"]
        return ["ORIGINAL", "PRIMARY", LETTERS[frame.part], "ND"]


class PhilipsReadouts(Philips):
    """Philips: real and imaginary images of each readout in one series, and nothing derived."""

    parts: ClassVar[dict[str, tuple[str, ...]]] = {"readouts": ("real", "imag"), "derived": ()}

    def __init__(self, sequence: ReadoutSequence) -> None:
        self._name = sequence.name

    def describe(self, part: str, readout: int) -> str:  # noqa: ARG002 -- all parts share a series
        """Return the name of a series."""
        return f"WIP_{self._name}_TI{readout + 1}"

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Image type such as R_FFE, the private scale, and inversion times that are none.

        Source of the value that is no time, in classic files: rordenlab/dcm2niix#385.
        """
        super().stamp(dataset, frame)
        letter = LETTERS[frame.part]
        dataset.ImageType = ["ORIGINAL", "PRIMARY", f"{letter}_FFE", letter, "FFE"]
        dataset.ScanningSequence = "GR"
        dataset.SequenceVariant = "MP"
        dataset.InversionTimes = [0.0, LARGEST_DOUBLE]
        dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)[0x20].value = "T1TFE"


class GEReadouts(GE):
    """GE: magnitudes of each readout; no public header of this vendor's MP2RAGE was found."""

    parts: ClassVar[dict[str, tuple[str, ...]]] = {"readouts": ("mag",), "derived": ()}

    def __init__(self, sequence: ReadoutSequence) -> None:
        self._name = sequence.name

    def describe(self, part: str, readout: int) -> str:  # noqa: ARG002 -- there are magnitudes only
        """Return the name of a series."""
        return f"3D_{self._name}_INV{readout + 1}"

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Names of the 3D fast gradient echo."""
        super().stamp(dataset, frame)
        dataset.ScanningSequence = ["GR", "IR"]
        acquisition = dataset.private_block(0x0019, "GEMS_ACQU_01", create=True)
        acquisition[0x9C].value = "efgre3d"
        acquisition[0x9E].value = "EFGRE3D"


ReadoutVendor = SiemensReadouts | PhilipsReadouts | GEReadouts

_MAKERS: dict[str, Callable[[ReadoutSequence], ReadoutVendor]] = {
    "siemens": SiemensReadouts,
    "philips": PhilipsReadouts,
    "ge": GEReadouts,
}


def readout_vendor(name: str, sequence: ReadoutSequence) -> ReadoutVendor:
    """Return the habits of a vendor for one sequence."""
    return _MAKERS[name](sequence)


def repetition_time(vendor: Vendor, sequence: ReadoutSequence, readout: int) -> float:
    """Return what (0018,0080) holds [s]: the cycle of Siemens, the excitation time of the others.

    Source: rordenlab/dcm2niix pull request 1031 for Siemens; others do with it as in their MPRAGE.
    """
    protocol = sequence.protocol
    return protocol.cycle_time if isinstance(vendor, Siemens) else protocol.spacings[readout]


def _volumes(scan: ReadoutScan, part: str) -> NDArray[np.floating]:
    match part:
        case "uni":
            return scan.uni()[None]
        case "denoised":
            return scan.denoised_uni()[None]
        case "t1":
            return scan.vendor_t1()[None]
    return scan.part(part)


def stored_part(scan: ReadoutScan, vendor: ReadoutVendor, part: str) -> list[Stored]:
    """Store one part: a volume for each readout, or one of a derived image."""
    volumes = _volumes(scan, part)
    # Integers without a scale of their own: all readouts alike, or their ratio would be lost.
    if part in {"mag", "real", "imag"} and not isinstance(vendor, Philips):
        volumes = volumes * (_BRIGHTEST / float(np.abs(scan.images).max()))
    return [vendor.store(volume.astype(np.float32), part) for volume in volumes]
