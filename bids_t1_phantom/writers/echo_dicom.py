"""What each vendor writes into its DICOM files of a multi-echo gradient echo, each habit with its source.

All echoes of an excitation share a series and differ in EchoTime (0018,0081) and EchoNumbers (0018,0086), as DICOM
defines them; sorting them out is what dcm2niix's suffix ``_e`` is for (its README, "File naming").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bids_t1_phantom.writers.dicom_series import Series, series_number, slices, to_rows
from bids_t1_phantom.writers.headers import SeriesName, position
from bids_t1_phantom.writers.vendors import GE, LETTERS, Frame, Philips, Siemens, Stored, Vendor

if TYPE_CHECKING:
    from pydicom import Dataset

    from bids_t1_phantom.sequences.multi_echo_gre import EchoScan
    from bids_t1_phantom.writers.dicom_series import DicomOptions

_NAME = "gre_me_T2star"

_BRIGHTEST = 4000.0
"""Stored value of the brightest voxel of a vendor that scales all images alike."""


class SiemensEchoes(Siemens):
    """Siemens: magnitude and phase are series of their own."""

    parts: ClassVar[dict[str, tuple[str, ...]]] = {
        "mag": ("mag",), "polar": ("mag", "phase"), "complex": ("mag", "phase"),
    }  # fmt: skip

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Write the image type, and the name of the product sequence for 3D FLASH."""
        super().stamp(dataset, frame)
        dataset.ScanningSequence = "GR"
        dataset.SequenceVariant = "SP"
        dataset.SequenceName = "*fl3d1"


class PhilipsEchoes(Philips):
    """Philips: all parts in one series."""

    parts: ClassVar[dict[str, tuple[str, ...]]] = {
        "mag": ("mag",), "polar": ("mag", "phase"), "complex": ("real", "imag"),
    }  # fmt: skip

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Image type such as M_FFE, and the private scale."""
        super().stamp(dataset, frame)
        letter = LETTERS[frame.part]
        dataset.ImageType = ["ORIGINAL", "PRIMARY", f"{letter}_FFE", letter, "FFE"]
        dataset.ScanningSequence = "GR"
        dataset.SequenceVariant = "SP"
        dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)[0x20].value = "T1FFE"


class GEEchoes(GE):
    """GE: all parts in one series, told apart by a private number."""

    parts: ClassVar[dict[str, tuple[str, ...]]] = {
        "mag": ("mag",), "polar": ("mag", "phase"), "complex": ("mag", "phase", "real", "imag"),
    }  # fmt: skip

    def stamp(self, dataset: Dataset, frame: Frame) -> None:
        """Names of the 3D fast gradient echo."""
        super().stamp(dataset, frame)
        dataset.ScanningSequence = "GR"
        acquisition = dataset.private_block(0x0019, "GEMS_ACQU_01", create=True)
        acquisition[0x9C].value = "efgre3d"
        acquisition[0x9E].value = "EFGRE3D"


_VENDORS: dict[str, Vendor] = {"siemens": SiemensEchoes(), "philips": PhilipsEchoes(), "ge": GEEchoes()}


def plan_echoes(scan: EchoScan, options: DicomOptions, rank: int) -> list[Series]:
    """Sort frames into series: by part where the vendor does, by echo where it is asked for.

    Parameters
    ----------
    scan : EchoScan
        What to write.
    options : DicomOptions
        Vendor, parts, and how many series.
    rank : int
        Number of series before these.
    """
    vendor = _VENDORS[options.vendor]
    parts = vendor.parts[options.echo_part]
    stored = {part: _stored(scan, vendor, part) for part in parts}
    n_echoes = len(scan.protocol.echo_times)
    kept = [[echo] for echo in range(n_echoes)] if options.echo_series == "each" else [list(range(n_echoes))]
    shares = [parts] if vendor.parts_share_series or options.one_series else [(part,) for part in parts]
    plans = []
    for index, (share, group) in enumerate(((share, group) for group in kept for share in shares), start=rank):
        frames = [
            frame
            for echo in group
            for part in share
            for frame in slices(_first_frame(scan, stored[part][echo], part, echo), scan.grid)
        ]
        name = SeriesName(number=series_number(vendor, index), description=_NAME, protocol=_NAME)
        plans.append(Series(name=name, vendor=vendor, frames=tuple(frames), grid=scan.grid))
    return plans


def _stored(scan: EchoScan, vendor: Vendor, part: str) -> list[Stored]:
    volumes = scan.part(part)
    # Integers without a scale of their own: all echoes alike, or their ratio would be lost.
    if part != "phase" and not isinstance(vendor, Philips):
        volumes = volumes * np.float32(_BRIGHTEST / float(np.abs(scan.images).max()))
    return [vendor.store(volume, part) for volume in volumes]


def _first_frame(scan: EchoScan, stored: Stored, part: str, echo: int) -> Frame:
    """Return the lowest slice of one image."""
    protocol = scan.protocol
    return Frame(
        pixels=to_rows(stored.pixels[:, :, 0]),
        stored=stored,
        part=part,
        measurement=1,
        slice_number=1,
        n_slices=scan.grid.shape[2],
        inversion_time=None,
        repetition_time=protocol.repetition_time,
        echo_time=protocol.echo_times[echo],
        position=position(scan.grid, 0),
        flip_angle=protocol.flip_angle,
        magnetic_field_strength=protocol.magnetic_field_strength,
        acquisition_type="3D",
        echo_number=echo + 1,
    )
