"""Multi-echo gradient echoes: several echo times of one scan, without inversion, for T2*."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped
from bids_t1.dicom.reading.volumes import echo_rank, echo_times_of, in_order
from bids_t1.dicom.recognising.candidates import may_be_gradient_echo
from bids_t1.dicom.recognising.refusals import known_start, without_inversion_time
from bids_t1.dicom.recognising.repetitions import one_reconstruction, runs, told_echo
from bids_t1.dicom.recognising.verdict import (
    PlannedImage,
    Verdict,
    assembled,
    numbered,
    part_of,
    passed,
    repeated,
    together,
    told_alike,
    warned,
)  # fmt: skip
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.verdict import SeriesSlices

SUFFIX = "MEGRE"

FEWEST_ECHOES = 3
"""Amplitude and T2* are two unknowns, and a third echo tells whether they describe the decay.

Two echoes are what maps of the static field have.
"""

MOST_REPETITIONS = 10
"""More images of one echo in a series are a time series."""

LATEST_ECHO = 0.2
"""Later echoes are none of gradient echoes in tissue, or have another unit [s]."""

SAME_REPETITION = 0.001
"""Repetition times closer than this are the same [s]."""


def recognise(series: SeriesSlices, _delayed: Sequence[float] = ()) -> Verdict:
    """Plan the conversion of every multi-echo gradient echo, and say why other gradient echoes are none.

    Echoes of one acquisition have the same slices, sequence, repetition time and flip angle; they may lie in one or in
    many series. Names only refuse. All slices are left: an inversion recovery tells which of them lost its time.
    """
    slices = {key: [plane for plane in planes if may_be_gradient_echo(plane)] for key, planes in series.items()}
    volumes, unusable = passed(_volumes(key, planes) for key, planes in slices.items() if planes)
    acquisitions, others = passed(_accepted(group, slices) for group in grouped(in_order(volumes), _is_of_scan))
    planned = [_planned(acquisition, run) for acquisition, run in numbered(acquisitions)]
    return together([unusable, others, *planned], series)


def _volumes(key: SeriesKey, planes: Sequence[Slice]) -> tuple[list[Volume], Verdict]:
    """Return the volumes of one series, unless it is a field map or a time series."""
    if key.is_called(names.FIELD_MAP) or _is_field_map(planes):
        return [], Verdict(skipped=((key, "field map by its name: not for T2*"),))
    volumes, failures = assembled(planes)
    repetitions = Counter(
        (volume.first.component, volume.first.reconstruction, told_echo(volume)) for volume in volumes
    )
    most = max(repetitions.values(), default=0)
    if most <= MOST_REPETITIONS:
        return volumes, failures
    reason = f"a time series of {most} images of each echo, and not one multi-echo image"
    return [], failures + Verdict(skipped=((key, reason),))


def _is_field_map(planes: Sequence[Slice]) -> bool:
    """Tell the vendor's field map sequence by its name: fm2d2r of Siemens (rordenlab/dcm2niix Siemens/README.md)."""
    return any(plane.sequence_name.lstrip("*").lower().startswith("fm2d") for plane in planes)


def _is_of_scan(group: Sequence[Volume], volume: Volume) -> bool:
    """Tell whether a volume differs from a group in nothing but its echo time and part."""
    first = group[0]
    return first.echoes_like(volume) and first.turns_like(volume) and first.repeats_like(volume, SAME_REPETITION)


def _accepted(group: Sequence[Volume], slices: SeriesSlices) -> tuple[list[list[Volume]], Verdict]:
    """Return the repetitions of a group, after every refusal."""
    times = echo_times_of(group)
    reason = _refusal(times)
    if reason is None:
        chosen, others = one_reconstruction(group)
        acquisitions, surplus = runs(chosen, told_echo)
        return acquisitions, others + surplus
    keys = dict.fromkeys(volume.first.series for volume in group)
    named = {} if len(times) > 1 else {key: without_inversion_time(key, slices[key]) for key in keys}
    return [], Verdict(skipped=tuple((key, named.get(key, reason)) for key in keys))


def _refusal(times: Sequence[float]) -> str | None:
    listed = ", ".join(f"{time * 1000:g}" for time in times)
    if len(times) < FEWEST_ECHOES:
        return (
            f"{len(times)} echo time{'' if len(times) == 1 else 's'} ({listed} ms), as of a field map; T2* needs at "
            f"least {FEWEST_ECHOES} in gradient echoes of the same geometry, repetition time and flip angle"
        )
    if times[-1] > LATEST_ECHO:
        return f"echo times run to {times[-1] * 1000:g} ms; expected ms in (0018,0081), at most {LATEST_ECHO * 1000:g}"
    return None


def _planned(acquisition: Sequence[Volume], run: int | None) -> Verdict:
    """Give each echo its rank and part."""
    times = echo_times_of(acquisition)
    kept = (
        PlannedImage(
            volume=volume,
            run=run,
            part=part_of(volume, acquisition),
            suffix=SUFFIX,
            echo=echo_rank(volume, times),
            timing=repeated(volume.first),
        )
        for volume in acquisition
    )
    return Verdict(tuple(kept)) + _of_scans(acquisition)


def _of_scans(acquisition: Sequence[Volume]) -> Verdict:
    """Tell where echoes were acquired one after the other, so that the head may have moved between them."""
    starts: dict[str | None, set[str]] = defaultdict(set)
    for volume in acquisition:
        starts[known_start(volume)].add(told_echo(volume))
    if None in starts or len(starts) != len(echo_times_of(acquisition)):
        return Verdict()
    return warned(
        f"{SUFFIX}: {len(starts)} echo times were acquired one after the other; movement between them changes T2*"
    )


def tell(images: Sequence[PlannedImage]) -> list[str]:
    """Say what images of one series were kept as."""
    echoes = [image for image in images if image.suffix == SUFFIX]
    return told_alike(echoes, "echo time", echo_times_of(image.volume for image in echoes))
