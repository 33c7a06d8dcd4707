"""What the protocol file says of the images of a run, put behind their sidecars; volumes of one file told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bids_t1.bids.images import count_volumes
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.groups import grouped_by
from bids_t1.data.sequences import sequence_of
from bids_t1.data.sidecar import PLAUSIBLE, Sidecar, finite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bids_t1.data.acquisition import Acquisition, RawFile
    from bids_t1.data.protocol import Protocol
    from bids_t1.data.sequences import PulseSequence

SAME_TIME = 0.0005
"""Times closer than this are the same: headers and protocols round them [s]."""

ALL_OF = {"InversionTimes": "InversionTime"}
"""Fields that hold what another one does, for all images."""


def completed(acquisition: Acquisition, protocol: Protocol | None) -> Acquisition:
    """Return a run of curves with one entry for each image, and behind each sidecar what the protocol file says of it.

    A list of it holds one value per image, in the order of their numbers, and of the volumes of a file, whatever parts
    there are of each; where both sidecars and list have what tells images apart, that order counts among equal ones
    only. A list of what the sidecars of all images have completes nothing, and may be as long as it likes.

    Raises
    ------
    InvalidInputError
        If a list that is needed is not as long as there are images, or a file has other volumes than its list.
    """
    sequence = sequence_of(acquisition.sequence)
    table = None if protocol is None else protocol.of(sequence.name)
    run = unfold(acquisition, sequence.varying, table)
    if table is None:
        return run
    told: dict[int, RawFile] = {}
    numbers = sorted({_number_in(file, sequence) for file in run.files})
    for files in grouped_by(run.files, lambda file: file.name.get("part")).values():
        order = [numbers.index(_number_in(file, sequence)) for file in files]
        tables = _of_each(files, table, sequence.varying, order, len(numbers))
        told |= {id(file): _behind(file, own) for file, own in zip(files, tables, strict=True)}
    completed_files = tuple(told[id(file)] for file in run.files)
    return replace(run, files=completed_files, warnings=(*run.warnings, *_differences(completed_files)))


def _number_in(file: RawFile, sequence: PulseSequence) -> tuple[int, int]:
    return file.name.index(sequence.numbered_by) or 0, file.volume or 0


def _differences(files: Iterable[RawFile]) -> Iterator[str]:
    """Say once for each field where sidecars and the protocol file tell different numbers."""
    told: set[str] = set()
    for file in files:
        behind = _known(file.sidecar.behind) if file.sidecar.behind is not None else {}
        for key in sorted(PLAUSIBLE.keys() & behind.keys() - told):
            own, other = finite(_known(file.sidecar).get(key)), finite(behind[key])
            if own is not None and other is not None and abs(own - other) > max(SAME_TIME, 1e-3 * abs(other)):
                told.add(key)
                yield (
                    f"{file.sidecar.name}: {key} is {own:g}, and {other:g} in the protocol file; the sidecars are used."
                )


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


def _of_each(
    files: Sequence[RawFile], table: Sidecar, varying: str, order: Sequence[int], n_images: int
) -> list[Sidecar]:
    """Return what a table says of each image: its own value of those fields that hold a list."""
    lists = {
        key: _one_each(table, key, n_images)
        for key in table.fields
        if key in PLAUSIBLE and (_is_as_long(table, key, n_images) or not _all_tell(files, key))
    }
    places = order if len(lists.get(varying, ())) != n_images else _places(files, lists, varying, order, table.name)
    return [
        replace(table, fields={**table.fields, **{key: values[place] for key, values in lists.items()}})
        for place in places
    ]


def _is_as_long(table: Sidecar, key: str, n_images: int) -> bool:
    return len(table.numbers(key) or ()) in {1, n_images}


def _all_tell(files: Sequence[RawFile], key: str) -> bool:
    return all(_known(file.sidecar).get(key) is not None for file in files)


def _one_each(table: Sidecar, key: str, n_images: int) -> tuple[float, ...]:
    values = table.numbers(key) or ()
    if not _is_as_long(table, key, n_images):
        raise InvalidInputError(
            f"{table.name}: {key} has {len(values)} values, and the run {n_images} images; expected one for each "
            "of them, in the order of their numbers."
        )
    return values * n_images if len(values) == 1 else values


def _places(
    files: Sequence[RawFile], lists: Mapping[str, Sequence[float]], varying: str, order: Sequence[int], name: str
) -> Sequence[int]:
    """Return where in the lists of a table each image stands: by its own time, and by order among equal ones."""
    own = [_known(file.sidecar).get(varying) for file in files]
    differ = any(len(set(values)) > 1 for key, values in lists.items() if key != varying)
    if not differ or not all(isinstance(time, int | float) for time in own):
        return order
    free = dict(enumerate(lists[varying]))
    places = {}
    for number, time, file in sorted(zip(order, own, files, strict=True), key=lambda one: one[0]):
        place = _place_of(float(str(time)), free)
        if place is None:
            raise InvalidInputError(
                f"{file.sidecar.name}: {varying} is {time}, which {name} does not list ({lists[varying]}); expected "
                "the times of the images in both. Correct one of them."
            )
        del free[place]
        places[number] = place
    return [places[number] for number in order]


def _place_of(time: float, listed: Mapping[int, float]) -> int | None:
    """Return the first place of a time in a list."""
    return next((place for place, other in listed.items() if abs(other - time) < SAME_TIME), None)


def _known(sidecar: Sidecar) -> Mapping[str, object]:
    """Return the fields of a sidecar; none of one that cannot be read, which is told when its fields are needed."""
    try:
        return dict(sidecar.fields)
    except InvalidInputError:
        return {}
