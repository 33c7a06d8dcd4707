"""A model over log T as the compiled fit wants it: dictionaries, and nodes close enough for cubics between them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.estimation.curves.voxel import LANES, POWERS, Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.curves.dictionary import Dictionary
    from bids_t1.estimation.curves.prior import RatioPrior

STRETCH = 0.09
"""Length of log T in which polynomials of the fifth degree stand for the model: they are exact to 1e-11."""

FINE_PARTS = 256
"""Places in every stretch where bounds and means are looked up, which have corners."""

ROLES = "012"
"""First, last and beside, as in the names of products."""

PRODUCTS = (
    "g00", "g01", "g11", "h00", "h01", "h10", "h11", "s00", "s01", "s11",
    "g02", "g12", "g22", "h02", "h12", "h20", "h21", "h22", "s02", "s12", "s22",
)  # fmt: skip
N_WITHOUT_COMPANION = 10

LANES_OF_PRODUCTS = 16


def tabulate(
    model: SignalModel,
    time_range: tuple[float, float],
    prior: RatioPrior | None,
    dictionaries: Sequence[Dictionary],
) -> Tables:
    """Evaluate a model, in double precision, and arrange its dictionaries.

    Parameters
    ----------
    model
        The sequence.
    time_range
        Search range of the relaxation time [s].
    prior
        On the ratio of the coefficients, where there is one.
    dictionaries
        Of the model, over the same range.
    """
    low, high = (math.log(time) for time in time_range)
    count = math.ceil((high - low) / STRETCH)
    columns, products = _polynomials(model, low, high, count)
    has_side = not all(bool((one.half_angle == 0).all()) for one in dictionaries)
    cones = torch.stack([one.half_angle for one in dictionaries]).double()
    return Tables(
        axis=_of_atoms([one.axis for one in dictionaries]),
        side=_of_atoms([one.side for one in dictionaries] if has_side else []),
        cosine=torch.cos(cones).numpy().astype(np.float32),
        sine=torch.sin(cones).numpy().astype(np.float32),
        columns=columns,
        products=products,
        limit=_fine(None if model.companion is None else model.companion.limit, low, high, count),
        mean=_fine(None if prior is None else prior.mean, low, high, count),
    )


def _of_atoms(rows: Sequence[torch.Tensor]) -> NDArray[np.float32]:
    """Arrange rows of atoms, (atom, measurement) each, as (dictionary, atom, sample)."""
    if not rows:
        return np.zeros((0, 0, 0), np.float32)
    return _padded(torch.stack(list(rows)).cpu().numpy(), LANES).astype(np.float32)


def _padded(values: NDArray[np.float64], lanes: int) -> NDArray[np.float64]:
    """Add zeros at the end of the last axis, up to a multiple of `lanes`."""
    return np.ascontiguousarray(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % lanes)]))


def _polynomials(
    model: SignalModel, low: float, high: float, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `Tables.columns` and `Tables.products`: through the values at the zeros of a Chebyshev polynomial."""
    places = np.cos((np.arange(POWERS) + 0.5) * np.pi / POWERS)
    step = (high - low) / count
    logs = low + step * (np.arange(count)[:, None] + (places + 1) / 2)
    times = torch.from_numpy(np.exp(logs.ravel()))
    columns, slopes = model.columns(times)
    if model.companion is not None:
        column, slope = model.companion.column(times)
        columns, slopes = torch.cat([columns, column[None]]), torch.cat([slopes, slope[None]])
    to_powers = np.linalg.inv(np.vander(places, increasing=True))
    shape = (*columns.shape[:2], count, POWERS)
    of_columns = np.einsum("pk,cmsk->scpm", to_powers, columns.numpy().reshape(shape))
    of_products = np.einsum("pk,qsk->spq", to_powers, _products(model, columns, slopes).reshape(-1, count, POWERS))
    return _padded(of_columns, LANES), _padded(of_products, LANES_OF_PRODUCTS)


def _products(model: SignalModel, columns: torch.Tensor, slopes: torch.Tensor) -> NDArray[np.float64]:
    """Return the inner products of columns and their derivatives (column, measurement, time), in the order of use."""
    place = dict(zip(ROLES[2 - model.n_coefficients :], range(len(columns)), strict=False))
    named = {"g": (columns, columns), "h": (slopes, columns), "s": (slopes, slopes)}
    products = []
    for name in PRODUCTS if model.companion is not None else PRODUCTS[:N_WITHOUT_COMPANION]:
        if all(role in place for role in name[1:]):
            one, other = (part[place[role]] for part, role in zip(named[name[0]], name[1:], strict=True))
            products.append((one * other).sum(0).numpy())
        else:
            products.append(np.zeros(columns.shape[2]))
    return np.stack(products)


def _fine(
    function: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None, low: float, high: float, count: int
) -> NDArray[np.float64]:
    """Return values of a function of T at places that lie close together; zeros where there is none."""
    if function is None:
        return np.zeros(2)
    times = torch.linspace(low, high, count * FINE_PARTS + 1, dtype=torch.float64).exp()
    return function(times)[0].contiguous().numpy()
