"""What can be told of the recipes without building them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bids_t1 import __version__

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DEFINITION = (ROOT / "singularity.def").read_text(encoding="utf-8")
SCRIPTS = sorted(
    path
    for path in (*ROOT.glob("examples/slurm/*"), *ROOT.glob("tests/container/*.sh"), ROOT / ".ci" / "run")
    if path.read_text(encoding="utf-8").startswith("#!")
)


def checked(tool: str, *words: str | Path) -> str:
    """Run a checker of this environment; what it found."""
    program = Path(sys.executable).with_name(tool)
    if not program.exists():
        pytest.skip(f"{tool} is not installed here; pip install .[dev]")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout + done.stderr


def test_dockerfile_is_clean() -> None:
    assert checked("hadolint", ROOT / "Dockerfile") == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_script_is_clean(script: Path) -> None:
    assert checked("shellcheck", script) == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_script_can_be_started(script: Path) -> None:
    assert script.suffix == ".sbatch" or script.stat().st_mode & 0o111


def test_recipes_name_the_version_of_the_package() -> None:
    assert re.findall(r"^ARG VERSION=(.*)", DOCKERFILE, re.MULTILINE) == [__version__]
    assert re.findall(r"image\.version (.*)", DEFINITION) == [__version__]
    assert re.findall(r"BIDS_T1_CONTAINER=apptainer:bids_t1:(.*)", DEFINITION) == [__version__]


@pytest.mark.parametrize("name", ["TORCH", "TORCH_INDEX_URL", "TEMPLATES"])
def test_recipes_have_the_same_arguments(name: str) -> None:
    assert re.findall(rf"^ARG {name}=(.*)", DOCKERFILE, re.MULTILINE) == re.findall(
        rf"^    {name}=(.*)", DEFINITION, re.MULTILINE
    )


def test_recipes_set_the_same_environment() -> None:
    in_image = set(re.findall(r"^ENV (\w+)=|^    (\w+)=\S+ ?\\?$", DOCKERFILE, re.MULTILINE))
    in_sif = set(re.findall(r"^    export (\w+)=", DEFINITION, re.MULTILINE))
    assert {one or other for one, other in in_image} == in_sif


def test_recipes_take_the_pytorch_that_the_tests_run_with() -> None:
    pinned = re.findall(r"^(torch==.*)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert [*re.findall(r"^ARG TORCH=(.*)\+cpu", DOCKERFILE, re.MULTILINE)] == pinned


def test_image_links_every_command_of_the_package() -> None:
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    for recipe in (DOCKERFILE, DEFINITION):
        linked = set(re.findall(r"/opt/bids_t1/venv/bin/(\w+) ", recipe)) - {"pip", "python"}
        assert linked == {*commands, "dcm2niix"}


def test_build_sees_everything_that_the_dockerfile_copies() -> None:
    admitted = set(re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    assert copied == admitted
    assert all((ROOT / name).exists() for name in copied)
