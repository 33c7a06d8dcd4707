"""Which folders results may go to: none that holds what somebody else made. Read `require_out_dir` first."""

from __future__ import annotations

import logging
import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from bids_t1 import scratch
from bids_t1.bids import discover, write
from bids_t1.data.errors import CannotCreateOutputError, InvalidInputError, UsageError
from bids_t1.dicom.reading.files import is_dicom
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

DESCRIPTION = "dataset_description.json"
GENERATOR = "bids_t1"
"""What datasets of this program name in GeneratedBy."""

_OTHER = "bids_t1_maps"
_RAW = "is a BIDS dataset of raw images"

CHECKPOINTS = "bids_t1-calibration"
"""In the work folder: where trainings stand."""

_WITHOUT_DATA = re.compile(r"lost\+found|\.snapshot|\.DS_Store|\.nfs.*|(bids_t1|slurm)-[0-9_]+\.out")
"""What file systems and schedulers put into a folder that is empty otherwise."""

_UNDESCRIBED = re.compile(rf"{re.escape(scratch.PREFIX)}.*|\.work|logs|sourcedata|sub-[0-9A-Za-z]+\.html")
"""What a first run that failed leaves beside no description."""

_OF_LOGS = re.compile(
    rf"{re.escape(scratch.PREFIX)}.*|sub-[0-9A-Za-z_-]+(\.conversion)?\.json|sub-[0-9A-Za-z_-]+_timing\.tsv|"
    r"sub-[0-9A-Za-z]+_citation\.\w+|calibration\.json"
)
_OWN_FOLDERS = re.compile(r"sub-.*|logs|calibration|\.work")
_LOOKED_AT = 50
"""Files of a folder that are asked whether they are DICOM."""


def require_out_dir(out_dir: Path, bids_dir: Path) -> None:
    """Refuse an output folder that holds anything that this program did not make, but for files within its own dataset.

    A folder that is not there or empty may be used, and one that an earlier run made. Concurrent first runs may be
    filling it: the description of the dataset is the first file in it.

    Raises
    ------
    CannotCreateOutputError
        If it holds something else.
    UsageError
        If input and output would mix.
    """
    _require_apart(out_dir, bids_dir)
    found = _foreign(out_dir, "derivative", bids_dir)
    if found is not None:
        raise CannotCreateOutputError(
            f"{out_dir}: {found}; expected a folder that is empty or not there, or one that bids_t1 made. "
            f"Name one of its own, such as {_suggested(out_dir)}."
        )
    if out_dir.is_relative_to(bids_dir) and out_dir.relative_to(bids_dir).parts[0] != "derivatives":
        LOG.warning("out_dir lies inside of bids_dir and not in its derivatives/, where BIDS expects it. Going on.")


def require_raw(raw: Path) -> None:
    """Refuse to convert scanner files into a dataset that this program did not convert.

    Raises
    ------
    CannotCreateOutputError
        If the folder holds something else.
    """
    found = _foreign(raw, "raw")
    if found is not None:
        raise CannotCreateOutputError(
            f"{raw}: is where DICOM files are converted to; {found}, expected a folder that is empty or not there, or "
            "one that bids_t1 made. Move it away, or choose another out_dir."
        )


def require_work_dir(work_dir: Path, out_dir: Path, bids_dir: Path) -> None:
    """Refuse a folder for intermediate files that is a dataset of somebody else, or lies in the input.

    Raises
    ------
    UsageError
        If it is such a folder.
    """
    if work_dir.is_relative_to(out_dir):
        return
    if _same_or_inside(work_dir, bids_dir):
        raise UsageError(f"--work-dir: {work_dir} lies in bids_dir, which is only read; expected another folder.")
    if os.path.lexists(work_dir / DESCRIPTION):
        raise UsageError(f"--work-dir: {work_dir} is a BIDS dataset; expected a folder for intermediate files.")


def _require_apart(out_dir: Path, bids_dir: Path) -> None:
    if _same(out_dir, bids_dir):
        raise UsageError(f"{out_dir}: is bids_dir, which is only read; expected another folder.")
    if out_dir.is_relative_to(bids_dir) and out_dir.relative_to(bids_dir).parts[0].startswith("sub-"):
        raise UsageError(
            f"{out_dir}: lies in the folder of a participant of bids_dir, which is only read; expected another folder, "
            f"such as {bids_dir / 'derivatives' / GENERATOR}."
        )
    if bids_dir.is_relative_to(out_dir) and _OWN_FOLDERS.fullmatch(bids_dir.relative_to(out_dir).parts[0]):
        raise UsageError(f"{bids_dir}: lies in what is written to out_dir; expected another out_dir.")


def _same(one: Path, other: Path) -> bool:
    """Tell whether two paths are of one folder, also where case does not count or it is mounted twice."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _same_or_inside(inner: Path, outer: Path) -> bool:
    return any(_same(folder, outer) for folder in (inner, *inner.parents))


def _foreign(folder: Path, dataset_type: str, bids_dir: Path | None = None) -> str | None:
    """Say what there is in a folder that this program did not make; None where there is nothing of the kind.

    BIDS lets derivatives hold the dataset that they were made of, in ``sourcedata``: the input may lie there.
    """
    if not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        return "is no folder"
    names = _names(folder)  # before the description is looked for: whoever makes the dataset begins with it
    if os.path.lexists(folder / DESCRIPTION):
        return _foreign_description(folder, dataset_type)
    others = [name for name in names if not _WITHOUT_DATA.fullmatch(name)]
    if all(map(_UNDESCRIBED.fullmatch, others)) and _only_own(folder, bids_dir):
        return None
    return _what_it_holds(folder, others)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise CannotCreateOutputError(
            f"{folder}: cannot be read ({error.strerror}); expected a folder that can be read and written."
        ) from error


def _only_own(folder: Path, bids_dir: Path | None) -> bool:
    """Tell whether logs and converted images in a folder are of this program, or the images its input."""
    logs = _names(folder / "logs") if (folder / "logs").is_dir() else []
    if not all(map(_OF_LOGS.fullmatch, logs)):
        return False
    if bids_dir is not None and bids_dir.is_relative_to(folder / "sourcedata"):
        return True
    source_data = _names(folder / "sourcedata") if (folder / "sourcedata").is_dir() else []
    return set(source_data) <= {"raw"} and _foreign(folder / "sourcedata" / "raw", "raw") is None


def _foreign_description(folder: Path, dataset_type: str) -> str | None:
    description = _read(folder / DESCRIPTION)
    if description is None:
        return f"holds a {DESCRIPTION} that cannot be read"
    generators = _generators(description)
    is_own = GENERATOR in generators
    if is_own and description.get("DatasetType", "raw") == dataset_type:
        return None
    if is_own:
        return "holds raw images that bids_t1 converted" if dataset_type == "derivative" else "holds derivatives"
    if generators or description.get("DatasetType") == "derivative":
        return f"holds derivatives of {', '.join(generators) or 'another program'}"
    return _RAW


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a description; None where it is none."""
    try:
        return read_json(path)
    except InvalidInputError:
        return None


def _generators(description: dict[str, Any]) -> list[str]:
    """Return the programs that made a dataset, in letters that a terminal can show."""
    listed = description.get("GeneratedBy")
    names = [entry.get("Name") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return ["".join(filter(str.isprintable, name))[:50] for name in names if isinstance(name, str)]


def _what_it_holds(folder: Path, names: Sequence[str]) -> str:
    """Say what kind of folder this is; its names may be those of persons, and are not repeated."""
    datasets = [name for name in names if os.path.lexists(folder / name / DESCRIPTION)]
    if datasets:
        return "holds datasets in folders of their own"
    if any(name.startswith("sub-") for name in names):
        return f"holds sub-* and no {DESCRIPTION}"
    if _has_dicom(folder / name for name in names):
        return "holds DICOM files"
    return f"holds {len(names)} files and folders that bids_t1 did not make"


def _has_dicom(paths: Iterable[Path]) -> bool:
    for path in islice((path for path in paths if path.is_file()), _LOOKED_AT):
        try:
            if is_dicom(path):
                return True
        except OSError:
            continue
    return False


def _suggested(out_dir: Path) -> Path:
    """Return a folder for the results: of several datasets the one that this program made."""
    if not out_dir.is_dir():
        return out_dir.parent / _OTHER
    if (out_dir / DESCRIPTION).is_file():
        is_raw = _foreign_description(out_dir, "derivative") == _RAW
        return out_dir / "derivatives" / GENERATOR if is_raw else out_dir.parent / _OTHER
    own = (out_dir / name for name in _names(out_dir) if (out_dir / name / DESCRIPTION).is_file())
    return next((path for path in own if _foreign_description(path, "derivative") is None), out_dir / GENERATOR)


def describe_output(settings: Settings) -> None:
    """Write the files at the root of the derivatives, by which later runs know whose they are."""
    write.describe_derivatives(settings.out_dir, _source_datasets(settings))


def raw_dataset(settings: Settings, *, converted: bool) -> Path:
    """Return the root of the raw dataset: the input itself, or what is converted from its DICOM files."""
    return settings.out_dir / "sourcedata" / "raw" if converted else settings.bids_dir


def _source_datasets(settings: Settings) -> dict[str, Path]:
    """Name the raw datasets that maps come from, as in the BIDS URIs of their sidecars.

    A folder of scanner files is not among them: it is no BIDS dataset, and its name may be that of a person.
    """
    converted = raw_dataset(settings, converted=True)
    named = {"raw": settings.bids_dir} if discover.holds_images(settings.bids_dir) else {}
    return named | ({"converted": converted} if converted.is_dir() and converted != settings.bids_dir else {})
