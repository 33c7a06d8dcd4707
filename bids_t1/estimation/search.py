"""The best atom of the dictionary for every voxel and every candidate of its signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bids_t1.data.shapes import CandidateGains, CandidateIndex, Candidates
    from bids_t1.estimation.dictionary import Dictionary

BLOCK = 8192
"""Signals compared with all atoms at a time: few enough for the work space to stay in a processor's cache."""

INDEX_BITS = 8
"""Low bits of a gain that carry its atom: 256 atoms, and gains still exact to 3 in 100,000."""


def search(dictionary: Dictionary, candidates: Candidates) -> tuple[CandidateGains, CandidateIndex]:
    """Return how much of the signal's energy the best atom explains, and which atom it is.

    The energy explained is the squared length of the projection on the atom's cone of physical signals:
    the usual projection on the plane where that lies inside the cone, on the nearest edge where not,
    nothing where the amplitude would be negative.
    """
    n_candidates, n_measurements, n_voxels = candidates.shape
    signals = candidates.transpose(0, 1).reshape(n_measurements, -1)
    packed = torch.empty(signals.shape[1], dtype=torch.int32, device=signals.device)
    fixed_ratio = bool((dictionary.half_angle == 0).all())
    rows = dictionary.axis if fixed_ratio else torch.cat([dictionary.axis, dictionary.side])
    n_atoms = len(dictionary.times)
    cosine, sine = torch.cos(dictionary.half_angle)[:, None], torch.sin(dictionary.half_angle)[:, None]
    atoms = torch.arange(n_atoms, dtype=torch.int32, device=signals.device)[:, None]
    work = signals.new_empty(len(rows), BLOCK)
    for start in range(0, signals.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        projected = torch.mm(rows, signals[:, block], out=work[:, : signals[:, block].shape[1]])
        gain = projected.clamp_min_(0.0).square_() if fixed_ratio else _cone_gain(projected, cosine, sine)
        # Non-negative floats sort like their bits: with the atom in the lowest bits one maximum finds both.
        bits = gain.contiguous().view(torch.int32)
        bits.bitwise_and_(-1 << INDEX_BITS).bitwise_or_(atoms)
        torch.amax(bits, 0, out=packed[block])
    packed = packed.reshape(n_candidates, n_voxels)
    index = packed & ((1 << INDEX_BITS) - 1)
    return (packed & (-1 << INDEX_BITS)).view(torch.float32), index.long()


def _cone_gain(projected: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Squared length of the projection of planar points (along, across) on a cone around the first axis."""
    along, across = projected.chunk(2)
    across.abs_()
    on_edge = along * cosine
    on_edge.addcmul_(across, sine).clamp_min_(0.0)
    # Distance beyond the nearer edge; inside the cone it is negative and belongs to the projection.
    beyond = across.mul_(cosine).addcmul_(along, sine, value=-1.0).clamp_max_(0.0)
    return on_edge.square_().addcmul_(beyond, beyond)
