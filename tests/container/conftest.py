"""Image, SIF, data and scheduler: each is made once, for all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bids_t1 import __version__
from tests.container.commands import HERE, Answer, as_user, open_folder, run, succeed

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = f"bids_t1:{__version__}"
BASE = "debian:bookworm-slim"
FIGURES: list[str] = []
"""Lines of the summary."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was measured."""
    if FIGURES:
        terminalreporter.section("containers")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """Return a folder that every user may enter, unlike those of pytest."""
    missing = [name for name in ("podman", "mmdebstrap", "apptainer", "sbatch") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(
            f"needs root and {', '.join(missing) or 'nothing else'}; `make container-test` installs what it needs"
        )
    folder = Path(tempfile.mkdtemp(prefix="bids_t1-containers-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def wheels() -> list[str]:
    """Return the folder of wheels that pip of this machine is told of, where it is told of one."""
    said = os.environ.get("PIP_FIND_LINKS") or run("python3", "-m", "pip", "config", "get", "global.find-links").said
    folder = said.strip()
    return [folder] if folder.startswith("/") and Path(folder).is_dir() else []


@pytest.fixture(scope="session")
def base(place: Path, wheels: list[str]) -> Path:
    """Return a base image made of Debian packages, as a file; podman knows it by the name that the recipes ask for."""
    system, archive = place / "system.tar", place / "base.tar"
    succeed(HERE / "base_image.sh", system, *wheels)
    succeed("podman", "import", "--quiet", "--change", 'CMD ["/bin/bash"]', system, BASE)
    succeed("podman", "save", "--quiet", "--format", "docker-archive", "--output", archive, BASE)
    system.unlink()
    return archive


@pytest.fixture(scope="session")
def image(base: Path, wheels: list[str]) -> str:
    """Return the name of the image."""
    assert base.exists()
    # A folder of wheels stands in for the index of CPU builds, which may be out of reach just as registries are.
    options = [f"--volume={folder}:{folder}:ro" for folder in wheels] + ["--build-arg=TORCH_INDEX_URL="] * len(wheels)
    network = ("--pull=never", "--network", "host", "--build-arg", "TEMPLATES=local")
    built = succeed("podman", "build", *network, *options, "--tag", IMAGE, ".")
    size = float(succeed("podman", "image", "inspect", "--format", "{{.Size}}", IMAGE).said) / 1e9
    FIGURES.append(f"image: {size:.2f} GB, built in {built.seconds:.0f} s")
    return IMAGE


@pytest.fixture(scope="session")
def sif(place: Path, base: Path, wheels: list[str]) -> Path:
    """Return the SIF made from singularity.def."""
    path = place / "bids_t1.sif"
    built = succeed(HERE / "build_sif.sh", base, path, *wheels)
    FIGURES.append(f"SIF: {path.stat().st_size / 1e9:.2f} GB with lzo, built and tested in {built.seconds:.0f} s")
    return path


def _phantom(folder: Path, *options: str) -> Path:
    succeed("bids_t1_phantom", folder, *options)
    succeed("chmod", "-R", "a+rX", folder)
    return folder


@pytest.fixture(scope="session")
def phantom(place: Path) -> Path:
    """Return four participants, two thin slices each."""
    return _phantom(place / "phantom", "--participants", "4", "--resolution", "4", "--slices", "2")


@pytest.fixture(scope="session")
def head(place: Path) -> Path:
    """Return a participant with a whole head of MP2RAGE: some seconds of work."""
    return _phantom(place / "head", "--sequences", "MP2RAGE", "--resolution", "2")


@pytest.fixture(scope="session")
def plain(place: Path, phantom: Path) -> Path:
    """Return what the command makes of the phantom without any container."""
    out_dir = place / "plain"
    succeed("bids_t1", phantom, out_dir, "participant", "--device", "cpu")
    return out_dir


@pytest.fixture
def out_dir(place: Path) -> Iterator[Path]:
    """Return a new folder that every user may write to."""
    folder = open_folder(place / "out")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shims(place: Path) -> Path:
    """Return a folder with the commands docker and singularity, which Boutiques calls, made of podman and Apptainer."""
    folder = place / "bin"
    folder.mkdir()
    for name, command in (("docker", ("podman",)), ("singularity", as_user("apptainer"))):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {" ".join(map(str, command))} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def slurm(place: Path) -> Iterator[dict[str, str]]:
    """Return the environment in which commands of Slurm reach a scheduler of one node."""
    folder = place / "slurm"
    succeed(HERE / "slurm.sh", "start", folder)
    yield {"SLURM_CONF": str(folder / "slurm.conf")}
    succeed(HERE / "slurm.sh", "stop", folder)


def measured(what: str, answer: Answer) -> None:
    """Put time and memory of a command into the summary."""
    FIGURES.append(f"{what}: {answer.seconds:.1f} s, peak {answer.peak:.0f} MB")
