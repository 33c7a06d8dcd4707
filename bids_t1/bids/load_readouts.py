"""From the files of one MP2RAGE or MP3RAGE run to numbers in memory, in the most informative form there is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.denoising import ProcessedUniError, refuse_denoised, refuse_processed
from bids_t1.bids.images import read_volume
from bids_t1.bids.parts import PartReader
from bids_t1.bids.soundness import require_signal
from bids_t1.bids.uni import describes_denoised, read_uni
from bids_t1.bids.volumes import completed_whole
from bids_t1.data.acquisition import ReadoutSeries, UniBeside
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.forms import FORMS
from bids_t1.data.grid import SAME_GRID_SHIFT
from bids_t1.data.sidecar import Unreadable
from bids_t1.sequences.mp2rage_timing import of_readout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bids_t1.bids.uni import Uni
    from bids_t1.data.acquisition import Acquisition, RawFile
    from bids_t1.data.forms import InputForm
    from bids_t1.data.protocol import Protocol
    from bids_t1.data.sidecar import Sidecar

Parts = dict[str, "RawFile"]
"""The files of one readout by mag, phase, real and imag."""

COMPLEX_PAIRS = (("real", "imag"), ("mag", "phase"))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What will be read."""

    form: InputForm
    images: tuple[tuple[RawFile, ...], ...] = ()
    """One per readout: a magnitude, or the pair that makes a complex image."""

    uni: RawFile | None = None
    warnings: tuple[str, ...] = ()
    timed_by: tuple[RawFile, ...] = ()
    """One of each readout, where images of some of them are not read."""

    @property
    def files(self) -> tuple[RawFile, ...]:
        """Every image, UNIT1 last."""
        return (*(file for files in self.images for file in files), *(() if self.uni is None else (self.uni,)))

    @property
    def sidecars_from(self) -> tuple[RawFile, ...]:
        """Files whose sidecars hold the timing."""
        own = tuple(files[0] for files in self.images) or (() if self.uni is None else (self.uni,))
        return self.timed_by or own


def load_readouts(
    acquisition: Acquisition, protocol: Protocol, admit: Callable[[int], object] = lambda _: None
) -> ReadoutSeries:
    """Open the images of one MP2RAGE run, ordered by readout, in the most informative form whose images can be used.

    Complex images of every readout; or UNIT1 and the magnitudes of all readouts or of one; or UNIT1; or magnitudes.
    A warning tells which images were of no use, and what is lost.
    The protocol file stands behind every sidecar, with its lists of one value per readout. `admit` is called with the
    bytes that the images take, from their headers; it raises an error where that is too much.

    Raises
    ------
    InvalidInputError
        If there is no usable form, with the reason of the most informative one: images are unreadable, empty or of
        different grids, the scaling of phase or UNIT1 is not known, or UNIT1 is denoised; if inversion times do not
        rise with the number of the readout.
    """
    acquisition = replace(acquisition, files=completed_whole(acquisition.files, protocol, acquisition.sequence))
    failures: dict[str, InvalidInputError] = {}
    richest: InputForm | None = None
    refused: set[Path] = set()
    for plan in _plans(acquisition, failures):
        richest = richest or plan.form
        if plan.uni is not None and plan.uni.path in refused:
            continue
        try:
            _require_readable_sidecars(plan)
        except InvalidInputError as error:
            failures.setdefault(str(error), error)
            continue
        _require_rising_times(plan)
        try:
            series = _load(acquisition, plan, admit)
        except InvalidInputError as error:
            failures.setdefault(str(error), error)
            if plan.uni is not None and isinstance(error, ProcessedUniError):
                refused.add(plan.uni.path)
            continue
        lost = _told(acquisition, plan, richest, failures)
        beside = _uni_beside(acquisition, series) if FORMS[plan.form].is_complex else None
        return replace(series, warnings=(*lost, *series.warnings), lost=lost, uni_beside=beside)
    raise next(iter(failures.values()))


def _told(
    acquisition: Acquisition, plan: _Plan, richest: InputForm, failures: Mapping[str, InvalidInputError]
) -> tuple[str, ...]:
    """Say what could not be used, and what that costs."""
    if not failures:
        return ()
    instead = "" if plan.form == richest else f" instead of {richest}"
    warning = (
        f"{acquisition.name}: T1 is measured from {plan.form}{instead}, because an image cannot be used: "
        f"{' '.join(failures)} What is lost: {FORMS[plan.form].costs}."
    )
    return (warning,)


def _load(acquisition: Acquisition, plan: _Plan, admit: Callable[[int], object]) -> ReadoutSeries:
    """Open the images of one form."""
    reader = PartReader()
    grid, shifts = reader.open(plan.files, admit)
    readouts = reader.stack(plan.images) if plan.images else None
    uni = None if plan.uni is None else _read_uni(plan.uni, readouts if FORMS[plan.form].has_energy else None)
    return ReadoutSeries(
        acquisition=acquisition,
        form=plan.form,
        readouts=readouts,
        uni=None if uni is None else uni.values,
        grid=grid,
        sidecars=tuple(file.sidecar for file in plan.sidecars_from),
        sources=reader.sources,
        scaling=_scaling(reader, uni),
        warnings=(
            *acquisition.warnings,
            *plan.warnings,
            *(() if uni is None else uni.warnings),
            *shifts,
            *reader.doubts,
        ),
        echo_times=tuple(_echo_times(acquisition, file.name.index("inv")) for file in plan.sidecars_from),
        several_echoes=tuple(_has_echoes(acquisition, file.name.index("inv")) for file in plan.sidecars_from),
        uni_sidecar=_sidecar_of_uni(acquisition),
    )


def _scaling(reader: PartReader, uni: Uni | None) -> dict[str, str]:
    """Say how stored numbers were read."""
    origins = "; ".join(dict.fromkeys(reader.phase_origins))
    phase = {"Phase": f"read with {origins}"} if origins else {}
    return phase if uni is None else {**phase, "UNIT1": uni.scaling}


def _uni_beside(acquisition: Acquisition, series: ReadoutSeries) -> UniBeside | None:
    """Return the UNIT1 beside complex readouts; None where there is none that can be used, which is no loss."""
    unis = _readable([file for file in acquisition.files if file.name.suffix == "UNIT1"], {})
    try:
        file = _true_uni(acquisition, unis)
        if file is None or series.readouts is None:
            return None
        reader = PartReader()
        grid, _ = reader.open((file,))
        if series.grid.shift_to(grid) > SAME_GRID_SHIFT:
            return None
        uni = _read_uni(file, np.abs(series.readouts[:2]))
    except InvalidInputError:
        return None
    return UniBeside(values=uni.values, source=file.path, scaling=uni.scaling)


def _require_readable_sidecars(plan: _Plan) -> None:
    for file in plan.files:
        if isinstance(file.sidecar.fields, Unreadable):
            raise file.sidecar.fields.reason


def _echo_times(acquisition: Acquisition, readout: int | None) -> tuple[float, ...]:
    """Return the echo times of a readout, or of UNIT1, where they are told [s]."""
    found: set[float] = set()
    for file in _of_readout(acquisition, readout):
        try:
            found.update(file.sidecar.numbers("EchoTime") or ())
        except InvalidInputError:  # enters no computation: what cannot be used is as good as missing
            continue
    return tuple(sorted(found))


def _has_echoes(acquisition: Acquisition, readout: int | None) -> bool:
    """Tell whether names or metadata number the echoes of a readout."""
    return any(
        file.name.get("echo") is not None
        or (not isinstance(file.sidecar.fields, Unreadable) and file.sidecar.fields.get("EchoNumber") is not None)
        for file in _of_readout(acquisition, readout)
    )


def _of_readout(acquisition: Acquisition, readout: int | None) -> list[RawFile]:
    return [file for file in acquisition.files if file.name.index("inv") == readout]


def _sidecar_of_uni(acquisition: Acquisition) -> Sidecar | None:
    """Return the sidecar of UNIT1, where there is one that can be read; a denoised one has the same timing."""
    found = [file.sidecar for file in acquisition.files if file.name.suffix == "UNIT1"]
    return next((sidecar for sidecar in found if not isinstance(sidecar.fields, Unreadable)), None)


def _read_uni(file: RawFile, readouts: np.ndarray | None) -> Uni:
    """Open UNIT1, and refuse what is denoised: by the readouts that it was computed of, where all are there."""
    volume = read_volume(file.path)
    require_signal(str(file.name), volume.values)
    uni = read_uni(file, volume)
    if readouts is None:
        return replace(uni, warnings=(*uni.warnings, *refuse_processed(file, uni.values)))
    refuse_denoised(file, uni.values, readouts)
    return uni


def _plans(acquisition: Acquisition, failures: dict[str, InvalidInputError]) -> Iterator[_Plan]:
    """Yield the forms that the files allow, the most informative first; note UNIT1 images that are of no use."""
    readouts, warnings = _by_readout(acquisition)
    of_complex = [_Plan("complex", images, warnings=warnings) for images in _complex_images(readouts)]
    yield from of_complex
    if not of_complex:
        warnings += _lost_parts(readouts)
    unis = _readable([file for file in acquisition.files if file.name.suffix == "UNIT1"], failures)
    others = _plans_of_magnitudes(readouts, _true_uni(acquisition, unis), warnings)
    yield from others
    if not of_complex and not others:
        error = _nothing_usable(acquisition, readouts, unis)
        failures.setdefault(str(error), error)


def _plans_of_magnitudes(readouts: Mapping[int, Parts], uni: RawFile | None, warnings: tuple[str, ...]) -> list[_Plan]:
    """Return the forms of UNIT1 and magnitudes, the most informative first."""
    magnitudes = tuple((parts["mag"],) for parts in readouts.values() if "mag" in parts)
    are_all = len(magnitudes) == len(readouts) > 1
    second = tuple(files for files in magnitudes if files[0].name.index("inv") == 2)  # noqa: PLR2004 - of UNI's pair
    timed_by = _sidecars_of_all(readouts)
    plans = []
    if uni is not None:
        plans = [
            *([_Plan("UNIT1 and magnitudes", magnitudes, uni, warnings)] if are_all else []),
            *([_Plan("UNIT1 and last magnitude", second, uni, warnings, timed_by)] if second else []),
            _Plan("UNIT1", (), uni, warnings, timed_by),
        ]
    return [*plans, *([_Plan("magnitudes", magnitudes, None, warnings)] if are_all else [])]


def _sidecars_of_all(readouts: Mapping[int, Parts]) -> tuple[RawFile, ...]:
    """Return a file of each readout whose sidecar can be read, whatever its image; nothing where one has none."""
    if len(readouts) < 2:  # noqa: PLR2004 - one readout does not tell of the other
        return ()
    of_each = [
        next((file for file in parts.values() if not isinstance(file.sidecar.fields, Unreadable)), None)
        for parts in readouts.values()
    ]
    return () if None in of_each else tuple(file for file in of_each if file is not None)


def _nothing_usable(
    acquisition: Acquisition, readouts: Mapping[int, Parts], unis: Sequence[RawFile]
) -> InvalidInputError:
    """Say why there is no form at all."""
    if unis:
        return InvalidInputError(
            f"{', '.join(str(file.name) for file in unis)}: is a denoised UNI (UNI-DEN), and there is nothing else to "
            "measure T1 from; expected the true UNIT1, or magnitude and phase images. The regularisation beta that "
            "removes the noise of the background changes T1 everywhere. Export the UNI image from the scanner."
        )
    return InvalidInputError(
        f"{acquisition.name}: has {_listed(readouts)}; expected magnitude and phase, or real and imaginary images of "
        "two readouts or more, UNIT1, or magnitudes of two readouts or more. Add the missing images."
    )


def _readable(unis: Sequence[RawFile], failures: dict[str, InvalidInputError]) -> list[RawFile]:
    """Leave out images whose metadata cannot be read: they may be denoised."""
    for file in unis:
        if isinstance(file.sidecar.fields, Unreadable):
            failures.setdefault(str(file.sidecar.fields.reason), file.sidecar.fields.reason)
    return [file for file in unis if not isinstance(file.sidecar.fields, Unreadable)]


def _complex_images(readouts: Mapping[int, Parts]) -> list[tuple[tuple[RawFile, ...], ...]]:
    """Return the ways to make complex images of every readout, such as by the parts that all of them have."""
    if len(readouts) < 2:  # noqa: PLR2004 - one readout tells no T1
        return []
    alike = [way for pair in COMPLEX_PAIRS if (way := _made_of(readouts, (pair,))) is not None]
    mixed = _made_of(readouts, COMPLEX_PAIRS)
    return alike or ([] if mixed is None else [mixed])


def _made_of(readouts: Mapping[int, Parts], pairs: Sequence[tuple[str, str]]) -> tuple[tuple[RawFile, ...], ...] | None:
    """Return one of the pairs of each readout; None where one has none."""
    found = [_complex_pair(parts, pairs) for parts in readouts.values()]
    return None if None in found else tuple(pair for pair in found if pair is not None)


def _by_readout(acquisition: Acquisition) -> tuple[dict[int, Parts], tuple[str, ...]]:
    """Sort images by the number of their readout and by part; later echoes are left out."""
    numbered = [(_number_of(file), file) for file in acquisition.files if file.name.suffix != "UNIT1"]
    first = [(number, file) for number, file in numbered if (file.name.index("echo") or 1) == 1]
    readouts: dict[int, Parts] = {}
    for number, file in sorted(first, key=lambda one: one[0]):
        _add(file, readouts.setdefault(number, {}))
    _require_no_gap(acquisition, readouts)
    n_later = len(numbered) - len(first)
    note = f"{n_later} images of later echoes are not used; T1 is measured from the first echo."
    return readouts, (note,) if n_later else ()


def _number_of(file: RawFile) -> int:
    number = file.name.index("inv")
    if number is None:
        raise InvalidInputError(
            f"{file.name}: its name lacks inv-; expected the number of the readout, such as inv-1. Rename it, or "
            "give it the suffix UNIT1 if it is the combination of two readouts."
        )
    return number


def _add(file: RawFile, parts: Parts) -> None:
    """Add a file to the parts of its readout; of a magnitude that says so and one that does not, the first counts."""
    part, says_so = file.name.get("part") or "mag", file.name.get("part") is not None
    other = parts.get(part)
    if other is not None and (other.name.get("part") is not None) == says_so:
        raise InvalidInputError(
            f"{other.name} and {file.name}: are the same part of the same readout; expected one. Tell repeated "
            "acquisitions apart with run-, or exclude one with --bids-filter-file."
        )
    if other is None or says_so:
        parts[part] = file


def _require_no_gap(acquisition: Acquisition, readouts: Mapping[int, Parts]) -> None:
    """Every readout of a cycle changes the magnetisation for the next: none may be unknown."""
    missing = sorted(set(range(1, max(readouts, default=0) + 1)) - set(readouts))
    if missing and len(readouts) > 1:
        raise InvalidInputError(
            f"{acquisition.name}: has inv-{', inv-'.join(map(str, sorted(readouts)))} and lacks "
            f"inv-{', inv-'.join(map(str, missing))}; expected the images of every readout, numbered from inv-1."
        )


def _true_uni(acquisition: Acquisition, unis: Sequence[RawFile]) -> RawFile | None:
    """Return the UNIT1 image that is not denoised."""
    true = [file for file in unis if not describes_denoised(file)]
    if len(true) > 1:
        same = [file for file in true if file.name.get("rec") == acquisition.name.get("rec")]
        true = same if len(same) == 1 else true
    if len(true) > 1:
        raise InvalidInputError(
            f"{acquisition.name}: has {len(true)} UNIT1 images, {', '.join(str(file.name) for file in true)}; expected "
            "one. Choose with --bids-filter-file."
        )
    return true[0] if true else None


def _complex_pair(parts: Parts, pairs: Sequence[tuple[str, str]] = COMPLEX_PAIRS) -> tuple[RawFile, ...] | None:
    return next((tuple(parts[part] for part in pair) for pair in pairs if set(pair) <= set(parts)), None)


def _lost_parts(readouts: Mapping[int, Parts]) -> tuple[str, ...]:
    """Name the files without which some readouts are not complex, where others are."""
    if not any(_complex_pair(parts) for parts in readouts.values()):
        return ()
    missing = []
    for parts in readouts.values():
        if _complex_pair(parts) is None:
            part, other = next((pair for pair in COMPLEX_PAIRS if set(pair) & set(parts)), COMPLEX_PAIRS[1])
            lost = other if part in parts else part
            missing.append(str(next(iter(parts.values())).name.having({"part": lost})))
    return (
        (f"{', '.join(missing)}: missing, so that the complex images of the other readouts are not used.",)
        if missing
        else ()
    )


def _listed(readouts: Mapping[int, Parts]) -> str:
    found = [f"inv-{number} ({', '.join(sorted(parts))})" for number, parts in readouts.items()]
    return "only " + ", ".join(found) if found else "no images of readouts"


def _require_rising_times(plan: _Plan) -> None:
    """Refuse readouts whose inversion times contradict their numbers, or those of their own parts."""
    numbers = [files[0].name.index("inv") or 1 for files in plan.images]
    n_readouts = max(numbers, default=1)
    known = [
        time
        for number, files in zip(numbers, plan.images, strict=True)
        for time in _times_of(files, number - 1, n_readouts)[:1]
    ]
    for (time, file), (later, later_file) in pairwise(known):
        if later <= time:
            raise InvalidInputError(
                f"{file.sidecar.name} and {later_file.sidecar.name}: InversionTime is {time:g} s and {later:g} s; "
                "expected rising times. The TI order is not that of the readouts: rename the images or correct the "
                "sidecars."
            )


def _times_of(files: Sequence[RawFile], index: int, n_readouts: int) -> list[tuple[float, RawFile]]:
    """Return the inversion time of a readout from each of its parts that tells it [s]; they must agree."""
    times = [(of_readout(file.sidecar.alone, "InversionTime", index, n_readouts), file) for file in files]
    known = [(time, file) for time, file in times if time is not None]
    for (time, file), (other, other_file) in pairwise(known):
        if not math.isclose(time, other, abs_tol=1e-6):
            raise InvalidInputError(
                f"{file.sidecar.name} and {other_file.sidecar.name}: InversionTime is {time:g} s and {other:g} s; "
                "expected the same, as parts of one readout. Correct the one that belongs elsewhere."
            )
    return known
