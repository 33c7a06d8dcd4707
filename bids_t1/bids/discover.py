"""Which participants and runs a raw BIDS dataset holds."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING

from bids_t1.bids.contents import EXTENSIONS, Contents, look, require_own
from bids_t1.bids.metadata import Metadata
from bids_t1.bids.uni import is_denoised
from bids_t1.data.acquisition import Acquisition, RawFile, TransmitImages
from bids_t1.data.entities import BidsName, strip_label
from bids_t1.data.errors import InvalidInputError, NothingSelectedError, UsageError
from bids_t1.data.groups import grouped_by
from bids_t1.data.sequences import BY_SUFFIX, MP2RAGE, MULTI_ECHO, REFERENCES, TRANSMIT_METHODS, sequence_of
from bids_t1.data.sidecar import Sidecar, brief
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bids import BIDSLayout
    from bids.layout import BIDSImageFile

    from bids_t1.bids.contents import LeftOut

ROLES = {method.suffix: method.roles for method in TRANSMIT_METHODS}
"""How acq- of the images of a measurement of the transmit field begins where it tells them apart, by suffix."""

WITHIN_A_MEASUREMENT = ("flip", "inv", "echo", "part")

SUFFIXES = (*BY_SUFFIX, *ROLES)
"""Of all images that are read here."""

ARGUMENTS_OF_PYBIDS = frozenset({"return_type", "target", "scope", "absolute_paths", "invalid_filters"})
"""What a filter must not set: they say how pybids answers, not which files are wanted."""

NO_CONFIGURATION = ".bids_t1-none"
"""In place of layout_config.json, which pybids would open in any folder without asking what it is."""

LARGEST_LABEL = 2**53
"""No number of an entity or of metadata that chooses images is larger; the index could not hold it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a raw dataset holds of one participant."""

    runs: tuple[Acquisition, ...]
    transmit_fields: tuple[TransmitImages, ...]
    """Measurements of the transmit field, of all sessions."""

    warnings: tuple[str, ...] = ()
    """Of files that are left out and belong to no run that was found."""


def participants(dataset: Path) -> tuple[str, ...]:
    """Return the labels of the participants that have raw images."""
    folders = sorted(path for path in dataset.glob("sub-*") if path.is_dir())
    return tuple(path.name.removeprefix("sub-") for path in folders if _has_images(path, "*.nii*"))


def holds_images(dataset: Path) -> bool:
    """Tell whether any participant of a dataset has raw images, looking no further than the first."""
    return any(_has_images(path, "*.nii*") for path in dataset.glob("sub-*"))


def is_measured(dataset: Path, participant: str) -> bool:
    """Tell whether a participant has raw images of a sequence that is measured here."""
    return any(_has_images(dataset / f"sub-{participant}", f"*_{suffix}.nii*") for suffix in BY_SUFFIX)


def is_meant(dataset: Path, participant: str) -> bool:
    """Tell whether a participant has files that are called almost as images of a sequence that is measured here."""
    folder = dataset / f"sub-{participant}"
    try:
        return folder.is_dir() and any(
            one.suffix in BY_SUFFIX and one.path.suffix != ".json" for one in look(folder, SUFFIXES).left_out
        )
    except InvalidInputError:  # of a folder that cannot be listed nothing is known
        return False


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
        If the file cannot be read, is not a table of tables, or holds values that no entity has.
    """
    if path is None:
        return {}
    example = f'{{"{REFERENCES[0]}": {{"acquisition": "gold"}}}}'
    try:
        filters = read_json(path, str(path))
    except InvalidInputError as error:
        raise UsageError(
            f"{error} A filter file holds entities and values for each suffix, such as {example}."
        ) from error
    for suffix, entities in filters.items():
        if not isinstance(entities, dict):
            raise UsageError(
                f"{path}: {brief(suffix)} is {brief(entities)}; expected entities and values for each suffix, such as "
                f"{example}."
            )
        for key, value in entities.items():
            _check_filter(f"{path} [{suffix}]", key, value)
    return filters


def _check_filter(where: str, key: str, value: object) -> None:
    """Refuse what would choose no files but how pybids looks for them, and values that no name can have."""
    if key in ARGUMENTS_OF_PYBIDS:
        raise UsageError(f"{where}: {brief(key)} is no entity; expected entities such as acquisition or run.")
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, list | dict) or (isinstance(one, int | float) and not abs(one) < LARGEST_LABEL):
            raise UsageError(
                f"{where}: {brief(key)} is {brief(value)}; expected a label, a number, null, or a list of them."
            )


def find(
    dataset: Path,
    participant: str,
    *,
    sessions: Sequence[str] = (),
    filters: Mapping[str, Mapping[str, object]] | None = None,
    database: Path | None = None,
) -> Found:
    """Find the runs and the transmit fields of one participant.

    Only images of this participant are indexed: the time grows neither with the dataset nor with what lies beside them.
    A sidecar that cannot be read is told when somebody asks for what it holds.

    Parameters
    ----------
    dataset
        Root of a raw BIDS dataset.
    participant
        Label without ``sub-``.
    sessions
        Labels of the sessions wanted; all where empty. Transmit fields are found in all sessions.
    filters
        For each suffix, pybids entities, or fields of the metadata, and the values they must have.
    database
        Folder of a saved pybids index to use instead.

    Raises
    ------
    InvalidInputError
        If a label or a file name is not that of BIDS, or images of another participant or session lie here.
    NothingSelectedError
        If there are images, and sessions leave none of any sequence, or a filter leaves none of its suffix.
    UsageError
        If a filter names an entity pybids does not know, or chooses participants or the suffix.
    """
    filters = filters or {}
    for suffix in SUFFIXES:
        _require_own(filters.get(suffix, {}), participant, suffix)
    folder = dataset / f"sub-{strip_label('sub', participant)}"
    contents = look(folder, SUFFIXES) if folder.is_dir() else Contents((), (), ())
    there = contents.held(BY_SUFFIX)
    left_out = _left_out(contents, folder, sessions)
    if not there:
        return Found((), (), tuple(map(str, left_out)))  # before pybids is asked, which would index what lies there
    require_own(contents.images, folder)
    with closing(_Index(dataset, participant, database)) as index:
        files = {suffix: index.images(_Choice(suffix, tuple(sessions), filters.get(suffix, {}))) for suffix in there}
        of_fields = [index.images(_Choice(suffix, (), filters.get(suffix, {}))) for suffix in contents.held(ROLES)]
    if sessions and not any(files.values()):
        raise NothingSelectedError(
            f"sub-{participant}: has {', '.join(there)} images, but none in session {', '.join(sessions)}; expected "
            "some. Check --session-label."
        )
    runs = group_runs(files)
    told = tuple(replace(run, warnings=_missed(run, contents.images, left_out)) for run in runs)
    warnings = (*_of_no_run(left_out, runs), *_strays(runs))
    return Found(told, group_transmit_images(chain.from_iterable(of_fields)), warnings)


def _left_out(contents: Contents, folder: Path, sessions: Sequence[str]) -> list[LeftOut]:
    return [one for one in contents.left_out if not sessions or _session(one.path, folder) in sessions]


def _of_no_run(left_out: Sequence[LeftOut], runs: Sequence[Acquisition]) -> list[str]:
    return [str(one) for one in left_out if not any(_belongs(one, run) for run in runs)]


def _session(path: Path, folder: Path) -> str | None:
    first = path.relative_to(folder).parts[0]
    return first.removeprefix("ses-") if first.startswith("ses-") else None


def _belongs(one: LeftOut, run: Acquisition) -> bool:
    """Tell whether a file that is left out would be an image of a run, were it called and complete as it should be."""
    return (
        one.name is not None
        and one.name.suffix in BY_SUFFIX
        and (_stem(one.name) == run.name or _is_of(one.name, run.name))
    )


def _missed(run: Acquisition, images: Sequence[Path], left_out: Sequence[LeftOut]) -> tuple[str, ...]:
    """Tell what the names in a folder let expect of a run and what is not there: a filter's choice is no loss."""
    lost = [one for one in left_out if _belongs(one, run)]
    sequence = sequence_of(run.sequence)
    if not sequence.may_have_gaps:  # they are refused
        return tuple(map(str, lost))
    key = sequence.numbered_by
    names = [name for path in images if _stem(name := BidsName.parse(path.name)) == run.name]
    told = {one.name.get(key) for one in lost if one.name is not None}
    return (*map(str, lost), *_gaps(run.name, key, names, told), *_lone_parts(run.name, key, names))


def _gaps(run: BidsName, key: str, names: Sequence[BidsName], told: Container[str | None]) -> Iterator[str]:
    """Tell of numbers that are left out, where they count: numbers without 1 and far apart may be times."""
    labels = {label for name in names if (label := name.get(key)) is not None}
    words = sorted(label for label in labels if not label.isdecimal())
    if words:
        of_them = ", ".join(f"{key}-{word}" for word in words)
        yield f"{run}: has {of_them}; expected a number in its place, as BIDS asks. Used all the same: rename it."
    else:
        yield from _missing(run, key, sorted(set(map(int, labels))), told)


def _missing(run: BidsName, key: str, numbers: Sequence[int], told: Container[str | None]) -> Iterator[str]:
    gaps = [range(one + 1, next_one) for one, next_one in pairwise([0, *numbers]) if next_one > one + 1]
    are_times = 1 not in numbers and sum(map(len, gaps)) > len(numbers)
    if not are_times and any(str(number) not in told for number in chain.from_iterable(gaps)):
        there = ", ".join(f"{key}-{number}" for number in numbers)
        lost = ", ".join(_called(key, gap) for gap in gaps)
        yield f"{run}: has {there} and lacks {lost}; measured from what is there. Are there more images? Copy them."


def _called(key: str, numbers: range) -> str:
    first, last = f"{key}-{numbers[0]}", f"{key}-{numbers[-1]}"
    return first if first == last else f"{first} to {last}"


def _lone_parts(run: BidsName, key: str, names: Sequence[BidsName]) -> Iterator[str]:
    """Tell of parts that one image of a run has and others lack: images of that part are not used."""
    parts: dict[str | None, set[str]] = {}
    for name in names:
        parts.setdefault(name.get(key), set()).add(name.get("part") or "mag")
    most = Counter(frozenset(found) for found in parts.values()).most_common(1)
    for label, found in parts.items():
        if most and found != most[0][0]:
            yield (
                f"{run}: {key}-{label} has {_listed_parts(found - most[0][0])} that others lack, and lacks "
                f"{_listed_parts(most[0][0] - found)} that others have; what is not there of every image is not used. "
                "Copy or convert the missing images."
            )


def _listed_parts(parts: Iterable[str]) -> str:
    return ", ".join(f"part-{part}" for part in sorted(parts)) or "nothing"


def _strays(runs: Sequence[Acquisition]) -> Iterator[str]:
    """Tell of UNIT1 images that stand alone beside readouts without one, and in what their names differ."""
    without_uni = [run for run in runs if run.sequence == MP2RAGE.name and not _has_uni(run)]
    for uni, run in product((run for run in runs if run.name.suffix == "UNIT1"), without_uni):
        if run.name.get("ses") == uni.name.get("ses"):
            keys = {f"{key}-" for key, _ in set(uni.name.entities) ^ set(run.name.entities)}
            differ = ", ".join(sorted(keys - {"rec-"}))
            yield (
                f"{uni.name}: stands alone, as its name differs from {run.name} in {differ}; "
                f"expected the same {differ} in both, if it was made from them. Rename it."
            )


def _has_uni(run: Acquisition) -> bool:
    return any(file.name.suffix == "UNIT1" for file in run.files)


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


class _Index:
    """What pybids knows of one participant: names from its folder, or names and metadata from a saved index."""

    def __init__(self, dataset: Path, participant: str, database: Path | None) -> None:
        self._dataset = dataset
        self._participant = participant
        self._layout = _layout(dataset / f"sub-{participant}") if database is None else _saved(dataset, database)
        self._metadata = Metadata(dataset) if database is None else None

    def close(self) -> None:
        """Let go of the index, which pybids 0.22 remembers with the 127 before it: 0.8 MB each."""
        from bids.layout.db import ConnectionManager  # noqa: PLC0415 - loaded with the layout
        from bids.layout.models import BIDSFile  # noqa: PLC0415 - likewise

        self._layout.session.close()
        for remembering in (type(self._layout).config, BIDSFile.relpath, ConnectionManager.layout_info):
            if forget := getattr(getattr(remembering, "fget", None), "cache_clear", None):
                forget()

    def images(self, choice: _Choice) -> list[RawFile]:
        """Return the images of one suffix, by path; an error where its filter leaves none of them."""
        found = self._chosen(choice)
        if not found and choice.entities and self._chosen(_Choice(choice.suffix, choice.sessions, {})):
            raise NothingSelectedError(
                f"sub-{self._participant}: has {choice.suffix} images, but none with {brief(choice.selection)}; "
                "expected some. Check --session-label and --bids-filter-file."
            )
        return found

    def _chosen(self, choice: _Choice) -> list[RawFile]:
        known = set(self._layout.get_entities())
        by_name = {key: value for key, value in choice.selection.items() if key in known or key == "regex_search"}
        by_field = {key: value for key, value in choice.selection.items() if key not in by_name}
        files = [self._raw_file(image) for image in self._query({"suffix": choice.suffix, **by_name})]
        for key, value in by_field.items():
            files = _having(files, key, value)
        return files

    def _query(self, entities: Mapping[str, object]) -> list[BIDSImageFile]:
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as heavy as pybids

        wanted = {"subject": self._participant, "extension": list(EXTENSIONS), **entities}
        if self._metadata is not None:
            del wanted["subject"]  # there are no others in the folder, and pybids would read it from folders above too
        try:
            return sorted(self._layout.get(**wanted), key=lambda found: str(found.path))
        except (ValueError, TypeError, ArithmeticError, AttributeError, SQLAlchemyError) as error:
            raise UsageError(
                f"--bids-filter-file: pybids cannot look for {brief(dict(entities))} ({brief(str(error))}); expected "
                "entities such as acquisition or run, and labels."
            ) from error

    def _raw_file(self, image: BIDSImageFile) -> RawFile:
        if self._metadata is not None:
            path = self._dataset / f"sub-{self._participant}" / image.relpath
            name = BidsName.parse(path.name)
            return RawFile(path, name, self._metadata.of(path, name))
        path = self._dataset / image.relpath
        name = BidsName.parse(path.name)
        return RawFile(path, name, Sidecar(str(name.having({}, extension=".json")), image.get_metadata()))


def _having(files: Sequence[RawFile], key: str, value: object) -> list[RawFile]:
    """Return the files whose metadata have a value, or one of a list."""
    if files and not any(key in file.sidecar.fields for file in files):
        raise UsageError(
            f"--bids-filter-file: {brief(key)} is not a recognized entity; expected entities such as acquisition or "
            "run, or a field of the sidecars."
        )
    wanted = value if isinstance(value, list) else [value]
    return [file for file in files if file.sidecar.fields.get(key) in wanted]


def group_runs(files: Mapping[str, Sequence[RawFile]]) -> tuple[Acquisition, ...]:
    """Put images into runs, by suffix: those whose names differ in nothing but the image within the run.

    UNIT1 images join the MP2RAGE readouts they were made from, and stand alone where there are none.
    """
    runs: dict[BidsName, list[RawFile]] = {}
    for suffix in BY_SUFFIX:
        for file in sorted(files.get(suffix, ()), key=lambda file: is_denoised(file.name)):
            stem = _stem(file.name)
            for run in [run for run in runs if _is_of(file.name, run)] or [stem]:
                runs.setdefault(run, []).append(file)
    found = [Acquisition(stem, tuple(group), BY_SUFFIX[stem.suffix].name) for stem, group in runs.items()]
    return (*found, *(echoes for run in found if (echoes := _echoes_of_readout(run)) is not None))


def group_transmit_images(files: Iterable[RawFile]) -> tuple[TransmitImages, ...]:
    """Put images into measurements of the transmit field: those whose names differ in nothing but their role in it."""
    groups = grouped_by(files, lambda file: _stem_of_measurement(file.name))
    return tuple(TransmitImages(stem, stem.suffix, tuple(group)) for stem, group in groups.items())


def _stem_of_measurement(name: BidsName) -> BidsName:
    """Return the name of the measurement an image belongs to: acq-tr1Test and acq-tr2Test are of acq-Test."""
    run, acquisition = name.index("run"), name.get("acq")
    for role in ROLES[name.suffix]:
        acquisition = None if acquisition is None else acquisition.removeprefix(role) or None
    within: dict[str, str | None] = dict.fromkeys(WITHIN_A_MEASUREMENT)
    return name.having({**within, "acq": acquisition, "run": None if run is None else str(run)}, extension="")


def _echoes_of_readout(run: Acquisition) -> Acquisition | None:
    """Return the echoes of the last MP2RAGE readout that has several, as a multi-echo run of its own."""
    several = _with_echoes(run)
    if run.sequence != MP2RAGE.name or not several:
        return None
    files = tuple(file for file in run.files if file.name.index("inv") == max(several))
    return Acquisition(run.name, files, MULTI_ECHO.name)


def _with_echoes(run: Acquisition) -> list[int]:
    """Return the numbers of the readouts with several echoes."""
    numbered = {(file.name.index("inv") or 0, file.name.index("echo")) for file in run.files if file.name.get("echo")}
    return [inv for inv, n_echoes in Counter(inv for inv, _ in numbered).items() if n_echoes > 1]


def _stem(name: BidsName) -> BidsName:
    """Return the name of the run an image belongs to."""
    run = name.index("run")
    within = dict.fromkeys(BY_SUFFIX[name.suffix].suffixes[name.suffix] if name.suffix in BY_SUFFIX else ())
    return name.having({**within, "run": None if run is None else str(run)}, extension="")


def _is_of(name: BidsName, run: BidsName) -> bool:
    """Tell whether an UNIT1 image was made from the readouts of a run; rec- counts where both names have it.

    A denoised one belongs to its run, or to the true UNIT1, whatever their rec-.
    """
    denoised = is_denoised(name)
    if name.suffix != "UNIT1" or BY_SUFFIX[run.suffix] is not MP2RAGE or (run.suffix == "UNIT1" and not denoised):
        return False
    counts = not denoised and None not in {name.get("rec"), run.get("rec")}
    aside = {} if counts else {"rec": None}
    return _stem(name).having(aside).entities == run.having(aside).entities


def alike(labels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the labels that differ in upper and lower case only, together."""
    return tuple(tuple(group) for group in grouped_by(labels, str.casefold).values() if len(group) > 1)


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


def _layout(folder: Path) -> BIDSLayout:
    """Index the names of the images of a participant, and nothing else that lies there."""
    from bids import BIDSLayout, BIDSLayoutIndexer  # noqa: PLC0415 - takes half a second, which --help must not

    image = rf"[^/]+_({'|'.join(SUFFIXES)})\.nii(\.gz)?"
    others = re.compile(rf"^/(?!(ses-[^/]+/)?[^/]+(/{image})?$)", re.DOTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pybids warns of its own future; findings are errors of ours
        return BIDSLayout(
            folder,
            validate=False,
            config=["bids", "derivatives"],
            indexer=BIDSLayoutIndexer(
                validate=False, index_metadata=False, ignore=[others], config_filename=NO_CONFIGURATION
            ),
        )


def _saved(dataset: Path, database: Path) -> BIDSLayout:
    """Open a saved index of pybids."""
    from bids import BIDSLayout  # noqa: PLC0415 - takes half a second, which --help must not
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as heavy as pybids

    description = dataset / "dataset_description.json"
    if os.path.lexists(description):
        read_json(description)  # pybids opens it without asking what it is
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return BIDSLayout(dataset, validate=False, database_path=database)
    except (SQLAlchemyError, AttributeError, OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"--bids-database-dir {database}: is no index of pybids that can be read ({type(error).__name__}); "
            "expected one that pybids saved. Make it again, or go on without."
        ) from error
