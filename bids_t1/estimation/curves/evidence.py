"""Whether an image asks for the companion column of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bids_t1.estimation.curves.engine import fit_sample
from bids_t1.estimation.curves.refinement import TINY, predict

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Kind
    from bids_t1.data.shapes import Measurements, Signals, Voxels
    from bids_t1.data.signal_model import Companion, SignalModel
    from bids_t1.estimation.curves.engine import EstimationOptions
    from bids_t1.estimation.curves.polarity import Solution

LARGEST_SCORE = 5.0
"""Scores are cut off there, in noise SDs: no single voxel decides."""

CLEAR = 6.0
"""Evidence over its own SD without a companion, from which on it is no chance."""

WORTHWHILE = 0.008
"""Pooled share from which on it is more than imperfect images imitate: 0.004 at most in real solutions without one."""


SOME = 0.4
"""Share of the largest limit that a relaxation time must allow the companion for its voxels to be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What residuals without a companion say about it, summed over the voxels of an image."""

    log_likelihood_ratio: float
    """Gain by a companion of the expected sign less that by one of the opposite sign."""

    spread: float
    """SD of it where there is no companion."""

    share: float
    """Share of the companion that all voxels together would have."""

    n_voxels: int

    @property
    def asks(self) -> bool:
        """Whether the companion should be fitted."""
        return self.log_likelihood_ratio > CLEAR * self.spread and self.share > WORTHWHILE


def weigh(
    model: SignalModel,
    companion: Companion,
    measurements: Measurements,
    kind: Kind,
    options: EstimationOptions,
) -> Evidence:
    """Test residuals of the model without companion for its column (Rao's score test), over a sample of the image.

    To first order the gain in log likelihood by one more column is the squared projection of the residuals on the
    part of the column that model and its derivative do not hold, over twice the noise variance. Gains of the wrong
    sign are subtracted: noise and imperfections give both alike.

    Parameters
    ----------
    model
        Without companion.
    companion
        The column in question.
    measurements, kind, options
        As for `estimate`.
    """
    solution, noise = fit_sample(model, measurements, kind, options)
    limit, _ = companion.limit(solution.fit.time)
    solution = solution.select(limit > SOME * limit.max())
    scores, amplitudes = _scores(model, companion, solution)
    sd = max(noise.residual, TINY)
    signed = (scores / sd).clamp(-LARGEST_SCORE, LARGEST_SCORE)
    weight = amplitudes.square().sum().clamp_min(TINY)
    return Evidence(
        log_likelihood_ratio=float((signed * signed.abs()).sum() / 2),
        spread=float((signed.square().square().sum() / 4).sqrt()),
        share=float((scores * amplitudes).sum() / weight),
        n_voxels=len(scores),
    )


def _scores(model: SignalModel, companion: Companion, solution: Solution) -> tuple[Voxels, Voxels]:
    """Return residuals along the new part of the column, and the norm of that part times the last coefficient."""
    fit = solution.fit
    columns, slopes = (part.double() for part in model.columns(fit.time))
    last = (fit.amplitude * fit.ratio if model.n_coefficients > 1 else fit.amplitude).double()
    coefficients = torch.stack([fit.amplitude.double(), last][: model.n_coefficients])
    derivative = (coefficients[:, None] * slopes).sum(0)
    held = torch.stack([*columns, derivative], -1).transpose(0, 1)  # voxel, measurement, column
    basis = torch.linalg.qr(held).Q
    column = companion.column(fit.time)[0].double()
    new: Signals = column - torch.einsum("vmc,vc->mv", basis, torch.einsum("vmc,mv->vc", basis, column))
    residual = solution.signals.double() - predict(model, fit).double()
    norm = new.square().sum(0).sqrt().clamp_min(TINY)
    return (new * residual).sum(0) / norm, last * norm
