"""Pairs of images of which the transmit field is computed: two repetition times, or two flip angles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped
from bids_t1.dicom.reading.volumes import FLIP_TOLERANCE, in_order, without
from bids_t1.dicom.recognising.repetitions import one_reconstruction
from bids_t1.dicom.recognising.transmit_method import TransmitMethod
from bids_t1.dicom.recognising.verdict import (
    PlannedImage,
    Verdict,
    left_out,
    numbered,
    passed,
    repeated,
    warned,
)  # fmt: skip
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bids_t1.dicom.reading.volumes import Volume

SHORTEST_RECOVERY = 5.0
"""The double angle method takes the magnetisation as recovered: three T1 of grey matter at 3 T [s]."""

SAME_DELAY = 0.0005
"""Repetition times closer than this are the same [s]."""

DOUBLE = (1.98, 2.02)
"""Ratio of two flip angles of which one is twice the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A method of two images, by what differs between them."""

    suffix: str
    name: str
    differs: Callable[[Volume], float]
    """What differs, in its own unit."""

    same: float
    """Values closer than this are the same."""

    alike: Callable[[Volume, Volume], bool]
    """Tells whether two images differ in nothing else."""

    refusal: Callable[[Sequence[Volume]], str | None]
    """Says what the headers of a pair lack, or nothing."""

    planned: Callable[[Volume, int, int | None], PlannedImage]
    """Names an image by its rank, from 1, and its run."""


def _keep(method: _Pair, volumes: Sequence[Volume]) -> Verdict:
    """Keep the magnitude images of each complete pair, and say what the others lack."""
    usable = [volume for volume in volumes if _is_usable(volume)]
    groups = grouped(in_order(usable), lambda group, volume: method.alike(group[0], volume))
    pairs, others = passed(_pairs(method, group) for group in groups)
    kept = tuple(
        method.planned(volume, rank, run) for pair, run in numbered(pairs) for rank, volume in enumerate(pair, start=1)
    )
    needless = f"image of {method.name} that is no magnitude of a gradient echo: not needed"
    return left_out(without(volumes, usable), needless) + others + Verdict(kept)


def _is_usable(volume: Volume) -> bool:
    first = volume.first
    is_gradient_echo = "GR" in first.sequence and not {"SE", "IR"} & first.sequence
    return first.component == "mag" and not first.derived and first.product is None and is_gradient_echo


def _pairs(method: _Pair, group: Sequence[Volume]) -> tuple[list[tuple[Volume, Volume]], Verdict]:
    """Return the complete pairs of a group, the lower value first, in the order of their acquisition."""
    kept, verdict = one_reconstruction(group)
    stacks = grouped(
        sorted(kept, key=method.differs),
        lambda stack, volume: method.differs(volume) - method.differs(stack[0]) < method.same,
    )
    reason = method.refusal([stack[0] for stack in stacks])
    if reason is not None:
        return [], verdict + left_out(group, reason)
    first, second = map(in_order, stacks)
    if len(first) != len(second):
        verdict += left_out(
            [*first[len(second) :], *second[len(first) :]], f"image of {method.name} without a partner"
        ) + warned(
            f"{method.suffix}: {len(first)} and {len(second)} images of the two; those without a partner are left out"
        )
    return list(zip(first, second, strict=False)), verdict


def _repetition_time(volume: Volume) -> float | None:
    """Return the delay after an excitation: of the protocol, by the number of the echo, else of the header.

    Siemens writes the first delay into both images (rordenlab/dcm2niix#918), Philips its own into each
    (rordenlab/dcm2niix#743).
    """
    timing = volume.timing
    number = timing.echo_number or 0
    return (
        timing.repetition_times[number - 1] if 1 <= number <= len(timing.repetition_times) else timing.repetition_time
    )


def _two_delays(images: Sequence[Volume]) -> str | None:
    delays = [_repetition_time(image) or 0.0 for image in images]
    if len(delays) == 2 and delays[0] > 0:  # noqa: PLR2004 - a pair
        return None
    return (
        f"{AFI.name} by its name, with repetition times of {', '.join(f'{delay * 1000:g}' for delay in delays)} ms in "
        "its headers; expected two, one for each image"
    )


def _delayed(volume: Volume, rank: int, run: int | None) -> PlannedImage:
    timing = repeated(volume.first)
    del timing["RepetitionTime"]
    timing = {"RepetitionTimeExcitation": _repetition_time(volume) or volume.timing.repetition_time} | timing
    return PlannedImage(volume=volume, run=run, suffix=AFI.suffix, label=f"tr{rank}", timing=timing)


def _two_angles(images: Sequence[Volume]) -> str | None:
    angles = [image.timing.flip_angle or 0.0 for image in images]
    if len(angles) != 2 or angles[0] <= 0 or not DOUBLE[0] <= angles[1] / angles[0] <= DOUBLE[1]:  # noqa: PLR2004
        listed = ", ".join(f"{angle:g}" for angle in angles)
        return f"{DAM.name} by its name, with flip angles of {listed} degrees; expected two, one twice the other"
    recovery = images[0].timing.repetition_time or 0.0
    if recovery >= SHORTEST_RECOVERY:
        return None
    return (
        f"{DAM.name} by its name, with a repetition time of {recovery:g} s; expected {SHORTEST_RECOVERY:g} s "
        "or more, for the magnetisation to recover"
    )


def _turned(volume: Volume, rank: int, run: int | None) -> PlannedImage:
    return PlannedImage(volume=volume, run=run, suffix=DAM.suffix, flip=rank, timing=repeated(volume.first))


AFI = _Pair(
    suffix="TB1AFI",
    name="actual flip angle imaging (AFI)",
    differs=lambda volume: _repetition_time(volume) or 0.0,
    same=SAME_DELAY,
    alike=lambda first, second: first.fits(second),
    refusal=_two_delays,
    planned=_delayed,
)

DAM = _Pair(
    suffix="TB1DAM",
    name="the double angle method (DAM)",
    differs=lambda volume: volume.timing.flip_angle or 0.0,
    same=FLIP_TOLERANCE,
    alike=lambda first, second: first.plays_like(second) and first.repeats_like(second, SAME_DELAY),
    refusal=_two_angles,
    planned=_turned,
)

ACTUAL_FLIP_ANGLE = TransmitMethod(keep=partial(_keep, AFI), called=names.AFI)
DOUBLE_ANGLE = TransmitMethod(keep=partial(_keep, DAM), called=names.DOUBLE_ANGLE)
