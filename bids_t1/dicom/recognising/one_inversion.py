"""Whether images of several inversion times were read out after one inversion, as those of MP2RAGE."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped
from bids_t1.dicom.reading.volumes import in_order, times_of
from bids_t1.dicom.recognising.refusals import known_start
from bids_t1.dicom.vendors import names
from bids_t1.sequences.mp2rage import LONGEST_EXCITATION_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.volumes import Volume

MOST_READOUTS = 5
"""More readouts after one inversion are a Look-Locker sequence."""

SAME_TIME = 0.001
"""Times closer than this are the same: headers and protocols round them [s]."""

CLOCK = re.compile(r"(?:\d{8})?(\d{2})(\d{2})(\d{2}(?:\.\d+)?)")


def of_one_protocol(volumes: Sequence[Volume]) -> list[list[Volume]]:
    """Group volumes that one protocol may have made: the same slices, sequence, repetition time and name.

    Those of another echo time belong to it if they were acquired at once: echoes of the same readouts.
    """
    return grouped(in_order(volumes), _joins)


def _joins(group: Sequence[Volume], volume: Volume) -> bool:
    return _same_protocol(group[0], volume) and (
        any(other.plays_like(volume) for other in group) or any(_at_once(other, volume) for other in group)
    )


def _at_once(first: Volume, second: Volume) -> bool:
    """Tell whether two volumes were acquired at once: in one series, or beginning at the same time."""
    starts = known_start(first), known_start(second)
    return first.first.series == second.first.series or (starts[0] is not None and starts[0] == starts[1])


def _same_protocol(first: Volume, second: Volume) -> bool:
    a, b = first.first, second.first
    return (
        first.echoes_like(second)
        and a.series.protocol == b.series.protocol
        and _close(a.timing.repetition_time, b.timing.repetition_time)
        and (a.readouts and a.readouts.inversion_times) == (b.readouts and b.readouts.inversion_times)
    )


def computed_of(uni: Volume, readout: Volume) -> bool:
    """Tell whether a UNI image may have been computed of a readout: same slices, echo, cycle and protocol name."""
    a, b = uni.first, readout.first
    return (
        uni.lies_with(readout)
        and a.series.protocol == b.series.protocol
        and _close(a.timing.repetition_time, b.timing.repetition_time)
        and _close(a.timing.echo_time, b.timing.echo_time)
    )


def _close(first: float | None, second: float | None) -> bool:
    """Tell whether two times agree, or are not both known."""
    return first is None or second is None or abs(first - second) < SAME_TIME


def after_one_inversion(group: Sequence[Volume], unis: Sequence[Volume]) -> bool:
    """Tell whether the images of a group were read out after one inversion.

    Gradient echoes of a volume only: other readouts leave nothing for the next one. Then the scanner's UNI image of
    the same slices says so, else its protocol. Where there is neither, a hint counts, such as a name, unless the
    times speak against it.
    """
    one = group[0].first
    if "GR" not in one.sequence or "SE" in one.sequence or one.dimensions != "3D":
        return False
    if unis:
        return True
    if one.readouts is not None:
        return one.readouts.shared_inversion
    return any(volume.first.shared_inversion for volume in group) and _times_allow_it(group)


def _times_allow_it(group: Sequence[Volume]) -> bool:
    times, repetition = times_of(group), group[0].timing.repetition_time
    if not 1 < len(times) <= MOST_READOUTS:
        return False
    if repetition is not None and LONGEST_EXCITATION_TIME <= repetition <= times[-1]:
        return False
    together = _acquired_together(group, max(times[-1], repetition or 0.0))
    return group[0].first.series.is_called(names.MP2RAGE) if together is None else together


def _acquired_together(group: Sequence[Volume], cycle: float) -> bool | None:
    """Tell whether all images were acquired within the same cycles; None where nothing tells."""
    starts = [_seconds_of_day(known_start(volume)) for volume in group]
    known = [start for start in starts if start is not None]
    if len(known) == len(starts):
        return max(known) - min(known) < cycle
    return True if len({volume.first.series for volume in group}) == 1 else None


def _seconds_of_day(start: str | None) -> float | None:
    found = None if start is None else CLOCK.match(start)
    if found is None:
        return None
    hours, minutes, seconds = (float(part) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def readout_times(group: Sequence[Volume]) -> tuple[float, ...]:
    """Return the inversion times of all readouts [s], also of those without an image where the protocol knows them."""
    times, readouts = times_of(group), group[0].first.readouts
    if readouts is None or not readouts.shared_inversion:
        return times
    played = readouts.inversion_times
    described = all(any(abs(time - other) < SAME_TIME for other in played) for time in times)
    return tuple(sorted(played)) if described else times
