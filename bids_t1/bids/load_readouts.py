"""From the files of one MP2RAGE or MP3RAGE run to numbers in memory, in the most informative form there is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bids_t1.bids.denoising import refuse_denoised
from bids_t1.bids.images import read_volume
from bids_t1.bids.parts import PartReader
from bids_t1.bids.soundness import require_signal
from bids_t1.bids.uni import describes_denoised, read_uni
from bids_t1.data.acquisition import ReadoutSeries
from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.bids.uni import Uni
    from bids_t1.data.acquisition import Acquisition, InputForm, RawFile
    from bids_t1.data.protocol import Protocol

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

    @property
    def files(self) -> tuple[RawFile, ...]:
        """Every image, UNIT1 last."""
        return (*(file for files in self.images for file in files), *(() if self.uni is None else (self.uni,)))

    @property
    def sidecars_from(self) -> tuple[RawFile, ...]:
        """Files whose sidecars hold the timing."""
        return tuple(files[0] for files in self.images) or (() if self.uni is None else (self.uni,))


def load_readouts(
    acquisition: Acquisition, protocol: Protocol, admit: Callable[[int], object] = lambda _: None
) -> ReadoutSeries:
    """Open the images of one MP2RAGE run, ordered by readout, in the most informative form.

    Complex images of every readout; or UNIT1 and the magnitudes of all readouts or of one; or UNIT1; or magnitudes.
    The protocol file may declare the scaling of phase images and of UNIT1. `admit` is called with the bytes that the
    images take, from their headers; it raises an error where that is too much.

    Raises
    ------
    InvalidInputError
        If there is no usable form; if images are unreadable, empty or of different grids; if inversion times do not
        rise with the number of the readout; if the scaling of phase or UNIT1 is not known, or UNIT1 is denoised.
    """
    plan = _plan(acquisition)
    _require_rising_times(plan)
    reader = PartReader(protocol.of("MP2RAGE"))
    grid, shifts = reader.open(plan.files, admit)
    readouts = reader.stack(plan.images) if plan.images else None
    uni = None if plan.uni is None else _read_uni(plan.uni, reader)
    if plan.uni is not None and uni is not None and readouts is not None and plan.form == "UNIT1 and magnitudes":
        refuse_denoised(plan.uni, uni.values, readouts)
    scaling = {"Phase": f"read with {'; '.join(dict.fromkeys(reader.phase_origins))}"} if reader.phase_origins else {}
    return ReadoutSeries(
        acquisition=acquisition,
        form=plan.form,
        readouts=readouts,
        uni=None if uni is None else uni.values,
        grid=grid,
        sidecars=tuple(file.sidecar for file in plan.sidecars_from),
        sources=reader.sources,
        scaling=scaling if uni is None else {**scaling, "UNIT1": uni.scaling},
        warnings=(
            *acquisition.warnings,
            *plan.warnings,
            *(() if uni is None else uni.warnings),
            *shifts,
            *reader.doubts,
        ),
    )


def _read_uni(file: RawFile, reader: PartReader) -> Uni:
    volume = read_volume(file.path)
    require_signal(str(file.name), volume.values)
    return read_uni(file, volume, reader.protocol)


def _plan(acquisition: Acquisition) -> _Plan:
    """Choose the most informative form that the files allow."""
    readouts, warnings = _by_readout(acquisition)
    unis = [file for file in acquisition.files if file.name.suffix == "UNIT1"]
    uni = _true_uni(acquisition, unis)
    pairs = [_complex_pair(parts) for parts in readouts.values()]
    magnitudes = tuple((parts["mag"],) for parts in readouts.values() if "mag" in parts)
    several = len(readouts) > 1
    if several and None not in pairs:
        return _Plan("complex", tuple(pair for pair in pairs if pair is not None), warnings=warnings)
    warnings += _lost_parts(readouts)
    all_magnitudes = several and len(magnitudes) == len(readouts)
    if uni is not None:
        if all_magnitudes:
            return _Plan("UNIT1 and magnitudes", magnitudes, uni, warnings)
        second = tuple(files for files in magnitudes if files[0].name.index("inv") == 2)  # noqa: PLR2004 - of UNI's pair
        if second:
            return _Plan("UNIT1 and last magnitude", second, uni, warnings)
        return _Plan("UNIT1", (), uni, warnings)
    if all_magnitudes:
        return _Plan("magnitudes", magnitudes, None, warnings)
    if unis:
        raise InvalidInputError(
            f"{', '.join(str(file.name) for file in unis)}: is a denoised UNI (UNI-DEN), and there is nothing else to "
            "measure T1 from; expected the true UNIT1, or magnitude and phase images. The regularisation beta that "
            "removes the noise of the background changes T1 everywhere. Export the UNI image from the scanner."
        )
    raise InvalidInputError(
        f"{acquisition.name}: has {_listed(readouts)}; expected magnitude and phase, or real and imaginary images of "
        "two readouts or more, UNIT1, or magnitudes of two readouts or more. Add the missing images."
    )


def _by_readout(acquisition: Acquisition) -> tuple[dict[int, Parts], tuple[str, ...]]:
    """Sort images by the number of their readout and by part; later echoes are left out."""
    readouts: dict[int, Parts] = {}
    later_echoes = 0
    for file in acquisition.files:
        if file.name.suffix == "UNIT1":
            continue
        number = file.name.index("inv")
        if number is None:
            raise InvalidInputError(
                f"{file.name}: its name lacks inv-; expected the number of the readout, such as inv-1. Rename it, or "
                "give it the suffix UNIT1 if it is the combination of two readouts."
            )
        if (file.name.index("echo") or 1) > 1:
            later_echoes += 1
            continue
        parts = readouts.setdefault(number, {})
        part = file.name.get("part") or "mag"
        other = parts.get(part)
        if other is not None and (other.name.get("part") is None) == (file.name.get("part") is None):
            raise InvalidInputError(
                f"{other.name} and {file.name}: are the same part of the same readout; expected one. Tell repeated "
                "acquisitions apart with run-, or exclude one with --bids-filter-file."
            )
        if other is None or file.name.get("part") is not None:  # the one that says what it is
            parts[part] = file
    _require_no_gap(acquisition, readouts)
    note = f"{later_echoes} images of later echoes are not used; T1 is measured from the first echo."
    return dict(sorted(readouts.items())), (note,) if later_echoes else ()


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


def _complex_pair(parts: Parts) -> tuple[RawFile, ...] | None:
    return next((tuple(parts[part] for part in pair) for pair in COMPLEX_PAIRS if set(pair) <= set(parts)), None)


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
    known = []
    for files in plan.images:
        times = [(file.sidecar.seconds("InversionTime"), file) for file in files]
        pair = [(time, file) for time, file in times if time is not None]
        for (time, file), (other, other_file) in pairwise(pair):
            if not math.isclose(time, other, abs_tol=1e-6):
                raise InvalidInputError(
                    f"{file.sidecar.name} and {other_file.sidecar.name}: InversionTime is {time:g} s and {other:g} s; "
                    "expected the same, as parts of one readout. Correct the one that belongs elsewhere."
                )
        known += pair[:1]
    for (time, file), (later, later_file) in pairwise(known):
        if later <= time:
            raise InvalidInputError(
                f"{file.sidecar.name} and {later_file.sidecar.name}: InversionTime is {time:g} s and {later:g} s; "
                "expected rising times. The TI order is not that of the readouts: rename the images or correct the "
                "sidecars."
            )
