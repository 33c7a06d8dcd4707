"""The card of a calibration model as a page: for what and whom it is, from what it came, how well it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.calibration import METHODS, NETWORKS
from bids_t1.data.sidecar import finite
from bids_t1.data.tissue import TISSUES
from bids_t1.report.pages.participant import template
from bids_t1.report.sections import calibration_tables
from bids_t1.report.sections.calibration import field_of, how_judged, n_folds, of_ensemble, references, sequence_of
from bids_t1.report.sections.regions import NO_NUMBER
from bids_t1.report.words import wording
from bids_t1.report.words.numbers import Number
from bids_t1.report.words.record import MEANINGS, Row, plain, repetition_times, times_of
from bids_t1.storage import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bids_t1.data.calibration import CalibrationCard
    from bids_t1.report.sections.calibration_tables import BehaviourRow, Headline, MethodMeaning, TissueTable
    from bids_t1.report.words.literature import Work

PAGE = "model.html"

PROTOCOL = {
    "MagneticFieldStrength": ("Field strength", " T"),
    "InversionTimes": ("Inversion times TI", " s"),
    "RepetitionTimes": ("Repetition times TR", " s"),
    "RepetitionTimePreparation": ("Cycle, from inversion to inversion", " s"),
    "FlipAngles": ("Flip angles", "°"),
    "RepetitionTimesExcitation": ("Excitation to excitation", " s"),
    "NumberShotsPerReadout": ("Excitations before and after the k-space centre", ""),
    "InversionEfficiency": ("Inversion efficiency", ""),
    "InversionEfficiencySlope": ("Slope of the efficiency with R1", " s"),
    "EfficiencyModel": ("Inversion efficiency in the fit", ""),
    "TransmitFieldMeasured": ("Transmit field B1+ measured", ""),
}
"""Names and units of what makes a protocol, in the order of the table; others follow."""

DIGEST = 16
"""Letters of the checksum at the head of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolRow:
    """One parameter of both sequences."""

    label: str
    measured: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRow:
    """One input of the network, and how it is scaled."""

    name: str
    centre: str
    scale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPage:
    """All that the page shows."""

    sequence: str
    at_field: str
    """Such as `` at 3 T``; empty where it is not known."""

    headline: Headline
    numbers: tuple[Number, ...]
    verdict: tuple[str, ...]
    judged: tuple[str, ...]
    tables: tuple[TissueTable, ...]
    meanings: tuple[MethodMeaning, ...]
    behaviours: tuple[BehaviourRow, ...]
    data: tuple[Row, ...]
    protocol: tuple[ProtocolRow, ...]
    ranges: tuple[Row, ...]
    inputs: tuple[InputRow, ...]
    training: tuple[Row, ...]
    references: tuple[Work, ...]


def write_card(card: CalibrationCard, folder: Path) -> Path:
    """Write ``model.html`` into a folder, whole or not at all, and return its path."""
    page = folder / PAGE
    write_whole(page, render_card(card))
    return page


def render_card(card: CalibrationCard) -> str:
    """Return the card of a model as HTML: one file that loads nothing and names no participant."""
    summaries, scores = calibration_tables.results_of(card)
    return template("card.html.j2").render(
        card=CardPage(
            sequence=sequence_of(card),
            at_field=field_of(card),
            headline=calibration_tables.summarise(summaries, card.rung),
            numbers=_numbers(card),
            verdict=card.verdict,
            judged=(how_judged(card), of_ensemble(card)),
            tables=calibration_tables.tabulate(summaries, scores),
            meanings=calibration_tables.meanings(summaries),
            behaviours=calibration_tables.behaviours_of(card),
            data=tuple(_data(card)),
            protocol=tuple(_protocol(card)),
            ranges=tuple(_ranges(card.ranges)),
            inputs=_inputs(card),
            training=tuple(_training(card)),
            references=references(summaries),
        )
    )


def _numbers(card: CalibrationCard) -> tuple[Number, ...]:
    n_voxels = sum(card.n_voxels.values())
    edge = f"{wording.number(card.voxel_edge, 3)} mm"
    return (
        Number(
            label="Participants",
            value=str(card.n_participants),
            remarks=(wording.counted(card.n_scans, "pair") + " of scans",),
        ),
        Number(label="Voxels", value=wording.grouped(n_voxels), remarks=(f"of {edge}",)),
        Number(
            label="Networks",
            value=str(len(card.members) if card.rung in NETWORKS else 0),
            remarks=(f"{wording.counted(n_folds(card), 'fold')} and one of everybody",)
            if card.rung in NETWORKS
            else (METHODS[card.rung],),
        ),
        Number(label="Checksum", value=card.checksum[:DIGEST], remarks=("SHA-256 of the weights, its beginning",)),
    )


def _data(card: CalibrationCard) -> Iterator[Row]:
    yield Row("Participants", str(card.n_participants))
    yield Row("Pairs of scans", str(card.n_scans))
    for tissue in TISSUES:
        if tissue.abbreviation in card.n_voxels:
            count = wording.grouped(card.n_voxels[tissue.abbreviation])
            yield Row(f"Voxels of {tissue.meaning}", count)
    yield Row("Edge of a voxel", f"{wording.number(card.voxel_edge, 3)} mm, isotropic")


def _protocol(card: CalibrationCard) -> Iterator[ProtocolRow]:
    measured, reference = card.measured_protocol, card.reference_protocol
    for key in dict.fromkeys((*PROTOCOL, *measured, *reference)):
        if key in measured or key in reference:
            label, _ = PROTOCOL.get(key, (wording.spelt_out(key), ""))
            yield ProtocolRow(label=label, measured=_written(measured, key), reference=_written(reference, key))


def _written(protocol: Mapping[str, object], key: str) -> str:
    """Write one parameter with its unit."""
    if key not in protocol:
        return NO_NUMBER
    value, (_, unit) = protocol[key], PROTOCOL.get(key, ("", ""))
    if isinstance(value, str):
        return wording.without_folders(MEANINGS.get((key, value), value))
    if key == "NumberShotsPerReadout" and isinstance(value, list | tuple):
        return "; ".join(plain(each).replace(", ", " and ") for each in value)
    if key == "RepetitionTimes":
        return repetition_times(times_of(protocol, key))
    return f"{plain(value)}{unit}"


def _ranges(ranges: Mapping[str, object]) -> Iterator[Row]:
    """Write between which values the model corrects."""
    yield Row("T1", _between(ranges.get("time"), " s"))
    largest = _floats(ranges.get("relative_sd"))
    if largest:
        low, high = (f"{100 * value:.1f} %" for value in (min(largest), max(largest)))
        yield Row("Relative SD of T1", f"up to {low}" if low == high else f"up to {low} to {high}, depending on T1")
    if _floats(ranges.get("transmit")):
        needed = "must be known" if ranges.get("transmit_needed") else "may be unknown"
        yield Row("Transmit field B1+", f"{_between(ranges.get('transmit'), '')} of nominal; {needed}")
    else:
        yield Row("Transmit field B1+", "was never known, and must not be")


def _between(value: object, unit: str) -> str:
    limits = _floats(value)
    return " to ".join(f"{limit:.3f}" for limit in limits) + unit if limits else "not known"


def _floats(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        return ()
    return tuple(number for each in value if (number := finite(each)) is not None)


def _inputs(card: CalibrationCard) -> tuple[InputRow, ...]:
    return tuple(
        InputRow(name=name, centre=wording.number(centre, 3), scale=wording.number(scale, 3))
        for name, centre, scale in zip(card.inputs, card.centres, card.scales, strict=True)
    )


def _training(card: CalibrationCard) -> Iterator[Row]:
    plan = card.plan
    yield Row("Applied", METHODS[card.rung])
    yield Row("T1 that was learned", card.target)
    if card.rung not in NETWORKS:
        yield Row("Share that is kept", f"{card.share:.3f}")
        yield Row("SD between participants", f"{card.relation_sd:.1%}")
    yield Row("Preset", plain(plan.get("name")))
    yield from _network(card)
    yield Row(
        "Plan",
        f"at most {plain(plan.get('epochs'))} epochs of {plain(plan.get('steps'))} steps, {plain(plan.get('batch'))} "
        f"examples each; learning rate {plain(plan.get('learning_rate'))}",
    )
    yield Row("Early stopping watched", card.validation)
    epochs = [f"{member}: {count}" for member, count in zip(card.members, card.epochs, strict=True)]
    yield Row("Epochs of the weights kept", ", ".join(epochs))
    yield Row("Factor of the SD", f"{card.sd_scale:.3f}, from held-out participants")
    yield Row("Seed", str(card.seed))
    threads = wording.counted(card.n_threads, "thread")
    yield Row("Computed on", f"{card.device}, {threads}" if card.device == "cpu" else card.device)
    for name, version in card.software.items():
        yield Row(name, version)
    yield Row("Format of the file", str(card.format))
    yield Row("Checksum of the weights (SHA-256)", card.checksum)


def _network(card: CalibrationCard) -> Iterator[Row]:
    """Write what the network of the plan is; models of 0.1.0 know patches alone, and do not say so."""
    if card.plan.get("kind") == "voxel":
        yield Row("Network", "layers of 1 x 1 convolutions, on single voxels")
        yield Row("It sees", "the voxel alone")
    else:
        yield Row("Network", f"ResNet-18 with {plain(card.plan.get('width'))} of its channels, on patches of voxels")
        slices = 2 * card.neighbours + 1
        yield Row("It sees", f"{slices} slices: that of the voxel and {card.neighbours} on each side")
