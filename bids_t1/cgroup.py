"""What this job has: memory, by the limits that schedulers and containers set or what is free, and perhaps a GPU."""

from __future__ import annotations

from pathlib import Path

UNLIMITED = 2**60
"""Limits from here on are none [bytes]."""


GPUS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
"""What systems with a GPU have one of: NVIDIA, its small boards, Windows, AMD."""


def may_have_gpu() -> bool:
    """Tell whether there may be a GPU; where not, none need be looked for."""
    return any(Path(device).exists() for device in GPUS)


def memory_of_job(root: Path = Path("/")) -> int | None:
    """Return the memory that this process and its siblings may take together [MB]; None where there is no limit.

    Control groups of version 2 and 1, from the group of this process up to the top; inside of a container the top is
    the container's own.

    Parameters
    ----------
    root
        Root of the file system.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    limits = [limit for group in groups for file in _files(root, group) if (limit := _limit(file)) is not None]
    return min(limits) // 10**6 if limits else None


def memory_available(root: Path = Path("/")) -> int | None:
    """Return the memory that is free on this machine [MB]; None where the kernel does not say."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    amount = known.get("MemAvailable", "").split()
    return int(amount[0]) * 1024 // 10**6 if amount and amount[0].isdecimal() else None


def _files(root: Path, group: str) -> list[Path]:
    """Return where the limits of a line of /proc/self/cgroup may stand."""
    _, controllers, path = group.split(":", 2)
    if controllers and "memory" not in controllers.split(","):
        return []
    top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
    name = "memory.limit_in_bytes" if controllers else "memory.max"
    inner = top / path.lstrip("/")
    return [folder / name for folder in (inner, *inner.parents) if folder.is_relative_to(top)]


def _limit(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) < UNLIMITED else None
