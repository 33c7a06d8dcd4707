"""One image of each kind per acquisition: other reconstructions and repeated acquisitions told apart."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bids_t1.dicom.volumes import times_of

if TYPE_CHECKING:
    from bids_t1.dicom.plan import Plan
    from bids_t1.dicom.volumes import Volume


_DISTORTION = frozenset({"ND", "DIS2D", "DIS3D"})
"""Words for how an image was corrected for the distortion by the gradients: images that differ do not overlap."""


def distortion(volume: Volume) -> frozenset[str]:
    """Return how an image was corrected for the distortion by the gradients."""
    return _DISTORTION & set(volume.one.reconstruction)


def one_reconstruction(family: list[Volume], plan: Plan) -> list[Volume]:
    """Keep one reconstruction of each part where the scanner stored several, such as filtered and not."""
    kept: list[Volume] = []
    for part in sorted({volume.one.component for volume in family}):
        others = [distortion(volume) for volume in family if volume.one.component != part]
        variants: dict[tuple[str, ...], list[Volume]] = defaultdict(list)
        for volume in family:
            if volume.one.component == part:
                variants[volume.one.reconstruction].append(volume)
        # the most complete one; among equals the one that overlaps with the other parts, then the first stored
        ranks = {key: (len(times_of(held)), others.count(distortion(held[0]))) for key, held in variants.items()}
        best = variants[max(ranks, key=lambda key: ranks[key])]
        kept.extend(best)
        for volumes in variants.values():
            if volumes is not best:
                plan.skip(volumes, other_reconstruction(volumes[0]))
    return kept


def other_reconstruction(volume: Volume) -> str:
    """Say why an image is left out that shows the same as another one."""
    return f"another reconstruction ({', '.join(volume.one.reconstruction)}) of the same images"


def runs(volumes: list[Volume], plan: Plan) -> list[list[Volume]]:
    """Split a set into its complete repetitions; of a time repeated alone, the later images are kept."""
    stacks: dict[tuple[float, str], list[Volume]] = defaultdict(list)
    for volume in sorted(volumes, key=lambda volume: volume.started):
        stacks[volume.one.inversion_time or 0.0, volume.one.component].append(volume)
    n_runs = min(len(stack) for stack in stacks.values())
    for (time, _), stack in stacks.items():
        surplus = stack[: len(stack) - n_runs]
        if surplus:
            plan.skip(surplus, f"inversion time {time * 1000:g} ms was repeated; the later image is used")
            plan.warn(f"inversion time {time * 1000:g} ms was acquired {len(stack)} times: the last is used")
    return [[stack[len(stack) - n_runs + run] for stack in stacks.values()] for run in range(n_runs)]
