"""One volume's files laid out alone, so that dcm2niix sees nothing else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence

from bids_t1.dicom.files import is_packed, open_plain
from bids_t1.dicom.header import frame_count

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from bids_t1.dicom.volumes import Volume


def lay_out(volume: Volume, folder: Path) -> None:
    """Link (or unpack, or cut out of an enhanced file) the slices of a volume into an empty folder.

    Names are numbers, because those of the source may hold a person's name and dcm2niix repeats them.
    """
    frames: dict[Path, list[int]] = {}
    for piece in volume.slices:
        frames.setdefault(piece.path, []).extend([] if piece.frame is None else [piece.frame])
    for number, (path, wanted) in enumerate(frames.items()):
        target = folder / f"{number:06d}.dcm"
        if wanted:
            cut_frames(path, sorted(wanted), target)
        elif is_packed(path):
            with open_plain(path) as packed, target.open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            target.symlink_to(path.resolve())


def cut_frames(path: Path, wanted: list[int], target: Path) -> None:
    """Write an enhanced file that holds some frames of another.

    dcm2niix stacks frames of different parts and inversion times (rordenlab/dcm2niix#1033), so each volume
    gets a file of its own.
    """
    with open_plain(path) as file:
        dataset = dcmread(file, force=True)
    n_frames = frame_count(dataset) or 0
    if wanted != list(range(n_frames)):
        dataset.PixelData = _pixels(dataset, wanted, n_frames)
        groups = dataset.PerFrameFunctionalGroupsSequence
        dataset.PerFrameFunctionalGroupsSequence = Sequence([groups[index] for index in wanted])
        dataset.NumberOfFrames = len(wanted)
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if keyword in dataset:
                delattr(dataset, keyword)
    dataset.save_as(target, overwrite=False)


def _pixels(dataset: Dataset, wanted: list[int], n_frames: int) -> bytes:
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frames = list(generate_frames(dataset.PixelData, number_of_frames=n_frames))
        return encapsulate([frames[index] for index in wanted])
    size = int(dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1) * dataset.BitsAllocated // 8)
    return b"".join(dataset.PixelData[index * size : (index + 1) * size] for index in wanted)
