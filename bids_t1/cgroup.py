"""What this job has: memory and processors, by limits of schedulers and containers or what is free; perhaps a GPU."""

from __future__ import annotations

from pathlib import Path

UNLIMITED = 2**60
"""Limits from here on are none [bytes]."""

_MEMORY = ("memory.max", "memory.limit_in_bytes")
_QUOTA = ("cpu.max", "cpu.cfs_quota_us")
"""Files of limits in both versions of control groups."""

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
    limits = [limit for file in _files(root, "memory", _MEMORY) if (limit := _limit(file)) is not None]
    return min(limits) // 10**6 if limits else None


def processors_of_job(root: Path = Path("/")) -> int | None:
    """Return how many processors' time this process and its siblings may take together; None where there is no limit.

    Parameters
    ----------
    root
        Root of the file system.
    """
    shares = [share for file in _files(root, "cpu", _QUOTA) if (share := _share(file)) is not None]
    return max(1, int(min(shares))) if shares else None


def memory_available(root: Path = Path("/")) -> int | None:
    """Return the memory that is free on this machine [MB]; None where the kernel does not say."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    amount = known.get("MemAvailable", "").split()
    return int(amount[0]) * 1024 // 10**6 if amount and amount[0].isdecimal() else None


def _files(root: Path, controller: str, names: tuple[str, str]) -> list[Path]:
    """Return where the limits of a controller may stand, in versions 2 and 1, for each line of /proc/self/cgroup."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [file for group in groups for file in _of_group(root, group, controller, names)]


def _of_group(root: Path, group: str, controller: str, names: tuple[str, str]) -> list[Path]:
    _, controllers, path = group.split(":", 2)
    if controllers and controller not in controllers.split(","):
        return []
    top = root / "sys/fs/cgroup" / (controller if controllers else "")
    inner = top / path.lstrip("/")
    return [folder / names[bool(controllers)] for folder in (inner, *inner.parents) if folder.is_relative_to(top)]


def _limit(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) < UNLIMITED else None


def _share(file: Path) -> float | None:
    """Return the time of processors that a file allows, over the time in which it may be taken."""
    try:
        text = file.read_text(encoding="utf-8")
        if file.name == _QUOTA[1]:
            text += file.with_name("cpu.cfs_period_us").read_text(encoding="utf-8")
    except OSError:
        return None
    numbers = text.split()
    limited = len(numbers) == 2 and all(number.isdecimal() and int(number) for number in numbers)  # noqa: PLR2004
    return int(numbers[0]) / int(numbers[1]) if limited else None
