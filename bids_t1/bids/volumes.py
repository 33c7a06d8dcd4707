"""Images of a run whose times stand in lists: several volumes of one file, and lists of the protocol file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bids_t1.bids.images import count_volumes
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import PLAUSIBLE, Sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.acquisition import Acquisition, RawFile

ALL_OF = {"InversionTimes": "InversionTime"}
"""Fields that hold what another one does, for all images."""


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


def complete_each(acquisition: Acquisition, table: Sidecar | None) -> Acquisition:
    """Return a run whose sidecars have the times of a table of the protocol file that they lack.

    A list holds one time per image, in the order of inv-, and of the volumes of a file.

    Raises
    ------
    InvalidInputError
        If a list is not as long as there are images.
    """
    if table is None:
        return acquisition
    by_part: dict[str | None, list[RawFile]] = {}
    for file in acquisition.files:
        by_part.setdefault(file.name.get("part"), []).append(file)
    told = {id(file): file for file in acquisition.files}
    for files in by_part.values():
        ordered = sorted(files, key=lambda file: (file.name.index("inv") or 0, file.volume or 0))
        told |= {id(file): one for file, one in zip(ordered, _completed(ordered, table), strict=True)}
    return replace(acquisition, files=tuple(told[id(file)] for file in acquisition.files))


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
    fields[varying] = times
    lists = {key: value for key, value in fields.items() if isinstance(value, list | tuple) and len(value) == n_volumes}
    others = {key: value for key, value in file.sidecar.fields.items() if ALL_OF.get(key, key) not in lists}
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


def _completed(files: Sequence[RawFile], table: Sidecar) -> list[RawFile]:
    for key in (key for key in table.fields if key in PLAUSIBLE):
        values = table.numbers(key) or ()
        if len(values) not in {1, len(files)}:
            raise InvalidInputError(
                f"{table.name}: {key} has {len(values)} values, and the run {len(files)} images; expected one for each "
                "of them, in the order of inv-."
            )
        files = [
            replace(file, sidecar=replace(file.sidecar, fields={key: value, **known}))
            if (known := _known(file.sidecar))
            else file
            for file, value in zip(files, values * len(files) if len(values) == 1 else values, strict=True)
        ]
    return list(files)


def _known(sidecar: Sidecar) -> Mapping[str, object]:
    """Return the fields of a sidecar; none of one that cannot be read, which is told when its fields are needed."""
    try:
        return dict(sidecar.fields)
    except InvalidInputError:
        return {}
