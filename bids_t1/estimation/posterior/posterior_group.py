"""The posteriors of some voxels: what is loaded of them, put into groups, compared with the model and described."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import stats

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.forms import FORMS
from bids_t1.estimation.posterior.amplitude_prior import log_amplitudes
from bids_t1.estimation.posterior.likelihood import (
    Between,
    products_of_magnitudes,
    products_of_readouts,
    products_with_uni,
    products_with_uni_and_last,
    smaller_ratio,
)
from bids_t1.estimation.posterior.summary import NEGLIGIBLE, Summary, summarise
from bids_t1.estimation.posterior.uni import choose_beta, compute_robust_uni, compute_uni, log_density_of_uni

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from bids_t1.data.estimate import NoiseSD
    from bids_t1.data.forms import InputForm
    from bids_t1.data.shapes import Map, Measurements, Posteriors, VoxelIndex, Voxels
    from bids_t1.estimation.posterior.amplitude_prior import AmplitudePrior
    from bids_t1.estimation.posterior.likelihood import Alternatives, Likelihood
    from bids_t1.estimation.posterior.lookup import LookUp
    from bids_t1.estimation.posterior.readout_table import ReadoutTable
    from bids_t1.estimation.posterior.tabulated import SummaryTable
    from bids_t1.estimation.posterior.uni_table import UniTable
    from bids_t1.estimation.posterior.voxel import Fused

BLOCK = 2_048
"""Voxels whose posteriors are held at a time: they stay in the cache of a processor."""

LARGE_BLOCK = 65_536
"""Voxels taken at a time where posteriors are looked up."""

PLANE_STEP = 0.02
"""Distance of the transmit fields of a table; between them the likelihood is interpolated."""

N_TABULATED = 2049
"""Values of UNI for which the posterior is computed beforehand, where it depends on nothing else."""

FALSE_SIGNAL = 1e-4
"""Share of background voxels taken for signal."""

MIN_SIGNAL_TO_NOISE = 3.0
"""Norm of the readouts over the noise below which a voxel carries no estimate."""

MIN_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadoutImages:
    """The images of one run, on any voxel axes."""

    form: InputForm
    readouts: Measurements | None = None
    """(readout, *voxels), see `ReadoutSeries`."""

    uni: Map | None = None
    """S, (*voxels); NaN where there is none."""

    transmit: Map | None = None
    """Transmit field relative to nominal, (*voxels); NaN where it is not known."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxel axes."""
        if self.readouts is not None:
            return self.readouts.shape[1:]
        return () if self.uni is None else self.uni.shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """A likelihood over transmit fields that lie on a grid or are integrated over."""

    likelihood: Likelihood
    look_up: LookUp
    described: Tensor
    """At each plane and node, (plane, node, quantity): norm, variance of the direction and direction of the first two
    readouts, which make up S; norm and direction of all readouts."""

    log_prior: Tensor | None = None
    """Of each plane; None: the transmit field of each voxel is known."""

    log_shifts: Tensor | None = None
    """Log probabilities of fields some planes weaker to as many planes stronger; None: each is exactly as known."""

    reference: int = 0
    """Plane nearest to the mean of the prior."""

    coarse: Likelihood | None = None
    """The likelihood at every few nodes, where several transmit fields are integrated over."""

    spread: float = 0.0
    """Distance of the directions of neighbouring planes and nodes, for the same."""

    tabulated: Tensor | None = None
    """Log posterior densities (UNI, node) over the range of UNI, where there is UNI alone."""

    amplitude_prior: AmplitudePrior | None = None
    """Learned from the image, where there are magnitudes alone."""

    summaries: SummaryTable | UniTable | None = None
    """What is looked up, of two readouts or of UNI alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Everything that is decided once, before the voxels."""

    images: ReadoutImages
    device: torch.device
    noise: NoiseSD
    known: Field | None
    unknown: Field
    lowest_transmit: float
    """Where it is known to be lower, the inversion is doubtful."""

    fused: Fused | None = None
    """What the compiled estimation needs, where it is the one that is used."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What is known of transmit fields: by the map, where there is one, and without it."""
        return tuple(field for field in (self.known, self.unknown) if field is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loaded:
    """The measurements of one chunk of voxels on the device."""

    readouts: Tensor | None
    uni: Tensor | None
    transmit: Tensor | None
    status: Tensor


def load(plan: Plan, chunk: slice) -> Loaded:
    """Copy the measurements of some voxels to the device, in single precision, and say which are worth fitting."""
    images = plan.images
    readouts = None
    if images.readouts is not None:
        part = images.readouts.reshape(len(images.readouts), -1)[:, chunk]
        precision = torch.complex64 if np.iscomplexobj(part) else torch.float32
        readouts = torch.from_numpy(np.ascontiguousarray(part)).to(plan.device, precision)
    uni, transmit = (
        None if values is None else torch.from_numpy(values.reshape(-1)[chunk].astype(np.float32)).to(plan.device)
        for values in (images.uni, images.transmit)
    )
    return Loaded(readouts=readouts, uni=uni, transmit=transmit, status=_initial_status(plan, readouts, uni))


def _initial_status(plan: Plan, readouts: Tensor | None, uni: Tensor | None) -> Tensor:
    """Tell background and what is not finite from voxels with signal."""
    if readouts is None:
        present = torch.isfinite(uni) if uni is not None else torch.zeros(0)
        return present.to(torch.uint8) * int(VoxelStatus.FITTED)
    energy = (readouts * readouts.conj()).real.sum(0) if readouts.is_complex() else readouts.square().sum(0)
    present = energy > least_energy(plan, len(readouts))
    if uni is not None:
        present &= torch.isfinite(uni)
    status = present.to(torch.uint8) * int(VoxelStatus.FITTED)
    return torch.where(torch.isfinite(energy), status, int(VoxelStatus.NOT_FINITE))


def least_energy(plan: Plan, n_readouts: int) -> float:
    """Return the energy of readouts from which a voxel holds signal, in squared units of the images."""
    return float(plan.noise.value**2 * stats.chi2.ppf(1 - FALSE_SIGNAL, 2 * n_readouts))


def least_norm(plan: Plan) -> float:
    """Return the norm that the model has to explain for a voxel to carry an estimate, in units of the images."""
    return MIN_SIGNAL_TO_NOISE * plan.noise.value


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some voxels of a chunk whose transmit field lies between the same planes, or is not known."""

    voxels: VoxelIndex
    field: Field
    planes: Between
    transmit: Voxels | None


def groups_of(plan: Plan, voxels: Loaded, kept: VoxelIndex, *, block_size: int = BLOCK) -> Iterator[Group]:
    """Sort voxels by their transmit field and yield them in blocks."""
    if plan.known is None or voxels.transmit is None:
        yield from _unknown_groups(plan, kept, block_size)
        return
    transmit = voxels.transmit[kept]
    fields = plan.known.likelihood.table.transmit
    usable = (transmit >= fields[0]) & (transmit <= fields[-1])
    yield from _unknown_groups(plan, kept[~usable], block_size)
    kept, transmit = kept[usable], transmit[usable]
    place = (transmit - fields[0]) / PLANE_STEP
    cell = place.long().clamp(0, len(fields) - 2)
    order = torch.argsort(cell, stable=True)
    cells, counts = torch.unique_consecutive(cell[order], return_counts=True)
    for lower, members in zip(cells.tolist(), torch.split(order, counts.tolist()), strict=True):
        for block in torch.split(members, block_size):
            share = (place[block] - lower).clamp(0.0, 1.0)
            yield Group(kept[block], plan.known, Between(lower, lower + 1, share), transmit[block])


def _unknown_groups(plan: Plan, kept: VoxelIndex, block_size: int) -> Iterator[Group]:
    for block in torch.split(kept, block_size):
        if len(block):
            reference = plan.unknown.reference
            share = torch.zeros(len(block), device=plan.device)
            yield Group(block, plan.unknown, Between(reference, reference, share), None)


def of_group(voxels: Loaded, group: Group) -> tuple[Tensor | None, Tensor | None]:
    """Return the readouts and UNI of a group."""
    readouts = None if voxels.readouts is None else voxels.readouts[:, group.voxels]
    return readouts, None if voxels.uni is None else voxels.uni[group.voxels]


def statistics_of(plan: Plan, readouts: Tensor | None, uni: Tensor | None) -> Alternatives:
    """Return what the likelihood needs to know of some voxels."""
    noise_sd = plan.noise.value
    if readouts is None and uni is not None:
        return (torch.stack([uni, torch.full_like(uni, 1 / noise_sd)], dim=1),)
    if readouts is None:
        raise InvalidInputError("there are neither readouts nor UNIT1.")
    if readouts.is_complex():
        return (products_of_readouts(readouts, noise_sd),)
    if uni is None and FORMS[plan.images.form].has_signs:
        above_noise = (readouts.square() - noise_sd**2).clamp_min(0.0).sqrt()
        return (products_of_readouts(above_noise, noise_sd),)
    if uni is None:
        return products_of_magnitudes(readouts, noise_sd)
    if len(readouts) == 1:
        return products_with_uni_and_last(readouts[0], uni, noise_sd)
    return products_with_uni(readouts, uni, noise_sd)


def log_density_of(group: Group, statistics: Alternatives, readouts: Tensor | None) -> Posteriors:
    """Return the log posterior density at every node; the prior of the relaxation time is uniform."""
    field = group.field
    if field.amplitude_prior is not None:
        density = log_density_of(replace(group, field=replace(field, amplitude_prior=None)), statistics, None)
        return density + field.amplitude_prior.at(log_amplitudes_of(group, readouts))
    if field.tabulated is not None:
        place = ((statistics[0][:, 0] + 0.5) * (N_TABULATED - 1)).clamp(0, N_TABULATED - 1)
        row = place.long().clamp(max=N_TABULATED - 2)
        return torch.lerp(field.tabulated[row], field.tabulated[row + 1], (place - row)[:, None])
    if field.log_shifts is not None:
        return _integrate_around(field, field.log_shifts, statistics, group.planes)
    if field.log_prior is None:
        return field.likelihood.at(statistics, group.planes)
    return integrate(field, statistics)


def _integrate_around(field: Field, log_shifts: Tensor, statistics: Alternatives, planes: Between) -> Posteriors:
    """Integrate the likelihood over transmit fields around those of the voxels, with the noise widened likewise."""
    softened = field.likelihood.soften(statistics, field.spread)
    last, most = len(field.likelihood.table.transmit) - 1, len(log_shifts) // 2
    total: Posteriors | None = None
    for shift, log_probability in enumerate(log_shifts.tolist(), -most):
        lower, upper = (min(max(plane + shift, 0), last) for plane in (planes.lower, planes.upper))
        one = field.likelihood.at(softened, Between(lower, upper, planes.share)).add_(log_probability)
        total = one if total is None else torch.logaddexp(total, one)
    return softened[0] if total is None else total


def integrate(field: Field, statistics: Alternatives) -> Posteriors:
    """Integrate the likelihood over the prior of the transmit field.

    The planes are what the integral is a sum over: the noise is widened by their distance, so that a posterior
    narrower than this does not fall between them.
    """
    likelihood = field.likelihood
    planes, log_prior = range(len(likelihood.table.transmit)), field.log_prior
    share = statistics[0].new_zeros(len(statistics[0]))
    if log_prior is None or field.coarse is None:
        return likelihood.at(statistics, Between(0, 0, share))
    softened = likelihood.soften(statistics, field.spread)
    highest = torch.full_like(share, -torch.inf)
    for plane in planes:
        highest = torch.maximum(highest, field.coarse.at(softened, Between(plane, plane, share)).amax(1))
    density = torch.zeros(len(share), len(likelihood.table.times), device=share.device)
    for plane in planes:
        log_likelihood = likelihood.at(softened, Between(plane, plane, share))
        density += log_likelihood.sub_((highest - log_prior[plane])[:, None]).clamp_min_(NEGLIGIBLE).exp_()
    return density.log_()


def log_amplitudes_of(group: Group, readouts: Tensor | None) -> Posteriors:
    """Return log M0 of some voxels at each node of their table."""
    table = group.field.likelihood.table
    energy = torch.ones(len(group.voxels)) if readouts is None else readouts.abs().square().sum(0)
    return log_amplitudes(energy, table.norms[group.planes.lower])


def summary_of(group: Group, statistics: Alternatives, readouts: Tensor | None) -> Summary:
    """Compute and describe the posteriors of some voxels."""
    field = group.field
    is_known = field.log_prior is None and field.log_shifts is None and field.amplitude_prior is None
    return summarise(
        log_density_of(group, statistics, readouts),
        field.likelihood.table,
        partial(field.likelihood.near, statistics, group.planes) if is_known else None,
    )


def _summary(group: Group, statistics: Alternatives, readouts: Tensor | None) -> Summary:
    """Look posteriors up where a table holds them, and compute the others."""
    table = group.field.summaries
    if table is None:
        return summary_of(group, statistics, readouts)
    (products,) = statistics
    summary, holds = table.look_up(products, group.planes)
    for left in torch.split(torch.nonzero(~holds).squeeze(1), BLOCK):
        if len(left):
            planes = replace(group.planes, share=group.planes.share[left])
            summary.put(left, summary_of(replace(group, planes=planes), (products[left],), None))
    return summary


def estimate_group(plan: Plan, voxels: Loaded, group: Group) -> dict[str, Tensor]:
    """Return the maps of some voxels by name."""
    readouts, uni = of_group(voxels, group)
    statistics = statistics_of(plan, readouts, uni)
    summary = _summary(group, statistics, readouts)
    measured = _Measured.of(plan, group, summary, readouts, uni)
    status = _status(plan, group, summary, measured)
    values = {
        "time": summary.time,
        "mean": summary.mean,
        "time_sd": summary.time_sd,
        "lower": summary.lower,
        "upper": summary.upper,
        "point": group.field.look_up.nearest(measured.uni, summary.time, group.planes),
        "confidence": measured.confidence,
        "amplitude": measured.norm / measured.model_norm,
    }
    has_estimate = status != VoxelStatus.SIGNAL_TOO_LOW
    values = {name: torch.where(has_estimate, value, torch.nan) for name, value in values.items()}
    values |= {"two_modes": summary.two_modes & has_estimate, "status": status}
    if not FORMS[plan.images.form].has_signs:
        beta = choose_beta(plan.noise.value)
        robust = (measured.uni * measured.energy - beta) / (measured.energy + 2 * beta)
        values |= {"uni": measured.uni, "robust_uni": robust}
    return values if group.transmit is None else values | {"transmit": group.transmit}


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What the measurements say at the maximum of the posterior."""

    uni: Voxels
    energy: Voxels
    """Squared norm of the first two readouts, in squared units of the images."""

    norm: Voxels
    """What the model explains of the readouts, in units of the images; of M0, where there is no amplitude."""

    model_norm: Voxels
    """Norm of the model's readouts relative to M0."""

    confidence: Voxels

    @classmethod
    def of(cls, plan: Plan, group: Group, summary: Summary, readouts: Tensor | None, uni: Tensor | None) -> _Measured:
        """Compare measurements and model."""
        share = group.planes.share
        _, _, _, _, model_norm, *directions = _model_at(group.field, group.planes, summary.node)
        if readouts is None:
            known_uni = torch.full_like(share, torch.nan) if uni is None else uni
            norm, energy = model_norm, torch.full_like(share, torch.nan)
        else:
            norm, known_uni, energy = _explained(torch.stack(directions), readouts, uni)
        density = _density_of_uni(group, summary.node, known_uni, norm / plan.noise.value)
        return cls(known_uni, energy, norm, model_norm, torch.sigmoid(density))


def _density_of_uni(group: Group, node: Voxels, uni: Voxels, amplitude: Voxels) -> Voxels:
    """Return the log density of S at places among the nodes, over all that the posterior is an integral over.

    The amplitude is that of the readouts over the noise.
    """
    field, planes = group.field, group.planes
    if field.log_prior is None:
        return _density_between(group, planes, node, uni, amplitude)
    densities = []
    for plane, log_prior in enumerate(field.log_prior):
        single = Between(plane, plane, planes.share)
        densities.append(_density_between(group, single, node, uni, amplitude) + log_prior)
    return torch.logsumexp(torch.stack(densities), dim=0)


def _density_between(group: Group, planes: Between, node: Voxels, uni: Voxels, amplitude: Voxels) -> Voxels:
    """Return the log density of S at one transmit field of each voxel, noise widened as for the posterior."""
    norm, variance, first, second, whole_norm, *_ = _model_at(group.field, planes, node)
    amplitude = amplitude * norm / whole_norm
    variance = variance + group.field.spread**2 / 12
    widened = amplitude * torch.rsqrt(1 + amplitude.square() * variance.clamp_min(0.0))
    return log_density_of_uni(uni, first * widened, second * widened)


def describe(table: ReadoutTable) -> Tensor:
    """Return `Field.described` of a table."""
    pair = table.of_pair()
    of_pair = [pair.norms, pair.wander.square().sum((1, 2)), pair.directions[:, 0], pair.directions[:, 1]]
    return torch.stack([*of_pair, table.norms, *table.directions.unbind(1)], dim=2)


def _model_at(field: Field, planes: Between, node: Voxels) -> tuple[Voxels, ...]:
    """Interpolate what is described of the model, as `at_node` does, at places among the nodes of two planes."""
    n_nodes = field.described.shape[1]
    middle = node.round().long().clamp(1, n_nodes - 2)
    shift = node - middle
    weights = torch.stack([shift * (shift - 1) / 2, 1 - shift.square(), shift * (shift + 1) / 2], 1)
    places = middle[:, None] + torch.arange(-1, 2, device=node.device) + planes.lower * n_nodes
    if planes.upper != planes.lower:
        share = planes.share[:, None]
        weights = torch.cat([weights * (1 - share), weights * share], 1)
        places = torch.cat([places, places + (planes.upper - planes.lower) * n_nodes], 1)
    values = field.described.reshape(-1, field.described.shape[2])
    found = torch.nn.functional.embedding_bag(places, values, mode="sum", per_sample_weights=weights)
    return tuple(found.T.contiguous().unbind(0))


def _explained(directions: Tensor, readouts: Tensor, uni: Tensor | None) -> tuple[Voxels, Voxels, Voxels]:
    """Return what the model explains of the readouts, UNI, and the energy of the first two readouts.

    Magnitudes get the signs of the model; of a last magnitude alone, UNI and the model tell the first.
    """
    if uni is not None and len(readouts) == 1:
        ratio = smaller_ratio(uni)
        ratio = torch.where(directions[0].abs() > directions[1].abs(), 1 / ratio, ratio)
        readouts = torch.stack([ratio * readouts[0], readouts[0]])
    signed = readouts if readouts.is_complex() else readouts * torch.where(directions < 0, -1.0, 1.0)
    norm = (signed * directions).sum(0).abs()
    energy = signed[:2].abs().square().sum(0)
    return norm, compute_uni(signed[0], signed[1]) if uni is None else uni, energy


def _status(plan: Plan, group: Group, summary: Summary, measured: _Measured) -> Tensor:
    """Give each voxel the most serious thing there is to say about it."""
    status = torch.full_like(summary.time, VoxelStatus.FITTED, dtype=torch.uint8)
    if group.transmit is not None:
        status.masked_fill_(group.transmit < plan.lowest_transmit, VoxelStatus.INVERSION_DOUBTFUL)
    status.masked_fill_(summary.at_limit, VoxelStatus.AT_PRIOR_LIMIT)
    status.masked_fill_(summary.two_modes, VoxelStatus.TWO_MODES)
    status.masked_fill_(measured.confidence < MIN_CONFIDENCE, VoxelStatus.LOW_CONFIDENCE)
    if FORMS[plan.images.form].has_amplitude:
        status.masked_fill_(measured.norm < least_norm(plan), VoxelStatus.SIGNAL_TOO_LOW)
    return status


def uni_of_all(plan: Plan, voxels: Loaded) -> dict[str, Tensor]:
    """Return UNI and robust UNI of every voxel: what they are for, such as masks, needs the background too."""
    readouts, beta = voxels.readouts, choose_beta(plan.noise.value)
    if readouts is None or len(readouts) == 1:
        return {}
    if voxels.uni is not None:
        energy = readouts[:2].square().sum(0)
        return {"robust_uni": (voxels.uni * energy - beta) / (energy + 2 * beta)}
    robust = {"robust_uni": compute_robust_uni(readouts[0], readouts[1], beta)}
    return robust | {"uni": compute_uni(readouts[0], readouts[1])} if readouts.is_complex() else robust
