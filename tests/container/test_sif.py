"""The SIF does its work as an ordinary user with --containall."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bids_t1 import __version__
from tests.container.commands import as_user, contained, succeed
from tests.container.conftest import FIGURES, measured
from tests.container.results import assert_same_maps

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.container


def test_sif_starts_within_seconds_and_says_what_it_is(sif: Path) -> None:
    answer = succeed(*as_user("apptainer", "run", "--containall", sif, "--version"))
    FIGURES.append(f"SIF: {answer.seconds:.1f} s to --version")
    assert __version__ in answer.said
    assert answer.seconds < 20
    assert "org.opencontainers.image.version: " + __version__ in succeed("apptainer", "inspect", sif).said
    assert "--containall" in succeed(*as_user("apptainer", "run-help", sif)).said


def test_sif_passes_the_test_it_carries(sif: Path) -> None:
    succeed(*as_user("apptainer", "test", sif))


def test_contained_sif_makes_the_maps_of_the_plain_command(
    sif: Path, phantom: Path, plain: Path, out_dir: Path
) -> None:
    measured("SIF, four small phantoms", succeed(*contained(sif, phantom, out_dir), "/data", "/out", "participant"))
    assert_same_maps(out_dir, plain)
    described = json.loads((out_dir / "dataset_description.json").read_text(encoding="utf-8"))
    assert described["GeneratedBy"][0]["Container"]["Type"] == "apptainer"
    succeed(*contained(sif, phantom, out_dir), "/data", "/out", "group")


def test_whole_head_fits_beside_64_megabytes_of_tmp(sif: Path, head: Path, out_dir: Path) -> None:
    answer = succeed(*contained(sif, head, out_dir), "/data", "/out", "participant")
    measured("SIF, whole head of MP2RAGE at 2 mm", answer)
    assert answer.peak < 2000
