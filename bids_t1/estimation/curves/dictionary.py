"""A coarse dictionary of the signal model over the relaxation time, made once per run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bids_t1.data.shapes import AtomRows, Atoms
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.curves.prior import RatioPrior

LOG_STEP = 0.184
"""Largest distance of two atoms in log T.

The residual is smooth on this scale, so that its minimum lies between the neighbours of the best atom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """The signals each relaxation time allows: a ray, or a cone in a plane, of positive amplitude.

    With two coefficients, the signals of one relaxation time whose coefficient ratio lies within its bounds form
    a planar cone. `axis` is its bisector, `side` the direction across it, `half_angle` its opening: in these
    coordinates the two bounds are mirror images.
    """

    times: Atoms
    """Relaxation times [s], rising."""

    axis: AtomRows
    side: AtomRows
    half_angle: Atoms
    """Half the opening of the cone [rad]; zero where the ratio is fixed."""


SHARES = (0.0, 1 / 3, 2 / 3, 1.0)
"""Shares of a companion that have dictionaries of their own, over the largest: refinement finds those between."""


def build_dictionaries(
    model: SignalModel, time_range: tuple[float, float], prior: RatioPrior | None, device: torch.device
) -> tuple[Dictionary, ...]:
    """Evaluate the model over `time_range` [s], in float64: one dictionary, with a companion one for some shares.

    With a `prior` on the coefficient ratio a dictionary holds the prior's mean only.
    """
    shares = SHARES if model.companion is not None else SHARES[:1]
    return tuple(_build(model, time_range, prior, device, share) for share in shares)


def _build(
    model: SignalModel, time_range: tuple[float, float], prior: RatioPrior | None, device: torch.device, share: float
) -> Dictionary:
    low, high = time_range
    n_atoms = max(8, 1 + math.ceil(math.log(high / low) / LOG_STEP))
    times = torch.logspace(math.log(low), math.log(high), n_atoms, base=math.e, dtype=torch.float64)
    columns, _ = model.columns(times)
    if model.companion is not None:
        columns[-1] += share * model.companion.limit(times)[0] * model.companion.column(times)[0]
    if model.n_coefficients == 1:
        first = second = columns[0]
    elif prior is not None:
        first = second = columns[0] + prior.mean(times)[0] * columns[1]
    else:
        first, second = (columns[0] + ratio * columns[1] for ratio in model.ratio_bounds)
    first, second = first / first.norm(dim=0), second / second.norm(dim=0)
    axis, side = first + second, second - first
    opening = side.norm(dim=0)
    rows = (axis / axis.norm(dim=0)).T, (side / opening.clamp_min(1e-30)).T
    half_angle = torch.asin((opening / 2).clamp(max=1.0))
    parts = [part.contiguous().to(device, torch.float32) for part in (times, *rows, half_angle)]
    return Dictionary(times=parts[0], axis=parts[1], side=parts[2], half_angle=parts[3])
