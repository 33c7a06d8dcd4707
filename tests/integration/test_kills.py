"""SIGKILL at random moments: nothing half-written is seen, and the same command ends as if nothing had been.

``BIDS_T1_KILLS=25 pytest -m slow tests/integration/test_kills.py`` kills 25 commands of each kind.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from bids_t1_phantom.cli import main as make_phantom
from tests.command import betrayed, leftovers, listing, participant, phantom, secrets_of, whole
from tests.small_bids import write_readouts, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("BIDS_T1_KILLS", "3"))


def make(bids_dir: Path, kind: str) -> None:
    """Make two participants; of scanner files, the header names somebody."""
    if kind == "DICOM":
        phantom(bids_dir, "--format", "dicom", "--participants", "2")
        return
    for label in ("01", "02"):
        (write_readouts if kind == "MP2RAGE" else write_run)(write_root(bids_dir), label)


def kill(bids_dir: Path, out_dir: Path, options: tuple[str, ...], delay: float) -> bool:
    """Start the command and kill it with all its processes after some seconds; whether it was still there."""
    words = [sys.executable, "-m", "bids_t1", str(bids_dir), str(out_dir), "participant", "--device", "cpu"]
    with subprocess.Popen(
        [*words, "--maps-only", *options], stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("kind", ["IRT1", "MP2RAGE", "DICOM", "--force", "--nprocs"])
def test_a_killed_command_leaves_nothing_that_the_same_command_does_not_mend(tmp_path: Path, kind: str) -> None:
    options = {"--force": ("--force",), "--nprocs": ("--nprocs", "2")}.get(kind, ())
    bids_dir, finished = tmp_path / "bids", tmp_path / "finished" / "out"
    make(bids_dir, kind)
    secrets = secrets_of(bids_dir) if kind == "DICOM" else set()
    began = time.monotonic()
    assert not kill(bids_dir, finished, options, 600)
    duration = time.monotonic() - began
    expected = listing(finished)
    moments = random.Random(kind)  # noqa: S311 - no secret
    n_killed = 0
    for number in range(KILLS):
        out_dir = tmp_path / str(number) / "out"
        if kind == "--force":
            shutil.copytree(finished, out_dir)
        n_killed += kill(bids_dir, out_dir, options, duration * moments.uniform(0.1, 1.0))
        assert betrayed(out_dir, secrets) == []
        answer = participant(bids_dir, out_dir, *options)
        assert answer.code == 0, answer.said
        assert leftovers(out_dir) == []
        assert listing(out_dir) == expected
        shutil.rmtree(out_dir)
    sys.stdout.write(f"{kind}: {n_killed} of {KILLS} killed within {duration:.1f} s\n")
    assert n_killed


TRAINING = """
import sys
from dataclasses import replace
import bids_t1.learning
from bids_t1.calibration import cross_validation
from bids_t1.cli import main
from bids_t1.data.calibration import SMALL

few = {"width": 1 / 16, "tile": 8, "batch": 2, "steps": 20, "epochs": 3, "patience": 3, "validation_examples": 4}
plan = replace(SMALL, **few)
bids_t1.learning.PRESETS = {"small": plan}
bids_t1.learning.VOXELS = {"small": replace(plan, kind="voxel")}
cross_validation.FEWEST_FOR_NETWORK = 2
cross_validation.choose = lambda scores: "network"
sys.exit(main(sys.argv[1:]))
"""
"""The command with a calibration that learns next to nothing, in seconds."""


def train(data: Path, out_dir: Path, seconds: float) -> int:
    """Train with the results of two participants, and kill that after some seconds; return the exit code."""
    words = [
        sys.executable,
        "-c",
        TRAINING,
        str(data),
        str(out_dir),
        "group",
        "--device",
        "cpu",
        "--calibration-preset",
        "small",
    ]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode


def learned(out_dir: Path) -> tuple[str, bytes]:
    """Return the checksum of the model, and the scores."""
    card = json.loads((out_dir / "calibration" / "model.json").read_text(encoding="utf-8"))
    return card["checksum"], (out_dir / "group_calibration.tsv").read_bytes()


def test_a_killed_training_goes_on_to_the_same_model_and_scores(tmp_path: Path) -> None:
    data, before = tmp_path / "data", tmp_path / "before"
    heads = ("--resolution", "4", "--slices", "14", "--bias", "mt", "--participants", "2")
    assert make_phantom([str(data), *heads, "--sequences", "IRT1,MP2RAGE"]) == 0
    assert whole(data, before).code == 0
    finished = tmp_path / "finished"
    shutil.copytree(before, finished)
    began = time.monotonic()
    assert train(data, finished, 3600) == 0
    duration = time.monotonic() - began
    moments, n_killed = random.Random("training"), 0  # noqa: S311 - no secret
    for number in range(KILLS):
        out_dir = tmp_path / str(number)
        shutil.copytree(before, out_dir)
        n_killed += train(data, out_dir, duration * moments.uniform(0.1, 1.0)) == -signal.SIGKILL
        assert train(data, out_dir, 3600) == 0
        assert leftovers(out_dir) == []
        assert learned(out_dir) == learned(finished)
        shutil.rmtree(out_dir)
    sys.stdout.write(f"training: {n_killed} of {KILLS} killed within {duration:.1f} s\n")
    assert n_killed
