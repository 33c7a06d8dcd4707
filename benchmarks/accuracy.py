"""Bias, precision and honesty of the error bars on simulated voxels of known truth: python -m benchmarks.accuracy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats

from benchmarks.speed import IDEAL, MODELS
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from tests.estimation.scenes import BANDS, MODEL, Scene, bias, coverage, rmse, scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.estimate import Estimate

    Mask = NDArray[np.bool_]
    Array = NDArray[np.floating[Any]]

HEAD = "voxels | no estimate | median bias | RMSE, ms | 95 % interval covers |"
RULE = "---|---|---|---|---|"


def fit(name: str, scene: Scene) -> Estimate:
    model, learn = MODELS[name]
    return estimate(model, scene.magnitudes, "magnitude", EstimationOptions(learn_ratio=learn, n_threads=2))


def judge(found: Estimate, scene: Scene, where: Mask) -> str:
    """Write the cells of one row."""
    time = scene.inside(found.time)
    fitted = where & np.isfinite(time)
    factor = float(stats.t.ppf(0.975, found.degrees_of_freedom))
    return (
        f"{np.count_nonzero(where):,} | {100 * (1 - np.mean(fitted[where])):.1f} % "
        f"| {100 * bias(time[fitted], scene.truth[fitted]):+.2f} % "
        f"| {1000 * rmse(time[fitted], scene.truth[fitted]):.1f} "
        f"| {100 * coverage(found, scene, fitted, factor):.1f} % |"
    )


def print_bands(n_voxels: int) -> None:
    rng = np.random.default_rng(1)
    uniform = scene(2, rng.uniform(0.3, 4.0, n_voxels), rng.normal(1.93, 0.02, n_voxels))
    print(f"\n## SNR 50, kappa 1.93 +- 0.02\n\n| model | T1, s | {HEAD}\n|---|---|{RULE}")
    for name in MODELS:
        found = fit(name, uniform)
        for low, high in (*BANDS, (3.0, 4.0)):
            where = (uniform.truth >= low) & (uniform.truth < high)
            print(f"| {name} | {low} to {high} | {judge(found, uniform, where)}")
        if found.learned_ratio is not None:
            print(f"\nlearned: {found.learned_ratio}\n")


def print_tissues(n_voxels: int) -> None:
    """Two tissues whose T1 tells them apart, then two that only their efficiency tells apart."""
    for seed, (first, first_kappa), (second, second_kappa) in (
        (5, ((0.85, 0.05), 1.80), ((1.5, 0.12), 1.95)),
        (11, ((1.1, 0.08), 1.85), ((1.1, 0.08), 1.95)),
    ):
        rng = np.random.default_rng(seed)
        is_first = rng.random(n_voxels) < 0.5
        truth = np.where(is_first, rng.normal(*first, n_voxels), rng.normal(*second, n_voxels))
        mixed = scene(seed + 1, truth, np.where(is_first, first_kappa, second_kappa))
        print(f"\n## Two tissues, SNR 50\n\n| model | tissue | {HEAD}\n|---|---|{RULE}")
        for name in MODELS:
            found = fit(name, mixed)
            print(f"| {name} | T1 {first[0]} s, kappa {first_kappa} | {judge(found, mixed, is_first)}")
            print(f"| {name} | T1 {second[0]} s, kappa {second_kappa} | {judge(found, mixed, ~is_first)}")
            if found.learned_ratio is not None:
                print(f"\nlearned: {found.learned_ratio}\n")


def print_noise(n_voxels: int) -> None:
    print(f"\n## Noise handling, free model, kappa 1.93\n\n| SNR | T1, s | noise | {HEAD}\n|---|---|---|{RULE}")
    for snr in (8.0, 20.0):
        for low, high in ((0.4, 0.8), (0.8, 1.6)):
            rng = np.random.default_rng(3)
            low_signal = scene(4, rng.uniform(low, high, n_voxels), 1.93, snr=snr)
            for noise in ("gaussian", "floor", "rician"):
                options = EstimationOptions(noise=noise, n_threads=2)
                found = estimate(MODEL, low_signal.magnitudes, "magnitude", options)
                cells = judge(found, low_signal, np.ones(n_voxels, dtype=bool))
                print(f"| {snr:g} | {low} to {high} | {noise} | {cells}")


def print_perfect(n_voxels: int) -> None:
    """Show the ideal model where it is true: no T1 for which TR is short, and kappa 2."""
    rng = np.random.default_rng(9)
    perfect = scene(10, rng.uniform(0.3, 1.5, n_voxels), 2.0)
    print(f"\n## SNR 50, kappa 2 everywhere, T1 0.3 to 1.5 s\n\n| model | {HEAD}\n|---|{RULE}")
    for name in MODELS:
        print(f"| {name} | {judge(fit(name, perfect), perfect, np.ones(n_voxels, dtype=bool))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=100_000, help="voxels of each scene")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Ten inversion times, {MODEL.inversion_times[0]:g} to {MODEL.inversion_times[-1]:g} s, TR ", end="")
    print(f"{IDEAL.repetition_times[0]:g} s; magnitudes with Rician noise; seeds are fixed.")
    print_bands(arguments.voxels)
    print_perfect(arguments.voxels // 2)
    print_tissues(arguments.voxels)
    print_noise(arguments.voxels // 5)


if __name__ == "__main__":
    main()
