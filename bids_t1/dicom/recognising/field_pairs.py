"""Pairs of images of which the transmit field is computed: two repetition times, or two flip angles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bids_t1.dicom.recognising.plan import Kept
from bids_t1.dicom.recognising.repetitions import one_reconstruction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.plan import Plan

Method = Literal["TB1AFI", "TB1DAM"]

SHORTEST_RECOVERY = 5.0
"""The double angle method takes the magnetisation as recovered: three T1 of grey matter at 3 T [s]."""

_SAME_REPETITION = 0.0005
"""Repetition times closer than this are the same [s]."""

_SAME_ANGLE = 0.5
"""Flip angles closer than this are the same [degree]."""

_DOUBLE = (1.98, 2.02)

_PAIR = 2


def keep_pairs(method: Method, volumes: Sequence[Volume], plan: Plan) -> None:
    """Keep the magnitude images of each complete pair, and say what the others lack."""
    usable = [volume for volume in volumes if _is_usable(volume)]
    plan.skip(
        [volume for volume in volumes if not any(volume is other for other in usable)],
        f"image of {_NAMES[method]} that is no magnitude of a gradient echo: not needed",
    )
    pairs = [pair for group in _groups(method, usable) for pair in _pairs(method, group, plan)]
    for number, pair in enumerate(pairs, start=1):
        run = number if len(pairs) > 1 else None
        plan.kept.extend(_kept(method, volume, rank, run) for rank, volume in enumerate(pair, start=1))


_NAMES = {"TB1AFI": "actual flip angle imaging (AFI)", "TB1DAM": "the double angle method (DAM)"}


def _is_usable(volume: Volume) -> bool:
    one = volume.one
    return one.component == "mag" and not one.derived and one.product is None and _is_gradient_echo(volume)


def _is_gradient_echo(volume: Volume) -> bool:
    return "GR" in volume.one.sequence and not {"SE", "IR"} & volume.one.sequence


def _kept(method: Method, volume: Volume, rank: int, run: int | None) -> Kept:
    if method == "TB1DAM":
        return Kept(volume, run=run, suffix=method, flip=rank)
    return Kept(volume, run=run, suffix=method, label=f"tr{rank}", repetition_time=_repetition_time(volume))


def _repetition_time(volume: Volume) -> float | None:
    """Return the delay after an excitation: of the protocol, by the number of the echo, else of the header.

    Siemens writes the first delay into both images (rordenlab/dcm2niix#918), Philips its own into each
    (rordenlab/dcm2niix#743).
    """
    one = volume.one
    ranked = one.echo_number is not None and 1 <= one.echo_number <= len(one.repetition_times)
    return one.repetition_times[(one.echo_number or 1) - 1] if ranked else one.repetition_time


def _groups(method: Method, volumes: Sequence[Volume]) -> list[list[Volume]]:
    """Group images that differ in nothing but what the method varies."""
    groups: list[list[Volume]] = []
    for volume in sorted(volumes, key=lambda volume: volume.started):
        home = next((group for group in groups if _belongs(method, group[0], volume)), None)
        if home is None:
            groups.append([volume])
        else:
            home.append(volume)
    return groups


def _belongs(method: Method, first: Volume, second: Volume) -> bool:
    if method == "TB1AFI":
        return first.fits(second)
    apart = abs((first.one.repetition_time or 0.0) - (second.one.repetition_time or 0.0))
    return first.plays_like(second) and apart < _SAME_REPETITION


def _pairs(method: Method, group: list[Volume], plan: Plan) -> list[tuple[Volume, Volume]]:
    """Return the complete pairs of a group, the lower value first, in the order of their acquisition."""
    stacks: list[list[Volume]] = []
    tolerance = _SAME_REPETITION if method == "TB1AFI" else _SAME_ANGLE
    for volume in sorted(one_reconstruction(group, plan), key=lambda volume: _value(method, volume)):
        if stacks and _value(method, volume) - _value(method, stacks[-1][0]) < tolerance:
            stacks[-1].append(volume)
        else:
            stacks.append([volume])
    reason = _refusal(method, [stack[0] for stack in stacks])
    if reason is not None:
        plan.skip(group, reason)
        return []
    first, second = (sorted(stack, key=lambda volume: volume.started) for stack in stacks)
    if len(first) != len(second):
        plan.warn(f"{method}: {len(first)} and {len(second)} images of the two; those without a partner are left out")
        plan.skip([*first[len(second) :], *second[len(first) :]], f"image of {_NAMES[method]} without a partner")
    return list(zip(first, second, strict=False))


def _value(method: Method, volume: Volume) -> float:
    return (_repetition_time(volume) if method == "TB1AFI" else volume.one.flip_angle) or 0.0


def _refusal(method: Method, images: Sequence[Volume]) -> str | None:
    """Say what the headers of a pair lack, or nothing."""
    values = [_value(method, image) for image in images]
    if method == "TB1AFI":
        listed = ", ".join(f"{value * 1000:g}" for value in values)
        if len(values) == _PAIR and values[0] > 0:
            return None
        return (
            f"{_NAMES[method]} by its name, with repetition times of {listed} ms in its headers; expected two, one for "
            "each image"
        )
    listed = ", ".join(f"{value:g}" for value in values)
    if len(values) != _PAIR or values[0] <= 0 or not _DOUBLE[0] <= values[1] / values[0] <= _DOUBLE[1]:
        return f"{_NAMES[method]} by its name, with flip angles of {listed} degrees; expected two, one twice the other"
    recovery = images[0].one.repetition_time or 0.0
    if recovery < SHORTEST_RECOVERY:
        return (
            f"{_NAMES[method]} by its name, with a repetition time of {recovery:g} s; expected {SHORTEST_RECOVERY:g} s "
            "or more, for the magnetisation to recover"
        )
    return None
