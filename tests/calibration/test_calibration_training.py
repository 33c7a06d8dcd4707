"""Training: what is held out, what is the same, and what is taken up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.calibration.cross_validation import calibrate
from bids_t1.calibration.lattice import INPUTS, to_sample
from bids_t1.calibration.network import N_SLICES, RADIUS, log_time, network_of
from bids_t1.calibration.training import GUARD, Task, hold_out, negative_log_likelihood, reproducibly, shrunk, train
from bids_t1.data.calibration import TrainingProgress
from bids_t1.learning import Teller
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


def test_the_end_is_estimated_from_what_was_done_since_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    now = iter([100.0, 129.0, 150.0])
    teller = Teller(clock=lambda: next(now))
    at = TrainingProgress(
        member="fold-2", epoch=1, epochs=4, share_before=0.5, share=0.6, training_loss=0.1, validation_loss=None
    )
    with caplog.at_level("INFO"):
        teller.tell(at)
        teller.tell(replace(at, epoch=2, share_before=0.6, share=0.7))
    assert ["2 min left" in line for line in caplog.messages] == [True, False]
    assert "fold-2, epoch 2 of 4, loss 0.100, 70 % done, at most 75 s left" in caplog.messages[1]


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
