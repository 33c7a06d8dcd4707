"""MP2RAGE acquisitions: the readouts after one inversion, and the UNI images that the scanner computed of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped_by
from bids_t1.dicom.reading.volumes import echo_rank, echo_times_of, in_order, times_of, without
from bids_t1.dicom.recognising.candidates import inverted_volumes
from bids_t1.dicom.recognising.mp2rage_timing import timing
from bids_t1.dicom.recognising.one_inversion import (
    MOST_READOUTS,
    SAME_TIME,
    after_one_inversion,
    computed_of,
    of_one_protocol,
    readout_times,
)
from bids_t1.dicom.recognising.refusals import T1_STAR, known_start, wrong_unit
from bids_t1.dicom.recognising.repetitions import distortion, one_reconstruction, other_reconstruction, runs, told
from bids_t1.dicom.recognising.verdict import (
    PlannedImage,
    Verdict,
    left_out,
    numbered,
    part_of,
    passed,
    rest_of,
    together,
    warned,
)  # fmt: skip
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.verdict import SeriesSlices

SUFFIX = "MP2RAGE"
UNI = "UNIT1"
"""BIDS suffix of readouts, and of what the scanner computes of two."""

DENOISED = "denoised"
"""Label of the entity rec- of UNI-DEN, whose regularisation changes T1: it is kept and never measured from."""

TWINS = "several UNI images of one acquisition, of which one may be denoised (UNI-DEN), and nothing tells which"


@dataclass(frozen=True, slots=True)
class _Acquisition:
    """One acquisition of MP2RAGE."""

    readouts: list[Volume]
    unis: list[Volume]
    """Every UNI and UNI-DEN of it, in any reconstruction."""

    times: tuple[float, ...]
    """Of all readouts [s], also of those without an image; empty where unknown."""

    @property
    def first(self) -> Volume:
        """An image that speaks for all."""
        return (self.readouts or self.unis)[0]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """An acquisition, and which of its computed images are kept."""

    acquisition: _Acquisition
    unis: dict[str | None, Volume]
    """The UNI image (under None), and UNI-DEN by its label, where they are certain."""

    @property
    def is_usable(self) -> bool:
        """Whether T1 can be measured of it."""
        return bool(self.acquisition.readouts) or None in self.unis


def recognise(series: SeriesSlices, _delayed: Sequence[float] = ()) -> Verdict:
    """Plan the conversion of every acquisition, and leave the slices that are of none."""
    volumes, _ = inverted_volumes(series)
    unis = [volume for volume in volumes if volume.first.product is not None]
    others: list[Volume] = []
    found: list[tuple[list[_Acquisition], Verdict]] = []
    for group in of_one_protocol(without(volumes, unis)):
        own = [uni for uni in unis if any(computed_of(uni, readout) for readout in group)]
        if after_one_inversion(group, own):
            unis = without(unis, own)
            found.append(_acquisitions(group, own))
        else:
            others.extend(group)
    found += [(_computed_alone(alike), Verdict()) for alike in of_one_protocol(unis)]
    acquisitions, verdict = passed(found)
    return together([verdict, _planned(acquisitions)], rest_of(series, without(volumes, others)))


def _of_first_echo(unis: Sequence[Volume]) -> tuple[list[Volume], Verdict]:
    """Keep the UNI images of the first echo: names of BIDS have no place for the others, and T1 is the same."""
    times = echo_times_of(unis)
    later = [uni for uni in unis if (echo_rank(uni, times) or 1) > 1]
    return without(unis, later), left_out(later, "UNI image of a later echo; that of the first one is kept")


def _acquisitions(group: Sequence[Volume], computed: Sequence[Volume]) -> tuple[list[_Acquisition], Verdict]:
    """Return the repetitions of one protocol, after every refusal of its readouts."""
    unis, later = _of_first_echo(computed)
    times = readout_times(group)
    reason = _refusal(group, times, computed=bool(unis))
    if reason is not None:
        return _computed_alone(unis), later + left_out(group, reason)
    chosen, others = one_reconstruction(group)
    repetitions, surplus = _repetitions(chosen)
    shares = _shares(unis, repetitions)
    found = [_Acquisition(own, share, times) for own, share in zip(repetitions, shares, strict=True)]
    return found, later + others + surplus


def _repetitions(volumes: Sequence[Volume]) -> tuple[list[list[Volume]], Verdict]:
    """Return the acquisitions of one protocol; readouts of two are never mixed where it is known when they began."""
    by_start = grouped_by(volumes, known_start)
    whole = [alike for alike in by_start.values() if _kinds(alike) == _kinds(volumes)]
    if None in by_start or not whole:
        return runs(volumes, told)
    parts = without(volumes, chain.from_iterable(whole))
    found, surplus = passed(runs(alike, told) for alike in whole)
    return found, left_out(parts, "part of an MP2RAGE that was acquired again as a whole") + surplus


def _kinds(volumes: Sequence[Volume]) -> set[tuple[str, str]]:
    return {(told(volume), volume.first.component) for volume in volumes}


def _refusal(group: Sequence[Volume], times: tuple[float, ...], *, computed: bool) -> str | None:
    """Say why the readouts of a group are of no use, or nothing."""
    missing = [time for time in times if _rank(time, times_of(group)) is None]
    listed = ", ".join(f"{time * 1000:g}" for time in missing)
    if len(times) > MOST_READOUTS:
        return f"Look-Locker type: {len(times)} readouts follow one inversion: {T1_STAR}"
    if missing and not (computed and len(times) == 2):  # noqa: PLR2004 - UNI is computed of two
        return (
            f"readout of an MP2RAGE without images of the other readouts (inversion times {listed} ms), each of which "
            "changes the magnetisation for the next"
        )
    if len(times) == 1 and names.READOUT.search(group[0].first.series.description) is None:
        return "one readout of an MP2RAGE, and nothing says which: neither a protocol nor INV1 or INV2 in its name"
    return wrong_unit(list(times))


def _shares(unis: Sequence[Volume], repetitions: Sequence[Sequence[Volume]]) -> list[list[Volume]]:
    """Return the UNI images of each repetition: one by one where there is one for each, else by who is nearest."""
    kinds = grouped_by(in_order(unis), lambda uni: (uni.first.product, uni.first.reconstruction))
    shares: list[list[Volume]] = [[] for _ in repetitions]
    for alike in kinds.values():
        for index, uni in enumerate(alike):
            shares[index if len(alike) == len(repetitions) else _nearest(uni, repetitions)].append(uni)
    return shares


def _nearest(uni: Volume, repetitions: Sequence[Sequence[Volume]]) -> int:
    """Return the repetition that a UNI image was computed of: acquired with it, else nearest in series number."""

    def distance(index: int) -> tuple[bool, int]:
        numbers = [volume.first.series.number or 0 for volume in repetitions[index]]
        start, own = known_start(uni), {known_start(volume) for volume in repetitions[index]}
        apart = min(abs((uni.first.series.number or 0) - number) for number in numbers)
        return start is None or start not in own, apart

    return min(range(len(repetitions)), key=distance)


def _computed_alone(unis: Sequence[Volume]) -> list[_Acquisition]:
    """Return the acquisitions of which there are UNI images only, told apart by when they were acquired."""
    return [_Acquisition([], alike, ()) for alike in grouped_by(unis, known_start).values()]


def _planned(acquisitions: Sequence[_Acquisition]) -> Verdict:
    """Give each image its name, and number the acquisitions where there are several."""
    found = [_choose(acquisition) for acquisition in acquisitions]
    usable = [chosen for chosen, _ in found if chosen.is_usable]
    alone = "denoised UNI (UNI-DEN) alone: its regularisation changes T1 everywhere"
    return together(
        [
            *(verdict for _, verdict in found),
            _of_several([chosen.acquisition for chosen in usable]),
            *(left_out(chosen.unis.values(), alone) for chosen, _ in found if not chosen.is_usable),
            *(_named(chosen, run) for chosen, run in numbered(usable)),
        ]
    )


def _of_several(acquisitions: Sequence[_Acquisition]) -> Verdict:
    """Tell of acquisitions that are more than repetitions of one protocol."""
    if not any(_differ(acquisitions[0], other) for other in acquisitions[1:]):
        return Verdict()
    return warned(f"MP2RAGE of different inversion times or geometry: written as runs 1 to {len(acquisitions)}")


def _differ(first: _Acquisition, second: _Acquisition) -> bool:
    times = {acquisition.times for acquisition in (first, second) if acquisition.times}
    return len(times) > 1 or not first.first.lies_with(second.first)


def _named(chosen: _Chosen, run: int | None) -> Verdict:
    computed = [_computed(uni, label, run, chosen.acquisition) for label, uni in chosen.unis.items()]
    images = (*_readouts(chosen.acquisition, run), *computed)
    return Verdict(images) + warned(*_open_questions(chosen.acquisition, images))


def _computed(uni: Volume, label: str | None, run: int | None, acquisition: _Acquisition) -> PlannedImage:
    scaling = {} if label is not None else {"UNIT1Scaling": uni.first.values.uni_scaling}
    return PlannedImage(
        volume=uni,
        suffix=UNI,
        run=run,
        reconstruction=label,
        times=acquisition.times,
        computed_of=SUFFIX,
        timing=timing(uni.first, None, acquisition.times),
        values={"Units": "arbitrary"} | scaling,
    )


def _readouts(acquisition: _Acquisition, run: int | None) -> list[PlannedImage]:
    echoes = {
        time: echo_times_of(volume for volume in acquisition.readouts if volume.timing.inversion_time == time)
        for time in times_of(acquisition.readouts)
    }
    times = acquisition.times if len(acquisition.times) > 1 else ()
    ranks = [_rank_in(volume, times) for volume in acquisition.readouts]
    return [
        PlannedImage(
            volume=volume,
            suffix=SUFFIX,
            inversion=rank,
            run=run,
            part=part_of(volume, acquisition.readouts),
            times=times,
            echo=echo_rank(volume, echoes[volume.timing.inversion_time or 0.0]),
            timing=timing(volume.first, rank, times),
        )
        for volume, rank in zip(acquisition.readouts, ranks, strict=True)
    ]


def _rank_in(volume: Volume, times: Sequence[float]) -> int | None:
    """Return the rank of a readout by its time, or by its name where it has the only one."""
    return _rank(volume.timing.inversion_time or 0.0, times) if times else _named_rank(volume)


def _rank(time: float, times: Sequence[float]) -> int | None:
    """Return the rank of the readout whose inversion time this is, or None."""
    ranks = {rank: abs(other - time) for rank, other in enumerate(times, start=1)}
    nearest = min(ranks, key=lambda rank: ranks[rank])
    return nearest if ranks[nearest] < SAME_TIME else None


def _named_rank(volume: Volume) -> int | None:
    found = names.READOUT.search(volume.first.series.description)
    return None if found is None else int(found.group(1))


def _choose(acquisition: _Acquisition) -> tuple[_Chosen, Verdict]:
    """Return which UNI and UNI-DEN of an acquisition are kept, and what becomes of the others."""
    true = [uni for uni in acquisition.unis if uni.first.product == "UNIT1"]
    denoised = without(acquisition.unis, true)
    doubt = _doubt(true, _overlapping(true, acquisition.readouts), denoised)
    chosen: dict[str | None, Volume] = {}
    verdict = Verdict()
    if doubt is not None:
        verdict += left_out(true, doubt) + warned(f"UNI images are left out: {doubt}")
    for label, unis in ((None, true if doubt is None else []), (DENOISED, denoised)):
        for uni in _overlapping(unis, acquisition.readouts)[:1]:
            chosen[label] = uni
            verdict += left_out(without(unis, [uni]), other_reconstruction(uni))
    return _Chosen(acquisition, chosen), verdict


def _overlapping(unis: Sequence[Volume], readouts: Sequence[Volume]) -> Sequence[Volume]:
    """Return the images that are corrected as the readouts are, or all where none is."""
    return [uni for uni in unis if readouts and distortion(uni) == distortion(readouts[0])] or unis


def _doubt(unis: Sequence[Volume], alike: Sequence[Volume], denoised: Sequence[Volume]) -> str | None:
    """Say why images that look like UNI may be UNI-DEN, or nothing."""
    if not denoised and any(_may_be_denoised(uni.first) for uni in unis):
        return "the scanner was asked for a denoised UNI (UNI-DEN), and nothing tells whether this is it"
    twins = [uni for uni in alike if uni.first.reconstruction == alike[0].first.reconstruction]
    return TWINS if len(twins) > 1 else None


def _may_be_denoised(plane: Slice) -> bool:
    described = names.UNIFORM.search(plane.series.description)
    return plane.readouts is not None and plane.readouts.denoised and not described


def _open_questions(acquisition: _Acquisition, images: Sequence[PlannedImage]) -> list[str]:
    """Tell what the protocol leaves open, and which readout has no image."""
    protocols = [image.volume.first.readouts for image in images]
    questions = [f"MP2RAGE: {caveat}" for protocol in protocols if protocol for caveat in protocol.caveats]
    lacking = len(acquisition.times) - len(times_of(acquisition.readouts))
    if acquisition.readouts and lacking:
        questions.append(f"MP2RAGE: {lacking} of {len(acquisition.times)} readouts have no image; UNI stands for them")
    return questions


def tell(images: Sequence[PlannedImage]) -> list[str]:
    """Say what images of one series were kept as."""
    return sorted(_told(image) for image in images if SUFFIX in {image.suffix, image.computed_of})


def _told(image: PlannedImage) -> str:
    if image.reconstruction is not None:
        return f"kept as {image.name}; its regularisation changes T1, which is never measured from it"
    time = image.volume.timing.inversion_time
    note = "" if time is None or image.inversion is None else f", inversion time {time * 1000:g} ms"
    return f"kept as {image.name}{note}"
