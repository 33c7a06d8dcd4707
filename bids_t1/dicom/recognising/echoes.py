"""Multi-echo gradient echoes: several echo times of one scan, without inversion, for T2*."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bids_t1.dicom.reading.volumes import assemble, echo_rank, echo_times_of
from bids_t1.dicom.recognising.plan import Kept
from bids_t1.dicom.recognising.refusals import known_start, without_inversion_time
from bids_t1.dicom.recognising.repetitions import one_reconstruction, runs, told_echo
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.plan import Plan

FEWEST_ECHOES = 3
"""Amplitude and T2* are two unknowns, and a third echo tells whether they describe the decay.

Two echoes are what maps of the static field have.
"""

MOST_REPETITIONS = 10
"""More images of one echo in a series are a time series."""

_LATEST_ECHO = 0.2
"""Later echoes are none of gradient echoes in tissue, or have another unit [s]."""

_SAME_REPETITION = 0.001
"""Repetition times closer than this are the same [s]."""


def may_be_echo(piece: Slice) -> bool:
    """Tell whether a slice may be of a gradient echo without inversion, read out line by line."""
    return (
        piece.inversion_time is None
        and not piece.derived
        and piece.product is None
        and "GR" in piece.sequence
        and not {"SE", "IR", "EP"} & piece.sequence
        and not piece.b_value
    )


def take_echoes(slices: dict[SeriesKey, list[Slice]], plan: Plan) -> None:
    """Plan the conversion of every multi-echo gradient echo among slices, and say why the others are none.

    Echoes of one acquisition have the same slices, sequence, repetition time and flip angle; they may lie in one or in
    many series. Names only refuse.
    """
    volumes = [volume for series, pieces in slices.items() for volume in _volumes(series, pieces, plan)]
    acquisitions = [run for group in _groups(volumes) for run in _accepted(group, slices, plan)]
    for number, acquisition in enumerate(acquisitions, start=1):
        _name(acquisition, number if len(acquisitions) > 1 else None, plan)


def _volumes(series: SeriesKey, pieces: list[Slice], plan: Plan) -> list[Volume]:
    """Return the volumes of one series, unless it is a field map or a time series."""
    if any(names.FIELD_MAP.search(name) for name in (series.description, series.protocol)) or _is_field_map(pieces):
        plan.skipped.append((series, "field map by its name: not for T2*"))
        return []
    volumes, failures = assemble(pieces)
    plan.skipped.extend((piece.series, reason) for piece, reason in failures)
    repetitions = Counter((volume.one.component, volume.one.reconstruction, told_echo(volume)) for volume in volumes)
    most = max(repetitions.values(), default=0)
    if most <= MOST_REPETITIONS:
        return volumes
    plan.skipped.append((series, f"a time series of {most} images of each echo, and not one multi-echo image"))
    return []


def _is_field_map(pieces: Sequence[Slice]) -> bool:
    """Tell the vendor's field map sequence by its name: fm2d2r of Siemens (rordenlab/dcm2niix Siemens/README.md)."""
    return any(piece.sequence_name.lstrip("*").lower().startswith("fm2d") for piece in pieces)


def _groups(volumes: Sequence[Volume]) -> list[list[Volume]]:
    """Group volumes that differ in nothing but their echo time and part."""
    groups: list[list[Volume]] = []
    for volume in sorted(volumes, key=lambda volume: volume.started):
        home = next((group for group in groups if _same_scan(group[0], volume)), None)
        if home is None:
            groups.append([volume])
        else:
            home.append(volume)
    return groups


def _same_scan(first: Volume, second: Volume) -> bool:
    repetitions = first.one.repetition_time, second.one.repetition_time
    apart = abs((repetitions[0] or 0.0) - (repetitions[1] or 0.0))
    return first.echoes_like(second) and first.turns_like(second) and apart < _SAME_REPETITION


def _accepted(group: list[Volume], slices: dict[SeriesKey, list[Slice]], plan: Plan) -> list[list[Volume]]:
    """Return the repetitions of a group, after every refusal."""
    times = echo_times_of(group)
    reason = _refusal(times)
    if reason is None:
        return runs(one_reconstruction(group, plan), plan, told_echo)
    for series in dict.fromkeys(volume.one.series for volume in group):
        named = None if len(times) > 1 else without_inversion_time(series, slices[series])
        plan.skipped.append((series, named or reason))
    return []


def _refusal(times: Sequence[float]) -> str | None:
    listed = ", ".join(f"{time * 1000:g}" for time in times)
    if len(times) < FEWEST_ECHOES:
        return (
            f"{len(times)} echo time{'' if len(times) == 1 else 's'} ({listed} ms), as of a field map; T2* needs at "
            f"least {FEWEST_ECHOES} in gradient echoes of the same geometry, repetition time and flip angle"
        )
    if times[-1] > _LATEST_ECHO:
        return f"echo times run to {times[-1] * 1000:g} ms; expected ms in (0018,0081), at most {_LATEST_ECHO * 1000:g}"
    return None


def _name(acquisition: list[Volume], run: int | None, plan: Plan) -> None:
    """Give each echo its rank and part."""
    times = echo_times_of(acquisition)
    only_magnitude = {volume.one.component for volume in acquisition} == {"mag"}
    plan.kept.extend(
        Kept(
            volume,
            run=run,
            part=None if only_magnitude else volume.one.component,
            suffix="MEGRE",
            echo=echo_rank(volume, times),
        )
        for volume in acquisition
    )
    _warn_of_scans(acquisition, plan)


def _warn_of_scans(acquisition: Sequence[Volume], plan: Plan) -> None:
    """Tell where echoes were acquired one after the other, so that the head may have moved between them."""
    starts: dict[str | None, set[str]] = defaultdict(set)
    for volume in acquisition:
        starts[known_start(volume)].add(told_echo(volume))
    if None not in starts and len(starts) == len(echo_times_of(acquisition)):
        plan.warn(
            f"MEGRE: {len(starts)} echo times were acquired one after the other; movement between them changes T2*"
        )
