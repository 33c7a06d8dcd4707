"""Errors of registration, and how well heads of others are told: python -m benchmarks.registration."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from bids_t1.registration.check import LARGEST_DISPLACEMENT, displacements
from bids_t1.registration.rigid import align
from tests.registration.heads import Scan, error, picture, random_motion


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    error: float
    """Mean over the brain [mm]."""

    displacement: float
    """Median of the blocks [mm]."""

    trusted: bool
    seconds: float
    """Of processor time."""


def fields_of_view(resolution: float, snr: float) -> dict[str, Scan]:
    return {
        "whole head": Scan(resolution=resolution, snr=snr),
        "8 slices": Scan(resolution=resolution, slices=8, snr=snr),
        "8 slices, twice as thick": Scan(resolution=resolution, slices=8, thickness=2 * resolution, snr=snr),
        "1 slice, twice as thick": Scan(resolution=resolution, slices=1, thickness=2 * resolution, snr=snr),
    }


def measure(seed: int, scans: dict[str, Scan], *, participant: int, largest: float) -> dict[str, Outcome]:
    """Register the scans of one head to a whole head of the same or another participant."""
    truth = random_motion(seed, angle=largest, shift=largest)
    whole = scans["whole head"]
    moving = picture(whole, sequence="MP2RAGE", head=(seed, participant), matrix=truth, noise=seed + 1000)
    found = {}
    for name, scan in scans.items():
        fixed = picture(scan, sequence="IR", head=(seed, 1), matrix=np.eye(4), noise=seed)
        began = time.process_time()
        alignment = align(fixed, moving)
        seconds = time.process_time() - began
        blocks = np.linalg.norm(displacements(fixed, moving, alignment.matrix), axis=1)
        found[name] = Outcome(
            error=error(alignment.matrix, truth, fixed),
            displacement=float(np.median(blocks)),
            trusted=alignment.trusted,
            seconds=seconds,
        )
    return found


def print_table(n_seeds: int, scans: dict[str, Scan], largest: float) -> None:
    seeds = range(1, n_seeds + 1)
    same = [measure(seed, scans, participant=1, largest=largest) for seed in seeds]
    others = [measure(seed, scans, participant=2, largest=largest) for seed in seeds]
    print(
        f"\nup to {largest:g} degrees and {largest:g} mm, {n_seeds} seeds, displacement allowed "
        f"{LARGEST_DISPLACEMENT:g} mm\n\n"
        "| inversion recovery | error, mm: mean | largest | displacement, mm: one head, largest | another, smallest "
        "| false alarms | missed | s |\n|---|---|---|---|---|---|---|---|"
    )
    for name in scans:
        ours, theirs = ([each[name] for each in group] for group in (same, others))
        errors = [each.error for each in ours]
        print(
            f"| {name} | {np.mean(errors):.2f} | {max(errors):.2f} | {max(each.displacement for each in ours):.2f} "
            f"| {min(each.displacement for each in theirs):.2f} | {sum(not each.trusted for each in ours)} "
            f"| {sum(each.trusted for each in theirs)} | {np.mean([each.seconds for each in ours]):.1f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--resolution", type=float, default=2.0, help="edge of voxels [mm]")
    parser.add_argument("--snr", type=float, nargs="+", default=[30.0])
    parser.add_argument("--largest", type=float, nargs="+", default=[10.0], help="motion [degree and mm]")
    arguments = parser.parse_args()
    for snr in arguments.snr:
        for largest in arguments.largest:
            print(f"\n## SNR {snr:g}, voxels of {arguments.resolution:g} mm")
            print_table(arguments.seeds, fields_of_view(arguments.resolution, snr), largest)


if __name__ == "__main__":
    main()
