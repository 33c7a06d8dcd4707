"""The posterior of T1 from several readouts after one inversion. Read `estimate_posterior` first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bids_t1.compiling import WORTH_COMPILING
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import NoiseSD, PosteriorEstimate, VoxelStatus
from bids_t1.data.forms import FORMS
from bids_t1.estimation.chunks import CHUNK, choose_device, for_each_chunk
from bids_t1.estimation.posterior.amplitude_prior import learn_amplitude_prior
from bids_t1.estimation.posterior.fused import N_PAIR, can_fuse, fill, fuse, mark, scan, with_tables
from bids_t1.estimation.posterior.likelihood import ProductLikelihood, UniLikelihood
from bids_t1.estimation.posterior.lookup import LookUp
from bids_t1.estimation.posterior.posterior_group import (
    BLOCK,
    LARGE_BLOCK,
    N_TABULATED,
    PLANE_STEP,
    Field,
    Group,
    Plan,
    ReadoutImages,
    describe,
    estimate_group,
    groups_of,
    integrate,
    load,
    log_amplitudes_of,
    log_density_of,
    of_group,
    statistics_of,
    summary_of,
    uni_of_all,
)
from bids_t1.estimation.posterior.readout_noise import (
    looks_like_noise,
    noise_of_complex,
    noise_of_magnitudes,
    noise_of_uni,
    slope_of_m0,
)
from bids_t1.estimation.posterior.readout_table import N_NODES, build_table
from bids_t1.estimation.posterior.tabulated import OF_FIELDS, OF_PRIOR, AtNodes, count_cells, tabulate
from bids_t1.estimation.posterior.uni import choose_beta
from bids_t1.estimation.posterior.uni_table import tabulate_uni
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from bids_t1.data.forms import Form
    from bids_t1.data.shapes import Map
    from bids_t1.data.signal_model import ReadoutModel
    from bids_t1.estimation.posterior.likelihood import Between
    from bids_t1.estimation.posterior.readout_table import ReadoutTable
    from bids_t1.estimation.posterior.summary import Summary
    from bids_t1.estimation.posterior.tabulated import Exact, Lattice, SummaryTable

__all__ = ["PosteriorOptions", "ReadoutImages", "TransmitPrior", "estimate_posterior"]

SCAN_STRIDE = 4
"""Every so many nodes are looked at for the highest density, before exponents are taken."""

CHUNKS_TOGETHER = 4
"""Voxels are put into groups of one transmit field: the more there are at a time, the larger the groups."""

PRIOR_STEP = 0.06
"""Distance of the transmit fields that are integrated over."""

PRIOR_NODES = 256
"""Relaxation times where the transmit field is integrated over its prior, which widens every posterior."""

TRANSMIT_RANGE = (0.2, 2.0)
"""Transmit fields that a map may have; others count as unknown."""

SUMMED_SDS = 3.0
"""Transmit fields further from that of the map are not summed over."""

SAMPLE = 8_192
"""Voxels from which the distribution of M0 is learned."""

SAMPLED = 4
"""Every so many voxels are looked at for the posteriors that are worth tabulating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitPrior:
    """A normal distribution of the transmit field, cut off at its range."""

    mean: float = 1.0
    sd: float = 0.3
    """0: the transmit field is taken as `mean`."""

    range: tuple[float, float] = (0.4, 1.6)

    def planes(self, step: float = PRIOR_STEP) -> tuple[Tensor, Tensor]:
        """Return transmit fields, about so far apart, and the logarithms of their probabilities."""
        if self.sd == 0:
            return torch.tensor([self.mean], dtype=torch.float64), torch.zeros(1)
        low, high = self.range
        fields = torch.linspace(low, high, round((high - low) / step) + 1, dtype=torch.float64)
        return fields, torch.log_softmax(-((fields - self.mean) / self.sd).square() / 2, dim=0).float()


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorOptions:
    """The choices of one estimation."""

    time_range: tuple[float, float] = (0.02, 6.0)
    """Range of the prior of the relaxation time, uniform in between [s]."""

    transmit_prior: TransmitPrior = TransmitPrior()
    """Used in voxels whose transmit field is not known."""

    transmit_sd: float = 0.0
    """SD of the transmit field where it is known."""

    sums_transmit: bool = False
    """Whether to sum over the transmit fields that its SD allows, one by one.

    Fields of the prior then lie closer, too: a sum over few of them would make a comb of the posterior. Else the
    direction of the signals is taken to turn in proportion to them, which is many times faster, and enough where
    the transmit field changes T1 by less than its own SD, as in MP2RAGE; with variable flip angles it is twice that."""

    lowest_transmit: float = 0.0
    """Transmit field below which an inversion is doubtful."""

    noise_sd: float | None = None
    """Noise of one channel in units of the images (of M0, for UNI alone); None: estimated from the data."""

    noise_origin: str = "given"
    """Where that comes from, in words."""

    device: str = "auto"
    """auto, cpu or cuda."""

    n_threads: int = 1
    """Chunks computed side by side on a CPU; with more than one, set PyTorch's own threads to one."""

    compiles_from: int = WORTH_COMPILING
    """Voxels from which on the compiled estimation is used; PyTorch, its reference, does fewer ones."""

    looks_uni_up_from: int = 100_000
    """Voxels from which on posteriors of UNI alone are tabulated: the table costs as much as some 50,000 of them."""

    looks_pairs_up_from: int = 40_000
    """Voxels from which on posteriors of two readouts with a map of the transmit field are tabulated: the tables of all
    its values cost as much as some 40,000 of them. That of the whole prior is always made, which costs little."""

    plain: bool = False
    """Whether every posterior is computed: the reference of those that are looked up."""


MAPS = (
    "time", "mean", "time_sd", "lower", "upper", "point", "confidence", "uni", "robust_uni", "amplitude", "transmit",
)  # fmt: skip
"""Maps of numbers, in the order in which the compiled estimation fills them."""

FLAGS = ("two_modes", "status")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Maps:
    """The maps of all voxels while they are being filled."""

    values: Tensor
    """(map, voxel), in the order of `MAPS`."""

    flags: Tensor
    """(flag, voxel), in the order of `FLAGS`."""

    @classmethod
    def of(cls, n_voxels: int) -> _Maps:
        """Return maps that hold nothing yet, not even memory: chunks fetch it side by side."""
        return cls(
            values=torch.empty((len(MAPS), n_voxels)), flags=torch.empty((len(FLAGS), n_voxels), dtype=torch.uint8)
        )

    def clear(self, chunk: slice) -> None:
        """Leave voxels without an estimate."""
        self.values[:, chunk] = torch.nan
        self.flags[:, chunk] = 0

    def named(self) -> dict[str, Tensor]:
        """Return maps and flags by name."""
        return dict(zip((*MAPS, *FLAGS), (*self.values, *self.flags), strict=True))


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
    field is that of the map, or integrated over its prior. Signals: Marques et al. 2010,
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
    maps = _Maps.of(n_voxels)
    for_each_chunk(
        n_voxels,
        lambda chunk: _fill(plan, maps, chunk),
        n_threads=_n_threads(plan, options),
        size=1 if plan.fused else CHUNKS_TOGETHER,
        progress=progress,
    )
    arrays: dict[str, Any] = {name: values.numpy().reshape(images.shape) for name, values in maps.named().items()}
    form = FORMS[images.form]
    return PosteriorEstimate(
        **arrays
        | {
            "amplitude": arrays["amplitude"] if form.has_amplitude else None,
            "uni": arrays["uni"] if images.uni is None else images.uni.astype(np.float32),
            "robust_uni": arrays["robust_uni"] if form.has_energy else None,
            "transmit": None if plan.known is None else arrays["transmit"],
        },
        noise=plan.noise,
        robust_beta=choose_beta(plan.noise.value) if form.has_energy else None,
        device=str(plan.device),
    )


def _prepare(model: ReadoutModel, images: ReadoutImages, options: PosteriorOptions) -> Plan:
    """Build the tables and learn the noise."""
    _require_images(model, images)
    form = FORMS[images.form]
    if not form.has_amplitude and images.uni is not None:
        images = replace(images, uni=np.where(looks_like_noise(images.uni), np.float32(np.nan), images.uni))
    device = choose_device(options.device)
    fields, log_prior = options.transmit_prior.planes(PLANE_STEP if options.sums_transmit else PRIOR_STEP)
    n_nodes = N_NODES if len(fields) == 1 else PRIOR_NODES
    table = build_table(model, options.time_range, fields, n_nodes=n_nodes, device=device)
    slope = _slope_of_m0(images, table, options)
    table = table.with_m0(slope)
    noise = _require_noise(_with_slope(_noise(images, table, options), slope))
    reference = int((fields - options.transmit_prior.mean).abs().argmin())
    unknown = replace(_field(table, form, reference), log_prior=log_prior.to(device), reference=reference)
    if len(fields) > 1:
        unknown = replace(unknown, coarse=unknown.likelihood.every(SCAN_STRIDE), spread=table.spread)
    if not form.has_amplitude:
        unknown = replace(unknown, tabulated=_tabulate(unknown, noise.value))
    plan = Plan(
        images=images,
        device=device,
        noise=noise,
        known=_known(model, images, options, slope, device),
        unknown=unknown,
        lowest_transmit=options.lowest_transmit,
    )
    return _with_shortcuts(plan, options)


def _require_noise(noise: NoiseSD) -> NoiseSD:
    if not (math.isfinite(noise.value) and noise.value > 0):
        raise InvalidInputError(
            f"the noise, from the {noise.origin}, is {noise.value:g}; expected more than 0, as images of a scanner "
            "have. Look for copies among the images and for phase images of zeros, or give the noise.",
            remedy="noise_sd",
        )
    return noise


def _slope_of_m0(images: ReadoutImages, table: ReadoutTable, options: PosteriorOptions) -> float:
    """Return how M0 falls with R1, where it is not measured and the noise, relative to it, is not given."""
    if images.readouts is not None or images.uni is None or options.noise_sd is not None:
        return 0.0
    return slope_of_m0(images.uni, table)


def _with_slope(noise: NoiseSD, slope: float) -> NoiseSD:
    return replace(noise, origin=f"{noise.origin}; 1/M0 rises by {slope:.2f} s times R1") if slope else noise


def _known(
    model: ReadoutModel, images: ReadoutImages, options: PosteriorOptions, slope: float, device: torch.device
) -> Field | None:
    """Return the likelihood over the transmit fields of the map; None without one."""
    summed = SUMMED_SDS * options.transmit_sd if options.sums_transmit else 0.0
    of_map = None if images.transmit is None else _planes_of_map(images.transmit, summed)
    if of_map is None:
        return None
    turned_by = 0.0 if summed else options.transmit_sd
    table = build_table(model, options.time_range, of_map, transmit_sd=turned_by, device=device).with_m0(slope)
    known = _field(table, FORMS[images.form], int((of_map - 1).abs().argmin()) if summed else None)
    if not summed:
        return known
    return replace(known, log_shifts=_log_shifts(options.transmit_sd).to(device), spread=table.spread)


def _with_shortcuts(plan: Plan, options: PosteriorOptions) -> Plan:
    """Return the plan with what makes voxels cheaper, or is learned from many of them."""
    if not FORMS[plan.images.form].has_signs:
        return _with_amplitude_prior(plan)
    if options.plain:
        return plan
    n_voxels, n_threads = math.prod(plan.images.shape), _n_threads(plan, options)
    if n_voxels >= options.compiles_from and can_fuse(plan):
        return _with_fused(plan, n_threads)
    if plan.images.readouts is None and n_voxels >= options.looks_uni_up_from:
        return _with_uni_tables(plan)
    if not _is_pair(plan):
        return plan
    return _with_summaries(plan, n_threads, of_known=n_voxels >= options.looks_pairs_up_from)


def _n_threads(plan: Plan, options: PosteriorOptions) -> int:
    return options.n_threads if plan.device.type == "cpu" else 1


def _with_fused(plan: Plan, n_threads: int) -> Plan:
    """Prepare the compiled estimation, with the posteriors of two readouts tabulated."""
    fields = plan.fields
    fused = fuse(plan, [_lattice_of(field) for field in fields])
    if not _is_pair(plan):
        return replace(plan, fused=fused)
    is_used = [
        np.zeros((len(one.described), _lattice_of(field).size), np.bool_)
        for one, field in zip(fused.fields, fields, strict=True)
    ]
    side_by_side(lambda some: mark(fused, plan, some, is_used), _sampled_chunks(plan), n_threads)
    exact = [partial(scan, one) for one in fused.fields]
    tables = [
        _summaries(field, torch.from_numpy(used), by, n_threads)
        for field, used, by in zip(fields, is_used, exact, strict=True)
    ]
    return replace(plan, fused=with_tables(fused, tables))


def _with_summaries(plan: Plan, n_threads: int, *, of_known: bool) -> Plan:
    """Tabulate the posteriors of two readouts in the cells of the lattice that every so many voxels use.

    Those with a known transmit field only where `of_known` says that the image is large enough for it.
    """
    fields = plan.fields
    tables = [
        _summaries(field, used > 0, _plainly(field), n_threads) if of_known or field is not plan.known else None
        for field, used in zip(fields, _uses_of_cells(plan), strict=True)
    ]
    filled = [replace(field, summaries=table) for field, table in zip(fields, tables, strict=True)]
    return replace(plan, known=None if plan.known is None else filled[0], unknown=filled[-1])


def _uses_of_cells(plan: Plan) -> list[torch.Tensor]:
    """Return how many of the voxels that are looked at lie in each cell of the lattice, by field."""
    fields = plan.fields
    counts = [
        torch.zeros(len(field.likelihood.table.transmit), _lattice_of(field).size, device=plan.device)
        for field in fields
    ]
    for some in _sampled_chunks(plan):
        voxels = load(plan, some)
        kept = torch.nonzero(voxels.status == VoxelStatus.FITTED).squeeze(1)
        for group in groups_of(plan, voxels, kept, block_size=LARGE_BLOCK):
            (statistics,) = statistics_of(plan, *of_group(voxels, group))
            number = next(number for number, field in enumerate(fields) if field is group.field)
            count_cells(statistics, group.planes, _lattice_of(group.field), counts[number])
    return counts


def _with_uni_tables(plan: Plan) -> Plan:
    """Tabulate the posteriors of UNI alone."""

    def tabulated(field: Field) -> Field:
        table, reference = field.likelihood.table, field.reference
        is_between = field.log_prior is None
        planes = range(len(table.transmit)) if is_between else range(reference, reference + 1)
        made = tabulate_uni(_plainly(field), table.times, planes, plan.noise.value, is_between=is_between)
        return replace(field, summaries=made)

    return replace(plan, known=None if plan.known is None else tabulated(plan.known), unknown=tabulated(plan.unknown))


def _is_pair(plan: Plan) -> bool:
    return plan.images.readouts is not None and len(plan.images.readouts) == N_PAIR


def _sampled_chunks(plan: Plan) -> list[slice]:
    """Return the voxels that are looked at, some at a time."""
    n_voxels, size = math.prod(plan.images.shape), CHUNK * CHUNKS_TOGETHER
    return [slice(start, min(start + size, n_voxels), SAMPLED) for start in range(0, n_voxels, size)]


def _plainly(field: Field) -> Exact:
    """Return what computes summaries over one field."""
    nobody = torch.zeros(0, dtype=torch.int64)

    def exact(statistics: Tensor, planes: Between) -> Summary:
        return summary_of(Group(nobody, field, planes, None), (statistics,), None)

    return exact


def _summaries(field: Field, is_used: Tensor, exact: Exact, n_threads: int) -> SummaryTable | None:
    """Tabulate what the exact computation says over one field."""
    times, is_between = field.likelihood.table.times, field.log_prior is None
    at_nodes = AtNodes(exact, _lattice_of(field), n_threads)
    return tabulate(at_nodes, times, is_used, is_between=is_between)


def _lattice_of(field: Field) -> Lattice:
    return OF_FIELDS if field.log_prior is None else OF_PRIOR


def _on_larger(groups: Sequence[Group], plan: Plan) -> list[Group]:
    """Return the groups on that of the two tables that more voxels are on."""
    known = [group for group in groups if group.field is plan.known]
    unknown = [group for group in groups if group.field is plan.unknown]
    return max(known, unknown, key=lambda some: sum(len(group.voxels) for group in some))


def _with_amplitude_prior(plan: Plan) -> Plan:
    """Learn the distribution of M0 from a regular sample of the voxels, of those on the larger of the tables."""
    n_voxels = math.prod(plan.images.shape)
    voxels = load(plan, slice(0, n_voxels, max(1, n_voxels // SAMPLE)))
    kept = torch.nonzero(voxels.status == VoxelStatus.FITTED).squeeze(1)
    chosen = _on_larger(list(groups_of(plan, voxels, kept)), plan)
    if not chosen:
        return plan
    measured = [of_group(voxels, group) for group in chosen]
    densities = [
        log_density_of(group, statistics_of(plan, *one), None) for group, one in zip(chosen, measured, strict=True)
    ]
    amplitudes = [log_amplitudes_of(group, readouts) for group, (readouts, _) in zip(chosen, measured, strict=True)]
    widths = chosen[0].field.likelihood.table.widths
    prior = learn_amplitude_prior(torch.cat(densities), widths, torch.cat(amplitudes))
    return replace(
        plan,
        known=None if plan.known is None else replace(plan.known, amplitude_prior=prior),
        unknown=replace(plan.unknown, amplitude_prior=prior),
    )


def _tabulate(field: Field, noise_sd: float) -> Tensor:
    """Compute the posterior at values of UNI that lie closer than any noise."""
    device = field.likelihood.table.times.device
    uni = torch.linspace(-0.5, 0.5, N_TABULATED, device=device)
    statistics = torch.stack([uni, torch.full_like(uni, 1 / noise_sd)], dim=1)
    return integrate(field, (statistics,))


def _require_images(model: ReadoutModel, images: ReadoutImages) -> None:
    form = FORMS[images.form]
    expected = form.needed(model.n_readouts)
    found = 0 if images.readouts is None else len(images.readouts)
    if found != expected or (form.uses_uni and images.uni is None):
        raise InvalidInputError(
            f"{found} readouts for a model of {model.n_readouts} in the form {images.form!r}; expected {expected}."
        )


def _field(table: ReadoutTable, form: Form, reference: int | None = None) -> Field:
    if form.is_pair:
        table = table.of_pair()
    likelihood = (
        UniLikelihood(table)
        if not form.has_amplitude
        else ProductLikelihood.build(table, reference, free_of_scale=not form.has_signs)
    )
    return Field(likelihood=likelihood, look_up=LookUp.build(table), described=describe(table))


def _log_shifts(sd: float) -> Tensor:
    """Return log probabilities of transmit fields that are so many planes off, from the weakest to the strongest."""
    most = math.ceil(SUMMED_SDS * sd / PLANE_STEP)
    shifts = torch.arange(-most, most + 1) * PLANE_STEP
    return torch.log_softmax(-(shifts / sd).square() / 2, dim=0)


def _planes_of_map(transmit: Map, margin: float) -> Tensor | None:
    """Return transmit fields that enclose those of a map and a margin; None where it has no usable value."""
    low, high = TRANSMIT_RANGE
    usable = transmit[(transmit >= low) & (transmit <= high)]
    if not usable.size:
        return None
    first = math.floor(float(usable.min()) / PLANE_STEP)
    last = max(math.ceil(float(usable.max()) / PLANE_STEP), first + 1)
    beyond = math.ceil(margin / PLANE_STEP)
    return torch.arange(max(1, first - beyond), last + beyond + 1, dtype=torch.float64) * PLANE_STEP


def _noise(images: ReadoutImages, table: ReadoutTable, options: PosteriorOptions) -> NoiseSD:
    """Return the noise given, or that of the data."""
    if options.noise_sd is not None:
        return NoiseSD(value=options.noise_sd, origin=options.noise_origin)
    if images.readouts is None:
        if images.uni is None:
            raise InvalidInputError("there are neither readouts nor UNIT1.")
        return noise_of_uni(images.uni, table, None)
    if FORMS[images.form].is_complex:
        return noise_of_complex(images.readouts)
    return noise_of_magnitudes(images.readouts, images.uni, table)


def _fill(plan: Plan, maps: _Maps, chunk: slice) -> None:
    """Fill the maps of one chunk of voxels."""
    maps.clear(chunk)
    if plan.fused is not None:
        fill(plan.fused, plan, chunk, maps.values, maps.flags)
        return
    voxels, targets = load(plan, chunk), maps.named()
    targets["status"][chunk] = voxels.status.cpu()
    for name, value in uni_of_all(plan, voxels).items():
        targets[name][chunk] = value.cpu()
    kept = torch.nonzero(voxels.status == VoxelStatus.FITTED).squeeze(1)
    looks_up = plan.unknown.summaries is not None or (plan.known is not None and plan.known.summaries is not None)
    for group in groups_of(plan, voxels, kept, block_size=LARGE_BLOCK if looks_up else BLOCK):
        values = estimate_group(plan, voxels, group)
        where = chunk.start + group.voxels.cpu()
        for name, value in values.items():
            target = targets[name]
            target[where] = value.to(target.dtype).cpu()
