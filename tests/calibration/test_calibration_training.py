"""Training: what is held out, what is the same, and what is taken up again."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from bids_t1.calibration.cohort import Cohort
from bids_t1.calibration.cross_validation import calibrate
from bids_t1.calibration.folds import Fold, School, _answer, _result
from bids_t1.calibration.forecast import FINAL, Forecast
from bids_t1.calibration.lattice import INPUTS, to_sample
from bids_t1.calibration.network import N_SLICES, RADIUS, log_time, network_of
from bids_t1.calibration.training import (
    GUARD,
    Epoch,
    Task,
    hold_out,
    negative_log_likelihood,
    reproducibly,
    shrunk,
    train,
)
from bids_t1.data.calibration import SMALL, TrainingProgress
from bids_t1.data.errors import CannotCreateOutputError, InputOutputError, Stopped
from bids_t1.learning import _at_a_time, tell
from tests.calibration.cohorts import EDGE, OPTIONS, TINY, cohort, pair

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.calibration.lattice import Sample
    from bids_t1.calibration.training import Member
    from bids_t1.data.calibration import CalibrationOptions

TASK = Task(name="fold-1", plan=TINY, index=1)


def samples(n: int) -> list[Sample]:
    return [to_sample(scan, EDGE) for scan in cohort(n)]


def same(one: Member, other: Member) -> bool:
    return all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def learn(options: CalibrationOptions = OPTIONS, task: Task = TASK) -> Member:
    return train(samples(2), replace(task, epochs=1), options)


def test_the_same_seed_gives_the_same_weights_to_the_last_bit() -> None:
    assert same(learn(), learn())


def test_another_seed_gives_other_weights() -> None:
    assert not same(learn(), learn(replace(OPTIONS, seed=1)))
    assert not same(learn(), learn(task=replace(TASK, index=2)))


def test_training_leaves_random_numbers_and_threads_of_others_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    calibrate(cohort(2), OPTIONS)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_products_of_matrices_on_a_gpu_are_asked_to_repeat_and_that_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with reproducibly(1):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with reproducibly(1):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_of_three_training_participants_one_is_watched() -> None:
    training, validation, _ = hold_out(samples(3), seed=1)
    assert len({each.participant for each in training}) == 2
    assert {each.participant for each in validation}.isdisjoint(each.participant for each in training)


def test_of_fewer_some_slices_are_watched_that_share_no_input_with_the_others() -> None:
    training, validation, how = hold_out(samples(2), seed=1)
    assert "too few participants" in how
    for lower, upper in zip(training, validation, strict=True):
        last, first = (np.flatnonzero(each.tissue.any(axis=(1, 2))) for each in (lower, upper))
        assert first.min() - last.max() > GUARD


def test_one_slice_leaves_nothing_to_watch() -> None:
    one = [to_sample(pair(number, slices=1), EDGE) for number in (1, 2)]
    training, validation, how = hold_out(one, seed=0)
    assert (len(training), validation) == (2, [])
    assert "nothing" in how


def test_training_ends_when_nothing_gets_better() -> None:
    member = train(samples(3), replace(TASK, plan=replace(TINY, epochs=6, patience=0, learning_rate=10.0)), OPTIONS)
    assert member.epochs == 0


def test_without_its_share_a_network_is_the_regression_that_it_started_from() -> None:
    weights = learn().weights
    whole, nothing = (network_of(shrunk(weights, share), "patch", TINY.width, "cpu") for share in (1.0, 0.0))
    patches = torch.randn(1, len(INPUTS) * N_SLICES, 2 * RADIUS + 2, 2 * RADIUS + 2)
    with torch.inference_mode():
        guess = whole.first_guess(log_time(patches))
        assert not torch.equal(whole(patches)[0], guess)
        assert torch.equal(nothing(patches)[0], guess)
        assert torch.equal(nothing(patches)[1], whole(patches)[1])


def test_the_share_is_measured_where_something_is_held_out() -> None:
    assert 0 <= train(samples(3), TASK, OPTIONS).share <= 1
    assert train(samples(3), replace(TASK, epochs=1, share=0.3), OPTIONS).share == 0.3


def test_the_loss_knows_the_noise_of_inversion_recovery() -> None:
    target = torch.zeros(1, 3, 1, 2)
    target[0, 1], target[0, 2] = torch.tensor([[0.01, 1.0]]), 1.0
    found = torch.zeros(1, 1, 2, requires_grad=True)
    missing = torch.full((1, 1, 2), 0.1)
    loss = negative_log_likelihood((found, torch.full((1, 1, 2), -20.0)), missing, target, focus=0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert found.grad is not None
    certain, uncertain = found.grad.flatten().tolist()
    assert certain / uncertain == pytest.approx(100, rel=1e-3)


def test_voxels_without_target_do_not_enter_the_loss() -> None:
    target = torch.zeros(1, 3, 1, 2)
    target[0, 1:, :, 0] = 1.0
    losses = []
    for value in (0.0, 9.0):
        missing = torch.tensor([[[0.3, value]]])
        found = (torch.zeros(1, 1, 2), torch.zeros(1, 1, 2))
        losses.append(float(negative_log_likelihood(found, missing, target, focus=0.5)))
    assert losses[0] == losses[1]


def epoch_of(fold: int, left: float, seconds: float = 2.0) -> Epoch:
    return Epoch(
        member=f"fold-{fold}", index=fold, epoch=1, epochs=4, cost=10.0, seconds=seconds, left=left,
        training_loss=0.1, validation_loss=None,
    )  # fmt: skip


def forecast(n_processes: int, told: list[TrainingProgress]) -> Forecast:
    return Forecast({FINAL: 50.0, 1: 100.0, 2: 100.0, 3: 100.0}, n_processes, told.append)


@pytest.mark.parametrize(
    ("n_processes", "longest"), [(1, 90 + 100 + 100 + 50), (2, 90 + 100 + 50), (3, 100 + 50), (8, 100 + 50)]
)
def test_the_end_is_that_of_the_folds_side_by_side_and_the_last_network_after_them(
    n_processes: int, longest: float
) -> None:
    told: list[TrainingProgress] = []
    forecast(n_processes, told).hear(epoch_of(1, left=90))
    assert told[0].seconds_left == pytest.approx(longest * 2.0 / 10.0)
    assert told[0].share == pytest.approx(10 / 350)


def test_the_end_follows_the_speed_that_epochs_had_and_what_is_not_needed_any_more() -> None:
    told: list[TrainingProgress] = []
    account = forecast(2, told)
    account.hear(epoch_of(1, left=90, seconds=2.0))
    account.hear(epoch_of(2, left=90, seconds=6.0))
    assert told[1].seconds_left == pytest.approx((90 + 100 + 50) * 4.0 / 10.0)
    account.end(1)
    account.end(2)
    account.hear(epoch_of(3, left=20, seconds=4.0))
    assert told[2].seconds_left == pytest.approx((20 + 50) * 4.0 / 10.0)
    assert told[2].share == pytest.approx(280 / 350)
    account.hear(epoch_of(FINAL, left=0, seconds=4.0))
    assert told[3].seconds_left == pytest.approx(20 * 4.0 / 10.0)


def test_where_a_training_stands_is_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    at = TrainingProgress(
        member="fold-2", epoch=2, epochs=4, share=0.7, seconds_left=75.2, training_loss=0.1, validation_loss=None
    )
    with caplog.at_level("INFO"):
        tell(at)
        tell(replace(at, seconds_left=91.0, validation_loss=0.2))
    assert "fold-2, epoch 2 of 4, loss 0.100, 70 % done, at most 75 s left" in caplog.messages[0]
    assert "loss 0.200, 70 % done, at most 2 min left" in caplog.messages[1]


@pytest.mark.parametrize(
    ("processors", "nprocs", "memory_mb", "expected"),
    [
        (8, 1, None, 8),
        (2, 4, None, 8),
        (8, 1, 4000, 2),
        (8, 1, 1000, 1),
        (2, 4, 1000, 2),
        (1, 1, 64000, 1),
    ],
    ids=["no limit", "of each process", "memory of two", "of one", "of four processes", "one processor"],
)
def test_as_many_folds_learn_at_a_time_as_there_are_processors_and_memory_for(
    monkeypatch: pytest.MonkeyPatch, processors: int, nprocs: int, memory_mb: int | None, expected: int
) -> None:
    monkeypatch.setattr("bids_t1.learning.memory_available", lambda: None)
    settings: Any = SimpleNamespace(n_threads=processors, memory_mb=memory_mb, running=SimpleNamespace(nprocs=nprocs))
    assert _at_a_time(SMALL, 10**6, settings) == expected


KILLED = """
import os, signal, sys
from pathlib import Path
from bids_t1.calibration import cross_validation
from bids_t1.calibration.cross_validation import calibrate
from tests.calibration.cohorts import OPTIONS, cohort

cross_validation.FEWEST_FOR_NETWORK = 2
cross_validation.choose = lambda _: "network"

def progress(state):
    if (state.member, state.epoch) == ("fold-3", 1):
        os.kill(os.getpid(), signal.SIGKILL)

calibrate(cohort(3), OPTIONS, checkpoints=Path(sys.argv[1]), progress=progress)
"""


def test_killed_in_the_third_fold_it_goes_on_from_there_with_the_same_result(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    seen: list[tuple[str, int]] = []
    resumed = calibrate(
        cohort(3), OPTIONS, checkpoints=tmp_path, progress=lambda state: seen.append((state.member, state.epoch))
    )
    assert seen[0] == ("fold-3", 2)
    assert {member for member, _ in seen} == {"fold-3", "final"}
    uninterrupted = calibrate(cohort(3), OPTIONS)
    assert resumed.model.card == uninterrupted.model.card
    assert resumed.scores == uninterrupted.scores


def test_checkpoints_of_other_data_and_options_are_not_taken_up(tmp_path: Path) -> None:
    task = replace(TASK, checkpoints=tmp_path)
    train(samples(2), task, OPTIONS)
    for data, options in ((samples(3)[1:], OPTIONS), (samples(2), replace(OPTIONS, seed=1))):
        seen: list[int] = []
        train(data, task, options, lambda state, seen=seen: seen.append(state.epoch))  # type: ignore[misc]
        assert seen[0] == 1


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json"])
def test_a_damaged_checkpoint_begins_anew(tmp_path: Path, name: str) -> None:
    task = replace(TASK, checkpoints=tmp_path)
    expected = train(samples(2), task, OPTIONS)
    (tmp_path / "fold-1" / name).write_bytes(b"{")
    assert same(train(samples(2), task, OPTIONS), expected)


def test_checkpoints_hold_no_pickle(tmp_path: Path) -> None:
    train(samples(2), replace(TASK, checkpoints=tmp_path), OPTIONS)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_of_a_process_that_is_killed_all_is_said_and_the_rest_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    def kill(_: TrainingProgress) -> None:
        multiprocessing.active_children()[0].kill()

    with pytest.raises(InputOutputError, match=r"ended by signal 9 .*a smaller --omp-nthreads"):
        calibrate(cohort(3), replace(OPTIONS, n_processes=2), checkpoints=tmp_path, progress=kill)
    assert multiprocessing.active_children() == []
    seen: set[str] = set()
    resumed = calibrate(
        cohort(3),
        replace(OPTIONS, n_processes=8),
        checkpoints=tmp_path,
        progress=lambda state: seen.add(state.member),
    )
    alone = calibrate(cohort(3), OPTIONS)
    assert seen >= {"fold-3", "final"}
    assert resumed.model.card == alone.model.card  # with the checksum of the weights
    assert resumed.scores == alone.scores


@pytest.mark.slow
def test_a_training_in_processes_stops_at_once_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    def stop(_: TrainingProgress) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        calibrate(cohort(3), replace(OPTIONS, n_processes=2), checkpoints=tmp_path, progress=stop)
    assert multiprocessing.active_children() == []
    kept = list(tmp_path.iterdir())
    assert kept
    assert {path.name for folder in kept for path in folder.iterdir()} == {"weights.safetensors", "state.json"}


def test_what_fails_in_a_process_is_raised_as_it_would_be_here_and_keeps_its_place_in_the_program(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    whole = Cohort.gathered(cohort(2), OPTIONS, None)
    school = School(cohort=whole, networks=OPTIONS.networks, checkpoints=tmp_path / "file")
    fold = Fold(1, ("01",))
    with pytest.raises(CannotCreateOutputError) as here:
        school.result_of(fold, lambda _: None)
    sent = pickle.loads(pickle.dumps(_answer(school, fold, lambda _: None)))  # noqa: S301 -- made here
    with pytest.raises(CannotCreateOutputError) as there:
        _result(sent)
    assert str(there.value) == str(here.value)
    assert "in result_of" in "".join(there.value.__notes__)
