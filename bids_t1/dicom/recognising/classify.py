"""Which images of an examination measure T1, T2* or the transmit field, and what the others are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bids_t1.data.groups import grouped_by
from bids_t1.dicom.recognising import (
    inversion_recovery,
    mp2rage,
    multi_echo_gre,
    transmit_fields,
    variable_flip_angle,
)
from bids_t1.dicom.recognising.candidates import refuse_series, refuse_slices
from bids_t1.dicom.recognising.verdict import Verdict, by_series, warned

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from bids_t1.dicom.reading.slices import Slice
    from bids_t1.dicom.recognising.verdict import PlannedImage, SeriesSlices


class Recogniser(Protocol):
    """What the file of a sequence does."""

    def recognise(self, series: SeriesSlices, delayed: Sequence[float], /) -> Verdict:
        """Decide what is converted of the series that are left, and what is left for the next."""
        ...

    def tell(self, images: Sequence[PlannedImage]) -> list[str]:
        """Say what those images of one series that are of this sequence were kept as."""
        ...


SEQUENCES: Mapping[str, Recogniser] = {
    "variable_flip_angle": variable_flip_angle,
    "multi_echo_gre": multi_echo_gre,
    "mp2rage": mp2rage,
    "inversion_recovery": inversion_recovery,
}
"""One for each sequence, in the order in which they are asked: each is given what the earlier ones left."""


def classify(slices: Sequence[Slice], delayed: Sequence[float] = ()) -> Verdict:
    """Find the sets of each method among all slices of one participant's session.

    An inversion-recovery set is at least three distinct inversion times in images of the same geometry and
    sequence, in one or several series, each image with its own inversion; of an MP2RAGE set, all images follow
    one inversion. Variable flip angles are those of gradient echoes that differ in nothing else. A multi-echo set
    is at least three echo times of gradient echoes without inversion. Names only refuse, or support what nothing in
    the headers speaks against; times are always those of the header.

    Parameters
    ----------
    slices
        All that there are.
    delayed
        Inversion times of a selective inversion recovery that the user declares, one per image [s]: a set with these
        is one, whose images of equal inversion times are no repetitions.
    """
    verdict = Verdict(rest=by_series(slices))
    for decide in (transmit_fields.recognise, refuse_series, refuse_slices):
        verdict += decide(verdict.rest)
    for sequence in SEQUENCES.values():
        verdict += sequence.recognise(verdict.rest, delayed)
    return verdict + warned(*_doubtful_places(verdict.kept))


def told(images: Sequence[PlannedImage]) -> list[str]:
    """Say what the images of one series were kept as."""
    tellers = [*(sequence.tell for sequence in list(SEQUENCES.values())[::-1]), transmit_fields.tell]
    return [outcome for tell in tellers for outcome in tell(images)]


def _doubtful_places(kept: Sequence[PlannedImage]) -> list[str]:
    """Tell of single slices taken as repetitions, of which nothing says when each was acquired: places may be lost."""
    single = [image for image in kept if len(image.volume.slices) == 1 and image.volume.first.place.location is None]
    numbers = [
        alike[0].volume.first.series.number or 0 for alike in grouped_by(single, _kind).values() if len(alike) > 1
    ]
    return [
        f"series {number}: images have one ImagePositionPatient, and nothing says when each was acquired: they are "
        "taken as repetitions of one slice, and may be slices whose places were lost"
        for number in sorted(set(numbers))
    ]


def _kind(image: PlannedImage) -> Hashable:
    """Return what is the same in repetitions of one slice."""
    first = image.volume.first
    entities = tuple((key, value) for key, value in image.entities.items() if key != "run")
    return first.series, image.suffix, entities, first.timing.temporal_position, first.timing.acquired[:2]
