"""The unit of phase images: what is declared or known of the scanner, never what the values look like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from bids_t1.bids.images import Volume
    from bids_t1.data.acquisition import RawFile
    from bids_t1.data.sidecar import Sidecar

FULL_TURN = 2 * math.pi * 1.01
"""Largest angle of a phase image in radians, with a margin for rounding [rad]."""

DECLARED_UNITS = {
    "rad": 1.0,
    "radian": 1.0,
    "radians": 1.0,
    "mrad": 1e-3,
    "milliradian": 1e-3,
    "milliradians": 1e-3,
}
"""Radians per stored unit, by the field Units."""

SIEMENS_HALF_TURN = 4096
"""Siemens stores 12 bits with slope 2 and intercept -4096: -4096..4094 stands for -pi..pi.

rordenlab/dcm2niix#406 and MRtrix3/mrtrix3#3009 describe it.
"""


@dataclass(frozen=True, slots=True)
class PhaseScale:
    """How phase images were read."""

    radians_per_unit: float
    origin: str
    """What told so; for the record."""


def phase_in_radians(file: RawFile, volume: Volume) -> tuple[np.ndarray, PhaseScale]:
    """Return a phase image in radians, in single precision, and how it was read.

    Raises
    ------
    InvalidInputError
        If the scaling is not known, or gives more than a full turn.
    """
    scale = _scale(file, volume)
    phase = np.multiply(volume.values, np.float32(scale.radians_per_unit), dtype=np.float32)
    largest = float(np.abs(phase).max(initial=0.0, where=np.isfinite(phase)))
    if largest > FULL_TURN:
        raise InvalidInputError(
            f"{file.name}: the phase reaches {largest:g} rad, read with {scale.origin}; expected at most 2 pi. "
            "Correct Units or PhaseScaling, or rescale the images to radians."
        )
    return phase, scale


def _scale(file: RawFile, volume: Volume) -> PhaseScale:
    units = file.sidecar.text("Units")
    if units in DECLARED_UNITS:
        return PhaseScale(DECLARED_UNITS[units], f"Units {units!r} of the sidecar")
    declared = file.sidecar.number("PhaseScaling")
    if declared is not None:
        if declared <= 0:
            raise InvalidInputError(
                f"{file.sidecar.name}: PhaseScaling is {declared:g}; expected radians per stored unit, above 0."
            )
        return PhaseScale(
            declared, f"PhaseScaling {declared:g} rad per unit of the {file.sidecar.origin_of('PhaseScaling')}"
        )
    if units in {None, "arbitrary"} and _is_siemens(file.sidecar) and _is_twelve_bit(volume.values):
        return PhaseScale(
            math.pi / SIEMENS_HALF_TURN, "the Siemens convention for files of dcm2niix, -4096..4094 for -pi..pi"
        )
    raise InvalidInputError(
        f"{file.sidecar.name}: Units is {units!r}; expected 'rad' or 'mrad', or PhaseScaling, radians per stored "
        "unit, so that the scaling of phase images is known. Rescale the images to radians, give PhaseScaling in the "
        "sidecar or the protocol file, or leave the phase out with --bids-filter-file."
    )


def _is_siemens(sidecar: Sidecar) -> bool:
    converter = (sidecar.text("ConversionSoftware") or "").lower()
    return converter == "dcm2niix" and (sidecar.text("Manufacturer") or "").lower().startswith("siemens")


def _is_twelve_bit(values: np.ndarray) -> bool:
    """Tell whether an image may hold -4096..4094, and not 0..4095 that lost its intercept on the way."""
    known = values[np.isfinite(values)]
    whole = known.dtype.kind in "iu" or bool(np.all(known == np.rint(known)))
    lowest, highest = known.min(initial=0), known.max(initial=0)
    return whole and -SIEMENS_HALF_TURN <= lowest < 0 and highest <= SIEMENS_HALF_TURN
