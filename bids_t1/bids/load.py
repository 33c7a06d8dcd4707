"""From the files of one run to numbers in memory, all checks of the files included."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from bids_t1.bids.images import count_volumes
from bids_t1.bids.parts import PartReader
from bids_t1.bids.volumes import completed
from bids_t1.data.acquisition import Series
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.groups import grouped_by
from bids_t1.data.sequences import INVERSION_RECOVERY, SELECTIVE_INVERSION_RECOVERY, sequence_of
from bids_t1.data.sidecar import PLAUSIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.data.acquisition import Acquisition, Kind, RawFile
    from bids_t1.data.protocol import Protocol
    from bids_t1.data.sequences import PulseSequence

PARTS: dict[frozenset[str], Kind] = {
    frozenset({""}): "magnitude",
    frozenset({"mag"}): "magnitude",
    frozenset({"real"}): "real",
    frozenset({"real", "imag"}): "complex",
    frozenset({"mag", "phase"}): "complex",
}
"""What the ``part`` entities of a run make together, the most informative last."""


def load_series(
    acquisition: Acquisition,
    protocol: Protocol | None = None,
    admit: Callable[[int], object] = lambda _: None,
) -> Series:
    """Open the images of one run, ordered by the field that varies between them.

    Magnitude, real, real and imaginary, or magnitude and phase images; of several, the most informative that can be
    read are used, and a warning tells why others are not.

    Parameters
    ----------
    acquisition
        The run.
    protocol
        What a user says where sidecars are silent.
    admit
        Called with the bytes that the images take, from their headers; it raises an error where that is too much.

    Raises
    ------
    InvalidInputError
        If images are missing, unreadable, of different grids, or their times missing or equal.
    """
    sequence = sequence_of(acquisition.sequence)
    acquisition = completed(acquisition, protocol)
    _require_numbers(acquisition, sequence)
    by_part = grouped_by(acquisition.files, lambda file: file.name.get("part") or "")
    _join_magnitudes(by_part, sequence.numbered_by)
    failures: dict[str, InvalidInputError] = {}
    for kind, parts in _choices(acquisition, by_part):
        try:
            _require_most(acquisition, parts, by_part)
            ordered = [_in_order(by_part[part], sequence) for part in parts]
            _require_same_number(acquisition, parts, ordered)
        except InvalidInputError as error:
            failures.setdefault(str(error), error)
            continue
        for key in sequence.keys:
            _require_same_times(acquisition, parts, ordered, key)
        try:
            series = _load(acquisition, kind, ordered, admit)
        except InvalidInputError as error:
            failures.setdefault(str(error), error)
            continue
        return replace(series, warnings=(*series.warnings, *_told(acquisition, kind, failures)))
    raise next(iter(failures.values()))


def _load(
    acquisition: Acquisition,
    kind: Kind,
    ordered: Sequence[Sequence[RawFile]],
    admit: Callable[[int], object],
) -> Series:
    """Open the images of some parts, each ordered by time."""
    reader = PartReader()
    images = list(zip(*ordered, strict=True))
    grid, warnings = reader.open([file for files in images for file in files], admit)
    measurements = reader.stack(images)
    return Series(
        acquisition=acquisition,
        measurements=measurements,
        kind=kind,
        grid=grid,
        sidecars=tuple(file.sidecar for file in ordered[0]),
        sources=tuple(dict.fromkeys(file.path for files in ordered for file in files)),
        warnings=(*acquisition.warnings, *warnings, *reader.doubts),
    )


def _told(acquisition: Acquisition, kind: Kind, failures: Mapping[str, InvalidInputError]) -> tuple[str, ...]:
    """Say what could not be used, and what that costs."""
    if not failures:
        return ()
    lost = "the signs" if kind == "magnitude" else "nothing, as these hold the same"
    warning = (
        f"{acquisition.name}: measured from {kind} images, because others cannot be used: {' '.join(failures)} "
        f"What is lost: {lost}."
    )
    return (warning,)


def _require_numbers(acquisition: Acquisition, sequence: PulseSequence) -> None:
    """Refuse images whose names do not tell them apart: each of them would be a run of its own."""
    key = sequence.numbered_by
    without = [str(file.name) for file in acquisition.files if file.name.get(key) is None and file.volume is None]
    if without:
        raise InvalidInputError(
            f"{', '.join(without)}: the name lacks {key}-; expected {key}-1, {key}-2 and so on in the images of a run, "
            f"whose names differ in nothing else. Rename them.{_of_volumes(acquisition, sequence)}"
        )


def _of_volumes(acquisition: Acquisition, sequence: PulseSequence) -> str:
    """Say what a file that may hold the whole run lacks."""
    if max(map(len, grouped_by(acquisition.files, lambda file: file.name.get("part")).values())) > 1:
        return ""
    if count_volumes(acquisition.files[0].path) == 1:
        return ""
    return (
        f" Or, as it holds several volumes, give one {sequence.varying} per volume as a list in the sidecar of each "
        f"part, or in the table {sequence.name} of the protocol file."
    )


def _choices(acquisition: Acquisition, by_part: Mapping[str, object]) -> list[tuple[Kind, tuple[str, ...]]]:
    """Return the parts that can be used together, the most informative first.

    A real image is none of them where it is a part of a complex one: what its phase turned away would be missing.
    """
    usable = [parts for parts in reversed(PARTS) if parts <= set(by_part)]
    if not usable:
        raise InvalidInputError(
            f"{acquisition.name}: has only part {', '.join(sorted(by_part))}; expected magnitude, real, real and "
            "imaginary, or magnitude and phase images."
        )
    if "imag" in by_part or "phase" in by_part:
        usable = [parts for parts in usable if PARTS[parts] != "real"] or usable
    return [(PARTS[parts], tuple(sorted(parts, key=("", "mag", "phase", "real", "imag").index))) for parts in usable]


def _join_magnitudes(by_part: dict[str, list[RawFile]], key: str) -> None:
    """Take images with and without part-mag as one set, where their names say that no image is there twice."""
    plain, named = by_part.get("", []), by_part.get("mag", [])
    if plain and named and not {file.name.get(key) for file in plain} & {file.name.get(key) for file in named}:
        by_part["mag"] = [*by_part.pop(""), *named]


def _require_most(acquisition: Acquisition, parts: Sequence[str], by_part: Mapping[str, Sequence[RawFile]]) -> None:
    """Refuse parts that few images have: the others of the run would be left out."""
    n, most = min(len(by_part[part]) for part in parts), max(map(len, by_part.values()))
    if 2 * n < most:
        raise InvalidInputError(
            f"{acquisition.name}: has {' and '.join(f'part-{part}' for part in parts if part) or 'no part-'} of {n} of "
            f"{most} images; expected it of all. Add the missing."
        )


def _in_order(files: Sequence[RawFile], sequence: PulseSequence) -> list[RawFile]:
    """Order images by what varies between them, and by a second field where the first is the same."""
    for key in sequence.keys:
        _require_told(files, key, sequence)
    ordered = sorted(files, key=lambda file: _values(file, sequence))
    for file, following in pairwise(ordered):
        _require_different(file, following, sequence)
    return ordered


def _values(file: RawFile, sequence: PulseSequence) -> tuple[float, ...]:
    return tuple(file.sidecar.number(key) or 0.0 for key in sequence.keys)


def _require_told(files: Sequence[RawFile], key: str, sequence: PulseSequence) -> None:
    missing = [file.sidecar.name for file in files if file.sidecar.number(key) is None]
    if missing:
        raise InvalidInputError(
            f"{', '.join(missing)}: {key} is missing; expected {PLAUSIBLE[key].unit} in the sidecar of every "
            f"image, or in one it inherits from{_elsewhere(key, sequence)}. It is never guessed."
        )


def _require_different(file: RawFile, following: RawFile, sequence: PulseSequence) -> None:
    found, other = (_values(one, sequence) for one in (file, following))
    if any(not math.isclose(one, another, abs_tol=1e-6) for one, another in zip(found, other, strict=True)):
        return
    told = " and ".join(f"{key} {value:g} {_unit(key)}" for key, value in zip(sequence.keys, found, strict=True))
    raise InvalidInputError(
        f"{_told_apart(file)} and {_told_apart(following)}: both have {told}; expected different ones. "
        f"Tell repeated acquisitions apart with run-, or exclude one with --bids-filter-file.{_delays(sequence)}"
    )


def _told_apart(file: RawFile) -> str:
    return str(file.name) if file.volume is None else file.sidecar.name


def _elsewhere(key: str, sequence: PulseSequence) -> str:
    return f", or in the table {sequence.name} of the protocol file" if key == sequence.beside else ""


def _delays(sequence: PulseSequence) -> str:
    """Say what a selective inversion recovery lacks, which plays one inversion time after several delays."""
    if sequence is not INVERSION_RECOVERY:
        return ""
    return (
        f" Of a selective inversion recovery, write {SELECTIVE_INVERSION_RECOVERY.beside} [s], the delay from the end "
        "of a readout to the inversion that follows, into every sidecar, or into the table "
        f"{SELECTIVE_INVERSION_RECOVERY.name} of the protocol file."
    )


def _unit(key: str) -> str:
    return {"seconds": "s"}.get(PLAUSIBLE[key].unit, PLAUSIBLE[key].unit)


def _require_same_number(acquisition: Acquisition, parts: Sequence[str], ordered: Sequence[list[RawFile]]) -> None:
    if len({len(files) for files in ordered}) > 1:
        found = ", ".join(f"{len(files)} of part-{part}" for part, files in zip(parts, ordered, strict=True))
        raise InvalidInputError(f"{acquisition.name}: has images {found}; expected as many of each. Add the missing.")


def _require_same_times(
    acquisition: Acquisition, parts: Sequence[str], ordered: Sequence[list[RawFile]], key: str
) -> None:
    values = [tuple(file.sidecar.number(key) for file in files) for files in ordered]
    if len(set(values)) > 1:
        unit = _unit(key)
        found = "; ".join(
            f"part-{part}: {', '.join(map(str, found))} {unit}" for part, found in zip(parts, values, strict=True)
        )
        raise InvalidInputError(f"{acquisition.name}: the parts have different {key} ({found}); expected the same.")
