"""Variable flip angles: spoiled gradient echoes of one protocol that differ in their flip angle, for T1."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from bids_t1.data.groups import grouped
from bids_t1.dicom.reading.volumes import SAME_ECHO, in_order
from bids_t1.dicom.recognising.candidates import may_be_gradient_echo
from bids_t1.dicom.recognising.repetitions import one_reconstruction, runs
from bids_t1.dicom.recognising.verdict import (
    PlannedImage,
    Verdict,
    assembled,
    left_out,
    numbered,
    part_of,
    passed,
    rest_of,
    together,
)  # fmt: skip
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.verdict import SeriesSlices

SUFFIX = "VFA"

OTHERS = (names.FIELD_MAP, names.AFI, names.DOUBLE_ANGLE, names.TFL_B1_MAP, names.MP2RAGE)
"""What series are called whose images differ in flip angle for another end."""

LONGEST_REPETITION = 0.1
"""Slower gradient echoes are not played for T1 at several flip angles [s]."""

SAME_REPETITION = 1e-4
"""Repetition times closer than this are the same [s]."""

LARGEST_ANGLE = 90.0
WIDEST_OF_READOUTS = 2.0
"""Largest over smallest flip angle up to which images may be the readouts of one inversion whose times were lost."""

MOST_REPETITIONS = 10
"""More images of one angle in a series are a time series, as after a contrast agent."""


def recognise(series: SeriesSlices, _delayed: Sequence[float] = ()) -> Verdict:
    """Plan the conversion of gradient echoes that differ in nothing but flip angle and part.

    They may lie in one or in many series. Names only refuse. What is not of such a set is left to be judged by others.
    """
    volumes = [volume for key, planes in series.items() for volume in _volumes(key, planes)]
    families = grouped(in_order(volumes), _is_of_set)
    sets = [family for family in families if _is_set(family)]
    acquisitions, others = passed(map(_accepted, sets))
    planned = [Verdict(tuple(_images(acquisition, run))) for acquisition, run in numbered(acquisitions)]
    return together([others, *planned], rest_of(series, chain.from_iterable(sets)))


def _volumes(key: SeriesKey, planes: Sequence[Slice]) -> list[Volume]:
    """Return the volumes of a series that may be of such a set: none of several echoes, or of a time series."""
    if any(key.is_called(pattern) for pattern in OTHERS):
        return []
    found, _ = assembled((plane for plane in planes if _may_vary(plane)), lambda plane: plane.timing.flip_angle)
    counts = Counter((told_angle(volume), volume.first.component, volume.first.reconstruction) for volume in found)
    return [] if max(counts.values(), default=0) > MOST_REPETITIONS else found


def _may_vary(plane: Slice) -> bool:
    return (
        may_be_gradient_echo(plane)
        and 0 < (plane.timing.flip_angle or 0.0) <= LARGEST_ANGLE
        and 0 < (plane.timing.repetition_time or 0.0) < LONGEST_REPETITION
    )


def _is_of_set(group: Sequence[Volume], volume: Volume) -> bool:
    """Tell whether a volume shows what a group does, with the same sequence and repetition time, at any echo."""
    return group[0].echoes_like(volume) and group[0].repeats_like(volume, SAME_REPETITION)


def _is_set(family: Sequence[Volume]) -> bool:
    """Tell whether images have one echo, and angles further apart than those of readouts after one inversion."""
    angles, echoes = angles_of(family), [volume.timing.echo_time or 0.0 for volume in family]
    return max(echoes) - min(echoes) < SAME_ECHO and angles[-1] >= WIDEST_OF_READOUTS * angles[0]


def _accepted(family: Sequence[Volume]) -> tuple[list[list[Volume]], Verdict]:
    """Return the repetitions of a set; none where its angles were not acquired equally often."""
    chosen, others = one_reconstruction(family, told_angle)
    counts = Counter((told_angle(volume), volume.first.component) for volume in chosen)
    if len(set(counts.values())) == 1:
        repetitions, _ = runs(chosen, told_angle)
        return repetitions, others
    most, least = counts.most_common()[0], counts.most_common()[-1]
    reason = (
        f"{most[0][0]} was acquired {most[1]} times and {least[0][0]} {least[1]} times, and nothing says which belong "
        "together: one may be with a magnetisation transfer pulse or a contrast agent. Convert those that are wanted "
        "as flip-1, flip-2 ... of VFA"
    )
    return [], others + left_out(chosen, reason)


def _images(acquisition: Sequence[Volume], run: int | None) -> list[PlannedImage]:
    angles = angles_of(acquisition)
    return [
        PlannedImage(
            volume=volume,
            suffix=SUFFIX,
            flip=1 + angles.index(volume.timing.flip_angle or 0.0),
            run=run,
            part=part_of(volume, acquisition),
            timing=_timing(volume.first),
        )
        for volume in acquisition
    ]


def _timing(plane: Slice) -> dict[str, Any]:
    return {
        "RepetitionTimeExcitation": plane.timing.repetition_time,
        "FlipAngle": plane.timing.flip_angle,
        "MagneticFieldStrength": plane.field_strength,
        # BIDS asks for it, and headers tell no more than this.
        "PulseSequenceType": "Gradient echo",
    }


def angles_of(volumes: Sequence[Volume]) -> list[float]:
    """Return the distinct flip angles of volumes, rising [degree]."""
    return sorted({volume.timing.flip_angle or 0.0 for volume in volumes})


def told_angle(volume: Volume) -> str:
    """Say by what an image differs from the others of its set."""
    return f"flip angle {volume.timing.flip_angle:g} degrees"


def tell(images: Sequence[PlannedImage]) -> list[str]:
    """Say what images of one series were kept as."""
    return [
        f"kept as {image.name}, flip angle {image.volume.timing.flip_angle:g} degrees"
        for image in images
        if image.suffix == SUFFIX
    ]
