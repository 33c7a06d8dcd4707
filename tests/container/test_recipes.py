"""What can be told of the recipes without building them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bids_t1 import __version__
from containers import audit

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


LOCKS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "containers" / "locks").glob("*.txt"))}


def pins(text: str) -> dict[str, str]:
    """Versions by name, spelt as package indices compare them."""
    found = re.findall(r"^([\w.-]+)==([\w.+]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): release for name, release in found}


CONSTRAINTS = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))


def test_containers_install_the_versions_that_the_tests_run_with() -> None:
    assert pins(LOCKS["cpu"])["torch"] == f"{CONSTRAINTS['torch']}+cpu"
    for name, lock in LOCKS.items():
        others = set(pins(lock).items()) - set(CONSTRAINTS.items()) - {("torch", f"{CONSTRAINTS['torch']}+cpu")}
        of_cuda = {one for one, _ in others if re.match("nvidia|cuda|triton", one)}
        assert {one for one, _ in others} == (of_cuda if name == "gpu" else set())


def test_containers_install_all_that_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split("[<>=]", one)[0].replace("_", "-") for one in project["dependencies"]}
    assert needed <= pins(LOCKS["cpu"]).keys()
    assert pins(LOCKS["cpu"]).keys() <= pins(LOCKS["gpu"]).keys()


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_its_hash(name: str) -> None:
    entries = re.split(r"^(?=\w)", LOCKS[name].split("\n", 2)[2], flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(LOCKS[name]))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


@pytest.mark.parametrize("recipe", [DOCKERFILE, DEFINITION], ids=["Dockerfile", "singularity.def"])
def test_recipes_download_nothing_without_its_hash(recipe: str) -> None:
    commands = re.findall(r"pip (install|wheel) (.*)", recipe.replace("\\\n", ""))
    assert len(commands) >= 4
    for command, words in commands:
        offline = "--no-index" in words or words.endswith(" .")
        assert "--no-deps" in words
        assert offline or "--require-hashes" in words
        assert command == "install" or "--no-build-isolation" in words


def test_bill_of_materials_is_valid_and_names_what_is_installed() -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    program = ROOT / "containers" / "sbom.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(done.stdout) is None
    found = {one["name"]: one["version"] for one in json.loads(done.stdout)["components"]}
    assert found["nibabel"] == version("nibabel")
    for recipe in (DOCKERFILE, DEFINITION):
        assert re.search(r"sbom\.py > (/opt/bids_t1/)?sbom\.cdx\.json", recipe)


WEAK: dict[str, Any] = {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
SOUND: dict[str, Any] = {"name": "b", "version": "1", "vulns": []}
SKIPPED: dict[str, Any] = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "said", "code"),
    [
        ([WEAK, SOUND, SKIPPED], "audit: 1 known vulnerabilities in 2 packages, 1 not audited", 1),
        ([SOUND], "audit: 0 known vulnerabilities in 1 packages, 0 not audited", 0),
        ([SKIPPED], "audit: the advisories cannot be reached from here; NOTHING WAS AUDITED (not found)", 0),
        ([], "audit: the advisories cannot be reached from here; NOTHING WAS AUDITED (no route)", 0),
    ],
)
def test_a_known_vulnerability_fails_and_silence_is_said(packages: list[dict[str, Any]], said: str, code: int) -> None:
    lines, found = audit.judge(packages, "no route")
    assert (lines[-1], found) == (said, code)


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
