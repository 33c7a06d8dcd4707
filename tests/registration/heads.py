"""Pictures of phantom heads that lie differently in two scans, and the truth between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from bids_t1.data.alignment import HeadImage
from bids_t1.data.grid import Grid
from bids_t1_phantom.head import head as phantom
from bids_t1_phantom.head.anatomy import Atlas, Tissue, classify, load_atlas


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """How one picture is taken."""

    resolution: float = 3.0
    slices: int | None = None
    thickness: float | None = None
    """Of slices [mm]; None for cubic voxels."""

    snr: float = 30.0
    """In white matter."""


@cache
def atlas() -> Atlas:
    return load_atlas()


def grid_of(scan: Scan) -> Grid:
    """Lay an oblique grid as the phantom does, with slices of any thickness."""
    count = None if scan.slices is None or scan.thickness is not None else scan.slices
    laid = phantom.make_grid(phantom.HeadOptions(resolution=scan.resolution, slices=count))
    if scan.thickness is None:
        return Grid(laid.shape, laid.affine)
    slices = scan.slices or round(phantom.FIELD_OF_VIEW[2] / scan.thickness)
    affine = laid.affine @ np.diag([1, 1, scan.thickness / scan.resolution, 1])
    centre = phantom._SLICE_CENTRE if scan.slices else phantom._CENTRE
    shape = (laid.shape[0], laid.shape[1], slices)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def picture(scan: Scan, *, sequence: str, head: tuple[int, int], matrix: np.ndarray, noise: int) -> HeadImage:
    """Take a picture of a head (seed, participant) whose points `matrix` has moved to where they lie in the scan."""
    grid = grid_of(scan)
    parts = round(grid.voxel_sizes[2] / scan.resolution)
    thin = _thin_slices(grid, parts, head, matrix)
    tissue, t1, m0 = (np.concatenate(each, axis=2) for each in zip(*thin, strict=True))
    signal = np.nan_to_num(_contrast(sequence, t1, m0))
    rng = np.random.default_rng([noise, 11])
    signal = _mean_of_parts(signal, parts)
    signal += rng.standard_normal(signal.shape) / scan.snr
    brain = np.isin(tissue, [kind for kind in Tissue if kind.in_brain])
    seen = _mean_of_parts((tissue != Tissue.AIR).astype(float), parts) >= 0.5
    values = np.where(seen, signal, 0).astype(np.float32)
    return HeadImage(values=values, grid=grid, brain=_mean_of_parts(brain.astype(float), parts) >= 0.5)


def _thin_slices(
    grid: Grid, parts: int, head: tuple[int, int], matrix: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    fine = grid.affine @ np.diag([1, 1, 1 / parts, 1])
    fine[:3, 3] -= fine[:3, 2] * (parts - 1) / 2
    fine = np.linalg.inv(matrix) @ fine
    made = []
    for start in range(0, grid.shape[2] * parts, 16):
        shape = (*grid.shape[:2], min(16, grid.shape[2] * parts - start))
        affine = fine.copy()
        affine[:3, 3] += affine[:3, 2] * start
        made.append(_tissue(phantom.Grid(shape=shape, affine=affine).points(), head))
    return made


def _tissue(points: np.ndarray, head: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate the head at points, as `make_head` does on its grid."""
    rng = np.random.default_rng(list(head))
    tissue = classify(atlas(), phantom._deform(points, rng))
    relative = {kind: 1 + 0.03 * rng.standard_normal() for kind in phantom.T1}
    texture = 1 + 0.03 * np.clip(phantom._smooth_field(points, rng, spacing=22.0), -2.5, 2.5)
    t1 = phantom._look_up(tissue, {kind: phantom.T1[kind] * relative[kind] for kind in phantom.T1}) * texture
    m0 = phantom._look_up(tissue, dict(phantom._WATER), air=0.0)
    return tissue, t1, m0 * (1 + 0.06 * phantom._smooth_field(points, rng, spacing=70.0))


def _contrast(sequence: str, t1: np.ndarray, m0: np.ndarray) -> np.ndarray:
    """UNI of typical times plus one half, or an image at a short repetition time; white matter is about one."""
    if sequence == "MP2RAGE":
        start = np.tanh(2.5 / t1)  # repeated every 5 s, readouts left out
        early, late = (1 - (1 + start) * np.exp(-time / t1) for time in (0.7, 2.5))
        return np.asarray(early * late / (early**2 + late**2) + 0.5)
    return np.asarray(m0 * (1 - np.exp(-0.6 / t1)) * 2)


def _mean_of_parts(values: np.ndarray, parts: int) -> np.ndarray:
    mean: np.ndarray = values.reshape(*values.shape[:2], -1, parts).mean(axis=3)
    return mean


def random_motion(seed: int, *, angle: float = 10.0, shift: float = 10.0) -> np.ndarray:
    """Draw a rotation about any axis through the head, up to `angle` degrees, and a shift up to `shift` mm."""
    rng = np.random.default_rng([seed, 77])
    axis, direction = (each / np.linalg.norm(each) for each in rng.standard_normal((2, 3)))
    turn = np.deg2rad(angle) * rng.uniform(0.3, 1)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(turn) * cross + (1 - np.cos(turn)) * cross @ cross
    centre = np.array([0, -8, 20])
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + direction * shift * rng.uniform(0.3, 1)
    return matrix


def error(found: np.ndarray, truth: np.ndarray, image: HeadImage) -> float:
    """Mean distance, over the brain, between where two matrices put its points [mm]."""
    brain = np.argwhere(image.brain) if image.brain is not None else np.argwhere(image.values)
    points = image.grid.affine @ np.vstack([brain.T, np.ones(len(brain))])
    return float(np.linalg.norm(((found - truth) @ points)[:3], axis=0).mean())
