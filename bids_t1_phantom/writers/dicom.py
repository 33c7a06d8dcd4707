"""The phantom as a scanner's DICOM files: classic (one per slice) or enhanced (one per series)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from bids_t1_phantom.sequences.mp2rage import ReadoutScan
from bids_t1_phantom.sequences.multi_echo_gre import EchoScan
from bids_t1_phantom.sequences.transmit_field import FieldScan
from bids_t1_phantom.writers.dicom_series import DicomOptions, Series, series_number, slices, to_rows
from bids_t1_phantom.writers.echo_dicom import plan_echoes
from bids_t1_phantom.writers.enhanced import add_functional_groups
from bids_t1_phantom.writers.field_dicom import plan_field
from bids_t1_phantom.writers.headers import (
    Identity,
    SeriesName,
    orientation,
    position,
    spacing,
    stamp_classic,
    stamp_equipment,
    stamp_examination,
    stamp_pixels,
    stamp_series,
)
from bids_t1_phantom.writers.readout_vendors import readout_vendor, repetition_time, stored_part
from bids_t1_phantom.writers.vendors import VENDORS, Frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1_phantom.sequences.inversion_recovery import Scan
    from bids_t1_phantom.writers.vendors import Stored, Vendor


def write_dicom(  # noqa: PLR0913 -- the last three are keywords
    folder: Path,
    scans: Sequence[Scan | ReadoutScan | EchoScan | FieldScan],
    options: DicomOptions,
    *,
    participant: str,
    part: str,
    seed: int,
) -> None:
    """Write what was scanned of one participant.

    Parameters
    ----------
    folder : Path
        Where the files, or a folder per series, go.
    scans : sequence of Scan, ReadoutScan, EchoScan or FieldScan
        What to write. Stored values times their scale are the signal of the simulation: unscaled for inversion
        recovery, scaled alike for all images of each other sequence.
    options : DicomOptions
        Vendor and kind of file.
    participant : str
        Label; also part of the patient's ID.
    part : str
        Of inversion recovery: mag, real, complex or polar; what is stored for it depends on the vendor.
    seed : int
        Identifiers derive from it and from the participant.
    """
    identity = Identity(participant=participant, seed=seed)
    plans: list[Series] = []
    for scan in scans:
        if isinstance(scan, ReadoutScan):
            plans += _plan_readouts(scan, options, len(plans))
        elif isinstance(scan, EchoScan):
            plans += plan_echoes(scan, options, len(plans))
        elif isinstance(scan, FieldScan):
            plans += plan_field(scan, len(plans))
        else:
            plans += _plan(scan, options, part)
    count = 0
    for series in plans:
        name = series.name
        target = folder / f"{name.number:04d}_{name.description}" if options.nested else folder
        target.mkdir(parents=True, exist_ok=True)
        groups = [series.frames] if options.enhanced else [(frame,) for frame in series.frames]
        for instance, frames in enumerate(groups, start=1):
            count += 1
            dataset = _dataset(series, frames, instance, identity, enhanced=options.enhanced)
            dataset.save_as(target / f"IM_{count:04d}.dcm", enforce_file_format=True)


def _plan(scan: Scan, options: DicomOptions, part: str) -> list[Series]:
    """Sort frames into series: by inversion time unless all share one, by part where the vendor does."""
    vendor = VENDORS[options.vendor]
    parts = vendor.parts[part]
    times = range(len(scan.protocol.inversion_times))
    views = {part: scan.part(part) for part in parts}
    stored = {(part, time): vendor.store(views[part][time], part) for part in parts for time in times}
    measurements = [tuple(times)] if options.one_series else [(time,) for time in times]
    shares = [parts] if vendor.parts_share_series else [(part,) for part in parts]
    plans: list[Series] = []
    for group in measurements:
        description = _misleading_description(scan, group[0], one_series=options.one_series)
        for share in shares:
            frames = [
                frame
                for time in group
                for part in share
                for frame in slices(_first_frame(scan, stored[part, time], part, time), scan.grid)
            ]
            name = SeriesName(number=series_number(vendor, len(plans)), description=description, protocol=description)
            plans.append(Series(name=name, vendor=vendor, frames=tuple(frames), grid=scan.grid))
    return plans


def _plan_readouts(scan: ReadoutScan, options: DicomOptions, rank: int) -> list[Series]:
    """Sort frames into series: by readout and part, or all readouts in one; derived images by themselves."""
    vendor = readout_vendor(options.vendor, scan.sequence)
    readouts = range(len(scan.sequence.protocol.inversion_times))
    parts = vendor.parts["readouts"]
    groups = [[(part, readout) for part in parts] for readout in readouts]
    if options.one_series:
        groups = [[pair for group in groups for pair in group]]
    elif not vendor.parts_share_series:
        groups = [[pair] for group in groups for pair in group]
    groups += [[(part, 0)] for part in vendor.parts["derived"]]
    stored = {part: stored_part(scan, vendor, part) for parts in vendor.parts.values() for part in parts}
    plans = []
    for index, group in enumerate(groups, start=rank):
        frames = [
            frame
            for part, readout in group
            for frame in slices(_first_readout_frame(scan, vendor, stored[part][readout], part, readout), scan.grid)
        ]
        name = SeriesName(
            number=series_number(vendor, index),
            description=vendor.describe(*group[0]),
            protocol=scan.sequence.protocol_name,
        )
        plans.append(Series(name=name, vendor=vendor, frames=tuple(frames), grid=scan.grid))
    return plans


def _misleading_description(scan: Scan, time: int, *, one_series: bool) -> str:
    """Return a name that lies about the inversion time, as when a protocol was copied and not renamed.

    Readers must take the time from its own attribute, never from a name.
    """
    times = scan.protocol.inversion_times
    if one_series:
        return "T1W_SE_IR"
    return f"T1W_SE_IR_TI{round(1000 * times[(time + 1) % len(times)]):04d}"


def _first_frame(scan: Scan, stored: Stored, part: str, time: int) -> Frame:
    """Return the lowest slice of one image of inversion recovery."""
    protocol = scan.protocol
    return Frame(
        pixels=to_rows(stored.pixels[:, :, 0]),
        stored=stored,
        part=part,
        measurement=time + 1,
        slice_number=1,
        n_slices=scan.grid.shape[2],
        inversion_time=protocol.inversion_times[time],
        repetition_time=protocol.repetition_times[time],
        echo_time=protocol.echo_time,
        position=position(scan.grid, 0),
    )


def _first_readout_frame(scan: ReadoutScan, vendor: Vendor, stored: Stored, part: str, readout: int) -> Frame:
    """Return the lowest slice of one readout, or of an image derived from the first two."""
    protocol = scan.sequence.protocol
    return Frame(
        pixels=to_rows(stored.pixels[:, :, 0]),
        stored=stored,
        part=part,
        measurement=1,
        slice_number=1,
        n_slices=scan.grid.shape[2],
        inversion_time=None if part in {"uni", "denoised", "t1"} else protocol.inversion_times[readout],
        repetition_time=repetition_time(vendor, scan.sequence, readout),
        echo_time=protocol.echo_time,
        position=position(scan.grid, 0),
        flip_angle=protocol.flip_angles[readout],
        magnetic_field_strength=protocol.magnetic_field_strength,
        acquisition_type="3D",
    )


def _dataset(
    series: Series,
    frames: tuple[Frame, ...],
    instance: int,
    identity: Identity,
    *,
    enhanced: bool,
) -> FileDataset:
    """One file."""
    vendor, number, grid = series.vendor, series.name.number, series.grid
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage if enhanced else MRImageStorage
    meta.MediaStorageSOPInstanceUID = identity.uid("instance", number, instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    stamp_examination(dataset, identity)
    stamp_equipment(dataset, vendor, frames[0], enhanced=enhanced)
    stamp_series(dataset, series.name, uid=identity.uid("series", number), instance=instance, frame=frames[0])
    stamp_pixels(dataset, frames)
    if enhanced:
        add_functional_groups(
            dataset, frames, vendor, orientation=orientation(grid), spacing=spacing(grid),
            dimension_uid=identity.uid("dimension"),
        )  # fmt: skip
    else:
        stamp_classic(dataset, frames[0], vendor, grid)
    return dataset
