"""Which images of an examination measure T1, T2* or the transmit field, and what the others are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from bids_t1.dicom.reading.volumes import Volume, assemble, times_of
from bids_t1.dicom.recognising.echoes import may_be_echo, take_echoes
from bids_t1.dicom.recognising.plan import Kept, Plan
from bids_t1.dicom.recognising.readouts import take_readouts
from bids_t1.dicom.recognising.refusals import (
    COMPUTED,
    OTHER_GEOMETRY,
    SCANNER_T1_MAP,
    name_refusal,
    physical_refusal,
    too_few_times,
    without_inversion_time,
    wrong_unit,
)
from bids_t1.dicom.recognising.repetitions import is_selective, one_reconstruction, ranks, runs
from bids_t1.dicom.recognising.transmit_fields import take_transmit_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice

FEWEST_TIMES = 3
"""T1, the equilibrium signal and the inversion efficiency are three unknowns."""


def classify(slices: Sequence[Slice], delayed: Sequence[float] = ()) -> Plan:
    """Find the sets of each method among all slices of one participant's session.

    An inversion-recovery set is at least three distinct inversion times in images of the same geometry and
    sequence, in one or several series, each image with its own inversion; of an MP2RAGE set, all images follow
    one inversion. A multi-echo set is at least three echo times of gradient echoes without inversion. Names only
    refuse, or support what nothing in the headers speaks against; times are always those of the header.

    Parameters
    ----------
    slices
        All that there are.
    delayed
        Inversion times of a selective inversion recovery that the user declares, one per image [s]: a set with these
        is one, whose images of equal inversion times are no repetitions.
    """
    plan = Plan()
    by_series: dict[SeriesKey, list[Slice]] = defaultdict(list)
    for piece in slices:
        by_series[piece.series].append(piece)
    rest = {
        series: pieces
        for series, pieces in take_transmit_fields(by_series, plan).items()
        if not _is_refused(series, pieces, plan)
    }
    candidates = [volume for series, pieces in rest.items() for volume in _candidates(series, pieces, plan)]
    echoes = {series: [piece for piece in pieces if may_be_echo(piece)] for series, pieces in rest.items()}
    take_echoes({series: pieces for series, pieces in echoes.items() if pieces}, plan)
    volumes = take_readouts(candidates, plan)
    sets: list[list[Volume]] = []
    all_times = times_of(volumes)
    for family in _families(volumes):
        sets.extend(_accepted(family, all_times, delayed, plan))
    _miss_cut(volumes, sets, plan)
    _miss_timeless(rest, sets, plan)
    _name(sets, delayed, plan)
    _doubt_places(plan)
    return plan


def _is_refused(series: SeriesKey, pieces: list[Slice], plan: Plan) -> bool:
    """Tell whether a series is left out as a whole, whatever its times."""
    refusal = next((piece.refusal for piece in pieces if piece.refusal), None) or name_refusal(series)
    if refusal is not None:
        plan.skipped.append((series, refusal))
    return refusal is not None


def _candidates(series: SeriesKey, pieces: list[Slice], plan: Plan) -> list[Volume]:
    """Return the volumes of one series that may belong to a set with inversions."""
    wanted = [piece for piece in pieces if _may_belong(piece)]
    unwanted = [piece for piece in pieces if not _may_belong(piece) and not may_be_echo(piece)]
    if any(piece.product == "T1 map" for piece in unwanted):
        plan.skipped.append((series, SCANNER_T1_MAP))
    elif unwanted:
        derived = all(piece.derived for piece in unwanted)
        plan.skipped.append((series, COMPUTED if derived else without_inversion_time(series, unwanted)))
    volumes, failures = assemble(wanted)
    incomplete = [(piece.series, reason) for piece, reason in failures]
    plan.skipped.extend(incomplete)
    plan.incomplete.extend(incomplete)
    return volumes


def _may_belong(piece: Slice) -> bool:
    """Tell whether a slice may be of a readout, or of a UNI image."""
    if piece.product is not None:
        return piece.product != "T1 map"
    return piece.inversion_time is not None and not piece.derived


def _families(volumes: list[Volume]) -> list[list[Volume]]:
    """Group volumes of the same geometry and sequence."""
    families: list[list[Volume]] = []
    for volume in sorted(volumes, key=lambda volume: volume.started):
        home = next((family for family in families if family[0].fits(volume)), None)
        if home is None:
            families.append([volume])
        else:
            home.append(volume)
    return families


def _accepted(
    family: list[Volume], all_times: Sequence[float], delayed: Sequence[float], plan: Plan
) -> list[list[Volume]]:
    """Return the family, as none or one set, after every refusal."""
    if is_selective(family, delayed):
        return [family]
    times = times_of(family)
    if len(times) < FEWEST_TIMES:
        elsewhere = len(all_times) >= FEWEST_TIMES
        plan.skip(family, too_few_times(times) + (OTHER_GEOMETRY if elsewhere else ""))
        return []
    reason = physical_refusal(family) or wrong_unit(times)
    if reason is None:
        return [one_reconstruction(family, plan)]
    plan.skip(family, reason)
    return []


def _miss_cut(volumes: Sequence[Volume], sets: Sequence[Sequence[Volume]], plan: Plan) -> None:
    """Tell of images that lack slices of a set and would be of it else: an inversion time that the maps miss."""
    plan.incomplete.extend(
        (volume.one.series, f"has {len(volume.slices)} of the {len(whole.slices)} slices of the other inversion times")
        for whole in (found[0] for found in sets)
        for volume in volumes
        if volume.is_part_of(whole)
    )


def _miss_timeless(rest: dict[SeriesKey, list[Slice]], sets: Sequence[Sequence[Volume]], plan: Plan) -> None:
    """Tell of images that were acquired as those of a set, and whose inversion time is not there."""
    wholes = [Volume(tuple(map(_inverted, found[0].slices))) for found in sets]
    for series, pieces in rest.items():
        timeless, _ = assemble(_inverted(piece) for piece in pieces if _lacks_time(piece))
        if any(volume.fits(whole) or volume.is_part_of(whole) for volume in timeless for whole in wholes):
            plan.incomplete.append(
                (series, "no inversion time, where images of the same sequence and geometry have one")
            )


def _inverted(piece: Slice) -> Slice:
    """Return a slice as of a sequence with inversion: where its time is lost, that there was one may be lost too."""
    return replace(piece, sequence=piece.sequence | {"IR"})


def _lacks_time(piece: Slice) -> bool:
    return piece.inversion_time is None and piece.product is None and not piece.derived


def _doubt_places(plan: Plan) -> None:
    """Tell of single slices taken as repetitions, of which nothing says when each was acquired: places may be lost."""
    alike: dict[tuple[object, ...], list[Slice]] = defaultdict(list)
    for image in plan.kept:
        one = image.volume.one
        kind = tuple((key, value) for key, value in image.entities.items() if key != "run")
        if len(image.volume.slices) == 1 and one.location is None:
            alike[one.series, image.suffix, kind, one.temporal_position, one.acquired[:2]].append(one)
    for number in sorted({found[0].series.number or 0 for found in alike.values() if len(found) > 1}):
        plan.warn(
            f"series {number}: images have one ImagePositionPatient, and nothing says when each was acquired: they are "
            "taken as repetitions of one slice, and may be slices whose places were lost"
        )


def _name(sets: list[list[Volume]], delayed: Sequence[float], plan: Plan) -> None:
    """Give each volume its inversion rank, its run where there are several, and its part."""
    acquisitions = [
        run for volumes in sets for run in ([volumes] if is_selective(volumes, delayed) else runs(volumes, plan))
    ]
    if len(sets) > 1:
        plan.warn(
            f"{len(sets)} inversion-recovery sets of different geometry or sequence: written as runs 1 to "
            f"{len(acquisitions)}"
        )
    for number, volumes in enumerate(acquisitions, start=1):
        selective = is_selective(volumes, delayed)
        only_magnitude = {volume.one.component for volume in volumes} == {"mag"}
        plan.kept.extend(
            Kept(
                volume,
                inversion=rank,
                run=number if len(acquisitions) > 1 else None,
                part=None if only_magnitude else volume.one.component,
            )
            for volume, rank in ranks(volumes, by_image=selective)
        )
