"""T1 in each tissue: how much, how spread, and in how many voxels it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.tissue import TISSUES, Hemisphere, RegionStatistics, Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Labels, Map, VoxelFlags


def describe_regions(
    map_name: str, time: Map, tissue: Labels, hemisphere: Labels | None, voxel_volume: float
) -> list[RegionStatistics]:
    """Describe T1 in each tissue, in both hemispheres together and in each, with and without its border.

    Parameters
    ----------
    map_name
        File name of the map.
    time
        T1 [s], (x, y, z); NaN where a voxel has no estimate.
    tissue, hemisphere
        `Tissue` and `Hemisphere` of each voxel, (x, y, z); without hemispheres only both together are described.
    voxel_volume
        Of one voxel [ml].

    Returns
    -------
        One for each region that holds a voxel, in the order of `TISSUES`.
    """
    inside = interior(tissue)
    sides = {Hemisphere.NEITHER: np.ones(tissue.shape, bool)}
    if hemisphere is not None:
        sides |= {side: hemisphere == side for side in (Hemisphere.LEFT, Hemisphere.RIGHT)}
    statistics = []
    for kind in TISSUES:
        for side, of_side in sides.items():
            region = (tissue == kind) & of_side
            for eroded in (False, True):
                values = time[region & inside] if eroded else time[region]
                if values.size:
                    volume = values.size * voxel_volume
                    statistics.append(_describe(values, volume, map_name, (kind, side, eroded)))
    return statistics


def interior(tissue: Labels) -> VoxelFlags:
    """Return the voxels whose face neighbours are all of their own tissue.

    The border of the image is not another tissue: in a slab or a single slice only neighbours that were imaged count.
    """
    inside = np.ones(tissue.shape, bool)
    for axis in range(tissue.ndim):
        labels, kept = np.moveaxis(tissue, axis, 0), np.moveaxis(inside, axis, 0)
        alike = labels[1:] == labels[:-1]
        kept[1:] &= alike
        kept[:-1] &= alike
    return inside


def _describe(
    values: NDArray[np.floating], volume: float, map_name: str, region: tuple[Tissue, Hemisphere, bool]
) -> RegionStatistics:
    fitted = values[np.isfinite(values)].astype(np.float64)
    percentiles = map(float, np.percentile(fitted, (5, 25, 50, 75, 95))) if fitted.size else (None,) * 5
    percentile_5, quartile_1, median, quartile_3, percentile_95 = percentiles
    kind, side, eroded = region
    return RegionStatistics(
        map=map_name,
        tissue=kind,
        hemisphere=side,
        eroded=eroded,
        n_voxels=values.size,
        volume=volume,
        not_fitted=1 - fitted.size / values.size,
        median=median,
        mean=float(fitted.mean()) if fitted.size else None,
        sd=float(fitted.std(ddof=1)) if fitted.size > 1 else None,
        quartile_1=quartile_1,
        quartile_3=quartile_3,
        percentile_5=percentile_5,
        percentile_95=percentile_95,
    )
