"""One volume's files laid out alone, so that dcm2niix sees nothing else, and no name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence

from bids_t1.dicom.header import frame_count
from bids_t1.dicom.reading.files import open_plain
from bids_t1.dicom.reading.plain import read_plain
from bids_t1.dicom.reading.slices import quiet
from bids_t1.dicom.writing.deidentified import Stripping

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from bids_t1.dicom.reading.volumes import Volume


@dataclass(frozen=True, slots=True)
class Copied:
    """One slice in the copy of its file."""

    dataset: Dataset
    """What the copy holds: no name, and the pixels as they were."""

    frame: int
    """Which of its frames, from 0."""


def lay_out(volume: Volume, folder: Path, never: frozenset[str]) -> tuple[Copied, ...]:
    """Copy the slices of a volume into an empty folder, unpacked and without what identifies a person.

    Names are numbers, because those of the source may hold a person's name and dcm2niix repeats them.

    Parameters
    ----------
    volume
        What to convert.
    folder
        Where to.
    never
        Words of the patient's name and number.

    Returns
    -------
    tuple of Copied
        One for each slice, in their order.
    """
    frames: dict[Path, list[int]] = {}
    for plane in volume.slices:
        frames.setdefault(plane.path, []).extend([] if plane.frame is None else [plane.frame])
    renumber = len({plane.timing.acquired[2] for plane in volume.slices} - {0}) < len(frames)
    copies: dict[tuple[Path, int | None], Copied] = {}
    stripping = Stripping(never)
    with quiet():
        for number, (path, wanted) in enumerate(frames.items(), start=1):
            with open_plain(path) as file:
                plain = read_plain(file, pixels=True)
                dataset = dcmread(file, force=True) if plain is None else plain.dataset
            order = in_order(wanted)
            if wanted:
                cut_frames(dataset, order)
            copy = stripping.strip(dataset, number=number, renumber=renumber)
            (folder / f"{number:06d}.dcm").write_bytes(copy.content)
            copies |= {(path, frame): Copied(copy.dataset, index) for index, frame in enumerate(order or [None])}
    return tuple(copies[plane.path, plane.frame] for plane in volume.slices)


def in_order(frames: list[int]) -> list[int]:
    """Return frames, given in their order in space, as dcm2niix finds their places: as in the file where that is it.

    Frames that lie in space in another order than in the file are put elsewhere by it.
    """
    rising = sorted(frames)
    return rising if frames in (rising, rising[::-1]) else frames


def cut_frames(dataset: Dataset, wanted: list[int]) -> None:
    """Leave in an enhanced file some of its frames.

    dcm2niix stacks frames of different parts and inversion times (rordenlab/dcm2niix#1033), so each volume
    gets a file of its own.
    """
    n_frames = frame_count(dataset) or 0
    if wanted == list(range(n_frames)):
        return
    dataset.PixelData = _pixels(dataset, wanted, n_frames)
    groups = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = Sequence([groups[index] for index in wanted])
    dataset.NumberOfFrames = len(wanted)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _pixels(dataset: Dataset, wanted: list[int], n_frames: int) -> bytes:
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frames = list(generate_frames(dataset.PixelData, number_of_frames=n_frames))
        return encapsulate([frames[index] for index in wanted])
    size = int(dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1) * dataset.BitsAllocated // 8)
    return b"".join(dataset.PixelData[index * size : (index + 1) * size] for index in wanted)
