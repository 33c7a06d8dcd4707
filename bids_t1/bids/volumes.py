"""What the protocol file says of the images of a run, put behind their sidecars; volumes of one file told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bids_t1.bids.images import count_volumes
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.groups import grouped_by
from bids_t1.data.sequences import sequence_of
from bids_t1.data.sidecar import PLAUSIBLE, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bids_t1.data.acquisition import Acquisition, RawFile
    from bids_t1.data.protocol import Protocol

SAME_TIME = 0.0005
"""Times closer than this are the same: headers and protocols round them [s]."""

ALL_OF = {"InversionTimes": "InversionTime"}
"""Fields that hold what another one does, for all images."""


def completed(acquisition: Acquisition, protocol: Protocol | None) -> Acquisition:
    """Return a run of curves with one entry for each image, and behind each sidecar what the protocol file says of it.

    A list of it holds one value per image, in the order of their numbers, and of the volumes of a file; where both
    sidecars and list have what tells images apart, that order counts among equal ones only.

    Raises
    ------
    InvalidInputError
        If a list is not as long as there are images, or a file has other volumes than its list.
    """
    sequence = sequence_of(acquisition.sequence)
    table = None if protocol is None else protocol.of(sequence.name)
    run = unfold(acquisition, sequence.varying, table)
    if table is None:
        return run
    told: dict[int, RawFile] = {}
    for files in grouped_by(run.files, lambda file: file.name.get("part")).values():
        ordered = sorted(files, key=lambda file: (file.name.index(sequence.numbered_by) or 0, file.volume or 0))
        tables = _of_each(ordered, table, sequence.varying)
        told |= {id(file): _behind(file, own) for file, own in zip(ordered, tables, strict=True)}
    return replace(run, files=tuple(told[id(file)] for file in run.files))


def completed_whole(files: Iterable[RawFile], protocol: Protocol, table: str) -> tuple[RawFile, ...]:
    """Return images with a table of the protocol file behind their sidecars, lists of it left as they are."""
    behind = protocol.of(table)
    return tuple(files) if behind is None else tuple(_behind(file, behind) for file in files)


def _behind(file: RawFile, table: Sidecar) -> RawFile:
    behind = replace(table, origin=f"protocol file {table.name}")
    return replace(file, sidecar=replace(file.sidecar, behind=behind))


def unfold(acquisition: Acquisition, varying: str, table: Sidecar | None = None) -> Acquisition:
    """Return a run with one entry for each volume of its files, where a list tells the time of each.

    Files of one volume, and those without a list, stay as they are.

    Parameters
    ----------
    acquisition
        The run.
    varying
        Field that tells its images apart.
    table
        Of the protocol file, whose list counts where a sidecar has none: one number, that of the first volume, is what
        converters leave of many.

    Raises
    ------
    InvalidInputError
        If a list is not as long as its file has volumes.
    """
    listed = () if table is None else table.numbers(varying) or ()
    files = [one for file in acquisition.files for one in _volumes(file, varying, listed)]
    return replace(acquisition, files=tuple(files))


def _volumes(file: RawFile, varying: str, listed: Sequence[float]) -> list[RawFile]:
    fields = {ALL_OF.get(key, key): value for key, value in _known(file.sidecar).items() if key in PLAUSIBLE}
    own = fields.get(varying)
    times = own if isinstance(own, list | tuple) else listed
    n_volumes = count_volumes(file.path) if file.volume is None and len(times) > 1 else 1
    if n_volumes == 1:
        return [file]
    if len(times) != n_volumes:
        where = file.sidecar.name if times is own else "the protocol file"
        raise InvalidInputError(
            f"{where}: {varying} has {len(times)} numbers and {file.path.name} {n_volumes} volumes; expected one "
            "number per volume. Correct it."
        )
    return _split(file, fields, varying, n_volumes)


def _split(file: RawFile, fields: Mapping[str, object], varying: str, n_volumes: int) -> list[RawFile]:
    """Return each volume of a file, with its own value of those fields that hold one for each.

    What varies and is one number is that of the first volume alone.
    """
    lists = {key: value for key, value in fields.items() if isinstance(value, list | tuple) and len(value) == n_volumes}
    others = {key: value for key, value in file.sidecar.fields.items() if ALL_OF.get(key, key) not in {*lists, varying}}
    return [
        replace(
            file,
            volume=index,
            sidecar=Sidecar(
                f"{file.sidecar.name}, volume {index + 1}",
                {**others, **{key: value[index] for key, value in lists.items()}},
            ),
        )
        for index in range(n_volumes)
    ]


def _of_each(files: Sequence[RawFile], table: Sidecar, varying: str) -> list[Sidecar]:
    """Return what a table says of each image: its own value of those fields that hold a list."""
    lists = {key: _one_each(table, key, len(files)) for key in table.fields if key in PLAUSIBLE}
    return [
        replace(table, fields={**table.fields, **{key: values[place] for key, values in lists.items()}})
        for place in _places(files, table, varying)
    ]


def _one_each(table: Sidecar, key: str, n_images: int) -> tuple[float, ...]:
    values = table.numbers(key) or ()
    if len(values) not in {1, n_images}:
        raise InvalidInputError(
            f"{table.name}: {key} has {len(values)} values, and the run {n_images} images; expected one for each "
            "of them, in the order of their numbers."
        )
    return values * n_images if len(values) == 1 else values


def _places(files: Sequence[RawFile], table: Sidecar, varying: str) -> list[int]:
    """Return where in the lists of a table each image stands: by its own time, and by order among equal ones."""
    listed = table.numbers(varying) or ()
    own = [_known(file.sidecar).get(varying) for file in files]
    completes = PLAUSIBLE.keys() & table.fields.keys() - {varying}
    if not completes or len(listed) != len(files) or not all(isinstance(time, int | float) for time in own):
        return list(range(len(files)))
    free = dict(enumerate(listed))
    places = []
    for time, file in zip(own, files, strict=True):
        place = _place_of(float(str(time)), free)
        if place is None:
            raise InvalidInputError(
                f"{file.sidecar.name}: {varying} is {time}, which {table.name} does not list ({listed}); expected the "
                "times of the images in both. Correct one of them."
            )
        del free[place]
        places.append(place)
    return places


def _place_of(time: float, listed: Mapping[int, float]) -> int | None:
    """Return the first place of a time in a list."""
    return next((place for place, other in listed.items() if abs(other - time) < SAME_TIME), None)


def _known(sidecar: Sidecar) -> Mapping[str, object]:
    """Return the fields of a sidecar; none of one that cannot be read, which is told when its fields are needed."""
    try:
        return dict(sidecar.fields)
    except InvalidInputError:
        return {}
