"""Heads with known tissue, and maps of them as a noisy measurement would give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.grid import Grid
from bids_t1.data.tissue import Tissue
from bids_t1_phantom.head.anatomy import Atlas, load_atlas
from bids_t1_phantom.head.head import HeadOptions, make_head

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Affine, Labels, Map, VoxelFlags


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    maps: dict[str, Map]
    grid: Grid
    tissue: Labels
    brain: VoxelFlags


@cache
def atlas() -> Atlas:
    return load_atlas()


def known_head(*, resolution: float, slices: int | None = None, seed: int = 0, moved: Affine | None = None) -> Known:
    head = make_head(atlas(), HeadOptions(resolution=resolution, slices=slices), seed=seed)
    rng = np.random.default_rng(seed)
    air = ~np.isfinite(head.t1)
    noise = 1 + 0.04 * rng.standard_normal(head.t1.shape)
    time = np.where(air, np.exp(rng.uniform(-3, 1.5, air.shape)), head.t1 * noise)
    time[air & (rng.uniform(size=air.shape) < 0.5)] = np.nan
    amplitude = np.hypot(head.m0 + 30 * rng.standard_normal(air.shape), 30 * rng.standard_normal(air.shape))
    affine = head.grid.affine if moved is None else moved @ head.grid.affine
    kinds = [kind.value for kind in Tissue]
    return Known(
        maps={"time": time.astype(np.float32), "amplitude": amplitude.astype(np.float32)},
        grid=Grid(head.grid.shape, affine),
        tissue=np.where(np.isin(head.tissue, kinds), head.tissue, 0).astype(np.uint8),
        brain=head.brain,
    )


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Dice's coefficient."""
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))
