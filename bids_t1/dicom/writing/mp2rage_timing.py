"""The timing of an MP2RAGE image in the words of BIDS: from its header, completed by the user's protocol file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bids_t1.dicom.recognising.one_inversion import LONGEST_EXCITATION_TIME
from bids_t1.sequences.mp2rage_shots import PLAYED
from bids_t1.sequences.mp2rage_timing import ALL_INVERSION_TIMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.sidecar import Sidecar
    from bids_t1.dicom.recognising.plan import Kept

REQUIRED = (
    "RepetitionTimePreparation", "RepetitionTimeExcitation", "NumberShots", "InversionTime", "FlipAngle",
    "MagneticFieldStrength",
)  # fmt: skip
"""Fields of every readout that BIDS 1.11 and the signal model ask for."""

ORIGIN_KEY = "ProtocolFields"
"""Private field of a sidecar: those of its fields that come from the user's protocol file."""

_PER_READOUT = ("InversionTime", "FlipAngle", "RepetitionTimeExcitation")
"""Fields that a protocol file may give as a list, one value per readout."""

_OF_UNI = ("RepetitionTimePreparation", "MagneticFieldStrength")
"""Fields of the protocol file that a UNI image, computed of several readouts, has too."""


def timing(image: Kept) -> dict[str, Any]:
    """Return what the header of an MP2RAGE or UNIT1 image says of the timing; a field that it lacks is None."""
    piece = image.volume.one
    readouts = piece.readouts
    shots = None if readouts is None or readouts.shots is None else list(readouts.shots)
    angles = () if readouts is None else readouts.flip_angles
    fields = {
        "RepetitionTimePreparation": _cycle_time(image),
        "RepetitionTimeExcitation": _excitation_time(image),
        "NumberShots": shots,
        "MagneticFieldStrength": piece.field_strength,
    }
    if image.inversion is None:
        times = () if readouts is None else readouts.inversion_times
        return fields | {"FlipAngle": list(angles) or None, ALL_INVERSION_TIMES: list(times) or None}
    known = len(angles) >= image.inversion
    return fields | {
        "InversionTime": piece.inversion_time,
        "FlipAngle": angles[image.inversion - 1] if known else piece.flip_angle,
    }


def _cycle_time(image: Kept) -> float | None:
    """Return the repetition time if it is that of inversions: longer than any train, and than the last readout."""
    repetition = image.volume.one.repetition_time
    shortest = max([*image.times, image.volume.one.inversion_time or 0.0, LONGEST_EXCITATION_TIME])
    return repetition if repetition is not None and repetition > shortest else None


def _excitation_time(image: Kept) -> float | None:
    """Return the delay between excitations: of the protocol, or the repetition time where it is that short.

    Siemens writes the cycle as repetition time, and Philips and GE the delay between excitations
    (rordenlab/dcm2niix#439).
    """
    piece = image.volume.one
    if piece.readouts is not None and piece.readouts.excitation_time is not None:
        return piece.readouts.excitation_time
    repetition = piece.repetition_time
    return repetition if repetition is not None and repetition < LONGEST_EXCITATION_TIME else None


def completed(sidecar: Mapping[str, Any], image: Kept, table: Sidecar | None) -> dict[str, Any]:
    """Return a sidecar with what it lacks taken from the protocol file; what is in it is never replaced.

    A list without a value for each readout is of another protocol, and is not used.

    Raises
    ------
    InvalidInputError
        If the protocol file holds something else than numbers.
    """
    if table is None:
        return dict(sidecar)
    wanted = _OF_UNI if image.suffix == "UNIT1" else REQUIRED
    lacking = [key for key in wanted if key not in sidecar]
    added = {key: value for key in lacking if (value := _from_table(key, image, table)) is not None}
    if "NumberShots" in lacking and "NumberShots" not in added:
        added |= _played(image, table)
    share = table.number("SlicePartialFourier")
    if share is not None and (isinstance(added.get("NumberShots"), float) or PLAYED in added):
        added["SlicePartialFourier"] = share
    return dict(sidecar) | added | ({ORIGIN_KEY: sorted(added)} if added else {})


def _from_table(key: str, image: Kept, table: Sidecar) -> float | list[float] | None:
    if key == "NumberShots":
        shots = table.numbers(key)
        return None if shots is None else shots[0] if len(shots) == 1 else list(shots)
    if key not in _PER_READOUT:
        return table.number(key)
    values = table.numbers(key) or ()
    if len(values) == 1:
        return values[0]
    rank = image.inversion or 0
    fits = len(values) == len(image.times) if image.times else len(values) >= rank
    return values[rank - 1] if fits and rank else None


def _played(image: Kept, table: Sidecar) -> dict[str, float]:
    """Return the excitations that are played, of one readout where there is a number for each."""
    values = table.numbers(PLAYED) or ()
    rank = image.inversion or 1
    if len(values) == 1 or (values and len(values) == len(image.times)):
        return {PLAYED: values[0 if len(values) == 1 else rank - 1]}
    return {}


def missing(sidecar: Mapping[str, Any]) -> list[str]:
    """Return the required fields that the sidecar of a readout lacks."""
    return [key for key in REQUIRED if key not in sidecar and (key != "NumberShots" or PLAYED not in sidecar)]
