"""Calibration of phantom heads with a bias by tissue, against inversion recovery and against the truth.

python -m benchmarks.calibration: cross-validation, then the whole model on a head that was never seen;
python -m benchmarks.calibration --steps: time of one step of training, by preset and by kind of network.
"""

from __future__ import annotations

import argparse
from functools import cache
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from bids_t1.calibration.application import apply
from bids_t1.calibration.cross_validation import calibrate
from bids_t1.calibration.lattice import INPUTS, SCORED
from bids_t1.calibration.network import N_SLICES, RADIUS, PatchResNet, place
from bids_t1.calibration.training import reproducibly
from bids_t1.data.calibration import PRESETS, CalibrationOptions, MeasuredScan, PairedScan, ReferenceScan
from bids_t1.data.grid import Grid
from bids_t1_phantom.head.anatomy import Atlas, Tissue, load_atlas
from bids_t1_phantom.head.head import Head, HeadOptions, make_head
from tests.calibration.cohorts import MEASURED_RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.calibration import TrainingProgress

BIAS: Mapping[Tissue, float] = {
    Tissue.WHITE_MATTER: 0.30,
    Tissue.DEEP_GREY_MATTER: 0.24,
    Tissue.GREY_MATTER: 0.20,
}
"""Rate that magnetisation transfer adds in MP2RAGE, relative: T1 reads low by about as much as in published pairs."""

MEASURED_NOISE = 0.03
REFERENCE_NOISE = 0.025
"""Relative SD of T1."""

BETWEEN_PARTICIPANTS = 0.07
WITHIN_PARTICIPANT = 0.05
"""How the bias varies from head to head, and smoothly within one, relative."""


@cache
def atlas() -> Atlas:
    return load_atlas()


def measure(number: int, *, resolution: float, seed: int) -> tuple[PairedScan, Head]:
    """Make a head and measure it twice."""
    head = make_head(atlas(), HeadOptions(resolution=resolution), seed=seed, participant=number)
    rng = np.random.default_rng([seed, number, 9])
    grid = Grid(head.grid.shape, head.grid.affine)
    texture = gaussian_filter(rng.standard_normal(grid.shape), 12 / resolution)
    texture *= WITHIN_PARTICIPANT / texture.std()
    of_head = 1 + BETWEEN_PARTICIPANTS * rng.standard_normal()
    bias = np.zeros(grid.shape)
    for kind, value in BIAS.items():
        bias[head.tissue == kind] = value
    low = head.t1 / (1 + bias * of_head * (1 + texture))
    measured = low * (1 + MEASURED_NOISE * rng.standard_normal(grid.shape))
    reference = head.t1 * (1 + REFERENCE_NOISE * rng.standard_normal(grid.shape))
    scan = PairedScan(
        label=f"sub-{number:02d}",
        participant=f"{number:02d}",
        measured=MeasuredScan(
            grid=grid,
            time=measured.astype(np.float32),
            time_sd=(MEASURED_NOISE * low).astype(np.float32),
            transmit=head.transmit_field.astype(np.float32),
            brain=head.brain,
        ),
        reference=ReferenceScan(
            grid=grid,
            time=reference.astype(np.float32),
            time_sd=(REFERENCE_NOISE * head.t1).astype(np.float32),
            tissue=np.where(head.brain, head.tissue, 0).astype(np.uint8),
            matrix=np.eye(4),
        ),
        measured_protocol=MEASURED_RECORD,
        reference_protocol={"MagneticFieldStrength": 3.0},
    )
    return scan, head


def run(arguments: argparse.Namespace) -> None:
    """Train, judge, and correct one more head."""
    n, where = arguments.participants, {"resolution": arguments.resolution, "seed": arguments.seed}
    scans = [measure(number, **where)[0] for number in range(1, n + 1)]
    options = CalibrationOptions(plan=PRESETS[arguments.preset], folds=arguments.folds, seed=arguments.seed)
    start = perf_counter(), process_time()
    found = calibrate(scans, options, progress=say)
    print(f"{perf_counter() - start[0]:.0f} s, {process_time() - start[1]:.0f} s of CPU time")
    for row in found.scores.summaries:
        print(
            f"{row.tissue.abbreviation:4} {row.method:10} RMSE {row.rmse:.3f} +- {row.rmse_sd:.3f} s, "
            f"bias {row.bias:+.3f} s, {row.reduction:.1%} less"
        )
    for coverage in found.scores.coverage:
        print(f"{coverage.tissue.abbreviation:4} within one SD {coverage.one_sd:.2f}, 1.96 SD {coverage.two_sd:.2f}")
    print(*found.scores.verdict, sep="\n")
    scan, head = measure(n + 1, **where)
    corrected = apply(found.model, scan.measured)
    for tissue in SCORED:
        inside = (scan.reference.tissue == tissue) & np.isfinite(corrected.time)
        before, after = (
            float(np.sqrt(np.mean((time - head.t1)[inside] ** 2))) for time in (scan.measured.time, corrected.time)
        )
        print(f"{tissue.abbreviation:4} RMSE to the truth in another head: {before:.3f} s before, {after:.3f} s after")


def say(progress: TrainingProgress) -> None:
    """Show where training stands."""
    watched = "" if progress.validation_loss is None else f", held out {progress.validation_loss:.3f}"
    print(f"{progress.member} {progress.epoch}/{progress.epochs}: {progress.training_loss:.3f}{watched}", flush=True)


def steps() -> None:
    """Show the time of one step of training."""
    for plan in PRESETS.values():
        edge = plan.tile + 2 * RADIUS
        network = place(PatchResNet(plan.width), "cpu")
        patches = torch.randn(plan.batch, len(INPUTS) * N_SLICES, edge, edge)
        with reproducibly(2):
            walls, cpus = [], []
            for _ in range(3):
                start = perf_counter(), process_time()
                log_factor, log_variance = network(patches.contiguous(memory_format=torch.channels_last))
                (log_factor.square().mean() + log_variance.mean()).backward()
                walls.append(perf_counter() - start[0])
                cpus.append(process_time() - start[1])
        n_steps = plan.steps * plan.epochs
        print(
            f"{plan.name}: {median(walls):.2f} s per step ({median(cpus):.2f} s of CPU time), at most {n_steps} steps "
            f"per network: {n_steps * median(walls) / 60:.0f} min"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=4)
    parser.add_argument("--resolution", type=float, default=2.0, help="[mm]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=None)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--steps", action="store_true", help="only the time of one step")
    chosen = parser.parse_args()
    if chosen.steps:
        steps()
    else:
        run(chosen)
