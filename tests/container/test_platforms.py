"""Boutiques starts the containers, and so does what CBRAIN makes of its descriptor."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.container.commands import BIN, ROOT, open_folder, succeed
from tests.container.results import assert_same_maps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

DESCRIPTOR = ROOT / "boutiques.json"
LAUNCH = ("exec", "launch", "--no-pull", "--skip-data-collection")


@pytest.fixture
def task(place: Path, phantom: Path) -> Iterator[Path]:
    """Return a working folder with the data in it, which every user may write to."""
    folder = open_folder(place / "task")
    shutil.copytree(phantom, folder / "phantom")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(shims: Path) -> dict[str, str]:
    return {"PATH": f"{BIN}:{shims}:{os.environ['PATH']}"}


def invocation(folder: Path, **inputs: object) -> Path:
    path = folder / "invocation.json"
    common = {"output_dir_name": "results", "analysis_level": "participant", "participant_label": ["01"]}
    path.write_text(json.dumps(common | inputs), encoding="utf-8")
    return path


def test_boutiques_launches_the_image(image: str, task: Path, plain: Path, environment: dict[str, str]) -> None:
    assert json.loads(DESCRIPTOR.read_text(encoding="utf-8"))["container-image"]["image"] == image
    inputs = invocation(task, bids_dir="phantom")
    succeed("bosh", *LAUNCH, "--force-docker", DESCRIPTOR, inputs, cwd=task, env=environment)
    assert_same_maps(task / "results", plain)


def test_boutiques_launches_the_sif(sif: Path, task: Path, plain: Path, environment: dict[str, str]) -> None:
    inputs = invocation(task, bids_dir="phantom")
    options = ("--force-singularity", "--imagepath", sif)
    succeed("bosh", *LAUNCH, *options, DESCRIPTOR, inputs, cwd=task, env=environment)
    assert_same_maps(task / "results", plain)


def test_boutiques_runs_the_tests_of_the_descriptor(image: str, task: Path, environment: dict[str, str]) -> None:
    assert image
    assert "1 passed" in succeed("bosh", "test", DESCRIPTOR, cwd=task, env=environment).said


def single_subject(task: Path, participant: str) -> str:
    """Make the dataset that CBRAIN makes of one participant; everything above its folder is lost."""
    name = "CbrainBidsSingleSubject"
    shutil.copytree(task / "phantom" / participant, task / name / participant)
    description = {"Name": name, "BIDSVersion": "1.4.1"}
    (task / name / "dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
    (task / name / "participants.tsv").write_text(f"participant_id\n{participant}\n", encoding="utf-8")
    return name


def test_cbrain_starts_one_participant(sif: Path, task: Path, plain: Path, environment: dict[str, str]) -> None:
    described: dict[str, Any] = json.loads(DESCRIPTOR.read_text(encoding="utf-8"))
    del described["container-image"]
    (task / "descriptor.json").write_text(json.dumps(described), encoding="utf-8")
    maker = described["custom"]["cbrain:integrator_modules"]["BoutiquesBidsSingleSubjectMaker"]
    name = single_subject(task, "sub-01")
    inputs = invocation(task, **{maker["dataset_input_id"]: name, maker["subjects_input_id"]: ["01"]})
    simulated = succeed("bosh", "exec", "simulate", "-i", inputs, task / "descriptor.json", cwd=task, env=environment)
    script = task / "start.sh"
    script.write_text(f"#!/bin/bash\n{simulated.said.splitlines()[-1]}\n", encoding="utf-8")
    script.chmod(0o755)
    words = ("singularity", "exec", "-B", f"{task}:{task}", "-H", task, sif, "./start.sh")
    succeed(*words, cwd=task, env=environment)
    assert_same_maps(task / "results", plain)
