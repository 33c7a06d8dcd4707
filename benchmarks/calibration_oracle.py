"""What no calibration of varied heads can beat: python -m benchmarks.calibration_oracle.

T1 that is expected, given what MP2RAGE tells of a voxel: regressions within each tissue on very many simulated heads of
the same kind, whose true T1 is known, judged on a cohort that none of them is in. `python -m benchmarks.calibration
--rich` judges the ladder on the same cohort, against the same noisy T1 of inversion recovery.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter

from benchmarks.calibration import measure_rich
from bids_t1.calibration.baselines import fit_polynomial, fit_scale, gather
from bids_t1.calibration.lattice import SCORED, edge_of, to_sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bids_t1.calibration.lattice import Sample
    from bids_t1.data.calibration import PairedScan
    from bids_t1.data.tissue import Tissue

    Values = np.ndarray

FIRST_OTHER, OTHER_SEED = 1001, 5
"""Number of the first head that oracles learn from, and what is added to the seed: none of a cohort."""

NEIGHBOURHOODS = (3, 5)
"""Edges of the cubes over which T1 of a voxel's tissue is averaged [voxels]."""

ORACLES = {"T1": (1, 5), "T1 and B1+": (2, 5), "T1, B1+ and T1 around": (4, 3)}
"""How many columns of `Voxels.inputs` are told, and the degree of the polynomial of them."""

SIZES = (7, 20, 40, 80)
"""Of groups of these heads that regressions are fitted to as well, mean over groups: how many people it takes."""

REACH = 4.0
"""SD from the mean beyond which inputs do not count."""

RIDGE = 1e-7

MOST_GROUPS = 4
"""Of each size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voxels:
    """Voxels of one tissue of one head."""

    inputs: Values
    """(voxel, quantity): log T1 of MP2RAGE, B1+ as mapped, log T1 of the same tissue around."""

    measured: Values
    """T1 of MP2RAGE [s]."""

    reference: Values
    """T1 of inversion recovery, with its noise [s]."""

    true: Values
    """Slow T1 [s]."""


def voxels_of(scan: PairedScan, true: Values, tissue: Tissue) -> Voxels:
    """Collect what is known of the voxels of a tissue."""
    time, transmit = scan.measured.time, scan.measured.transmit
    where = np.isfinite(time) & (scan.reference.tissue == tissue)
    log_time = np.where(where, np.log(np.where(where, time, 1)), 0)
    weight = where.astype(float)
    around = [uniform_filter(log_time, n)[where] / uniform_filter(weight, n)[where] for n in NEIGHBOURHOODS]
    field = np.ones(where.sum()) if transmit is None else transmit[where]
    return Voxels(
        inputs=np.stack([log_time[where], field, *around], axis=1),
        measured=time[where].astype(float),
        reference=scan.reference.time[where].astype(float),
        true=true[where],
    )


class Expectation:
    """True T1 over that of MP2RAGE as a polynomial of what is known, by least squares of T1."""

    def __init__(self, heads: Sequence[Voxels], n_known: int, degree: int) -> None:
        known = np.concatenate([head.inputs[:, :n_known] for head in heads])
        self._centre, self._scale = known.mean(0), REACH * known.std(0)
        self._powers = [
            chosen for n in range(degree + 1) for chosen in combinations_with_replacement(range(n_known), n)
        ]
        normal, right = np.zeros((len(self._powers),) * 2), np.zeros(len(self._powers))
        for head in heads:
            columns = self._columns(head.inputs) * head.measured[:, None]
            normal += columns.T @ columns
            right += columns.T @ head.true
        self._coefficients = np.linalg.solve(normal + RIDGE * np.diag(np.diag(normal)), right)

    def __call__(self, head: Voxels) -> Values:
        """Return expected T1 [s]."""
        expected: Values = head.measured * (self._columns(head.inputs) @ self._coefficients)
        return expected

    def _columns(self, inputs: Values) -> Values:
        known = ((inputs[:, : len(self._centre)] - self._centre) / self._scale).clip(-1, 1)
        return np.stack([np.prod(known[:, list(chosen)], axis=1) for chosen in self._powers], axis=1)


def rmse(heads: Sequence[Voxels], times: Iterable[Values]) -> float:
    """Return the RMSE of T1 against measured inversion recovery, mean over heads [ms]."""
    squares = [np.mean((time - head.reference) ** 2) for head, time in zip(heads, times, strict=True)]
    return 1000 * float(np.mean(np.sqrt(squares)))


def simple(samples: Sequence[Sample], heads: Sequence[Voxels]) -> dict[str, float]:
    """Return the RMSE of factor, line and cubic, each fitted to the other heads [ms]."""
    pairs = [gather([other for other in samples if other is not sample]) for sample in samples]
    fits = {
        "factor": [fit_scale(each) for each in pairs],
        "line": [fit_polynomial(each, (0, 1)) for each in pairs],
        "cubic": [fit_polynomial(each, (0, 1, 2, 3)) for each in pairs],
    }
    return {
        name: rmse(heads, [fit(head.measured) for fit, head in zip(of_heads, heads, strict=True)])
        for name, of_heads in fits.items()
    }


def main() -> None:
    """Print a row for each tissue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=8)
    parser.add_argument("--resolution", type=float, default=5.0, help="[mm]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--heads", type=int, default=160, help="that oracles learn from")
    asked = parser.parse_args()
    make = partial(measure_rich, resolution=asked.resolution, seed=asked.seed)
    cohort = [make(number) for number in range(1, asked.participants + 1)]
    samples = [to_sample(scan, edge_of(scan)) for scan, _ in cohort]
    other = partial(measure_rich, resolution=asked.resolution, seed=asked.seed + OTHER_SEED)
    others = [other(number) for number in range(FIRST_OTHER, FIRST_OTHER + asked.heads)]
    for tissue in SCORED:
        heads, taught = ([voxels_of(scan, head.t1, tissue) for scan, head in of_heads] for of_heads in (cohort, others))
        print_row(tissue, heads, taught, simple(samples, heads))


def print_row(tissue: Tissue, heads: Sequence[Voxels], taught: Sequence[Voxels], simple: Mapping[str, float]) -> None:
    """Print what is left in a tissue by noise alone, by simple corrections, and by oracles of more and more heads."""
    floor = rmse(heads, [head.true for head in heads])
    print(f"{tissue.meaning}, RMSE [ms]: noise of inversion recovery {floor:.1f}", end="")
    print(*(f", {name} {value:.1f}" for name, value in simple.items()), sep="")
    for name, (n_known, degree) in ORACLES.items():
        cells = []
        for size in (*(size for size in SIZES if size < len(taught)), len(taught)):
            starts = range(0, len(taught) - size + 1, size)[:MOST_GROUPS]
            fits = [Expectation(taught[start : start + size], n_known, degree) for start in starts]
            left = float(np.mean([rmse(heads, [fit(head) for head in heads]) for fit in fits]))
            cells.append(f"{size} heads {left:.1f}")
        print(f"    expected by {name}: {', '.join(cells)}")


if __name__ == "__main__":
    main()
