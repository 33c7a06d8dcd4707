"""UNIT1 images: which are true, and what their stored numbers mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import brief

if TYPE_CHECKING:
    from bids_t1.bids.images import Volume
    from bids_t1.data.acquisition import RawFile
    from bids_t1.data.entities import BidsName

SCALING_KEY = "UNIT1Scaling"
"""Field of a sidecar or protocol file that declares the convention; not of BIDS."""

STRAY_SHARE = 1e-3
"""Share of voxels that may lie outside a convention, or must reach far into it, for it to be recognised."""

FAR_INTO_TWELVE_BITS = 1000
"""A stored UNI of 12 bits reaches beyond this; a mask or a ratio kept as integers does not."""

MASKED_SHARE = 0.05
"""One stored value in a larger share of an image is a mask and no measurement."""

ROUNDING = 1e-3
"""Values this far outside [-1/2, 1/2] are rounding."""

_DENOISED_WORD = re.compile(r"uni[-_ ]?den|denois|(?<![a-z0-9])den(?![a-z0-9])", re.IGNORECASE)
"""How vendors and conversions write UNI-DEN into descriptions."""

_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "ImageType")


@dataclass(frozen=True, slots=True)
class _Convention:
    """How S is stored."""

    lowest: float
    highest: float
    scale: float
    offset: float
    meaning: str


CONVENTIONS = {
    "0..4095": _Convention(0, 4095, 1 / 4095, -0.5, "S = stored / 4095 - 1/2"),
    "-0.5..0.5": _Convention(-0.5 - ROUNDING, 0.5 + ROUNDING, 1.0, 0.0, "S as stored"),
    "-2048..2047": _Convention(-2048, 2047, 1 / 4095, 0.0, "S = stored / 4095"),
}
"""By the value of `SCALING_KEY`."""


@dataclass(frozen=True, slots=True, eq=False)
class Uni:
    """A UNIT1 image as read."""

    values: np.ndarray
    """S in [-1/2, 1/2], (x, y, z), float32; NaN where the image holds none."""

    scaling: str
    warnings: tuple[str, ...]


def is_denoised(name: BidsName) -> bool:
    """Tell from its name whether an image is a regularised UNI (UNI-DEN), whose T1 is biased."""
    if name.suffix != "UNIT1":
        return False
    reconstruction = (name.get("rec") or "").lower()
    return "den" in reconstruction or any(_DENOISED_WORD.search(name.get(key) or "") for key in ("acq", "desc", "proc"))


def describes_denoised(file: RawFile) -> bool:
    """Tell from name and metadata whether an image is a regularised UNI."""
    described = [file.sidecar.fields.get(key) for key in _DESCRIPTIONS]
    words = [" ".join(map(str, text)) if isinstance(text, list) else str(text or "") for text in described]
    return is_denoised(file.name) or any(_DENOISED_WORD.search(text) for text in words)


def read_uni(file: RawFile, volume: Volume) -> Uni:
    """Return S of a UNIT1 image, by the convention that is declared or that header and values agree on.

    Raises
    ------
    InvalidInputError
        If the convention is not known, or is not that of the values.
    """
    name, origin = _convention(file, volume)
    convention = CONVENTIONS[name]
    stored = volume.values
    warnings = []
    with np.errstate(invalid="ignore"):
        outside = (stored < convention.lowest) | (stored > convention.highest)
    if outside.any():
        warnings.append(
            f"{file.name}: {np.count_nonzero(outside)} voxels lie outside {name}, how its UNI is stored; "
            "they have no value."
        )
    values = np.multiply(stored, np.float32(convention.scale), dtype=np.float32) + np.float32(convention.offset)
    np.clip(values, -0.5, 0.5, out=values)
    values[outside] = np.nan
    sentence = f"{convention.meaning}, stored in {name} by {origin}"
    masked = np.zeros(stored.shape, np.bool_)
    for fill in {0.0, -0.5 if name == "-0.5..0.5" else convention.lowest}:
        there = stored == fill
        if np.count_nonzero(there) > MASKED_SHARE * stored.size:
            masked |= there
    if masked.any():
        values[masked] = np.nan
        sentence += f"; {np.count_nonzero(masked) / stored.size:.0%} of the voxels are masked and have no value"
    return Uni(values, sentence, tuple(warnings))


def _convention(file: RawFile, volume: Volume) -> tuple[str, str]:
    """Return the name of a convention, and what told so."""
    declared = file.sidecar.get(SCALING_KEY)
    if declared is not None:
        if not isinstance(declared, str) or declared not in CONVENTIONS:
            raise InvalidInputError(
                f"{file.sidecar.name}: {SCALING_KEY} is {brief(declared)}; expected one of {', '.join(CONVENTIONS)}."
            )
        where = f"the {file.sidecar.origin_of(SCALING_KEY)}"
        _require_inside(file, volume, declared, where)
        return declared, f"{SCALING_KEY} of {where}"
    name = _recognised(volume)
    if name is None:
        kind = "integers" if _holds_integers(volume) else "real numbers"
        known = volume.values[np.isfinite(volume.values)]
        low, high = np.quantile(known, [STRAY_SHARE, 1 - STRAY_SHARE])
        raise InvalidInputError(
            f"{file.name}: holds {kind}, 99.8 % of them from {low:g} to {high:g}; expected integers 0..4095 or "
            f"-2048..2047, or real numbers -0.5..0.5. Declare {SCALING_KEY} in the sidecar or the protocol file, as "
            f"one of {', '.join(CONVENTIONS)}."
        )
    return name, "its header and values"


def _require_inside(file: RawFile, volume: Volume, name: str, where: str) -> None:
    share = 1 - _share(volume, CONVENTIONS[name].lowest, CONVENTIONS[name].highest)
    if share > 0.5:  # noqa: PLR2004 - most of the image
        raise InvalidInputError(
            f"{file.name}: {share:.0%} of its voxels lie outside {name}, the {SCALING_KEY} of {where}; expected few. "
            "Correct it."
        )


def _recognised(volume: Volume) -> str | None:
    def all_within(name: str) -> bool:
        convention = CONVENTIONS[name]
        return 1 - _share(volume, convention.lowest, convention.highest) <= STRAY_SHARE

    if not _holds_integers(volume):
        return "-0.5..0.5" if all_within("-0.5..0.5") else None
    if all_within("0..4095") and _share(volume, FAR_INTO_TWELVE_BITS, np.inf) > STRAY_SHARE:
        return "0..4095"
    if all_within("-2048..2047") and _share(volume, -np.inf, -1) > STRAY_SHARE:
        return "-2048..2047"
    return None


def _holds_integers(volume: Volume) -> bool:
    """Tell whether an image holds whole numbers, of whatever type the software on the way has made them."""
    known = volume.values[np.isfinite(volume.values)]
    return volume.holds_integers or bool(np.abs(known).max(initial=0) > 1 and np.all(known == np.rint(known)))


def _share(volume: Volume, lowest: float, highest: float) -> float:
    """Return the share of the finite voxels that lie within limits."""
    known = volume.values[np.isfinite(volume.values)]
    inside = (known >= lowest) & (known <= highest)
    return float(inside.mean()) if inside.size else 0.0
