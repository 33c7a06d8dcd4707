"""A prior on the ratio of the two coefficients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bids_t1.data.shapes import Times


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioPrior:
    """A Gaussian prior on the coefficient ratio, whose mean may change with the relaxation time.

    For inversion recovery the ratio is the apparent inversion efficiency kappa. The pulse is one for the whole
    image, but magnetisation transfer lowers kappa in tissues of short T1 (Olsson et al. 2025,
    doi 10.1002/nbm.70067).
    """

    knots: tuple[float, ...]
    """Relaxation times [s], rising; one where the mean is constant."""

    means: tuple[float, ...]
    """Mean ratio at each knot; linear in log T between, constant beyond."""

    sd: float
    """Standard deviation around the mean."""

    def mean(self, time: Times) -> tuple[Times, Times]:
        """Return the mean ratio at each relaxation time [s], and its derivative with respect to log T."""
        log_time = torch.log(time)
        mean, slope = torch.full_like(time, self.means[0]), torch.zeros_like(time)
        for (low, first), (high, second) in pairwise(zip(map(math.log, self.knots), self.means, strict=True)):
            rise = (second - first) / (high - low)
            mean += rise * (log_time - low).clamp(0.0, high - low)
            slope += rise * ((log_time > low) & (log_time < high))
        return mean, slope
