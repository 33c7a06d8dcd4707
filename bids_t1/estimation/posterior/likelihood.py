"""Log likelihood of voxels at every node of a table: from complex readouts, from magnitudes and UNI, from UNI alone.

The amplitude, complex and free, is integrated out of the readouts: with g the data and s(T, b1) the model,

    log p(g | T, b1) = (|s.g|^2 / |s|^2 - |g|^2) / (2 sigma^2) - log |s|^2 + constant

for any number of readouts. |s.g|^2 is a sum over the products Re(conj(g_j) g_k), which are all that is kept of a voxel;
for two readouts UNI and both magnitudes hold the same products as the complex images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Protocol

import torch

from bids_t1.estimation.posterior.uni import log_density_of_uni, log_density_of_wandering_uni

if TYPE_CHECKING:
    from torch import Tensor

    from bids_t1.data.shapes import Posteriors, Statistics, Voxels
    from bids_t1.estimation.posterior.readout_table import ReadoutTable

    Alternatives = tuple[Statistics, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """Neighbouring planes of a table, and where between them some voxels lie."""

    lower: int
    upper: int
    share: Voxels
    """0 at `lower`, 1 at `upper`."""


AMPLITUDE = -2
"""Place of the statistic that is 1, whose factor is the term of the amplitude's prior; the weight is the last."""

SMALLEST_ENERGY = 1e-6

LEAST_EXPLAINED = 1e-3
"""Share of a voxel's energy that a direction is taken to explain at least: one that explains less has no part in it."""

SMALLEST_RATIO = 1e-4
"""A smaller ratio of two readouts is none that noise allows to tell."""


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

    def near(self, alternatives: Alternatives, planes: Between, nodes: Tensor) -> Tensor:
        """Return the log likelihood at some nodes of each voxel, (voxel, node), in double precision."""
        ...

    def every(self, stride: int) -> Likelihood:
        """Return the likelihood at every so many nodes only."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ProductLikelihood:
    """Likelihood of products of readouts; several alternatives where their signs are not known."""

    table: ReadoutTable
    factors: Tensor
    """Factors of the products, of 1 and of the weight, (plane, statistic, node), in double precision."""

    rounded: Tensor
    """The same in single precision."""

    tilts: tuple[_Tilt, ...]
    """What the protocol leaves open of the directions."""

    @classmethod
    def build(
        cls, table: ReadoutTable, reference: int | None = None, *, free_of_scale: bool = False
    ) -> ProductLikelihood:
        """Prepare the factors of a table.

        Where the transmit field is integrated over, the amplitude's prior is flat at the plane `reference`: flat at
        every plane, it would favour weak fields, at which any data need a larger amplitude. Free of scale, the prior
        is flat in the logarithm of the amplitude, and the term with log |s|^2 is zero.
        """
        directions = table.directions.double()
        directions = directions / directions.norm(dim=1, keepdim=True)
        n = directions.shape[1]
        squares = [directions[:, index].square() - 1 for index in range(n)]
        crosses = [2 * directions[:, j] * directions[:, k] for j, k in combinations(range(n), 2)]
        norms = table.norms.double() if reference is None else table.norms[reference].double().expand_as(table.norms)
        amplitude = torch.zeros_like(norms) if free_of_scale else -2 * torch.log(norms)
        factors = torch.stack([*squares, *crosses, amplitude, torch.ones_like(amplitude)], dim=1)
        tilts = tuple(_Tilt.of(directions, table.wander[:, index].double()) for index in range(table.wander.shape[1]))
        return cls(table, factors, factors.float(), tilts)

    def at(self, alternatives: Alternatives, planes: Between) -> Posteriors:
        """Return the log likelihood between two planes, summed over the alternatives with their weights."""
        likelihoods = [self._of_one(one, planes) for one in alternatives]
        return likelihoods[0] if len(likelihoods) == 1 else torch.logsumexp(torch.stack(likelihoods), dim=0)

    def _of_one(self, one: Statistics, planes: Between) -> Posteriors:
        log_likelihood = _at_planes(one, self.rounded, planes)
        if not self.tilts:
            return log_likelihood
        voxel = _Explained.of(one, log_likelihood, self.rounded[planes.lower, AMPLITUDE])
        for tilt in self.tilts:
            aligned = _at_planes(one[:, :AMPLITUDE], tilt.rounded, planes)
            voxel.tilt(log_likelihood, aligned, tilt.variances[planes.lower].float())
        return log_likelihood

    def soften(self, alternatives: Alternatives, spread: float) -> Alternatives:
        """Add to the noise what the direction of the signals differs between neighbouring planes and nodes."""
        n = self.table.directions.shape[1]
        softened = []
        for statistics in alternatives:
            energy = 2 * statistics[:, :n].sum(1, keepdim=True)
            products = statistics[:, :-2] / (1 + energy * spread**2 / 12)
            softened.append(torch.cat([products, statistics[:, -2:]], dim=1))
        return tuple(softened)

    def every(self, stride: int) -> ProductLikelihood:
        """Return the likelihood at every so many nodes only."""
        coarse = self.factors[..., ::stride].contiguous()
        return ProductLikelihood(self.table, coarse, coarse.float(), tuple(tilt.every(stride) for tilt in self.tilts))

    def near(self, alternatives: Alternatives, planes: Between, nodes: Tensor) -> Tensor:
        """Return the log likelihood at some nodes of each voxel, (voxel, node), in double precision."""
        likelihoods = [self._of_one_near(one.double(), planes, nodes) for one in alternatives]
        return torch.logsumexp(torch.stack(likelihoods), dim=0)

    def _of_one_near(self, one: Statistics, planes: Between, nodes: Tensor) -> Tensor:
        log_likelihood = _near_nodes(one, self.factors, planes, nodes)
        voxel = _Explained.of(one, log_likelihood, self.factors[planes.lower, AMPLITUDE][nodes])
        for tilt in self.tilts:
            aligned = _near_nodes(one[:, :AMPLITUDE], tilt.factors, planes, nodes)
            voxel.tilt(log_likelihood, aligned, tilt.variances[planes.lower][nodes])
        return log_likelihood


@dataclass(frozen=True, slots=True, eq=False)
class _Tilt:
    """A vector of `ReadoutTable.wander` on every plane and node."""

    factors: Tensor
    """Of the products that make up the data along the direction times those along the vector, (plane, product, node),
    in double precision."""

    rounded: Tensor
    """The same in single precision."""

    variances: Tensor
    """Squared length of the vector, (plane, node)."""

    @classmethod
    def of(cls, directions: Tensor, vector: Tensor) -> _Tilt:
        """Multiply directions and vectors (plane, readout, node)."""
        n = directions.shape[1]
        squares = [directions[:, k] * vector[:, k] for k in range(n)]
        pairs = combinations(range(n), 2)
        crosses = [directions[:, j] * vector[:, k] + directions[:, k] * vector[:, j] for j, k in pairs]
        factors = torch.stack([*squares, *crosses], dim=1)
        return cls(factors, factors.float(), vector.square().sum(1))

    def every(self, stride: int) -> _Tilt:
        """Return the vectors at every so many nodes only."""
        coarse = self.factors[..., ::stride].contiguous()
        return _Tilt(coarse, coarse.float(), self.variances[..., ::stride])


@dataclass(frozen=True, slots=True, eq=False)
class _Explained:
    """Energies of voxels over twice the noise variance."""

    twice_energy: Tensor
    """Twice that of all readouts, (voxel, 1)."""

    explained: Tensor
    """What the direction of each node explains, (voxel, node)."""

    @classmethod
    def of(cls, one: Statistics, log_likelihood: Tensor, amplitude: Tensor) -> _Explained:
        """Take apart the log likelihood of one alternative, less its terms without data."""
        n = (math.isqrt(8 * (one.shape[1] - 2) + 1) - 1) // 2  # readouts that have so many products
        energy = one[:, :n].sum(1, keepdim=True)
        explained = torch.maximum(log_likelihood + (energy - one[:, -1:]) - amplitude, LEAST_EXPLAINED * energy)
        return cls(2 * energy, explained.clamp_min_(SMALLEST_ENERGY))

    def tilt(self, log_likelihood: Tensor, aligned: Tensor, variances: Tensor) -> None:
        """Integrate a log likelihood, in place, over a normal multiple of a vector that is added to the direction.

        The misfit along the vector counts less by what the vector's variance adds to that of the noise.
        """
        added = self.twice_energy * variances
        log_likelihood.sub_(torch.log1p(added), alpha=0.5)
        forgiven = aligned.square_().mul_(self.twice_energy)
        log_likelihood.add_(forgiven.div_(added.add_(1).mul_(self.explained)))


def _at_planes(one: Statistics, factors: Tensor, planes: Between) -> Posteriors:
    """Multiply statistics by their factors between two planes."""
    if planes.lower == planes.upper:
        return one @ factors[planes.lower]
    share = planes.share[:, None]
    both = torch.cat([factors[planes.lower], factors[planes.upper]])
    return torch.cat([(1 - share) * one, share * one], dim=1) @ both


def _near_nodes(one: Statistics, factors: Tensor, planes: Between, nodes: Tensor) -> Tensor:
    """Multiply statistics by their factors at some nodes of each voxel."""
    chosen = factors[planes.lower][:, nodes]  # (statistic, voxel, node)
    if planes.upper != planes.lower:
        chosen = torch.lerp(chosen, factors[planes.upper][:, nodes], planes.share.double()[None, :, None])
    return torch.einsum("vs,svn->vn", one, chosen)


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

    def near(self, alternatives: Alternatives, planes: Between, nodes: Tensor) -> Tensor:
        """Return the log likelihood at some nodes of each voxel, (voxel, node), in double precision."""
        (statistics,) = alternatives
        uni, amplitude = statistics.double()[:, :1], statistics.double()[:, 1:]
        on_planes = []
        for plane in (planes.lower, planes.upper):
            norm = amplitude * self.table.norms[plane].double()[nodes]
            first, second = (self.table.directions[plane][k].double()[nodes] for k in (0, 1))
            on_planes.append(self._density(uni, first * norm, second * norm, self._variances(plane).double()[nodes]))
        return torch.lerp(on_planes[0], on_planes[1], planes.share.double()[:, None])

    def _variances(self, plane: int) -> Tensor:
        """Return the variance of the direction at each node."""
        return self.table.wander[plane].square().sum((0, 1))

    def every(self, stride: int) -> UniLikelihood:
        """Return the likelihood at every so many nodes only."""
        return UniLikelihood(self.table.every(stride))

    def _on_plane(self, uni: Tensor, amplitude: Tensor, plane: int) -> Posteriors:
        norm = amplitude * self.table.norms[plane]
        first, second = self.table.directions[plane][:2]
        return self._density(uni, first * norm, second * norm, self._variances(plane))

    def _density(self, uni: Tensor, first: Tensor, second: Tensor, variance: Tensor) -> Tensor:
        if self.table.wander.shape[1]:
            return log_density_of_wandering_uni(uni, first, second, variance)
        return log_density_of_uni(uni, first, second)


def products_of_readouts(readouts: Tensor, noise_sd: float, log_weight: Tensor | None = None) -> Statistics:
    """Return the products of readouts (readout, voxel) over twice the noise variance, 1, and a log weight."""
    scale = 1 / (2 * noise_sd**2)
    real = torch.view_as_real(readouts) if readouts.is_complex() else readouts[..., None]
    squares = [part.square().sum(-1) * scale for part in real]
    crosses = [(first * second).sum(-1) * scale for first, second in combinations(real, 2)]
    weight = torch.zeros_like(squares[0]) if log_weight is None else log_weight
    return torch.stack([*squares, *crosses, torch.ones_like(weight), weight], dim=1)


def products_of_magnitudes(magnitudes: Tensor, noise_sd: float) -> Alternatives:
    """Return the products of magnitudes (readout, voxel) for every choice of signs; a global sign has no meaning."""
    first = torch.ones_like(magnitudes[0])
    return tuple(
        products_of_readouts(magnitudes * torch.stack([first, *(sign * first for sign in signs)]), noise_sd)
        for signs in product((1.0, -1.0), repeat=len(magnitudes) - 1)
    )


def products_with_uni(magnitudes: Tensor, uni: Tensor, noise_sd: float) -> Alternatives:
    """Return the products of magnitudes (readout, voxel) whose first two have the product that UNI tells.

    S times the energy of two readouts is their product, with its sign. The signs of further readouts are free.
    """
    n = len(magnitudes)
    sign = torch.where(uni < 0, -1.0, 1.0)
    pair = torch.stack([sign * magnitudes[0], magnitudes[1]])
    product_of_pair = uni * (magnitudes[0].square() + magnitudes[1].square()) / (2 * noise_sd**2)
    alternatives = []
    for signs in product((1.0, -1.0), repeat=n - 2):
        others = magnitudes[2:] * magnitudes.new_tensor(signs)[:, None]
        statistics = products_of_readouts(torch.cat([pair, others]), noise_sd)
        statistics[:, n] = product_of_pair
        alternatives.append(statistics)
    return tuple(alternatives)


def products_with_uni_and_last(second: Tensor, uni: Tensor, noise_sd: float) -> Alternatives:
    """Return the products of two readouts of which UNI and the magnitude of the second are known.

    In phase, S = r / (1 + r^2) with r the ratio of the first to the second; it has two solutions, r and 1/r. The
    density of S and of the second magnitude, at high signal and with a flat amplitude, weighs them as 1 to 1/r^3.
    """
    ratio = smaller_ratio(uni)
    sign = torch.where(uni < 0, -1.0, 1.0)
    return (
        products_of_readouts(torch.stack([sign * ratio * second, second]), noise_sd),
        products_of_readouts(torch.stack([sign / ratio * second, second]), noise_sd, -3 * torch.log(ratio)),
    )


def smaller_ratio(uni: Tensor) -> Tensor:
    """Return the ratio below 1 of the magnitudes of two readouts in phase, from UNI."""
    size = (2 * uni.abs()).clamp_min(SMALLEST_RATIO)
    return size / (1 + (1 - size.square()).clamp_min(0.0).sqrt())
