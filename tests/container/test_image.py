"""The image does its work with no rights, no network, no home and nothing to write to but out_dir."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from bids_t1 import __version__
from bids_t1.data.errors import Stopped
from tests import validator
from tests.container.commands import ENVIRONMENT, confined, run, succeed
from tests.container.conftest import FIGURES
from tests.container.results import assert_same_maps

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.container


def inspected(image: str, what: str) -> str:
    return succeed("podman", "image", "inspect", "--format", what, image).said.strip()


def test_image_has_at_most_two_gigabytes(image: str) -> None:
    assert int(inspected(image, "{{.Size}}")) <= 2e9


def test_image_says_what_it_is_and_is_nobody(image: str) -> None:
    assert inspected(image, '{{index .Labels "org.opencontainers.image.version"}}') == __version__
    assert inspected(image, "{{.Config.User}}") == "1000:1000"


def test_image_lists_what_is_in_it(image: str) -> None:
    words = ("podman", "run", "--rm", "--entrypoint", "cat", image, "/opt/bids_t1/sbom.cdx.json")
    purls = [one["purl"] for one in json.loads(succeed(*words).said)["components"]]
    assert f"pkg:pypi/bids-t1@{__version__}" in purls
    assert any(purl.startswith("pkg:deb/debian/python3@") for purl in purls)


def test_image_starts_within_seconds(image: str) -> None:
    answer = succeed("podman", "run", "--rm", image, "--version")
    FIGURES.append(f"image: {answer.seconds:.1f} s to --version")
    assert __version__ in answer.said
    assert answer.seconds < 10


def test_confined_image_makes_the_maps_of_the_plain_command(
    image: str, phantom: Path, plain: Path, out_dir: Path
) -> None:
    words = ("--entrypoint", "env", image, "-u", "HOME", "bids_t1", "/data", "/out")
    answer = succeed(*confined(phantom, out_dir), *words, "participant")
    FIGURES.append(f"image, four small phantoms: {answer.seconds:.1f} s")
    assert_same_maps(out_dir, plain)
    assert not validator.errors(out_dir)
    described = json.loads((out_dir / "dataset_description.json").read_text(encoding="utf-8"))
    assert described["GeneratedBy"][0]["Container"] == {"Type": "docker", "Tag": image}
    succeed(*confined(phantom, out_dir), *words, "group")
    assert (out_dir / "group_participants.tsv").exists()


def test_confined_image_converts_scanner_files(image: str, place: Path, out_dir: Path) -> None:
    options = ("--format", "dicom", "--layout", "flat", "--resolution", "4", "--slices", "1")
    succeed("bids_t1_phantom", place / "dicom", *options)
    succeed(*confined(place / "dicom", out_dir), image, "/data", "/out", "participant")
    assert (out_dir / "sub-01" / "anat" / "sub-01_desc-IRT1_T1map.nii.gz").exists()


def test_login_shell_finds_the_commands(image: str) -> None:
    found = "command -v bids_t1 bids_t1_phantom dcm2niix"
    succeed("podman", "run", "--rm", "--entrypoint", "/bin/sh", image, "-l", "-c", found)


def test_stopped_container_says_so_and_leaves_nothing_half_written(image: str, head: Path, out_dir: Path) -> None:
    words = [*confined(head, out_dir), "--name", "bids_t1-stopped", image, "/data", "/out", "participant"]
    with subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "MP2RAGE" in process.stderr.readline()
        time.sleep(1)
        succeed("podman", "kill", "--signal", "TERM", "bids_t1-stopped")
        assert process.wait(60) == Stopped.exit_code
    assert not [path for path in out_dir.rglob("*") if path.suffix in {".gz", ".html"} or ".bids_t1" in path.name]


def test_wrong_command_line_of_a_container_has_its_exit_code(image: str) -> None:
    assert run("podman", "run", "--rm", image, "/data").code == 64
