"""Simple corrections of T1, which a network has to beat to be worth running; the cubic is also where it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize

from bids_t1.calibration.lattice import SCORED
from bids_t1.sequences.mp2rage import Mp2rage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.calibration.lattice import Sample
    from bids_t1.data.shapes import Labels, Map

CENTRE = 1.2
"""Powers are those of T1 less this [s]: their sums then are well conditioned."""

ERROR_FLOOR = 0.05
"""Relative error of T1 of inversion recovery that weights are computed with at least."""

QUANTILES = (0.0005, 0.9995)
"""Of T1 in training; beyond them a polynomial goes on as a constant factor."""

FACTORS = (0.5, 2.5)


Numbers = dict[str, tuple[float, ...]]
"""Of a correction, by name: what a model file holds of it."""


class Correction(Protocol):
    """What turns T1 of MP2RAGE into that of inversion recovery, voxel by voxel."""

    def __call__(self, time: Map, transmit: Map | None = None, tissue: Labels | None = None) -> Map:
        """Return corrected T1 [s] from T1 [s], B1+ and the tissue that MP2RAGE says it is."""
        ...

    @property
    def numbers(self) -> Numbers:
        """Return what it can be made of again by `restored`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial:
    """T1 corrected by a polynomial of T1."""

    coefficients: tuple[float, ...]
    """Of the powers of T1 less `CENTRE`, from the first on: constant, linear, ..."""

    limits: tuple[float, float]
    """T1 that it was fitted between [s]."""

    def __call__(self, time: Map, transmit: Map | None = None, tissue: Labels | None = None) -> Map:  # noqa: ARG002 -- one signature for all
        """Return corrected T1 [s]."""
        corrected: Map = time * self.factor(time)
        return corrected

    @property
    def numbers(self) -> Numbers:
        """Return coefficients and limits."""
        return {"coefficients": self.coefficients, "limits": self.limits}

    def factor(self, time: Map) -> Map:
        """Return corrected over measured T1; outside of `limits` that at the nearest limit."""
        inside = np.clip(time.astype(np.float64), *self.limits)
        value = np.polynomial.polynomial.polyval(inside - CENTRE, np.array(self.coefficients))
        factor: Map = np.clip(value / inside, *FACTORS).astype(np.float32)
        return factor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unchanged:
    """No correction."""

    def __call__(self, time: Map, transmit: Map | None = None, tissue: Labels | None = None) -> Map:  # noqa: ARG002 -- one signature for all
        """Return T1 as it is [s]."""
        return time

    @property
    def numbers(self) -> Numbers:
        """Return that it multiplies by one."""
        return {"factor": (1.0,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueFactors:
    """A factor for each tissue, in masks that MP2RAGE itself gives: those of another image are not there to apply it.

    Fluid, which has no bias, and what has no tissue are left as they are.
    """

    factors: tuple[tuple[int, float], ...]
    """Tissue and factor."""

    def __call__(self, time: Map, transmit: Map | None = None, tissue: Labels | None = None) -> Map:  # noqa: ARG002 -- one signature for all
        """Return corrected T1 [s]."""
        corrected = np.array(time)
        for kind, factor in self.factors if tissue is not None else ():
            corrected[tissue == kind] *= factor
        return corrected

    @property
    def numbers(self) -> Numbers:
        """Return tissues and factors."""
        return {
            "tissues": tuple(float(kind) for kind, _ in self.factors),
            "tissue_factors": tuple(factor for _, factor in self.factors),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Voxels of the training participants: T1 of both sequences [s], B1+ and weights."""

    time: np.ndarray
    reference: np.ndarray
    transmit: np.ndarray
    tissue: np.ndarray
    """As MP2RAGE has it; 0 where it tells none."""

    weight: np.ndarray
    """Tissues weigh the same, as their errors are reported; within one, the more certain voxels more."""


def gather(samples: Sequence[Sample]) -> Pairs:
    """Collect the voxels of the scored tissues."""
    columns = []
    for tissue in SCORED:
        parts = [(sample, sample.of(tissue)) for sample in samples]
        time, reference, transmit, kind, error = (
            np.concatenate([values_of(sample)[where] for sample, where in parts]).astype(np.float64)
            for values_of in map(
                attrgetter, ("scan.time", "reference", "scan.transmit", "scan.tissue", "reference_relative_sd")
            )
        )
        # By T1 of MP2RAGE: weighed by what they are fitted to, voxels that read low by chance would weigh more.
        weight = 1 / (time**2 * (error**2 + ERROR_FLOOR**2))
        columns.append((time, reference, transmit, kind, weight / max(weight.sum(), 1e-12)))
    time, reference, transmit, kind, weight = (np.concatenate(each) for each in zip(*columns, strict=True))
    return Pairs(time=time, reference=reference, transmit=transmit, tissue=kind, weight=weight)


def fit_polynomial(pairs: Pairs, powers: Sequence[int]) -> Polynomial:
    """Fit a polynomial of some powers of T1 by weighted least squares."""
    # Sums by numpy rather than products of matrices by BLAS, whose last bits depend on the number of threads.
    rows = [(pairs.time - CENTRE) ** power for power in powers]
    normal = np.array([[np.sum(pairs.weight * a * b) for b in rows] for a in rows])
    right = np.array([np.sum(pairs.weight * a * pairs.reference) for a in rows])
    found = np.zeros(max(powers) + 1)
    found[list(powers)] = np.linalg.solve(normal, right)
    return Polynomial(coefficients=tuple(found.tolist()), limits=_limits(pairs))


def fit_scale(pairs: Pairs) -> Polynomial:
    """Fit one factor."""
    factor = _factor(pairs, np.ones(len(pairs.time), bool))
    return Polynomial(coefficients=(factor * CENTRE, factor), limits=_limits(pairs))


def fit_tissues(pairs: Pairs) -> TissueFactors | None:
    """Fit a factor for each tissue that MP2RAGE tells; None where it tells none."""
    found = {int(kind): pairs.tissue == kind for kind in SCORED}
    factors = tuple((kind, _factor(pairs, where)) for kind, where in found.items() if where.any())
    return TissueFactors(factors=factors) if factors else None


def _factor(pairs: Pairs, where: np.ndarray) -> float:
    time, weight = pairs.time[where], pairs.weight[where]
    return float(np.sum(weight * time * pairs.reference[where]) / np.sum(weight * time**2))


def _limits(pairs: Pairs) -> tuple[float, float]:
    low, high = np.quantile(pairs.time, QUANTILES)
    return float(low), float(high)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Efficiency:
    """T1 read again from the same S, with an inversion efficiency that depends on T1."""

    table: np.ndarray
    """Logarithm of corrected over measured T1, (B1+, log T1)."""

    efficiency: float
    slope: float
    """The efficiency is `efficiency` + `slope` R1; Olsson et al. 2025, doi 10.1002/nbm.70067, have 1.0214 and -0.39871
    s at 7 T."""

    @property
    def numbers(self) -> Numbers:
        """Return both coefficients."""
        return {"efficiency": (self.efficiency,), "slope": (self.slope,)}

    def __call__(self, time: Map, transmit: Map | None = None, tissue: Labels | None = None) -> Map:  # noqa: ARG002 -- one signature for all
        """Return corrected T1 [s]."""
        field = np.ones_like(time) if transmit is None else np.where(np.isfinite(transmit), transmit, 1)
        known = np.isfinite(time) & (time > 0)
        safe = np.where(known, time, CENTRE).astype(np.float64)
        place = np.stack(
            [
                (field - _FIELDS[0]) / (_FIELDS[1] - _FIELDS[0]),
                np.log(safe / _TIMES[0]) / math.log(_TIMES[1] / _TIMES[0]),
            ]
        )
        log_factor = map_coordinates(self.table, place, order=1, mode="nearest")
        corrected: Map = np.where(known, safe * np.exp(log_factor), np.nan).astype(np.float32)
        return corrected


_FIELDS = np.linspace(0.4, 1.6, 13)
_TIMES = np.geomspace(0.1, 6.0, 300)
"""Nodes of the table [s]."""

MOST_PAIRS = 10_000
"""Voxels that its two coefficients are fitted to."""


def protocol_of(record: Mapping[str, object]) -> Mp2rage | None:
    """Return the sequence that the record of a T1 map tells of; None where it does not."""
    if any(key not in record for key in _TIMING):
        return None
    fields = {key: np.atleast_1d(np.asarray(record[key], float)) for key in _TIMING}
    efficiency, slope = (record.get(key, 0.0) for key in ("InversionEfficiency", "InversionEfficiencySlope"))
    return Mp2rage(
        cycle_time=float(fields["RepetitionTimePreparation"][0]),
        inversion_times=tuple(fields["InversionTimes"].tolist()),
        excitation_times=tuple(fields["RepetitionTimesExcitation"].tolist()),
        flip_angles=tuple(np.deg2rad(fields["FlipAngles"]).tolist()),
        excitations=tuple((float(before), float(after)) for before, after in fields["NumberShotsPerReadout"]),
        efficiency=float(np.asarray(efficiency)),
        efficiency_slope=float(np.asarray(slope)),
    )


_TIMING = (
    "RepetitionTimePreparation",
    "InversionTimes",
    "RepetitionTimesExcitation",
    "FlipAngles",
    "NumberShotsPerReadout",
)


def fit_efficiency(pairs: Pairs, protocol: Mp2rage) -> Efficiency:
    """Fit both coefficients of an efficiency that is linear in R1, so that T1 from S is that of inversion recovery."""
    step = -(-len(pairs.time) // MOST_PAIRS)
    time, reference, transmit, weight = (
        each[::step].astype(np.float64) for each in (pairs.time, pairs.reference, pairs.transmit, pairs.weight)
    )

    used = _uni(protocol)

    def error(coefficients: np.ndarray) -> float:
        corrected = _efficiency(protocol, used, *coefficients)(time, transmit)
        return float(np.sum(weight * (corrected - reference) ** 2))

    start = np.array([protocol.efficiency, protocol.efficiency_slope])
    corners = start + np.array([[0.0, 0.0], [-0.1, 0.0], [0.0, -0.1]])
    found = minimize(
        error, start, method="Nelder-Mead", options={"initial_simplex": corners, "xatol": 1e-3, "maxfev": 120}
    )
    return _efficiency(protocol, used, *found.x)


def _uni(protocol: Mp2rage) -> np.ndarray:
    """Return S at the nodes of the table, (B1+, log T1)."""
    found: np.ndarray = protocol.uni(torch.from_numpy(_TIMES)[None, :], torch.from_numpy(_FIELDS)[:, None]).numpy()
    return found


def _efficiency(protocol: Mp2rage, used: np.ndarray, efficiency: float, slope: float) -> Efficiency:
    other = replace(protocol, efficiency=float(efficiency), efficiency_slope=float(slope) or 1e-12)
    table = np.stack([_read_again(a, b) for a, b in zip(used, _uni(other), strict=True)])
    return Efficiency(table=table, efficiency=float(efficiency), slope=float(slope))


def _read_again(used: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return log of the T1 at which `true` has the S that `used` has, over T1: on the branch where S falls with T1."""
    top = int(np.argmax(true))
    bottom = top + int(np.argmin(true[top:]))
    branch = slice(top, bottom + 1)
    logs = np.log(_TIMES)
    found = np.interp(used, true[branch][::-1], logs[branch][::-1])
    return np.asarray(found - logs)


def efficiency_of(numbers: Mapping[str, tuple[float, ...]], protocol: Mp2rage) -> Efficiency:
    """Make the correction of its numbers again."""
    return _efficiency(protocol, _uni(protocol), numbers["efficiency"][0], numbers["slope"][0])
