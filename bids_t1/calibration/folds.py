"""One fold: networks that have not seen some participants learn, and are judged on these; folds side by side."""

from __future__ import annotations

import logging
import traceback
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.calibration.application import Ensemble, Ranges, Rung, correct
from bids_t1.calibration.behaviour import lesion_response, spectrum
from bids_t1.calibration.forecast import FINAL
from bids_t1.calibration.ladder import share_kept
from bids_t1.calibration.network import network_of
from bids_t1.calibration.rungs import fit_all, started_samples
from bids_t1.calibration.scores import brought, comparable_voxels, left_by, score
from bids_t1.calibration.training import N_THREADS, Member, Task, reproducibly, train
from bids_t1.data.calibration import MARGIN
from bids_t1.data.errors import InputOutputError
from bids_t1.workers import Lost, apart, begin, told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.calibration.cohort import Cohort
    from bids_t1.calibration.forecast import Forecast
    from bids_t1.calibration.lattice import LatticeScan
    from bids_t1.calibration.scores import Left
    from bids_t1.calibration.training import Epoch
    from bids_t1.data.calibration import CalibrationScore, Method, TrainingPlan
    from bids_t1.data.shapes import Map, VoxelFlags

N_PREDICTIONS = 4
"""Of a head that is judged: one to correct it, two for lesions, one for what is smoothed."""

PREDICTING = 1 / 3
"""Cost of it, relative to a step of training."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Who is held out together."""

    number: int
    """From one on."""

    held_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldResult:
    """What came of one fold."""

    members: Mapping[Method, Member]
    """Networks; none where there are too few participants."""

    scores: tuple[CalibrationScore, ...]
    left: Mapping[Method, Sequence[Left]]
    """By each method, in each held-out scan."""

    behaviour: Mapping[Method, Sequence[tuple[float | None, tuple[float, ...] | None]]]
    """Lesion response and spectrum of each method in each held-out scan."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class School:
    """Trains the networks of a cohort, and judges them beside simple corrections."""

    cohort: Cohort
    networks: Mapping[Method, TrainingPlan]
    """Those of each fold; none where there are too few participants."""

    checkpoints: Path | None

    def costs(self, folds: Sequence[Fold]) -> dict[int, float]:
        """Return what each fold costs at most, and the network that has seen everybody."""
        return {fold.number: sum(self._costs(fold)) for fold in folds} | {
            FINAL: max((plan.cost for plan in self.networks.values()), default=0.0)
        }

    def n_at_a_time(self, folds: Sequence[Fold]) -> int:
        """Return how many folds learn side by side: where nothing is trained a process costs more than it saves."""
        options = self.cohort.options
        return min(options.n_processes, len(folds)) if self.networks and options.device == "cpu" else 1

    def result_of(self, fold: Fold, tell: Callable[[Epoch], object]) -> FoldResult:
        """Train the networks that have not seen some participants, and judge everything on these."""
        with reproducibly(N_THREADS):
            return _judge(self, fold, self._members(fold, tell))

    def final(self, method: Method, members: Sequence[Member], tell: Callable[[Epoch], object]) -> Member:
        """Train the network that has seen everybody, as long as those of the folds were."""
        task = Task(
            name="final",
            plan=self.networks[method],
            index=FINAL,
            epochs=max(1, round(float(np.median([each.epochs for each in members])))),
            share=float(np.median([each.share for each in members])),
            checkpoints=self.checkpoints,
        )
        samples = started_samples(self.cohort.samples, self.cohort.believed)
        with reproducibly(N_THREADS):
            return train(samples, task, self.cohort.options, tell)

    def _members(self, fold: Fold, tell: Callable[[Epoch], object]) -> dict[Method, Member]:
        samples = started_samples(self.cohort.without(fold.held_out), self.cohort.believed)
        costs, members = self._costs(fold), {}
        for n_begun, (method, plan) in enumerate(self.networks.items(), 1):
            name = f"fold-{fold.number}" if method == "network" else f"{method}-fold-{fold.number}"
            after = sum(costs[n_begun:])
            task = Task(name=name, plan=plan, index=fold.number, checkpoints=self.checkpoints, after=after)
            members[method] = train(samples, task, self.cohort.options, tell)
        return members

    def _costs(self, fold: Fold) -> list[float]:
        """Return what the networks of a fold cost at most, and at the end what judging them does."""
        n_voxels = sum(_n_computed(sample.scan) for sample in self.cohort.of(fold.held_out))
        per_voxel = sum(plan.cost_of_voxel for plan in self.networks.values())
        return [*(plan.cost for plan in self.networks.values()), N_PREDICTIONS * PREDICTING * n_voxels * per_voxel]


def results_of(school: School, folds: Sequence[Fold], forecast: Forecast) -> list[FoldResult]:
    """Train and judge folds, one after the other in this process or some at a time in others.

    Raises
    ------
    InputOutputError
        If a process was ended from outside. What went wrong within one is raised as it would be here.
    """
    found: dict[int, FoldResult] = {}
    n_processes = school.n_at_a_time(folds)
    if n_processes == 1:
        for fold in folds:
            found[fold.number] = school.result_of(fold, forecast.hear)
            forecast.end(fold.number)
    else:
        ready = partial(begin, logging.getLogger("bids_t1").getEffectiveLevel())
        with closing(apart(partial(_answer, school), folds, n_processes, ready, forecast.hear)) as answers:
            for place, answer in answers:
                found[folds[place].number] = _result(answer)
                forecast.end(folds[place].number)
    return [found[fold.number] for fold in folds]


def _answer(school: School, fold: Fold, tell: Callable[[Epoch], object]) -> FoldResult | Exception:
    """Return what comes of a fold, or what went wrong, with the place in the program, which stays in this process."""
    try:
        return school.result_of(fold, tell)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return error


def _result(answer: FoldResult | Exception | Lost) -> FoldResult:
    if isinstance(answer, Lost):
        raise InputOutputError(f"Calibration: a fold is not done: {told(answer, 'a smaller --omp-nthreads')}")
    if isinstance(answer, Exception):
        raise answer
    return answer


def _n_computed(scan: LatticeScan) -> int:
    """Return about how many voxels are looked at to correct a head: those of a box, and around it in each slice."""
    n_slices, n_rows, n_columns = (int(scan.wanted.any(axis=axes).sum()) for axes in ((1, 2), (0, 2), (0, 1)))
    return n_slices * (n_rows + MARGIN) * (n_columns + MARGIN)


def _judge(school: School, fold: Fold, members: Mapping[Method, Member]) -> FoldResult:
    """Score the networks of a fold, and simple corrections fitted to the same participants, on those held out."""
    methods = _everything(school, fold, members)
    scores: list[CalibrationScore] = []
    left: dict[Method, list[Left]] = {method: [] for method in methods}
    behaviour: dict[Method, list[tuple[float | None, tuple[float, ...] | None]]] = {method: [] for method in methods}
    for scan, sample in school.cohort.pairs_of(fold.held_out):
        comparable = comparable_voxels(scan)
        found = {method: correct(each, scan.measured, sample.scan) for method, each in methods.items()}
        times = {method: brought(scan, each) for method, each in found.items()}
        scores.extend(score(scan, times, fold.number, comparable))
        for method, each in found.items():
            left[method].append(left_by(scan, each, times[method], comparable))
        for method, correction in methods.items():
            predict = partial(_factor, correction)
            behaviour[method].append((lesion_response(sample.scan, predict), spectrum(sample.scan, predict)))
    return FoldResult(members=members, scores=tuple(scores), left=left, behaviour=behaviour)


def _factor(correction: Ensemble | Rung, scan: LatticeScan, where: VoxelFlags) -> Map:
    return correction.log_factor(scan, where)[0]


def _everything(school: School, fold: Fold, members: Mapping[Method, Member]) -> dict[Method, Ensemble | Rung]:
    """Return every correction that can be had from those who are not held out."""
    cohort = school.cohort
    training, options, n = cohort.without(fold.held_out), cohort.options, len(cohort.participants)
    ranges = Ranges.of(training)
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
            n_threads=N_THREADS,
            believed=cohort.believed,
        )
        for method, member in members.items()
        for plan in (school.networks[method],)
    }
    return simple | trained
