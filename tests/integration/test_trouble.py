"""Full disks, several commands at once and interrupts at random moments: nothing half-written, the same results after.

``BIDS_T1_KILLS=30 pytest -m slow tests/integration/test_trouble.py`` fills 30 disks and interrupts 30 commands.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.command import leftovers, listing
from tests.corpus.forks import Fork, preload
from tests.corpus.verdict import BUG
from tests.small_bids import write_root, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.corpus.forks import Ran

pytestmark = pytest.mark.slow

N_TIMES = int(os.environ.get("BIDS_T1_KILLS", "3"))
AT_ONCE = 10
ROOMY = "64m"
COUNT = count()


def start(bids_dir: Path, out_dir: Path) -> Fork:
    """Start the command in a fork, whose modules are loaded; nothing half-written depends on brain and tissues."""
    out_dir.parent.mkdir(exist_ok=True)
    said = bids_dir.parent / f"said-{next(COUNT)}"
    return Fork([str(bids_dir), str(out_dir), "participant", "--device", "cpu", "--maps-only"], said)


def finish(bids_dir: Path, out_dir: Path) -> Ran:
    return start(bids_dir, out_dir).wait()


@pytest.fixture(scope="module")
def bids_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three participants."""
    preload()
    root = write_root(tmp_path_factory.mktemp("data") / "bids")
    for label in ("01", "02", "03"):
        write_run(root, label)
    return root


@pytest.fixture(scope="module")
def finished(bids_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("finished") / "out"
    ended = finish(bids_dir, out_dir)
    assert ended.code == 0, ended.said
    return out_dir


def maps(out_dir: Path) -> dict[str, str]:
    """Return a digest of each image that is there."""
    return {name: digest for name, (digest, _) in listing(out_dir).items() if name.endswith(".nii.gz")}


def results(out_dir: Path) -> dict[str, tuple[str, int]]:
    """Return a digest of every file, but for the one that says where the input lies."""
    return {name: found for name, found in listing(out_dir).items() if name != "dataset_description.json"}


def mount(*options: str) -> bool:
    """Mount a disk in memory, and tell whether that is allowed."""
    program = shutil.which("mount")
    return program is not None and subprocess.run([program, *options], check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a disk in memory, where that is allowed."""
    folder.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("no permission to mount a disk in memory")
    try:
        yield
    finally:
        subprocess.run([str(shutil.which("umount")), str(folder)], check=True)


def test_a_full_disk_leaves_whole_files_only_and_a_larger_one_the_same_results(
    tmp_path: Path, bids_dir: Path, finished: Path
) -> None:
    needed = sum(path.lstat().st_blocks * 512 for path in finished.rglob("*"))
    sizes, n_full = random.Random(1), 0  # noqa: S311 - no secret
    for number in range(N_TIMES):
        folder = tmp_path / str(number)
        with small_disk(folder, f"{max(8, round(needed * sizes.uniform(0.02, 1.2) / 1024))}k"):
            out_dir = folder / "out"
            ended = finish(bids_dir, out_dir)
            assert not BUG.search(ended.said), ended.said
            assert leftovers(out_dir) == []
            assert maps(out_dir).items() <= maps(finished).items()
            n_full += ended.code != 0
            assert mount("-o", f"remount,size={ROOMY}", str(folder))
            again = finish(bids_dir, out_dir)
            assert again.code == 0, again.said
            assert leftovers(out_dir) == []
            assert results(out_dir) == results(finished)
    sys.stdout.write(f"{n_full} of {N_TIMES} disks were too small for {needed / 1024:.0f} kB\n")
    assert n_full


def test_commands_that_run_at_once_give_the_results_of_one(tmp_path: Path, bids_dir: Path, finished: Path) -> None:
    out_dir = tmp_path / "out"
    running = [start(bids_dir, out_dir) for _ in range(AT_ONCE)]
    ended = [fork.wait() for fork in running]
    said = "".join(one.said for one in ended)
    assert [one.code for one in ended] == [0] * AT_ONCE, said
    assert not BUG.search(said), said
    assert leftovers(out_dir) == []
    assert results(out_dir) == results(finished)


def test_an_interrupted_command_says_so_and_the_same_one_goes_on(
    tmp_path: Path, bids_dir: Path, finished: Path
) -> None:
    began = time.monotonic()
    finish(bids_dir, tmp_path / "timed")
    duration = time.monotonic() - began
    moments, n_stopped = random.Random(2), 0  # noqa: S311 - no secret
    for number in range(N_TIMES):
        out_dir = tmp_path / str(number) / "out"
        fork = start(bids_dir, out_dir)
        time.sleep(duration * moments.uniform(0.1, 0.9))
        fork.send(signal.SIGINT)
        ended = fork.wait()
        assert ended.code in {0, 130}, ended.said
        assert not BUG.search(ended.said), ended.said
        n_stopped += ended.code == 130
        assert leftovers(out_dir) == []
        assert maps(out_dir).items() <= maps(finished).items()
        again = finish(bids_dir, out_dir)
        assert again.code == 0, again.said
        assert results(out_dir) == results(finished)
    sys.stdout.write(f"{n_stopped} of {N_TIMES} interrupted within {duration:.1f} s\n")
    assert n_stopped
