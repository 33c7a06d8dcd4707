"""The limits of a job are read from either version of control groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bids_t1.cgroup import memory_of_job

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
    if groups is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert memory_of_job(tmp_path) == expected
