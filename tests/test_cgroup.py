"""The limits of a job are read from either version of control groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bids_t1.cgroup import memory_of_job, processors_of_job

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/job/task\n", {"job/task/memory.max": "max", "job/memory.max": "4000000000"}, 4000),
        ("0::/job/task\n", {"job/task/memory.max": "2000000000", "job/memory.max": "4000000000"}, 2000),
        ("5:cpu,cpuacct:/job\n4:memory:/job\n", {"memory/job/memory.limit_in_bytes": "3000000000"}, 3000),
        ("4:memory:/job\n", {"memory/memory.limit_in_bytes": "1000000000"}, 1000),
        ("4:memory:/job\n", {"memory/job/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/\n", {}, None),
        (None, {}, None),
    ],
    ids=["parent", "own", "version 1", "container", "no limit", "nothing", "no groups"],
)
def test_the_lowest_limit_counts(
    tmp_path: Path, groups: str | None, files: dict[str, str], expected: int | None
) -> None:
    lay_out(tmp_path, groups, files)
    assert memory_of_job(tmp_path) == expected


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/job/task\n", {"job/task/cpu.max": "max 100000", "job/cpu.max": "400000 100000"}, 4),
        ("0::/job\n", {"job/cpu.max": "150000 100000"}, 1),
        ("0::/job\n", {"job/cpu.max": "50000 100000"}, 1),
        ("5:cpu,cpuacct:/job\n", {"cpu/job/cpu.cfs_quota_us": "200000", "cpu/job/cpu.cfs_period_us": "100000"}, 2),
        ("5:cpu,cpuacct:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/job\n", {"cpu/job/cpu.cfs_quota_us": "200000", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        ("0::/\n", {}, None),
        (None, {}, None),
    ],
    ids=["parent", "one and a half", "half", "version 1", "no limit", "of memory", "nothing", "no groups"],
)
def test_a_share_of_the_time_of_processors_is_so_many_of_them(
    tmp_path: Path, groups: str | None, files: dict[str, str], expected: int | None
) -> None:
    lay_out(tmp_path, groups, files)
    assert processors_of_job(tmp_path) == expected


def lay_out(root: Path, groups: str | None, files: dict[str, str]) -> None:
    if groups is not None:
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
