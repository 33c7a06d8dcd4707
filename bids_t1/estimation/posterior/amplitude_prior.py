"""What the image itself says about M0, where magnitudes leave two relaxation times open.

Either relaxation time comes with an M0 of its own. M0 varies less between tissues than the wrong choices make it vary:
its distribution is learned by expectation and maximisation, relaxation times and signs of each voxel summed out. Where
M0 varies much, as with an uneven receive field, the distribution is wide and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from bids_t1.data.shapes import Nodes, Posteriors, Voxels

BIN = 0.08
"""Width of the bins of log M0."""

N_ITERATIONS = 200

FLOOR = 0.1
"""Share that every bin keeps, relative to an even distribution: an M0 unlike the others stays possible, and a voxel
whose other relaxation time asks for it is told to have two modes."""


@dataclass(frozen=True, slots=True, eq=False)
class AmplitudePrior:
    """Log probability density of log M0, in bins; relative to an even distribution."""

    lowest: float
    log_density: Tensor

    def at(self, log_amplitude: Tensor) -> Tensor:
        """Interpolate the log density."""
        last = len(self.log_density) - 1
        place = ((log_amplitude - self.lowest) / BIN).clamp(0, last)
        left = place.long().clamp(max=last - 1)
        return torch.lerp(self.log_density[left], self.log_density[left + 1], place - left)


def log_amplitudes(energy: Voxels, norms: Nodes) -> Posteriors:
    """Return log M0 of voxels at each relaxation time, from the energy of their readouts."""
    return (torch.log(energy) / 2)[:, None] - torch.log(norms)


def learn_amplitude_prior(log_density: Posteriors, widths: Nodes, log_amplitude: Posteriors) -> AmplitudePrior:
    """Learn the distribution of log M0 from a sample of voxels.

    Parameters
    ----------
    log_density
        Log posterior density of each voxel's relaxation time under an even distribution of log M0.
    widths
        Quadrature weight of each node [s].
    log_amplitude
        Log M0 of each voxel at each node.
    """
    weights = torch.exp(log_density - log_density.amax(1, keepdim=True)) * widths
    lowest, highest = float(log_amplitude.min()), float(log_amplitude.max())
    n_bins = max(3, int((highest - lowest) / BIN) + 2)
    bins = ((log_amplitude - lowest) / BIN).round().long().clamp(0, n_bins - 1)
    density = torch.full((n_bins,), 1 / n_bins, device=weights.device)
    for _ in range(N_ITERATIONS):
        shares = weights * density[bins]
        shares /= shares.sum(1, keepdim=True)
        counts = torch.zeros_like(density).index_add_(0, bins.ravel(), shares.ravel())
        padded = torch.cat([counts[:1], counts, counts[-1:]])
        smooth = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4
        density = smooth / smooth.sum() + FLOOR / n_bins
    return AmplitudePrior(lowest, torch.log(density * n_bins))
