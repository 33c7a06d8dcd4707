"""Voxels per second of the engine, beside curve_fit voxel by voxel on the same machine: python -m benchmarks.speed."""

from __future__ import annotations

import argparse
import os
import warnings
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import OptimizeWarning, curve_fit

from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.inversion_recovery import InversionRecovery
from tests.estimation.scenes import INVERSION_TIMES, MODEL, REPETITION_TIME, scene, signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

IDEAL = InversionRecovery(
    inversion_times=INVERSION_TIMES, repetition_times=(REPETITION_TIME,) * len(INVERSION_TIMES), ideal=True
)
MODELS = {"free": (MODEL, False), "learned": (MODEL, True), "ideal": (IDEAL, False)}
PEERS = {"free": "free", "learned": "free", "ideal": "ideal"}
"""Which fit of the peer each model stands beside; it has no learned one."""

FEW = 10_000
"""Voxels of an image so small that its time is what is spent once per image."""


def run_engine(name: str, images: Array, n_threads: int) -> tuple[float, Array]:
    """Return the time of one estimation [s], and its T1 [s]."""
    model, learn = MODELS[name]
    start = perf_counter()
    found = estimate(model, images, "magnitude", EstimationOptions(learn_ratio=learn, n_threads=n_threads))
    return perf_counter() - start, found.time


def free_signal(time: Array, offset: float, weight: float, t1: float) -> Array:
    values: Array = offset + weight * np.exp(-time / t1)
    return values


def ideal_signal(time: Array, m0: float, t1: float) -> Array:
    values: Array = m0 * (1 - 2 * np.exp(-time / t1))
    return values


def run_peer(name: str, signed: Array, inversion_times: Sequence[float] = INVERSION_TIMES) -> tuple[float, Array]:
    """Fit voxel by voxel; return the time [s] and T1 [s], NaN where it does not converge."""
    times = np.array(inversion_times)
    t1 = np.full(signed.shape[1], np.nan)
    start = perf_counter()
    for index, voxel in enumerate(signed.T):
        try:
            if name == "free":
                found, _ = curve_fit(free_signal, times, voxel, p0=(voxel[-1], -2 * voxel[-1], 1.0))
            else:
                found, _ = curve_fit(ideal_signal, times, voxel, p0=(voxel[-1], 1.0))
        except RuntimeError:
            continue
        t1[index] = found[-1]
    return perf_counter() - start, t1


def simulate(n_voxels: int) -> tuple[Array, Array]:
    """Return T1 [s] and magnitudes of voxels without background: every one is fitted, on both sides."""
    truth = np.random.default_rng(1).uniform(0.3, 3.0, n_voxels)
    return truth, np.ascontiguousarray(scene(2, truth, 1.93).magnitudes[:, :n_voxels])


def spread(values: list[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=4_000_000, help="voxels fitted by the engine")
    parser.add_argument("--peer-voxels", type=int, default=400, help="voxels fitted by curve_fit")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", OptimizeWarning)  # of the peer, whose start is plain
    warnings.simplefilter("ignore", RuntimeWarning)
    torch.set_num_threads(1)
    n_processors = len(os.sched_getaffinity(0))
    truth, images = simulate(arguments.voxels)
    few = slice(None, None, max(1, arguments.voxels // FEW))
    chosen = slice(0, arguments.peer_voxels)
    signed = images[:, chosen] * np.sign(signal(truth[chosen], 1.93))
    run_engine("free", images[:, few], 1)
    engine: dict[tuple[str, int], list[float]] = {}
    once: dict[str, list[float]] = {}
    peer: dict[str, list[float]] = {}
    t1: dict[str, Array] = {}
    peer_t1: dict[str, Array] = {}
    for _ in range(arguments.repeats):
        for name in ("free", "ideal"):
            seconds, peer_t1[name] = run_peer(name, signed)
            peer.setdefault(name, []).append(signed.shape[1] / seconds)
        for name in MODELS:
            once.setdefault(name, []).append(run_engine(name, images[:, few], n_processors)[0])
            for n_threads in sorted({1, n_processors}):
                seconds, t1[name] = run_engine(name, images, n_threads)
                engine.setdefault((name, n_threads), []).append(images.shape[1] / seconds)
    print(f"{images.shape[1]:,} voxels of {images.shape[0]} inversion times; {arguments.repeats} repeats; ", end="")
    print("median (least to most); curve_fit on one processor\n")
    print(
        "| model | processors | voxels/s | curve_fit, voxels/s | ratio | once per image, s | median difference of T1 |"
    )
    print("|---|---|---|---|---|---|---|")
    for (name, n_threads), speeds in engine.items():
        beside = peer[PEERS[name]]
        ratio = median(speeds) / median(beside)
        differ = (
            "" if name == "learned" else f"{100 * np.nanmedian(np.abs(t1[name][chosen] / peer_t1[name] - 1)):.2f} %"
        )
        print(f"| {name} | {n_threads} | {spread(speeds)} | {spread(beside)} | {ratio:,.0f} ", end="")
        print(f"| {median(once[name]):.2f} | {differ} |")


if __name__ == "__main__":
    main()
