"""The compiled fit against a plain solution in double precision, and against PyTorch."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from tests.estimation.scenes import MODEL, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Kind
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.signal_model import SignalModel

    Array = NDArray[np.floating[Any]]

TISSUE = replace(MODEL, fast=0.048)
NEVER = 10**9
ECHO_TIMES = (0.003, 0.008, 0.013, 0.02, 0.03, 0.045)


class Plain:
    """Least squares of one voxel at one T after the other, coefficients within their bounds by trying all of them."""

    def __init__(self, model: SignalModel, samples: Array) -> None:
        self.model, self.samples = model, samples

    def parts(self, place: float) -> tuple[list[Array], list[Array], float]:
        """Return columns and derivatives, and the largest share of a companion."""
        time = torch.tensor(math.exp(place), dtype=torch.float64)
        columns, slopes = (list(part.numpy()) for part in self.model.columns(time))
        if self.model.companion is None:
            return columns, slopes, 0.0
        column, slope = self.model.companion.column(time)
        return [*columns, column.numpy()], [*slopes, slope.numpy()], float(self.model.companion.limit(time)[0])

    def solve(self, place: float) -> tuple[float, Array]:
        """Return the smallest squared residual, and its coefficients."""
        columns, _, limit = self.parts(place)
        low, high = self.model.ratio_bounds
        two = self.model.n_coefficients > 1
        best: tuple[float, Array] = (math.inf, np.zeros(len(columns)))
        for share in (None, 0.0, limit) if self.model.companion is not None else (0.0,):
            for ratio in (None, low, high) if two else (0.0,):
                found = self.held(columns, share, ratio)
                first, last = found[0], found[1] if two else found[0]
                beside = found[-1] if self.model.companion is not None else 0.0
                if two and ratio is None and not (first > 0 and low * first <= last <= high * first):
                    continue
                if share is None and not 0 <= beside / last <= limit:
                    continue
                cost = float(np.square(self.samples - found @ columns).sum())
                best = min(best, (cost, found), key=lambda one: one[0])
        return best

    def held(self, columns: list[Array], share: float | None, ratio: float | None) -> Array:
        """Return the coefficients of all columns where some follow from others."""
        n, count = self.model.n_coefficients, len(columns)
        free = np.zeros((count, 0))
        last = np.eye(count)[:, n - 1 : n]
        if share is not None and count > n:
            last = last + share * np.eye(count)[:, -1:]
        if n > 1:
            first = np.eye(count)[:, :1]
            free = first + ratio * last if ratio is not None else np.hstack([first, last])
        else:
            free = last
        if share is None and count > n:
            free = np.hstack([free, np.eye(count)[:, -1:]])
        coefficients, *_ = np.linalg.lstsq((np.array(columns).T @ free), self.samples, rcond=None)
        found: Array = free @ coefficients
        return found

    def best(self, time_range: tuple[float, float]) -> tuple[float, float, float]:
        """Return log T, the squared residual, and the information about log T with all coefficients free."""
        grid = np.linspace(math.log(time_range[0]), math.log(time_range[1]), 60)
        costs = [self.solve(place)[0] for place in grid]
        place = int(np.clip(np.argmin(costs), 1, len(grid) - 2))
        found = minimize_scalar(
            lambda at: self.solve(at)[0],
            bounds=(grid[place - 1], grid[place + 1]),
            method="bounded",
            options={"xatol": 1e-10},
        )
        columns, slopes, _ = self.parts(found.x)
        derivative = self.solve(found.x)[1] @ slopes
        basis, _ = np.linalg.qr(np.array(columns).T)
        derivative -= basis @ (basis.T @ derivative)
        return float(found.x), float(found.fun), float(derivative @ derivative)


def noisy(seed: int, clean: Array, snr: float) -> Array:
    noise = np.random.default_rng(seed).normal(0, 1 / snr, (2, *clean.shape))
    magnitudes: Array = np.hypot(clean + noise[0], noise[1]).astype(np.float32)
    return magnitudes


def tissue(truth: Array) -> Array:
    column, _ = TISSUE.fast_component(0.048).column(torch.from_numpy(truth))
    clean: Array = signal(truth, 1.93) + 1.93 * 0.1 * (truth > 0.5) * column.numpy()
    return clean


@pytest.mark.parametrize("model", [MODEL, replace(MODEL, ideal=True), TISSUE], ids=["free", "ideal", "fast component"])
def test_t1_and_its_sd_are_those_of_a_plain_solution_in_double_precision(model: SignalModel) -> None:
    truth = np.random.default_rng(1).uniform(0.35, 2.5, 1_000)
    signed = (tissue(truth) + np.random.default_rng(2).normal(0, 0.02, (10, 1_000))).astype(np.float32)
    options = EstimationOptions(compiles_from=0)
    found = estimate(model, signed, "real", options)
    for voxel in range(40):
        place, cost, information = Plain(model, signed[:, voxel].astype(np.float64)).best(options.time_range)
        sd = math.exp(place) * math.sqrt(cost / found.degrees_of_freedom / information)
        assert found.time[voxel] == pytest.approx(math.exp(place), rel=1e-6)
        assert found.time_sd[voxel] == pytest.approx(sd, rel=2e-5)
        assert found.residual[voxel] == pytest.approx(math.sqrt(cost / found.degrees_of_freedom), rel=1e-6)


def require_same(one: Estimate, other: Estimate) -> None:
    assert np.mean(one.status == other.status) > 0.9995
    fitted = np.isfinite(one.time) & np.isfinite(other.time)
    assert np.count_nonzero(fitted) > 300
    for name, tolerance in (("time", 2e-4), ("time_sd", 1e-3), ("amplitude", 5e-4), ("residual", 1e-3)):
        close = np.isclose(getattr(one, name)[fitted], getattr(other, name)[fitted], rtol=tolerance)
        assert np.mean(close) > 0.99, name


@pytest.mark.parametrize(
    ("model", "learn", "snr"),
    [
        (MODEL, False, 50.0),
        (MODEL, False, 8.0),
        (TISSUE, False, 50.0),
        (TISSUE, True, 50.0),
        (replace(MODEL, ideal=True), False, 30.0),
        (replace(TISSUE, ideal=True), False, 50.0),
    ],
)
def test_magnitudes_give_what_pytorch_gives_flags_included(model: SignalModel, learn: bool, snr: float) -> None:
    truth = np.random.default_rng(3).uniform(0.2, 4.0, 2_000)
    images = noisy(4, np.concatenate([tissue(truth), np.zeros((10, 600))], axis=1), snr)
    options = EstimationOptions(learn_ratio=learn, compiles_from=0)
    found = estimate(model, images, "magnitude", options)
    require_same(found, estimate(model, images, "magnitude", replace(options, compiles_from=NEVER)))


@pytest.mark.parametrize(("kind", "restore"), [("real", False), ("real", True), ("complex", False), ("complex", True)])
def test_signed_data_give_what_pytorch_gives(kind: Kind, restore: bool) -> None:
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.3, 3.0, 2_000)
    images = signal(truth, 1.93) + rng.normal(0, 0.02, (10, 2_000))
    if kind == "complex":
        images = (images + 1j * rng.normal(0, 0.02, images.shape)) * np.exp(1j * truth)
    images[:, 7] = np.nan
    options = EstimationOptions(restore_polarity=restore, compiles_from=0)
    found = estimate(MODEL, images, kind, options)
    require_same(found, estimate(MODEL, images, kind, replace(options, compiles_from=NEVER)))
    assert found.status[7] == VoxelStatus.NOT_FINITE


def test_decays_give_what_pytorch_gives() -> None:
    truth = np.random.default_rng(6).uniform(0.004, 0.15, 2_000)
    images = noisy(7, np.exp(-np.array(ECHO_TIMES)[:, None] / truth), 50.0)
    model, options = (
        MultiEchoGradientEcho(echo_times=ECHO_TIMES),
        EstimationOptions(time_range=(0.001, 0.5), compiles_from=0),
    )
    found = estimate(model, images, "magnitude", options)
    require_same(found, estimate(model, images, "magnitude", replace(options, compiles_from=NEVER)))


def test_without_a_compiler_pytorch_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noisy(8, signal(np.linspace(0.4, 2.0, 500), 1.93), 50.0)
    expected = estimate(MODEL, images, "magnitude", EstimationOptions(compiles_from=NEVER))
    monkeypatch.setattr("bids_t1.estimation.curves.engine.COMPILES", False)
    found = estimate(MODEL, images, "magnitude", EstimationOptions(compiles_from=0))
    np.testing.assert_array_equal(found.time, expected.time)


def test_neighbours_chunks_and_threads_change_no_bit_of_a_voxel(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noisy(9, signal(np.random.default_rng(9).uniform(0.3, 3.0, 3_000), 1.93), 50.0)
    options = EstimationOptions(compiles_from=0)
    whole = estimate(MODEL, images, "magnitude", options)
    monkeypatch.setattr("bids_t1.estimation.chunks.CHUNK", 700)
    parts = estimate(MODEL, images, "magnitude", replace(options, n_threads=3))
    for name in ("time", "time_sd", "amplitude", "status"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
