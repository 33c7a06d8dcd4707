"""What is finished is left as it is, what is not is done again, and a request to stop leaves nothing half-written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from bids_t1.bids.group import TIMES
from tests.command import leftovers, listing, participant, phantom, run
from tests.report.reader import Reader
from tests.small_bids import change_json, write_root, write_run
from tests.validator import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEFT = "left as it is"


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, Path]:
    bids_dir, out_dir = tmp_path / "bids", tmp_path / "out"
    write_run(write_root(bids_dir))
    assert participant(bids_dir, out_dir).code == 0
    return bids_dir, out_dir


def test_a_finished_participant_is_left_as_it_is(done: tuple[Path, Path]) -> None:
    before = listing(done[1] / "sub-01", times=True)
    again = participant(*done)
    assert again.code == 0
    assert LEFT in again.said
    assert "1 run of 1 participant without failure" in again.said
    assert listing(done[1] / "sub-01", times=True) == before


def change_something(what: str, bids_dir: Path, out_dir: Path) -> None:
    a_map = next((out_dir / "sub-01").rglob("*R1map.nii.gz"))
    log = out_dir / "logs" / "sub-01.json"
    match what:
        case "map removed":
            a_map.unlink()
        case "map cut short":
            a_map.write_bytes(a_map.read_bytes()[:-10])
        case "image changed":
            os.utime(next(bids_dir.rglob("*inv-1*IRT1.nii.gz")), (1, 1))
        case "metadata inherited":
            (bids_dir / "IRT1.json").write_text('{"EchoTime": 0.01}')
        case "log cut short":
            log.write_text(log.read_text()[:100])


@pytest.mark.parametrize(
    "what", ["map removed", "map cut short", "image changed", "metadata inherited", "log cut short"]
)
def test_anything_that_changed_is_done_again(done: tuple[Path, Path], what: str) -> None:
    change_something(what, *done)
    again = participant(*done)
    assert again.code == 0
    assert LEFT not in again.said
    assert LEFT in participant(*done).said


@pytest.mark.parametrize("options", [("--force",), ("--ir-efficiency", "ideal"), ("--t1-range", "0.1", "5")])
def test_other_options_are_another_result(done: tuple[Path, Path], options: tuple[str, ...]) -> None:
    assert LEFT not in participant(*done, *options).said


@pytest.mark.parametrize("options", [("--omp-nthreads", "1"), ("--mem-mb", "9000"), ("-v",)])
def test_options_that_change_no_result_do_nothing_again(done: tuple[Path, Path], options: tuple[str, ...]) -> None:
    assert LEFT in participant(*done, *options).said


def test_a_participant_that_failed_is_tried_again(tmp_path: Path) -> None:
    bids_dir, out_dir = tmp_path / "bids", tmp_path / "out"
    write_run(write_root(bids_dir))
    broken = next(bids_dir.rglob("*inv-2*IRT1.json"))
    right = broken.read_text()
    change_json(broken, InversionTime=300)
    assert participant(bids_dir, out_dir).code == 16
    assert LEFT not in participant(bids_dir, out_dir).said
    broken.write_text(right)
    assert participant(bids_dir, out_dir).code == 0


def start(bids_dir: Path, out_dir: Path, *options: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "bids_t1",
        str(bids_dir),
        str(out_dir),
        "participant",
        "--device",
        "cpu",
        "--maps-only",
        *options,
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(ready: Callable[[], bool], seconds: float = 90) -> None:
    for _ in range(int(seconds / 0.05)):
        if ready():
            return
        time.sleep(0.05)
    pytest.fail("nothing happened")


@pytest.mark.parametrize("n_processes", ["1", "2"])
def test_a_request_to_stop_ends_cleanly_and_the_same_line_goes_on(tmp_path: Path, n_processes: str) -> None:
    bids_dir, out_dir = phantom(tmp_path / "bids", "--participants", "3", "--slices", "16"), tmp_path / "out"
    process = start(bids_dir, out_dir, "--nprocs", n_processes, "--ir-noise", "rician")
    wait_for((out_dir / "logs").is_dir)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "Traceback" not in said
    assert not list(out_dir.glob(".bids_t1-*"))
    assert not [path for path in out_dir.rglob("*") if path.name.startswith(".sub")]
    for log in (out_dir / "logs").glob("sub-*.json"):
        assert json.loads(log.read_text())["runs"]
    resumed = participant(bids_dir, out_dir, "--ir-noise", "rician")
    assert resumed.code == 0
    assert "3 runs of 3 participants" in resumed.said
    assert errors(out_dir) == []


@pytest.mark.parametrize(
    ("n_processes", "n_times"), [(3, 1), pytest.param(8, 10, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_processes_on_one_folder_give_what_one_gives(tmp_path: Path, n_processes: int, n_times: int) -> None:
    bids_dir = phantom(tmp_path / "bids", "--participants", str(n_processes))
    alone = tmp_path / "alone"
    assert participant(bids_dir, alone).code == 0
    labels = [f"{number:02d}" for number in range(1, n_processes + 1)]
    # logs hold the command, and pages show it
    aside = {
        "logs",
        ".work",
        *(f"logs/sub-{label}.json" for label in labels),
        *(f"sub-{label}.html" for label in labels),
    }
    expected = {name: value for name, value in listing(alone).items() if name not in aside}
    for repetition in range(n_times):
        together = tmp_path / f"together-{repetition}"
        options = ("--omp-nthreads", "1", "--participant-label")
        processes = [start(bids_dir, together, *options, label) for label in labels]
        said = [process.communicate(timeout=300)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * n_processes, said
        assert {name: value for name, value in listing(together).items() if name not in aside} == expected
        assert errors(together) == []


def test_group_brings_participants_together(tmp_path: Path) -> None:
    bids_dir, out_dir = tmp_path / "bids", tmp_path / "out"
    for label in ("01", "02", "03"):
        write_run(write_root(bids_dir), label)
    change_json(next((bids_dir / "sub-02").rglob("*inv-2*IRT1.json")), InversionTime=300)
    assert participant(bids_dir, out_dir, "--participant-label", "01", "02").code == 1
    assert run(bids_dir, out_dir, "group").code == 0
    rows = [line.split("\t") for line in (out_dir / "group_participants.tsv").read_text().splitlines()]
    assert [row[:3] for row in rows[1:]] == [
        ["sub-01", "done", "1"],
        ["sub-02", "with failures", "0"],
        ["sub-03", "not processed", "0"],
    ]
    assert "InversionTime is 300" in rows[2][3]
    (header, only) = [line.split("\t") for line in (out_dir / "group_maps.tsv").read_text().splitlines()]
    line = dict(zip(header, only, strict=True))
    assert line["map"] == "sub-01_desc-IRT1_T1map.nii.gz"
    assert 1.0 < float(line["median"]) < 1.4
    described = json.loads((out_dir / "group_maps.json").read_text())
    assert list(described) == header
    page = (out_dir / "group.html").read_text()
    assert "sub-01.html" in page
    assert "InversionTime is 300" in page
    assert errors(out_dir) == []


def test_the_page_of_maps_that_were_changed_says_so(done: tuple[Path, Path]) -> None:
    a_map = next((done[1] / "sub-01").rglob("*_R1map.json"))
    a_map.write_text(a_map.read_text() + "\n")
    again = participant(*done, "--reports-only")
    said = "1 file of it changed since they were written; they are shown as they are."
    assert f"sub-01: {said}" in again.said
    assert said in Reader((done[1] / "sub-01.html").read_text()).text
    assert "changed since" not in participant(*done, "--force").said


def test_how_long_each_stage_took_stands_in_a_file_of_its_own_and_on_the_page_of_all(done: tuple[Path, Path]) -> None:
    table = done[1] / "logs" / "sub-01_timing.tsv"
    head, *stages = (line.split("\t") for line in table.read_text().splitlines())
    assert head == ["stage", "of", "seconds", "processor_seconds"]
    assert [stage[0] for stage in stages] == ["maps", "writing", "page"]
    assert "<code>logs/sub-01_timing.tsv</code>" in (done[1] / "sub-01.html").read_text()
    before = listing(done[1])
    table.write_text("of an earlier run")
    again = participant(*done, "--force")
    told = re.sub(r"\d+\.\d s", "N s", again.said).splitlines()
    assert {"sub-01: took N s (maps N s, writing N s, page N s)", "bids_t1: took N s"} <= set(told)
    assert table.read_text().startswith("stage")
    changed = {name for name, found in listing(done[1]).items() if before[name] != found}
    assert changed == {"logs/sub-01.json", "sub-01.html"}  # they hold the command
    assert run(*done, "group").code == 0
    head, *rows = (line.split("\t") for line in (done[1] / "group_timing.tsv").read_text().splitlines())
    assert head == list(TIMES) == list(json.loads((done[1] / "group_timing.json").read_text()))
    assert [row[0] for row in rows] == ["sub-01"]
    assert float(rows[0][1]) > 0
    page = Reader((done[1] / "group.html").read_text())
    assert "Time that a participant took" in page.text


def test_group_with_one_participant_is_fine_and_with_none_is_no_input(done: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(*done, "group").code == 0
    assert run(done[0], tmp_path / "empty", "group").code == 66


def test_a_stopped_command_leaves_no_folder_that_it_worked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bids_dir, out_dir = tmp_path / "bids", tmp_path / "out"
    write_run(write_root(bids_dir))
    monkeypatch.setattr("bids_t1.cohort.process_all", lambda *_: signal.raise_signal(signal.SIGINT))
    assert participant(bids_dir, out_dir).code == 130
    assert leftovers(out_dir) == []


def test_a_finished_cohort_is_left_as_it_is_without_heavy_imports_and_its_warnings_are_told_again(
    tmp_path: Path,
) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    for label in ("01", "02", "03"):
        write_run(dataset, label, times=(0.05, 0.3, 0.8, 2.0))
    first = participant(dataset, out_dir)
    before = listing(out_dir, times=True)
    words = [str(dataset), str(out_dir), "participant", "--maps-only", "--device", "cpu"]
    script = (
        f"import sys; from bids_t1.cli import main; code = main({words!r}); "
        "print(code, sorted({'torch', 'matplotlib', 'SimpleITK', 'bids', 'numba'} & sys.modules.keys()))"
    )
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert again.stdout == "0 []\n"
    assert again.stderr.count("left as it is") == 3
    assert again.stderr.splitlines()[-1] == first.said.splitlines()[-1]
    assert listing(out_dir, times=True) == before


def test_a_page_that_is_older_than_the_log_is_made_again(done: tuple[Path, Path]) -> None:
    page = done[1] / "sub-01.html"
    whole = page.read_bytes()
    page.write_text("of an earlier run")
    os.utime(page, (1, 1))
    assert participant(*done).code == 0
    assert page.read_bytes() == whole
