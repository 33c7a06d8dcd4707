"""What the runs of all sequences share: where numbers come from, what memory they need, who speaks in an error."""

from __future__ import annotations

import logging
import math
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from tqdm import tqdm

from bids_t1.arguments import dashed
from bids_t1.cgroup import memory_available
from bids_t1.data.errors import InvalidInputError, NotEnoughMemoryError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.coverage import cover
from bids_t1.estimation.scale import unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import Acquisition, Kind, ReadoutSeries, Series, TransmitImages
    from bids_t1.data.estimate import Estimate, NoiseLevels
    from bids_t1.data.shapes import Labels, Measurements
    from bids_t1.estimation.coverage import Coverage
    from bids_t1.estimation.curves.engine import NoiseHandling
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What there is of one run, not yet opened."""

    acquisition: Acquisition
    raw: Path
    """Root of the dataset that it lies in."""

    transmit_fields: tuple[TransmitImages, ...] = ()
    """Every measurement of the transmit field of the participant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a run would be measured from: all of it was read, nothing computed."""

    sequence: str
    """What its maps are called after."""

    n_images: int
    kind: str
    """Which images, in words."""

    shape: tuple[int, ...]
    transmit: str = ""
    """The file that tells the transmit field."""

    lacking: frozenset[str] = frozenset()
    """Quantities of which these images give no map, with these options."""

    perhaps: Mapping[str, str] = field(default_factory=dict)
    """Where the images decide whether there is a map: when there is one, by its quantity."""

    warnings: tuple[str, ...] = ()


PROGRAM = 1e9
"""What the program itself takes at most [bytes]."""


def versions() -> dict[str, str]:
    """Return the versions of this program and of what computes its numbers."""
    return {name: version(name) for name in ("bids_t1", "torch", "numpy", "nibabel", "pybids", "pydicom", "dcm2niix")}


def uris(paths: Sequence[Path], raw: Path, settings: Settings) -> list[str]:
    """Return the BIDS URIs of files of a raw dataset; of files elsewhere, their names."""
    link = "raw" if raw == settings.bids_dir else "converted"
    return [
        f"bids:{link}:{path.relative_to(raw).as_posix()}" if path.is_relative_to(raw) else path.name for path in paths
    ]


def if_valid(read: Callable[[str], float | None], key: str) -> float | None:
    """Read a field that enters no computation: one that cannot be used is left out of the record, not refused."""
    try:
        return read(key)
    except InvalidInputError:
        return None


def field_strength_of(series: Series | ReadoutSeries) -> float | None:
    """Return the field strength of the images [T]; None where it is not known."""
    return if_valid(series.sidecars[0].number, "MagneticFieldStrength")


def noise_record(kind: Kind, fitted: Estimate, handling: NoiseHandling) -> dict[str, object]:
    """Say how the noise was found and what was really done to magnitudes."""
    noise = fitted.noise
    residual = noise.residual if fitted.degrees_of_freedom else None
    background = {"Background": _background(noise)} if kind == "magnitude" else {}
    levels = {"Background": noise.background, "Residual": residual, "Origin": noise.origin}
    return {"NoiseHandling": done_to_noise(kind, fitted, handling), **background, "NoiseSD": levels}


def done_to_noise(kind: Kind, fitted: Estimate, handling: NoiseHandling) -> NoiseHandling:
    """Return what was really done: the mean share of noise is taken off only where it is known."""
    if kind != "magnitude":
        return "gaussian"
    noise = fitted.noise
    if handling == "floor" and noise.one_channel is None:
        return "gaussian"
    return "floor" if handling == "rician" and noise.is_known and noise.coils > 1 else handling


def covered(acquisition: Acquisition, images: Measurements | None, status: Labels, noise_sd: float) -> Coverage:
    """Count the voxels with signal that have no estimate, and tell the terminal; see `cover`."""
    coverage = cover(images, status, noise_sd)
    others = "; ".join(f"{VoxelStatus[name].meaning}: {count}" for name, count in coverage.without.items())
    LOG.info(
        "%s: %d of %d voxels with signal have an estimate%s",
        acquisition.name,
        coverage.n_voxels - coverage.n_without,
        coverage.n_voxels,
        f" ({others})" if others else "",
    )
    return coverage


def _background(noise: NoiseLevels) -> str:
    if noise.background is None:
        return f"no air was found around the object: noise from {noise.origin}, taken as that of one channel"
    if not noise.is_known:
        return "its noise is not that of coils, or larger than what the fit leaves: its mean share is not known"
    if noise.coils > 1:
        return f"noise of a sum of squares over coils, {noise.coils:.1f} in effect"
    return "noise of one channel (Rician)"


def interval_factor(degrees_of_freedom: int) -> float | None:
    """Return the number of SDs of a 95 % interval; None where there are no residuals."""
    return float(stats.t.ppf(0.975, degrees_of_freedom)) if degrees_of_freedom > 0 else None


def require_memory(acquisition: Acquisition, memory_mb: int | None, times_images: float, n_bytes: int) -> None:
    """Refuse a run that would not fit, before a voxel of it is read.

    Parameters
    ----------
    acquisition
        The run.
    memory_mb
        What is allowed [MB]; None: what is free.
    times_images
        What images and maps take together, over the images in single precision.
    n_bytes
        What the images take, from their headers.
    """
    allowed = memory_mb or memory_available()
    needed = (times_images * n_bytes + PROGRAM) / 1e6
    if allowed is not None and needed > allowed:
        raise NotEnoughMemoryError(
            f"{acquisition.name}: needs {needed:.0f} MB, and may take {allowed} (--mem-mb, else the limit of the job, "
            "else what is free). Give it more."
        )


@contextmanager
def naming(acquisition: Acquisition) -> Iterator[None]:
    """Put run and option into messages of the physics and the engine, which know no files and no command line."""
    try:
        yield
    except InvalidInputError as error:
        name, _, value = error.remedy.partition(" ")
        advice = f" Use {dashed(name)} {value}".rstrip() + "." if name else ""
        raise InvalidInputError(f"{acquisition.name}: {error}{advice}") from error


@contextmanager
def computing(acquisition: Acquisition, shape: Sequence[int], settings: Settings) -> Iterator[Callable[[int], object]]:
    """Name the run in errors, and show a bar of the voxels done where somebody may be looking."""
    quiet = settings.running.nprocs > 1 or not sys.stderr.isatty()
    with (
        naming(acquisition),
        tqdm(total=math.prod(shape), unit="voxel", unit_scale=True, desc=str(acquisition.name), disable=quiet) as bar,
    ):
        yield bar.update


@contextmanager
def near_one(images: Measurements | None) -> Iterator[float]:
    """Divide images by a power of two while something is estimated from them, and yield it.

    Estimates then do not depend on the scale of the images. They are changed in place, and are afterwards as before:
    powers of two cost no digits.
    """
    if images is None:
        yield 1.0
        return
    unit = unit_of(images)
    # Real and imaginary parts one by one: complex arithmetic makes NaN of an infinite part.
    parts = images.view(images.real.dtype)
    np.divide(parts, np.float32(unit), out=parts)
    yield unit
    np.multiply(parts, np.float32(unit), out=parts)


def times(shape: Sequence[int]) -> str:
    """Write a shape for people."""
    return " x ".join(map(str, shape))
