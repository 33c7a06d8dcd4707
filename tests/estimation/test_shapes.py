"""The shapes that the annotations promise, checked on real values."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from jaxtyping import jaxtyped

from bids_t1.data import shapes
from bids_t1.estimation.curves.dictionary import build_dictionaries
from bids_t1.estimation.curves.polarity import magnitude_candidates, solve_signed, solve_unsigned
from bids_t1.estimation.curves.refinement import Problem, predict
from bids_t1.estimation.curves.search import search
from bids_t1.sequences.inversion_recovery import InversionRecovery
from tests.estimation.scenes import INVERSION_TIMES, signal

N_VOXELS = 37


def matches(value: object, shape: type) -> bool:
    """Whether a value keeps a promise, and its names mean the same as before in this context."""
    return isinstance(value, shape)


@pytest.fixture(
    params=[(False, None), (True, None), (False, 0.048), (True, 0.048)],
    ids=["free", "ideal", "free and fast", "ideal and fast"],
)
def problem(request: pytest.FixtureRequest) -> Problem:
    ideal, fast = request.param
    model = InversionRecovery(inversion_times=INVERSION_TIMES, repetition_times=(12.0,) * 10, ideal=ideal, fast=fast)
    return Problem(
        model=model, dictionaries=build_dictionaries(model, (0.02, 6.0), None, torch.device("cpu")), noise_sd=0.02
    )


@pytest.fixture
def signals() -> torch.Tensor:
    t1 = torch.linspace(0.3, 3.0, N_VOXELS, dtype=torch.float64).numpy()
    return torch.from_numpy(signal(t1, 2.0)).float()


def test_a_promise_can_be_broken(signals: torch.Tensor) -> None:
    assert matches(signals, shapes.Signals)
    assert not matches(signals, shapes.Voxels)
    assert not matches(signals.int(), shapes.Signals)


def test_models_give_columns(problem: Problem) -> None:
    for time in (torch.tensor(1.0), torch.ones(N_VOXELS), torch.ones(3, N_VOXELS)):
        with jaxtyped("context"):
            columns, slopes = problem.model.columns(time)
            assert matches(columns, shapes.Columns)
            assert columns.shape == slopes.shape == (problem.model.n_coefficients, 10, *time.shape)
            companion = problem.model.companion
            if companion is not None:
                assert all(matches(part, shapes.TimeColumns) for part in companion.column(time))
                assert all(matches(part, shapes.Times) for part in companion.limit(time))


def test_dictionaries_have_rows_of_atoms(problem: Problem) -> None:
    with jaxtyped("context"):
        for dictionary in problem.dictionaries:
            assert matches(dictionary.times, shapes.Atoms)
            assert matches(dictionary.axis, shapes.AtomRows)
            assert matches(dictionary.side, shapes.AtomRows)
            assert matches(dictionary.half_angle, shapes.Atoms)


def test_search_gives_candidates(problem: Problem, signals: torch.Tensor) -> None:
    with jaxtyped("context"):
        candidates = magnitude_candidates(signals.abs())
        assert matches(candidates, shapes.Candidates)
        found = search(problem.dictionaries, candidates)
        assert matches(found.gain, shapes.CandidateGains)
        assert matches(found.atom, shapes.CandidateIndex)
        assert matches(found.offset, shapes.CandidateGains)


def test_fits_have_one_value_per_voxel(problem: Problem, signals: torch.Tensor) -> None:
    for solution in (solve_signed(problem, signals), solve_unsigned(problem, signals.abs())):
        with jaxtyped("context"):
            assert matches(solution.signals, shapes.Signals)
            assert matches(predict(problem.model, solution.fit), shapes.Signals)
            assert all(matches(getattr(solution.fit, field.name), shapes.Voxels) for field in fields(solution.fit))
        with jaxtyped("context"):
            assert matches(solution.second_of, shapes.VoxelIndex)
            assert matches(solution.second_signals, shapes.Signals)
            assert matches(solution.second_fit.time, shapes.Voxels)
