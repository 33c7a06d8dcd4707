"""One image of each kind per acquisition: other reconstructions and repeated acquisitions told apart."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped_by
from bids_t1.dicom.reading.volumes import in_order
from bids_t1.dicom.recognising.verdict import Verdict, left_out, together, warned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bids_t1.dicom.reading.volumes import Volume

SAME_TIME = 0.0005
"""Inversion times closer than this are the same: headers round them [s]."""

DISTORTION = frozenset({"ND", "DIS2D", "DIS3D"})
"""Words for how an image was corrected for the distortion by the gradients: images that differ do not overlap."""


def distortion(volume: Volume) -> frozenset[str]:
    """Return how an image was corrected for the distortion by the gradients."""
    return DISTORTION & set(volume.first.reconstruction)


def told(volume: Volume) -> str:
    """Say by what an image differs from the others of its set."""
    one = volume.first
    inversion = [] if one.timing.inversion_time is None else [f"inversion time {one.timing.inversion_time * 1000:g} ms"]
    return ", ".join([*inversion, *([told_echo(volume)] if one.timing.echo_time is not None else [])])


def told_inversion(volume: Volume) -> str:
    """Say by what an image differs from the others where all have one echo time."""
    return f"inversion time {(volume.timing.inversion_time or 0.0) * 1000:g} ms"


def told_echo(volume: Volume) -> str:
    """Say by what an image differs from the others where none has an inversion."""
    return f"echo time {round((volume.timing.echo_time or 0.0) * 1000, 1):g} ms"


def one_reconstruction(family: Sequence[Volume], tell: Callable[[Volume], str] = told) -> tuple[list[Volume], Verdict]:
    """Keep one reconstruction of each part where the scanner stored several, such as filtered and not.

    `tell` says in words by what an image differs from the others of its set.
    """
    kept: list[Volume] = []
    verdicts: list[Verdict] = []
    for part in sorted({volume.first.component for volume in family}):
        others = [distortion(volume) for volume in family if volume.first.component != part]
        own = [volume for volume in family if volume.first.component == part]
        variants = grouped_by(own, lambda volume: volume.first.reconstruction)
        # the most complete one; among equals the one that overlaps with the other parts, then the first stored
        ranks = {key: (len(set(map(tell, held))), others.count(distortion(held[0]))) for key, held in variants.items()}
        best = variants.pop(max(ranks, key=lambda key: ranks[key]))
        kept.extend(best)
        verdicts += [left_out(volumes, other_reconstruction(volumes[0])) for volumes in variants.values()]
    return kept, together(verdicts)


def other_reconstruction(volume: Volume) -> str:
    """Say why an image is left out that shows the same as another one."""
    return f"another reconstruction ({', '.join(volume.first.reconstruction)}) of the same images"


def runs(
    volumes: Sequence[Volume], tell: Callable[[Volume], str] = told_inversion
) -> tuple[list[list[Volume]], Verdict]:
    """Split a set into its complete repetitions; of a time repeated alone, the later images are kept.

    `tell` says in words by what an image differs from the others of one repetition.
    """
    stacks = grouped_by(in_order(volumes), lambda volume: (tell(volume), volume.first.component))
    n_runs = min(len(stack) for stack in stacks.values())
    verdicts = [
        left_out(stack[:-n_runs], f"{time} was repeated; the later image is used")
        + warned(
            f"{time} was acquired {len(stack)} times: the last is used. If this is a selective inversion recovery, "
            "give InversionTime and RecoveryTime of every image in the table SIR of a protocol file (--protocol)"
        )
        for (time, _), stack in stacks.items()
        if len(stack) > n_runs
    ]
    return [[stack[len(stack) - n_runs + run] for stack in stacks.values()] for run in range(n_runs)], together(
        verdicts
    )


def is_selective(volumes: Sequence[Volume], delayed: Sequence[float]) -> bool:
    """Tell whether images have, in each of their parts, the inversion times of a declared set, equal ones included."""
    parts = grouped_by(volumes, lambda volume: volume.first.component).values()
    return bool(delayed) and all(
        same_times([volume.timing.inversion_time or 0.0 for volume in part], delayed) for part in parts
    )


def same_times(times: Sequence[float], others: Sequence[float]) -> bool:
    """Tell whether two lists hold the same inversion times [s], in any order."""
    return len(times) == len(others) and all(
        abs(time - other) < SAME_TIME for time, other in zip(sorted(times), sorted(others), strict=True)
    )


def ranks(volumes: Sequence[Volume], *, by_image: bool) -> Iterator[tuple[Volume, int]]:
    """Yield each image with the rank of its inversion time, from 1.

    By image, images of equal inversion times have ranks of their own, in the order in which they were acquired.
    """
    counts: dict[str, int] = defaultdict(int)
    times = sorted({volume.timing.inversion_time or 0.0 for volume in volumes})
    for volume in sorted(volumes, key=lambda volume: (volume.timing.inversion_time or 0.0, volume.started)):
        counts[volume.first.component] += 1
        rank = counts[volume.first.component] if by_image else 1 + times.index(volume.timing.inversion_time or 0.0)
        yield volume, rank
