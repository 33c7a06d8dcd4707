"""What a readout model says at every relaxation time and transmit field of a grid, computed once per run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from bids_t1.data.shapes import Nodes, Planes
    from bids_t1.data.signal_model import ReadoutModel

N_NODES = 384
"""Relaxation times: fine enough for posteriors at signal-to-noise ratios up to about 120."""

N_FINE = 5_001
"""Points of the grid along which nodes are placed, some thirteen of them between two nodes."""

N_FIELDS = 5
"""Transmit fields, at most, at which the direction is looked at for that."""

EVEN_SHARE = 0.15
"""Share of the nodes that are spread evenly over log T, where the signals hardly change."""

RATES_OF_TISSUE = (0.2, 2.0)
"""R1 between which M0 changes with it [1/s]."""

N_SCORES = 5
"""Values of an unknown of the protocol at which the signals are computed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadoutTable:
    """Signals on a grid: transmit fields in planes, relaxation times in nodes."""

    times: Nodes
    """Relaxation times [s], rising."""

    widths: Nodes
    """Quadrature weight of each node [s]."""

    transmit: Tensor
    """Transmit field of each plane, rising and evenly spaced."""

    directions: Tensor
    """Signals over their norm, (plane, readout, node)."""

    norms: Planes
    """Norm of the signals."""

    uni: Planes
    """S of the first two readouts."""

    wander: Tensor
    """What the directions vary by, because protocol and transmit field are not known exactly: vectors of one SD,
    orthogonal to one another and to the direction, (plane, vector, readout, node); no vector where all is known."""

    @property
    def spread(self) -> float:
        """Return how far the directions of neighbouring planes and nodes are apart, root mean square."""
        planes = self.directions[1:] - self.directions[:-1]
        nodes = self.directions[..., 1:] - self.directions[..., :-1]
        return math.sqrt(sum(float(steps.square().sum(1).mean()) for steps in (planes, nodes) if len(steps)))

    def of_pair(self) -> ReadoutTable:
        """Return the table of the first two readouts."""
        pair = self.directions[:, :2]
        share = _norm(pair.transpose(0, 1))
        directions = pair / share[:, None]
        across = torch.stack([-directions[:, 1], directions[:, 0]], dim=1)
        turns = (self.wander[:, :, :2] * across[:, None]).sum(2, keepdim=True) / share[:, None, None]
        wander = turns * across[:, None]
        if turns.shape[1] > 1:  # in a plane, all of them lie along one line
            wander = turns.square().sum(1, keepdim=True).sqrt() * across[:, None]
        return replace(self, directions=directions, norms=self.norms * share, wander=wander)

    def with_m0(self, slope: float) -> ReadoutTable:
        """Return the table of tissues whose M0 falls with R1: 1/M0 has this slope [s], and is 1 where T1 is 1 s."""
        rate = (1 / self.times).clamp(*RATES_OF_TISSUE)
        return replace(self, norms=self.norms / (1 + slope * (rate - 1)))

    def every(self, stride: int) -> ReadoutTable:
        """Return the table at every so many nodes only."""
        return replace(
            self,
            times=self.times[::stride],
            widths=self.widths[::stride] * stride,
            directions=self.directions[..., ::stride],
            norms=self.norms[..., ::stride],
            uni=self.uni[..., ::stride],
            wander=self.wander[..., ::stride],
        )


def build_table(  # noqa: PLR0913 - what the table is a table of
    model: ReadoutModel,
    time_range: tuple[float, float],
    transmit: Tensor,
    *,
    transmit_sd: float = 0.0,
    n_nodes: int = N_NODES,
    device: torch.device | None = None,
) -> ReadoutTable:
    """Evaluate a model over its nodes, in double precision, and keep it in single precision.

    Parameters
    ----------
    model
        The sequence.
    time_range
        Lowest and highest relaxation time [s].
    transmit
        Transmit fields of the planes, evenly spaced.
    transmit_sd
        SD of what is taken for the transmit field.
    n_nodes
        Number of relaxation times.
    device
        Where the table is to lie.
    """
    times = place_nodes(model, time_range, transmit, n_nodes)
    signals = model.signals(times[None, :], transmit.double()[:, None])  # (readout, plane, node)
    norms = _norm(signals)
    directions, wander = _directions(model, times[None, :], transmit.double()[:, None], transmit_sd)
    widths = torch.from_numpy(np.gradient(times.numpy()))
    widths[[0, -1]] /= 2
    first, second = signals[:2]
    uni = first * second / (first.square() + second.square())
    parts = (times, widths, transmit, directions.transpose(0, 1), norms, uni, wander)
    placed = [part.to(device, torch.float32).contiguous() for part in parts]
    return ReadoutTable(
        times=placed[0],
        widths=placed[1],
        transmit=placed[2],
        directions=placed[3],
        norms=placed[4],
        uni=placed[5],
        wander=placed[6],
    )


def _directions(model: ReadoutModel, time: Tensor, transmit: Tensor, transmit_sd: float) -> tuple[Tensor, Tensor]:
    """Return the mean direction (readout, plane, node) of what may have been played, and `ReadoutTable.wander`.

    An unknown turns the direction by an angle that hardly bends within two of its SDs: the mean of the angle and its
    regression on the unknown say all of it that noise would show.
    """
    at_mean = _unit(model.signals(time, transmit))
    turned = _turned(model, time, transmit, transmit_sd)
    if not turned:
        return at_mean, at_mean.new_zeros(len(transmit), 0, len(at_mean), time.shape[1])
    scores, weights = (torch.from_numpy(values)[:, None, None, None] for values in _quadrature())
    shifts = torch.stack([(weights * (directions - at_mean)).sum(0) for directions in turned])
    mean = _unit(at_mean + shifts.sum(0))
    tangents = [(weights * scores * directions).sum(0) for directions in turned]
    wander = torch.stack([tangent - mean * (mean * tangent).sum(0) for tangent in tangents])
    return mean, _orthogonal(wander)[: len(mean) - 1].permute(2, 0, 1, 3)


def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights of a normal distribution of SD 1."""
    scores, weights = hermegauss(N_SCORES)
    return scores, weights / weights.sum()


def _turned(model: ReadoutModel, time: Tensor, transmit: Tensor, transmit_sd: float) -> list[Tensor]:
    """Return the directions at the nodes of the quadrature of each unknown, (score, readout, plane, node)."""
    scores, _ = _quadrature()
    turned = []
    if not model.is_exact:
        turned.append(torch.stack([_unit(model.at_score(score).signals(time, transmit)) for score in scores]))
    if transmit_sd > 0:
        turned.append(torch.stack([_unit(model.signals(time, transmit + score * transmit_sd)) for score in scores]))
    return turned


def _unit(signals: Tensor) -> Tensor:
    directions: Tensor = signals / _norm(signals)
    return directions


def _norm(signals: Tensor) -> Tensor:
    """Return the norm over the first axis; that of PyTorch is many times slower over a short one."""
    return signals.square().sum(0).sqrt()


def _orthogonal(vectors: Tensor) -> Tensor:
    """Turn vectors (vector, readout, plane, node) among themselves until they are orthogonal, the longest first.

    The sum of their outer products stays. Signs follow those of the plane before: likelihoods are interpolated.
    """
    if len(vectors) == 1:
        return vectors
    gram = torch.einsum("urpn,vrpn->pnuv", vectors, vectors)
    turns = torch.linalg.eigh(gram).eigenvectors.flip(-1)
    turned = torch.einsum("urpn,pnuv->vrpn", vectors, turns)
    same = (turned[:, :, 1:] * turned[:, :, :-1]).sum(1) >= 0
    signs = torch.cat([torch.ones_like(turned[:, 0, :1]), torch.where(same, 1.0, -1.0)], dim=1).cumprod(1)
    return turned * signs[:, None]


def place_nodes(model: ReadoutModel, time_range: tuple[float, float], transmit: Tensor, n_nodes: int) -> Nodes:
    """Place relaxation times where the direction of the signals changes, so that the data resolve all nodes alike.

    The SD of the direction is the noise over the amplitude, whatever the relaxation time: steps of equal length along
    the curve of directions are equal parts of the posterior's width.
    """
    fine = torch.from_numpy(np.geomspace(*time_range, N_FINE))
    some = torch.linspace(float(transmit[0]), float(transmit[-1]), min(N_FIELDS, len(transmit)), dtype=torch.float64)
    directions = _unit(model.signals(fine[None, :], some[:, None]))
    steps = _norm(directions[..., 1:] - directions[..., :-1]).mean(0).numpy()
    density = (1 - EVEN_SHARE) * steps / steps.sum() + EVEN_SHARE / len(steps)
    position = np.concatenate([[0.0], np.cumsum(density)])
    placed = np.interp(np.linspace(0, position[-1], n_nodes), position, np.log(fine.numpy()))
    times = np.exp(placed)
    times[[0, -1]] = time_range
    return torch.from_numpy(times)
