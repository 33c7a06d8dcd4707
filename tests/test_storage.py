"""Own files are replaced together, others are kept, and what a killed process leaves is put back or removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bids_t1 import scratch
from bids_t1.data.errors import CannotCreateOutputError, InputOutputError, Interrupted
from bids_t1.stopping import forget_stop, stop, without_stopping
from bids_t1.storage import publishing, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path("sub-01")


def publish(root: Path, *names: str, own: tuple[str, ...] = ()) -> None:
    with publishing(root, FOLDER, own) as fresh:
        for name in names:
            (fresh / name).parent.mkdir(exist_ok=True)
            (fresh / name).write_text("new")


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_own_files_go_and_all_others_stay(tmp_path: Path) -> None:
    publish(tmp_path, "anat/a", "anat/b")
    (tmp_path / "sub-01" / "anat" / "notes.txt").write_text("mine")
    (tmp_path / "sub-01" / "figures").mkdir()
    (tmp_path / "sub-01" / "anat" / "link").symlink_to("/nowhere")
    publish(tmp_path, "anat/a", own=("sub-01/anat/a", "sub-01/anat/b"))
    assert files(tmp_path) == ["sub-01/anat/a", "sub-01/anat/link", "sub-01/anat/notes.txt"]
    assert (tmp_path / "sub-01" / "anat" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "sub-01" / "figures").is_dir()


def test_others_are_kept_also_where_files_have_one_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    publish(tmp_path, "anat/a")
    (tmp_path / "sub-01" / "notes.txt").write_text("mine")
    monkeypatch.setattr(os, "link", refuse)
    publish(tmp_path, "anat/a")
    assert (tmp_path / "sub-01" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link", "dead link"])
def test_what_is_no_folder_is_not_replaced(tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    match kind:
        case "file":
            (tmp_path / "sub-01").write_text("mine")
        case "link":
            (tmp_path / "sub-01").symlink_to("elsewhere")
        case _:
            (tmp_path / "sub-01").symlink_to("nowhere")
    before = names(tmp_path)
    with pytest.raises(CannotCreateOutputError, match=f"is a {kind.rsplit(maxsplit=1)[-1]}; expected a folder"):
        publish(tmp_path, "anat/a")
    assert names(tmp_path) == before


def test_a_folder_comes_back_where_the_new_one_cannot_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, "anat/a")
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if self.name == "sub-01" and target.name == "sub-01":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(InputOutputError, match=r"/sub-01: .*No space left on device") as caught:
        publish(tmp_path, "anat/b")
    assert scratch.PREFIX not in str(caught.value)
    assert files(tmp_path) == ["sub-01/anat/a"]


def test_another_process_may_put_its_folder_there_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(3))

    def overtaken(stage: Path, root: Path, folder: Path) -> None:
        try:
            scratch.set_aside(stage, root, folder)
        finally:
            if next(times, None) is not None:
                (root / folder / "anat").mkdir(parents=True)
                (root / folder / "anat" / "a").write_text("of the other process")

    monkeypatch.setattr("bids_t1.storage.set_aside", overtaken)
    publish(tmp_path, "anat/a")
    assert files(tmp_path) == ["sub-01/anat/a"]
    assert (tmp_path / "sub-01" / "anat" / "a").read_text() == "new"


KILLED = """
import os, signal, sys
from pathlib import Path
from bids_t1 import scratch
root = Path(sys.argv[1])
with scratch.scratch(root) as folder:
    (folder / "secret").write_text("x")
    if sys.argv[2] == "between":
        scratch.set_aside(folder, root, Path("sub-01"))
    print("ready", flush=True)
    if sys.argv[2] == "alive":
        sys.stdin.read()
    else:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def filling(root: Path, when: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(root), when], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_a_killed_process_leaves_goes_at_once_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    with filling(tmp_path, "killed") as killed:
        killed.wait()
    with filling(tmp_path, "alive") as alive:
        assert len(list(tmp_path.iterdir())) == 2
        scratch.sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        alive.communicate()
    assert list(tmp_path.iterdir()) == []


KILLED_AT_EACH_STEP = """
import itertools, os, signal, sys
from pathlib import Path
from bids_t1 import scratch
root = Path(sys.argv[1])

def kill_at(step):
    steps = itertools.count()
    def hook(event, arguments):
        if event.startswith(("os.", "open", "fcntl.", "tempfile.", "shutil.")) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for step in itertools.count():
    child = os.fork()
    if not child:
        kill_at(step)
        with scratch.scratch(root) as folder:
            (folder / "headers").mkdir()
            (folder / "headers" / "secret").write_text("x")
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    scratch.sweep(root)
    print(step, sorted(os.listdir(root)), flush=True)
"""


def test_whenever_a_process_is_killed_what_it_leaves_goes_at_once(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED_AT_EACH_STEP, str(tmp_path)]
    left = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(left) > 10
    assert [line for line in left if not line.endswith(" []")] == []


def test_a_process_whose_folder_was_taken_for_one_that_was_left_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, swept = os.open, list[Path]()

    def overtaken(path: Path, flags: int, mode: int = 0o777) -> int:
        if not swept:
            swept.append(path)
            scratch.sweep(tmp_path)
        return opened(path, flags, mode)

    monkeypatch.setattr("bids_t1.scratch.os.open", overtaken)
    with scratch.scratch(tmp_path) as folder:
        assert swept[0].parent != folder
        assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_a_killed_process_had_moved_away_comes_back(tmp_path: Path) -> None:
    publish(tmp_path, "anat/a")
    with filling(tmp_path, "between") as killed:
        killed.wait()
    assert not (tmp_path / "sub-01").exists()
    scratch.sweep(tmp_path)
    assert files(tmp_path) == ["sub-01/anat/a"]
    assert [path.name for path in tmp_path.iterdir()] == ["sub-01"]


@pytest.mark.parametrize(("age", "stays"), [(3600, True), (3 * 24 * 3600, False)])
def test_what_another_machine_left_waits_until_it_is_old(tmp_path: Path, age: float, stays: bool) -> None:
    folder = tmp_path / f"{scratch.PREFIX}ffffffff-abc"
    folder.mkdir()
    (folder / "owner").touch()
    os.utime(folder, (time.time() - age,) * 2)
    scratch.sweep(tmp_path)
    assert folder.exists() == stays


def test_sweeping_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "dicom-1").mkdir()
    scratch.sweep(tmp_path)
    scratch.sweep(tmp_path / "none")
    assert names(tmp_path) == [".hidden", "dicom-1"]


def test_a_file_that_is_there_with_the_same_bytes_is_not_touched(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "text")
    os.utime(tmp_path / "a", (1, 1))
    write_whole(tmp_path / "a", "text")
    assert (tmp_path / "a").stat().st_mtime == 1
    write_whole(tmp_path / "a", "other")
    assert (tmp_path / "a").read_text() == "other"


def test_contents_and_names_are_on_the_disk_before_a_folder_is_said_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    publish(tmp_path, "anat/a")
    assert set(synced[:-1]) == {"a", "anat", "sub-01"}
    assert synced[-1] == tmp_path.name


@pytest.fixture
def _stoppable() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, stop)
    yield
    signal.signal(signal.SIGINT, before)
    forget_stop()


@pytest.mark.usefixtures("_stoppable")
def test_an_interruption_waits_for_the_end_of_an_exchange() -> None:
    done = []

    def exchange() -> None:
        with without_stopping(), without_stopping():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")

    with pytest.raises(Interrupted):
        exchange()
    assert done == ["whole"]
