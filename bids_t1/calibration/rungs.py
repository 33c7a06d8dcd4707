"""Corrections that are not trained: fitted to pairs, made of their numbers again, and what networks start from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.calibration import baselines
from bids_t1.calibration.baselines import Polynomial, TissueFactors, Unchanged
from bids_t1.data.prior_correction import PriorCorrection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.calibration.baselines import Correction, Numbers
    from bids_t1.calibration.lattice import LatticeScan, Sample
    from bids_t1.data.calibration import Method
    from bids_t1.data.shapes import Labels, Map

LINEAR, CUBIC = (0, 1), (0, 1, 2, 3)
"""Powers of T1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """T1 of the slow component by what is believed of tissue, and a regression of what that leaves, if any."""

    believed: PriorCorrection
    rest: Polynomial | None = None

    def __call__(self, time: Map, transmit: Map | None = None, tissue: Labels | None = None) -> Map:  # noqa: ARG002 -- one signature for all
        """Return corrected T1 [s]; where B1+ is unknown, that of the nominal field."""
        slow = _slow(self.believed, time, np.ones_like(time) if transmit is None else transmit)
        return slow if self.rest is None else self.rest(slow)

    @property
    def numbers(self) -> Numbers:
        """Return those of the prior and of the regression."""
        return {**self.believed.numbers, **({} if self.rest is None else self.rest.numbers)}


def _slow(believed: PriorCorrection, time: Map, transmit: Map) -> Map:
    field = np.clip(np.where(np.isfinite(transmit), transmit, 1.0), *believed.fields)
    with np.errstate(invalid="ignore", divide="ignore"):
        slow: Map = (time * np.exp(believed.log_factor(time, field))).astype(np.float32)
    return slow


def started(scan: LatticeScan, believed: PriorCorrection | None) -> LatticeScan:
    """Return a scan whose T1 is what a tissue prior makes of it: where networks start; as it is without one."""
    return scan if believed is None else replace(scan, time=_slow(believed, scan.time, scan.transmit))


def started_samples(samples: Sequence[Sample], believed: PriorCorrection | None) -> list[Sample]:
    """Return samples whose measurements are `started`."""
    return [replace(sample, scan=started(sample.scan, believed)) for sample in samples]


def fit_all(
    samples: Sequence[Sample], protocol: Mapping[str, object], believed: PriorCorrection | None
) -> dict[Method, Correction]:
    """Fit every correction that the data and what is known of the sequence allow.

    Parameters
    ----------
    samples
        Of the training participants.
    protocol
        The record of T1 of MP2RAGE.
    believed
        What the tissue prior makes of this protocol; None where nothing is known of tissue at this field.
    """
    pairs = baselines.gather(samples)
    found: dict[Method, Correction] = {
        "none": Unchanged(),
        "scale": baselines.fit_scale(pairs),
        "linear": baselines.fit_polynomial(pairs, LINEAR),
        "cubic": baselines.fit_polynomial(pairs, CUBIC),
    }
    by_tissue, played = baselines.fit_tissues(pairs), baselines.protocol_of(protocol)
    if by_tissue is not None:
        found["tissue"] = by_tissue
    if played is not None:
        found["efficiency"] = baselines.fit_efficiency(pairs, played)
    if believed is not None:
        rest = baselines.fit_polynomial(baselines.gather(started_samples(samples, believed)), CUBIC)
        found |= {"prior": Prior(believed=believed), "prior_cubic": Prior(believed=believed, rest=rest)}
    return found


def restored(numbers: Mapping[str, tuple[float, ...]], protocol: Mapping[str, object]) -> Correction:
    """Make a correction of its numbers again; `protocol` is that of MP2RAGE."""
    rest = _polynomial(numbers) if "coefficients" in numbers else None
    if "knots" in numbers:
        return Prior(believed=PriorCorrection.of(numbers), rest=rest)
    if rest is not None:
        return rest
    if "tissues" in numbers:
        kinds = (int(kind) for kind in numbers["tissues"])
        return TissueFactors(factors=tuple(zip(kinds, numbers["tissue_factors"], strict=True)))
    played = baselines.protocol_of(protocol)
    return baselines.efficiency_of(numbers, played) if "efficiency" in numbers and played is not None else Unchanged()


def _polynomial(numbers: Mapping[str, tuple[float, ...]]) -> Polynomial:
    low, high = numbers["limits"]
    return Polynomial(coefficients=numbers["coefficients"], limits=(low, high))
