"""Results are of one command or of the one before, whole; what somebody else made and what a slip asks for stay."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1 import participant as story
from tests import command
from tests.small_bids import TIMES, complex_images, sidecar, write_image, write_json, write_root, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and its results."""
    folder = tmp_path_factory.mktemp("outputs")
    write_run(write_root(folder / "bids"), session="a")
    assert command.participant(folder / "bids", folder / "out").code == 0
    return folder


@pytest.fixture
def done(once: Path, tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(once, tmp_path / "done")
    return tmp_path / "done" / "bids", tmp_path / "done" / "out"


def test_another_dataset_as_out_dir_loses_nothing(once: Path, tmp_path: Path) -> None:
    shutil.copytree(once / "bids", tmp_path / "study2")
    before = command.listing(tmp_path / "study2", times=True)
    answer = command.participant(once / "bids", tmp_path / "study2")
    assert answer.code == 73
    assert "study2: is a BIDS dataset of raw images; expected a folder that is empty or not there" in answer.said
    assert command.run(once / "bids", tmp_path / "study2", "group").code == 73
    assert command.listing(tmp_path / "study2", times=True) == before


SLIPS = {
    "session": (["--session-label", "z"], 18, "session z: not in the dataset, which has a. Check the label."),
    "sessions": (["--session-label", "a", "z"], 18, "session z: not in the dataset, which has a. Check the label."),
    "participant": (["--participant-label", "zz"], 18, "participant zz: not in the dataset"),
    "memory": (["--mem-mb", "1"], 74, "MB, and may take 1"),
    "milliseconds": (["--t1-range", "20", "6000"], 64, "Divide by 1000 if these are milliseconds"),
    "milliseconds of T2*": (["--t2star-range", "1", "1000"], 64, "Divide by 1000 if these are milliseconds"),
    "not a number": (
        ["--inversion-efficiency", "0.9", "nan"],
        64,
        "--inversion-efficiency is 0.9 nan; expected finite",
    ),
    "infinite": (["--noise-sd", "inf"], 64, "--noise-sd is inf; expected finite numbers"),
    "no protocol": (["--protocol", "none.toml"], 64, "none.toml: "),
    "no model": (["--calibration", "{text}"], 16, "cannot be read as safetensors"),
    "no map": (["--b1-map", "{text}"], 16, "cannot be read as NIfTI"),
    "unknown entity": (["--bids-filter-file", "{unknown}"], 64, "expected entities such as acquisition or run"),
    "nothing of it": (["--bids-filter-file", "{nothing}"], 18, "has IRT1 images, but none with"),
    "the input as work folder": (["-w", "{bids}"], 64, "lies in bids_dir, which is only read"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_the_command_changes_nothing(slip: str, done: tuple[Path, Path], tmp_path: Path) -> None:
    words, code, message = SLIPS[slip]
    (tmp_path / "text.nii").write_text("text")
    write_json(tmp_path / "unknown.json", {"IRT1": {"colour": "red"}})
    write_json(tmp_path / "nothing.json", {"IRT1": {"acquisition": "red"}})
    places = {
        "text": tmp_path / "text.nii",
        "unknown": tmp_path / "unknown.json",
        "nothing": tmp_path / "nothing.json",
        "bids": done[0],
    }
    before = command.listing(done[1])
    answer = command.participant(*done, "--force", *(word.format_map(places) for word in words))
    assert (answer.code, message in answer.said) == (code, True), answer.said
    assert command.listing(done[1]) == before


def test_a_participant_that_derivatives_lack_is_a_slip(done: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "seg").mkdir()
    before = command.listing(done[1])
    answer = command.whole(*done, "-d", tmp_path / "seg")
    assert answer.code == 18
    assert "sub-01: is in none of --derivatives" in answer.said
    assert command.listing(done[1]) == before


def test_what_is_not_of_this_program_stays_among_results_and_old_results_go(done: tuple[Path, Path]) -> None:
    anat = done[1] / "sub-01" / "ses-a" / "anat"
    (anat / "notes.txt").write_text("mine")
    (done[1] / "sub-01" / "sub-01_T1w.nii.gz").write_text("mine")
    log = done[1] / "logs" / "sub-01_ses-a.json"
    of_before = anat / "sub-01_ses-a_desc-MP2RAGE_T1map.nii.gz"
    changed = anat / "sub-01_ses-a_desc-brain_mask.nii.gz"
    shutil.copy(anat / "sub-01_ses-a_desc-IRT1_T1map.nii.gz", of_before)
    content = json.loads(log.read_text())
    known = content["outputs"]["sub-01/ses-a/anat/sub-01_ses-a_desc-IRT1_T1map.nii.gz"]
    changed.write_text("made by hand from an output")
    for path in (of_before, changed):
        content["outputs"][path.relative_to(done[1]).as_posix()] = known
    write_json(log, content)
    answer = command.participant(*done, "--ir-efficiency", "ideal")
    assert answer.code == 0
    assert "kept 2 files not of this program" in answer.said
    assert (anat / "notes.txt").read_text() == "mine"
    assert changed.is_file()
    assert (done[1] / "sub-01" / "sub-01_T1w.nii.gz").read_text() == "mine"
    assert not of_before.exists()
    assert json.loads((anat / "sub-01_ses-a_desc-IRT1_T1map.json").read_text())["EfficiencyModel"] == "ideal"
    assert command.leftovers(done[1]) == []


def make_unable(*_: object, **__: object) -> None:
    raise ValueError("no page")


@pytest.mark.parametrize("step", ["write_page", "as_json"])
def test_only_what_the_bug_said_is_seen_where_log_or_page_cannot_be_made(
    step: str, done: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = command.listing(done[1])
    monkeypatch.setattr(story, step, make_unable)
    assert command.participant(*done, "--ir-efficiency", "ideal").code == 1
    after = command.listing(done[1])
    assert after.keys() - before.keys() == {"logs/sub-01_crash.txt"}
    assert {name: after.get(name) for name in before} == before


def test_a_disk_that_is_full_names_the_participant_and_leaves_what_there_was(
    done: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = command.listing(done[1])
    monkeypatch.setattr("bids_t1.bids.write.save", full)
    answer = command.participant(*done, "--ir-efficiency", "ideal")
    assert answer.code == 74
    assert "sub-01/ses-a: reading or writing failed (No space left on device)" in answer.said
    assert ".bids_t1-" not in answer.said
    assert command.listing(done[1]) == before


def test_a_session_that_a_killed_command_had_no_time_for_is_missed(done: tuple[Path, Path]) -> None:
    write_run(done[0], session="b")
    assert command.participant(*done).code == 0
    (done[1] / "logs" / "sub-01_ses-b.json").unlink()
    assert "left as it is" not in command.participant(*done).said


def constant(images: np.ndarray) -> np.ndarray:
    return np.full_like(images, 500)


def all_the_same(images: np.ndarray) -> np.ndarray:
    return np.broadcast_to(images[-1:], images.shape)


@pytest.mark.parametrize("spoil", [constant, all_the_same])
def test_a_map_without_one_voxel_is_a_failure(spoil: Callable[[np.ndarray], np.ndarray], tmp_path: Path) -> None:
    write_run(write_root(tmp_path / "bids"), images=spoil(complex_images()))
    answer = command.participant(tmp_path / "bids", tmp_path / "out")
    assert answer.code == 16, answer.said
    assert "without failure; 1 participant with failures: 01" in answer.said
    assert not list((tmp_path / "out").rglob("*T1map*"))


def test_maps_of_an_earlier_run_stay_with_a_word_where_none_can_be_made(done: tuple[Path, Path]) -> None:
    maps = command.listing(done[1] / "sub-01")
    broken = sidecar(next(done[0].rglob("*inv-2*.nii.gz")))
    broken.write_text(json.dumps({"InversionTime": -1}))
    for _ in range(2):
        answer = command.participant(*done)
        assert answer.code == 16
        assert "the maps of an earlier run are left there, as none could be made now" in answer.said
        assert command.listing(done[1] / "sub-01") == maps
    assert "the maps of an earlier run are left there" in (done[1] / "sub-01.html").read_text()


def test_a_warning_stands_on_terminal_page_and_sidecar_and_is_counted(tmp_path: Path) -> None:
    images = write_run(write_root(tmp_path / "bids"))
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[0, 3] += 0.1
    write_image(images[2], np.abs(complex_images(TIMES)[2]).astype(np.float32), affine)
    for _ in range(2):
        answer = command.participant(tmp_path / "bids", tmp_path / "out")
        assert answer.code == 0
        assert "0.050 voxels beside those of" in answer.said
        assert "warnings of 01: 1" in answer.said.splitlines()[-1]
    written = json.loads((tmp_path / "out/sub-01/anat/sub-01_desc-IRT1_T1map.json").read_text())
    (warning,) = written["Warnings"]
    assert "0.050 voxels beside those of" in warning
    assert "0.050 voxels beside those of" in (tmp_path / "out" / "sub-01.html").read_text()


def test_maps_of_participants_that_have_sessions_now_go(tmp_path: Path) -> None:
    bids_dir, out_dir = write_root(tmp_path / "bids"), tmp_path / "out"
    write_run(bids_dir)
    assert command.participant(bids_dir, out_dir).code == 0
    shutil.rmtree(bids_dir / "sub-01")
    write_run(bids_dir, session="a")
    assert command.participant(bids_dir, out_dir).code == 0
    assert [path.name for path in (out_dir / "sub-01").iterdir()] == ["ses-a"]
    assert [path.name for path in (out_dir / "logs").glob("*.json")] == ["sub-01_ses-a.json"]
