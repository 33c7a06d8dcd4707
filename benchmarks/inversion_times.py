"""Which inversion times decide the T1 that calibrations learn: python -m benchmarks.inversion_times.

T1 of inversion recovery is fitted again with one inversion time left out at a time, and without the short ones, as one
exponential and with the fast component of tissue: medians over those of all inversion times. The factor that a
calibration learns in a tissue changes by as much. On simulated tissue of two pools, and, with --data, on the slice of a
brain.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.runs.fast_component import fast_component_at
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1_phantom.physics import two_pools
from bids_t1_phantom.physics.protocols import DEFAULT_INVERSION_TIMES, Protocol
from tests.integration.test_real_data import BRAIN_REPETITION_TIME, BRAIN_TIMES, IN_BRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bids_t1.data.acquisition import Kind

REPETITION_TIME = 6.0
"""Of simulated images [s]."""

N_VOXELS, SNR = 4_000, 50.0
"""Of each simulated tissue."""

POOLS = {"white matter": (0.95, 0.135, 17.5), "grey matter": (1.5, 0.065, 25.0)}
"""Slow T1 [s], bound fraction and exchange [1/s]."""

WITHIN = {"white matter": (0.75, 1.05), "grey matter": (1.2, 1.8)}
"""T1 that tissues of the brain have by all inversion times [s]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """Images of all inversion times."""

    name: str
    times: tuple[float, ...]
    repetition_time: float
    images: np.ndarray
    """(inversion time, voxel)."""

    kind: Kind
    truth: Mapping[str, float]
    """Slow T1 of each tissue [s], where it is known."""

    tissue: np.ndarray | None
    """Name of each voxel's tissue; None: by T1."""

    def time(self, chosen: Sequence[int], *, fast: bool) -> np.ndarray:
        """Return T1 by some of the inversion times [s], of one exponential or with the fast component of 3 T."""
        model = InversionRecovery(
            inversion_times=tuple(self.times[each] for each in chosen),
            repetition_times=(self.repetition_time,) * len(chosen),
            fast=fast_component_at(3.0)[0] if fast else None,
        )
        images = np.ascontiguousarray(self.images[list(chosen)])
        return np.asarray(estimate(model, images, self.kind, EstimationOptions()).time)

    def masks(self) -> dict[str, np.ndarray]:
        """Return the voxels of each tissue."""
        if self.tissue is not None:
            return {name: self.tissue == name for name in POOLS}
        time = self.time(range(len(self.times)), fast=False)
        return {name: (time > low) & (time < high) for name, (low, high) in WITHIN.items()}


def simulated() -> Scene:
    """Make voxels of both tissues, magnitudes."""
    protocol = Protocol.build(repetition_times=(REPETITION_TIME,))
    rng = np.random.default_rng(0)
    clean = []
    for t1, fraction, exchange in POOLS.values():
        pools = two_pools.Pools.build(np.array([t1]), bound_fraction=fraction, exchange=exchange, bound_rate=1.0)
        one = two_pools.inversion_recovery(pools, np.ones(1), protocol=protocol, inversion_efficiency=np.array([1.93]))
        clean.append(np.repeat(one, N_VOXELS, axis=1))
    signal = np.concatenate([*clean, np.zeros((len(protocol.inversion_times), N_VOXELS))], axis=1)
    noise = rng.normal(0, 1 / SNR, (2, *signal.shape))
    return Scene(
        name=f"two pools, SNR {SNR:g}",
        times=DEFAULT_INVERSION_TIMES,
        repetition_time=REPETITION_TIME,
        images=np.hypot(signal + noise[0], noise[1]).astype(np.float32),
        kind="magnitude",
        truth={name: t1 for name, (t1, *_) in POOLS.items()},
        tissue=np.repeat([*POOLS, "air"], N_VOXELS),
    )


def brain(data: Path) -> Scene:
    """Read the signed slice of a brain."""
    images = np.moveaxis(np.load(data / "invivo_ir/t1dataset.npy"), -1, 0)
    return Scene(
        name="brain, one slice, signed",
        times=BRAIN_TIMES,
        repetition_time=BRAIN_REPETITION_TIME,
        images=images[:, np.abs(images[-1]) > IN_BRAIN].astype(np.float32),
        kind="real",
        truth={},
        tissue=None,
    )


def selections(times: Sequence[float]) -> Iterator[tuple[str, list[int]]]:
    """Yield what is left out, and the places of what stays."""
    everything = range(len(times))
    yield "nothing", list(everything)
    for limit in (0.1, fast_component_at(3.0)[1]):
        yield f"all below {limit:g} s", [each for each in everything if times[each] >= limit]
    for left_out in everything:
        yield f"{times[left_out]:g} s", [each for each in everything if each != left_out]


def main() -> None:
    """Print a table for each scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the public data, which holds invivo_ir")
    data = parser.parse_args().data
    for scene in (simulated(), *([] if data is None else [brain(data)])):
        masks = scene.masks()
        columns = [(name, fast) for name in masks for fast in (False, True)]
        print(f"\n## {scene.name}\n\n| left out |", end="")
        print(*(f" {name}, {'with fast component' if fast else 'one exponential'} |" for name, fast in columns))
        print("|---|" + "---|" * len(columns))
        first: dict[tuple[str, bool], float] = {}
        for words, chosen in selections(scene.times):
            found = {fast: scene.time(chosen, fast=fast) for fast in (False, True)}
            cells = []
            for name, fast in columns:
                median = float(np.nanmedian(found[fast][masks[name]]))
                start = first.setdefault((name, fast), median)
                truth = f", {median / scene.truth[name] - 1:+.1%} of the truth" if name in scene.truth else ""
                cells.append(f"{median:.3f} s{truth}" if words == "nothing" else f"{median / start - 1:+.1%}")
            print(f"| {words} |", *(f"{cell} |" for cell in cells))


if __name__ == "__main__":
    main()
