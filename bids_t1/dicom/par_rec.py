"""Philips PAR/REC: inversion-recovery images of one participant, read by nibabel.

A PAR file is text about one scan, with a line for each slice; the REC file beside it holds the pixels. It tells the
inversion delay of each image, and one repetition time for all of them, which is not taken for that of each.
"""

from __future__ import annotations

import glob
import math
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bids_t1.data.errors import InvalidInputError, NoInputError
from bids_t1.data.groups import grouped, grouped_by
from bids_t1.data.result import SeriesNote
from bids_t1.dicom.reading.files import is_par, walk
from bids_t1.dicom.recognising.repetitions import same_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PARTS = ("mag", "real", "imag", "phase")
"""By the code ``image_type_mr``."""

FEWEST_TIMES = 3
"""T1, the equilibrium signal and the inversion efficiency are three unknowns."""

MOST_BYTES = 2**26
"""A longer text is no PAR file."""

SAME_ECHO = 1e-4

FULL_CIRCLE = (2900.0, 3200.0)
"""Largest value of a phase image whose unit is a thousandth of a radian, as Philips writes it."""

UNREADABLE = (
    nib.parrec.PARRECError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    StopIteration,
)
"""What nibabel raises for a damaged PAR file."""

GRADIENT_ECHOES = ("TFE", "FFE", "LL")
"""In names of techniques: several inversion times of one such scan follow one inversion."""

DECLARE = (
    "Of a selective inversion recovery, give InversionTime and RecoveryTime of every image in the table SIR of a "
    "protocol file (--protocol)."
)


@dataclass(frozen=True, slots=True, eq=False)
class ParImage:
    """One volume of a PAR/REC file."""

    header: nib.parrec.PARRECHeader
    rec: Path
    """Its REC file."""

    slices: tuple[int, ...]
    """Where its slices stand there."""

    number: int
    """Of its PAR file, in the order of names, from 1: a name may be that of a person."""

    part: str
    inversion_time: float
    """[s]."""

    echo_time: float
    """[s]."""

    flip_angle: float
    """[degree]."""

    n_times: int
    """Inversion times in its file."""

    def fits(self, other: ParImage) -> bool:
        """Tell whether another image lies on the same grid and has the same echo."""
        return (
            self.shape == other.shape
            and np.allclose(self.affine, other.affine, atol=1e-2)
            and abs(self.echo_time - other.echo_time) < SAME_ECHO
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        i, j, k = (int(length) for length in self.header.get_data_shape()[:3])
        return i, j, k

    @property
    def affine(self) -> np.ndarray:
        """Voxel indices to scanner coordinates [mm]."""
        return np.asarray(self.header.get_affine(), np.float64)

    @property
    def repetition_time(self) -> float | None:
        """Of the scan [s]; None where it is one number for several inversion times, or none between inversions."""
        times = np.atleast_1d(self.header.general_info.get("repetition_time", ()))
        alone = self.n_times == 1 and len(times) == 1 and times[0] / 1000 > self.inversion_time
        return float(times[0]) / 1000 if alone else None

    def values(self) -> tuple[np.ndarray, bool]:
        """Return the numbers, comparable between images, and whether they are radians.

        Floating-point values are stored ones over the scale slope, plus the intercept over both slopes; phases are
        what the console shows, stored ones times the rescale slope plus the intercept.
        """
        lines = self.header.image_defs[list(self.slices)]
        columns, rows, _ = self.shape
        dtype = self.header.get_data_dtype()
        stored = np.memmap(self.rec, dtype, "r").reshape(-1, rows, columns)[list(self.slices)]
        slope, intercept = lines["rescale slope"], lines["rescale intercept"]
        shown = stored.transpose(2, 1, 0) * slope + intercept
        if self.part != "phase":
            return np.asarray(shown / (slope * lines["scale slope"]), np.float32), False
        is_angle = FULL_CIRCLE[0] < float(np.abs(shown).max()) < FULL_CIRCLE[1]
        return np.asarray(shown / 1000 if is_angle else shown, np.float32), is_angle

    @property
    def metadata(self) -> dict[str, object]:
        """The sidecar, without what concerns the phase."""
        fields = {
            "Manufacturer": "Philips",
            "InversionTime": self.inversion_time,
            "RepetitionTime": self.repetition_time,
            "EchoTime": self.echo_time or None,
            "FlipAngle": self.flip_angle or None,
            "ConversionSoftware": "nibabel",
            "ConversionSoftwareVersion": nib.__version__,
        }
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ParSet:
    """The images of one inversion recovery, with the numbers of their inversions, from 1."""

    images: tuple[tuple[ParImage, int], ...]

    @property
    def parts(self) -> frozenset[str]:
        """What there is."""
        return frozenset(image.part for image, _ in self.images)

    @property
    def times(self) -> list[float]:
        """Inversion times of the images of one part [s]."""
        first, _ = self.images[0]
        return [image.inversion_time for image, _ in self.images if image.part == first.part]

    @property
    def told(self) -> str:
        """What the images were kept as."""
        return f"kept as IRT1, inversion time {', '.join(f'{1000 * time:g}' for time in self.times)} ms"


@dataclass(frozen=True, slots=True)
class ParFound:
    """What a folder of PAR/REC files holds."""

    sets: tuple[ParSet, ...]
    series: tuple[SeriesNote, ...]
    warnings: tuple[str, ...]


def par_files(folder: Path) -> tuple[Path, ...]:
    """Return the PAR files below a folder, in the order of their names."""
    return tuple(path for path in walk(folder) if is_par(path))


def find_inversion_recovery(paths: Sequence[Path], delayed: Sequence[float]) -> ParFound:
    """Read PAR files and find their inversion recovery.

    Parameters
    ----------
    paths
        The PAR files of one participant and session.
    delayed
        Inversion times of a selective inversion recovery that the user declares, one per image [s].

    Raises
    ------
    InvalidInputError
        If a file is damaged, or its images cannot be told apart.
    NoInputError
        If there is no inversion recovery.
    """
    images = [image for number, path in enumerate(paths, 1) for image in _inverted(path, number, len(paths))]
    families = grouped(images, lambda family, image: family[0].fits(image))
    judged = [(family, _judged(family, delayed)) for family in families]
    sets = tuple(verdict for _, verdict in judged if isinstance(verdict, ParSet))
    series = _notes(judged, len(paths))
    if not sets:
        raise _nothing_found(series)
    shared = any(image.n_times > 1 for found in sets for image, _ in found.images)
    note = "PAR/REC: one repetition time stands for all images of a file; it is not taken for that of each"
    return ParFound(sets, series, (note,) if shared else ())


def _notes(judged: Sequence[tuple[Sequence[ParImage], ParSet | str]], n_files: int) -> tuple[SeriesNote, ...]:
    """Say of each file what became of its images."""
    outcomes = {number: f"skipped: no inversion recovery in PAR file {number}" for number in range(1, n_files + 1)}
    for family, verdict in judged:
        told = verdict.told if isinstance(verdict, ParSet) else f"skipped: {verdict}"
        outcomes |= dict.fromkeys((image.number for image in family), told)
    return tuple(
        SeriesNote(number=number, description="PAR/REC", n_files=1, outcome=told) for number, told in outcomes.items()
    )


def _nothing_found(series: Sequence[SeriesNote]) -> NoInputError:
    told = "\n".join(f"  PAR file {note.number}: {note.outcome}" for note in series)
    return NoInputError(
        "no inversion recovery with at least 3 inversion times was found in the PAR files; expected images of the "
        f"same geometry, each with its inversion delay. Files there, in the order of names:\n{told}"
    )


def _inverted(path: Path, number: int, n_files: int) -> list[ParImage]:
    """Return the images of one PAR file that have an inversion; all of them are checked to be there in full."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("too long")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of times it does not use
            with path.open(encoding="utf-8", errors="replace") as file:
                header = nib.parrec.PARRECHeader.from_fileobj(file, strict_sort=True)
            return [image for image in _images(header, _rec_of(path), number) if image.inversion_time > 0]
    except UNREADABLE as error:
        raise InvalidInputError(
            f"PAR file {number} of {n_files}, in the order of names: cannot be read ({type(error).__name__}); expected "
            "a complete PAR file of version 4 to 4.2 with its REC file beside it. Export it again."
        ) from error


def _rec_of(path: Path) -> Path:
    """Return the REC file beside a PAR file, whatever the case of its ending."""
    return next(other for other in path.parent.glob(f"{glob.escape(path.stem)}.*") if other.suffix.upper() == ".REC")


def _images(header: nib.parrec.PARRECHeader, rec: Path, number: int) -> list[ParImage]:
    lines = header.image_defs
    recorded = math.prod(header.get_rec_shape()) * header.get_data_dtype().itemsize
    if rec.stat().st_size != recorded or (lines["index in REC file"] != np.arange(len(lines))).any():
        raise ValueError("REC")
    places = np.asarray(header.get_sorted_slice_indices()).reshape(-1, header.get_data_shape()[2])
    header.get_affine()
    first = lines[places[:, 0]]
    times = [round(float(time) / 1000, 6) for time in first["Inversion delay"]]
    n_times = len(set(times))
    return [
        ParImage(
            header=header,
            rec=rec,
            slices=tuple(int(place) for place in places[volume]),
            number=number,
            part=PARTS[int(line["image_type_mr"])],
            inversion_time=times[volume],
            echo_time=float(line["echo_time"]) / 1000,
            flip_angle=float(line["image_flip_angle"]),
            n_times=n_times,
        )
        for volume, line in enumerate(first)
    ]


def _judged(family: Sequence[ParImage], delayed: Sequence[float]) -> ParSet | str:
    """Return images as a set, or why they are none."""
    ordered = sorted(family, key=lambda image: (PARTS.index(image.part), image.inversion_time))
    by_part = grouped_by(ordered, lambda image: image.part).values()
    most = max(map(len, by_part))
    found = ParSet(
        tuple((image, rank) for images in by_part if len(images) == most for rank, image in enumerate(images, 1))
    )
    reason = None if same_times(found.times, delayed) else _refusal(family, found.times)
    return reason or found


def _refusal(family: Sequence[ParImage], times: Sequence[float]) -> str | None:
    """Say why images are no inversion recovery of separate inversions, or cannot be told apart."""
    if len(set(times)) < FEWEST_TIMES:
        return f"{len(set(times))} inversion times; T1 needs at least 3"
    if any(count > 1 for count in Counter(times).values()):
        return f"several images have one inversion time. {DECLARE}"
    for image in family:
        info = image.header.general_info
        spread = 1000 * (times[-1] - times[0])
        technique = str(info.get("tech", "")).upper()
        if image.n_times > 1 and any(word in technique for word in GRADIENT_ECHOES):
            return "gradient echoes of several inversion times in one scan follow one inversion"
        if image.n_times > 1 and min(np.atleast_1d(info.get("repetition_time", (math.inf,)))) < spread:
            return (
                "the repetition time is shorter than the spread of the inversion times, as in Look-Locker sequences. "
                f"{DECLARE}"
            )
    return None


def all_images(found: ParFound) -> Iterable[tuple[ParImage, dict[str, str | None]]]:
    """Yield each image with the entities of its name."""
    for number, one in enumerate(found.sets, 1):
        for image, rank in one.images:
            yield (
                image,
                {
                    "run": str(number) if len(found.sets) > 1 else None,
                    "inv": str(rank),
                    "part": None if one.parts == {"mag"} else image.part,
                },
            )
