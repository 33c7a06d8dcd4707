"""Inversion recovery: several inversion times of one sequence, each image with an inversion of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bids_t1.data.groups import grouped
from bids_t1.dicom.reading.volumes import Volume, assemble, in_order, times_of
from bids_t1.dicom.recognising.candidates import inverted_volumes, lacks_inversion
from bids_t1.dicom.recognising.refusals import OTHER_GEOMETRY, physical_refusal, too_few_times, wrong_unit
from bids_t1.dicom.recognising.repetitions import is_selective, one_reconstruction, ranks, runs
from bids_t1.dicom.recognising.verdict import (
    PlannedImage,
    Verdict,
    left_out,
    numbered,
    part_of,
    passed,
    told_alike,
    warned,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import Slice
    from bids_t1.dicom.recognising.verdict import Reason, SeriesSlices

SUFFIX = "IRT1"

FEWEST_TIMES = 3
"""T1, the equilibrium signal and the inversion efficiency are three unknowns."""


def recognise(series: SeriesSlices, delayed: Sequence[float] = ()) -> Verdict:
    """Plan the conversion of every set of at least three inversion times, of the same geometry and sequence.

    The images of a set may lie in one or several series. What seems to be missing of a set is told. A set with the
    times of `delayed` is one of a selective inversion recovery: its equal times are no repetitions.
    """
    volumes, _ = inverted_volumes(series)
    families = grouped(in_order(volumes), lambda family, volume: family[0].fits(volume))
    sets, others = passed(_accepted(family, times_of(volumes), delayed) for family in families)
    wholes = [chosen[0] for chosen in sets]
    incomplete = Verdict(incomplete=(*_cut(volumes, wholes), *_timeless(series, wholes)))
    return others + incomplete + _planned(sets, delayed)


def _accepted(
    family: Sequence[Volume], all_times: Sequence[float], delayed: Sequence[float]
) -> tuple[list[list[Volume]], Verdict]:
    """Return the images of a family as a set, or none, after every refusal."""
    if is_selective(family, delayed):
        return [list(family)], Verdict()
    times = times_of(family)
    if len(times) < FEWEST_TIMES:
        elsewhere = OTHER_GEOMETRY if len(all_times) >= FEWEST_TIMES else ""
        return [], left_out(family, too_few_times(times) + elsewhere)
    reason = physical_refusal(family) or wrong_unit(times)
    if reason is not None:
        return [], left_out(family, reason)
    chosen, others = one_reconstruction(family)
    return [chosen], others


def _cut(volumes: Sequence[Volume], wholes: Sequence[Volume]) -> list[Reason]:
    """Tell of images that lack slices of a set and would be of it else: an inversion time that the maps miss."""
    return [
        (
            volume.first.series,
            f"has {len(volume.slices)} of the {len(whole.slices)} slices of the other inversion times",
        )
        for whole in wholes
        for volume in volumes
        if volume.is_part_of(whole)
    ]


def _timeless(series: SeriesSlices, wholes: Sequence[Volume]) -> list[Reason]:
    """Tell of images that were acquired as those of a set, and whose inversion time is not there."""
    reason = "no inversion time, where images of the same sequence and geometry have one"
    inverted = [Volume(tuple(map(_inverted, whole.slices))) for whole in wholes]
    return [(key, reason) for key, planes in series.items() if _is_of_set(planes, inverted)]


def _is_of_set(planes: Sequence[Slice], wholes: Sequence[Volume]) -> bool:
    volumes, _ = assemble(_inverted(plane) for plane in planes if lacks_inversion(plane))
    return any(volume.fits(whole) or volume.is_part_of(whole) for volume in volumes for whole in wholes)


def _inverted(plane: Slice) -> Slice:
    """Return a slice as of a sequence with inversion: where its time is lost, that there was one may be lost too."""
    return replace(plane, sequence=plane.sequence | {"IR"})


def _planned(sets: Sequence[list[Volume]], delayed: Sequence[float]) -> Verdict:
    """Give each volume its inversion rank, its run where there are several, and its part."""
    acquisitions, surplus = passed(
        ([volumes], Verdict()) if is_selective(volumes, delayed) else runs(volumes) for volumes in sets
    )
    kept = [image for acquisition, run in numbered(acquisitions) for image in _images(acquisition, run, delayed)]
    return surplus + _of_several(len(sets), len(acquisitions)) + Verdict(tuple(kept))


def _of_several(n_sets: int, n_runs: int) -> Verdict:
    if n_sets < 2:  # noqa: PLR2004 - one set needs no word
        return Verdict()
    return warned(f"{n_sets} inversion-recovery sets of different geometry or sequence: written as runs 1 to {n_runs}")


def _images(acquisition: Sequence[Volume], run: int | None, delayed: Sequence[float]) -> list[PlannedImage]:
    by_image = is_selective(acquisition, delayed)
    return [
        PlannedImage(
            volume=volume,
            suffix=SUFFIX,
            inversion=rank,
            run=run,
            part=part_of(volume, acquisition),
            timing=_timing(volume.first),
        )
        for volume, rank in ranks(acquisition, by_image=by_image)
    ]


def _timing(plane: Slice) -> dict[str, Any]:
    """Return the timing of an image with an inversion of its own."""
    is_cycle = _is_between_inversions(plane)
    return {
        "InversionTime": plane.timing.inversion_time,
        "RepetitionTime": plane.timing.repetition_time if is_cycle else None,
        "RepetitionTimeExcitation": None if is_cycle else plane.timing.repetition_time,
        "FlipAngle": plane.timing.flip_angle,
        "MagneticFieldStrength": plane.field_strength,
    }


def _is_between_inversions(plane: Slice) -> bool:
    """Tell a repetition time between inversions from one between gradient echoes, which is shorter than TI.

    GE and Philips write the latter for inversion-prepared gradient echoes: a GE Discovery MR750 has TR 8.9
    and TI 900 ms.
    """
    if plane.timing.repetition_time is None or plane.timing.inversion_time is None:
        return True
    return plane.timing.repetition_time > plane.timing.inversion_time


def tell(images: Sequence[PlannedImage]) -> list[str]:
    """Say what images of one series were kept as."""
    inverted = [image for image in images if image.suffix == SUFFIX]
    return told_alike(inverted, "inversion time", times_of(image.volume for image in inverted))
