"""The posterior of T1 from several readouts after one inversion. Read `estimate_posterior` first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import stats

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import NoiseSD, PosteriorEstimate, VoxelStatus
from bids_t1.estimation.amplitude_prior import learn_amplitude_prior, log_amplitudes
from bids_t1.estimation.chunks import choose_device, for_each_chunk
from bids_t1.estimation.likelihood import (
    Between,
    ProductLikelihood,
    UniLikelihood,
    products_of_magnitudes,
    products_of_readouts,
    products_with_uni,
    products_with_uni_and_last,
    smaller_ratio,
)
from bids_t1.estimation.lookup import LookUp
from bids_t1.estimation.readout_noise import looks_like_noise, noise_of_complex, noise_of_magnitudes, noise_of_uni
from bids_t1.estimation.readout_table import N_NODES, build_table
from bids_t1.estimation.summary import NEGLIGIBLE, Summary, at_node, summarise
from bids_t1.estimation.uni import choose_beta, compute_robust_uni, compute_uni, log_density_of_uni

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from bids_t1.data.acquisition import InputForm
    from bids_t1.data.shapes import Map, Measurements, Posteriors, VoxelIndex, Voxels
    from bids_t1.data.signal_model import ReadoutModel
    from bids_t1.estimation.amplitude_prior import AmplitudePrior
    from bids_t1.estimation.likelihood import Alternatives, Likelihood
    from bids_t1.estimation.readout_table import ReadoutTable

BLOCK = 2_048
"""Voxels whose posteriors are held at a time: they stay in the cache of a processor."""

PLANE_STEP = 0.02
"""Distance of the transmit fields of a table; between them the likelihood is interpolated."""

PRIOR_STEP = 0.06
"""The same where the transmit field is integrated over its prior."""

PRIOR_NODES = 256
"""Relaxation times where the transmit field is integrated over its prior, which widens every posterior."""

SCAN_STRIDE = 4
"""Every so many nodes are looked at for the highest density, before exponents are taken."""

N_TABULATED = 2049
"""Values of UNI for which the posterior is computed beforehand, where it depends on nothing else."""

TRANSMIT_RANGE = (0.2, 2.0)
"""Transmit fields that a map may have; others count as unknown."""

FALSE_SIGNAL = 1e-4
"""Share of background voxels taken for signal."""

MIN_SIGNAL_TO_NOISE = 3.0
"""Norm of the readouts over the noise below which a voxel carries no estimate."""

MIN_CONFIDENCE = 0.5

SAMPLE = 8_192
"""Voxels from which the distribution of M0 is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitPrior:
    """A normal distribution of the transmit field, cut off at its range."""

    mean: float = 1.0
    sd: float = 0.3
    """0: the transmit field is taken as `mean`."""

    range: tuple[float, float] = (0.4, 1.6)

    def planes(self) -> tuple[Tensor, Tensor]:
        """Return transmit fields and the logarithms of their probabilities."""
        if self.sd == 0:
            return torch.tensor([self.mean], dtype=torch.float64), torch.zeros(1)
        low, high = self.range
        fields = torch.linspace(low, high, round((high - low) / PRIOR_STEP) + 1, dtype=torch.float64)
        return fields, torch.log_softmax(-((fields - self.mean) / self.sd).square() / 2, dim=0).float()


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorOptions:
    """The choices of one estimation."""

    time_range: tuple[float, float] = (0.02, 6.0)
    """Range of the prior of the relaxation time, uniform in between [s]."""

    transmit_prior: TransmitPrior = TransmitPrior()
    """Used in voxels whose transmit field is not known."""

    noise_sd: float | None = None
    """Noise of one channel in units of the images (of M0, for UNI alone); None: estimated from the data."""

    device: str = "auto"
    """auto, cpu or cuda."""

    n_threads: int = 1
    """Chunks computed side by side on a CPU; with more than one, set PyTorch's own threads to one."""


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
class _Field:
    """A likelihood over transmit fields that lie on a grid or are integrated over."""

    likelihood: Likelihood
    look_up: LookUp
    log_prior: Tensor | None = None
    """Of each plane; None: the transmit field of each voxel is known."""

    reference: int = 0
    """Plane nearest to the mean of the prior."""

    tabulated: Tensor | None = None
    """Log posterior densities (UNI, node) over the range of UNI, where there is UNI alone."""

    amplitude_prior: AmplitudePrior | None = None
    """Learned from the image, where there are magnitudes alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plan:
    """Everything that is decided once, before the voxels."""

    images: ReadoutImages
    device: torch.device
    noise: NoiseSD
    known: _Field | None
    unknown: _Field


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Maps:
    """The maps of all voxels while they are being filled."""

    time: Tensor
    mean: Tensor
    time_sd: Tensor
    lower: Tensor
    upper: Tensor
    point: Tensor
    confidence: Tensor
    uni: Tensor
    robust_uni: Tensor
    amplitude: Tensor
    transmit: Tensor
    two_modes: Tensor
    status: Tensor


def estimate_posterior(
    model: ReadoutModel,
    images: ReadoutImages,
    options: PosteriorOptions,
    *,
    progress: Callable[[int], object] | None = None,
) -> PosteriorEstimate:
    """Compute the posterior of the relaxation time in every voxel.

    The likelihood is that of all readouts with the complex amplitude integrated out, where their products are known
    (complex images; UNI and magnitudes; magnitudes, over both signs), else that of UNI in closed form. The transmit
    field is that of the map, or integrated over its prior. See SCIENCE: Marques et al. 2010,
    doi 10.1016/j.neuroimage.2009.10.002.

    Parameters
    ----------
    model
        The sequence.
    images
        What there is of the run.
    options
        Choices of the estimation.
    progress
        Called with the number of voxels just done.

    Raises
    ------
    InvalidInputError
        If the images do not match the model, or hold no signal.
    UsageError
        If a device is asked for that is not there.
    """
    plan = _prepare(model, images, options)
    n_voxels = math.prod(images.shape)
    of_float = [name for name in _Maps.__slots__ if name not in {"two_modes", "status"}]
    maps = _Maps(
        **{name: torch.full((n_voxels,), torch.nan) for name in of_float},
        two_modes=torch.zeros(n_voxels, dtype=torch.uint8),
        status=torch.zeros(n_voxels, dtype=torch.uint8),
    )
    for_each_chunk(
        n_voxels,
        lambda chunk: _fill(plan, maps, chunk),
        n_threads=options.n_threads if plan.device.type == "cpu" else 1,
        progress=progress,
    )
    arrays = {name: getattr(maps, name).numpy().reshape(images.shape) for name in _Maps.__slots__}
    has_amplitude = images.readouts is not None
    has_energy = has_amplitude and images.form != "UNIT1 and last magnitude"
    return PosteriorEstimate(
        **arrays
        | {
            "amplitude": arrays["amplitude"] if has_amplitude else None,
            "uni": arrays["uni"] if images.uni is None else images.uni.astype(np.float32),
            "robust_uni": arrays["robust_uni"] if has_energy else None,
            "transmit": None if plan.known is None else arrays["transmit"],
        },
        noise=plan.noise,
        robust_beta=choose_beta(plan.noise.value) if has_energy else None,
        device=str(plan.device),
    )


def _prepare(model: ReadoutModel, images: ReadoutImages, options: PosteriorOptions) -> _Plan:
    """Build the tables and learn the noise."""
    _require_images(model, images)
    if images.form == "UNIT1" and images.uni is not None:
        images = replace(images, uni=np.where(looks_like_noise(images.uni), np.float32(np.nan), images.uni))
    device = choose_device(options.device)
    fields, log_prior = options.transmit_prior.planes()
    n_nodes = N_NODES if len(fields) == 1 else PRIOR_NODES
    over_prior = build_table(model, options.time_range, fields, n_nodes=n_nodes, device=device)
    noise = _noise(images, over_prior, options)
    reference = int((fields - options.transmit_prior.mean).abs().argmin())
    unknown = replace(_field(over_prior, images.form, reference), log_prior=log_prior.to(device), reference=reference)
    if images.form == "UNIT1":
        unknown = replace(unknown, tabulated=_tabulate(unknown, noise.value))
    known = None
    of_map = None if images.transmit is None else _planes_of_map(images.transmit)
    if of_map is not None:
        known = _field(build_table(model, options.time_range, of_map, device=device), images.form)
    plan = _Plan(images=images, device=device, noise=noise, known=known, unknown=unknown)
    return _with_amplitude_prior(plan) if images.form == "magnitudes" else plan


def _with_amplitude_prior(plan: _Plan) -> _Plan:
    """Learn the distribution of M0 from a regular sample of the voxels, of those on the larger of the tables."""
    n_voxels = math.prod(plan.images.shape)
    voxels = _load(plan, slice(0, n_voxels, max(1, n_voxels // SAMPLE)))
    kept = torch.nonzero(voxels.status == VoxelStatus.FITTED).squeeze(1)
    groups = list(_groups(plan, voxels, kept))
    known = [group for group in groups if group.field is plan.known]
    unknown = [group for group in groups if group.field is plan.unknown]
    chosen = max(known, unknown, key=lambda some: sum(len(group.voxels) for group in some))
    if not chosen:
        return plan
    measured = [_of_group(voxels, group) for group in chosen]
    densities = [
        _log_density(group, _statistics(plan, *one), None) for group, one in zip(chosen, measured, strict=True)
    ]
    amplitudes = [_log_amplitudes(group, readouts) for group, (readouts, _) in zip(chosen, measured, strict=True)]
    widths = chosen[0].field.likelihood.table.widths
    prior = learn_amplitude_prior(torch.cat(densities), widths, torch.cat(amplitudes))
    return replace(
        plan,
        known=None if plan.known is None else replace(plan.known, amplitude_prior=prior),
        unknown=replace(plan.unknown, amplitude_prior=prior),
    )


def _log_amplitudes(group: _Group, readouts: Tensor | None) -> Posteriors:
    """Return log M0 of some voxels at each node of their table."""
    table = group.field.likelihood.table
    energy = torch.ones(len(group.voxels)) if readouts is None else readouts.abs().square().sum(0)
    return log_amplitudes(energy, table.norms[group.planes.lower])


def _tabulate(field: _Field, noise_sd: float) -> Tensor:
    """Compute the posterior at values of UNI that lie closer than any noise."""
    device = field.likelihood.table.times.device
    uni = torch.linspace(-0.5, 0.5, N_TABULATED, device=device)
    statistics = torch.stack([uni, torch.full_like(uni, 1 / noise_sd)], dim=1)
    return _integrate(field, (statistics,))


def _require_images(model: ReadoutModel, images: ReadoutImages) -> None:
    expected = {"UNIT1": 0, "UNIT1 and last magnitude": 1}.get(images.form, model.n_readouts)
    found = 0 if images.readouts is None else len(images.readouts)
    if found != expected or (images.form.startswith("UNIT1") and images.uni is None):
        raise InvalidInputError(
            f"{found} readouts for a model of {model.n_readouts} in the form {images.form!r}; expected {expected}."
        )


def _field(table: ReadoutTable, form: InputForm, reference: int | None = None) -> _Field:
    if form == "UNIT1 and last magnitude":
        table = table.of_pair()
    likelihood = (
        UniLikelihood(table)
        if form == "UNIT1"
        else ProductLikelihood.build(table, reference, free_of_scale=form == "magnitudes")
    )
    return _Field(likelihood=likelihood, look_up=LookUp.build(table))


def _planes_of_map(transmit: Map) -> Tensor | None:
    """Return transmit fields that enclose those of a map; None where it has no usable value."""
    low, high = TRANSMIT_RANGE
    usable = transmit[(transmit >= low) & (transmit <= high)]
    if not usable.size:
        return None
    first = math.floor(float(usable.min()) / PLANE_STEP)
    last = max(math.ceil(float(usable.max()) / PLANE_STEP), first + 1)
    return torch.arange(first, last + 1, dtype=torch.float64) * PLANE_STEP


def _noise(images: ReadoutImages, table: ReadoutTable, options: PosteriorOptions) -> NoiseSD:
    """Return the noise given, or that of the data."""
    if options.noise_sd is not None:
        return NoiseSD(value=options.noise_sd, origin="option --noise-sd")
    if images.readouts is None:
        if images.uni is None:
            raise InvalidInputError("there are neither readouts nor UNIT1.")
        return noise_of_uni(images.uni, table, None)
    if images.form == "complex":
        return noise_of_complex(images.readouts)
    found = noise_of_magnitudes(images.readouts)
    if found is not None:
        return found
    if images.uni is None:
        raise InvalidInputError("the magnitudes have no background to take the noise from; give it with --noise-sd.")
    energy = np.square(images.readouts[:2]).sum(0)
    if len(images.readouts) == 1:  # the share of the other readout follows from S
        energy = energy / (0.5 + np.sqrt(np.clip(0.25 - np.square(images.uni), 0, None)))
    return noise_of_uni(images.uni, table, np.sqrt(energy))


def _fill(plan: _Plan, maps: _Maps, chunk: slice) -> None:
    """Fill the maps of one chunk of voxels."""
    voxels = _load(plan, chunk)
    maps.status[chunk] = voxels.status.cpu()
    for name, value in _uni_of_all(plan, voxels).items():
        getattr(maps, name)[chunk] = value.cpu()
    kept = torch.nonzero(voxels.status == VoxelStatus.FITTED).squeeze(1)
    for group in _groups(plan, voxels, kept):
        values = _estimate_block(plan, voxels, group)
        where = chunk.start + group.voxels.cpu()
        for name, value in values.items():
            target = getattr(maps, name)
            target[where] = value.to(target.dtype).cpu()


def _uni_of_all(plan: _Plan, voxels: _Loaded) -> dict[str, Tensor]:
    """Return UNI and robust UNI of every voxel: what they are for, such as masks, needs the background too."""
    readouts, beta = voxels.readouts, choose_beta(plan.noise.value)
    if readouts is None or len(readouts) == 1:
        return {}
    if voxels.uni is not None:
        energy = readouts[:2].square().sum(0)
        return {"robust_uni": (voxels.uni * energy - beta) / (energy + 2 * beta)}
    robust = {"robust_uni": compute_robust_uni(readouts[0], readouts[1], beta)}
    return robust | {"uni": compute_uni(readouts[0], readouts[1])} if readouts.is_complex() else robust


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Loaded:
    """The measurements of one chunk of voxels on the device."""

    readouts: Tensor | None
    uni: Tensor | None
    transmit: Tensor | None
    status: Tensor


def _load(plan: _Plan, chunk: slice) -> _Loaded:
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
    return _Loaded(readouts=readouts, uni=uni, transmit=transmit, status=_initial_status(plan, readouts, uni))


def _initial_status(plan: _Plan, readouts: Tensor | None, uni: Tensor | None) -> Tensor:
    """Tell background and what is not finite from voxels with signal."""
    if readouts is None:
        present = torch.isfinite(uni) if uni is not None else torch.zeros(0)
        return present.to(torch.uint8) * int(VoxelStatus.FITTED)
    energy = (readouts * readouts.conj()).real.sum(0) if readouts.is_complex() else readouts.square().sum(0)
    threshold = plan.noise.value**2 * stats.chi2.ppf(1 - FALSE_SIGNAL, 2 * len(readouts))
    present = energy > threshold
    if uni is not None:
        present &= torch.isfinite(uni)
    status = present.to(torch.uint8) * int(VoxelStatus.FITTED)
    return torch.where(torch.isfinite(energy), status, int(VoxelStatus.NOT_FINITE))


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Some voxels of a chunk whose transmit field lies between the same planes, or is not known."""

    voxels: VoxelIndex
    field: _Field
    planes: Between
    transmit: Voxels | None


def _groups(plan: _Plan, voxels: _Loaded, kept: VoxelIndex) -> Iterator[_Group]:
    """Sort voxels by their transmit field and yield them in blocks."""
    if plan.known is None or voxels.transmit is None:
        yield from _unknown_groups(plan, kept)
        return
    transmit = voxels.transmit[kept]
    fields = plan.known.likelihood.table.transmit
    usable = (transmit >= fields[0]) & (transmit <= fields[-1])
    yield from _unknown_groups(plan, kept[~usable])
    kept, transmit = kept[usable], transmit[usable]
    place = (transmit - fields[0]) / PLANE_STEP
    cell = place.long().clamp(0, len(fields) - 2)
    order = torch.argsort(cell, stable=True)
    cells, counts = torch.unique_consecutive(cell[order], return_counts=True)
    for lower, members in zip(cells.tolist(), torch.split(order, counts.tolist()), strict=True):
        for block in torch.split(members, BLOCK):
            share = (place[block] - lower).clamp(0.0, 1.0)
            yield _Group(kept[block], plan.known, Between(lower, lower + 1, share), transmit[block])


def _unknown_groups(plan: _Plan, kept: VoxelIndex) -> Iterator[_Group]:
    for block in torch.split(kept, BLOCK):
        if len(block):
            reference = plan.unknown.reference
            share = torch.zeros(len(block), device=plan.device)
            yield _Group(block, plan.unknown, Between(reference, reference, share), None)


def _estimate_block(plan: _Plan, voxels: _Loaded, group: _Group) -> dict[str, Tensor]:
    """Return the maps of some voxels by name."""
    readouts, uni = _of_group(voxels, group)
    statistics = _statistics(plan, readouts, uni)
    summary = summarise(_log_density(group, statistics, readouts), group.field.likelihood.table)
    measured = _Measured.of(plan, group, summary, readouts, uni)
    status = _status(plan, summary, measured)
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
    if plan.images.form == "magnitudes":
        beta = choose_beta(plan.noise.value)
        robust = (measured.uni * measured.energy - beta) / (measured.energy + 2 * beta)
        values |= {"uni": measured.uni, "robust_uni": robust}
    return values if group.transmit is None else values | {"transmit": group.transmit}


def _of_group(voxels: _Loaded, group: _Group) -> tuple[Tensor | None, Tensor | None]:
    readouts = None if voxels.readouts is None else voxels.readouts[:, group.voxels]
    return readouts, None if voxels.uni is None else voxels.uni[group.voxels]


def _statistics(plan: _Plan, readouts: Tensor | None, uni: Tensor | None) -> Alternatives:
    """Return what the likelihood needs to know of some voxels."""
    noise_sd = plan.noise.value
    if readouts is None and uni is not None:
        return (torch.stack([uni, torch.full_like(uni, 1 / noise_sd)], dim=1),)
    if readouts is None:
        raise InvalidInputError("there are neither readouts nor UNIT1.")
    if readouts.is_complex():
        return (products_of_readouts(readouts, noise_sd),)
    if uni is None:
        return products_of_magnitudes(readouts, noise_sd)
    if len(readouts) == 1:
        return products_with_uni_and_last(readouts[0], uni, noise_sd)
    return products_with_uni(readouts, uni, noise_sd)


def _log_density(group: _Group, statistics: Alternatives, readouts: Tensor | None) -> Posteriors:
    """Return the log posterior density at every node; the prior of the relaxation time is uniform."""
    field = group.field
    if field.amplitude_prior is not None:
        density = _log_density(replace(group, field=replace(field, amplitude_prior=None)), statistics, None)
        return density + field.amplitude_prior.at(_log_amplitudes(group, readouts))
    if field.tabulated is not None:
        place = ((statistics[0][:, 0] + 0.5) * (N_TABULATED - 1)).clamp(0, N_TABULATED - 1)
        row = place.long().clamp(max=N_TABULATED - 2)
        return torch.lerp(field.tabulated[row], field.tabulated[row + 1], (place - row)[:, None])
    if field.log_prior is None:
        return field.likelihood.at(statistics, group.planes)
    return _integrate(field, statistics)


def _integrate(field: _Field, statistics: Alternatives) -> Posteriors:
    """Integrate the likelihood over the prior of the transmit field.

    The planes are what the integral is a sum over: the noise is widened by their distance, so that a posterior
    narrower than this does not fall between them.
    """
    likelihood = field.likelihood
    planes, log_prior = range(len(likelihood.table.transmit)), field.log_prior
    share = statistics[0].new_zeros(len(statistics[0]))
    if log_prior is None or len(log_prior) == 1:
        return likelihood.at(statistics, Between(0, 0, share))
    softened = likelihood.soften(statistics, likelihood.table.spread)
    coarse = likelihood.every(SCAN_STRIDE)
    highest = torch.full_like(share, -torch.inf)
    for plane in planes:
        highest = torch.maximum(highest, coarse.at(softened, Between(plane, plane, share)).amax(1))
    density = torch.zeros(len(share), len(likelihood.table.times), device=share.device)
    for plane in planes:
        log_likelihood = likelihood.at(softened, Between(plane, plane, share))
        density += log_likelihood.sub_((highest - log_prior[plane])[:, None]).clamp_min_(NEGLIGIBLE).exp_()
    return density.log_()


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
    def of(cls, plan: _Plan, group: _Group, summary: Summary, readouts: Tensor | None, uni: Tensor | None) -> _Measured:
        """Compare measurements and model."""
        table = group.field.likelihood.table
        lower, upper, share = group.planes.lower, group.planes.upper, group.planes.share

        def model(values: Tensor) -> Tensor:
            return torch.lerp(at_node(values[lower], summary.node), at_node(values[upper], summary.node), share)

        directions = torch.stack([model(table.directions[:, k]) for k in range(table.directions.shape[1])])
        model_norm = model(table.norms)
        if readouts is None:
            known_uni = torch.full_like(share, torch.nan) if uni is None else uni
            norm, energy = model_norm, torch.full_like(share, torch.nan)
        else:
            norm, known_uni, energy = _explained(directions, readouts, uni)
        scale = norm / plan.noise.value
        density = log_density_of_uni(known_uni, directions[0] * scale, directions[1] * scale)
        return cls(known_uni, energy, norm, model_norm, torch.sigmoid(density))


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


def _status(plan: _Plan, summary: Summary, measured: _Measured) -> Tensor:
    """Give each voxel the most serious thing there is to say about it."""
    status = torch.full_like(summary.time, VoxelStatus.FITTED, dtype=torch.uint8)
    status.masked_fill_(summary.at_limit, VoxelStatus.AT_PRIOR_LIMIT)
    status.masked_fill_(summary.two_modes, VoxelStatus.TWO_MODES)
    status.masked_fill_(measured.confidence < MIN_CONFIDENCE, VoxelStatus.LOW_CONFIDENCE)
    if plan.images.form != "UNIT1":
        too_low = measured.norm < MIN_SIGNAL_TO_NOISE * plan.noise.value
        status.masked_fill_(too_low, VoxelStatus.SIGNAL_TOO_LOW)
    return status
