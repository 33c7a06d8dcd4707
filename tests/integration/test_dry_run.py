"""A look before a run: what it says is what the run then does, and it leaves nothing behind."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import pytest

from bids_t1 import cohort
from bids_t1.dicom.convert import plan
from tests import command
from tests.small_bids import change_json, sidecar, write_readouts, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_root(tmp_path / "data")


def look(dataset: Path, *options: str) -> command.Answer:
    return command.run(dataset, dataset.parent / "out", "participant", "--device", "cpu", "--dry-run", *options)


def promised(said: str) -> set[str]:
    """Return the endings of the maps that would be written."""
    listed = re.findall(r"^    writes    (.*(?:\n {14}.*)*)", said, re.MULTILINE)
    return {word.strip(",") for text in listed for word in text.split() if "_" in word}


def test_a_look_writes_nothing_and_promises_the_maps_that_are_then_written(dataset: Path) -> None:
    write_run(dataset)
    write_readouts(dataset)
    found = look(dataset, "--maps-only")
    assert (found.code, (dataset.parent / "out").exists()) == (0, False)
    assert "2 runs of 1 participant can start; nothing was written" in found.said
    assert "5 magnitude images, 8 x 8 x 2 voxels" in found.said
    assert command.participant(dataset, dataset.parent / "out").code == 0
    written = {
        path.name.removeprefix("sub-01_").removesuffix(".nii.gz")
        for path in (dataset.parent / "out").rglob("sub-01/*/*.nii.gz")
    }
    assert promised(found.said) - {"desc-IRT1fast_sharemap"} == written - {"desc-IRT1fast_sharemap"}


def test_a_look_names_what_is_missing_and_its_exit_code_is_that_of_the_run(dataset: Path) -> None:
    images = write_run(dataset)
    change_json(sidecar(images[1]), InversionTime=None)
    found = look(dataset)
    assert found.code == command.participant(dataset, dataset.parent / "out").code == 16
    assert "CANNOT START" in found.said
    assert f"{sidecar(images[1]).name}: InversionTime is missing" in found.said


def test_a_look_tells_who_could_start_beside_one_who_cannot(dataset: Path) -> None:
    write_run(dataset)
    change_json(sidecar(write_readouts(dataset, "02")[0]), FlipAngle=None)
    found = look(dataset)
    assert found.code == 1
    assert "1 run of 2 participants can start; nothing was written; 1 participant with failures: 02" in found.said
    assert "FlipAngle = " in found.said


def test_a_look_says_what_is_finished(dataset: Path) -> None:
    write_run(dataset)
    assert command.participant(dataset, dataset.parent / "out").code == 0
    before = command.listing(dataset.parent / "out", times=True)
    assert "would be left as it is" in " ".join(look(dataset, "--maps-only").said.split())
    assert command.listing(dataset.parent / "out", times=True) == before


def test_a_look_at_scanner_files_tells_what_the_headers_lack(tmp_path: Path) -> None:
    scans = command.phantom(tmp_path / "data", "--format", "dicom", "--sequences", "MP2RAGE", "--resolution", "8")
    assert plan(scans).lacking == ("RepetitionTimeExcitation",)
    found = look(scans)
    assert (found.code, (tmp_path / "out").exists()) == (16, False)
    assert "RepetitionTimeExcitation = 0.007  # an example" in found.said
    told = look(scans, "--protocol", str(tmp_path / "data_truth" / "protocol.toml"))
    assert (told.code, "kept as MP2RAGE inv-1 part-mag" in told.said) == (0, True)


def test_a_look_at_the_group_is_refused(dataset: Path) -> None:
    assert command.run(dataset, dataset.parent / "out", "group", "--dry-run").code == 64


@pytest.mark.parametrize(
    ("is_terminal", "said"),
    [(True, "participant 2 of 6 done, about 20 min left"), (False, "participant 2 of 6 done")],
)
def test_participants_are_counted_and_the_time_left_is_told_to_who_waits(
    *, is_terminal: bool, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with caplog.at_level(logging.INFO, logger="bids_t1"):
        cohort._say_progress(2, 6, 600.0)
        cohort._say_progress(6, 6, 1800.0)
        cohort._say_progress(1, 1, 300.0)
    assert caplog.messages == [said]
