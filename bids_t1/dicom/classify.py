"""Which images of an examination are a multi-TI inversion recovery, and what the others are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bids_t1.dicom.refusals import (
    OTHER_GEOMETRY,
    name_refusal,
    physical_refusal,
    too_few_times,
    without_inversion_time,
)
from bids_t1.dicom.volumes import Volume, assemble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.images import SeriesKey, Slice

FEWEST_TIMES = 3
"""T1, the equilibrium signal and the inversion efficiency are three unknowns."""

_IN_SECONDS = 0.010
"""A set whose longest inversion time is below this has times in seconds where DICOM has milliseconds [s]."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A volume to convert, with the entities of its BIDS name."""

    volume: Volume
    inversion: int
    """Rank of the inversion time, from 1."""

    run: int | None = None
    """Set where the whole set was acquired several times."""

    part: str | None = None
    """Set unless the set holds magnitude images only."""


@dataclass(slots=True)
class Plan:
    """What to convert, and why not the rest."""

    kept: list[Kept] = field(default_factory=list)
    skipped: list[tuple[SeriesKey, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def skip(self, volumes: Sequence[Volume], reason: str) -> None:
        """Leave volumes out, for a reason."""
        self.skipped.extend((volume.one.series, reason) for volume in volumes)


def classify(slices: Sequence[Slice]) -> Plan:
    """Find the inversion-recovery sets among all slices of one participant's session.

    A set is at least three distinct inversion times in images of the same geometry and sequence, in one or
    several series, each image with its own inversion. Names only ever refuse; the inversion time is always
    that of the header.
    """
    plan = Plan()
    by_series: dict[SeriesKey, list[Slice]] = defaultdict(list)
    for piece in slices:
        by_series[piece.series].append(piece)
    volumes = [volume for series, pieces in by_series.items() for volume in _candidates(series, pieces, plan)]
    sets: list[list[Volume]] = []
    all_times = _times(volumes)
    for family in _families(volumes):
        sets.extend(_accepted(family, all_times, plan))
    _name(sets, plan)
    return plan


def _candidates(series: SeriesKey, pieces: list[Slice], plan: Plan) -> list[Volume]:
    """Return the volumes of one series that may belong to a set."""
    refusal = next((piece.refusal for piece in pieces if piece.refusal), None) or name_refusal(series)
    if refusal is not None:
        plan.skipped.append((series, refusal))
        return []
    timed = [piece for piece in pieces if piece.inversion_time is not None and not piece.derived]
    if len(timed) < len(pieces):
        derived = all(piece.derived for piece in pieces if piece not in timed)
        reason = "computed from other images" if derived else without_inversion_time(series, pieces)
        plan.skipped.append((series, reason))
    volumes, failures = assemble(timed)
    plan.skipped.extend((piece.series, reason) for piece, reason in failures)
    return volumes


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


def _times(volumes: Sequence[Volume]) -> list[float]:
    return sorted({volume.one.inversion_time for volume in volumes if volume.one.inversion_time is not None})


def _accepted(family: list[Volume], all_times: list[float], plan: Plan) -> list[list[Volume]]:
    """Return the family, as none or one set, after every refusal."""
    times = _times(family)
    if len(times) < FEWEST_TIMES:
        elsewhere = len(all_times) >= FEWEST_TIMES
        plan.skip(family, too_few_times(times) + (OTHER_GEOMETRY if elsewhere else ""))
        return []
    reason = physical_refusal(family) or _wrong_unit(times)
    if reason is None:
        return [_one_reconstruction(family, plan)]
    plan.skip(family, reason)
    return []


def _wrong_unit(times: list[float]) -> str | None:
    if times[-1] >= _IN_SECONDS:
        return None
    return f"inversion times run to {times[-1] * 1000:g} ms; expected ms in (0018,0082), these look like seconds"


def _one_reconstruction(family: list[Volume], plan: Plan) -> list[Volume]:
    """Keep one reconstruction of each part where the scanner stored several, such as filtered and not."""
    kept: list[Volume] = []
    for part in {volume.one.component for volume in family}:
        variants: dict[tuple[str, ...], list[Volume]] = defaultdict(list)
        for volume in family:
            if volume.one.component == part:
                variants[volume.one.reconstruction].append(volume)
        # the most complete one; among equals the first that was stored
        best = max(variants.values(), key=lambda volumes: len(_times(volumes)))
        kept.extend(best)
        for volumes in variants.values():
            if volumes is not best:
                plan.skip(
                    volumes,
                    f"another reconstruction ({', '.join(volumes[0].one.reconstruction)}) of the same images",
                )
    return kept


def _name(sets: list[list[Volume]], plan: Plan) -> None:
    """Give each volume its inversion rank, its run where there are several, and its part."""
    runs = [run for volumes in sets for run in _runs(volumes, plan)]
    if len(sets) > 1:
        plan.warnings.append(
            f"{len(sets)} inversion-recovery sets of different geometry or sequence: written as runs 1 to {len(runs)}"
        )
    for number, volumes in enumerate(runs, start=1):
        ranks = {time: rank for rank, time in enumerate(_times(volumes), start=1)}
        only_magnitude = {volume.one.component for volume in volumes} == {"mag"}
        plan.kept.extend(
            Kept(
                volume,
                inversion=ranks[volume.one.inversion_time or 0.0],
                run=number if len(runs) > 1 else None,
                part=None if only_magnitude else volume.one.component,
            )
            for volume in volumes
        )


def _runs(volumes: list[Volume], plan: Plan) -> list[list[Volume]]:
    """Split a set into its complete repetitions; of a time repeated alone, the later images are kept."""
    stacks: dict[tuple[float, str], list[Volume]] = defaultdict(list)
    for volume in sorted(volumes, key=lambda volume: volume.started):
        stacks[volume.one.inversion_time or 0.0, volume.one.component].append(volume)
    n_runs = min(len(stack) for stack in stacks.values())
    for (time, _), stack in stacks.items():
        surplus = stack[: len(stack) - n_runs]
        if surplus:
            plan.skip(surplus, f"inversion time {time * 1000:g} ms was repeated; the later image is used")
            plan.warnings.append(f"inversion time {time * 1000:g} ms was acquired {len(stack)} times: the last is used")
    return [[stack[len(stack) - n_runs + run] for stack in stacks.values()] for run in range(n_runs)]
