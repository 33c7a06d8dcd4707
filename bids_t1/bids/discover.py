"""Which participants and runs a raw BIDS dataset holds."""

from __future__ import annotations

import json
import re
import warnings
from itertools import chain
from typing import TYPE_CHECKING

from bids_t1.data.acquisition import Acquisition, RawFile
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError, NothingSelectedError, UsageError
from bids_t1.data.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bids import BIDSLayout

NOT_RAW = ("sourcedata", "derivatives", "code", "models", r"\.[^/]+")
"""Folders at the root of a dataset that hold no raw images of it."""


def participants(dataset: Path) -> tuple[str, ...]:
    """Return the labels of the participants that have raw images."""
    folders = sorted(path for path in dataset.glob("sub-*") if path.is_dir())
    return tuple(path.name.removeprefix("sub-") for path in folders if _has_images(path, "*.nii*"))


def _has_images(folder: Path, pattern: str) -> bool:
    """Tell whether a participant has such images in its folders of datatypes, within sessions or not."""
    return any(chain(folder.glob(f"*/{pattern}"), folder.glob(f"ses-*/*/{pattern}")))


def read_filters(path: Path | None) -> dict[str, dict[str, object]]:
    """Read a filter file: for each suffix, pybids entities and the values they must have.

    Raises
    ------
    UsageError
        If the file cannot be read or is not a table of tables.
    """
    if path is None:
        return {}
    example = '{"IRT1": {"acquisition": "gold"}}'
    try:
        filters = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error}); expected something like {example}.") from error
    if not isinstance(filters, dict) or not all(isinstance(value, dict) for value in filters.values()):
        raise UsageError(
            f"{path}: holds no table of tables; expected entities and values for each suffix, such as {example}."
        )
    return filters


def find_acquisitions(  # noqa: PLR0913 - what to look in, and four ways to choose
    dataset: Path,
    participant: str,
    suffix: str,
    *,
    sessions: Sequence[str] = (),
    filters: Mapping[str, Mapping[str, object]] | None = None,
    database: Path | None = None,
) -> tuple[Acquisition, ...]:
    """Find the runs of one sequence of one participant.

    Only this participant's folder is indexed: the time does not grow with the dataset.

    Parameters
    ----------
    dataset
        Root of a raw BIDS dataset.
    participant
        Label without ``sub-``.
    suffix
        Suffix of the images, such as IRT1.
    sessions
        Labels of the sessions wanted; all where empty.
    filters
        For each suffix, pybids entities and the values they must have.
    database
        Folder of a saved pybids index to use instead.

    Raises
    ------
    InvalidInputError
        If a sidecar or a file name cannot be read.
    NothingSelectedError
        If there are images, and sessions and filters leave none of them.
    UsageError
        If a filter names an entity pybids does not know, or chooses participants or the suffix.
    """
    wanted: dict[str, object] = {"subject": participant, "suffix": suffix, "extension": [".nii", ".nii.gz"]}
    selection = dict((filters or {}).get(suffix, {}))
    if {"subject", "suffix"} & {key for key, value in selection.items() if value != wanted.get(key)}:
        raise UsageError(
            f"--bids-filter-file: the filter of {suffix} names a subject or another suffix; expected other entities. "
            "Choose participants with --participant-label."
        )
    if sessions:
        selection["session"] = list(sessions)
    if not _has_images(dataset / f"sub-{participant}", f"*_{suffix}.nii*"):
        return ()  # before pybids is asked, which would index any scanner files there one by one
    try:
        layout = _layout(dataset, participant, database)
    except (OSError, ValueError, TypeError) as error:
        broken = _broken_json(dataset, participant)
        if broken is None:
            raise InvalidInputError(f"{dataset}: pybids cannot index sub-{participant}: {error}") from error
        raise InvalidInputError(
            f"{broken.relative_to(dataset)}: is no JSON object; expected field names and values in braces. Correct it."
        ) from error
    try:
        images = layout.get(**wanted | selection)
    except ValueError as error:
        reason = str(error).split(". ", maxsplit=1)[0]
        raise UsageError(f"--bids-filter-file: {reason}; expected entities such as acquisition or run.") from error
    if not images and selection and layout.get(**wanted):
        raise NothingSelectedError(
            f"sub-{participant}: has {suffix} images, but none with {json.dumps(selection)}; expected some. "
            "Check --session-label and --bids-filter-file."
        )
    groups: dict[BidsName, list[RawFile]] = {}
    for image in sorted(images, key=lambda found: str(found.path)):
        path = dataset / image.relpath
        name = BidsName.parse(path.name)
        fields = image.get_metadata()
        raw = RawFile(path, name, Sidecar(str(name.having({}, extension=".json")), fields))
        run = name.index("run")
        stem = name.having({"inv": None, "part": None, "run": None if run is None else str(run)}, extension="")
        groups.setdefault(stem, []).append(raw)
    return tuple(Acquisition(stem, tuple(files)) for stem, files in groups.items())


def require(found: Sequence[str], wanted: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the labels to process: those wanted, or all that were found.

    Raises
    ------
    NothingSelectedError
        If a wanted label is not there.
    """
    missing = [label for label in wanted if label not in found]
    if missing:
        listed = ", ".join(found[:20]) + (", ..." if len(found) > 20 else "")  # noqa: PLR2004
        raise NothingSelectedError(
            f"{what} {', '.join(missing)}: not in the dataset, which has {listed or 'none'}. Check the label."
        )
    return tuple(dict.fromkeys(wanted)) if wanted else tuple(found)


def _broken_json(dataset: Path, participant: str) -> Path | None:
    """Find the sidecar that pybids stumbled over, which it does not always name."""
    for path in sorted(chain(dataset.glob("*.json"), (dataset / f"sub-{participant}").glob("**/*.json"))):
        try:
            if not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
                return path
        except (OSError, ValueError):
            return path
    return None


def _layout(dataset: Path, participant: str, database: Path | None) -> BIDSLayout:
    from bids import BIDSLayout, BIDSLayoutIndexer  # noqa: PLC0415 - takes half a second, which --help must not

    others = re.compile(rf"^/?(sub-(?!{re.escape(participant)}(/|$))[^/]*|{'|'.join(NOT_RAW)})(/|$)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pybids warns of its own future; findings are errors of ours
        return BIDSLayout(
            dataset,
            validate=False,
            database_path=database,
            indexer=None if database is not None else BIDSLayoutIndexer(validate=False, ignore=[others]),
        )
