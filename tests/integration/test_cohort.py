"""What is wrong with one participant's folder, or process, stops no other."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Never, cast

import pytest

from bids_t1 import cohort
from bids_t1.work import Outcome, Work
from tests.command import listing, participant
from tests.dicom.scanner_files import SIEMENS, write_volume
from tests.small_bids import complex_images, write_image, write_root, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bids_t1.settings import Settings

SMALL = complex_images().real[0]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    bids_dir = write_root(tmp_path / "bids")
    write_run(bids_dir)
    return bids_dir


def scan(folder: Path) -> None:
    write_volume(folder, 50.0, SIEMENS, series=1)


NOTHING_USABLE = {
    "sub-empty": "is empty",
    "sub-link": "is a link to what is not there",
    "sub-file": "is no folder",
    "sub-anat": "holds anat that is no folder",
    "sourcedata/sub-zip": "holds 2 files, none of them an image or DICOM: 1 archive (unpack it), 1 empty file",
}


def spoil(bids_dir: Path) -> None:
    (bids_dir / "sub-empty").mkdir()
    (bids_dir / "sub-link").symlink_to(bids_dir / "nowhere")
    (bids_dir / "sub-file").write_text("text")
    (bids_dir / "sub-anat").mkdir()
    (bids_dir / "sub-anat" / "anat").write_text("text")
    zipped = bids_dir / "sourcedata" / "sub-zip"
    zipped.mkdir(parents=True)
    (zipped / "dicom.zip").write_bytes(b"PK\3\4")
    (zipped / "000001.dcm").touch()


def test_a_participant_with_nothing_usable_is_named_and_is_a_failure(good: Path, tmp_path: Path) -> None:
    spoil(good)
    answer = participant(good, tmp_path / "out")
    assert answer.code == 1
    for folder, what in NOTHING_USABLE.items():
        assert answer.said.count(f"{folder.split('/')[-1]}: nothing usable: {folder} {what}; expected images") == 1
    assert "1 run of 1 participant without failure; 5 participants with failures: anat, empty" in answer.said
    assert participant(good, tmp_path / "out", "--participant-label", "01").code == 0
    assert participant(good, tmp_path / "out", "--participant-label", "zip").code == 66


def test_a_label_that_bids_does_not_allow_is_named_as_that(good: Path, tmp_path: Path) -> None:
    write_run(good, "bad-x")
    answer = participant(good, tmp_path / "out")
    assert answer.code == 1
    assert "sub-bad-x: the label is 'bad-x'; expected letters, digits" in answer.said


def test_a_line_break_in_a_label_breaks_no_line(good: Path, tmp_path: Path) -> None:
    (good / "sub-01").rename(good / "sub-a\nb")
    answer = participant(good, tmp_path / "out")
    assert answer.code == 16
    assert "sub-a\nb" not in answer.said
    assert answer.said.splitlines()[-1].startswith("bids_t1: ")


def test_a_participant_with_images_of_other_kinds_is_left_aside_unless_asked_for(good: Path, tmp_path: Path) -> None:
    write_image(good / "sub-02" / "func" / "sub-02_task-rest_bold.nii.gz", SMALL)
    answer = participant(good, tmp_path / "out")
    assert answer.code == 0
    assert "left aside, with images of other kinds only: sub-02; expected IRT1 or" in answer.said
    assert participant(good, tmp_path / "out", "--participant-label", "02").code == 66


def test_a_dataset_of_other_kinds_only_is_no_input(tmp_path: Path) -> None:
    write_image(write_root(tmp_path / "bids") / "sub-02" / "anat" / "sub-02_T1w.nii.gz", SMALL)
    answer = participant(tmp_path / "bids", tmp_path / "out")
    assert answer.code == 66
    assert "left aside, with images of other kinds only: sub-02; expected IRT1 or" in answer.said
    assert not (tmp_path / "out").exists()


def test_source_data_of_participants_with_images_is_not_needed(good: Path, tmp_path: Path) -> None:
    source = good / "sourcedata"
    scan(source / "sub-01" / "ses-1")
    scan(source / "sub-01" / "loose")
    os.mkfifo(source / "sub-01" / "0-pipe")
    (source / "sub-01" / "dicom.zip").write_bytes(b"PK")
    answer = participant(good, tmp_path / "out")
    assert answer.code == 0
    assert "1 run of 1 participant without failure" in answer.said


def test_folders_of_source_data_that_cannot_be_used_fail_alone(good: Path, tmp_path: Path) -> None:
    source = good / "sourcedata"
    for name in ("sub-a_b", "sub-ab", "sub-山田", "sub-in/ses-1", "sub-in/loose"):
        scan(source / name)
    alone = participant(good, tmp_path / "alone", "--participant-label", "01")
    answer = participant(good, tmp_path / "out")
    assert (alone.code, answer.code) == (0, 1)
    assert "sub-ab: " in answer.said
    assert "all give sub-ab" in answer.said
    assert "sub-in: " in answer.said
    assert "inside and outside ses-*" in answer.said
    assert "sub-?: " in answer.said
    assert "山" not in answer.said
    assert "3 participants with failures: ?, ab, in" in answer.said
    assert listing(tmp_path / "out" / "sub-01") == listing(tmp_path / "alone" / "sub-01")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.write_text("[" * 100_000), lambda path: path.mkdir()])
def test_a_description_that_cannot_be_read_is_only_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "dataset_description.json")
    cohort._check_description(cast("Settings", SimpleNamespace(bids_dir=tmp_path)))
    assert "BIDS asks for this file. Going on." in caplog.text


def killed_at_02(work: Work, settings: Settings) -> Outcome:
    """Stand in for the work on one participant, as where the kernel ends a process for its memory."""
    assert settings.running.nprocs == 2
    if work.participant == "02":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(work.participant, 1, (), None)


def test_a_killed_process_fails_its_participant_and_the_others_are_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cohort, "_process_one", killed_at_02)
    settings = cast("Settings", SimpleNamespace(running=SimpleNamespace(nprocs=2, stop_on_first_crash=False)))
    labels = ["01", "02", "03", "04"]
    outcomes = cohort.process_all([Work(label) for label in labels], settings)
    failed = [outcome for outcome in outcomes if outcome.failures]
    assert [(outcome.participant, outcome.failures[0].exit_code) for outcome in failed] == [("02", 74)]
    assert "sub-02: its process was ended by signal 9 (Killed). Signal 9 most often means that memory" in caplog.text
    assert "Traceback" not in caplog.text
    assert [outcome.participant for outcome in outcomes] == labels


def test_memory_that_has_run_out_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def greedy(_work: Work, _settings: Settings) -> Never:
        raise MemoryError

    monkeypatch.setattr("bids_t1.participant.process_participant", greedy)
    outcome = cohort._process_one(Work("01"), cast("Settings", SimpleNamespace(out_dir=tmp_path)))
    assert [failure.exit_code for failure in outcome.failures] == [74]
    assert "sub-01: memory has run out" in caplog.text
    assert "Traceback" not in caplog.text
