"""From the images of one measurement to the transmit field on their own grid, by the method of their suffix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.images import MOST_VOXELS_BESIDE, read_volume
from bids_t1.bids.load_readouts import COMPLEX_PAIRS
from bids_t1.bids.parts import PartReader
from bids_t1.bids.transmit.units import relative_scale
from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.transmit_field.actual_flip_angle import ActualFlipAngle
from bids_t1.sequences.transmit_field.double_angle import DoubleAngle
from bids_t1.sequences.transmit_field.limits import assumed_t1, quotient
from bids_t1.sequences.transmit_field.sa2rage import Sa2rage
from bids_t1.sequences.transmit_field.stimulated_echo import StimulatedEcho
from bids_t1.sequences.transmit_field.turbo_flash import TurboFlash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import RawFile, TransmitImages
    from bids_t1.data.grid import Grid
    from bids_t1.data.sidecar import Sidecar

PAIR = 2
USUAL_FIELD_STRENGTH = 3.0
"""Where no sidecar tells it; it chooses the T1 that is assumed [T]."""

RELAXED = 5.0
"""Times T1 after which the magnetisation counts as recovered."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredField:
    """The transmit field of one measurement, on the grid of its images."""

    values: np.ndarray
    """Relative to nominal, (x, y, z), single precision; NaN where the images tell none."""

    signal: np.ndarray | None
    """Magnitude by which the head is found; None for maps, which say by zeros where they hold none."""

    grid: Grid
    sources: tuple[Path, ...]
    """Every file read."""

    reading: str
    """How stored numbers became a field."""

    warnings: tuple[str, ...]


def read_map(path: Path, sidecar: Sidecar) -> MeasuredField:
    """Read a map of the field itself.

    Raises
    ------
    InvalidInputError
        If it cannot be read, is empty, or its unit is not known or not that of its values.
    """
    volume = read_volume(path, MOST_VOXELS_BESIDE)
    values = np.array(volume.values, np.float32)
    known = np.isfinite(values) & (values != 0)  # scanners write 0 where they measured nothing
    if not known.any():
        raise InvalidInputError(f"{path.name}: holds only zeros or no numbers; expected a map of B1+.")
    factor, reading = relative_scale(path.name, sidecar, float(np.median(values[known])))
    values *= np.float32(factor)
    values[~known] = np.nan
    return MeasuredField(values=values, signal=None, grid=volume.grid, sources=(path,), reading=reading, warnings=())


def measure(images: TransmitImages) -> MeasuredField:
    """Compute the field from the images of one measurement.

    Raises
    ------
    InvalidInputError
        If images or metadata that the method needs are missing, all of them named, or contradict each other.
    """
    return READERS[images.suffix](images)


def _of_map(images: TransmitImages) -> MeasuredField:
    (file,) = _by_role(images, lambda _: images.suffix, (images.suffix,)).values()
    return read_map(file.path, file.sidecar)


def _of_turbo_flash(images: TransmitImages) -> MeasuredField:
    files = list(_by_role(images, _role_of_acquisition(4), ("acq-famp",), ("acq-anat",)).values())
    _require(images, files[:1], ("FlipAngle",))
    method = TurboFlash(flip_angle=_number(files[0], "FlipAngle"))
    stacked = _Images(files)
    return stacked.field(
        values=method.transmit(stacked.magnitudes[0]),
        signal=stacked.magnitudes[-1],  # the anatomical one, where it is there
        reading=f"stored as ten times the achieved angle in degrees, nominal saturation {method.flip_angle:g} degrees",
    )


def _of_double_angle(images: TransmitImages) -> MeasuredField:
    files = list(_by_role(images, _role("flip"), ("flip-1", "flip-2")).values())
    _require(images, files, ("FlipAngle",))
    files.sort(key=lambda file: _number(file, "FlipAngle"))
    method = DoubleAngle(angles=_pair(files, "FlipAngle"))
    stacked = _Images(files)
    first, second = stacked.magnitudes
    return stacked.field(
        values=method.transmit(first, second),
        signal=first,
        reading=f"arccos(S2 / 2 S1) of nominal {method.angles[0]:g} and {method.angles[1]:g} degrees, which tells "
        f"fields up to {method.limit:.2f}",
        warnings=_incomplete_relaxation(images, files),
    )


def _incomplete_relaxation(images: TransmitImages, files: Sequence[RawFile]) -> tuple[str, ...]:
    """Warn of a repetition time after which the magnetisation has not recovered."""
    known = [file.sidecar.number(key) for file in files for key in ("RepetitionTimeExcitation", "RepetitionTime")]
    times = [time for time in known if time is not None]
    needed = RELAXED * _assumed_t1(files)
    if not times or max(times) >= needed:
        return ()
    warning = (
        f"{images.name}: RepetitionTime is {max(times):g} s; the double-angle method takes the magnetisation as "
        f"recovered, which needs {needed:g} s unless the sequence resets it. B1+ may be wrong."
    )
    return (warning,)


def _of_actual_flip_angle(images: TransmitImages) -> MeasuredField:
    files = list(_by_role(images, _role_of_acquisition(3), ("acq-tr1", "acq-tr2")).values())
    key = _first_known(files, ("RepetitionTimeExcitation", "RepetitionTime"))
    _require(images, files, ("FlipAngle", key))
    times = _pair(files, key)
    method = ActualFlipAngle(flip_angle=_common(files, "FlipAngle"), repetition_times=times)
    stacked = _Images(files)
    first, second = stacked.magnitudes
    return stacked.field(
        values=method.transmit(first, second),
        signal=first,
        reading=f"actual flip angle of nominal {method.flip_angle:g} degrees at TR {times[0]:g} and {times[1]:g} s, "
        f"which tells fields up to {method.limit:.2f}",
    )


def _of_sa2rage(images: TransmitImages) -> MeasuredField:
    trains = [_signed_parts(images, number) for number in (1, 2)]
    files = [parts[0] for parts in trains]
    keys = ("InversionTime", "FlipAngle", "RepetitionTimeExcitation", "RepetitionTimePreparation", "NumberShots")
    _require(images, files, keys)
    method = Sa2rage(
        cycle_time=_common(files, "RepetitionTimePreparation"),
        inversion_times=_pair(files, "InversionTime"),
        excitation_times=_pair(files, "RepetitionTimeExcitation"),
        flip_angles=_pair(files, "FlipAngle"),
        excitations=(_shots(files[0]), _shots(files[1])),
        t1=_assumed_t1(files),
    )
    stacked = _Images(trains)
    first, second = stacked.images
    strength = np.abs(second)
    low, high = method.valid
    return stacked.field(
        values=method.transmit(quotient(np.real(first * np.conj(second)), strength**2)),
        signal=strength,
        reading=f"ratio of both Sa2RAGE readouts by look-up from {low:.2f} to {high:.2f}, saturation 90 degrees, T1 "
        f"taken as {method.t1:g} s",
    )


SIGNED: tuple[tuple[str, ...], ...] = (*COMPLEX_PAIRS, ("real",))
"""Parts that hold the sign of an image, the most informative first."""


def _signed_parts(images: TransmitImages, number: int) -> tuple[RawFile, ...]:
    """Return the files that tell one image with its sign: real and imaginary, real alone, or magnitude and phase."""
    parts = _parts_of(images, number)
    chosen = next((wanted for wanted in SIGNED if set(wanted) <= set(parts)), None)
    if chosen is None:
        listed = ", ".join(str(file.name) for file in parts.values())
        raise InvalidInputError(
            f"{images.name}: has {listed}; expected part-phase beside the "
            "magnitude, or part-real: the first readout of Sa2RAGE changes its sign near the nominal field, and "
            "magnitudes have lost it. Export phase images."
        )
    return tuple(parts[part] for part in chosen)


def _shots(file: RawFile) -> tuple[float, float]:
    """Return the excitations before and after the centre; one number does not say where that is."""
    shots = file.sidecar.numbers("NumberShots") or ()
    if len(shots) != PAIR or min(shots) < 0 or sum(shots) < 1:
        raise InvalidInputError(
            f"{file.sidecar.name}: NumberShots is {list(shots)}; expected [before, after], the excitations before and "
            "after the k-space centre of the train."
        )
    return shots[0], shots[1]


def _of_echoes(images: TransmitImages) -> MeasuredField:
    flips = sorted({_role("flip")(file) for file in images.files})
    needed = [f"{flip} echo-{echo}" for echo in (1, 2) for flip in flips]
    found = _by_role(images, lambda file: f"{_role('flip')(file)} {_role('echo')(file)}", needed)
    files = list(found.values())
    spins, stimulated = files[: len(flips)], files[len(flips) :]
    _require(images, spins, ("FlipAngle",))
    _require(images, stimulated, ("FlipAngle", "MixingTime"))
    for pair in zip(spins, stimulated, strict=True):
        _common(pair, "FlipAngle")
    method = StimulatedEcho(
        flip_angles=tuple(_number(file, "FlipAngle") for file in stimulated),
        mixing_time=_common(stimulated, "MixingTime"),
        t1=_assumed_t1(stimulated),
    )
    stacked = _Images(files)
    spin, of_rest = stacked.magnitudes[: len(flips)], stacked.magnitudes[len(flips) :]
    return stacked.field(
        values=method.transmit(spin, of_rest),
        signal=spin.max(axis=0),
        reading=f"spin and stimulated echoes of {len(flips)} nominal angles from {min(method.flip_angles):g} to "
        f"{max(method.flip_angles):g} degrees, mixing time {method.mixing_time:g} s, T1 taken as {method.t1:g} s",
    )


READERS: Mapping[str, Callable[[TransmitImages], MeasuredField]] = {
    "TB1map": _of_map,
    "TB1TFL": _of_turbo_flash,
    "TB1AFI": _of_actual_flip_angle,
    "TB1DAM": _of_double_angle,
    "TB1SRGE": _of_sa2rage,
    "TB1EPI": _of_echoes,
}
"""By suffix; a test holds them equal to the table of methods."""


class _Images:
    """Images of one measurement in memory, on one grid."""

    def __init__(self, files: Sequence[RawFile | tuple[RawFile, ...]]) -> None:
        reader = PartReader()
        pairs = [file if isinstance(file, tuple) else (file,) for file in files]
        self.grid, self.warnings = reader.open([file for pair in pairs for file in pair])
        self.images = [reader.read(pair) for pair in pairs]
        """(x, y, z) each, complex where two parts were read."""
        self.warnings += reader.doubts
        self.sources = reader.sources

    @property
    def magnitudes(self) -> np.ndarray:
        """(image, x, y, z), double precision."""
        return np.stack(self.images).astype(np.float64)

    def field(
        self, *, values: np.ndarray, signal: np.ndarray, reading: str, warnings: tuple[str, ...] = ()
    ) -> MeasuredField:
        return MeasuredField(
            values=values.astype(np.float32),
            signal=signal,
            grid=self.grid,
            sources=self.sources,
            reading=reading,
            warnings=(*warnings, *self.warnings),
        )


def _by_role(
    images: TransmitImages, role_of: Callable[[RawFile], str], needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, RawFile]:
    """Sort magnitudes by their role in the measurement; every needed one must be there, and once."""
    found: dict[str, RawFile] = {}
    expected = f"expected one image each of {', '.join(needed)}"
    for file in images.files:
        if file.name.get("part") not in {None, "mag"}:
            continue
        role = role_of(file)
        if role not in {*needed, *optional} or role in found:
            raise InvalidInputError(
                f"{file.name}: is a second image of its kind in one measurement, or of no kind of {images.suffix}; "
                f"{expected}. Correct its name, or tell repeated measurements apart with run-."
            )
        found[role] = file
    missing = [role for role in needed if role not in found]
    if missing:
        raise InvalidInputError(f"{images.name}: has no image of {', '.join(missing)}; {expected}.")
    return {role: found[role] for role in (*needed, *optional) if role in found}


def _require(images: TransmitImages, files: Sequence[RawFile], keys: Sequence[str]) -> None:
    """Name every field that is missing in any file."""
    missing = [
        f"{file.sidecar.name}: {', '.join(absent)}"
        for file in files
        if (absent := [key for key in keys if file.sidecar.get(key) is None])
    ]
    if missing:
        raise InvalidInputError(
            f"{images.name}: B1+ cannot be computed without fields that are missing: {'; '.join(missing)}. Take them "
            "from the protocol of the scanner and write them to the sidecars."
        )


def _first_known(files: Sequence[RawFile], keys: Sequence[str]) -> str:
    """Return the first field that all files have; the first one where they have none."""
    return next((key for key in keys if all(file.sidecar.get(key) is not None for file in files)), keys[0])


def _number(file: RawFile, key: str) -> float:
    """Return a field that is there."""
    value = file.sidecar.number(key)
    return float("nan") if value is None else value


def _pair(files: Sequence[RawFile], key: str) -> tuple[float, float]:
    first, second = (_number(file, key) for file in files)
    return first, second


def _common(files: Sequence[RawFile], key: str) -> float:
    """Return a field that all files share.

    Raises
    ------
    InvalidInputError
        If it differs.
    """
    values = {file.sidecar.name: _number(file, key) for file in files}
    if len(set(values.values())) > 1:
        raise InvalidInputError(
            f"{key} differs between images of one measurement: "
            f"{', '.join(f'{name} {value:g}' for name, value in values.items())}; expected one value. Correct the "
            "sidecars."
        )
    return next(iter(values.values()))


def _assumed_t1(files: Sequence[RawFile]) -> float:
    strength = files[0].sidecar.number("MagneticFieldStrength")
    return assumed_t1(USUAL_FIELD_STRENGTH if strength is None else strength)


def _role(key: str) -> Callable[[RawFile], str]:
    """Return what reads the role of a file from an index entity, leading zeros aside."""
    return lambda file: f"{key}-{file.name.index(key)}"


def _role_of_acquisition(length: int) -> Callable[[RawFile], str]:
    """Return what reads the role of a file from how its acq- begins: BIDS lets free text follow."""
    return lambda file: f"acq-{(file.name.get('acq') or '')[:length]}"


def _parts_of(images: TransmitImages, number: int) -> dict[str, RawFile]:
    """Return the files of one image by mag, phase, real and imag."""
    files = [file for file in images.files if file.name.index("inv") == number]
    parts = {file.name.get("part") or "mag": file for file in files}
    if len(parts) < max(1, len(files)):
        raise InvalidInputError(
            f"{images.name}: has {len(files)} images of inv-{number}; expected one of each part of inv-1 and of inv-2."
        )
    return parts
