"""The phantom as a scanner's DICOM files: classic (one per slice) or enhanced (one per series)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from bids_t1_phantom.writers.enhanced import add_functional_groups
from bids_t1_phantom.writers.headers import (
    orientation,
    spacing,
    stamp_classic,
    stamp_equipment,
    stamp_examination,
    stamp_pixels,
    stamp_series,
)
from bids_t1_phantom.writers.series import plan_series

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1_phantom.sequences.scan import Scan
    from bids_t1_phantom.writers.habits import DicomOptions
    from bids_t1_phantom.writers.headers import Identity
    from bids_t1_phantom.writers.series import Series
    from bids_t1_phantom.writers.vendors import Frame


def write_dicom(folder: Path, scans: Sequence[Scan], options: DicomOptions, identity: Identity) -> None:
    """Write what was scanned of one participant.

    Parameters
    ----------
    folder : Path
        Where the files, or a folder per series, go.
    scans : sequence of Scan
        What to write. Stored values times their scale are the signal of the simulation: unscaled for inversion
        recovery, scaled alike for all images of each other sequence.
    options : DicomOptions
        Vendor and kind of file.
    identity : Identity
        Who was scanned; identifiers derive from it.
    """
    count = 0
    for series in plan_series(scans, options):
        name = series.name
        target = folder / f"{name.number:04d}_{name.description}" if options.nested else folder
        target.mkdir(parents=True, exist_ok=True)
        groups = [series.frames] if options.enhanced else [(frame,) for frame in series.frames]
        for instance, frames in enumerate(groups, start=1):
            count += 1
            dataset = _dataset(series, frames, instance, identity, enhanced=options.enhanced)
            dataset.save_as(target / f"IM_{count:04d}.dcm", enforce_file_format=True)


def _dataset(
    series: Series,
    frames: tuple[Frame, ...],
    instance: int,
    identity: Identity,
    *,
    enhanced: bool,
) -> FileDataset:
    """One file."""
    habit, number, grid = series.habit, series.name.number, series.grid
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage if enhanced else MRImageStorage
    meta.MediaStorageSOPInstanceUID = identity.uid("instance", number, instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    stamp_examination(dataset, identity)
    stamp_equipment(dataset, habit, frames[0], enhanced=enhanced)
    stamp_series(dataset, series.name, uid=identity.uid("series", number), instance=instance, frame=frames[0])
    stamp_pixels(dataset, frames)
    if enhanced:
        add_functional_groups(
            dataset, frames, habit, orientation=orientation(grid), spacing=spacing(grid),
            dimension_uid=identity.uid("dimension"),
        )  # fmt: skip
    else:
        stamp_classic(dataset, frames[0], habit, grid)
    if series.private_header is not None:
        block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x20, "OB", series.private_header)
    return dataset
