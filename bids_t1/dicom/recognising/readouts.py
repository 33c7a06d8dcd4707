"""MP2RAGE acquisitions: the readouts after one inversion, and the UNI images that the scanner computed of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.dicom.reading.volumes import echo_rank, echo_times_of, times_of
from bids_t1.dicom.recognising.one_inversion import (
    MOST_READOUTS,
    after_one_inversion,
    computed_of,
    groups,
    readout_times,
)
from bids_t1.dicom.recognising.plan import Kept
from bids_t1.dicom.recognising.refusals import T1_STAR, known_start, wrong_unit
from bids_t1.dicom.recognising.repetitions import distortion, one_reconstruction, other_reconstruction, runs, told
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.plan import Plan

DENOISED = "denoised"
"""Label of the entity rec- of UNI-DEN, whose regularisation changes T1: it is kept and never measured from."""

TWINS = "several UNI images of one acquisition, of which one may be denoised (UNI-DEN), and nothing tells which"

_PAIR = 2

_SAME_READOUT = 0.001
"""Inversion times closer than this are of one readout [s]."""


@dataclass(frozen=True, slots=True)
class _Acquisition:
    """One acquisition of MP2RAGE."""

    readouts: list[Volume]
    unis: list[Volume]
    """Every UNI and UNI-DEN of it, in any reconstruction."""

    times: tuple[float, ...]
    """Of all readouts [s], also of those without an image; empty where unknown."""


def take_readouts(candidates: Sequence[Volume], plan: Plan) -> list[Volume]:
    """Plan the conversion of every MP2RAGE acquisition among volumes, and return the volumes that are of none."""
    unis = [volume for volume in candidates if volume.one.product is not None]
    others: list[Volume] = []
    acquisitions: list[_Acquisition] = []
    for group in groups([volume for volume in candidates if volume.one.product is None]):
        own = [uni for uni in unis if any(computed_of(uni, readout) for readout in group)]
        if not after_one_inversion(group, own):
            others.extend(group)
            continue
        unis = [uni for uni in unis if not any(uni is taken for taken in own)]
        acquisitions.extend(_acquisitions(group, _of_first_echo(own, plan), plan))
    for alike in groups(unis):
        acquisitions.extend(_computed_alone(alike))
    _name(acquisitions, plan)
    return others


def _of_first_echo(unis: list[Volume], plan: Plan) -> list[Volume]:
    """Keep the UNI images of the first echo: names of BIDS have no place for the others, and T1 is the same."""
    times = echo_times_of(unis)
    later = [uni for uni in unis if (echo_rank(uni, times) or 1) > 1]
    plan.skip(later, "UNI image of a later echo; that of the first one is kept")
    return [uni for uni in unis if not any(uni is other for other in later)]


def _acquisitions(group: list[Volume], unis: list[Volume], plan: Plan) -> list[_Acquisition]:
    """Return the repetitions of one protocol, after every refusal of its readouts."""
    times = readout_times(group)
    reason = _refusal(group, times, computed=bool(unis))
    if reason is not None:
        plan.skip(group, reason)
        return _computed_alone(unis)
    repetitions = _repetitions(one_reconstruction(group, plan), plan)
    shares = _shares(unis, repetitions)
    return [_Acquisition(own, share, times) for own, share in zip(repetitions, shares, strict=True)]


def _repetitions(volumes: list[Volume], plan: Plan) -> list[list[Volume]]:
    """Return the acquisitions of one protocol; readouts of two are never mixed where it is known when they began."""
    by_start: dict[str | None, list[Volume]] = {}
    for volume in volumes:
        by_start.setdefault(known_start(volume), []).append(volume)
    whole = [alike for alike in by_start.values() if _kinds(alike) == _kinds(volumes)]
    if None in by_start or not whole:
        return runs(volumes, plan, told)
    for alike in by_start.values():
        if not any(alike is taken for taken in whole):
            plan.skip(alike, "part of an MP2RAGE that was acquired again as a whole")
    return [run for alike in whole for run in runs(alike, plan, told)]


def _kinds(volumes: Sequence[Volume]) -> set[tuple[str, str]]:
    return {(told(volume), volume.one.component) for volume in volumes}


def _refusal(group: list[Volume], times: tuple[float, ...], *, computed: bool) -> str | None:
    """Say why the readouts of a group are of no use, or nothing."""
    missing = [time for time in times if _rank(time, times_of(group)) is None]
    listed = ", ".join(f"{time * 1000:g}" for time in missing)
    if len(times) > MOST_READOUTS:
        return f"Look-Locker type: {len(times)} readouts follow one inversion: {T1_STAR}"
    if missing and not (computed and len(times) == _PAIR):
        return (
            f"readout of an MP2RAGE without images of the other readouts (inversion times {listed} ms), each of which "
            "changes the magnetisation for the next"
        )
    if len(times) == 1 and names.READOUT.search(group[0].one.series.description) is None:
        return "one readout of an MP2RAGE, and nothing says which: neither a protocol nor INV1 or INV2 in its name"
    return wrong_unit(list(times))


def _shares(unis: Sequence[Volume], repetitions: Sequence[Sequence[Volume]]) -> list[list[Volume]]:
    """Return the UNI images of each repetition: one by one where there is one for each, else by who is nearest."""
    kinds: dict[object, list[Volume]] = {}
    for uni in sorted(unis, key=lambda uni: uni.started):
        kinds.setdefault((uni.one.product, uni.one.reconstruction), []).append(uni)
    shares: list[list[Volume]] = [[] for _ in repetitions]
    for alike in kinds.values():
        for index, uni in enumerate(alike):
            shares[index if len(alike) == len(repetitions) else _nearest(uni, repetitions)].append(uni)
    return shares


def _nearest(uni: Volume, repetitions: Sequence[Sequence[Volume]]) -> int:
    """Return the repetition that a UNI image was computed of: acquired with it, else nearest in series number."""

    def distance(index: int) -> tuple[bool, int]:
        numbers = [volume.one.series.number or 0 for volume in repetitions[index]]
        start, own = known_start(uni), {known_start(volume) for volume in repetitions[index]}
        apart = min(abs((uni.one.series.number or 0) - number) for number in numbers)
        return start is None or start not in own, apart

    return min(range(len(repetitions)), key=distance)


def _computed_alone(unis: Sequence[Volume]) -> list[_Acquisition]:
    """Return the acquisitions of which there are UNI images only, told apart by when they were acquired."""
    starts: dict[str | None, list[Volume]] = {}
    for uni in unis:
        starts.setdefault(known_start(uni), []).append(uni)
    return [_Acquisition([], alike, ()) for alike in starts.values()]


def _name(acquisitions: list[_Acquisition], plan: Plan) -> None:
    """Give each image its name, and number the acquisitions where there are several."""
    chosen = [(acquisition, _chosen_unis(acquisition, plan)) for acquisition in acquisitions]
    usable = [(acquisition, unis) for acquisition, unis in chosen if acquisition.readouts or unis.get(None)]
    if any(_differ(usable[0][0], acquisition) for acquisition, _ in usable[1:]):
        plan.warn(f"MP2RAGE of different inversion times or geometry: written as runs 1 to {len(usable)}")
    for acquisition, unis in chosen:
        if not acquisition.readouts and not unis.get(None):
            plan.skip(list(unis.values()), "denoised UNI (UNI-DEN) alone: its regularisation changes T1 everywhere")
    for number, (acquisition, unis) in enumerate(usable, start=1):
        run = number if len(usable) > 1 else None
        plan.kept.extend(_readouts(acquisition, run))
        plan.kept.extend(
            Kept(uni, None, run, suffix="UNIT1", reconstruction=label, times=acquisition.times)
            for label, uni in unis.items()
        )
        _warn(acquisition, [*unis.values()], plan)


def _differ(first: _Acquisition, second: _Acquisition) -> bool:
    """Tell whether two acquisitions are more than repetitions of one protocol."""
    times = {acquisition.times for acquisition in (first, second) if acquisition.times}
    a, b = ((acquisition.readouts or acquisition.unis)[0] for acquisition in (first, second))
    return len(times) > 1 or not a.lies_with(b)


def _readouts(acquisition: _Acquisition, run: int | None) -> list[Kept]:
    only_magnitude = {volume.one.component for volume in acquisition.readouts} == {"mag"}
    several = len(acquisition.times) > 1
    echoes = {
        time: echo_times_of(volume for volume in acquisition.readouts if volume.one.inversion_time == time)
        for time in times_of(acquisition.readouts)
    }
    return [
        Kept(
            volume,
            inversion=_rank(volume.one.inversion_time or 0.0, acquisition.times) if several else _named_rank(volume),
            run=run,
            part=None if only_magnitude else volume.one.component,
            suffix="MP2RAGE",
            times=acquisition.times if several else (),
            echo=echo_rank(volume, echoes[volume.one.inversion_time or 0.0]),
        )
        for volume in acquisition.readouts
    ]


def _rank(time: float, times: Sequence[float]) -> int | None:
    """Return the rank of the readout whose inversion time this is, or None."""
    ranks = {rank: abs(other - time) for rank, other in enumerate(times, start=1)}
    nearest = min(ranks, key=lambda rank: ranks[rank])
    return nearest if ranks[nearest] < _SAME_READOUT else None


def _named_rank(volume: Volume) -> int | None:
    found = names.READOUT.search(volume.one.series.description)
    return None if found is None else int(found.group(1))


def _chosen_unis(acquisition: _Acquisition, plan: Plan) -> dict[str | None, Volume]:
    """Return the UNI (under None) and the UNI-DEN of an acquisition, where they are certain."""
    true = [uni for uni in acquisition.unis if uni.one.product == "UNIT1"]
    denoised = [uni for uni in acquisition.unis if uni.one.product != "UNIT1"]
    chosen: dict[str | None, Volume] = {}
    reason = None if denoised else _doubt(true)
    for label, unis in ((None, true), (DENOISED, denoised)):
        same = [uni for uni in unis if not acquisition.readouts or _overlaps(uni, acquisition.readouts)] or unis
        if not same:
            continue
        twins = [uni for uni in same if uni.one.reconstruction == same[0].one.reconstruction]
        if label is None and (reason is not None or len(twins) > 1):
            plan.skip(unis, reason or TWINS)
            plan.warn(f"UNI images are left out: {reason or TWINS}")
            continue
        chosen[label] = same[0]
        plan.skip([uni for uni in unis if uni is not same[0]], other_reconstruction(same[0]))
    return chosen


def _doubt(unis: Sequence[Volume]) -> str | None:
    """Say why an image that looks like UNI may be UNI-DEN, or nothing."""
    for uni in unis:
        readouts, description = uni.one.readouts, uni.one.series.description
        if readouts is not None and readouts.denoised and not names.UNIFORM.search(description):
            return "the scanner was asked for a denoised UNI (UNI-DEN), and nothing tells whether this is it"
    return None


def _overlaps(uni: Volume, readouts: Sequence[Volume]) -> bool:
    return distortion(uni) == distortion(readouts[0])


def _warn(acquisition: _Acquisition, unis: Sequence[Volume], plan: Plan) -> None:
    """Tell what the protocol leaves open, and which readout has no image."""
    for volume in [*acquisition.readouts, *unis]:
        readouts = volume.one.readouts
        for caveat in () if readouts is None else readouts.caveats:
            plan.warn(f"MP2RAGE: {caveat}")
    lacking = len(acquisition.times) - len(times_of(acquisition.readouts))
    if acquisition.readouts and lacking:
        plan.warn(f"MP2RAGE: {lacking} of {len(acquisition.times)} readouts have no image; UNI stands for them")
