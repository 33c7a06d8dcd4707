"""The transmit field of a run: which map belongs to it, in which unit, on its grid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.bids.images import read_volume
from bids_t1.data.acquisition import TransmitField
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import TOLERATED_SHIFT
from bids_t1.data.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import Acquisition, RawFile
    from bids_t1.data.grid import Grid

PLAUSIBLE = (0.4, 1.6)
"""Limits of the median of B1+ relative to nominal; beyond, the unit is another one."""

FACTORS = {
    "ratio": 1.0,
    "1": 1.0,
    "fraction": 1.0,
    "relative": 1.0,
    "dimensionless": 1.0,
    "percent": 1e-2,
    "%": 1e-2,
    "permille": 1e-3,
    "1/1000": 1e-3,
    "x1000": 1e-3,
    "ratio x1000": 1e-3,
}
"""What a stored 1 means, relative to nominal, by the field Units."""

DEGREES = {
    "degree": 1.0,
    "degrees": 1.0,
    "deg": 1.0,
    "0.1 degree": 0.1,
    "degree x10": 0.1,
    "rad": float(np.rad2deg(1.0)),
}
"""What a stored 1 means, for achieved flip angles [degree]; FlipAngle then holds the nominal one."""

UNDECLARED = frozenset({"", "arbitrary", "a.u.", "au", "none"})
"""Units that say nothing: BIDS defines TB1map as a factor, so that a ratio needs no more."""

EITHER = "percent multiplicative"
"""Units that BIDS recommends for TB1map: written for 1 and for 100 alike."""

LEAST_SUPPORT = 0.5
"""Weight of known voxels from which an interpolated value is kept."""

LEAST_COVERAGE = 0.5

COVERAGE_POINTS = 32
"""Per axis, to measure the overlap of two grids."""


def load_transmit_field(candidates: Sequence[RawFile], run: Acquisition, grid: Grid) -> TransmitField | None:
    """Choose the map that belongs to a run, and bring it to the run's grid; None where there is none.

    A map that names the run (IntendedFor, or B0FieldIdentifier named by B0FieldSource of the run) comes before one of
    the same session, and that before one without session. Maps of other sessions that do not name the run are not
    used.

    Parameters
    ----------
    candidates
        Maps of the participant.
    run
        The run to correct.
    grid
        Grid of the run.

    Raises
    ------
    InvalidInputError
        If the map cannot be read, or its unit is not known or not that of its values.
    """
    ranked = [(_rank(file, run), file.name.index("run") or 0, str(file.name), file) for file in candidates]
    possible = sorted((entry for entry in ranked if entry[0] is not None), key=lambda entry: entry[:3])
    if not possible:
        return None
    rank, _, _, chosen = possible[0]
    warnings = []
    equal = [name for other, _, name, _ in possible[1:] if other == rank]
    if equal:
        warnings.append(
            f"{chosen.name}: taken as the transmit field of {run.name}; {', '.join(equal)} would do as well. "
            "IntendedFor or --bids-filter-file chooses."
        )
    if rank == _INTENDED_ELSEWHERE:
        warnings.append(
            f"{chosen.name}: taken as the transmit field of {run.name}, which its IntendedFor does not name."
        )
    return _load(chosen.path, chosen.sidecar, grid, tuple(warnings))


def load_given_transmit_field(path: Path, grid: Grid) -> TransmitField:
    """Bring a map that the user names to the grid of a run; its unit is that of the JSON file beside it, if any.

    Raises
    ------
    InvalidInputError
        If the map cannot be read, or its unit is not known or not that of its values.
    """
    metadata = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    fields: object = {}
    if metadata.is_file():
        try:
            fields = json.loads(metadata.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"{metadata.name}: cannot be read as JSON ({error}). Correct it.") from error
    if not isinstance(fields, dict):
        raise InvalidInputError(f"{metadata.name}: is no JSON object; expected field names and values in braces.")
    return _load(path, Sidecar(metadata.name, fields), grid, ())


_NAMED, _SAME_SESSION, _NO_SESSION, _INTENDED_ELSEWHERE = range(4)


def _rank(file: RawFile, run: Acquisition) -> int | None:
    """Return how well a map fits a run, the best lowest; None where it belongs elsewhere."""
    intended = _texts(file, "IntendedFor")
    names = {str(image.name) for image in run.files}
    if any(_image_name(text) in names for text in intended):
        return _NAMED
    if set(_texts(file, "B0FieldIdentifier")) & {
        source for image in run.files for source in _texts(image, "B0FieldSource")
    }:
        return _NAMED
    session = file.name.get("ses")
    if session not in {None, run.name.get("ses")}:
        return None
    if intended:
        return _INTENDED_ELSEWHERE
    return _SAME_SESSION if session == run.name.get("ses") else _NO_SESSION


def _image_name(uri: str) -> str:
    """Return the file name of a BIDS URI such as bids::sub-01/anat/x.nii.gz, or of a path."""
    return uri.rpartition(":")[2].rpartition("/")[2]


def _texts(file: RawFile, key: str) -> tuple[str, ...]:
    value = file.sidecar.fields.get(key)
    return tuple(str(item) for item in (value if isinstance(value, list) else [value]) if item is not None)


def _load(path: Path, sidecar: Sidecar, grid: Grid, warnings: tuple[str, ...]) -> TransmitField:
    volume = read_volume(path)
    values = np.array(volume.values, np.float32)
    known = np.isfinite(values) & (values != 0)  # scanners write 0 where they measured nothing
    if not known.any():
        raise InvalidInputError(f"{path.name}: holds only zeros or no numbers; expected a map of B1+.")
    stored_median = float(np.median(values[known]))
    factor, reading = _scale(path.name, sidecar, stored_median)
    values *= np.float32(factor)
    values[~known] = np.nan
    covered = _coverage(volume.grid, grid)
    if covered < LEAST_COVERAGE:
        warnings += (f"{path.name}: covers {covered:.0%} of the image; B1+ is not known elsewhere.",)
    return TransmitField(
        values=_on_grid(values, volume.grid, grid),
        extrapolated=np.zeros(grid.shape, np.uint8),
        method="TB1map",
        sources=(path,),
        scaling=f"{reading}; median {stored_median * factor:.3f} of nominal",
        warnings=warnings,
    )


def _scale(name: str, sidecar: Sidecar, median: float) -> tuple[float, str]:
    """Return the factor from stored to relative values, and what told so."""
    units = " ".join((sidecar.text("Units") or "").lower().split())
    reading = f"Units {units!r} of the sidecar"
    if units in DEGREES:
        nominal = sidecar.number("FlipAngle")
        if nominal is None or nominal <= 0:
            raise InvalidInputError(
                f"{sidecar.name}: Units is {units!r} and FlipAngle {nominal}; expected the nominal flip angle in "
                "degrees, by which the achieved one is divided."
            )
        factor = DEGREES[units] / nominal
        reading += f", nominal angle {nominal:g} degrees"
    elif units == EITHER:
        factor = 1.0 if _is_plausible(median) else FACTORS["percent"]
        reading += ", as " + ("a ratio" if factor == 1.0 else "percent")
    elif units in FACTORS:
        factor = FACTORS[units]
    elif units in UNDECLARED:
        factor = 1.0
        reading = "a ratio, as BIDS defines TB1map"
    else:
        raise InvalidInputError(f"{sidecar.name}: Units is {units!r}; {_EXPECTED_UNITS}")
    relative = median * factor
    if not _is_plausible(relative):
        raise InvalidInputError(
            f"{name}: the median of its nonzero voxels is {median:g}, which read as {reading} is {relative:g} of the "
            f"nominal field; expected {PLAUSIBLE[0]} to {PLAUSIBLE[1]}: B1 far from 1. {_EXPECTED_UNITS}"
        )
    return factor, reading


_EXPECTED_UNITS = (
    "Give Units in the sidecar of the map: 'ratio', 'percent', 'permille' (x1000), or 'degree' or '0.1 degree' with "
    "the nominal angle as FlipAngle."
)


def _is_plausible(median: float) -> bool:
    return PLAUSIBLE[0] <= median <= PLAUSIBLE[1]


def _on_grid(values: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Interpolate linearly through scanner coordinates; NaN outside, and where less than half is known."""
    if source.shift_to(target) <= TOLERATED_SHIFT:
        return values
    to_source = np.linalg.inv(source.affine) @ target.affine
    known = np.isfinite(values)

    def sample(image: np.ndarray) -> np.ndarray:
        sampled: np.ndarray = ndimage.affine_transform(
            image.astype(np.float32),
            to_source[:3, :3],
            to_source[:3, 3],
            output_shape=target.shape,
            output=np.float32,
            order=1,
            mode="grid-constant",
        )
        return sampled

    support = sample(known)
    support[support < LEAST_SUPPORT] = np.nan
    field = sample(np.where(known, values, np.float32(0)))
    field /= support
    return field


def _coverage(source: Grid, target: Grid) -> float:
    """Return the share of the target's volume that lies within the source's voxels."""
    axes = [np.linspace(0, n - 1, min(n, COVERAGE_POINTS)) for n in target.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    to_source = np.linalg.inv(source.affine) @ target.affine
    indices = to_source[:3, :3] @ points + to_source[:3, 3:]
    middle = (np.array(source.shape)[:, None] - 1) / 2
    return float(np.all(np.abs(indices - middle) <= middle + 0.5, axis=0).mean())
