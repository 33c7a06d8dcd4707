"""A cohort of paired scans becomes a model, and the scores that say what it is worth.

Participants are divided into folds. What is fitted or trained is so on the others and scored on those of the fold. The
simplest correction that does as well as the best is what the model holds: numbers fitted to everybody, or the networks
of all folds and one that has seen everybody.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1 import __version__
from bids_t1.calibration.application import Ensemble, Ranges, Rung, correct
from bids_t1.calibration.behaviour import behave, lesion_response, spectrum
from bids_t1.calibration.intervals import cover, interval_of, region_limit, standard_errors
from bids_t1.calibration.ladder import FEWEST_FOR_NETWORK, choose, is_as_good, promise, share_kept
from bids_t1.calibration.lattice import CENTRES, INPUTS, SCALES, SCORED, WEIGHTS, edge_of, to_sample
from bids_t1.calibration.model_file import FORMAT, checksum, differences, protocol_part, target_of
from bids_t1.calibration.network import NEIGHBOURS, network_of
from bids_t1.calibration.rungs import fit_all, started_samples
from bids_t1.calibration.scores import LIMIT, brought, comparable_voxels, left_by, score, summarise
from bids_t1.calibration.training import Member, Task, reproducibly, train
from bids_t1.data.calibration import METHODS, NETWORKS, Calibration, CalibrationCard, CalibrationModel
from bids_t1.data.errors import InvalidInputError, NothingSelectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bids_t1.calibration.intervals import Interval
    from bids_t1.calibration.lattice import LatticeScan, Sample
    from bids_t1.calibration.scores import Left
    from bids_t1.data.calibration import (
        CalibrationOptions,
        CalibrationScore,
        CalibrationScores,
        Method,
        MethodSummary,
        PairedScan,
        TrainingProgress,
    )
    from bids_t1.data.prior_correction import PriorCorrection
    from bids_t1.data.shapes import Map, VoxelFlags
    from bids_t1.data.tissue import Tissue

MOST_FOLDS = 10
"""Up to so many participants each one is left out once."""

LEAST_PARTICIPANTS = 2
LEAST_VOXELS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fold:
    """What came of one fold."""

    members: Mapping[Method, Member]
    """Networks; none where there are too few participants."""

    scores: tuple[CalibrationScore, ...]
    left: Mapping[Method, Sequence[Left]]
    """By each method, in each held-out scan."""

    behaviour: Mapping[Method, Sequence[tuple[float | None, tuple[float, ...] | None]]]
    """Lesion response and spectrum of each method in each held-out scan."""


def make_folds(participants: Sequence[str], n_folds: int | None, seed: int) -> list[list[str]]:
    """Divide participants into folds of about equal size.

    Raises
    ------
    NothingSelectedError
        If there are fewer than two participants.
    InvalidInputError
        If there are more folds than participants, or fewer than two.
    """
    names = sorted(set(participants))
    if len(names) < LEAST_PARTICIPANTS:
        raise NothingSelectedError(
            f"Calibration: {len(names)} participant(s) with both inversion recovery and MP2RAGE; expected at least "
            f"{LEAST_PARTICIPANTS}, as a correction is judged on participants that it has not seen."
        )
    n = min(len(names), MOST_FOLDS) if n_folds is None else n_folds
    if not LEAST_PARTICIPANTS <= n <= len(names):
        raise InvalidInputError(
            f"--folds is {n} with {len(names)} participants; expected {LEAST_PARTICIPANTS} to {len(names)}."
        )
    if n < len(names):
        names = [names[index] for index in np.random.default_rng([seed, 3]).permutation(len(names))]
    return [sorted(names[first::n]) for first in range(n)]


def calibrate(
    scans: Sequence[PairedScan],
    options: CalibrationOptions,
    *,
    believed: PriorCorrection | None = None,
    checkpoints: Path | None = None,
    progress: Callable[[TrainingProgress], object] | None = None,
) -> Calibration:
    """Train and judge a calibration.

    Parameters
    ----------
    scans
        Of one participant or more, all with the same protocols. Each is looked at by itself: a sequence that reads them
        when they are asked for needs the memory of one.
    options
        Size of the network, folds, seed, device.
    believed
        What the tissue prior makes of the protocol; networks start from it. None where nothing is known of tissue.
    checkpoints
        Folder that the state is kept in after each epoch; a training that was stopped goes on from there.
    progress
        Called after each epoch.

    Raises
    ------
    NothingSelectedError
        If no participant has enough voxels.
    InvalidInputError
        If their protocols differ, or the number of folds is impossible.
    """
    cohort = _Cohort.of(scans, options, believed)
    names = cohort.participants
    folds = make_folds(names, options.folds, options.seed) if len(names) >= LEAST_PARTICIPANTS else []
    school = _School.of(cohort, len(folds), checkpoints, progress)
    with reproducibly(options.n_threads):
        results = [_judge(cohort, held_out, n, school.fold(n, held_out)) for n, held_out in enumerate(folds, start=1)]
        methods = _methods(results)
        rows = [row for result in results for row in result.scores if row.method in methods]
        rung = choose(rows)
        members = [result.members[rung] for result in results] if rung in NETWORKS else []
        if rung in NETWORKS:
            members.append(school.final(rung, members))
    left = {method: [each for result in results for each in result.left[method]] for method in methods}
    errors = {method: standard_errors(method, scans_left) for method, scans_left in left.items()}
    scores = summarise(
        [_with_coverage(row, left, errors) for row in rows],
        cover(errors.get(rung, [])),
        rung,
        {(method, tissue): region_limit(of, tissue) for method, of in left.items() for tissue in SCORED},
    )
    heads = {method: [each for result in results for each in result.behaviour[method]] for method in methods}
    promised = promise(len(names), rung)
    words = (_applied(scores, rung), *scores.verdict, *promised)
    scores = replace(scores, behaviour=behave(heads), verdict=words)
    weights = [each.weights for each in members] or [_numbers(cohort, rung)]
    card = _card(cohort, rung, interval_of(rung, left.get(rung, [])), scores, members)
    card = replace(card, checksum=checksum(weights), promise=promised)
    return Calibration(
        model=CalibrationModel(members=tuple(weights), card=card),
        scores=scores,
        left_out=cohort.left_out,
    )


def _methods(results: Sequence[_Fold]) -> list[Method]:
    """Return the methods that were judged in every fold: only these can be compared."""
    return [method for method in METHODS if results and all(method in each.left for each in results)]


def _with_coverage(
    row: CalibrationScore,
    left: Mapping[Method, Sequence[Left]],
    errors: Mapping[Method, Sequence[Mapping[Tissue, np.ndarray]]],
) -> CalibrationScore:
    """Add which share of the voxels is within the interval that the other participants tell."""
    for one, own in zip(left[row.method], errors[row.method], strict=True):
        if one.label == row.label and row.tissue in own:
            return replace(row, within=float(np.mean(np.abs(own[row.tissue]) < LIMIT)))
    return row


def _numbers(cohort: _Cohort, rung: Method) -> dict[str, torch.Tensor]:
    """Fit a simple correction to everybody."""
    fitted = fit_all(cohort.samples, cohort.protocol, cohort.believed)[rung]
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in fitted.numbers.items()}


def _applied(scores: CalibrationScores, rung: Method) -> str:
    """Say which rung is applied, and by how much it is better than nothing in each tissue."""
    gains = [
        f"{each.tissue.meaning} from {before.rmse:.3f} to {each.rmse:.3f} s"
        for each in scores.summaries
        for before in scores.summaries
        if each.method == rung and before.method == "none" and before.tissue == each.tissue
    ]
    how = f", RMSE in held-out participants in {', '.join(gains)}" if gains else "; nobody could be held out"
    why = (
        "the simplest that is as good as the best in every tissue"
        if is_as_good(rung, scores.scores)
        else "the best on average over tissues, as none is as good as the best in every one"
    )
    return f"What --calibration applies is {METHODS[rung]}: {why}{how}."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _School:
    """Trains the networks of a cohort, and tells how far that is."""

    cohort: _Cohort
    total: float
    """Cost of all of them at most."""

    of_fold: float
    """Cost of those of a fold."""

    checkpoints: Path | None
    progress: Callable[[TrainingProgress], object] | None

    @classmethod
    def of(
        cls,
        cohort: _Cohort,
        n_folds: int,
        checkpoints: Path | None,
        progress: Callable[[TrainingProgress], object] | None,
    ) -> _School:
        """Add up what all networks will cost."""
        costs = [plan.cost for plan in cohort.options.networks.values()]
        total = n_folds * sum(costs) + max(costs)
        return cls(cohort=cohort, total=total, of_fold=sum(costs), checkpoints=checkpoints, progress=progress)

    def fold(self, fold: int, held_out: Sequence[str]) -> dict[Method, Member]:
        """Train the networks that have not seen some participants; none where there are too few."""
        if len(self.cohort.participants) < FEWEST_FOR_NETWORK:
            return {}
        samples = started_samples(self.cohort.without(held_out), self.cohort.believed)
        before, members = (fold - 1) * self.of_fold, {}
        for method, plan in self.cohort.options.networks.items():
            name = f"fold-{fold}" if method == "network" else f"{method}-fold-{fold}"
            task = Task(name=name, plan=plan, index=fold, checkpoints=self.checkpoints, before=before, total=self.total)
            members[method] = train(samples, task, self.cohort.options, self.progress)
            before += plan.cost
        return members

    def final(self, method: Method, members: Sequence[Member]) -> Member:
        """Train the network that has seen everybody, as long as those of the folds were."""
        plan = self.cohort.options.networks[method]
        task = Task(
            name="final",
            plan=plan,
            index=0,
            epochs=max(1, round(float(np.median([each.epochs for each in members])))),
            share=float(np.median([each.share for each in members])),
            checkpoints=self.checkpoints,
            before=self.total - plan.cost,
            total=self.total,
        )
        samples = started_samples(self.cohort.samples, self.cohort.believed)
        return train(samples, task, self.cohort.options, self.progress)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Facts:
    """What of a pair is known without its maps."""

    participant: str
    label: str
    edge: float
    measured_protocol: Mapping[str, object]
    reference_protocol: Mapping[str, object]

    @classmethod
    def of(cls, scan: PairedScan) -> _Facts:
        """Look at one pair."""
        return cls(
            participant=scan.participant,
            label=scan.label,
            edge=edge_of(scan),
            measured_protocol=scan.measured_protocol,
            reference_protocol=scan.reference_protocol,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cohort:
    """All pairs, as they are and on their lattice."""

    scans: Sequence[PairedScan]
    kept: tuple[int, ...]
    """Places in `scans` of those that are learned from."""

    samples: tuple[Sample, ...]
    """Of these."""

    protocol: Mapping[str, object]
    reference_protocol: Mapping[str, object]
    edge: float
    options: CalibrationOptions
    believed: PriorCorrection | None
    left_out: tuple[str, ...]
    """Pairs that could not be learned from, and why."""

    @classmethod
    def of(cls, scans: Sequence[PairedScan], options: CalibrationOptions, believed: PriorCorrection | None) -> _Cohort:
        """Bring scans to the lattice one by one, after a look at whether they can be learned from together."""
        facts = [_Facts.of(scans[place]) for place in range(len(scans))]
        order = sorted(range(len(scans)), key=lambda place: (facts[place].participant, facts[place].label))
        first = facts[order[0]]
        _require_same_protocol([facts[place] for place in order])
        edge = round(float(np.median([each.edge for each in facts])), 3)
        samples = {place: to_sample(scans[place], edge) for place in order}
        left_out = tuple(reason for sample in samples.values() if (reason := _too_small(sample)))
        kept = tuple(place for place in order if not _too_small(samples[place]))
        if not kept:
            raise NothingSelectedError(f"Calibration: nothing is left to learn from. {' '.join(left_out)}")
        return cls(
            scans=scans,
            kept=kept,
            samples=tuple(samples[place] for place in kept),
            protocol=first.measured_protocol,
            reference_protocol=first.reference_protocol,
            edge=edge,
            options=options,
            believed=believed,
            left_out=left_out,
        )

    @property
    def participants(self) -> list[str]:
        """Return the labels of those that are learned from."""
        return sorted({sample.participant for sample in self.samples})

    def pairs_of(self, participants: Sequence[str]) -> Iterator[tuple[PairedScan, Sample]]:
        """Yield the scans of some participants, each as it is and on the lattice."""
        for place, sample in zip(self.kept, self.samples, strict=True):
            if sample.participant in participants:
                yield self.scans[place], sample

    def without(self, participants: Sequence[str]) -> list[Sample]:
        """Return what may be learned from when participants are held out."""
        return [sample for sample in self.samples if sample.participant not in participants]


def _require_same_protocol(facts: Sequence[_Facts]) -> None:
    first = facts[0]
    for other in facts[1:]:
        targets = [target_of(each.reference_protocol) for each in (first, other)]
        if targets[0] != targets[1]:
            raise InvalidInputError(
                f"Calibration: {first.label} and {other.label} differ in the T1 to learn: {targets[0]}, and "
                f"{targets[1]}. Expected one: give --ir-fast-component fit, exclude or none to all participants."
            )
        for one, another in (
            (first.measured_protocol, other.measured_protocol),
            (first.reference_protocol, other.reference_protocol),
        ):
            found = differences(protocol_part(one), protocol_part(another))
            if found:
                raise InvalidInputError(
                    f"Calibration: {first.label} and {other.label} differ in {'; '.join(found)}. Expected one "
                    "protocol: a correction holds for the protocol that it was learned with. Select participants of "
                    "one protocol."
                )


def _too_small(sample: Sample) -> str | None:
    """Say why a pair cannot be learned from; None where it can."""
    n_voxels = int(np.isin(sample.tissue, SCORED).sum())
    if n_voxels >= LEAST_VOXELS:
        return None
    return (
        f"{sample.label} is left out: {n_voxels} voxels of white and grey matter with T1 from both sequences; expected "
        f"at least {LEAST_VOXELS}. Check registration and tissues."
    )


def _judge(cohort: _Cohort, held_out: Sequence[str], fold: int, members: Mapping[Method, Member]) -> _Fold:
    """Score the networks of a fold, and simple corrections fitted to the same participants, on those held out."""
    methods = _everything(cohort, cohort.without(held_out), members)
    scores: list[CalibrationScore] = []
    left: dict[Method, list[Left]] = {method: [] for method in methods}
    behaviour: dict[Method, list[tuple[float | None, tuple[float, ...] | None]]] = {method: [] for method in methods}
    for scan, sample in cohort.pairs_of(held_out):
        comparable = comparable_voxels(scan)
        found = {method: correct(each, scan.measured, sample.scan) for method, each in methods.items()}
        times = {method: brought(scan, each) for method, each in found.items()}
        scores.extend(score(scan, times, fold, comparable))
        for method, each in found.items():
            left[method].append(left_by(scan, each, times[method], comparable))
        for method, correction in methods.items():
            predict = partial(_factor, correction)
            behaviour[method].append((lesion_response(sample.scan, predict), spectrum(sample.scan, predict)))
    return _Fold(members=members, scores=tuple(scores), left=left, behaviour=behaviour)


def _factor(correction: Ensemble | Rung, scan: LatticeScan, where: VoxelFlags) -> Map:
    return correction.log_factor(scan, where)[0]


def _everything(
    cohort: _Cohort, training: Sequence[Sample], members: Mapping[Method, Member]
) -> dict[Method, Ensemble | Rung]:
    """Return every correction that can be had from some participants."""
    options, ranges = cohort.options, Ranges.of(training)
    n = len(cohort.participants)
    simple: dict[Method, Ensemble | Rung] = {
        method: Rung(
            correction=correction, ranges=ranges, voxel_edge=cohort.edge, share=share_kept(n, method), relation_sd=0.0
        )
        for method, correction in fit_all(training, cohort.protocol, cohort.believed).items()
    }
    trained: dict[Method, Ensemble | Rung] = {
        method: Ensemble(
            networks=(network_of(member.weights, plan.kind, plan.width, options.device),),
            ranges=ranges,
            voxel_edge=cohort.edge,
            device=options.device,
            sd_scale=1.0,
            n_threads=options.n_threads,
            believed=cohort.believed,
        )
        for method, member in members.items()
        for plan in (options.networks[method],)
    }
    return simple | trained


def _card(
    cohort: _Cohort, rung: Method, interval: Interval, scores: CalibrationScores, members: Sequence[Member]
) -> CalibrationCard:
    options, trained = cohort.options, rung in NETWORKS
    n_participants = len(cohort.participants)
    started_from = cohort.believed if trained else None
    return CalibrationCard(
        format=FORMAT,
        software={"bids_t1": __version__, "torch": torch.__version__},
        plan=asdict(options.networks[rung] if trained else options.plan),
        seed=options.seed,
        device=options.device,
        n_threads=options.n_threads,
        members=(*(f"fold-{n}" for n in range(1, len(members))), "final") if trained else (rung,),
        epochs=tuple(each.epochs for each in members) or (0,),
        n_participants=n_participants,
        n_scans=len(cohort.samples),
        n_voxels={
            tissue.abbreviation: int(sum(sample.of(tissue).sum() for sample in cohort.samples)) for tissue in WEIGHTS
        },
        voxel_edge=cohort.edge,
        neighbours=NEIGHBOURS,
        inputs=INPUTS,
        centres=CENTRES,
        scales=SCALES,
        ranges=Ranges.of(cohort.samples).as_json(),
        sd_scale=interval.sd_scale,
        validation=members[0].validation if members else "nothing: no network is applied",
        measured_protocol=protocol_part(cohort.protocol),
        reference_protocol=protocol_part(cohort.reference_protocol),
        results=tuple(_row(each) for each in scores.summaries),
        folds=tuple(_row(each) for each in scores.scores),
        verdict=scores.verdict,
        checksum="",
        rung=rung,
        share=1.0 if trained else share_kept(n_participants, rung),
        relation_sd=interval.relation_sd,
        target=target_of(cohort.reference_protocol),
        behaviour=tuple({**asdict(each), "spectrum": list(each.spectrum)} for each in scores.behaviour),
        start={name: list(row) for name, row in started_from.numbers.items()} if started_from is not None else {},
    )


def _row(noun: MethodSummary | CalibrationScore) -> dict[str, object]:
    """Return a row of a table without what would name a participant."""
    row = {key: value for key, value in asdict(noun).items() if key not in {"label", "participant"}}
    return row | {"tissue": noun.tissue.abbreviation}
