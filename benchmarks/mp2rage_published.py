"""Beside the published maximum a posteriori of MP2RAGE, on the same voxels: python -m benchmarks.mp2rage_published.

The published method (Saunders et al., Magn Reson Imaging 117:110322, 2025), written here from its description: UNI is
simulated with noise for each T1 of a grid and counted in bins, so that a row of the histogram is the likelihood of UNI
at one T1; with a uniform prior the estimate of a voxel is the T1 whose row is highest in the bin of its UNI.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.mp2rage_scenes import EFFICIENCY, estimate, every_voxel, protocol, scene
from bids_t1.estimation.posterior.uni import log_density_of_uni
from bids_t1_phantom.physics.simulate import rapid_gradient_echo_trains
from tests.estimation.scenes import BANDS, bias, rmse

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.mp2rage_scenes import Array

T1_GRID = 0.05 * np.arange(1, 101)
"""[s]"""

N_BINS = 100
NOISE_SD = 0.001
BATCH = 20_000
"""Trials at a time: they stay in the cache, which makes the histogram several times faster."""

TOTALS = (10**6, 10**8)
"""Trials of a histogram: the description can be read as 10^6 for the whole of it, and as 10^6 for each T1."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Likelihood of UNI, (T1, bin)."""

    likelihood: Array

    def maximum(self, uni: Array) -> Array:
        """Return the most probable T1 for each UNI [s]; NaN where no trial fell.

        In the last bin several short T1 have all their trials and are equally probable; their mean is the best choice.
        """
        highest = self.likelihood.max(axis=0)
        equal = (self.likelihood == highest) & (highest > 0)
        with np.errstate(invalid="ignore"):
            best = T1_GRID @ equal / equal.sum(axis=0)
        found: Array = best[np.minimum((N_BINS * (uni + 0.5)).astype(int), N_BINS - 1)]
        return found


def simulate_histogram(signals: Array, n_trials: int) -> Histogram:
    """Simulate trials of noise for each T1 of the grid, in single precision, and count them."""
    generator = np.random.default_rng(7)
    counts = np.zeros((len(T1_GRID), N_BINS))
    for row, pair in enumerate(signals.T.astype(np.float32)):
        for start in range(0, n_trials, BATCH):
            n = min(BATCH, n_trials - start)
            channels = generator.standard_normal((2, 2, n), dtype=np.float32) * np.float32(NOISE_SD)
            channels[0] += pair[:, None]
            product = channels[0, 0] * channels[0, 1] + channels[1, 0] * channels[1, 1]
            uni = product / np.einsum("cri,cri->i", channels, channels)
            places = np.minimum((N_BINS * (uni + np.float32(0.5))).astype(np.int32), N_BINS - 1)
            counts[row] += np.bincount(places, minlength=N_BINS)
    return Histogram(counts / n_trials)


def closed_form(signals: Array, points_per_bin: int = 1) -> Array:
    """Evaluate the density of UNI on the grid, at evenly spaced points of each bin."""
    first, second = (torch.from_numpy(values / NOISE_SD)[:, None] for values in signals)
    n = N_BINS * points_per_bin
    points = torch.from_numpy((np.arange(n) + 0.5) / n - 0.5)[None]
    density = torch.exp(log_density_of_uni(points, first, second)).numpy() / n
    likelihood: Array = density.reshape(len(T1_GRID), N_BINS, points_per_bin).sum(axis=2)
    return likelihood


def seconds(build: Callable[[], object], repeats: int) -> list[float]:
    """Return the times of some repeats [s]."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        build()
        times.append(perf_counter() - start)
    return times


def spread(times: list[float]) -> str:
    return f"{median(times):.3g} ({min(times):.3g} to {max(times):.3g})"


def print_errors(histograms: dict[int, Histogram], n_voxels: int) -> None:
    simulated = scene(n_voxels, noise_sd=NOISE_SD)
    complex_data = estimate(simulated, with_map=False)
    with every_voxel():
        uni_alone = estimate(simulated, with_map=False, form="UNIT1")
    maps = {f"published, {total:.0e} trials": found.maximum(simulated.uni) for total, found in histograms.items()}
    maps |= {
        "look-up": complex_data.point,
        "bids_t1, UNI alone": uni_alone.time,
        "bids_t1, complex": complex_data.time,
    }
    print(f"\n## RMSE, ms (median bias); {n_voxels:,} voxels, two readouts, noise {NOISE_SD:g} of M0\n")
    print("| T1, s | " + " | ".join(maps) + " |\n|---|" + "---|" * len(maps))
    for low, high in BANDS:
        where = simulated.between(low, high)
        truth = simulated.truth[where]
        cells = [
            f"{1000 * rmse(values[where], truth):.1f} ({100 * bias(values[where], truth):+.2f} %)"
            for values in maps.values()
        ]
        print(f"| {low} to {high} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxels", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="of each histogram; the closed form is timed more often")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    signals = rapid_gradient_echo_trains(T1_GRID, 1.0, protocol=protocol(2), inversion_efficiency=EFFICIENCY)
    histograms = {total: simulate_histogram(signals, total // len(T1_GRID)) for total in TOTALS}
    print_errors(histograms, arguments.voxels)
    print(f"\n## Likelihood of {N_BINS} values of UNI at {len(T1_GRID)} T1, one processor\n")
    print(
        "| trials in total | trials for each T1 | simulated, s | closed form, s | ratio | largest difference of a ",
        end="",
    )
    print("distribution function |\n|---|---|---|---|---|---|")
    exact = closed_form(signals, points_per_bin=1000).cumsum(axis=1)
    for total, found in histograms.items():
        ours = seconds(partial(closed_form, signals), 50 * arguments.repeats)
        theirs = seconds(partial(simulate_histogram, signals, total // len(T1_GRID)), arguments.repeats)
        apart = np.abs(found.likelihood.cumsum(axis=1) - exact).max()
        print(f"| {total:.0e} | {total // len(T1_GRID):.0e} | {spread(theirs)} | {spread(ours)} ", end="")
        print(f"| {median(theirs) / median(ours):,.0f} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
