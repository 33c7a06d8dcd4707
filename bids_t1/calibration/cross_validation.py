"""A cohort of paired scans becomes a model, and the scores that say what it is worth.

Participants are divided into folds. What is fitted, network or line, is fitted to the others and scored on those of the
fold; the networks of all folds, and one that has seen everybody, then make the model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1 import __version__
from bids_t1.calibration import baselines
from bids_t1.calibration.application import Ensemble, Ranges, correct
from bids_t1.calibration.lattice import CENTRES, INPUTS, SCALES, SCORED, WEIGHTS, to_sample, voxel_edge
from bids_t1.calibration.model_file import FORMAT, checksum, differences, protocol_part
from bids_t1.calibration.network import NEIGHBOURS, network_of
from bids_t1.calibration.scores import cover, score, standard_errors, summarise
from bids_t1.calibration.training import Member, Task, reproducibly, train
from bids_t1.data.calibration import Calibration, CalibrationCard, CalibrationModel
from bids_t1.data.errors import InvalidInputError, NothingSelectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.calibration.lattice import Sample
    from bids_t1.data.calibration import (
        CalibrationOptions,
        CalibrationScore,
        CalibrationScores,
        Method,
        MethodSummary,
        PairedScan,
        TrainingProgress,
    )
    from bids_t1.data.shapes import Map
    from bids_t1.data.tissue import Tissue

MOST_FOLDS = 10
"""Up to so many participants each one is left out once."""

LEAST_PARTICIPANTS = 2
LEAST_VOXELS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fold:
    """What came of one fold."""

    member: Member
    scores: tuple[CalibrationScore, ...]
    errors: tuple[dict[Tissue, np.ndarray], ...]
    """In units of the SD, of each held-out scan."""


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
        Of at least two participants, all with the same protocols.
    options
        Size of the network, folds, seed, device.
    checkpoints
        Folder that the state is kept in after each epoch; a training that was stopped goes on from there.
    progress
        Called after each epoch.

    Raises
    ------
    NothingSelectedError
        If there are fewer than two participants with enough voxels.
    InvalidInputError
        If their protocols differ, or the number of folds is impossible.
    """
    cohort = _Cohort.of(sorted(scans, key=lambda scan: (scan.participant, scan.label)), options)
    folds = make_folds([scan.participant for scan in cohort.scans], options.folds, options.seed)
    with reproducibly(options.n_threads):
        results = []
        for n, held_out in enumerate(folds, start=1):
            task = Task(name=f"fold-{n}", index=n, checkpoints=checkpoints, before=n - 1, members=len(folds) + 1)
            member = train(cohort.without(held_out), task, options, progress)
            results.append(_judge(cohort, held_out, n, member))
        epochs = max(1, round(float(np.median([each.member.epochs for each in results]))))
        share = float(np.median([each.member.share for each in results]))
        task = Task(
            name="final", index=0, epochs=epochs, share=share, checkpoints=checkpoints,
            before=len(folds), members=len(folds) + 1,
        )  # fmt: skip
        final = train(cohort.samples, task, options, progress)
    scores = summarise([each for result in results for each in result.scores], cover(_rescaled(results)))
    members = (*(each.member for each in results), final)
    card = _card(cohort, members, scores, _sd_scale([each for result in results for each in result.errors]))
    return Calibration(
        model=CalibrationModel(members=tuple(each.weights for each in members), card=card),
        scores=scores,
        left_out=cohort.left_out,
    )


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

    def without(self, participants: Sequence[str]) -> list[Sample]:
        """Return what may be learned from when participants are held out."""
        return [sample for sample in self.samples if sample.participant not in participants]


def _require_same_protocol(scans: Sequence[PairedScan]) -> None:
    first = scans[0]
    for scan in scans[1:]:
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


def _judge(cohort: _Cohort, held_out: Sequence[str], fold: int, member: Member) -> _Fold:
    """Score the network of a fold, and simple corrections fitted to the same participants, on those held out."""
    training = cohort.without(held_out)
    corrections = _baselines(training, cohort.scans[0])
    options = cohort.options
    ensemble = Ensemble(
        networks=(network_of(member.weights, options.plan.width, options.device),),
        ranges=Ranges.of(training),
        voxel_edge=cohort.edge,
        device=options.device,
        sd_scale=1.0,
        n_threads=options.n_threads,
    )
    scores: list[CalibrationScore] = []
    errors = []
    for scan in cohort.scans:
        if scan.participant in held_out:
            measured = scan.measured
            maps: dict[Method, Map] = {
                method: correction(measured.time, measured.transmit) for method, correction in corrections.items()
            }
            corrected = correct(ensemble, measured)
            maps["network"] = corrected.time
            scores.extend(score(scan, maps, fold))
            errors.append(standard_errors(scan, corrected.time, corrected.time_sd))
    return _Fold(member=member, scores=tuple(scores), errors=tuple(errors))


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


def _sd_scale(errors: Sequence[Mapping[Tissue, np.ndarray]]) -> float:
    """Return the factor with which predicted SDs would have covered what was held out; participants count alike."""
    columns = [np.abs(values) for each in errors for values in each.values() if len(values)]
    if not columns:
        return 1.0
    wanted = np.array([0.683, 0.95])
    quantiles = np.mean([np.quantile(values, wanted) for values in columns], axis=0)
    return float(np.mean(quantiles / [1.0, 1.96]))


def _rescaled(results: Sequence[_Fold]) -> list[dict[Tissue, np.ndarray]]:
    """Divide the errors of each fold by the factor that the other folds tell."""
    found = []
    for result in results:
        scale = _sd_scale([each for other in results if other is not result for each in other.errors])
        found += [{tissue: values / scale for tissue, values in each.items()} for each in result.errors]
    return found


def _card(cohort: _Cohort, members: Sequence[Member], scores: CalibrationScores, sd_scale: float) -> CalibrationCard:
    options = cohort.options
    first = cohort.scans[0]
    return CalibrationCard(
        format=FORMAT,
        software={"bids_t1": __version__, "torch": torch.__version__},
        plan=asdict(options.plan),
        seed=options.seed,
        device=options.device,
        n_threads=options.n_threads,
        members=(*(f"fold-{n}" for n in range(1, len(members))), "final"),
        epochs=tuple(each.epochs for each in members),
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
        sd_scale=sd_scale,
        validation=members[0].validation,
        measured_protocol=protocol_part(first.measured_protocol),
        reference_protocol=protocol_part(first.reference_protocol),
        results=tuple(_row(each) for each in scores.summaries),
        folds=tuple(_row(each) for each in scores.scores),
        verdict=scores.verdict,
        checksum=checksum([each.weights for each in members]),
    )


def _row(noun: MethodSummary | CalibrationScore) -> dict[str, object]:
    """Return a row of a table without what would name a participant."""
    row = {key: value for key, value in asdict(noun).items() if key not in {"label", "participant"}}
    return row | {"tissue": noun.tissue.abbreviation}
