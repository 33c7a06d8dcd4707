"""The transmit field of a run: which measurement belongs to it, made sound, on the run's grid."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.transmit.grid import coverage, on_grid
from bids_t1.bids.transmit.measurement import measure, read_map
from bids_t1.bids.transmit.reference_voltage import compare_voltages
from bids_t1.bids.transmit.smoothing import REACH, SMOOTHING, continued, head_of, smoothed
from bids_t1.bids.transmit.units import PLAUSIBLE, is_plausible
from bids_t1.data.acquisition import TransmitField
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sequences import TRANSMIT_METHODS
from bids_t1.data.sidecar import Sidecar
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.bids.transmit.measurement import MeasuredField
    from bids_t1.data.acquisition import Acquisition, RawFile, TransmitImages
    from bids_t1.data.grid import Grid

LEAST_COVERAGE = 0.75
"""Share of a run's image below which its transmit field is said to cover a part."""

GO_ON = (
    "Or go on without this measurement of B1+: --no-b1 integrates over its prior, --b1-map takes a map, and "
    "--bids-filter-file chooses another measurement."
)


def load_transmit_field(candidates: Sequence[TransmitImages], run: Acquisition, grid: Grid) -> TransmitField | None:
    """Choose the measurement that belongs to a run, and bring it to the run's grid; None where there is none.

    One that names the run (IntendedFor, or B0FieldIdentifier named by B0FieldSource of the run) comes before one of
    the same session, and that before one without session. Those of other sessions that do not name the run are not
    used. Of equal ones a map of the scanner comes before what is computed here, then the first run. One that cannot be
    used is named, and the next of these taken.

    Parameters
    ----------
    candidates
        Measurements of the participant.
    run
        The run to correct.
    grid
        Grid of the run.

    Raises
    ------
    InvalidInputError
        If none of them can be read, has its images and metadata, and gives a transmit field: T1 without it would be
        another one, so that the user decides.
    """
    rank, best = _best(candidates, run)
    refused: list[InvalidInputError] = []
    for place, chosen in enumerate(best):
        equal = [str(images.name) for images in best[place + 1 :]]
        warnings = (*(f"{error} It is not used." for error in refused), *_doubts(chosen, rank, equal, run))
        try:
            measured = _at_voltage(measure(chosen), [file.sidecar for file in chosen.files], run)
            return _make(measured, chosen.suffix, grid, warnings)
        except InvalidInputError as error:
            refused.append(error)
    if refused:
        raise InvalidInputError(f"{' '.join(map(str, refused))} {GO_ON}") from refused[0]
    return None


def _best(candidates: Sequence[TransmitImages], run: Acquisition) -> tuple[int, list[TransmitImages]]:
    """Return how well measurements fit a run at best, and those that do, the one to take first."""
    ranked = [(rank, images) for images in candidates if (rank := _rank(images, run)) is not None]
    best = min((rank for rank, _ in ranked), default=_NAMED)
    equal = [images for rank, images in ranked if rank == best]
    return best, sorted(equal, key=lambda one: (_ORDER.index(one.suffix), _run_of(one), str(one.name)))


def _doubts(chosen: TransmitImages, rank: int, equal: Sequence[str], run: Acquisition) -> tuple[str, ...]:
    """Say what else would do, and whether the chosen one was meant for another run."""
    taken = f"{chosen.name}: taken as the transmit field of {run.name}"
    others = f"{taken}; {', '.join(equal)} would do as well. IntendedFor or --bids-filter-file chooses."
    elsewhere = f"{taken}, which its IntendedFor does not name."
    return (*((others,) if equal else ()), *((elsewhere,) if rank == _INTENDED_ELSEWHERE else ()))


def load_given_transmit_field(path: Path, grid: Grid, run: Acquisition | None = None) -> TransmitField:
    """Bring a map that the user names to the grid of a run; its unit is that of the JSON file beside it, if any.

    Parameters
    ----------
    path
        The map.
    grid
        Grid of the run.
    run
        The run to correct, whose reference voltage is compared with that of the map; None: not compared.

    Raises
    ------
    InvalidInputError
        If the map cannot be read, or its unit is not known or not that of its values.
    """
    given = _read_given(path)
    if run is not None:
        given = _at_voltage(given, [_sidecar_beside(path)], run)
    return _make(given, "TB1map", grid, ())


def check_given_transmit_field(path: Path) -> None:
    """Refuse a map that the user names and that fits no run, whatever its grid.

    Raises
    ------
    InvalidInputError
        If the map cannot be read, or its unit is not known or not that of its values.
    """
    given = _read_given(path)
    _median(path.name, given.values, given.reading)


def _read_given(path: Path) -> MeasuredField:
    return read_map(path, _sidecar_beside(path))


def _sidecar_beside(path: Path) -> Sidecar:
    metadata = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    return Sidecar(metadata.name, read_json(metadata) if os.path.lexists(metadata) else {})


def _at_voltage(measured: MeasuredField, of_map: Sequence[Sidecar], run: Acquisition) -> MeasuredField:
    """Return the field that the images saw, where they were played at another reference voltage than the map."""
    check = compare_voltages(measured.sources[0].name, of_map, [file.sidecar for file in run.files])
    return replace(
        measured,
        values=measured.values * np.float32(check.factor),
        reading=f"{measured.reading}; {check.reading}",
        warnings=(*measured.warnings, *check.warnings),
    )


_ORDER = tuple(method.suffix for method in TRANSMIT_METHODS)
_NAMED, _SAME_SESSION, _NO_SESSION, _INTENDED_ELSEWHERE = range(4)


def _rank(images: TransmitImages, run: Acquisition) -> int | None:
    """Return how well a measurement fits a run, the best lowest; None where it belongs elsewhere."""
    intended = _texts(images.files, "IntendedFor")
    names = {str(image.name) for image in run.files}
    if any(_image_name(text) in names for text in intended):
        return _NAMED
    if set(_texts(images.files, "B0FieldIdentifier")) & set(_texts(run.files, "B0FieldSource")):
        return _NAMED
    session = images.name.get("ses")
    if session not in {None, run.name.get("ses")}:
        return None
    if intended:
        return _INTENDED_ELSEWHERE
    return _SAME_SESSION if session == run.name.get("ses") else _NO_SESSION


def _run_of(images: TransmitImages) -> int:
    return images.name.index("run") or 0


def _image_name(uri: str) -> str:
    """Return the file name of a BIDS URI such as bids::sub-01/anat/x.nii.gz, or of a path."""
    return uri.rpartition(":")[2].rpartition("/")[2]


def _texts(files: Sequence[RawFile], key: str) -> tuple[str, ...]:
    values = [file.sidecar.fields.get(key) for file in files]
    listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return tuple(str(item) for item in listed if item is not None)


def _make(measured: MeasuredField, method: str, grid: Grid, warnings: tuple[str, ...]) -> TransmitField:
    """Make a measured field sound on its own grid, and bring it to that of a run."""
    name = measured.sources[0].name
    values, reading = measured.values, measured.reading
    if measured.signal is not None:
        values = np.where(head_of(measured.signal), values, np.float32(np.nan))
        values = smoothed(values, measured.grid.voxel_sizes)
        reading += f"; smoothed within the head, full width {SMOOTHING:g} mm"
    median = _median(name, values, reading)
    covered = coverage(measured.grid, grid)
    if covered < LEAST_COVERAGE:
        warnings += (f"{name}: covers {covered:.0%} of the image; B1+ is not known elsewhere.",)
    values, extrapolated = continued(values, measured.grid.voxel_sizes)
    if extrapolated.any():
        reading += f"; holes filled and edges continued up to {REACH:g} mm from what was measured"
    field, beyond = on_grid(values, extrapolated, measured.grid, grid)
    return TransmitField(
        values=field,
        extrapolated=beyond,
        method=method,
        sources=measured.sources,
        scaling=f"{reading}; median {median:.3f} of nominal",
        warnings=(*warnings, *measured.warnings),
    )


def _median(name: str, values: np.ndarray, reading: str) -> float:
    """Return the median of a field; refuse one that is no transmit field."""
    known = values[np.isfinite(values)]
    median = float(np.median(known)) if known.size else float("nan")
    if not is_plausible(median):
        raise InvalidInputError(
            f"{name}: the measurement gives B1+ in {known.size} voxels, median {median:g} of nominal, computed as "
            f"{reading}; expected {PLAUSIBLE[0]} to {PLAUSIBLE[1]}. Check FlipAngle and the other fields of its "
            "sidecars."
        )
    return median
