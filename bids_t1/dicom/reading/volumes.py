"""Slices put together to volumes: one inversion time, one part of the complex signal, one acquisition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped_by
from bids_t1.dicom.reading.geometry import along_normal, close, has_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bids_t1.dicom.reading.slices import Slice, Timing

ECHO_TOLERANCE = 0.0005
"""Echo times closer than this belong to one echo [s]."""

SAME_ECHO = 0.0001
"""Echo times of one scan that are closer than this are one: headers round them [s]."""

POSITION_TOLERANCE = 0.1
"""Slices closer than this lie in the same place [mm]."""

FLIP_TOLERANCE = 0.5
"""Flip angles closer than this are the same [degree]."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """The slices of one image, ordered along the slice normal; equal to itself only."""

    slices: tuple[Slice, ...]

    @property
    def first(self) -> Slice:
        """The first slice, which speaks for all: what makes a volume is the same in each."""
        return self.slices[0]

    @property
    def timing(self) -> Timing:
        """Times and angles."""
        return self.first.timing

    @property
    def started(self) -> tuple[str, int, int]:
        """An order in time within the examination."""
        time = min(plane.timing.acquired for plane in self.slices)
        return time[0], self.first.series.number or 0, time[1]

    def lies_with(self, other: Volume) -> bool:
        """Tell whether another volume shows the same slices."""
        a, b = self.first, other.first
        return (
            (a.place.matrix, a.vendor) == (b.place.matrix, b.vendor)
            and len(self.slices) == len(other.slices)
            and close(a.place.spacing, b.place.spacing, 1e-3)
            and close(a.place.orientation, b.place.orientation, 1e-3)
            and close(a.place.position, b.place.position, POSITION_TOLERANCE)
            and close(self.slices[-1].place.position, other.slices[-1].place.position, POSITION_TOLERANCE)
        )

    def is_part_of(self, other: Volume) -> bool:
        """Tell whether another volume shows these slices and more, with the same sequence at any inversion time."""
        places = [plane.place.position for plane in self.slices]
        same = [
            plane
            for plane in other.slices
            if any(close(plane.place.position, place, POSITION_TOLERANCE) for place in places)
        ]
        return len(self.slices) == len(same) < len(other.slices) and self.fits(Volume(tuple(same)))

    def echoes_like(self, other: Volume) -> bool:
        """Tell whether another volume shows the same slices with the same sequence, at any echo."""
        a, b = self.first, other.first
        return (
            self.lies_with(other)
            and (a.sequence, a.dimensions) == (b.sequence, b.dimensions)
            and _stem(a.sequence_name) == _stem(b.sequence_name)
        )

    def plays_like(self, other: Volume) -> bool:
        """Tell whether another volume shows the same slices with the same sequence, at any time and flip angle."""
        apart = abs((self.timing.echo_time or 0) - (other.timing.echo_time or 0))
        return self.echoes_like(other) and apart < ECHO_TOLERANCE

    def turns_like(self, other: Volume) -> bool:
        """Tell whether another volume was excited with the same flip angle."""
        return abs((self.timing.flip_angle or 0) - (other.timing.flip_angle or 0)) < FLIP_TOLERANCE

    def repeats_like(self, other: Volume, tolerance: float) -> bool:
        """Tell whether another volume has the same repetition time, up to a tolerance [s]."""
        return abs((self.timing.repetition_time or 0.0) - (other.timing.repetition_time or 0.0)) < tolerance

    def fits(self, other: Volume) -> bool:
        """Tell whether another volume shows the same slices with the same sequence at any inversion time."""
        return self.plays_like(other) and self.turns_like(other)


def assemble(
    slices: Iterable[Slice], apart: Callable[[Slice], object] = lambda _: None
) -> tuple[list[Volume], list[tuple[Slice, str]]]:
    """Put the slices of one series together; those for which `apart` differs are of different volumes.

    Also return a slice and the reason for each group of slices that makes no volume. A place that was
    imaged several times belongs to several volumes, in the order of acquisition.
    """
    volumes: list[Volume] = []
    failures: list[tuple[Slice, str]] = []
    for group in grouped_by(slices, lambda plane: (*_same_volume(plane), apart(plane))).values():
        if not all(has_place(plane) for plane in group):
            failures.append((group[0], "image position or orientation is missing or incomplete, or pixel spacing"))
            continue
        if _contradict(group):
            failures.append((group[0], "all slices have one ImagePositionPatient, and several slice locations"))
            continue
        repeats = _repeats(group)
        if repeats is None:
            failures.append((group[0], "slices are missing: the places were not imaged equally often"))
        else:
            volumes.extend(repeats)
    return volumes, failures


def in_order(volumes: Iterable[Volume]) -> list[Volume]:
    """Return volumes in the order of their acquisition."""
    return sorted(volumes, key=lambda volume: volume.started)


def without(volumes: Iterable[Volume], others: Iterable[Volume]) -> list[Volume]:
    """Return the volumes that are none of the others."""
    taken = set(others)
    return [volume for volume in volumes if volume not in taken]


def times_of(volumes: Iterable[Volume]) -> tuple[float, ...]:
    """Return the distinct inversion times of volumes, rising [s]."""
    return tuple(
        sorted({volume.timing.inversion_time for volume in volumes if volume.timing.inversion_time is not None})
    )


def echo_times_of(volumes: Iterable[Volume]) -> tuple[float, ...]:
    """Return the distinct echo times of volumes, rising [s]; of those that are the same up to rounding, the first."""
    found: list[float] = []
    for time in sorted({volume.timing.echo_time for volume in volumes if volume.timing.echo_time is not None}):
        if not found or time - found[-1] >= SAME_ECHO:
            found.append(time)
    return tuple(found)


def echo_rank(volume: Volume, times: Sequence[float]) -> int | None:
    """Return the rank, from 1, of a volume's echo time among several; None where there is one."""
    if len(times) < 2:  # noqa: PLR2004 - a rank among one says nothing
        return None
    return min(range(len(times)), key=lambda index: abs(times[index] - (volume.timing.echo_time or 0.0))) + 1


def _stem(sequence_name: str) -> str:
    """Return the letters a sequence name begins with: the digits after them count echoes and shots."""
    found = re.match(r"[^0-9]*", sequence_name)
    return found.group() if found else ""


def _same_volume(plane: Slice) -> tuple[object, ...]:
    orientation = tuple(round(cosine, 3) + 0.0 for cosine in plane.place.orientation)
    echo = None if plane.timing.echo_time is None else round(plane.timing.echo_time, 4)
    kind = plane.component, plane.product, plane.reconstruction
    return plane.timing.inversion_time, kind, plane.place.matrix, orientation, echo


def _contradict(group: list[Slice]) -> bool:
    """Tell whether slices are said to lie in one place, and elsewhere in the headers not to."""
    places = [along_normal(plane) for plane in group]
    locations = [plane.place.location for plane in group if plane.place.location is not None]
    return max(places) - min(places) < POSITION_TOLERANCE and _spread(locations) >= POSITION_TOLERANCE


def _spread(numbers: Sequence[float]) -> float:
    return max(numbers) - min(numbers) if numbers else 0.0


def _repeats(group: list[Slice]) -> list[Volume] | None:
    places: list[list[Slice]] = []
    for plane in sorted(group, key=along_normal):
        if places and along_normal(plane) - along_normal(places[-1][0]) < POSITION_TOLERANCE:
            places[-1].append(plane)
        else:
            places.append([plane])
    counts = {len(place) for place in places}
    if len(counts) != 1:
        return None
    ordered = [sorted(place, key=_time) for place in places]
    return [Volume(tuple(planes)) for planes in zip(*ordered, strict=True)]


def _time(plane: Slice) -> tuple[int, tuple[str, int, int], int]:
    return plane.timing.temporal_position or 0, plane.timing.acquired, plane.frame or 0
