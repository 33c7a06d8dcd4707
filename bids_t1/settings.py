"""Every choice of one run, made once and passed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Efficiency = Literal["free", "learned", "ideal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The command line, checked."""

    bids_dir: Path
    out_dir: Path
    work_dir: Path
    participants: tuple[str, ...]
    sessions: tuple[str, ...]
    filter_file: Path | None
    database: Path | None
    efficiency: Efficiency
    noise: Literal["floor", "gaussian", "rician"]
    restore_polarity: bool
    t1_range: tuple[float, float]
    device: str
    skip_validation: bool
    reports_only: bool
    stop_on_first_crash: bool
    n_processes: int
    n_threads: int
    """Of each process."""

    memory_mb: int | None
    """What a run may need at most [MB]; None: no limit."""

    command: str
    """The command line without its paths."""
