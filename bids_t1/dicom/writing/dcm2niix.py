"""dcm2niix as a subprocess: within limits of time, memory and disk, and its warnings read."""

from __future__ import annotations

import importlib.util
import logging
import re
import resource
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bids_t1.data.errors import InputOutputError, InvalidInputError
from bids_t1.dicom.reading.privacy import said_by_dcm2niix
from bids_t1.stopping import stop_if_asked

LOG = logging.getLogger(__name__)

_TIMEOUT = 1800
"""Longest time dcm2niix may take for one volume [s]."""

_LOOKS_EVERY = 0.5
"""Time after which a thread that waits for it looks whether the process is asked to stop [s]."""

_OPTIONS = ("-b", "y", "-ba", "y", "-c", "", "-g", "i", "-p", "y", "-z", "n")
"""A sidecar without names; no image comments; no defaults of the user's home; Philips signal and not display
values; no compression, because the header is corrected before."""

_OPTIONS_OF_MAPS = tuple("n" if before == "-p" else word for before, word in pairwise(("", *_OPTIONS)))
"""Values as the Philips console displays them: those of computed maps have a unit (rordenlab/dcm2niix#743)."""

_SHOWN_OF_LOG = 5
"""Last lines of dcm2niix that an error repeats."""

_MEMORY = 2**30
_MEMORY_PER_VOXEL = 32
"""Memory that it may take, beside twice the size of its files [byte]: single precision takes four per voxel."""

_FILE = 2**26
_FILE_PER_VOXEL = 16
"""Largest file that it may write [byte]."""

_MIB = 2**20

_ABOUT_PIXELS = re.compile(
    r"interslice|slice (order|direction|dimensions|orientation|positions?)|slices (were|not) |flipped|upside down|"
    r"slope|intercept|intensity scal|scaling|instance number|missing images|images may be missing|spatial|"
    r"distance between slices|gantry|slice thickness|corrupt|decode|decompress|transfer syntax|stacked|bit.depth|"
    r"rle |jpeg|pixelspacing|equidistant|spatial position|equalize",
    re.IGNORECASE,
)
"""What it says of values and places, which are compared with the DICOM files; where they cannot be, it is believed."""

_WITHOUT_EFFECT = re.compile(
    r"slice tim|slicetim|protocol data block|phase.encod|polarity|moco|seconds between volumes|bval|bvec|b-value|dti|"
    r"fieldmap|manufacturer|bids|readout time|dwell|csa |repetition time|\btr\b|series number|acquisition numbers|"
    r"coil variation|volume number|study date|pigz|localizer|overlay|echo number|trigger|anonymiz|ini file",
    re.IGNORECASE,
)
"""What it says of timing of slices, diffusion and names: nothing of that is used. Times come from the headers."""


@dataclass(frozen=True, slots=True)
class Made:
    """What dcm2niix made of one volume, and said of it."""

    image: Path
    doubts: tuple[str, ...]
    """Warnings about values and places of pixels."""

    warnings: tuple[str, ...]
    """Warnings that are not known, in its own words without anything of the headers."""


def run_dcm2niix(  # noqa: PLR0913 - two folders, and what is known of the volume
    source: Path, made: Path, n_voxels: int, *, display: bool, where: str, never: frozenset[str]
) -> Made:
    """Convert a folder that holds one volume.

    Parameters
    ----------
    source, made
        Folders of the DICOM files, and for the image.
    n_voxels
        Number of voxels of the image, from which limits of memory and disk follow.
    display
        Take values as the console of Philips displays them.
    where
        What to call the volume in an error.
    never
        Words of the patient, which are never repeated.

    Raises
    ------
    InvalidInputError
        If there is no image, or a limit was hit.
    InputOutputError
        If the program is not there or cannot be started.
    """
    options = _OPTIONS_OF_MAPS if display else _OPTIONS
    command = [dcm2niix_binary(), "-f", "image", "-o", str(made), *options, str(source)]
    packed = sum(path.stat().st_size for path in source.iterdir())
    limits = _Limits(
        memory=_MEMORY + 2 * packed + _MEMORY_PER_VOXEL * n_voxels, file=_FILE + _FILE_PER_VOXEL * n_voxels
    )
    status, said = _run(command, limits, where)
    told = said_by_dcm2niix(said, never)
    LOG.debug("%s: %s", where, told)
    images = sorted(made.glob("*.nii"))
    if status or len(images) != 1:
        raise InvalidInputError(
            f"{where}: dcm2niix ended with status {status}{limits.told(status)} and {len(images)} images; expected "
            f"one. Check the files of this series. It said: {' | '.join(told.splitlines()[-_SHOWN_OF_LOG:])}"
        )
    doubts, others = _warnings(said)
    return Made(images[0], tuple(said_by_dcm2niix(line, never) for line in doubts), _shown(others, never))


@dataclass(frozen=True, slots=True)
class _Limits:
    """What dcm2niix may take [byte]."""

    memory: int
    file: int

    def set_for(self, process: int) -> None:
        """Limit a process that has just begun; where the system has no such call, nothing is limited."""
        if not hasattr(resource, "prlimit"):
            return
        for kind, value in ((resource.RLIMIT_AS, self.memory), (resource.RLIMIT_FSIZE, self.file)):
            with suppress(OSError, ValueError):  # it has ended already, or is limited further
                resource.prlimit(process, kind, (value, value))

    def told(self, status: int) -> str:
        """Say which limit a status stands for."""
        if status == -signal.SIGXFSZ:
            return f" (it wrote a file of more than {self.file // _MIB} MiB)"
        return f" (perhaps it needed more than {self.memory // _MIB} MiB of memory)" if status < 0 else ""


def _run(command: list[str], limits: _Limits, where: str) -> tuple[int, str]:
    """Run a program within limits; return its status and what it said."""
    try:
        # no shell, and every argument is ours
        with subprocess.Popen(  # noqa: S603 # nosec B603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace",
        ) as process:  # fmt: skip
            limits.set_for(process.pid)
            try:
                said = _said(process)
            except BaseException:
                process.kill()
                raise
            return process.returncode, said
    except subprocess.TimeoutExpired as error:
        raise InvalidInputError(
            f"{where}: dcm2niix has not ended after {_TIMEOUT} s; expected seconds. Check the files of this series."
        ) from error
    except OSError as error:
        raise InputOutputError(
            f"{where}: dcm2niix cannot be started ({error.strerror}); expected a program. Install it again."
        ) from error


def _said(process: subprocess.Popen[str]) -> str:
    """Return what a program said when it has ended; where this thread is not the one that is asked to stop, it looks.

    Raises
    ------
    TimeoutExpired
        If the program goes on for too long.
    Stopped
        If the process is asked to stop.
    """
    latest = time.monotonic() + _TIMEOUT
    while True:
        try:
            return process.communicate(timeout=min(_TIMEOUT, _LOOKS_EVERY))[0]
        except subprocess.TimeoutExpired:
            stop_if_asked()
            if time.monotonic() >= latest:
                raise


def _warnings(said: str) -> tuple[list[str], list[str]]:
    """Return its warnings about pixels, and those that are not known; the others are without effect here."""
    lines = [
        line.split(":", 1)[1].strip()
        for line in said.splitlines()
        if re.match(r"(warning|error):", line, re.IGNORECASE)
    ]
    doubts = [line for line in lines if _ABOUT_PIXELS.search(line)]
    return doubts, [line for line in lines if line not in doubts and not _WITHOUT_EFFECT.search(line)]


def _shown(lines: list[str], never: frozenset[str]) -> tuple[str, ...]:
    """Return unknown warnings as the user may see them: known words, no numbers, no paths."""
    words = (re.sub(r"\S*[/\\0-9]\S*", "", line) for line in lines)
    told = (f"dcm2niix warns: {' '.join(said_by_dcm2niix(line, never).split())}" for line in words)
    return tuple(dict.fromkeys(told))


def dcm2niix_binary() -> str:
    """Return the dcm2niix that comes with its Python package, else the one on the PATH.

    Raises
    ------
    InputOutputError
        If there is none.
    """
    package = importlib.util.find_spec("dcm2niix")
    if package is not None and package.origin is not None:
        packaged = Path(package.origin).with_name("dcm2niix")
        if packaged.is_file():
            return str(packaged)
    found = shutil.which("dcm2niix")
    if found is None:
        raise InputOutputError(
            "dcm2niix: not found; expected its Python package, or the program on the PATH. Install either."
        )
    return found
