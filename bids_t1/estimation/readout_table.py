"""What a readout model says at every relaxation time and transmit field of a grid, computed once per run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from bids_t1.data.shapes import Nodes, Planes
    from bids_t1.data.signal_model import ReadoutModel

N_NODES = 384
"""Relaxation times: fine enough for posteriors at signal-to-noise ratios up to about 120."""

N_FINE = 20_001
"""Points of the grid along which nodes are placed."""

EVEN_SHARE = 0.15
"""Share of the nodes that are spread evenly over log T, where the signals hardly change."""


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

    @property
    def spread(self) -> float:
        """Return how far the directions of neighbouring planes and nodes are apart, root mean square."""
        planes = self.directions[1:] - self.directions[:-1]
        nodes = self.directions[..., 1:] - self.directions[..., :-1]
        return math.sqrt(sum(float(steps.square().sum(1).mean()) for steps in (planes, nodes) if len(steps)))

    def of_pair(self) -> ReadoutTable:
        """Return the table of the first two readouts."""
        pair = self.directions[:, :2]
        share = pair.norm(dim=1)
        return replace(self, directions=pair / share[:, None], norms=self.norms * share)

    def every(self, stride: int) -> ReadoutTable:
        """Return the table at every so many nodes only."""
        return replace(
            self,
            times=self.times[::stride],
            widths=self.widths[::stride] * stride,
            directions=self.directions[..., ::stride],
            norms=self.norms[..., ::stride],
            uni=self.uni[..., ::stride],
        )


def build_table(
    model: ReadoutModel,
    time_range: tuple[float, float],
    transmit: Tensor,
    *,
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
    n_nodes
        Number of relaxation times.
    device
        Where the table is to lie.
    """
    times = place_nodes(model, time_range, transmit, n_nodes)
    signals = model.signals(times[None, :], transmit.double()[:, None])  # (readout, plane, node)
    norms = signals.norm(dim=0)
    directions = signals / norms
    widths = torch.from_numpy(np.gradient(times.numpy()))
    widths[[0, -1]] /= 2
    first, second = signals[:2]
    uni = first * second / (first.square() + second.square())
    parts = (times, widths, transmit, directions.transpose(0, 1), norms, uni)
    placed = [part.to(device, torch.float32).contiguous() for part in parts]
    return ReadoutTable(
        times=placed[0],
        widths=placed[1],
        transmit=placed[2],
        directions=placed[3],
        norms=placed[4],
        uni=placed[5],
    )


def place_nodes(model: ReadoutModel, time_range: tuple[float, float], transmit: Tensor, n_nodes: int) -> Nodes:
    """Place relaxation times where the direction of the signals changes, so that the data resolve all nodes alike.

    The SD of the direction is the noise over the amplitude, whatever the relaxation time: steps of equal length along
    the curve of directions are equal parts of the posterior's width.
    """
    fine = torch.from_numpy(np.geomspace(*time_range, N_FINE))
    some = torch.linspace(float(transmit[0]), float(transmit[-1]), 5, dtype=torch.float64)
    signals = model.signals(fine[None, :], some[:, None])
    directions = signals / signals.norm(dim=0)
    steps = (directions[..., 1:] - directions[..., :-1]).norm(dim=0).mean(0).numpy()
    density = (1 - EVEN_SHARE) * steps / steps.sum() + EVEN_SHARE / len(steps)
    position = np.concatenate([[0.0], np.cumsum(density)])
    placed = np.interp(np.linspace(0, position[-1], n_nodes), position, np.log(fine.numpy()))
    times = np.exp(placed)
    times[[0, -1]] = time_range
    return torch.from_numpy(times)
