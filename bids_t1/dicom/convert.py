"""Scanner files of one participant to raw BIDS: headers read by pydicom, images made by dcm2niix; PAR by nibabel."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nibabel as nib

from bids_t1.data.entities import BidsName, strip_label
from bids_t1.data.errors import CannotCreateOutputError, InvalidInputError
from bids_t1.data.protocol import Protocol
from bids_t1.data.sequences import SELECTIVE_INVERSION_RECOVERY
from bids_t1.dicom.par_rec import all_images, find_inversion_recovery, par_files
from bids_t1.dicom.reading.files import first_dicom
from bids_t1.dicom.reading.slices import quiet
from bids_t1.dicom.recognising.classify import classify
from bids_t1.dicom.recognising.inversion_recovery import SUFFIX
from bids_t1.dicom.recognising.one_patient import check_examinations, require_one_patient
from bids_t1.dicom.recognising.verdict import warned
from bids_t1.dicom.writing.dataset import describe
from bids_t1.dicom.writing.dcm2niix import run_dcm2niix
from bids_t1.dicom.writing.extract import lay_out
from bids_t1.dicom.writing.mp2rage import TABLE, completed, missing, told_missing
from bids_t1.dicom.writing.nifti import Nifti
from bids_t1.dicom.writing.pixels import Pixels, corrected
from bids_t1.dicom.writing.placement import require_equal_distances
from bids_t1.dicom.writing.record import Conversion, source_digest
from bids_t1.dicom.writing.sidecar import complete
from bids_t1.dicom.writing.survey import collect_warnings, nothing_usable, series_records, survey
from bids_t1.packing import save
from bids_t1.scratch import scratch
from bids_t1.storage import as_json, publishing
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bids_t1.data.result import SeriesNote
    from bids_t1.data.sidecar import Sidecar
    from bids_t1.dicom.par_rec import ParFound
    from bids_t1.dicom.recognising.verdict import PlannedImage, Verdict
    from bids_t1.dicom.writing.survey import Survey

LOG = logging.getLogger(__name__)

FULL_CIRCLE = (0.9, 1.01)
"""Largest angle of a phase image over pi, if its unit is what the vendor rule says."""

NO_PROTOCOL = Protocol()

SELECTIVE = SELECTIVE_INVERSION_RECOVERY.name
"""Table of the protocol file."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the images of one participant and session appear."""

    raw_dir: Path
    """Root of the raw dataset."""

    participant: str
    session: str | None = None
    """Labels, with or without ``sub-`` and ``ses-``."""

    previous: Conversion | None = None
    """Record of an earlier conversion of the same participant and session."""

    @property
    def labels(self) -> dict[str, str | None]:
        """Entities of every name."""
        session = None if self.session is None else strip_label("ses", self.session)
        return {"sub": strip_label("sub", self.participant), "ses": session}

    @property
    def home(self) -> Path:
        """Folder of the participant and session within the raw dataset."""
        return Path(BidsName.build(self.labels, SUFFIX).folder("anat")).parent

    def kept(self, digest: str) -> Conversion | None:
        """Return the record of the earlier conversion if it was of the same source, and its images are still there."""
        return self.previous if self.previous is not None and self.previous.holds_for(digest, self.raw_dir) else None

    def publish(self, write: Callable[[Path], tuple[list[str], list[str]]]) -> tuple[tuple[str, ...], list[str]]:
        """Let the images that `write` makes in a folder appear together.

        Returns
        -------
        tuple
            Their names in the raw dataset, and what the user must know of them.
        """
        describe(self.raw_dir)
        with publishing(self.raw_dir, self.home, () if self.previous is None else self.previous.written) as folder:
            names, notes = write(folder)
            if self.previous is None:
                _require_only(names, self.raw_dir / self.home)
        return tuple((self.home / name).as_posix() for name in names), notes


def convert(
    source_folder: Path,
    destination: Destination,
    work_dir: Path,
    protocol: Protocol = NO_PROTOCOL,
    *,
    n_threads: int = 1,
) -> Conversion:
    """Convert what measures T1, T2* and the transmit field among one participant's scanner files to raw BIDS.

    ``raw_dir/sub-X[/ses-Y]`` appears complete or not at all, and replaces what was there. It is left alone, and the
    record of the earlier conversion returned, where that describes the same source and its files are still there.

    Parameters
    ----------
    source_folder
        Folder with the DICOM files of one participant and session, in any structure.
    destination
        Whose they are, and where their images appear.
    work_dir
        Folder for intermediate files, which are removed.
    protocol
        What the user says where the headers are silent; its table MP2RAGE completes the sidecars, and SIR
        tells which images of equal inversion times are no repetitions.
    n_threads
        Images converted at a time.

    Raises
    ------
    NoInputError
        If there is no DICOM file, or none of the images is of a sequence that is recognised; maps of the transmit
        field alone measure nothing.
    InvalidInputError
        If no DICOM file can be read, they are of several patients or days, dcm2niix cannot convert an image, or the
        protocol file does not fit.
    CannotCreateOutputError
        If the raw dataset cannot be written.
    InputOutputError
        If writing fails on the way, or dcm2niix is not there.
    """
    table, selective = protocol.of(TABLE), protocol.of(SELECTIVE)
    digest = source_digest(source_folder, destination.labels, (table, selective))
    kept = destination.kept(digest)
    if kept is not None:
        return kept
    of_philips = _of_philips(source_folder, protocol)
    if of_philips is not None:
        written, _ = destination.publish(partial(_write_par_images, of_philips, destination.labels))
        return Conversion(digest=digest, written=written, series=of_philips.series, warnings=of_philips.warnings)
    found = survey(source_folder)
    verdict = _decide(found, protocol)
    conditions = _Conditions(work_dir, found.identifying, table, n_threads)
    written, notes = destination.publish(partial(_write_images, verdict.kept, destination.labels, conditions))
    warnings = collect_warnings(found, verdict + warned(*notes))
    return Conversion(digest=digest, written=written, series=series_records(found, verdict), warnings=warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be converted."""

    suffixes: frozenset[str]
    """Of the images that T1 or T2* is measured from."""

    series: tuple[SeriesNote, ...]
    warnings: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    """Fields without which an MP2RAGE is not measured, missing in headers and protocol file."""


def plan(source_folder: Path, protocol: Protocol = NO_PROTOCOL) -> Plan:
    """Read what `convert` would read, and say what it would convert; nothing is written.

    Raises
    ------
    NoInputError, InvalidInputError
        As `convert` does of headers; what dcm2niix says of the images is not known before.
    """
    of_philips = _of_philips(source_folder, protocol)
    if of_philips is not None:
        return Plan(suffixes=frozenset({SUFFIX}), series=of_philips.series, warnings=of_philips.warnings)
    found = survey(source_folder)
    verdict = _decide(found, protocol)
    table = protocol.of(TABLE)
    headers = [(completed(complete({}, image, found.identifying), image, table), image) for image in verdict.kept]
    lacking = dict.fromkeys(field for header, image in headers for field in missing(header, image))
    return Plan(
        suffixes=frozenset(image.suffix for image in verdict.kept if image.datatype == "anat"),
        series=series_records(found, verdict),
        warnings=collect_warnings(found, verdict),
        lacking=tuple(sorted(lacking)),
    )


def _of_philips(source_folder: Path, protocol: Protocol) -> ParFound | None:
    """Find the inversion recovery of PAR files; None where there are DICOM files, or neither."""
    pars = par_files(source_folder)
    return find_inversion_recovery(pars, _delayed(protocol)) if pars and first_dicom(source_folder) is None else None


def _decide(found: Survey, protocol: Protocol) -> Verdict:
    """Decide what is converted of one examination; an error where nothing of it measures anything."""
    verdict = classify([plane for content in found.contents for plane in content.slices], _delayed(protocol))
    if all(image.datatype == "fmap" for image in verdict.kept):
        raise nothing_usable(series_records(found, verdict))
    require_one_patient(found.contents)
    return verdict + warned(*check_examinations(found.contents, verdict.kept))


def _delayed(protocol: Protocol) -> Sequence[float]:
    """Return the inversion times of a selective inversion recovery that the user declares [s]."""
    selective = protocol.of(SELECTIVE)
    return () if selective is None else selective.numbers("InversionTime") or ()


def _require_only(names: Sequence[str], home: Path) -> None:
    """Refuse a folder with other files, of which no record says whose they are: images among them would be measured."""
    others = {path.relative_to(home).as_posix() for path in home.rglob("*") if not path.is_dir()} - set(names)
    if others:
        raise CannotCreateOutputError(
            f"{home}: holds {len(others)} files beside those that are converted, and no record of an earlier "
            "conversion says whose they are; expected none, as images among them would be measured. Move the folder "
            "away and run again."
        )


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What is the same for every image of a conversion."""

    work_dir: Path
    identifying: frozenset[str]
    table: Sidecar | None
    """What the protocol file says of MP2RAGE."""

    n_threads: int
    """Images converted at a time."""


def _write_images(
    images: Sequence[PlannedImage], labels: dict[str, str | None], conditions: _Conditions, folder: Path
) -> tuple[list[str], list[str]]:
    """Convert each volume and write it with its sidecar.

    Returns
    -------
    tuple
        Names written, with their datatype, and what the user must know of the images.
    """
    for datatype in sorted({image.datatype for image in images}):
        (folder / datatype).mkdir()
    conditions.work_dir.mkdir(parents=True, exist_ok=True)
    with scratch(conditions.work_dir) as home, quiet():  # around all threads, so that none of them ends it for another

        def write(image: PlannedImage) -> tuple[dict[str, object], list[str]]:
            target = folder / image.datatype / str(BidsName.build(labels | image.entities, image.suffix))
            with TemporaryDirectory(dir=home) as place:
                return _convert_volume(image, target, Path(place), conditions.identifying)

        made = side_by_side(write, images, conditions.n_threads)
    names: list[str] = []
    lacking: set[str] = set()
    noted: dict[str, list[str]] = defaultdict(list)
    for image, (converted, notes) in zip(images, made, strict=True):
        name = BidsName.build(labels | image.entities, image.suffix)
        sidecar = name.having({}, extension=".json")
        for note in notes:
            noted[note].append(f"series {image.volume.first.series.number}")
        metadata = completed(converted, image, conditions.table)
        lacking |= set(missing(metadata, image))
        (folder / image.datatype / str(sidecar)).write_text(as_json(metadata), encoding="utf-8")
        names += [f"{image.datatype}/{name}", f"{image.datatype}/{sidecar}"]
    warnings = [f"{', '.join(dict.fromkeys(series))}: {note}" for note, series in noted.items()]
    return sorted(names), [*warnings, *([told_missing(lacking)] if lacking else [])]


def _write_par_images(found: ParFound, labels: dict[str, str | None], folder: Path) -> tuple[list[str], list[str]]:
    """Write each image of PAR/REC files with its sidecar; return the names written, with their datatype."""
    (folder / "anat").mkdir()
    names: list[str] = []
    for image, entities in all_images(found):
        name = BidsName.build(labels | entities, SUFFIX)
        sidecar = name.having({}, extension=".json")
        values, in_radians = image.values()
        written = nib.Nifti1Image(values, image.affine)
        written.header.set_xyzt_units("mm")
        save(written, folder / "anat" / str(name))
        units = {"Units": "rad" if in_radians else "arbitrary"} if image.part == "phase" else {}
        (folder / "anat" / str(sidecar)).write_text(as_json(image.metadata | units), encoding="utf-8")
        names += [f"anat/{name}", f"anat/{sidecar}"]
    return sorted(names), []


def _convert_volume(
    image: PlannedImage, target: Path, place: Path, identifying: frozenset[str]
) -> tuple[dict[str, object], list[str]]:
    """Write a volume with comparable, signed values; return its metadata, and what the user must know of it."""
    plane = image.volume.first
    where = f"series {plane.series.number}"
    require_equal_distances(image.volume, where=where)
    source, made = place / "dicom", place / "nifti"
    source.mkdir()
    made.mkdir()
    copies = lay_out(image.volume, source, identifying)
    n_voxels = math.prod(plane.place.matrix) * len(image.volume.slices)
    done = run_dcm2niix(source, made, n_voxels, display=image.displayed, where=where, never=identifying)
    nifti = Nifti(done.image)
    if not _has_shape(nifti.shape, (*plane.place.matrix, len(image.volume.slices))):
        raise InvalidInputError(
            f"{where}: dcm2niix made an image of {nifti.shape} voxels; expected {plane.place.matrix} and "
            f"{len(image.volume.slices)} slices. Report this with the scanner's model and software version."
        )
    note = corrected(nifti, Pixels(image.volume, copies, display=image.displayed), where=where, doubts=done.doubts)
    if plane.values.zero_level is not None:
        nifti.shift_stored(plane.values.zero_level)
    in_radians = plane.values.phase_unit is not None and _to_radians(nifti, plane.values.phase_unit)
    nifti.save(target)
    converted = _sidecar(done.image.with_suffix(".json"))
    metadata = complete(converted, image, identifying, in_radians=in_radians)
    notes = [*([] if note is None else [note]), *done.warnings]
    return (metadata | {"ConversionWarnings": notes} if notes else metadata), notes


def _sidecar(path: Path) -> dict[str, object]:
    """Read what dcm2niix says of an image: it copies control characters, as ISO 2022 uses them, where JSON has none.

    Where it is no JSON at all the headers, which pydicom reads, have to do.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8", errors="replace"), strict=False)
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in read.items() if _is_finite(value)} if isinstance(read, dict) else {}


def _is_finite(value: object) -> bool:
    """Tell whether JSON can hold a value: not NaN or infinity, which Python reads."""
    if isinstance(value, list):
        return all(_is_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def _has_shape(shape: tuple[int, ...], expected: tuple[int, int, int]) -> bool:
    """Tell whether an image is one volume of the expected size; dcm2niix may turn rows and columns."""
    columns, rows, n_slices, *rest = (*shape, 1)
    return {columns, rows} == set(expected[:2]) and n_slices == expected[2] and set(rest) == {1}


def _to_radians(nifti: Nifti, unit: float) -> bool:
    """Scale a phase image to radians if its range confirms the unit: the noise in it takes every angle."""
    fullness = nifti.largest() * unit / math.pi
    confirmed = FULL_CIRCLE[0] <= fullness <= FULL_CIRCLE[1]
    if confirmed:
        nifti.multiply(unit)
    return confirmed
