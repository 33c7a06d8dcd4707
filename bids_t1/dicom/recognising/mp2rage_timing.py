"""The timing of an MP2RAGE image in the words of BIDS, as its header and the protocol in it tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bids_t1.sequences.mp2rage import LONGEST_EXCITATION_TIME
from bids_t1.sequences.mp2rage_timing import ALL_INVERSION_TIMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import Slice


def timing(plane: Slice, rank: int | None, times: Sequence[float]) -> dict[str, Any]:
    """Return what a header says of the timing; a field that it lacks is None.

    Parameters
    ----------
    plane
        A slice of the image.
    rank
        Rank of the readout, from 1; None for an image that was computed of several.
    times
        Inversion times of all readouts [s], as far as they are known.
    """
    readouts = plane.readouts
    shots = None if readouts is None or readouts.shots is None else list(readouts.shots)
    angles = () if readouts is None else readouts.flip_angles
    fields = {
        "RepetitionTimePreparation": _cycle_time(plane, times),
        "RepetitionTimeExcitation": _excitation_time(plane),
        "NumberShots": shots,
        "MagneticFieldStrength": plane.field_strength,
    }
    if rank is None:
        played = () if readouts is None else readouts.inversion_times
        return fields | {"FlipAngle": list(angles) or None, ALL_INVERSION_TIMES: list(played) or None}
    known = len(angles) >= rank
    return fields | {
        "InversionTime": plane.timing.inversion_time,
        "FlipAngle": angles[rank - 1] if known else plane.timing.flip_angle,
    }


def _cycle_time(plane: Slice, times: Sequence[float]) -> float | None:
    """Return the repetition time if it is that of inversions: longer than any train, and than the last readout."""
    shortest = max([*times, plane.timing.inversion_time or 0.0, LONGEST_EXCITATION_TIME])
    return (
        plane.timing.repetition_time
        if plane.timing.repetition_time is not None and plane.timing.repetition_time > shortest
        else None
    )


def _excitation_time(plane: Slice) -> float | None:
    """Return the delay between excitations: of the protocol, or the repetition time where it is that short.

    Siemens writes the cycle as repetition time, and Philips and GE the delay between excitations
    (rordenlab/dcm2niix#439).
    """
    if plane.readouts is not None and plane.readouts.excitation_time is not None:
        return plane.readouts.excitation_time
    repetition = plane.timing.repetition_time
    return repetition if repetition is not None and repetition < LONGEST_EXCITATION_TIME else None
