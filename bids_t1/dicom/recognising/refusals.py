"""What images are when they measure nothing that is wanted, in words for the user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped_by
from bids_t1.data.vocabulary import LOOK_LOCKER
from bids_t1.dicom.reading.volumes import times_of
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice, Timing
    from bids_t1.dicom.reading.volumes import Volume

NAMES = (
    (names.MP2RAGE, "called MP2RAGE, but neither an inversion time nor an image type tells what it shows"),
    (re.compile(r"(?<![a-z0-9])(b1|afi|dream|bloch.?siegert|sa2rage)", re.IGNORECASE),
     "looks like a B1 map, and nothing in its headers tells how to read it: no document of its scaling was found"),
    (names.FIELD_MAP, "looks like a field map"),
    (re.compile(r"locali[sz]er|scout|survey", re.IGNORECASE), "looks like a localiser"),
)  # fmt: skip

OTHER_GEOMETRY = (
    "; there are other inversion times, but with another geometry (slices, matrix, position), echo time, "
    "flip angle or sequence"
)

COMPUTED = "computed from other images"

SCANNER_T1_MAP = f"{COMPUTED}: a T1 map of the scanner; this program measures T1 itself"

T1_STAR = "one inversion is followed by several readouts, which measures T1* and not T1"

IN_SECONDS = 0.010
"""A set whose longest inversion time is below this has times in seconds where DICOM has milliseconds [s]."""

WIPED = re.compile(r"(\d{8})?(\d\d0000|0{0,6}|000001|010101|111111|235959)(\.0*)?([+-]\d{4})?")
"""Times that de-identification puts in place of the true ones: midnight, another full hour, or a time made up."""


def name_refusal(series: SeriesKey) -> str | None:
    """Refuse series that call themselves Look-Locker or SA2RAGE, whose headers look like those of wanted ones."""
    if series.is_called(LOOK_LOCKER):
        return f"Look-Locker type by its name: {T1_STAR}"
    if series.is_called(names.SA2RAGE):
        return "SA2RAGE by its name: a B1 map, of readouts after a saturation and not an inversion; not converted"
    return None


def without_inversion_time(series: SeriesKey, slices: Sequence[Slice]) -> str:
    """Say what a series without inversion time looks like."""
    named = next((reason for pattern, reason in NAMES if series.is_called(pattern)), None)
    return named or _without_name(slices)


def _without_name(slices: Sequence[Slice]) -> str:
    if any("EP" in plane.sequence or plane.b_value for plane in slices):
        return "echo planar or diffusion images, as of a time series: not a multi-echo gradient echo"
    if any("IR" in plane.sequence for plane in slices):
        return "inversion recovery without a plausible inversion time; expected ms in (0018,0082) or (0018,9079)"
    n_echoes = len({plane.timing.echo_time for plane in slices})
    if n_echoes > 1 and any("SE" in plane.sequence for plane in slices):
        return f"{n_echoes} echo times of spin echoes, which measure T2 and not T2*"
    return "no inversion time, and one echo time: neither an inversion recovery nor a multi-echo gradient echo"


def too_few_times(times: Sequence[float]) -> str:
    """Say why a set of images with one or two inversion times is not used."""
    if len(times) == 1:
        return (
            f"one inversion time ({times[0] * 1000:g} ms), such as MPRAGE, FLAIR or STIR; "
            "T1 needs at least 3 in images of the same geometry and sequence"
        )
    listed = " and ".join(f"{time * 1000:g}" for time in times)
    return (
        f"two inversion times ({listed} ms), and nothing says that they follow one inversion, as in MP2RAGE; T1 needs "
        "at least 3 from separate inversions"
    )


def wrong_unit(times: Sequence[float]) -> str | None:
    """Refuse inversion times that cannot be in the unit of DICOM."""
    if times[-1] >= IN_SECONDS:
        return None
    return f"inversion times run to {times[-1] * 1000:g} ms; expected ms in (0018,0082), these look like seconds"


def physical_refusal(volumes: Sequence[Volume]) -> str | None:
    """Refuse volumes of different inversion times that were all read out after one inversion.

    Within one series, a repetition time shorter than the spread of inversion times is that between readouts.
    Spin echoes cannot follow one inversion several times, because their refocusing pulses invert again, so
    the other marks of a shared inversion (trigger delays, temporal positions, one start) only count without
    them.
    """
    by_series = grouped_by(volumes, lambda volume: volume.first.series)
    refusals = (_refusal_within_series(members) for members in by_series.values())
    return next((refusal for refusal in refusals if refusal), None) or _shared_start(volumes)


_MARKS: Mapping[str, Callable[[Timing], float | None]] = {
    "trigger delays rise with the inversion times": lambda timing: timing.trigger_time,
    "inversion times are temporal positions": lambda timing: timing.temporal_position,
}
"""What rises from readout to readout after one inversion."""


def _refusal_within_series(volumes: Sequence[Volume]) -> str | None:
    times = times_of(volumes)
    spread = times[-1] - times[0]
    repetition = min(volume.timing.repetition_time or float("inf") for volume in volumes)
    if repetition < spread:
        return (
            f"Look-Locker type: the repetition time ({repetition * 1000:g} ms) is shorter than the spread of "
            f"inversion times ({spread * 1000:g} ms) within one series: {T1_STAR}"
        )
    if len(times) == 1 or any("SE" in volume.first.sequence for volume in volumes):
        return None
    return _marked(volumes)


def _marked(volumes: Sequence[Volume]) -> str | None:
    told = (mark for mark, read in _MARKS.items() if _one_to_one(volumes, [read(volume.timing) for volume in volumes]))
    return next((f"Look-Locker type: {mark} of one series: {T1_STAR}" for mark in told), None)


def _shared_start(volumes: Sequence[Volume]) -> str | None:
    starts = {known_start(volume) for volume in volumes}
    if len(starts) > 1 or None in starts or "GR" not in volumes[0].first.sequence:
        return None
    # Scans of several protocols or repetition times cannot have begun at once: the times are made up.
    if len({(volume.first.series.protocol, volume.timing.repetition_time) for volume in volumes}) > 1:
        return None
    return f"MP2RAGE or Look-Locker type: all inversion times were acquired at once: {T1_STAR}"


def known_start(volume: Volume) -> str | None:
    """Return when a volume was acquired, or None where de-identification took the time away."""
    start = volume.timing.acquired[0]
    return None if not start or WIPED.fullmatch(start) else start


def _one_to_one(volumes: Sequence[Volume], marks: Sequence[float | None]) -> bool:
    """Tell whether a mark rises with the inversion time, each time having its own."""
    if any(mark is None for mark in marks):
        return False
    pairs = {(volume.timing.inversion_time or 0.0, mark or 0.0) for volume, mark in zip(volumes, marks, strict=True)}
    times = {time for time, _ in pairs}
    rising = [mark for _, mark in sorted(pairs)]
    return len(times) == len(pairs) == len({mark for _, mark in pairs}) and rising == sorted(rising)
