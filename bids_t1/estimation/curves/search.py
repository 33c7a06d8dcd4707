"""The best atom of the dictionary for every voxel and every candidate of its signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import CandidateGains, CandidateIndex, Candidates
    from bids_t1.estimation.curves.dictionary import Dictionary

BLOCK = 8192
"""Signals compared with all atoms at a time: few enough for the work space to stay in a processor's cache."""

INDEX_BITS = 8
"""Low bits of a gain that carry its atom: 256 atoms, and gains still exact to 3 in 100,000."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where the search ended, for every candidate and voxel."""

    gain: CandidateGains
    """Energy of the signal that is explained at the vertex of a parabola through the best atom and its neighbours."""

    atom: CandidateIndex
    """The best atom."""

    offset: CandidateGains
    """Distance of the vertex from it, in atoms."""


def search(dictionaries: Sequence[Dictionary], candidates: Candidates) -> Found:
    """Find the best atom of dictionaries over the same relaxation times, by the energy of the signal it explains."""
    first, *others = (_search_one(dictionary, candidates) for dictionary in dictionaries)
    best = first
    for found in others:
        better = found.gain > best.gain
        best = Found(
            torch.where(better, found.gain, best.gain),
            torch.where(better, found.atom, best.atom),
            torch.where(better, found.offset, best.offset),
        )
    return best


def _search_one(dictionary: Dictionary, candidates: Candidates) -> Found:
    """Find the best atom, by the energy of the signal it explains.

    This is the squared length of the projection on the atom's cone of physical signals: the usual projection on the
    plane where that lies inside the cone, on the nearest edge where not, nothing where the amplitude would be negative.
    """
    n_candidates, n_measurements, n_voxels = candidates.shape
    signals = candidates.transpose(0, 1).reshape(n_measurements, -1)
    n_signals, n_atoms = signals.shape[1], len(dictionary.times)
    fixed_ratio = bool((dictionary.half_angle == 0).all())
    rows = dictionary.axis if fixed_ratio else torch.cat([dictionary.axis, dictionary.side])
    cosine, sine = torch.cos(dictionary.half_angle)[:, None], torch.sin(dictionary.half_angle)[:, None]
    atoms = torch.arange(n_atoms, dtype=torch.int32, device=signals.device)[:, None]
    best, offset = (signals.new_empty(n_signals) for _ in range(2))
    index = torch.empty(n_signals, dtype=torch.int64, device=signals.device)
    # Work space made once: fresh memory for every block would cost more than the arithmetic.
    size = min(BLOCK, n_signals)
    projected, gain = signals.new_empty(len(rows), size), signals.new_empty(n_atoms, size)
    for start in range(0, n_signals, BLOCK):
        # The last block is moved back to be full; signals at its start are compared twice.
        block = slice(max(0, min(start, n_signals - size)), min(start + size, n_signals))
        torch.mm(rows, signals[:, block], out=projected)
        if fixed_ratio:
            torch.clamp_min(projected, 0.0, out=gain).square_()
        else:
            _cone_gain(projected, cosine, sine, out=gain)
        # Non-negative floats sort like their bits: with the atom in the lowest bits one maximum finds both.
        bits = gain.view(torch.int32).bitwise_and_(-1 << INDEX_BITS).bitwise_or_(atoms)
        packed = torch.amax(bits, 0)
        best[block] = packed.view(torch.float32)
        index[block] = packed.bitwise_and_((1 << INDEX_BITS) - 1)
        below = gain.gather(0, (index[block] - 1).clamp_min_(0)[None])[0]
        above = gain.gather(0, (index[block] + 1).clamp_max_(n_atoms - 1)[None])[0]
        curvature = (2 * best[block] - below - above).clamp_min_(torch.finfo(torch.float32).tiny)
        torch.clamp((above - below) / (2 * curvature), -0.5, 0.5, out=offset[block])
        best[block] += (above - below).mul_(offset[block]).div_(4)
    shape = (n_candidates, n_voxels)
    return Found(best.reshape(shape), index.reshape(shape), offset.reshape(shape))


def _cone_gain(projected: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, *, out: torch.Tensor) -> None:
    """Squared length of the projection of planar points (along, across) on a cone around the first axis."""
    along, across = projected.chunk(2)
    across.abs_()
    torch.mul(along, cosine, out=out)
    out.addcmul_(across, sine).clamp_min_(0.0).square_()
    # Distance beyond the nearer edge; inside the cone it is negative and belongs to the projection.
    beyond = across.mul_(cosine).addcmul_(along, sine, value=-1.0).clamp_max_(0.0)
    out.addcmul_(beyond, beyond)
