"""What the compiled estimation of posteriors needs of a plan, and how it is given chunks of voxels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.compiling import COMPILES
from bids_t1.data.forms import FORMS
from bids_t1.estimation.posterior.likelihood import ProductLikelihood
from bids_t1.estimation.posterior.lookup import turns_of
from bids_t1.estimation.posterior.posterior_group import MIN_CONFIDENCE, PLANE_STEP, least_energy, least_norm
from bids_t1.estimation.posterior.scan import LANES, ROWS, Grid, Room, scan_voxels
from bids_t1.estimation.posterior.summary import Summary
from bids_t1.estimation.posterior.tabulated import WIDTHS
from bids_t1.estimation.posterior.uni import choose_beta
from bids_t1.estimation.posterior.voxel import (
    COMPLEX,
    N_DESCRIBED,
    N_VALUES,
    POSITIVE,
    WITH_UNI,
    Corners,
    Field,
    Fused,
    Rules,
    estimate_voxels,
    mark_cells,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from bids_t1.estimation.posterior import posterior_group
    from bids_t1.estimation.posterior.likelihood import Between
    from bids_t1.estimation.posterior.posterior_group import Plan
    from bids_t1.estimation.posterior.tabulated import Lattice, SummaryTable

N_PAIR = 2
"""Readouts whose posteriors depend on two numbers of a voxel."""

LANES_OF_VALUES = 8
"""Numbers that are interpolated together are padded with zeros to a multiple of so many."""

KINDS = {"complex": COMPLEX, "UNIT1 and magnitudes": WITH_UNI, "positive readouts": POSITIVE}
"""Forms of input that the compiled estimation knows."""


def can_fuse(plan: Plan) -> bool:
    """Tell whether the compiled estimation knows all that a plan asks for."""
    images = plan.images
    if not COMPILES or plan.device.type != "cpu" or images.form not in KINDS or images.readouts is None:
        return False
    fields = plan.fields
    return all(
        isinstance(field.likelihood, ProductLikelihood)
        and field.log_shifts is None
        and len(field.likelihood.table.times) % LANES == 0
        for field in fields
    ) and not (FORMS[images.form].uses_uni and len(images.readouts) != N_PAIR)


def fuse(plan: Plan, lattices: Sequence[Lattice]) -> Fused:
    """Arrange the tables of a plan; `lattices` are those of its fields."""
    images = plan.images
    if images.readouts is None:
        raise ValueError("fuse() is for plans that can_fuse() accepts")
    n_readouts = len(images.readouts)
    transmit = None if plan.known is None else plan.known.likelihood.table.transmit
    rules = Rules(
        kind=KINDS[images.form],
        n_readouts=n_readouts,
        has_field=transmit is not None,
        lowest=math.inf if transmit is None else float(transmit[0]),
        highest=-math.inf if transmit is None else float(transmit[-1]),
        noise_sd=plan.noise.value,
        threshold=least_energy(plan, n_readouts),
        beta=choose_beta(plan.noise.value),
        plane_step=PLANE_STEP,
        lowest_transmit=plan.lowest_transmit,
        least_norm=least_norm(plan),
        least_confidence=MIN_CONFIDENCE,
    )
    pairs = zip(plan.fields, lattices, strict=True)
    return Fused(tuple(_field(field, lattice, n_readouts) for field, lattice in pairs), rules)


def with_tables(fused: Fused, tables: Sequence[SummaryTable | None]) -> Fused:
    """Add what is looked up."""
    fields = zip(fused.fields, tables, strict=True)
    found = [
        field if table is None else field._replace(corners=_corners(table.lattice, table)) for field, table in fields
    ]
    return Fused(tuple(found), fused.rules)


def fill(fused: Fused, plan: Plan, chunk: slice, values: Tensor, flags: Tensor) -> None:
    """Fill the maps (map, voxel) and flags (flag, voxel) of one chunk."""
    images = _chunk_of(plan, chunk)
    for field in fused.fields:
        estimate_voxels(field, fused.rules, *images, chunk.start, values.numpy(), flags.numpy(), _room(field))


def mark(fused: Fused, plan: Plan, chunk: slice, is_used: Sequence[NDArray[np.bool_]]) -> None:
    """Mark the cells (plane, cell) of each field in which voxels of a chunk lie."""
    images = _chunk_of(plan, chunk)
    for field, of_field in zip(fused.fields, is_used, strict=True):
        mark_cells(field, fused.rules, *images, of_field, _room(field))


def scan(field: Field, statistics: Tensor, planes: Between) -> Summary:
    """Compute posteriors of voxels between two planes."""
    n_voxels = len(statistics)
    found, flags = np.empty((6, n_voxels), np.float32), np.empty((2, n_voxels), np.bool_)
    shares = np.ascontiguousarray(planes.share.numpy(), np.float32)
    rows = np.ascontiguousarray(statistics.numpy())
    scan_voxels(field.grid, rows, planes.lower, planes.upper, shares, found, flags, _room(field))
    return Summary(*torch.from_numpy(found).unbind(0), *torch.from_numpy(flags).unbind(0))


def _chunk_of(plan: Plan, chunk: slice) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return readouts (readout, voxel, part), UNI and transmit field of some voxels; the last two may be empty."""
    images = plan.images
    readouts = np.zeros((0, 0), np.float32) if images.readouts is None else images.readouts
    part = readouts.reshape(len(readouts), -1)[:, chunk]
    if np.iscomplexobj(part):
        parts = np.ascontiguousarray(part, np.complex64).view(np.float32).reshape(*part.shape, 2)
    else:
        parts = np.ascontiguousarray(part, np.float32)[..., None]
    uni, transmit = (
        np.zeros(0, np.float32) if one is None else np.ascontiguousarray(one.reshape(-1)[chunk], np.float32)
        for one in (images.uni, images.transmit)
    )
    return parts, uni, transmit


def _room(field: Field) -> Room:
    grid = field.grid
    nodes = np.zeros((4, len(grid.times)), np.float32)
    return Room(
        products=np.zeros(grid.factors.shape[1], np.float32),
        density=nodes[0],
        sum=nodes[1],
        aligned=nodes[2],
        explained=nodes[3],
        lanes=np.zeros(LANES, np.float32),
        found=np.zeros(N_VALUES, np.float32),
        model=np.zeros(field.described.shape[2], np.float32),
    )


def _field(field: posterior_group.Field, lattice: Lattice, n_readouts: int) -> Field:
    """Arrange one field, without anything tabulated."""
    table = field.likelihood.table
    times = table.times.double().numpy()
    by_plane = field.described[..., :N_DESCRIBED].permute(1, 2, 0)
    return Field(
        grid=_grid(field, n_readouts),
        corners=_corners(lattice, None),
        log_times=np.log(times),
        described=_filled_up(field.described.numpy(), LANES_OF_VALUES),
        by_plane=(by_plane[:0] if field.log_prior is None else by_plane).contiguous().numpy(),
        shares=np.zeros(0) if field.log_prior is None else np.exp(field.log_prior.double().numpy()),
        uni=table.uni.contiguous().numpy(),
        turns=_turns(table.uni),
        reference=field.reference,
    )


def _grid(field: posterior_group.Field, n_readouts: int) -> Grid:
    likelihood = field.likelihood
    if not isinstance(likelihood, ProductLikelihood):
        raise TypeError("only products of readouts are known to the compiled estimation")
    exact = _in_rows(likelihood.factors[:, :-1].numpy())
    shape = (0, *exact.shape)
    tilts = [_in_rows(tilt.factors.numpy(), exact.shape[1]) for tilt in likelihood.tilts]
    variances = [tilt.variances.numpy() for tilt in likelihood.tilts]
    exact_tilts = np.stack(tilts) if tilts else np.zeros(shape)
    exact_variances = np.stack(variances) if variances else np.zeros((0, shape[1], shape[3]))
    log_prior = np.zeros(0) if field.log_prior is None else field.log_prior.numpy()
    return Grid(
        factors=exact.astype(np.float32),
        exact=exact,
        tilts=exact_tilts.astype(np.float32),
        exact_tilts=exact_tilts,
        variances=exact_variances.astype(np.float32),
        exact_variances=exact_variances,
        times=likelihood.table.times.double().numpy(),
        widths=likelihood.table.widths.numpy(),
        log_prior=log_prior.astype(np.float32),
        amplitude=likelihood.factors.shape[1] - 2,
        n_readouts=n_readouts,
        spread=field.spread,
    )


def _in_rows(factors: NDArray[np.float64], n_rows: int = 0) -> NDArray[np.float64]:
    """Add rows of zeros to factors (plane, row, node)."""
    missing = (n_rows or -(-factors.shape[1] // ROWS) * ROWS) - factors.shape[1]
    return np.ascontiguousarray(np.pad(factors, ((0, 0), (0, missing), (0, 0))))


def _filled_up(values: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    """Add zeros to the last axis until its length is a multiple."""
    missing = -values.shape[-1] % multiple
    return np.ascontiguousarray(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)]))


def _turns(uni: Tensor) -> NDArray[np.int64]:
    """Return the nodes between which S of each plane rises or falls; the last node fills the rows."""
    rows = [turns_of(one) for one in uni]
    longest, last = max(len(row) for row in rows), uni.shape[1] - 1
    return np.array([row + [last] * (longest - len(row)) for row in rows], np.int64)


def _corners(lattice: Lattice, table: SummaryTable | None) -> Corners:
    values = np.zeros((0, N_VALUES), np.float32) if table is None else _filled_up(table.values.numpy(), N_VALUES)
    return Corners(
        values=values,
        is_good=np.zeros(0, np.bool_) if table is None else table.is_good.contiguous().numpy(),
        first_plane=0 if table is None else table.first_plane,
        n_planes=len(values) // lattice.size,
        n_widths=lattice.n_widths,
        n_angles=lattice.n_angles,
        log_narrowest=math.log(WIDTHS[0]),
        step=lattice.step,
        growth=math.expm1(lattice.step),
    )
