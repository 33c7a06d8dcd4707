"""How well methods predict inversion recovery in participants that they have not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.calibration.lattice import LARGEST_RELATIVE_SD, LEAST_OWN_SHARE, SCORED
from bids_t1.data.calibration import METHODS, CalibrationScore, CalibrationScores, MethodSummary
from bids_t1.resampling import resample, resample_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.calibration import Calibrated, Coverage, Method, PairedScan
    from bids_t1.data.shapes import Map, VoxelFlags
    from bids_t1.data.tissue import Tissue

LEAST_VOXELS = 3
LIMIT = 1.96
"""SDs on each side of the mean that hold 95 % of normal values."""

MOST_KEPT = 4000
"""Voxels of a tissue that a scan's intervals are judged on."""


def brought(scan: PairedScan, found: Calibrated) -> Map:
    """Bring corrected T1 of one scan to the grid of inversion recovery [s]."""
    grids = (scan.measured.grid, scan.reference.grid, scan.reference.matrix)
    return resample_times(found.time, found.time_sd, *grids)[0]


def score(
    scan: PairedScan, corrected: Mapping[Method, Map], fold: int, comparable: Mapping[Tissue, VoxelFlags]
) -> list[CalibrationScore]:
    """Compare corrected maps of one scan with inversion recovery, on the grid of that.

    A voxel is compared in all maps or in none; `comparable` is what `comparable_voxels` says.
    """
    known = np.any(list(comparable.values()), axis=0)
    for time in corrected.values():
        known &= np.isfinite(time)
    return [
        _score(scan, fold, method, tissue, (time - scan.reference.time)[known & comparable[tissue]])
        for tissue in SCORED
        for method, time in corrected.items()
    ]


def _score(scan: PairedScan, fold: int, method: Method, tissue: Tissue, error: np.ndarray) -> CalibrationScore:
    error = error.astype(np.float64)
    enough = len(error) >= LEAST_VOXELS
    bias, sd = (float(error.mean()), float(error.std(ddof=1))) if enough else (None, None)
    limits = (None, None) if bias is None or sd is None else (bias - LIMIT * sd, bias + LIMIT * sd)
    return CalibrationScore(
        fold=fold,
        label=scan.label,
        participant=scan.participant,
        method=method,
        tissue=tissue,
        n_voxels=len(error),
        rmse=float(np.sqrt(np.mean(error**2))) if enough else None,
        bias=bias,
        sd=sd,
        lower_limit=limits[0],
        upper_limit=limits[1],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Left:
    """What a method leaves in one scan that was held out."""

    participant: str
    label: str
    offsets: Mapping[Tissue, float]
    """Mean logarithm of corrected over reference T1."""

    voxels: Mapping[Tissue, np.ndarray]
    """Of some voxels: corrected T1 minus that of inversion recovery, both SD, and corrected T1, array (4, voxel)
    [s]; the first SD is without what participants differ by."""

    def errors(self, relation_sd: float) -> dict[Tissue, np.ndarray]:
        """Return the errors in units of the SD of both, participants differing by a relative SD."""
        return {
            tissue: error / np.sqrt(own**2 + reference**2 + (relation_sd * time) ** 2)
            for tissue, (error, own, reference, time) in self.voxels.items()
        }


def left_by(scan: PairedScan, found: Calibrated, time: Map, comparable: Mapping[Tissue, VoxelFlags]) -> Left:
    """Return what a method leaves in one scan.

    Parameters
    ----------
    scan
        That was held out.
    found
        Corrected, on the grid of MP2RAGE.
    time
        T1 of it `brought` to inversion recovery [s].
    comparable
        From `comparable_voxels`.
    """
    reference = scan.reference
    # Errors of the relation are shared by neighbours: averaging does not make them smaller.
    time_sd = resample(found.time_sd, scan.measured.grid, reference.grid, reference.matrix)
    rows = np.stack([time - reference.time, time_sd, reference.time_sd, time]).astype(np.float32)
    known = np.isfinite(rows).all(axis=0)
    offsets, voxels = {}, {}
    for tissue, where in comparable.items():
        own = rows[:, known & where]
        if own.size:
            offsets[tissue] = float(np.log(own[3] / (own[3] - own[0])).mean())
            voxels[tissue] = own[:, :: -(-own.shape[1] // MOST_KEPT)]
    return Left(participant=scan.participant, label=scan.label, offsets=offsets, voxels=voxels)


def comparable_voxels(scan: PairedScan) -> dict[Tissue, VoxelFlags]:
    """Tell in which voxels of inversion recovery each tissue can be compared.

    A voxel that went to the other grid and back would hold at least `LEAST_OWN_SHARE` of its own tissue; where both
    grids are the same these are all voxels. At borders between tissues interpolation changes T1 by more than any bias.
    """
    reference, measured = scan.reference, scan.measured.grid
    with np.errstate(invalid="ignore"):
        known = reference.time_sd < LARGEST_RELATIVE_SD * reference.time
    found = {}
    for tissue in SCORED:
        own = reference.tissue == tissue
        there = resample(own.astype(np.float32), reference.grid, measured, np.linalg.inv(reference.matrix))
        back = resample(there, measured, reference.grid, reference.matrix)
        found[tissue] = known & own & (np.nan_to_num(back) >= LEAST_OWN_SHARE)
    return found


def summarise(
    scores: Sequence[CalibrationScore],
    coverage: tuple[Coverage, ...],
    applied: Method,
    limits: Mapping[tuple[Method, Tissue], float],
) -> CalibrationScores:
    """Bring the scores of all folds together: means over participants, each method against the applied one, and words.

    `limits` are half the 95 % intervals of means of regions, relative, by method and tissue.
    """
    tried = {each.method for each in scores}
    measured = {each.tissue for each in scores if each.rmse is not None}
    summaries = tuple(
        replace(_summary(scores, method, tissue, applied), region_limit=limits.get((method, tissue)))
        for tissue in filter(measured.__contains__, SCORED)
        for method in filter(tried.__contains__, METHODS)
    )
    verdict = _verdict(summaries, applied)
    return CalibrationScores(scores=tuple(scores), summaries=summaries, coverage=coverage, verdict=verdict)


def _within(scores: Sequence[CalibrationScore], method: Method, tissue: Tissue) -> list[float]:
    own = [each.within for each in scores if (each.method, each.tissue) == (method, tissue)]
    return [share for share in own if share is not None]


def _summary(scores: Sequence[CalibrationScore], method: Method, tissue: Tissue, applied: Method) -> MethodSummary:
    own, none, other = (_by_participant(scores, each, tissue) for each in (method, "none", applied))
    rmse = np.array([rmse for rmse, _ in own.values()])
    excess = rmse - np.array([rmse for rmse, _ in other.values()])
    before = np.mean([rmse for rmse, _ in none.values()])
    within = _within(scores, method, tissue)
    return MethodSummary(
        method=method,
        tissue=tissue,
        n_participants=len(rmse),
        rmse=float(rmse.mean()),
        rmse_sd=float(rmse.std(ddof=1)) if len(rmse) > 1 else 0.0,
        bias=float(np.mean([bias for _, bias in own.values()])),
        reduction=float(1 - rmse.mean() / before),
        excess=float(excess.mean()),
        excess_error=float(excess.std(ddof=1)) / math.sqrt(len(excess)) if len(excess) > 1 else None,
        n_worse=int((excess > 0).sum()),
        within=float(np.mean(within)) if within else None,
        least_within=min(within, default=None),
    )


def _by_participant(
    scores: Sequence[CalibrationScore], method: Method, tissue: Tissue
) -> dict[str, tuple[float, float]]:
    """Return RMSE and bias of each participant; several scans of one are averaged."""
    found: dict[str, list[tuple[float, float]]] = {}
    for each in scores:
        if each.method == method and each.tissue == tissue and each.rmse is not None and each.bias is not None:
            found.setdefault(each.participant, []).append((each.rmse, each.bias))
    return {
        participant: (
            math.sqrt(float(np.mean([rmse**2 for rmse, _ in values]))),
            float(np.mean([bias for _, bias in values])),
        )
        for participant, values in sorted(found.items())
    }


def _verdict(summaries: Sequence[MethodSummary], applied: Method) -> tuple[str, ...]:
    """Say of each tissue what is applied leaves, and what the best other correction would."""
    sentences = []
    for tissue in dict.fromkeys(each.tissue for each in summaries):
        rows = {each.method: each for each in summaries if each.tissue == tissue}
        own, others = rows[applied], [each for each in rows.values() if each.method not in {applied, "none"}]
        if not others:
            continue
        best = min(others, key=lambda each: each.rmse)
        sentences.append(
            f"In {tissue.meaning} it leaves {own.rmse:.3f} s of {rows['none'].rmse:.3f} s ({own.reduction:.0%} less); "
            f"the best other correction, {METHODS[best.method]}, {best.rmse:.3f} s: {_difference(best)}."
        )
    return tuple(sentences)


def _difference(row: MethodSummary) -> str:
    """Say by how much another correction differs from the applied one, and in how many participants."""
    n = row.n_participants
    error = "" if row.excess_error is None else f" with a standard error of {1000 * row.excess_error:.1f} ms"
    return (
        f"{1000 * abs(row.excess):.1f} ms {'more' if row.excess > 0 else 'less'}{error}, more in {row.n_worse} of {n} "
        f"participant{'s' * (n != 1)}"
    )
