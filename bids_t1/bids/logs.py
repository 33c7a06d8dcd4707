"""The logs of participants: where they lie, and what they say without a map being read."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from bids_t1.data.entities import stem_of
from bids_t1.data.errors import InputOutputError, InvalidInputError
from bids_t1.data.result import warnings_of, with_names
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from pathlib import Path

DAMAGED_LOG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, InvalidInputError)
"""What reading a log raises that lacks something or holds something else in its place."""


def log_path(out_dir: Path, participant: str, session: str | None) -> Path:
    """Return where the log of a participant or session lies."""
    return out_dir / "logs" / f"{stem_of(participant, session)}.json"


def log_paths(out_dir: Path, participant: str) -> list[Path]:
    """Return the logs there are of a participant, that outside of sessions first."""
    of_sessions = (out_dir / "logs").glob(f"sub-{participant}_ses-*.json")
    paths = [
        log_path(out_dir, participant, None),
        *sorted(path for path in of_sessions if path.suffixes == [".json"]),  # beside records of conversions
    ]
    return [path for path in paths if path.is_file()]


def read_log(path: Path) -> dict[str, Any]:
    """Return what a log says; raise `InputOutputError` where it cannot be read."""
    try:
        return read_json(path)
    except InvalidInputError as error:
        raise InputOutputError(f"{error} This is a log. Process the participant again.") from error


def read_warnings(out_dir: Path, participant: str) -> tuple[str, ...]:
    """Read what is to be known with the numbers of a participant, from its logs alone."""
    logs = [read_log(path) for path in log_paths(out_dir, participant)]
    every = {key: list(chain.from_iterable(log[key] for log in logs)) for key in ("runs", "anatomies", "comparisons")}
    return with_names(
        list(chain.from_iterable(log["warnings"] for log in logs)),
        [
            *((one["name"], one["warnings"]) for key in ("runs", "anatomies") for one in every[key]),
            *(
                (one["moving"], warnings_of(one["fixed"], one["alignment"]["reasons"], one["warnings"]))
                for one in every["comparisons"]
            ),
        ],
    )
