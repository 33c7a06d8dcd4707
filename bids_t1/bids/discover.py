"""Which participants and runs a raw BIDS dataset holds."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from bids_t1.bids.uni import is_denoised
from bids_t1.data.acquisition import Acquisition, RawFile, TransmitImages
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError, NothingSelectedError, UsageError
from bids_t1.data.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bids import BIDSLayout
    from bids.layout import BIDSImageFile

SEQUENCES = {"IRT1": "IRT1", "MP2RAGE": "MP2RAGE", "MP3RAGE": "MP2RAGE", "UNIT1": "MP2RAGE", "MEGRE": "MEGRE"}
"""Sequence of each suffix. MP3RAGE is no suffix of BIDS, which numbers any readouts of MP2RAGE by inv-, but in use."""

WITHIN_A_RUN = {
    "IRT1": ("inv", "part"),
    "MP2RAGE": ("inv", "part", "echo", "flip"),
    "MP3RAGE": ("inv", "part", "echo", "flip"),
    "MEGRE": ("echo", "part"),
}
"""Entities that tell the images of one run apart, by suffix."""

TRANSMIT_FIELDS = {
    "TB1map": (),
    "TB1TFL": ("anat", "famp"),
    "TB1AFI": ("tr1", "tr2"),
    "TB1DAM": (),
    "TB1SRGE": (),
    "TB1EPI": (),
}
"""Suffixes of measurements of the transmit field, and how acq- of their images begins where it tells them apart."""

WITHIN_A_MEASUREMENT = ("flip", "inv", "echo", "part")

NOT_RAW = ("sourcedata", "derivatives", "code", "models", r"\.[^/]+")
"""Folders at the root of a dataset that hold no raw images of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a raw dataset holds of one participant."""

    runs: tuple[Acquisition, ...]
    transmit_fields: tuple[TransmitImages, ...]
    """Measurements of the transmit field, of all sessions."""


def participants(dataset: Path) -> tuple[str, ...]:
    """Return the labels of the participants that have raw images."""
    folders = sorted(path for path in dataset.glob("sub-*") if path.is_dir())
    return tuple(path.name.removeprefix("sub-") for path in folders if _has_images(path, "*.nii*"))


def holds_images(dataset: Path) -> bool:
    """Tell whether any participant of a dataset has raw images, looking no further than the first."""
    return any(_has_images(path, "*.nii*") for path in dataset.glob("sub-*"))


def is_measured(dataset: Path, participant: str) -> bool:
    """Tell whether a participant has raw images of a sequence that is measured here."""
    return any(_has_images(dataset / f"sub-{participant}", f"*_{suffix}.nii*") for suffix in SEQUENCES)


def declared(dataset: Path) -> tuple[str, ...]:
    """Return the labels of all that is called as a participant's folder is, also a link to nothing or a file."""
    entries = sorted(path.name.removeprefix("sub-") for path in dataset.glob("sub-*"))
    return tuple(name for name in entries if not re.search(r"[_.]", name) or (dataset / f"sub-{name}").is_dir())


def _has_images(folder: Path, pattern: str) -> bool:
    """Tell whether a participant has such images in its folders of datatypes, within sessions or not."""
    return any(chain(folder.glob(f"*/{pattern}"), folder.glob(f"ses-*/*/{pattern}")))


def sessions(dataset: Path, participant: str) -> tuple[str, ...]:
    """Return the labels of the sessions of a participant of a raw dataset."""
    folders = sorted(path for path in (dataset / f"sub-{participant}").glob("ses-*") if path.is_dir())
    return tuple(path.name.removeprefix("ses-") for path in folders)


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


def find(
    dataset: Path,
    participant: str,
    *,
    sessions: Sequence[str] = (),
    filters: Mapping[str, Mapping[str, object]] | None = None,
    database: Path | None = None,
) -> Found:
    """Find the runs and the transmit fields of one participant.

    Only this participant's folder is indexed: the time does not grow with the dataset.

    Parameters
    ----------
    dataset
        Root of a raw BIDS dataset.
    participant
        Label without ``sub-``.
    sessions
        Labels of the sessions wanted; all where empty. Transmit fields are found in all sessions.
    filters
        For each suffix, pybids entities and the values they must have.
    database
        Folder of a saved pybids index to use instead.

    Raises
    ------
    InvalidInputError
        If a sidecar or a file name cannot be read.
    NothingSelectedError
        If there are images, and sessions leave none of any sequence, or a filter leaves none of its suffix.
    UsageError
        If a filter names an entity pybids does not know, or chooses participants or the suffix.
    """
    filters = filters or {}
    for suffix in (*SEQUENCES, *TRANSMIT_FIELDS):
        _require_own(filters.get(suffix, {}), participant, suffix)
    folder = dataset / f"sub-{participant}"
    there = [suffix for suffix in SEQUENCES if _has_images(folder, f"*_{suffix}.nii*")]
    if not there:
        return Found((), ())  # before pybids is asked, which would index any scanner files there one by one
    layout = _checked_layout(dataset, participant, database)
    files = {
        suffix: _images(layout, dataset, participant, _Choice(suffix, tuple(sessions), filters.get(suffix, {})))
        for suffix in there
    }
    if sessions and not any(files.values()):
        raise NothingSelectedError(
            f"sub-{participant}: has {', '.join(there)} images, but none in session {', '.join(sessions)}; expected "
            "some. Check --session-label."
        )
    of_fields = [
        file
        for suffix in TRANSMIT_FIELDS
        if _has_images(folder, f"*_{suffix}.nii*")
        for file in _images(layout, dataset, participant, _Choice(suffix, (), filters.get(suffix, {})))
    ]
    return Found(group_runs(files), group_transmit_images(of_fields))


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which images of one suffix are wanted."""

    suffix: str
    sessions: tuple[str, ...]
    entities: Mapping[str, object]

    @property
    def selection(self) -> dict[str, object]:
        """What there is besides participant and suffix, as pybids takes it."""
        return {**self.entities, **({"session": list(self.sessions)} if self.sessions else {})}


def _require_own(entities: Mapping[str, object], participant: str, suffix: str) -> None:
    own = {"subject": participant, "suffix": suffix}
    if any(value != own.get(key) for key, value in entities.items() if key in own):
        raise UsageError(
            f"--bids-filter-file: the filter of {suffix} names a subject or another suffix; expected other entities. "
            "Choose participants with --participant-label."
        )


def _images(layout: BIDSLayout, dataset: Path, participant: str, choice: _Choice) -> list[RawFile]:
    """Return the images of one suffix, by path; an error where its filter leaves none of them."""
    wanted = {"subject": participant, "suffix": choice.suffix, "extension": [".nii", ".nii.gz"]}
    try:
        images = layout.get(**wanted | choice.selection)
    except ValueError as error:
        reason = str(error).split(". ", maxsplit=1)[0]
        raise UsageError(f"--bids-filter-file: {reason}; expected entities such as acquisition or run.") from error
    unfiltered = _Choice(choice.suffix, choice.sessions, {}).selection
    if not images and choice.entities and layout.get(**wanted | unfiltered):
        raise NothingSelectedError(
            f"sub-{participant}: has {choice.suffix} images, but none with {json.dumps(choice.selection)}; "
            "expected some. Check --session-label and --bids-filter-file."
        )
    return [_raw_file(image, dataset) for image in sorted(images, key=lambda found: str(found.path))]


def _raw_file(image: BIDSImageFile, dataset: Path) -> RawFile:
    path = dataset / image.relpath
    name = BidsName.parse(path.name)
    return RawFile(path, name, Sidecar(str(name.having({}, extension=".json")), image.get_metadata()))


def group_runs(files: Mapping[str, Sequence[RawFile]]) -> tuple[Acquisition, ...]:
    """Put images into runs, by suffix: those whose names differ in nothing but the image within the run.

    UNIT1 images join the MP2RAGE readouts they were made from, and stand alone where there are none.
    """
    runs: dict[BidsName, list[RawFile]] = {}
    for suffix in SEQUENCES:
        for file in sorted(files.get(suffix, ()), key=lambda file: is_denoised(file.name)):
            stem = _stem(file.name)
            for run in [run for run in runs if _is_of(file.name, run)] or [stem]:
                runs.setdefault(run, []).append(file)
    found = [Acquisition(stem, tuple(group), SEQUENCES[stem.suffix]) for stem, group in runs.items()]
    return (*found, *(echoes for run in found if (echoes := _echoes_of_readout(run)) is not None))


def group_transmit_images(files: Sequence[RawFile]) -> tuple[TransmitImages, ...]:
    """Put images into measurements of the transmit field: those whose names differ in nothing but their role in it."""
    groups: dict[BidsName, list[RawFile]] = {}
    for file in files:
        groups.setdefault(_stem_of_measurement(file.name), []).append(file)
    return tuple(TransmitImages(stem, stem.suffix, tuple(group)) for stem, group in groups.items())


def _stem_of_measurement(name: BidsName) -> BidsName:
    """Return the name of the measurement an image belongs to: acq-tr1Test and acq-tr2Test are of acq-Test."""
    run, acquisition = name.index("run"), name.get("acq")
    for role in TRANSMIT_FIELDS[name.suffix]:
        acquisition = None if acquisition is None else acquisition.removeprefix(role) or None
    within: dict[str, str | None] = dict.fromkeys(WITHIN_A_MEASUREMENT)
    return name.having({**within, "acq": acquisition, "run": None if run is None else str(run)}, extension="")


def _echoes_of_readout(run: Acquisition) -> Acquisition | None:
    """Return the echoes of the last MP2RAGE readout that has several, as a multi-echo run of its own."""
    if run.sequence != "MP2RAGE":
        return None
    echoes: dict[int, set[int]] = {}
    for file in run.files:
        if file.name.get("echo") is not None:
            echoes.setdefault(file.name.index("inv") or 0, set()).add(file.name.index("echo") or 0)
    several = [inv for inv, found in echoes.items() if len(found) > 1]
    if not several:
        return None
    files = tuple(file for file in run.files if file.name.index("inv") == max(several))
    return Acquisition(run.name, files, "MEGRE")


def _stem(name: BidsName) -> BidsName:
    """Return the name of the run an image belongs to."""
    run = name.index("run")
    within = dict.fromkeys(WITHIN_A_RUN.get(name.suffix, ()))
    return name.having({**within, "run": None if run is None else str(run)}, extension="")


def _is_of(name: BidsName, run: BidsName) -> bool:
    """Tell whether an UNIT1 image was made from the readouts of a run; rec- counts where both names have it.

    A denoised one belongs to its run, or to the true UNIT1, whatever their rec-.
    """
    denoised = is_denoised(name)
    if name.suffix != "UNIT1" or SEQUENCES[run.suffix] != "MP2RAGE" or (run.suffix == "UNIT1" and not denoised):
        return False
    counts = not denoised and None not in {name.get("rec"), run.get("rec")}
    aside = {} if counts else {"rec": None}
    return _stem(name).having(aside).entities == run.having(aside).entities


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


def _checked_layout(dataset: Path, participant: str, database: Path | None) -> BIDSLayout:
    """Index a participant, and name the sidecar that cannot be read."""
    try:
        return _layout(dataset, participant, database)
    except (OSError, ValueError, TypeError) as error:
        broken = _broken_json(dataset, participant)
        if broken is None:
            raise InvalidInputError(f"{dataset}: pybids cannot index sub-{participant}: {error}") from error
        raise InvalidInputError(
            f"{broken.relative_to(dataset)}: is no JSON object; expected field names and values in braces. Correct it."
        ) from error


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
