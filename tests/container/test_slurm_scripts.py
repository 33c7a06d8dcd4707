"""The Slurm example, with commands that only say how they were called in place of scheduler and program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bids_t1.cli import build_parser

EXAMPLES = Path(__file__).parents[2] / "examples" / "slurm"
ECHO = '#!/bin/sh\necho "$(basename "$0") $*" >> "$CALLS"\necho 17\n'


class Stage:
    """A dataset of three participants, and what was called on it."""

    def __init__(self, folder: Path) -> None:
        self.bids_dir, self.out_dir = folder / "bids", folder / "out"
        for name in ("sub-01/anat", "sub-02/ses-1/anat", "sourcedata/sub-02", "sourcedata/sub-C", "code"):
            (self.bids_dir / name).mkdir(parents=True)
        self.calls = folder / "calls"
        for name in ("sbatch", "bids_t1", "apptainer"):
            path = folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(ECHO, encoding="utf-8")
            path.chmod(0o755)
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"

    def run(self, script: str, *words: str | Path, **environment: str) -> int:
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "BIDS_T1"))}
        called = {**outside, "PATH": self.path, "CALLS": str(self.calls), **environment}
        command = ["bash", EXAMPLES / script, *words]
        return subprocess.run(command, env=called, check=False, capture_output=True).returncode

    def called(self) -> list[list[str]]:
        return [line.split() for line in self.calls.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_every_participant_is_a_task_and_the_group_waits_for_all(stage: Stage) -> None:
    assert stage.run("submit.sh", stage.bids_dir, stage.out_dir, "--no-b1") == 0
    array, group = stage.called()
    assert "--array=0-2%50" in array
    job = [EXAMPLES / "bids_t1.sbatch", stage.bids_dir, stage.out_dir, "participant", "01", "02", "C", "--no-b1"]
    assert array[-8:] == [str(word) for word in job]
    assert "--dependency=afterany:17" in group
    assert group[-2:] == ["group", "--no-b1"]
    assert stage.out_dir.is_dir()


def test_gpus_are_asked_for_by_tasks_and_by_the_group_which_trains(stage: Stage) -> None:
    assert stage.run("submit.sh", stage.bids_dir, stage.out_dir, BIDS_T1_GPU="1") == 0
    array, group = stage.called()
    assert "--gres=gpu:1" in array
    assert "--gres=gpu:1" in group


def test_folder_without_participants_is_refused(stage: Stage) -> None:
    assert stage.run("submit.sh", stage.bids_dir / "code", stage.out_dir) == 66
    assert not stage.calls.exists()


def test_task_processes_the_participant_of_its_number(stage: Stage) -> None:
    settings = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_PER_TASK": "2", "SLURM_MEM_PER_NODE": "4096"}
    words = (stage.bids_dir, stage.out_dir, "participant", "01 02 C ", "--no-b1")
    assert stage.run("bids_t1.sbatch", *words, **settings) == 0
    (call,) = stage.called()
    found = build_parser().parse_args(call[1:])
    assert (found.bids_dir, found.out_dir) == (stage.bids_dir, stage.out_dir)
    assert (found.analysis_level, found.participant_label, found.no_b1) == ("participant", ["02"], True)
    assert (found.omp_nthreads, found.mem_mb) == (2, 4096)


def test_group_job_takes_all_participants(stage: Stage) -> None:
    assert stage.run("bids_t1.sbatch", stage.bids_dir, stage.out_dir, "group", "") == 0
    (call,) = stage.called()
    found = build_parser().parse_args(call[1:])
    assert (found.analysis_level, tuple(found.participant_label)) == ("group", ())


@pytest.mark.parametrize("devices", ["", "0"])
def test_container_sees_input_output_and_the_gpu_it_was_given(stage: Stage, devices: str) -> None:
    settings = {"SLURM_ARRAY_TASK_ID": "0", "BIDS_T1_SIF": "/images/t1.sif", "CUDA_VISIBLE_DEVICES": devices}
    assert stage.run("bids_t1.sbatch", stage.bids_dir, stage.out_dir, "participant", "01", **settings) == 0
    (call,) = stage.called()
    assert call[:2] == ["apptainer", "run"]
    assert ("--nv" in call) is bool(devices)
    assert {f"{stage.bids_dir}:/data:ro", f"{stage.out_dir}:/out"} <= set(call)
    found = build_parser().parse_args(call[call.index("/images/t1.sif") + 1 :])
    assert (found.bids_dir, found.participant_label) == (Path("/data"), ["01"])
