"""Commands run for real, and what they needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WITH_FUSE = str(HERE / "with_fuse.sh")
BIN = Path(sys.executable).parent
NOBODY = "1000:1000"
"""Who the image runs as: somebody the system need not know."""

USER = "bids_t1"
"""Who Apptainer and jobs run as, whom it has to know."""

ENVIRONMENT = {
    **os.environ,
    "CONTAINERS_CONF": str(HERE / "containers.conf"),
    "PATH": f"{BIN}:{os.environ['PATH']}",
}


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    said: str
    """Output and errors."""

    seconds: float
    peak: float
    """Most memory that it, or a process it waited for, held [MB]."""


def run(*words: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Answer:
    """Run a command to its end."""
    started = time.monotonic()
    with subprocess.Popen(
        [str(word) for word in words],
        cwd=cwd,
        env={**ENVIRONMENT, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Answer(process.returncode, said, time.monotonic() - started, usage.ru_maxrss * 1024 / 1e6)


def succeed(*words: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Answer:
    """Run a command that has to succeed."""
    answer = run(*words, cwd=cwd, env=env)
    assert answer.code == 0, f"{' '.join(map(str, words))}\n{answer.said}"
    return answer


def open_folder(path: Path) -> Path:
    """Make a folder that every user may write to."""
    path.mkdir(parents=True)
    succeed("chmod", "777", path)
    return path


def confined(bids_dir: Path, out_dir: Path) -> tuple[str, ...]:
    """Return the words of ``podman run`` that leave a container nothing but its input and its output."""
    return (
        "podman", "run", "--rm", "--read-only", "--read-only-tmpfs=false", "--network", "none", "--cap-drop", "all",
        "--security-opt", "no-new-privileges", "--user", NOBODY,
        "-v", f"{bids_dir}:/data:ro", "-v", f"{out_dir}:/out",
    )  # fmt: skip


def as_user(*words: str | Path) -> tuple[str | Path, ...]:
    """Return the words that run a command as a user without rights and without a home."""
    return (
        WITH_FUSE,
        "setpriv",
        "--reuid",
        USER,
        "--regid",
        USER,
        "--clear-groups",
        "env",
        "HOME=/nonexistent",
        *words,
    )


def contained(sif: Path, bids_dir: Path, out_dir: Path) -> tuple[str | Path, ...]:
    """Return the words of ``apptainer run`` that leave a container nothing but its input and its output."""
    flags = ("--cleanenv", "--containall", "--net", "--network", "none")
    return as_user("apptainer", "run", *flags, "-B", f"{bids_dir}:/data:ro", "-B", f"{out_dir}:/out", sif)
