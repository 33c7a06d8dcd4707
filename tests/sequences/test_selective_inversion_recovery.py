"""The signal of selective inversion recovery equals two exchanging pools stepped by matrix exponentials."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar
from bids_t1.sequences.selective_inversion_recovery import SelectiveInversionRecovery

TI, TD = (0.015, 0.015, 0.278, 1.007), (0.684, 4.121, 2.730, 0.010)


def stepped(t1: float, pool_ratio: float, sf: float, *, k: float = 12.5, sm: float = 0.83) -> list[float]:
    """Free magnetisation at each readout: Bloch equations with exchange, as one affine flow."""
    r1, f = 1 / t1, pool_ratio
    flow = np.array([[-r1 - k * f, k, r1], [k * f, -r1 - k, r1 * f], [0.0, 0.0, 0.0]])
    pulse = np.diag([sf, sm, 1.0])
    return [
        float((expm(flow * ti) @ pulse @ expm(flow * td) @ [0.0, 0.0, 1.0])[0]) for ti, td in zip(TI, TD, strict=True)
    ]


def model(n_pools: int = 2) -> SelectiveInversionRecovery:
    return SelectiveInversionRecovery(inversion_times=TI, recovery_times=TD, n_pools=n_pools)


@pytest.mark.parametrize(("t1", "pool_ratio", "sf"), [(0.9, 0.15, -0.95), (2.0, 0.02, -0.6), (4.3, 0.0, -1.0)])
def test_the_columns_are_two_pools_stepped_by_matrix_exponentials(t1: float, pool_ratio: float, sf: float) -> None:
    (first, second), _ = model().surface(torch.tensor(t1, dtype=torch.float64), torch.tensor(pool_ratio))
    np.testing.assert_allclose(first + sf * second, stepped(t1, pool_ratio, sf), atol=1e-7)


def test_without_a_second_pool_it_is_one_exponential() -> None:
    t1, sf = 1.3, -0.9
    (first, second), _ = model(1).surface(torch.tensor(t1, dtype=torch.float64), torch.tensor(0.0))
    expected = [1 - (1 - sf * (1 - np.exp(-td / t1))) * np.exp(-ti / t1) for ti, td in zip(TI, TD, strict=True)]
    np.testing.assert_allclose(first + sf * second, expected, atol=1e-12)


def test_the_derivatives_equal_finite_differences() -> None:
    logs, shares, step = torch.tensor([-1.0, 0.2, 1.3]).double(), torch.tensor([0.01, 0.12, 0.4]).double(), 1e-6
    _, (by_time, by_share) = model().surface(torch.exp(logs), shares)
    up, down = (model().surface(torch.exp(logs + sign * step), shares)[0] for sign in (1, -1))
    np.testing.assert_allclose(by_time, (up - down) / (2 * step), atol=1e-8)
    up, down = (model().surface(torch.exp(logs), shares + sign * step)[0] for sign in (1, -1))
    np.testing.assert_allclose(by_share, (up - down) / (2 * step), atol=1e-8)


def test_the_delays_are_read_image_by_image_and_a_missing_one_is_named() -> None:
    sidecars = [
        Sidecar(f"inv-{n}.json", {"InversionTime": ti, "RecoveryTime": td})
        for n, (ti, td) in enumerate(zip(TI, TD, strict=True))
    ]
    assert SelectiveInversionRecovery.from_metadata(sidecars).recovery_times == TD
    sidecars[2] = Sidecar("inv-2.json", {"InversionTime": 0.278})
    with pytest.raises(InvalidInputError, match=r"inv-2\.json: RecoveryTime is missing"):
        SelectiveInversionRecovery.from_metadata(sidecars)


def test_equal_pairs_of_times_count_once() -> None:
    with pytest.raises(InvalidInputError, match="3 different pairs"):
        SelectiveInversionRecovery(inversion_times=(0.1, 0.1, 0.2, 0.3), recovery_times=(1.0, 1.0, 1.0, 1.0))
