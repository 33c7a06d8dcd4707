"""How well two maps of T1 agree in the same voxels (Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.tissue import TISSUES, Agreement, Tissue
from bids_t1.tissue.statistics import interior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Labels, Map

FEWEST = 3
"""Voxels below which neither scatter nor correlation means anything."""

WITHIN_LIMITS = 1.96
"""SDs on either side of the mean that hold 95 % of normal differences."""


def compare(map_name: str, time: Map, reference_name: str, reference: Map, tissue: Labels) -> list[Agreement]:
    """Compare two maps in each tissue, and in all but fluid together, with and without the borders of tissues.

    Parameters
    ----------
    map_name, reference_name
        File names of the maps.
    time, reference
        T1 [s], (x, y, z), on one grid; NaN where a voxel has no estimate.
    tissue
        `Tissue` of each voxel, (x, y, z).

    Returns
    -------
        All tissues together first, then each that occurs, in the order of `TISSUES`.
    """
    both = np.isfinite(time) & np.isfinite(reference)
    inside = interior(tissue)
    solid = np.isin(tissue, [kind for kind in TISSUES if kind is not Tissue.FLUID])
    regions: dict[Tissue | None, NDArray[np.bool_]] = {None: solid, **{kind: tissue == kind for kind in TISSUES}}
    return [
        _agree((map_name, time[chosen]), (reference_name, reference[chosen]), kind, eroded=eroded)
        for kind, region in regions.items()
        if region.any()
        for eroded, chosen in ((False, region & both), (True, region & both & inside))
    ]


def _agree(
    compared: tuple[str, NDArray[np.floating]],
    reference: tuple[str, NDArray[np.floating]],
    tissue: Tissue | None,
    *,
    eroded: bool,
) -> Agreement:
    values, truth = compared[1].astype(np.float64), reference[1].astype(np.float64)
    difference = values - truth
    agreement = Agreement(
        map=compared[0], reference=reference[0], tissue=tissue, eroded=eroded, n_voxels=difference.size
    )
    if difference.size < FEWEST:
        return agreement
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    return replace(
        agreement,
        bias=bias,
        sd=sd,
        lower_limit=bias - WITHIN_LIMITS * sd,
        upper_limit=bias + WITHIN_LIMITS * sd,
        rmse=float(np.sqrt(np.mean(difference**2))),
        correlation=_correlation(values, truth),
        ratio=float(np.median(values / truth)),
    )


def _correlation(values: NDArray[np.float64], truth: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; None where one of the maps is the same everywhere."""
    if np.ptp(values) == 0 or np.ptp(truth) == 0:
        return None
    return float(np.corrcoef(values, truth)[0, 1])
