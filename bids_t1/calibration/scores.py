"""How well methods predict inversion recovery in participants that they have not seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from bids_t1.calibration.lattice import LARGEST_RELATIVE_SD, LEAST_OWN_SHARE, SCORED
from bids_t1.data.calibration import METHODS, CalibrationScore, CalibrationScores, Coverage, Method, MethodSummary
from bids_t1.data.groups import grouped_by
from bids_t1.resampling import resample, resample_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bids_t1.data.calibration import PairedScan
    from bids_t1.data.shapes import Map, VoxelFlags
    from bids_t1.data.tissue import Tissue

LEAST_VOXELS = 3
LIMIT = 1.96
"""SDs on each side of the mean that hold 95 % of normal values."""

SIGNIFICANT = 0.05


def score(scan: PairedScan, corrected: Mapping[Method, Map], fold: int) -> list[CalibrationScore]:
    """Compare corrected maps of one scan, on its own grid, with inversion recovery, on the grid of that.

    A voxel is compared in all maps or in none; see `comparable_voxels`.
    """
    reference, comparable = scan.reference, comparable_voxels(scan)
    in_reference = {
        method: resample_times(time, scan.measured.time_sd, scan.measured.grid, reference.grid, reference.matrix)[0]
        for method, time in corrected.items()
    }
    known = np.any(list(comparable.values()), axis=0)
    for time in in_reference.values():
        known &= np.isfinite(time)
    return [
        _score(scan, fold, method, tissue, (time - reference.time)[known & comparable[tissue]])
        for tissue in SCORED
        for method, time in in_reference.items()
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


def standard_errors(scan: PairedScan, time: Map, time_sd: Map) -> dict[Tissue, np.ndarray]:
    """Return corrected T1 minus that of inversion recovery in units of the SD of both, by tissue."""
    reference = scan.reference
    grids = (scan.measured.grid, reference.grid, reference.matrix)
    found, _ = resample_times(time, time_sd, *grids)
    # Errors of the relation are shared by neighbours: averaging does not make them smaller.
    found_sd = resample(time_sd, *grids)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = (found - reference.time) / np.hypot(found_sd, reference.time_sd)
    known = np.isfinite(errors)
    return {tissue: errors[known & where] for tissue, where in comparable_voxels(scan).items()}


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


def cover(errors: Sequence[Mapping[Tissue, np.ndarray]]) -> tuple[Coverage, ...]:
    """Return how often errors stay within their SD; participants count alike."""
    rows = []
    for tissue in SCORED:
        of_tissue = [np.abs(each[tissue]) for each in errors if tissue in each and len(each[tissue])]
        if of_tissue:
            one, two = (float(np.mean([(each < limit).mean() for each in of_tissue])) for limit in (1, LIMIT))
            rows.append(Coverage(tissue=tissue, one_sd=one, two_sd=two))
    return tuple(rows)


def offsets(scan: PairedScan, time: Map, time_sd: Map) -> dict[Tissue, float]:
    """Return the mean logarithm of corrected over reference T1, by tissue."""
    reference = scan.reference
    found, _ = resample_times(time, time_sd, scan.measured.grid, reference.grid, reference.matrix)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(found / reference.time)
    return {
        tissue: float(ratio[where & np.isfinite(ratio)].mean())
        for tissue, where in comparable_voxels(scan).items()
        if (where & np.isfinite(ratio)).any()
    }


def summarise(scores: Sequence[CalibrationScore], coverage: tuple[Coverage, ...]) -> CalibrationScores:
    """Bring the scores of all folds together: means over participants, tests between methods, and words."""
    methods = [method for method in METHODS if any(each.method == method for each in scores)]
    tissues = [tissue for tissue in SCORED if any(each.tissue == tissue and each.rmse is not None for each in scores)]
    summaries = tuple(_summary(scores, method, tissue) for tissue in tissues for method in methods)
    return CalibrationScores(scores=tuple(scores), summaries=summaries, coverage=coverage, verdict=_verdict(summaries))


def _summary(scores: Sequence[CalibrationScore], method: Method, tissue: Tissue) -> MethodSummary:
    own, none, network = (_by_participant(scores, each, tissue) for each in (method, "none", "network"))
    rmse = np.array([rmse for rmse, _ in own.values()])
    gain = rmse - np.array([rmse for rmse, _ in network.values()]) if network else np.zeros(0)
    before = np.mean([rmse for rmse, _ in none.values()])
    return MethodSummary(
        method=method,
        tissue=tissue,
        n_participants=len(rmse),
        rmse=float(rmse.mean()),
        rmse_sd=float(rmse.std(ddof=1)) if len(rmse) > 1 else 0.0,
        bias=float(np.mean([bias for _, bias in own.values()])),
        reduction=float(1 - rmse.mean() / before),
        network_gain=float(gain.mean()) if len(gain) else None,
        p_wilcoxon=_p(gain, lambda: stats.wilcoxon(gain).pvalue),
        p_t=_p(gain, lambda: stats.ttest_1samp(gain, 0).pvalue),
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


def _p(gain: np.ndarray, test: Callable[[], float]) -> float | None:
    """Return the p of a test of differences, None where they are too few or all the same."""
    return float(test()) if len(gain) > 1 and np.ptp(gain) > 0 else None


def _verdict_in(tissue: Tissue, rows: Sequence[MethodSummary]) -> Iterator[str]:
    """Compare the network with the best of the others in one tissue, where there is a network."""
    network = next((each for each in rows if each.method == "network"), None)
    if network is None:
        return
    best = min((each for each in rows if each is not network), key=lambda each: each.rmse)
    better = (best.network_gain or 0) > 0
    wording = "better than every simple correction" if better else "not better than the best of them"
    yield (
        f"In {tissue.meaning} the network brings the RMSE from {_before(rows):.3f} to {network.rmse:.3f} s "
        f"({network.reduction:.0%} less) in {network.n_participants} held-out participants; the best simple "
        f"correction, {METHODS[best.method]}, to {best.rmse:.3f} s: the network is {wording}"
        f"{_significance(best)}."
    )
    if not better:
        yield f"In {tissue.meaning} use {METHODS[best.method]} rather than the network."


def _verdict(summaries: Sequence[MethodSummary]) -> tuple[str, ...]:
    by_tissue = grouped_by(summaries, lambda each: each.tissue)
    sentences = [sentence for tissue, rows in by_tissue.items() for sentence in _verdict_in(tissue, rows)]
    n = max((each.n_participants for each in summaries), default=0)
    smallest = 2.0 ** (1 - n)
    if smallest > SIGNIFICANT:
        sentences.append(
            f"With {n} participants the signed-rank test cannot fall below p = {smallest:.3g}, whatever the data; the "
            "paired t test rests on the assumption of normal differences, which so few cannot show."
        )
    return tuple(sentences)


def _before(rows: Sequence[MethodSummary]) -> float:
    return next(each.rmse for each in rows if each.method == "none")


def _significance(row: MethodSummary) -> str:
    if row.p_wilcoxon is None or row.p_t is None:
        return ""
    return f" (signed-rank test p = {row.p_wilcoxon:.2g}, paired t test p = {row.p_t:.2g}, n = {row.n_participants})"
