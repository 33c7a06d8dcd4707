"""The command line, run in this process."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import dcmread

from bids_t1.bids.timing import ENDING as TIMING
from bids_t1.cli import main
from bids_t1_phantom.cli import main as make_phantom

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PHANTOM = ("--resolution", "4", "--slices", "1", "--inversion-times", "0.05", "0.2", "0.5", "1.2", "2.5", "4.5")


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    said: str
    """Everything printed."""


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """Leave the loggers as they were: the command configures them for its process."""
    logger = logging.getLogger("bids_t1")
    before = logger.handlers[:], logger.level, logger.propagate
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        logger.handlers[:], logger.propagate = before[0], before[2]
        logger.setLevel(before[1])


def run(*arguments: str | Path) -> Answer:
    """Run ``bids_t1`` with arguments."""
    said = io.StringIO()
    with _own_logging(), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    return Answer(code, said.getvalue())


def participant(bids_dir: Path, out_dir: Path, *options: str | Path) -> Answer:
    """Run the participant level on the processor, for the maps of each run by itself."""
    return run(bids_dir, out_dir, "participant", "--device", "cpu", "--maps-only", *options)


def whole(bids_dir: Path, out_dir: Path, *options: str | Path) -> Answer:
    """Run the participant level on the processor, with brain, tissues and registration."""
    return run(bids_dir, out_dir, "participant", "--device", "cpu", *options)


def phantom(folder: Path, *options: str) -> Path:
    """Make a small phantom."""
    assert make_phantom([str(folder), *PHANTOM, *options]) == 0
    return folder


def listing(folder: Path, *, times: bool = False) -> dict[str, tuple[str, int]]:
    """Every file below a folder with a hash of its content, and its time of change where asked.

    How long something took is never the same: of such a table it counts that it is there.
    """
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.name.endswith(TIMING) else "",
            path.lstat().st_mtime_ns if times else 0,
        )
        for path in sorted(folder.rglob("*"))
    }


IDENTIFYING = (
    "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "InstitutionName", "StudyInstanceUID",
    "StationName", "ReferringPhysicianName", "StudyDate",
)  # fmt: skip
"""Keywords of DICOM headers."""


def secrets_of(dicom_dir: Path) -> set[str]:
    """Return what the header of a scanner file says of patient, place and day."""
    header = dcmread(next(dicom_dir.rglob("*.dcm")))
    secrets = {str(header[key].value) for key in IDENTIFYING if header.get(key)}
    assert "PHANTOM^PRIVACY" in str(secrets)
    assert len(secrets) >= 3
    return secrets


def betrayed(folder: Path, secrets: Iterable[str]) -> list[str]:
    """Return the files that hold a secret, in content or name."""
    found = []
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        # Also what there is of a file that is being written.
        content = zlib.decompressobj(wbits=31).decompress(content) if path.suffix == ".gz" else content
        found += [f"{secret} in {path}" for secret in secrets if secret.encode() in content or secret in path.name]
    return found


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders that should not have stayed."""
    return [str(path) for path in folder.rglob(".*") if path.name != ".bidsignore"]


@dataclass(frozen=True)
class Finished:
    """A dataset that was processed."""

    bids_dir: Path
    out_dir: Path
    answer: Answer
