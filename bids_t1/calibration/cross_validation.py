"""A cohort of paired scans becomes a model, and the scores that say what it is worth.

Participants are divided into folds. What is fitted or trained is so on the others and scored on those of the fold. The
simplest correction that does as well as the best is what the model holds: numbers fitted to everybody, or the networks
of all folds and one that has seen everybody.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1 import __version__
from bids_t1.calibration.application import Ranges
from bids_t1.calibration.behaviour import behave
from bids_t1.calibration.cohort import Cohort
from bids_t1.calibration.folds import Fold, School, results_of
from bids_t1.calibration.forecast import Forecast
from bids_t1.calibration.intervals import cover, interval_of, region_limit, standard_errors
from bids_t1.calibration.ladder import FEWEST_FOR_NETWORK, choose, is_as_good, promise, share_kept
from bids_t1.calibration.lattice import CENTRES, INPUTS, SCALES, SCORED, WEIGHTS
from bids_t1.calibration.model_file import FORMAT, checksum, protocol_part, target_of
from bids_t1.calibration.network import NEIGHBOURS
from bids_t1.calibration.rungs import fit_all
from bids_t1.calibration.scores import LIMIT, summarise
from bids_t1.calibration.training import N_THREADS
from bids_t1.data.calibration import METHODS, NETWORKS, Calibration, CalibrationCard, CalibrationModel
from bids_t1.data.errors import InvalidInputError, NothingSelectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.calibration.folds import FoldResult
    from bids_t1.calibration.intervals import Interval
    from bids_t1.calibration.scores import Left
    from bids_t1.calibration.training import Member
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
    from bids_t1.data.tissue import Tissue

MOST_FOLDS = 10
"""Up to so many participants each one is left out once."""

LEAST_PARTICIPANTS = 2


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
        Size of the network, folds and how many at a time, seed, device.
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
    InputOutputError
        If a process was ended from outside, or a checkpoint cannot be written.
    """
    cohort = Cohort.gathered(scans, options, believed)
    names = cohort.participants
    folds = _folds(names, options)
    networks = options.networks if len(names) >= FEWEST_FOR_NETWORK else {}
    school = School(cohort=cohort, networks=networks, checkpoints=checkpoints)
    forecast = Forecast(school.costs(folds), school.n_at_a_time(folds), progress)
    results = results_of(school, folds, forecast)
    methods = _methods(results)
    rows = [row for result in results for row in result.scores if row.method in methods]
    rung = choose(rows)
    members = [result.members[rung] for result in results] if rung in NETWORKS else []
    if rung in NETWORKS:
        members.append(school.final(rung, members, forecast.hear))
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


def _folds(names: Sequence[str], options: CalibrationOptions) -> list[Fold]:
    """Return who is held out together; nobody of one."""
    if len(names) < LEAST_PARTICIPANTS:
        return []
    return [Fold(number, tuple(each)) for number, each in enumerate(make_folds(names, options.folds, options.seed), 1)]


def _methods(results: Sequence[FoldResult]) -> list[Method]:
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


def _numbers(cohort: Cohort, rung: Method) -> dict[str, torch.Tensor]:
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


def _card(
    cohort: Cohort, rung: Method, interval: Interval, scores: CalibrationScores, members: Sequence[Member]
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
        n_threads=N_THREADS,
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
