"""Log likelihood of voxels at every node of a table: from complex readouts, from magnitudes and UNI, from UNI alone.

The amplitude, complex and free, is integrated out of the readouts: with g the data and s(T, b1) the model,

    log p(g | T, b1) = |s.g|^2 / (2 sigma^2 |s|^2) - log |s|^2 + constant

for any number of readouts. |s.g|^2 is a sum over the products Re(conj(g_j) g_k), which are all that is kept of a voxel;
for two readouts UNI and both magnitudes hold the same products as the complex images.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Protocol

import torch

from bids_t1.estimation.uni import log_density_of_uni

if TYPE_CHECKING:
    from torch import Tensor

    from bids_t1.data.shapes import Posteriors, Statistics, Voxels
    from bids_t1.estimation.readout_table import ReadoutTable

    Alternatives = tuple[Statistics, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """Neighbouring planes of a table, and where between them some voxels lie."""

    lower: int
    upper: int
    share: Voxels
    """0 at `lower`, 1 at `upper`."""


class Likelihood(Protocol):
    """What a voxel's statistics say about the nodes of a table."""

    @property
    def table(self) -> ReadoutTable:
        """The grid."""
        ...

    def at(self, alternatives: Alternatives, planes: Between) -> Posteriors:
        """Return the log likelihood of voxels that lie between two planes."""
        ...

    def soften(self, alternatives: Alternatives, spread: float) -> Alternatives:
        """Add to the noise what the direction of the signals differs between neighbouring planes and nodes."""
        ...

    def every(self, stride: int) -> Likelihood:
        """Return the likelihood at every so many nodes only."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ProductLikelihood:
    """Likelihood of products of readouts; several alternatives where their signs are not known."""

    table: ReadoutTable
    factors: Tensor
    """Factors of the products and of 1, (plane, statistic, node)."""

    @classmethod
    def build(cls, table: ReadoutTable, reference: int | None = None) -> ProductLikelihood:
        """Prepare the factors of a table.

        Where the transmit field is integrated over, the amplitude's prior is flat at the plane `reference`: flat at
        every plane, it would favour weak fields, at which any data need a larger amplitude.
        """
        directions = table.directions
        n = directions.shape[1]
        squares = [directions[:, index].square() for index in range(n)]
        crosses = [2 * directions[:, j] * directions[:, k] for j, k in combinations(range(n), 2)]
        norms = table.norms if reference is None else table.norms[reference].expand_as(table.norms)
        amplitude = -2 * torch.log(norms)
        return cls(table, torch.stack([*squares, *crosses, amplitude], dim=1))

    def at(self, alternatives: Alternatives, planes: Between) -> Posteriors:
        """Return the log likelihood between two planes, alternatives taken as equally likely."""
        if planes.lower == planes.upper:
            likelihoods = [one @ self.factors[planes.lower] for one in alternatives]
        else:
            factors = torch.cat([self.factors[planes.lower], self.factors[planes.upper]])
            share = planes.share[:, None]
            likelihoods = [torch.cat([(1 - share) * one, share * one], dim=1) @ factors for one in alternatives]
        return likelihoods[0] if len(likelihoods) == 1 else torch.logsumexp(torch.stack(likelihoods), dim=0)

    def soften(self, alternatives: Alternatives, spread: float) -> Alternatives:
        """Add to the noise what the direction of the signals differs between neighbouring planes and nodes."""
        n = self.table.directions.shape[1]
        softened = []
        for statistics in alternatives:
            energy = 2 * statistics[:, :n].sum(1, keepdim=True)
            products = statistics[:, :-1] / (1 + energy * spread**2 / 12)
            softened.append(torch.cat([products, statistics[:, -1:]], dim=1))
        return tuple(softened)

    def every(self, stride: int) -> ProductLikelihood:
        """Return the likelihood at every so many nodes only."""
        return ProductLikelihood(self.table, self.factors[..., ::stride].contiguous())


@dataclass(frozen=True, slots=True, eq=False)
class UniLikelihood:
    """Likelihood of S alone, with its closed-form density at a known amplitude."""

    table: ReadoutTable

    def at(self, alternatives: Alternatives, planes: Between) -> Posteriors:
        """Return the log likelihood between two planes; statistics are S, and the amplitude over the noise SD."""
        (statistics,) = alternatives
        uni, amplitude = statistics[:, :1], statistics[:, 1:]
        lower = self._on_plane(uni, amplitude, planes.lower)
        if planes.lower == planes.upper:
            return lower
        return torch.lerp(lower, self._on_plane(uni, amplitude, planes.upper), planes.share[:, None])

    def soften(self, alternatives: Alternatives, spread: float) -> Alternatives:
        """Add to the noise what the direction of the signals differs between neighbouring planes and nodes."""
        (statistics,) = alternatives
        amplitude = statistics[:, 1:]
        factor = torch.rsqrt(1 + (amplitude * self.table.norms.median() * spread).square() / 12)
        return (torch.cat([statistics[:, :1], amplitude * factor], dim=1),)

    def every(self, stride: int) -> UniLikelihood:
        """Return the likelihood at every so many nodes only."""
        return UniLikelihood(self.table.every(stride))

    def _on_plane(self, uni: Tensor, amplitude: Tensor, plane: int) -> Posteriors:
        norm = amplitude * self.table.norms[plane]
        first, second = self.table.directions[plane][:2]
        return log_density_of_uni(uni, first * norm, second * norm)


def products_of_readouts(readouts: Tensor, noise_sd: float) -> Statistics:
    """Return the products of complex readouts (readout, voxel) over twice the noise variance, and 1."""
    scale = 1 / (2 * noise_sd**2)
    real = torch.view_as_real(readouts) if readouts.is_complex() else readouts[..., None]
    squares = [part.square().sum(-1) * scale for part in real]
    crosses = [(first * second).sum(-1) * scale for first, second in combinations(real, 2)]
    return torch.stack([*squares, *crosses, torch.ones_like(squares[0])], dim=1)


def products_of_magnitudes(magnitudes: Tensor, noise_sd: float, uni: Tensor | None = None) -> Alternatives:
    """Return the products of magnitudes (readout, voxel) for every choice of signs that nothing decides.

    S times the energy of the first two readouts is their product, with its sign; a global sign has no meaning.
    """
    alternatives = []
    n = len(magnitudes)
    scale = 1 / (2 * noise_sd**2)
    free = n - 1 if uni is None else n - 2
    for signs in product((1.0, -1.0), repeat=free):
        first = torch.ones_like(magnitudes[0]) if uni is None else torch.where(uni < 0, -1.0, 1.0)
        pattern = [torch.ones_like(first), *(torch.full_like(first, sign) for sign in signs)]
        signed = magnitudes * torch.stack(pattern if uni is None else [first, *pattern])
        statistics = products_of_readouts(signed, noise_sd)
        if uni is not None:
            statistics[:, n] = uni * (magnitudes[0].square() + magnitudes[1].square()) * scale
        alternatives.append(statistics)
    return tuple(alternatives)


def magnitude_of_first(uni: Tensor, second: Tensor) -> Tensor:
    """Return the magnitude of the first readout from UNI and that of the second.

    S = r / (1 + r^2) for readouts in phase, r their ratio: of its two solutions the one below 1 is returned, because
    the first readout is near its zero crossing.
    """
    size = 2 * uni.abs()
    return second * size / (1 + (1 - size.square()).clamp_min(0.0).sqrt())
