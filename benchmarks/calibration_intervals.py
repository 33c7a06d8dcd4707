"""How often intervals of a calibration hold in one more participant, over many simulated cohorts.

python -m benchmarks.calibration_intervals [--cohorts 200] [--participants 8]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.calibration.intervals import LIMIT, interval_of, region_limit
from bids_t1.calibration.lattice import SCORED
from bids_t1.calibration.scores import Left

if TYPE_CHECKING:
    from bids_t1.data.calibration import Method

N_VOXELS = 400
"""Of each tissue."""

WORST = 0.05
"""Share of the cohorts whose new participant counts as the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """How people differ, and how noisy their voxels are; SD of log T1."""

    between: float
    """Shared by all tissues of a participant."""

    of_tissue: float
    """Of each tissue by itself."""

    noise: float
    """Of a voxel, which the SD of the measurement tells."""

    heavy: bool = False
    """Whether participants scatter as Student's t with four degrees of freedom instead of normally."""


CASES = (
    People(between=0.0, of_tissue=0.0, noise=0.08),
    People(between=0.01, of_tissue=0.0, noise=0.08),
    People(between=0.02, of_tissue=0.01, noise=0.10),
    People(between=0.02, of_tissue=0.01, noise=0.05),
    People(between=0.02, of_tissue=0.01, noise=0.05, heavy=True),
    People(between=0.04, of_tissue=0.0, noise=0.08),
    People(between=0.04, of_tissue=0.02, noise=0.04),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Shares that intervals hold in the new participant of each cohort."""

    voxels: np.ndarray
    regions: np.ndarray

    @property
    def mean(self) -> float:
        """Return the mean over participants."""
        return float(self.voxels.mean())

    @property
    def worst(self) -> float:
        """Return what is held in the worst twentieth of participants: the quantile there."""
        return float(np.quantile(self.voxels, WORST))


def simulate(people: People, method: Method, *, participants: int, cohorts: int, seed: int = 0) -> Held:
    """Calibrate cohorts by one factor, and look at one more participant of each."""
    rng = np.random.default_rng([seed, participants])
    voxels, regions = [], []
    for _ in range(cohorts):
        own = (
            rng.standard_t(4, participants + 1) / np.sqrt(2) if people.heavy else rng.standard_normal(participants + 1)
        )
        offsets = people.between * own[:, None] + people.of_tissue * rng.standard_normal(
            (participants + 1, len(SCORED))
        )
        means = offsets[:participants].mean(axis=1)
        factors = (means.sum() - means) / (participants - 1)
        held_out = [_left(row - factor, people, rng) for row, factor in zip(offsets, factors, strict=False)]
        new = _left(offsets[-1] - means.mean(), people, rng)
        interval = interval_of(method, held_out)
        errors = new.errors(interval.relation_sd)
        voxels.append(np.mean([np.abs(each) < LIMIT * interval.sd_scale for each in errors.values()]))
        regions += [abs(new.offsets[tissue]) < region_limit(held_out, tissue) for tissue in SCORED]
    return Held(voxels=np.array(voxels), regions=np.array(regions))


def _left(offsets: np.ndarray, people: People, rng: np.random.Generator) -> Left:
    """Return what one factor leaves in a participant; T1 is 1 s, and inversion recovery has no noise of its own."""
    errors = offsets[:, None] + people.noise * rng.standard_normal((len(SCORED), N_VOXELS))
    rows = np.zeros(N_VOXELS), np.full(N_VOXELS, people.noise), np.ones(N_VOXELS)
    return Left(
        participant=str(rng.integers(2**62)),
        label="",
        offsets=dict(zip(SCORED, errors.mean(axis=1).tolist(), strict=True)),
        voxels={
            tissue: np.stack([error, rows[1], rows[0], rows[2]]) for tissue, error in zip(SCORED, errors, strict=True)
        },
    )


def run(arguments: argparse.Namespace) -> None:
    """Print one line for each kind of people and of method."""
    for people in CASES:
        for method, name in (("scale", "simple"), ("network", "network")):
            held = simulate(people, method, participants=arguments.participants, cohorts=arguments.cohorts)  # type: ignore[arg-type]
            print(
                f"between {people.between:.0%}, of tissue {people.of_tissue:.0%}, noise {people.noise:.0%}"
                f"{', heavy tails' if people.heavy else ''}, {name}: voxels {held.mean:.1%}, worst twentieth "
                f"{held.worst:.1%}; means of regions {held.regions.mean():.1%}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=8)
    parser.add_argument("--cohorts", type=int, default=200)
    run(parser.parse_args())
