"""The phantom as a scanner's DICOM files: classic (one per slice) or enhanced (one per series)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from bids_t1.data.errors import UsageError
from bids_t1.phantom.enhanced import add_functional_groups
from bids_t1.phantom.headers import (
    Identity,
    orientation,
    position,
    spacing,
    stamp_classic,
    stamp_equipment,
    stamp_examination,
    stamp_pixels,
    stamp_series,
)
from bids_t1.phantom.vendors import VENDORS, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bids_t1.phantom.head import Grid
    from bids_t1.phantom.scan import Scan
    from bids_t1.phantom.vendors import Stored, Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomOptions:
    """How scanner files are written."""

    vendor: str = "siemens"
    """siemens, philips or ge."""

    enhanced: bool = False
    """Multi-frame files."""

    one_series: bool = False
    """All inversion times in one series, instead of a series each."""

    nested: bool = True
    """A folder per series; False puts all files into one."""

    def __post_init__(self) -> None:
        """Refuse what no scanner writes."""
        if self.vendor not in VENDORS:
            raise UsageError(f"vendor {self.vendor!r}; expected one of {', '.join(VENDORS)}.")
        if self.enhanced and self.vendor == "ge":
            raise UsageError("GE scanners write no enhanced files here; expected siemens or philips, or no --enhanced.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    number: int
    description: str
    frames: tuple[Frame, ...]


def write_dicom(  # noqa: PLR0913 -- the last three are keywords
    folder: Path, scan: Scan, options: DicomOptions, *, participant: str, part: str, seed: int
) -> None:
    """Write one participant's scan.

    Parameters
    ----------
    folder : Path
        Where the files, or a folder per series, go.
    scan : Scan
        What to write. Stored values times their scale are the signal of the simulation, unscaled.
    options : DicomOptions
        Vendor and kind of file.
    participant : str
        Label; also part of the patient's ID.
    part : str
        mag, real, complex or polar; what is stored for it depends on the vendor.
    seed : int
        Identifiers derive from it and from the participant.
    """
    vendor = VENDORS[options.vendor]
    identity = Identity(participant=participant, seed=seed)
    count = 0
    for series in _plan(scan, vendor, options, vendor.parts[part]):
        target = folder / f"{series.number:04d}_{series.description}" if options.nested else folder
        target.mkdir(parents=True, exist_ok=True)
        groups = [series.frames] if options.enhanced else [(frame,) for frame in series.frames]
        for instance, frames in enumerate(groups, start=1):
            count += 1
            dataset = _dataset(series, frames, instance, scan.grid, vendor, identity, enhanced=options.enhanced)
            dataset.save_as(target / f"IM_{count:04d}.dcm", enforce_file_format=True)


def _plan(scan: Scan, vendor: Vendor, options: DicomOptions, parts: tuple[str, ...]) -> list[_Series]:
    """Sort frames into series: by inversion time unless all share one, by part where the vendor does."""
    times = range(len(scan.protocol.inversion_times))
    views = {part: scan.part(part) for part in parts}
    stored = {(part, time): vendor.store(views[part][time], part) for part in parts for time in times}
    measurements = [tuple(times)] if options.one_series else [(time,) for time in times]
    shares = [parts] if vendor.parts_share_series else [(part,) for part in parts]
    plans: list[_Series] = []
    for group in measurements:
        for share in shares:
            frames = [
                frame for time in group for part in share for frame in _frames(scan, stored[part, time], part, time)
            ]
            plans.append(
                _Series(
                    number=(len(plans) + 3) * vendor.series_step + (vendor.series_step > 1),
                    description=_misleading_description(scan, group[0], one_series=options.one_series),
                    frames=tuple(frames),
                )
            )
    return plans


def _misleading_description(scan: Scan, time: int, *, one_series: bool) -> str:
    """Return a name that lies about the inversion time, as when a protocol was copied and not renamed.

    Readers must take the time from its own attribute, never from a name.
    """
    times = scan.protocol.inversion_times
    if one_series:
        return "T1W_SE_IR"
    return f"T1W_SE_IR_TI{round(1000 * times[(time + 1) % len(times)]):04d}"


def _frames(scan: Scan, stored: Stored, part: str, time: int) -> Iterator[Frame]:
    protocol, grid = scan.protocol, scan.grid
    n_slices = grid.shape[2]
    for index in range(n_slices):
        yield Frame(
            pixels=to_rows(stored.pixels[:, :, index]),
            stored=stored,
            part=part,
            measurement=time + 1,
            slice_number=index + 1,
            n_slices=n_slices,
            inversion_time=protocol.inversion_times[time],
            repetition_time=protocol.repetition_times[time],
            echo_time=protocol.echo_time,
            position=position(grid, index),
        )


def to_rows(plane: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn (x, y), which grow right and forward, into (row, column), which grow back and left."""
    return np.ascontiguousarray(plane[::-1, ::-1].T)


def _dataset(  # noqa: PLR0913, PLR0917
    series: _Series,
    frames: tuple[Frame, ...],
    instance: int,
    grid: Grid,
    vendor: Vendor,
    identity: Identity,
    *,
    enhanced: bool,
) -> FileDataset:
    """One file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage if enhanced else MRImageStorage
    meta.MediaStorageSOPInstanceUID = identity.uid("instance", series.number, instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    stamp_examination(dataset, identity)
    stamp_equipment(dataset, vendor, enhanced=enhanced)
    stamp_series(
        dataset,
        number=series.number,
        description=series.description,
        uid=identity.uid("series", series.number),
        instance=instance,
        frame=frames[0],
    )
    stamp_pixels(dataset, frames)
    if enhanced:
        add_functional_groups(
            dataset, frames, vendor, orientation=orientation(grid), spacing=spacing(grid),
            dimension_uid=identity.uid("dimension"),
        )  # fmt: skip
    else:
        stamp_classic(dataset, frames[0], vendor, grid)
    return dataset
