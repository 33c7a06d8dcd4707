"""A cohort of paired scans becomes a model, and the scores that say what it is worth.

Participants are divided into folds. What is fitted, network or line, is fitted to the others and scored on those of the
fold; the networks of all folds, and one that has seen everybody, then make the model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1 import __version__
from bids_t1.calibration import baselines
from bids_t1.calibration.application import Ensemble, Ranges, Rung, correct
from bids_t1.calibration.ladder import (
    FEWEST_FOR_NETWORK,
    choose,
    conformal_scale,
    promise,
    relation_sd,
    share_kept,
)
from bids_t1.calibration.lattice import CENTRES, INPUTS, SCALES, SCORED, WEIGHTS, to_sample, voxel_edge
from bids_t1.calibration.model_file import FORMAT, checksum, differences, protocol_part, target_of
from bids_t1.calibration.network import NEIGHBOURS, network_of
from bids_t1.calibration.scores import cover, offsets, score, standard_errors, summarise
from bids_t1.calibration.training import Member, Task, reproducibly, train
from bids_t1.data.calibration import METHODS, Calibration, CalibrationCard, CalibrationModel
from bids_t1.data.errors import InvalidInputError, NothingSelectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.calibration.lattice import Sample
    from bids_t1.data.calibration import (
        CalibrationOptions,
        CalibrationScore,
        CalibrationScores,
        Coverage,
        Method,
        MethodSummary,
        PairedScan,
        TrainingProgress,
    )
    from bids_t1.data.tissue import Tissue

MOST_FOLDS = 10
"""Up to so many participants each one is left out once."""

LEAST_PARTICIPANTS = 2
LEAST_VOXELS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fold:
    """What came of one fold."""

    member: Member | None
    """None where there are too few participants."""

    scores: tuple[CalibrationScore, ...]
    errors: tuple[dict[Tissue, np.ndarray], ...]
    """Of the network in units of its SD, of each held-out scan."""

    offsets: Mapping[Method, Sequence[dict[Tissue, float]]]
    """Of each held-out scan."""

    rungs: Mapping[Method, Rung]
    held_out: tuple[str, ...]


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
    checkpoints: Path | None = None,
    progress: Callable[[TrainingProgress], object] | None = None,
) -> Calibration:
    """Train and judge a calibration.

    Parameters
    ----------
    scans
        Of one participant or more, all with the same protocols.
    options
        Size of the network, folds, seed, device.
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
    cohort = _Cohort.of(sorted(scans, key=lambda scan: (scan.participant, scan.label)), options)
    names = sorted({scan.participant for scan in cohort.scans})
    folds = make_folds(names, options.folds, options.seed) if len(names) >= LEAST_PARTICIPANTS else []
    with reproducibly(options.n_threads):
        results = []
        for n, held_out in enumerate(folds, start=1):
            task = Task(name=f"fold-{n}", index=n, checkpoints=checkpoints, before=n - 1, members=len(folds) + 1)
            member = (
                train(cohort.without(held_out), task, options, progress) if len(names) >= FEWEST_FOR_NETWORK else None
            )
            results.append(_judge(cohort, held_out, n, member))
        rung = choose([each for result in results for each in result.scores])
        members = [each.member for each in results if each.member is not None]
        if rung == "network":
            members.append(_final(cohort, members, checkpoints, progress))
    chosen = _simple(cohort, results, rung) if rung != "network" else _networks(results, members)
    scores = summarise([each for result in results for each in result.scores], chosen.coverage)
    verdict = (_applied(scores, rung), *promise(len(names)), *scores.verdict)
    scores = replace(scores, verdict=verdict)
    card = _card(cohort, chosen, members, scores)
    return Calibration(
        model=CalibrationModel(members=chosen.weights, card=card), scores=scores, left_out=cohort.left_out
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chosen:
    """The rung that is applied: what the model file holds of it, and how sure it is."""

    rung: Method
    names: tuple[str, ...]
    weights: tuple[Mapping[str, torch.Tensor], ...]
    sd_scale: float
    coverage: tuple[Coverage, ...]
    relation_sd: float = 0.0
    share: float = 1.0


def _final(
    cohort: _Cohort,
    members: Sequence[Member],
    checkpoints: Path | None,
    progress: Callable[[TrainingProgress], object] | None,
) -> Member:
    """Train the network that has seen everybody."""
    task = Task(
        name="final",
        index=0,
        epochs=max(1, round(float(np.median([each.epochs for each in members])))),
        share=float(np.median([each.share for each in members])),
        checkpoints=checkpoints,
        before=len(members),
        members=len(members) + 1,
    )
    return train(cohort.samples, task, cohort.options, progress)


def _networks(results: Sequence[_Fold], members: Sequence[Member]) -> _Chosen:
    errors = [each for result in results for each in result.errors]
    return _Chosen(
        rung="network",
        names=(*(f"fold-{n}" for n in range(1, len(members))), "final"),
        weights=tuple(each.weights for each in members),
        sd_scale=conformal_scale(errors),
        coverage=cover(_rescaled([result.errors for result in results])),
    )


def _simple(cohort: _Cohort, results: Sequence[_Fold], rung: Method) -> _Chosen:
    """Fit the chosen rung to everybody; its SD is that of the participants that were held out."""
    n = len({scan.participant for scan in cohort.scans})
    sd = relation_sd([each for result in results for each in result.offsets[rung]])
    errors = [
        tuple(
            standard_errors(scan, found.time, found.time_sd)
            for scan in cohort.scans_of(result.held_out)
            for found in (correct(replace(result.rungs[rung], relation_sd=sd), scan.measured),)
        )
        for result in results
    ]
    numbers = _baselines(cohort.samples, cohort.scans[0])[rung].numbers
    return _Chosen(
        rung=rung,
        names=(rung,),
        weights=({name: torch.tensor(values, dtype=torch.float64) for name, values in numbers.items()},),
        sd_scale=max(1.0, conformal_scale([each for of_fold in errors for each in of_fold])),
        coverage=cover(_rescaled(errors, least=1.0)),
        relation_sd=sd,
        share=share_kept(n),
    )


def _applied(scores: CalibrationScores, rung: Method) -> str:
    """Say which rung is applied, and by how much it is better than nothing in each tissue."""
    gains = [
        f"{each.tissue.meaning} from {before.rmse:.3f} to {each.rmse:.3f} s"
        for each in scores.summaries
        for before in scores.summaries
        if each.method == rung and before.method == "none" and before.tissue == each.tissue
    ]
    how = f", RMSE in held-out participants in {', '.join(gains)}" if gains else "; nobody could be held out"
    return f"What --calibration applies is {METHODS[rung]}: the simplest that is as good as the best{how}."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cohort:
    """All pairs, as they are and on their lattice."""

    scans: Sequence[PairedScan]
    samples: tuple[Sample, ...]
    edge: float
    options: CalibrationOptions
    left_out: tuple[str, ...]
    """Pairs that could not be learned from, and why."""

    @classmethod
    def of(cls, scans: Sequence[PairedScan], options: CalibrationOptions) -> _Cohort:
        """Bring scans to the lattice, after a look at whether they can be learned from together."""
        _require_same_protocol(scans)
        edge = voxel_edge(scans)
        pairs = [(scan, to_sample(scan, edge)) for scan in scans]
        left_out = tuple(reason for _, sample in pairs if (reason := _too_small(sample)))
        kept = [(scan, sample) for scan, sample in pairs if not _too_small(sample)]
        if not kept:
            raise NothingSelectedError(f"Calibration: nothing is left to learn from. {' '.join(left_out)}")
        return cls(
            scans=[scan for scan, _ in kept],
            samples=tuple(sample for _, sample in kept),
            edge=edge,
            options=options,
            left_out=left_out,
        )

    def scans_of(self, participants: Sequence[str]) -> list[PairedScan]:
        """Return the scans of some participants."""
        return [scan for scan in self.scans if scan.participant in participants]

    def without(self, participants: Sequence[str]) -> list[Sample]:
        """Return what may be learned from when participants are held out."""
        return [sample for sample in self.samples if sample.participant not in participants]


def _require_same_protocol(scans: Sequence[PairedScan]) -> None:
    first = scans[0]
    for scan in scans[1:]:
        targets = [target_of(each.reference_protocol) for each in (first, scan)]
        if targets[0] != targets[1]:
            raise InvalidInputError(
                f"Calibration: {first.label} and {scan.label} differ in the T1 to learn: {targets[0]}, and "
                f"{targets[1]}. Expected one: give --ir-fast-component fit, exclude or none to all participants."
            )
        for one, other in (
            (first.measured_protocol, scan.measured_protocol),
            (first.reference_protocol, scan.reference_protocol),
        ):
            found = differences(protocol_part(one), protocol_part(other))
            if found:
                raise InvalidInputError(
                    f"Calibration: {first.label} and {scan.label} differ in {'; '.join(found)}. Expected one protocol: "
                    "a correction holds for the protocol that it was learned with. Select participants of one protocol."
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


def _judge(cohort: _Cohort, held_out: Sequence[str], fold: int, member: Member | None) -> _Fold:
    """Score the network of a fold, and simple corrections fitted to the same participants, on those held out."""
    training = cohort.without(held_out)
    options, ranges = cohort.options, Ranges.of(training)
    share = share_kept(len({scan.participant for scan in cohort.scans}))
    rungs = {
        method: Rung(correction=correction, ranges=ranges, voxel_edge=cohort.edge, share=share, relation_sd=0.0)
        for method, correction in _baselines(training, cohort.scans[0]).items()
    }
    everything: dict[Method, Ensemble | Rung] = {**rungs}
    if member is not None:
        everything["network"] = Ensemble(
            networks=(network_of(member.weights, options.plan.width, options.device),),
            ranges=ranges,
            voxel_edge=cohort.edge,
            device=options.device,
            sd_scale=1.0,
            n_threads=options.n_threads,
        )
    scores: list[CalibrationScore] = []
    errors = []
    away: dict[Method, list[dict[Tissue, float]]] = {method: [] for method in everything}
    for scan in cohort.scans_of(held_out):
        maps = {method: correct(each, scan.measured) for method, each in everything.items()}
        scores.extend(score(scan, {method: found.time for method, found in maps.items()}, fold))
        for method, found in maps.items():
            away[method].append(offsets(scan, found.time, found.time_sd))
        if "network" in maps:
            errors.append(standard_errors(scan, maps["network"].time, maps["network"].time_sd))
    return _Fold(
        member=member, scores=tuple(scores), errors=tuple(errors), offsets=away, rungs=rungs, held_out=tuple(held_out)
    )


def _baselines(training: Sequence[Sample], scan: PairedScan) -> dict[Method, baselines.Correction]:
    pairs = baselines.gather(training)
    found: dict[Method, baselines.Correction] = {
        "none": baselines.Unchanged(),
        "scale": baselines.fit_scale(pairs),
        "linear": baselines.fit_polynomial(pairs, (0, 1)),
        "cubic": baselines.fit_polynomial(pairs, (0, 1, 2, 3)),
    }
    protocol = baselines.protocol_of(scan.measured_protocol)
    if protocol is not None:
        found["efficiency"] = baselines.fit_efficiency(pairs, protocol)
    return found


def _rescaled(
    folds: Sequence[Sequence[Mapping[Tissue, np.ndarray]]], least: float = 0.0
) -> list[dict[Tissue, np.ndarray]]:
    """Divide the errors of each fold by the factor that the other folds tell."""
    found = []
    for errors in folds:
        scale = max(least, conformal_scale([each for other in folds if other is not errors for each in other]))
        found += [{tissue: values / scale for tissue, values in each.items()} for each in errors]
    return found


def _card(cohort: _Cohort, chosen: _Chosen, members: Sequence[Member], scores: CalibrationScores) -> CalibrationCard:
    options = cohort.options
    first = cohort.scans[0]
    return CalibrationCard(
        format=FORMAT,
        software={"bids_t1": __version__, "torch": torch.__version__},
        plan=asdict(options.plan),
        seed=options.seed,
        device=options.device,
        n_threads=options.n_threads,
        members=chosen.names,
        epochs=tuple(each.epochs for each in members) if chosen.rung == "network" else (0,),
        n_participants=len({scan.participant for scan in cohort.scans}),
        n_scans=len(cohort.scans),
        n_voxels={
            tissue.abbreviation: int(sum(sample.of(tissue).sum() for sample in cohort.samples)) for tissue in WEIGHTS
        },
        voxel_edge=cohort.edge,
        neighbours=NEIGHBOURS,
        inputs=INPUTS,
        centres=CENTRES,
        scales=SCALES,
        ranges=Ranges.of(cohort.samples).as_json(),
        sd_scale=chosen.sd_scale,
        validation=members[0].validation if members else "nothing: no network was trained",
        measured_protocol=protocol_part(first.measured_protocol),
        reference_protocol=protocol_part(first.reference_protocol),
        results=tuple(_row(each) for each in scores.summaries),
        folds=tuple(_row(each) for each in scores.scores),
        verdict=scores.verdict,
        checksum=checksum(chosen.weights),
        rung=chosen.rung,
        share=chosen.share,
        relation_sd=chosen.relation_sd,
        target=target_of(first.reference_protocol),
        promise=promise(len({scan.participant for scan in cohort.scans})),
    )


def _row(noun: MethodSummary | CalibrationScore) -> dict[str, object]:
    """Return a row of a table without what would name a participant."""
    row = {key: value for key, value in asdict(noun).items() if key not in {"label", "participant"}}
    return row | {"tissue": noun.tissue.abbreviation}
