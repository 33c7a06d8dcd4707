"""Two nonlinear unknowns: R1 of free water and the pool size ratio of selective inversion recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.curves.surface import SurfaceAtoms, SurfaceProblem, solve_surface
from bids_t1.sequences.selective_inversion_recovery import SelectiveInversionRecovery
from tests.sequences.test_selective_inversion_recovery import stepped

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Kind
    from bids_t1.data.estimate import Estimate

FOUR = SelectiveInversionRecovery(
    inversion_times=(0.015, 0.015, 0.278, 1.007), recovery_times=(0.684, 4.121, 2.730, 0.010)
)
EIGHT = SelectiveInversionRecovery(
    inversion_times=(0.006, 0.015, 0.05, 0.12, 0.278, 0.6, 1.007, 2.5), recovery_times=(3.5,) * 8
)
TISSUES = ((1 / 1.1, 0.15, -0.95), (1 / 0.7, 0.08, -0.9), (1 / 0.65, 0.05, -0.85))
"""T1 [s], pool size ratio, efficiency: white and grey matter, and grey matter badly inverted."""

SHAPE = (48, 48, 2)


def clean(model: SelectiveInversionRecovery, t1: float, share: float, sf: float) -> np.ndarray:
    columns, _ = model.surface(torch.tensor(t1, dtype=torch.float64), torch.tensor(share, dtype=torch.float64))
    return np.array([float(value) for value in columns[0] + sf * columns[1]])


def images(model: SelectiveInversionRecovery, kind: Kind, snr: float, seed: int = 0) -> np.ndarray:
    """Tissues side by side, with air around them; complex noise."""
    rng = np.random.default_rng(seed)
    stack = np.zeros((model.n_measurements, len(TISSUES), *SHAPE), np.complex128)
    for index, tissue in enumerate(TISSUES):
        stack[:, index, 8:-8, 8:-8] = clean(model, *tissue)[:, None, None, None]
    stack += rng.normal(0, 1 / snr, stack.shape) + 1j * rng.normal(0, 1 / snr, stack.shape)
    if kind == "complex":
        return np.asarray(stack * np.exp(0.7j), np.complex64)
    return np.asarray(np.abs(stack) if kind == "magnitude" else stack.real, np.float32)


def of_tissue(values: np.ndarray, index: int) -> np.ndarray:
    return values[index, 8:-8, 8:-8].ravel()


def fitted(model: SelectiveInversionRecovery, kind: Kind, snr: float, **options: object) -> Estimate:
    return estimate(model, images(model, kind, snr), kind, EstimationOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [FOUR, EIGHT], ids=["four", "eight"])
@pytest.mark.parametrize("kind", ["magnitude", "real", "complex"])
def test_r1_and_pool_ratio_are_found_and_their_intervals_hold_them(
    kind: Kind, model: SelectiveInversionRecovery
) -> None:
    found = fitted(model, kind, 100)
    factor = 1.96 if found.degrees_of_freedom == 0 else 2.78
    assert found.share_sd is not None
    for index, (t1, share, _) in enumerate(TISSUES):
        assert np.median(of_tissue(found.rate, index)) * t1 == pytest.approx(1, abs=0.01)
        assert np.median(of_tissue(found.share, index)) == pytest.approx(share, rel=0.05)
        within = np.abs(of_tissue(found.time, index) - t1) < factor * of_tissue(found.time_sd, index)
        share_within = np.abs(of_tissue(found.share, index) - share) < factor * of_tissue(found.share_sd, index)
        assert within.mean() > 0.92
        assert share_within.mean() > 0.92


def test_a_one_pool_fit_of_one_pool_is_unbiased_and_of_two_pools_reads_a_fifth_short() -> None:
    one = SelectiveInversionRecovery(
        inversion_times=FOUR.inversion_times, recovery_times=FOUR.recovery_times, n_pools=1
    )
    water = np.tile(clean(FOUR, 1.5, 0.0, -0.95)[:, None], 500).astype(np.float32)
    found = estimate(one, water, "magnitude", EstimationOptions())
    np.testing.assert_allclose(found.time, 1.5, rtol=1e-3)
    assert found.share_sd is None
    white = np.tile(clean(FOUR, 0.909, 0.15, -0.95)[:, None], 500).astype(np.float32)
    assert np.median(estimate(one, white, "real", EstimationOptions()).time) == pytest.approx(0.73, abs=0.02)


def test_single_precision_finds_the_optimum_of_double_precision() -> None:
    rng = np.random.default_rng(5)
    truth = rng.uniform((0.5, 0.02, -1.0), (2.5, 0.25, -0.7), (40, 3))
    signals = np.stack([clean(EIGHT, *one) for one in truth], axis=1) + rng.normal(0, 0.01, (8, 40))
    atoms = SurfaceAtoms.build(EIGHT, (0.02, 6.0), torch.device("cpu"))
    problem = SurfaceProblem(model=EIGHT, atoms=atoms, noise_sd=0.01)
    found = solve_surface(problem, torch.from_numpy(signals).float(), unsigned=False).fit

    for index in range(40):

        def residual(unknowns: np.ndarray, index: int = index) -> np.ndarray:
            log_t1, share, m0, last = unknowns
            columns, _ = EIGHT.surface(torch.tensor(np.exp(log_t1)), torch.tensor(share))
            return np.asarray(m0 * columns[0].numpy() + last * columns[1].numpy() - signals[:, index])

        t1, share, sf = truth[index]
        best = least_squares(residual, (np.log(t1), share, 1.0, sf), bounds=([-4, 0, 0, -2], [2, 0.5, 2, 0]))
        assert float(found.cost[index]) == pytest.approx(2 * best.cost, rel=1e-3)
        assert float(found.time[index]) == pytest.approx(np.exp(best.x[0]), rel=2e-3)


def test_the_sd_is_that_of_the_whole_jacobian() -> None:
    t1, share, sf = TISSUES[0]
    unknowns, step = np.array([t1, share, sf, 1.0]), 1e-6
    moved = [(stepped(*(unknowns + step * unit)[:3]), stepped(*(unknowns - step * unit)[:3])) for unit in np.eye(4)[:3]]
    jacobian = np.stack([(np.array(up) - down) / (2 * step) for up, down in moved] + [np.array(stepped(t1, share, sf))])
    sd = np.sqrt(np.diag(np.linalg.inv(jacobian @ jacobian.T))) / 100
    found = fitted(FOUR, "magnitude", 100)
    assert found.share_sd is not None
    assert np.median(of_tissue(found.time_sd, 0)) == pytest.approx(sd[0], rel=0.1)
    assert np.median(of_tissue(found.share_sd, 0)) == pytest.approx(sd[1], rel=0.1)


def test_fluid_has_its_pool_ratio_at_the_bound_and_says_so() -> None:
    rng = np.random.default_rng(2)
    fluid = clean(FOUR, 4.0, 0.0, -0.95)[:, None, None] + rng.normal(0, 0.005, (4, 50, 50))
    found = estimate(FOUR, fluid.astype(np.float32), "real", EstimationOptions())
    at_bound = found.status == VoxelStatus.SHARE_AT_BOUND
    assert 0.3 < at_bound.mean() < 0.7
    assert (found.share[at_bound] == 0).all()
    assert np.median(found.time) == pytest.approx(4.0, rel=0.03)


def test_a_batch_equals_its_elements_and_other_signs_of_a_reconstruction() -> None:
    stack = images(FOUR, "real", 100)[:, 0, 8:20, 8:20]
    whole = estimate(FOUR, stack, "real", EstimationOptions())
    turned = estimate(FOUR, -stack, "real", EstimationOptions())
    np.testing.assert_array_equal(whole.time, turned.time)
