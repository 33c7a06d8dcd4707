"""Options do what they say, and wrong ones are refused before anything is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch

from bids_t1.cli import main
from bids_t1.data.errors import Stopped
from bids_t1.stopping import ignored
from bids_t1_phantom.physics.simulate import inversion_recovery
from tests import command
from tests.small_bids import REPETITION_TIME, T1, TIMES, change_json, sidecar, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Finished

HEAVY = ("torch", "nibabel", "bids", "numpy", "scipy", "matplotlib", "pydicom", "jinja2", "pandas")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_root(tmp_path_factory.mktemp("options") / "data")
    for participant in ("01", "02"):
        for session in ("a", "b"):
            write_run(folder, participant, session=session, entities="_acq-gold")
    return folder


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], ["a", "b", "group"], ["none", "out", "participant"]]
)
def test_nothing_heavy_is_loaded_before_the_arguments_are_right(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom bids_t1.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    assert python(code, *arguments).stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("told", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(
    told: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", told or "")
    if told is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == expected


def test_the_module_is_the_command(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bids_t1", str(tmp_path / "none"), str(tmp_path / "out"), "participant"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 66
    assert done.stderr == f"{tmp_path}/none: is no folder; expected a BIDS dataset or a folder of DICOM files.\n"
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--t1-range", "2", "1"], "--t1-range is 2 1; expected two positive times in seconds, the shorter first"),
        (["--t1-range", "0", "1"], "--t1-range is 0 1"),
        (["--t1-range", "0.1", "inf"], "--t1-range is 0.1 inf"),
        (["--t1-range", "nan", "1"], "--t1-range is nan 1"),
        (["--t1-range", "1"], "expected 2 arguments"),
        (["--nprocs", "0"], "--nprocs is 0; expected 1 or more"),
        (["--omp-nthreads", "-1"], "--omp-nthreads is -1; expected 1 or more"),
        (["--nprocs", "many"], "invalid int value: 'many'"),
        (["--ir-noise", "none"], "invalid choice: 'none'"),
        (["--participant-label", "s_1"], "sub-s_1: the label is 's_1'; expected letters, digits and + only"),
        (["--session-label", "ses-a b"], "ses-a b: the label is 'a b'; expected letters, digits and + only"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--bids-filter-file", "none.json"], "none.json: cannot be read (No such file or directory); expected a file"),
        (
            ["--bids-database-dir", "none"],
            "--bids-database-dir is none; expected a folder with a saved index of pybids",
        ),
    ],
)
def test_wrong_options_are_an_error_of_usage(dataset: Path, tmp_path: Path, options: list[str], message: str) -> None:
    answer = command.participant(dataset, tmp_path / "out", *options)
    assert (answer.code, message in answer.said) == (64, True), answer.said
    assert not (tmp_path / "out").exists()


def test_an_unknown_level_and_missing_arguments_are_errors_of_usage(tmp_path: Path) -> None:
    assert command.run(tmp_path, tmp_path / "out", "session").code == 64
    assert command.run(tmp_path).code == 64
    assert command.run("--help").code == 0
    assert command.run("--version").said.startswith("bids_t1 ")


def test_the_input_is_no_place_for_the_output(dataset: Path) -> None:
    before = command.listing(dataset, times=True)
    answer = command.participant(dataset, dataset)
    assert answer.code == 64
    assert "is bids_dir, which is only read; expected another folder" in answer.said
    assert command.listing(dataset, times=True) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_cuda_device_is_said(dataset: Path, tmp_path: Path) -> None:
    answer = command.run(dataset, tmp_path / "out", "participant", "--device", "cuda")
    assert answer.code == 64
    assert "the device is cuda, but PyTorch finds no CUDA device here" in answer.said


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", "is no folder; expected a folder that is empty or not there, or one that bids_t1 made"),
        ("file/out", "cannot be made (Not a directory); expected a folder that can be written. Choose another out_dir"),
    ],
)
def test_an_output_folder_that_cannot_be_made(dataset: Path, tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "file").touch()
    answer = command.participant(dataset, tmp_path / place)
    assert answer.code == 73
    assert message in answer.said
    assert (tmp_path / "file").is_file()


def test_a_work_folder_that_cannot_be_made_is_named(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = command.participant(dataset, tmp_path / "out", "-w", tmp_path / "file" / "work")
    assert answer.code == 73
    assert f"{tmp_path}/file/work: cannot be made" in answer.said


def test_an_unknown_participant_is_an_error_of_selection(dataset: Path, tmp_path: Path) -> None:
    answer = command.participant(dataset, tmp_path / "out", "--participant-label", "01", "77")
    assert answer.code == 18
    assert "participant 77: not in the dataset, which has 01, 02. Check the label." in answer.said
    assert not (tmp_path / "out").exists()


def test_an_unknown_session_is_an_error_of_selection(dataset: Path, tmp_path: Path) -> None:
    answer = command.participant(dataset, tmp_path / "out", "--session-label", "z")
    assert answer.code == 18
    assert "session z: not in the dataset, which has a, b." in answer.said


def test_participants_and_sessions_are_chosen_with_or_without_their_prefix(dataset: Path, tmp_path: Path) -> None:
    words = ("--participant_label", "sub-02", "02", "--session_label", "ses-b", "a")
    answer = command.participant(dataset, tmp_path / "out", *words)
    assert answer.code == 0
    assert "2 runs of 1 participant without failure" in answer.said
    assert not (tmp_path / "out" / "sub-01").exists()


def test_filters_choose_runs(dataset: Path, tmp_path: Path) -> None:
    filters = tmp_path / "filters.json"
    filters.write_text(json.dumps({"IRT1": {"acquisition": "gold", "session": "a"}, "T1w": {"session": "b"}}))
    words = ("--participant-label", "01", "--bids-filter-file", filters)
    answer = command.participant(dataset, tmp_path / "out", *words)
    assert answer.code == 0
    assert [path.name for path in (tmp_path / "out" / "sub-01").iterdir()] == ["ses-a"]


@pytest.mark.parametrize(
    ("filters", "code"), [({"acquisition": "fast"}, 18), ({"colour": "red"}, 64), ({"subject": "01"}, 64)]
)
def test_filters_that_select_nothing_or_make_no_sense(
    dataset: Path, tmp_path: Path, filters: dict[str, str], code: int
) -> None:
    path = tmp_path / "filters.json"
    path.write_text(json.dumps({"IRT1": filters}))
    answer = command.participant(dataset, tmp_path / "out", "--participant-label", "02", "--bids-filter-file", path)
    assert answer.code == code, answer.said
    assert "Traceback" not in answer.said


def test_filters_that_leave_nothing_of_converted_images(dicom_phantom: Path, tmp_path: Path) -> None:
    path = tmp_path / "filters.json"
    path.write_text('{"IRT1": {"acquisition": "fast"}}')
    answer = command.participant(dicom_phantom, tmp_path / "out", "--bids-filter-file", path)
    assert answer.code == 18, answer.said


def test_raw_images_that_a_filter_leaves_out_are_not_replaced_by_scanner_files(
    dicom_phantom: Path, tmp_path: Path
) -> None:
    dataset = write_root(tmp_path / "data")
    write_run(dataset)
    (dataset / "sourcedata").mkdir()
    (dataset / "sourcedata" / "sub-01").symlink_to(dicom_phantom / "sub-01")
    path = tmp_path / "filters.json"
    path.write_text('{"IRT1": {"acquisition": "fast"}}')
    assert command.participant(dataset, tmp_path / "out", "--bids-filter-file", path).code == 18
    assert not (tmp_path / "out" / "sourcedata").exists()


def test_several_labels_for_one_flat_folder(dicom_phantom: Path, tmp_path: Path) -> None:
    (folder,) = [folder for folder in (dicom_phantom / "sub-01").iterdir() if folder.is_dir()]
    answer = command.participant(folder, tmp_path / "out", "--participant-label", "1", "2")
    assert answer.code in {18, 64}
    assert "expected one label" in answer.said or "not in the dataset" in answer.said


def test_sessions_of_scanner_files_without_sessions(dicom_phantom: Path, tmp_path: Path) -> None:
    answer = command.participant(dicom_phantom, tmp_path / "out", "--session-label", "1")
    assert answer.code == 18
    assert "session 1: not in the dataset, which has none" in answer.said


def test_reports_only_makes_the_pages_again_and_nothing_else(bids_done: Finished) -> None:
    page = bids_done.out_dir / "sub-01.html"
    before = command.listing(bids_done.out_dir, times=True)
    page.unlink()
    answer = command.participant(bids_done.bids_dir, bids_done.out_dir, "--reports-only")
    assert answer.code == 0, answer.said
    after = command.listing(bids_done.out_dir, times=True)
    assert {name for name in before if before[name] != after.get(name)} == {"sub-01.html"}
    assert after["sub-01.html"][0] == before["sub-01.html"][0]
    assert "bids_t1: 0 runs" not in answer.said


def test_pages_are_made_again_when_the_input_is_gone(bids_done: Finished, tmp_path: Path) -> None:
    page = bids_done.out_dir / "sub-01.html"
    before = page.read_bytes()
    page.unlink()
    answer = command.participant(tmp_path / "gone", bids_done.out_dir, "--reports-only")
    assert answer.code == 0, answer.said
    assert page.is_file()
    page.write_bytes(before)
    answer = command.participant(tmp_path / "gone", bids_done.out_dir, "--reports-only", "--participant-label", "99")
    assert answer.code == 18
    assert "participant 99: not in the dataset" in answer.said


def test_neither_input_nor_results(tmp_path: Path) -> None:
    answer = command.participant(tmp_path / "gone", tmp_path / "out", "--reports-only")
    assert answer.code == 66
    assert "out holds no results; expected either." in answer.said


def test_reports_of_what_was_not_processed(dataset: Path, tmp_path: Path) -> None:
    answer = command.participant(dataset, tmp_path / "out", "--reports-only")
    assert answer.code == 66
    assert "sub-01: out holds no results of it; expected a log. Process it first." in answer.said


@pytest.mark.parametrize(("efficiency", "told"), [(1.9, True), (2.0, False)])
def test_an_ideal_inversion_that_images_do_not_show_is_told(tmp_path: Path, efficiency: float, told: bool) -> None:
    rng = np.random.default_rng(0)
    clean = inversion_recovery(
        T1 / 2, 1000.0, inversion_times=TIMES, repetition_times=REPETITION_TIME, inversion_efficiency=efficiency
    )
    data = write_root(tmp_path / "data")
    write_run(data, images=np.abs(clean + 5 * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))))
    answer = command.participant(data, tmp_path / "out", "--ir-efficiency", "ideal")
    assert answer.code == 0, answer.said
    assert ("An ideal inversion and complete recovery between repetitions, as asked for, leave" in answer.said) is told


@pytest.mark.parametrize(
    ("times", "options", "told"),
    [
        ((0.05, 0.5, 2.0), (), ("At InversionTime 0.05 s tissue still has its fast component",)),
        ((0.15, 0.5, 2.0), (), ()),
        (
            (0.05, 1.0),
            ("--ir-efficiency", "ideal"),
            ("At InversionTime 0.05 s tissue still has its fast component", "in place of 2, T1 of 1 s reads as 0.91 s"),
        ),
        ((0.3, 1.0), ("--ir-efficiency", "ideal"), ("in place of 2, T1 of 1 s reads as 0.9",)),
    ],
)
def test_what_too_few_inversion_times_cannot_check_is_told(
    times: tuple[float, ...], options: tuple[str, ...], told: tuple[str, ...], tmp_path: Path
) -> None:
    data = write_root(tmp_path / "data")
    write_run(data, times=times, parts=("real",))
    answer = command.participant(data, tmp_path / "out", *options)
    assert answer.code == 0, answer.said
    page = (tmp_path / "out" / "sub-01.html").read_text(encoding="utf-8")
    for words in told:
        assert words in answer.said
        assert words in page
    assert ("fast component" in answer.said) is (min(times) == 0.05)


@pytest.mark.parametrize(("factor", "told"), [(0.1, True), (1.0, False)])
def test_times_that_are_all_too_short_are_told_by_a_t1_that_no_head_has(
    factor: float, told: bool, tmp_path: Path
) -> None:
    data = write_root(tmp_path / "data")
    for image, time in zip(write_run(data), TIMES, strict=True):
        change_json(sidecar(image), InversionTime=factor * time)
    answer = command.participant(data, tmp_path / "out")
    assert answer.code == 0, answer.said
    assert ("The typical voxel has a T1 of 0.1" in answer.said) is told
    assert ("Values of InversionTime that are all wrong by one factor" in answer.said) is told


def test_the_record_holds_the_options_and_no_paths(dataset: Path, tmp_path: Path) -> None:
    words = ("--participant-label", "01", "--t1-range", "0.1", "4", "--ir-efficiency", "ideal", "-w", tmp_path / "work")
    assert command.participant(dataset, tmp_path / "out", *words).code == 0
    log = json.loads((tmp_path / "out" / "logs" / "sub-01_ses-a.json").read_text())
    assert log["command"] == (
        "bids_t1 bids_dir out_dir participant --device cpu --ir-efficiency ideal --maps-only "
        "--participant-label 01 --t1-range 0.1 4.0 --work-dir work"
    )
    sidecar = next((tmp_path / "out" / "sub-01").rglob("*_T1map.json"))
    assert str(tmp_path) not in sidecar.read_text()
    assert json.loads(sidecar.read_text())["EfficiencyModel"] == "ideal"
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.parametrize(
    "options", [["--ir-noise", "rician"], ["--ir-noise", "gaussian"], ["--skip_bids_validator", "-vv"]]
)
def test_other_choices_run(dataset: Path, tmp_path: Path, options: list[str]) -> None:
    words = ("--participant-label", "01", "--session-label", "a", *options)
    answer = command.participant(dataset, tmp_path / "out", *words)
    assert answer.code == 0, answer.said


def test_a_dataset_description_that_is_missing_is_only_a_warning(tmp_path: Path) -> None:
    write_run(tmp_path / "data")
    answer = command.participant(tmp_path / "data", tmp_path / "out")
    assert answer.code == 0
    assert "dataset_description.json: " in answer.said
    assert "BIDS asks for this file. Going on." in answer.said


def test_a_request_to_stop_that_python_ignores_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(sys, "__unraisablehook__", said.append)
    for error in (Stopped(), ValueError("of a destructor")):
        ignored(cast("Any", SimpleNamespace(exc_value=error)))
    assert [str(each.exc_value) for each in said] == ["of a destructor"]
