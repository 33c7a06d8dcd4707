"""Intervals are those of highest density, unless that says little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import minimize_scalar

from bids_t1.estimation.posterior.readout_table import ReadoutTable, build_table
from bids_t1.estimation.posterior.summary import summarise
from tests.sequences.test_mp2rage import seven_tesla

TABLE: ReadoutTable = build_table(seven_tesla(2), (0.05, 6.0), torch.tensor([1.0], dtype=torch.float64))


def interval_of(density: np.ndarray) -> tuple[float, float]:
    with np.errstate(divide="ignore"):
        log_density = torch.from_numpy(np.log(density)).float().clamp_min(-200.0)[None]
    found = summarise(log_density, TABLE)
    return float(found.lower[0]), float(found.upper[0])


@pytest.mark.parametrize("spread", [0.03, 0.1, 0.2])
def test_the_interval_of_a_skewed_posterior_is_the_shortest_with_95_percent(spread: float) -> None:
    law = stats.lognorm(spread, scale=1.5)
    tail = minimize_scalar(
        lambda below: law.ppf(below + 0.95) - law.ppf(below), bounds=(1e-4, 0.0499), method="bounded"
    ).x
    lower, upper = interval_of(law.pdf(TABLE.times.double().numpy()))
    assert lower == pytest.approx(law.ppf(tail), abs=0.02 * law.std())
    assert upper == pytest.approx(law.ppf(tail + 0.95), abs=0.02 * law.std())
    assert law.cdf(upper) - law.cdf(lower) == pytest.approx(0.95, abs=0.002)


@pytest.mark.parametrize("law", [stats.norm(5.8, 0.5), stats.norm(0.9, 0.05)])
def test_both_tails_are_equal_where_the_range_cuts_off_or_there_are_two_modes(law: stats.rv_continuous) -> None:
    times = TABLE.times.double().numpy()
    density = law.pdf(times) + (0.5 * stats.norm(2.0, 0.05).pdf(times) if law.mean() < 1 else 0.0)
    fine = np.linspace(0.05, 6.0, 200_001)
    exact = law.pdf(fine) + (0.5 * stats.norm(2.0, 0.05).pdf(fine) if law.mean() < 1 else 0.0)
    cumulative = np.cumsum(exact) / exact.sum()
    expected = [float(np.interp(level, cumulative, fine)) for level in (0.025, 0.975)]
    assert interval_of(density) == pytest.approx(expected, abs=0.01)
