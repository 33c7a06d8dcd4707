"""The engine beside its plain PyTorch reference and curve_fit, as ratios of one run: python -m benchmarks.engine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import OptimizeWarning

from benchmarks import mp2rage_scenes
from benchmarks.speed import MODELS, run_peer, simulate
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.posterior.posterior import (
    PosteriorOptions,
    ReadoutImages,
    TransmitPrior,
    estimate_posterior,
)
from tests.estimation.scenes import BANDS, signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

TIMES = (0.6, 3.0)
"""T1 of tissue, for MP2RAGE [s]."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of estimation, by the engine and by its reference on some of the voxels."""

    name: str
    n_voxels: int
    n_plain: int
    run: Callable[[int, int, bool], Array]
    """Estimates so many voxels with so many threads, plainly or not; returns T1."""

    truth: Array


def of_curve(name: str, n_voxels: int, n_plain: int) -> Case:
    """Return inversion recovery with ten inversion times, magnitudes at SNR 50, SD included."""
    truth, images = simulate(n_voxels)
    model, learn = MODELS[name]

    def run(count: int, n_threads: int, plain: bool) -> Array:
        options = EstimationOptions(learn_ratio=learn, n_threads=n_threads, compiles_from=10**9 if plain else 0)
        return estimate(model, np.ascontiguousarray(images[:, :count]), "magnitude", options).time

    return Case(f"inversion recovery, {name}", n_voxels, n_plain, run, truth)


def of_readouts(name: str, n_voxels: int, n_plain: int) -> Case:
    """Return MP2RAGE with two complex readouts, with a map of B1+ or integrated over its prior."""
    scene = mp2rage_scenes.scene(n_voxels, transmit=(0.7, 1.3), t1=TIMES, m0=(0.5, 1.0))
    has_map = name == "map of B1+"

    def run(count: int, n_threads: int, plain: bool) -> Array:
        field = scene.transmit[:count].astype(np.float32) if has_map else None
        images = ReadoutImages(form="complex", readouts=scene.readouts[:, :count], transmit=field)
        options = PosteriorOptions(
            noise_sd=scene.noise_sd,
            transmit_prior=mp2rage_scenes.KNOWN if has_map else TransmitPrior(),
            n_threads=n_threads,
            plain=plain,
            compiles_from=0,
        )
        return estimate_posterior(mp2rage_scenes.model(2), images, options).time

    return Case(f"MP2RAGE, {name}", n_voxels, n_plain, run, scene.truth)


def clock(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds on the wall and of the processors."""
    wall, busy = perf_counter(), process_time()
    work()
    return perf_counter() - wall, process_time() - busy


def measure(case: Case, threads: list[int], repeats: int) -> dict[str, Any]:
    """Run engine and reference in turn; voxels per second of both, and what they find."""
    case.run(min(case.n_plain, 20_000), 1, False)  # compiles, or loads what was compiled
    engine: dict[int, list[tuple[float, float]]] = {count: [] for count in threads}
    plain: dict[int, list[tuple[float, float]]] = {count: [] for count in threads}
    for _ in range(repeats):
        for count in threads:
            engine[count].append(clock(lambda count=count: case.run(case.n_voxels, count, False)))  # type: ignore[misc]
            plain[count].append(clock(lambda count=count: case.run(case.n_plain, count, True)))  # type: ignore[misc]
    found, expected = case.run(case.n_plain, 1, False), case.run(case.n_plain, 1, True)
    rows = [
        {
            "threads": count,
            "engine_voxels_per_second": case.n_voxels / median(wall for wall, _ in engine[count]),
            "plain_voxels_per_second": case.n_plain / median(wall for wall, _ in plain[count]),
            "ratio": case.n_voxels
            / case.n_plain
            * median(wall for wall, _ in plain[count])
            / median(wall for wall, _ in engine[count]),
            "ratio_of_processor_time": case.n_voxels
            / case.n_plain
            * median(busy for _, busy in plain[count])
            / median(busy for _, busy in engine[count]),
        }
        for count in threads
    ]
    return {"case": case.name, "voxels": case.n_voxels, "rows": rows, "rmse_ms": rmse(case, found, expected)}


def rmse(case: Case, found: Array, expected: Array) -> list[dict[str, float]]:
    """Return the root mean square errors of engine and reference in each band of T1."""
    truth = case.truth[: len(found)]
    bands = []
    for low, high in BANDS:
        there = (truth >= low) & (truth < high) & np.isfinite(found) & np.isfinite(expected)
        errors = [float(1000 * np.sqrt(np.mean((values - truth)[there] ** 2))) for values in (found, expected)]
        bands.append({"from": low, "to": high, "engine": errors[0], "plain": errors[1]})
    return bands


def print_case(result: dict[str, Any]) -> None:
    print(f"\n### {result['case']}, {result['voxels']:,} voxels\n")
    print("| threads | engine, voxels/s | plain, voxels/s | ratio | ratio of processor time |\n|---|---|---|---|---|")
    for row in result["rows"]:
        speeds = f"{row['engine_voxels_per_second']:,.0f} | {row['plain_voxels_per_second']:,.0f}"
        print(f"| {row['threads']} | {speeds} | {row['ratio']:.1f} | {row['ratio_of_processor_time']:.1f} |")
    errors = ", ".join(
        f"{band['from']} to {band['to']} s {band['engine']:.2f} ({band['plain']:.2f})" for band in result["rmse_ms"]
    )
    print(f"\nRMSE of T1 in ms, of the reference in brackets: {errors}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=float, default=2e6)
    parser.add_argument("--plain-voxels", type=float, default=2e5)
    parser.add_argument("--peer-voxels", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", OptimizeWarning)
    warnings.simplefilter("ignore", RuntimeWarning)
    torch.set_num_threads(1)
    n_voxels, n_plain = int(arguments.voxels), int(arguments.plain_voxels)
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} processors; ", end="")
    print(f"torch {torch.__version__}, numpy {np.__version__}; medians of {arguments.repeats}")
    cases = [of_curve(name, n_voxels, n_plain) for name in ("free", "ideal")]
    cases += [of_readouts(name, n_voxels, n_plain) for name in ("map of B1+", "B1+ integrated")]
    results = []
    for case in cases:
        results.append(measure(case, arguments.threads, arguments.repeats))
        print_case(results[-1])
    truth, images = simulate(arguments.peer_voxels)
    for name, result in zip(("free", "ideal"), results, strict=False):
        seconds, _ = run_peer(name, images * np.sign(signal(truth, 1.93)))
        ratio = result["rows"][0]["engine_voxels_per_second"] * seconds / arguments.peer_voxels
        speed = arguments.peer_voxels / seconds
        print(f"\ncurve_fit, {name}: {speed:,.0f} voxels/s; the engine on one thread {ratio:,.0f} times that")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
