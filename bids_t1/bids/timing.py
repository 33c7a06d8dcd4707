"""How long each stage took, in a table of its own: the one file that differs when the same is done again."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from bids_t1.data.entities import stem_of
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.timing import Lap, Stage, TimeTaken, time_taken
from bids_t1.storage import as_tsv
from bids_t1.untrusted import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LOG = logging.getLogger(__name__)

ENDING = "_timing.tsv"

COLUMNS = ("stage", "of", "seconds", "processor_seconds")


def timing_path(out_dir: Path, participant: str, session: str | None) -> Path:
    """Return where the table of a participant or session lies."""
    return out_dir / "logs" / f"{stem_of(participant, session)}{ENDING}"


def write_timing(path: Path, laps: Iterable[Lap]) -> None:
    """Write the stages of a participant or session where nobody sees them yet, in the order in which they were."""
    path.parent.mkdir(exist_ok=True)
    rows = ((lap.stage, lap.of, f"{lap.seconds:.2f}", f"{lap.processor_seconds:.2f}") for lap in laps)
    path.write_text(as_tsv(COLUMNS, rows), encoding="utf-8")


def read_time_taken(out_dir: Path, participant: str) -> TimeTaken | None:
    """Return what a participant took, all sessions together; None where no table says so."""
    of_sessions = (out_dir / "logs").glob(f"{stem_of(participant, '*')}{ENDING}")
    paths = [path for path in (timing_path(out_dir, participant, None), *sorted(of_sessions)) if path.is_file()]
    try:
        laps = [lap for path in paths for lap in _read(path)]
    except InvalidInputError as error:
        LOG.warning("sub-%s: %s How long it took is left out.", participant, error)
        return None
    return time_taken(participant, laps) if laps else None


def _read(path: Path) -> list[Lap]:
    """Read the table of a participant or session.

    Raises
    ------
    InvalidInputError
        If it is no such table.
    """
    head, *lines = read_text(path).splitlines() or [""]
    try:
        return [_lap(dict(zip(head.split("\t"), line.split("\t"), strict=True))) for line in lines]
    except (KeyError, ValueError) as error:
        raise InvalidInputError(
            f"{path.name}: is no table of {', '.join(COLUMNS)} with times of 0 s and more. Remove it, or process the "
            "participant again with --force."
        ) from error


def _lap(row: Mapping[str, str]) -> Lap:
    seconds, processor = float(row["seconds"]), float(row["processor_seconds"])
    if not (0 <= seconds < math.inf and 0 <= processor < math.inf):
        raise ValueError
    return Lap(stage=Stage(row["stage"]), of=row["of"], seconds=seconds, processor_seconds=processor)
