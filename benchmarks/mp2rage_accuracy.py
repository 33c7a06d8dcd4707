"""Error, bias and honesty of T1 from MP2RAGE and MP3RAGE on simulated voxels: python -m benchmarks.mp2rage_accuracy."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch

from benchmarks.mp2rage_scenes import T1_RANGE, estimate, every_voxel, scene
from bids_t1.data.forms import InputForm
from bids_t1.estimation.posterior.posterior import TransmitPrior
from tests.estimation.scenes import BANDS, bias, rmse

if TYPE_CHECKING:
    from benchmarks.mp2rage_scenes import Mask, Scene
    from bids_t1.data.estimate import PosteriorEstimate

CASES = (
    ("two readouts", 2, (1.0, 1.0), (29, 35, 58, 106)),
    ("three readouts", 3, (1.0, 1.0), (26, 34, 64, 130)),
    ("two readouts, B1 0.7 to 1.3, map", 2, (0.7, 1.3), (30, 36, 60, 110)),
)
"""Name, readouts, transmit fields, and the information limit plus 5 % of each band [ms]."""

ESTIMATES = ("time", "mean", "point")


def covers(found: PosteriorEstimate, truth: Scene) -> Mask:
    held: Mask = (found.lower <= truth.truth) & (truth.truth <= found.upper)
    return held


def print_bands(n_voxels: int) -> None:
    print("\n## Noise 0.001 of M0, T1 uniform\n")
    print("| case | T1, s | voxels | maximum: RMSE, ms | asked | median bias | mean: RMSE, ms | median bias ", end="")
    print("| look-up: RMSE, ms | median bias | no estimate |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for name, n_readouts, transmit, limits in CASES:
        simulated = scene(n_voxels, n_readouts=n_readouts, transmit=transmit)
        found = estimate(simulated)
        for (low, high), limit in zip(BANDS, limits, strict=True):
            where = simulated.between(low, high)
            truth = simulated.truth[where]
            maps = [getattr(found, quantity)[where] for quantity in ESTIMATES]
            cells = [f"{1000 * rmse(values, truth):.1f} | {100 * bias(values, truth):+.2f} %" for values in maps]
            errors, biases = cells[0].split(" | ")
            missing = 100 * np.mean(np.isnan(maps[0]))
            print(f"| {name} | {low} to {high} | {truth.size:,} | {errors} | {limit} | {biases} ", end="")
            print(f"| {cells[1]} | {cells[2]} | {missing:.2f} % |", flush=True)


def print_coverage(n_voxels: int) -> None:
    """Truth is drawn from the prior, the whole of it."""
    print(f"\n## Truths of {T1_RANGE[0]} to {T1_RANGE[1]} s in 95 % intervals\n")
    print("| noise, of M0 | case | every voxel | fitted voxels | not fitted |\n|---|---|---|---|---|")
    for noise_sd in (0.0005, 0.001, 0.005):
        for name, n_readouts, transmit, _ in CASES:
            simulated = scene(n_voxels, n_readouts=n_readouts, transmit=transmit, noise_sd=noise_sd, seed=2)
            shares = []
            for context in (every_voxel(), nullcontext()):
                with context:
                    found = estimate(simulated)
                fitted = np.isfinite(found.time)
                shares.append((np.mean(covers(found, simulated)[fitted]), np.mean(fitted)))
            (every, of_every), (some, of_some) = shares
            if of_every < 1:
                raise SystemExit(f"{1 - of_every:.2%} of the voxels have no estimate; expected all to have one.")
            print(f"| {noise_sd:g} | {name} | {100 * every:.2f} % | {100 * some:.2f} % ", end="")
            print(f"| {100 * (1 - of_some):.1f} % |", flush=True)


def print_fields(n_voxels: int) -> None:
    """Show what a transmit field that is not nominal does: to the look-up, with a map, and without one."""
    print("\n## Transmit fields that are not nominal, two readouts, noise 0.001, T1 0.3 to 3 s\n")
    print(
        "| B1 of the voxels | look-up at nominal B1: median bias | with map: largest bias of four bands | covers ",
        end="",
    )
    print("| without map: median bias | width of the interval over that with map | covers |")
    print("|---|---|---|---|---|---|---|")
    for low, high in ((0.7, 0.7), (0.85, 0.85), (1.0, 1.0), (1.15, 1.15), (1.3, 1.3), (0.7, 1.3)):
        simulated = scene(n_voxels, transmit=(low, high), t1=(0.3, 3.0), seed=3)
        nominal = estimate(simulated, with_map=False)
        known = estimate(simulated)
        unknown = estimate(simulated, with_map=False, prior=TransmitPrior())
        bands = [simulated.between(*band) for band in BANDS]
        of_bands = [bias(known.time[where], simulated.truth[where]) for where in bands]
        largest = max(of_bands, key=abs)
        ratio = np.nanmedian((unknown.upper - unknown.lower) / (known.upper - known.lower))
        name = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        print(f"| {name} | {100 * bias(nominal.point, simulated.truth):+.1f} % | {100 * largest:+.2f} % ", end="")
        print(f"| {100 * np.mean(covers(known, simulated)):.1f} % ", end="")
        print(f"| {100 * bias(unknown.time, simulated.truth):+.1f} % | {ratio:.1f} ", end="")
        print(f"| {100 * np.mean(covers(unknown, simulated)):.1f} % |", flush=True)


def print_forms(n_voxels: int) -> None:
    """Compare what laboratories have of a run; M0 that differs is an uneven receive field."""
    print("\n## Forms of input, two readouts, B1 0.7 to 1.3 with map, noise 0.001, T1 0.3 to 3 s\n")
    names = " | ".join(f"RMSE {low} to {high} s, ms" for low, high in BANDS)
    print(f"| form | M0 | {names} | covers | flagged: two modes |\n|---|---|---|---|---|---|---|---|")
    for form in get_args(InputForm):
        for low, high in ((1.0, 1.0), (0.5, 1.5)):
            simulated = scene(n_voxels, transmit=(0.7, 1.3), t1=(0.3, 3.0), m0=(low, high), seed=4)
            with every_voxel():
                found = estimate(simulated, form=form)
            bands = [simulated.between(*band) for band in BANDS]
            errors = [1000 * rmse(found.time[where], simulated.truth[where]) for where in bands]
            cells = " | ".join(f"{error:.1f}" for error in errors)
            print(f"| {form} | {f'{low:g} to {high:g}' if low < high else f'{low:g}'} | {cells} ", end="")
            print(f"| {100 * np.mean(covers(found, simulated)):.1f} % ", end="")
            print(f"| {100 * np.mean(found.two_modes):.1f} % |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=1_000_000, help="voxels of each scene")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "7 T, cycle 8.25 s, TI 1.01, 3.31 (and 5.61) s, 4 degrees, 112 + 113 excitations every 6 ms, inversion ", end=""
    )
    print("efficiency 0.84; M0 is 1, the noise is complex; seeds are fixed.")
    print_bands(arguments.voxels)
    print_coverage(arguments.voxels)
    print_fields(arguments.voxels // 4)
    print_forms(arguments.voxels // 4)


if __name__ == "__main__":
    main()
