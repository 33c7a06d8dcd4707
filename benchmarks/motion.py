"""What is left of motion between inversion times, and what it costs: python -m benchmarks.motion.

A head of the phantom at twice the resolution takes a random walk of poses; of each image the middle of k-space is kept,
how a scanner samples. T1 is compared in voxels that lie within one tissue and stay in the field of view in every pose.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_t1.data.grid import Grid
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.registration.images import moved
from bids_t1.registration.motion import realigned
from bids_t1.runs.head_motion import register_images
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1_phantom.head.anatomy import load_atlas
from bids_t1_phantom.head.head import Head, HeadOptions, make_head
from bids_t1_phantom.physics.simulate import inversion_recovery
from tests.runs.series import series_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Series
    from bids_t1.data.shapes import Affine, Measurements

TIMES = tuple(float(time) for time in np.geomspace(0.05, 3.0, 10))
TR = 6.0
MODEL = InversionRecovery(inversion_times=TIMES, repetition_times=(TR,) * len(TIMES))
FINE = 2
"""Voxels of the truth along an edge of a voxel."""

TISSUES = {"white matter": (0.6, 1.05), "grey matter": (1.2, 1.8)}
"""Between which T1 [s]."""


@cache
def head_at(resolution: float) -> Head:
    return make_head(load_atlas(), HeadOptions(resolution=resolution / FINE), seed=1)


def cropped(head: Head) -> tuple[slice, ...]:
    """Return a part whose edges hold whole voxels."""
    return tuple(slice(0, FINE * (length // FINE)) for length in head.grid.shape)


def coarse_grid(head: Head) -> Grid:
    affine = head.grid.affine @ np.diag([*[float(FINE)] * 3, 1.0])
    affine[:3, 3:] = moved(head.grid.affine, np.full((3, 1), (FINE - 1) / 2))
    first, second, third = (length // FINE for length in head.grid.shape)
    return Grid((first, second, third), affine)


def poses(seed: int, sd: float, centre: np.ndarray) -> list[Affine]:
    """Return a random walk of a head [sd in mm and degrees], which ends where the head lies."""
    walk = np.cumsum(np.random.default_rng(seed).normal(size=(len(TIMES), 6)), axis=0)
    walk = sd * (walk - walk[-1]) / walk.std(0)
    found = []
    for turn, shift in zip(np.deg2rad(walk[:, :3]), walk[:, 3:], strict=True):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
        pose[:3, 3] = centre - pose[:3, :3] @ centre + shift
        found.append(pose)
    return found


def sampled(fine: np.ndarray) -> np.ndarray:
    """Keep the middle of k-space: an image of voxels that are `FINE` times as wide, in the middle of which they lie."""
    space = np.fft.fftn(fine)
    for axis, length in enumerate(fine.shape):
        frequency = np.rint(np.fft.fftfreq(length) * length)
        phase = np.exp(1j * np.pi * (FINE - 1) * frequency / length) * (np.abs(frequency) < length / FINE / 2)
        kept = np.rint(np.fft.fftfreq(length // FINE) * (length // FINE)).astype(int)
        space = np.take(space * np.moveaxis(phase[:, None, None], 0, axis), kept, axis=axis)
    return np.asarray(np.fft.ifftn(space).real / FINE**3)


def images(head: Head, matrices: Sequence[Affine], snr: float, seed: int) -> Measurements:
    """Return magnitudes (time, x, y, z) of a head in one pose per time."""
    part, there = cropped(head), np.linalg.inv(head.grid.affine)
    inside = head.m0 > 0
    signals = np.zeros((len(TIMES), *head.m0.shape))
    signals[:, inside] = inversion_recovery(
        head.t1[inside], head.m0[inside], inversion_times=TIMES, repetition_times=TR, inversion_efficiency=1.93
    )
    level = float(np.median(head.m0[inside]))
    rng = np.random.default_rng([seed, 1])
    taken = []
    for signal, matrix in zip(signals, matrices, strict=True):
        back = there @ np.linalg.inv(matrix) @ head.grid.affine
        placed = signal if np.array_equal(matrix, np.eye(4)) else ndimage.affine_transform(signal, back, order=3)
        clean = sampled(placed[part]) / level
        noise = rng.normal(0, 1 / snr, (2, *clean.shape))
        taken.append(np.abs(clean + noise[0] + 1j * noise[1]))
    return np.array(taken, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one head."""

    before: float
    """Root mean square displacement of the head over all images but the reference [mm]."""

    among: float
    """How far all images lie from each other after registration, what they have in common taken off [mm]."""

    left: float
    """The same after registration [mm]."""

    errors: dict[str, dict[str, float]]
    """Root mean square error of T1 [ms] by tissue: of the head that lay still and that moved, and put back by its true
    poses and by those found."""

    lost: float
    """Share of the brain that some pose takes out of the field of view."""


def measure(resolution: float, sd: float, seed: int, snr: float) -> Outcome:
    """Scan a head that moves and one that does not."""
    head = head_at(resolution)
    grid = coarse_grid(head)
    truth = poses(seed, sd, moved(head.grid.affine, np.argwhere(head.brain).T).mean(1))
    still = as_series(images(head, [np.eye(4)] * len(TIMES), snr, seed), grid)
    moving = as_series(images(head, truth, snr, seed), grid)
    found = register_images(MODEL, len(TIMES) - 1, moving, EstimationOptions())
    maps = {
        "still": still,
        "moved": moving,
        "true poses": replace(moving, measurements=realigned(moving.measurements, truth, grid)),
        "put back": replace(moving, measurements=realigned(moving.measurements, found, grid)),
    }
    points = moved(grid.affine, np.argwhere(blocks(head.brain, head).all(-1)).T)
    still_at = np.stack(
        [moved(np.linalg.inv(pose) @ matrix, points) for pose, matrix in zip(truth, found, strict=True)]
    )
    stays = in_view(grid, truth)
    return Outcome(
        before=typical_length(np.stack([moved(pose, points) for pose in truth[:-1]]) - points),
        among=typical_length(still_at - still_at.mean(0)),
        left=typical_length(still_at[:-1] - points),
        errors={name: errors_of(head, series, stays) for name, series in maps.items()},
        lost=1 - float(stays[blocks(head.brain, head).all(-1)].mean()),
    )


def in_view(grid: Grid, matrices: Sequence[Affine]) -> NDArray[np.bool_]:
    """Return the voxels that lie between those of the grid in every pose."""
    points, there = moved(grid.affine, np.indices(grid.shape).reshape(3, -1)), np.linalg.inv(grid.affine)
    places = np.stack([moved(there @ matrix, points) for matrix in matrices])
    last = np.array(grid.shape)[:, None] - 1
    stays: NDArray[np.bool_] = ((places >= 0) & (places <= last)).all((0, 1)).reshape(grid.shape)
    return stays


def typical(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def typical_length(moves: np.ndarray) -> float:
    """Return the root mean square length of displacements (image, 3, point)."""
    return float(np.sqrt(np.square(moves).sum(1).mean()))


def as_series(measurements: Measurements, grid: Grid) -> Series:
    return series_of(measurements * 1000, "magnitude", grid.affine)


def blocks(values: np.ndarray, head: Head) -> np.ndarray:
    """Return the fine voxels (x, y, z, fine voxel) of each voxel."""
    fine = values[cropped(head)]
    first, second, third = (length // FINE for length in fine.shape)
    split = fine.reshape(first, FINE, second, FINE, third, FINE)
    return split.transpose(0, 2, 4, 1, 3, 5).reshape(first, second, third, FINE**3)


def errors_of(head: Head, series: Series, stays: NDArray[np.bool_]) -> dict[str, float]:
    """Return the root mean square error of T1 within voxels of one tissue [ms]; no estimate is as wrong as can be."""
    tissue, truth = blocks(head.tissue, head), blocks(head.t1, head).mean(-1)
    pure = (np.ptp(tissue, axis=-1) == 0) & blocks(head.brain, head).all(-1) & stays
    found = estimate(MODEL, series.measurements, series.kind, EstimationOptions()).time
    error = np.where(np.isfinite(found), found - truth, truth)
    chosen = {name: pure & (low < truth) & (truth < high) for name, (low, high) in TISSUES.items()}
    return {name: 1000 * typical(error[voxels]) for name, voxels in chosen.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--resolution", type=float, default=3.0, help="edge of voxels [mm]")
    parser.add_argument("--snr", type=float, default=40.0)
    parser.add_argument("--sd", type=float, nargs="+", default=[0.25, 0.5, 1.0, 2.0], help="of a pose [mm and degree]")
    arguments = parser.parse_args()
    ways = ("still", "moved", "true poses", "put back")
    print(
        "| SD of poses, mm and degrees | moved, mm | left from each other, mm: mean | largest "
        "| left from the reference | out of view | "
        + " | ".join(f"{name}, ms: {', '.join(ways)}" for name in TISSUES)
        + " |\n|" + "---|" * (6 + len(TISSUES))
    )  # fmt: skip
    for sd in arguments.sd:
        found = [measure(arguments.resolution, sd, seed, arguments.snr) for seed in range(arguments.seeds)]
        cells = [
            ", ".join(f"{typical([each.errors[way][name] for each in found]):.0f}" for way in ways) for name in TISSUES
        ]
        left, among = typical([each.left for each in found]), [each.among for each in found]
        before = typical([each.before for each in found])
        lost = float(np.mean([each.lost for each in found]))
        print(
            f"| {sd:g} | {before:.2f} | {typical(among):.3f} | {max(among):.3f} | {left:.3f} | {100 * lost:.2f} % | "
            + " | ".join(cells)
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
