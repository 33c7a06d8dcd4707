"""What the user's protocol file adds to the sidecar of an MP2RAGE image, and what is still missing then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bids_t1.data.sidecar import FROM_PROTOCOL
from bids_t1.dicom.recognising.mp2rage import SUFFIX
from bids_t1.sequences.mp2rage_shots import PLAYED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bids_t1.data.sidecar import Sidecar
    from bids_t1.dicom.recognising.verdict import PlannedImage

TABLE = SUFFIX
"""Table of the protocol file."""

REQUIRED = (
    "RepetitionTimePreparation", "RepetitionTimeExcitation", "NumberShots", "InversionTime", "FlipAngle",
    "MagneticFieldStrength",
)  # fmt: skip
"""Fields of every readout that BIDS 1.11 and the signal model ask for."""

PER_READOUT = ("InversionTime", "FlipAngle", "RepetitionTimeExcitation")
"""Fields that a protocol file may give as a list, one value per readout."""

OF_UNI = ("RepetitionTimePreparation", "MagneticFieldStrength")
"""Fields of the protocol file that a UNI image, computed of several readouts, has too."""


def completed(sidecar: Mapping[str, Any], image: PlannedImage, table: Sidecar | None) -> dict[str, Any]:
    """Return a sidecar with what it lacks taken from the protocol file; what is in it is never replaced.

    A list without a value for each readout is of another protocol, and is not used. Images of other sequences are
    left as they are.

    Raises
    ------
    InvalidInputError
        If the protocol file holds something else than numbers.
    """
    wanted = {SUFFIX: REQUIRED}.get(image.suffix, OF_UNI if image.computed_of == SUFFIX else ())
    if table is None or not wanted:
        return dict(sidecar)
    lacking = [key for key in wanted if key not in sidecar]
    added = {key: value for key in lacking if (value := _from_table(key, image, table)) is not None}
    added |= _of_excitations(lacking, added, image, table)
    return dict(sidecar) | added | ({FROM_PROTOCOL: sorted(added)} if added else {})


def _from_table(key: str, image: PlannedImage, table: Sidecar) -> float | list[float] | None:
    if key == "NumberShots":
        shots = table.numbers(key)
        return None if shots is None else shots[0] if len(shots) == 1 else list(shots)
    return _of_readout(image, table.numbers(key) or ()) if key in PER_READOUT else table.number(key)


def _of_readout(image: PlannedImage, values: tuple[float, ...]) -> float | None:
    if len(values) == 1:
        return values[0]
    rank = image.inversion or 0
    fits = len(values) == len(image.times) if image.times else len(values) >= rank
    return values[rank - 1] if fits and rank else None


def _of_excitations(
    lacking: Collection[str], added: Mapping[str, Any], image: PlannedImage, table: Sidecar
) -> dict[str, Any]:
    """Return what else may tell the excitations around the k-space centre: those played, and the share of k-space."""
    found: dict[str, Any] = {}
    if "NumberShots" in lacking and "NumberShots" not in added:
        found = _played(image, table)
    share = table.number("SlicePartialFourier")
    if share is not None and (isinstance(added.get("NumberShots"), float) or found):
        found["SlicePartialFourier"] = share
    return found


def _played(image: PlannedImage, table: Sidecar) -> dict[str, Any]:
    """Return the excitations that are played, of one readout where there is a number for each."""
    values = table.numbers(PLAYED) or ()
    rank = image.inversion or 1
    if len(values) == 1 or (values and len(values) == len(image.times)):
        return {PLAYED: values[0 if len(values) == 1 else rank - 1]}
    return {}


def missing(sidecar: Mapping[str, Any], image: PlannedImage) -> list[str]:
    """Return the required fields that the sidecar of a readout lacks."""
    required = [key for key in REQUIRED if image.suffix == SUFFIX]
    return [key for key in required if key not in sidecar and (key != "NumberShots" or PLAYED not in sidecar)]


def told_missing(fields: Collection[str]) -> str:
    """Say which fields are missing, and how the user can give them."""
    return (
        f"MP2RAGE: {', '.join(sorted(fields))} missing in the DICOM headers, and not given by a protocol file for "
        f"each readout; expected by BIDS and for T1. Give {'it' if len(fields) == 1 else 'them'} with --protocol "
        f"FILE, in a table [{TABLE}]"
    )
