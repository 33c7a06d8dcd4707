"""An array of Slurm with one task killed is complete once the same line was submitted again."""

from __future__ import annotations

import csv
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.command import leftovers, listing
from tests.container.commands import ROOT, USER, Answer, succeed
from tests.container.conftest import FIGURES
from tests.container.results import assert_same_maps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

SUBMIT = ROOT / "examples" / "slurm" / "submit.sh"


def wait_until(done: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


class Cluster:
    """A scheduler, a folder of jobs in it, and the line that submits them."""

    def __init__(self, user: str, folder: Path, phantom: Path, environment: dict[str, str]) -> None:
        self.user = user
        self.folder = folder
        self.phantom = phantom
        self.environment = environment

    def command(self, *words: str | Path) -> Answer:
        return succeed("runuser", "-u", self.user, "--", *words, cwd=self.folder, env=self.environment)

    def submit(self) -> str:
        """Submit all participants; return the identifier of the array."""
        said = self.command(SUBMIT, self.phantom, "out", "--device", "cpu").said
        found = re.search(r"array (\d+);", said)
        assert found, said
        return found[1]

    def queue(self, *words: str) -> str:
        return self.command("squeue", "--noheader", *words).said

    def wait(self) -> None:
        wait_until(lambda: not self.queue())


@pytest.fixture(params=["plain", "sif"])
def cluster(request: pytest.FixtureRequest, place: Path, phantom: Path, slurm: dict[str, str]) -> Iterator[Cluster]:
    """Return a folder from which jobs run the plain command as root, who may own it, or the SIF as an ordinary user."""
    folder = place / "jobs"
    folder.mkdir()
    user = "root"
    environment = {**slurm, "BIDS_T1_CPUS": "1"}
    if request.param == "sif":
        user = USER
        environment["BIDS_T1_SIF"] = str(request.getfixturevalue("sif"))
    shutil.chown(folder, user)
    yield Cluster(user, folder, phantom, environment)
    shutil.rmtree(folder)


def test_array_with_a_killed_task_is_completed_by_the_same_line(cluster: Cluster, plain: Path) -> None:
    started = time.monotonic()
    out_dir = cluster.folder / "out"
    killed = f"{cluster.submit()}_2"
    wait_until(lambda: "RUNNING" in cluster.queue("--job", killed, "--format", "%T"))
    cluster.command("scancel", "--signal", "KILL", killed)
    cluster.wait()
    assert not (out_dir / "sub-03.html").exists()
    maps = {name: seen for name, seen in listing(out_dir, times=True).items() if name.endswith(".nii.gz")}
    assert {name[:6] for name in maps} == {"sub-01", "sub-02", "sub-04"}

    cluster.submit()
    cluster.wait()
    after = listing(out_dir, times=True)
    assert {name: after[name] for name in maps} == maps
    for participant in ("01", "02", "03", "04"):
        assert_same_maps(out_dir, plain, participant)
    assert not leftovers(out_dir)
    with (out_dir / "group_participants.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["participant_id"] for row in rows] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    FIGURES.append(f"Slurm, four tasks, one killed, submitted again: {time.monotonic() - started:.0f} s")


def test_warning_of_the_scheduler_ends_a_task_cleanly(cluster: Cluster, head: Path) -> None:
    cluster.phantom = head
    array = cluster.submit()
    log = cluster.folder / f"bids_t1-{array}_0.out"
    wait_until(lambda: log.exists() and "readouts" in log.read_text(encoding="utf-8"))
    cluster.command("scancel", "--batch", "--signal", "TERM", f"{array}_0")
    cluster.wait()
    assert "stopped" in log.read_text(encoding="utf-8")
    assert not list((cluster.folder / "out").rglob("*.nii.gz"))
