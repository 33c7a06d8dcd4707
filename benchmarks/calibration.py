"""Calibration of phantom heads with a bias by tissue, against inversion recovery and against the truth.

python -m benchmarks.calibration: cross-validation, then the whole model on a head that was never seen;
python -m benchmarks.calibration --rich: heads whose bias is no function of T1 alone (--bias mt-varied), played on two
pools, read with a wrong B1+ map; benchmarks.calibration_oracle tells what could be had of them at best;
python -m benchmarks.calibration --steps: time of one step of training, by preset and by kind of network.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from bids_t1.calibration.application import apply
from bids_t1.calibration.baselines import protocol_of
from bids_t1.calibration.cross_validation import calibrate
from bids_t1.calibration.lattice import INPUTS, SCORED
from bids_t1.calibration.network import N_SLICES, RADIUS, PatchResNet, place
from bids_t1.calibration.training import N_THREADS, reproducibly
from bids_t1.data.calibration import PRESETS, VOXELS, CalibrationOptions, MeasuredScan, PairedScan, ReferenceScan
from bids_t1.data.grid import Grid
from bids_t1.estimation.posterior.correction import read_times
from bids_t1.runs.slow_time import believed_correction
from bids_t1_phantom.head.anatomy import Atlas, Tissue, load_atlas
from bids_t1_phantom.head.head import Head, HeadOptions, make_head, mapped_field_of
from bids_t1_phantom.head.transmit import TransmitOptions
from bids_t1_phantom.sequences.mp2rage import acquire_readouts, default_sequence
from tests.calibration.cohorts import MEASURED_RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


RICH_NOISE = 0.015
"""Relative SD of both T1 of varied heads: of voxels of 4 mm."""

WEAK, STRONG = 0.5, 1.25
"""Transmit field of varied heads, at the edge of the brain and in its middle."""

LEFT_BY_INVERSION = 0.6


def _record() -> Mapping[str, object]:
    """Return the record of a T1 map of the phantom's MP2RAGE."""
    sequence = default_sequence("MP2RAGE")
    protocol = sequence.protocol
    return {
        "InversionTimes": list(protocol.inversion_times),
        "FlipAngles": list(protocol.flip_angles),
        "RepetitionTimePreparation": protocol.cycle_time,
        "RepetitionTimesExcitation": list(protocol.spacings),
        "NumberShotsPerReadout": [[protocol.n_before, protocol.n_after]] * len(protocol.inversion_times),
        "InversionEfficiency": sequence.inversion_efficiency,
        "MagneticFieldStrength": 3.0,
        "TransmitField": {"Method": "given"},
    }


RICH_RECORD = _record()


@cache
def atlas() -> Atlas:
    return load_atlas()


def measure_rich(number: int, *, resolution: float, seed: int) -> tuple[PairedScan, Head]:
    """Make a varied head, play MP2RAGE on its pools, and read T1 with the B1+ map that errs; its true T1 with noise."""
    transmit = TransmitOptions(WEAK, STRONG)
    options = HeadOptions(resolution=resolution, bound_pool=True, varied=True, transmit=transmit)
    head = make_head(atlas(), options, seed=seed, participant=number)
    played = default_sequence("MP2RAGE", noise=0.0, inversion_leaves=LEFT_BY_INVERSION)
    images = acquire_readouts(head, played, seed=seed, participant=number).images
    signals = (images * np.exp(-1j * head.phase)).real[:, head.brain].astype(np.float64)
    mapped = mapped_field_of(head.grid.points(), options, seed=seed, participant=number)
    model = protocol_of(RICH_RECORD)
    if model is None:
        raise RuntimeError("the protocol is not told")
    read = np.full(head.grid.shape, np.nan)
    read[head.brain] = read_times(model, signals, mapped[head.brain])
    rng = np.random.default_rng([seed, number, 9])
    measured, reference = (time * (1 + RICH_NOISE * rng.standard_normal(head.grid.shape)) for time in (read, head.t1))
    maps = measured, RICH_NOISE * read, reference, RICH_NOISE * head.t1, mapped
    return _pair(head, number, maps, RICH_RECORD), head


def _pair(head: Head, number: int, maps: Sequence[np.ndarray], record: Mapping[str, object]) -> PairedScan:
    """Return a pair of T1 and SD of MP2RAGE, T1 and SD of inversion recovery, and B1+."""
    time, time_sd, truth, truth_sd, transmit = (each.astype(np.float32) for each in maps)
    grid = Grid(head.grid.shape, head.grid.affine)
    tissue = np.where(head.brain, head.tissue, 0).astype(np.uint8)
    return PairedScan(
        label=f"sub-{number:02d}",
        participant=f"{number:02d}",
        measured=MeasuredScan(
            grid=grid,
            time=time,
            time_sd=time_sd,
            transmit=transmit,
            brain=head.brain,
            tissue=tissue,
        ),
        reference=ReferenceScan(grid=grid, time=truth, time_sd=truth_sd, tissue=tissue, matrix=np.eye(4)),
        measured_protocol=record,
        reference_protocol={"MagneticFieldStrength": 3.0},
    )


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
    maps = measured, MEASURED_NOISE * low, reference, REFERENCE_NOISE * head.t1, head.transmit_field
    return _pair(head, number, maps, MEASURED_RECORD), head


def run(arguments: argparse.Namespace) -> None:
    """Train, judge, and correct one more head."""
    n, where = arguments.participants, {"resolution": arguments.resolution, "seed": arguments.seed}
    make = measure_rich if arguments.rich else measure
    pairs = [make(number, **where) for number in range(1, n + 1)]
    scans = [scan for scan, _ in pairs]
    record = scans[0].measured_protocol
    played, believed = protocol_of(record), None
    if arguments.rich and played is not None:
        believed = believed_correction(played, 3.0)
    plan, voxels = PRESETS[arguments.preset], VOXELS[arguments.preset]
    if arguments.epochs is not None:
        plan, voxels = (replace(each, epochs=arguments.epochs) for each in (plan, voxels))
    options = CalibrationOptions(
        plan=plan, voxels=voxels, folds=arguments.folds, seed=arguments.seed, n_processes=arguments.processes
    )
    start = perf_counter(), process_time()
    found = calibrate(scans, options, believed=believed, progress=say)
    spent = process_time() - start[1] + getrusage(RUSAGE_CHILDREN).ru_utime + getrusage(RUSAGE_CHILDREN).ru_stime
    print(f"{perf_counter() - start[0]:.0f} s, {spent:.0f} s of CPU time")
    for row in found.scores.summaries:
        print(
            f"{row.tissue.abbreviation:4} {row.method:11} RMSE {row.rmse:.3f} +- {row.rmse_sd:.3f} s, "
            f"bias {row.bias:+.3f} s, {row.reduction:.1%} less, {1000 * row.excess:+.1f} ms to the applied one, "
            f"interval {row.within or 0:.1%}, least {row.least_within or 0:.1%}, regions {row.region_limit or 0:.1%}"
        )
    for each in found.scores.behaviour:
        bands = ", ".join(f"{band:.2f}" for band in each.spectrum)
        print(f"{each.method:11} lesion {each.lesion_response:.2f}, least {each.least_response:.2f}; amplitude {bands}")
    for coverage in found.scores.coverage:
        print(f"{coverage.tissue.abbreviation:4} within one SD {coverage.one_sd:.2f}, 1.96 SD {coverage.two_sd:.2f}")
    print(*found.scores.verdict, sep="\n")
    scan, head = make(n + 1, **where)
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
        with reproducibly(N_THREADS):
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
    parser.add_argument("--rich", action="store_true", help="varied heads")
    parser.add_argument("--epochs", type=int, default=None, help="of networks; None for those of the preset")
    parser.add_argument("--processes", type=int, default=1, help="folds at a time, each in a process of its own")
    parser.add_argument("--steps", action="store_true", help="only the time of one step")
    chosen = parser.parse_args()
    if chosen.steps:
        steps()
    else:
        run(chosen)
