"""The least cost of a few parameters within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.estimation.curves.descent import Limits, descend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


@dataclass(frozen=True)
class Valley:
    """A curved valley whose floor falls towards (1, 1)."""

    at: Values

    @property
    def cost(self) -> float:
        x, y = self.at
        return float(100 * (y - x**2) ** 2 + (1 - x) ** 2)

    @property
    def gradient(self) -> Values:
        x, y = self.at
        return np.array([-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)])


def descend_from(start: Values, curvature: Values, limits: Limits) -> tuple[Values, list[Values]]:
    """Return where the descent ends, and every place that it looked at."""
    seen = [start]

    def judge(at: Values) -> Valley:
        seen.append(at)
        return Valley(at)

    found, _ = descend(judge, Valley(start), curvature, limits)
    return found.at, seen


@pytest.mark.parametrize(("most", "expected"), [(2.0, (1.0, 1.0)), (0.5, (0.5, 0.25)), (-0.5, (-0.5, -0.5))])
def test_the_least_cost_within_bounds_is_found(most: float, expected: tuple[float, float]) -> None:
    limits = Limits(least=np.full(2, -2.0), most=np.full(2, most), longest=0.4)
    found, seen = descend_from(np.array([-1.2, -1.0]), 100 * np.eye(2), limits)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert len(seen) < 60
    assert all((limits.least <= at).all() and (at <= limits.most).all() for at in seen)


def test_a_good_guess_of_the_curvature_needs_a_few_looks() -> None:
    limits = Limits(least=np.full(2, -2.0), most=np.full(2, 2.0), longest=0.5)
    found, seen = descend_from(np.array([0.98, 0.97]), np.array([[802.0, -400.0], [-400.0, 200.0]]), limits)
    np.testing.assert_allclose(found, 1, atol=0.01)
    assert len(seen) < 6


def test_no_step_is_longer_than_the_longest() -> None:
    limits = Limits(least=np.full(2, -2.0), most=np.full(2, 2.0), longest=0.1)
    start = np.array([0.0, 0.0])
    _, seen = descend_from(start, 1e-3 * np.eye(2), limits)
    assert np.abs(seen[1] - start).max() == pytest.approx(0.1)
