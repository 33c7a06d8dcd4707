from __future__ import annotations

import numpy as np
import pytest

from bids_t1.tissue.mixture import classify, fit

SHAPE = (20, 20, 20)


def test_means_and_spreads_are_learned_from_vague_expectations() -> None:
    rng = np.random.default_rng(0)
    second = rng.uniform(size=SHAPE) < 0.3
    values = np.where(second, 2.0 + 0.2 * rng.standard_normal(SHAPE), 1.0 + 0.1 * rng.standard_normal(SHAPE))
    vague = np.where(second, 0.6, 0.4)
    priors = np.stack([1 - vague, vague]).astype(np.float32)
    mixture = fit(values.astype(np.float32), priors, n_tissues=2)
    np.testing.assert_allclose(mixture.means, [1.0, 2.0], atol=0.02)
    np.testing.assert_allclose(mixture.sds, [0.1, 0.2], atol=0.02)


def test_some_of_many_voxels_tell_what_all_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    second = rng.uniform(size=(40, 40, 40)) < 0.3
    values = (1.0 + second + 0.1 * rng.standard_normal(second.shape)).astype(np.float32)
    priors = np.stack([np.where(second, 0.4, 0.6), np.where(second, 0.6, 0.4)]).astype(np.float32)
    every = fit(values, priors, n_tissues=2)
    monkeypatch.setattr("bids_t1.tissue.mixture.N_LEARNED", 10_000)
    some = fit(values, priors, n_tissues=2)
    np.testing.assert_allclose(some.means, every.means, atol=0.005)
    np.testing.assert_allclose(some.sds, every.sds, atol=0.005)


def test_neighbours_decide_where_values_do_not() -> None:
    values = np.ones(SHAPE, np.float32)
    values[10:] = 2.0
    values += 0.05 * np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    priors = np.full((2, *SHAPE), 0.5, np.float32)
    priors[0, :10], priors[1, :10] = 0.6, 0.4
    priors[0, 10:], priors[1, 10:] = 0.4, 0.6
    mixture = fit(values, priors, n_tissues=2)
    values[3, 5, 5] = np.nan
    posterior = classify(values, np.full_like(priors, 0.5), mixture, (2.0, 2.0, 2.0))
    assert posterior[0, 3, 5, 5] > 0.8


def test_fluid_at_the_brim_is_not_taken_for_what_lies_around() -> None:
    x = np.arange(40)[:, None, None] + np.zeros((40, 10, 10))
    values = np.select([x < 15, x < 22], [1.0, 3.0], 0.2) + 0.1 * np.random.default_rng(2).standard_normal(x.shape)
    brain = 1 / (1 + np.exp(x - 18.0))  # the template's brain ends within the fluid
    tissue = np.where(x < 14, 0.95, 0.3)
    priors = np.stack([brain * tissue, brain * (1 - tissue), 1 - brain]).astype(np.float32)
    mixture = fit(values.astype(np.float32), priors, n_tissues=2)
    posterior = classify(values.astype(np.float32), priors, mixture, (2.0, 2.0, 2.0))
    assert (posterior[1, 16:21] > 0.5).mean() > 0.95
    assert posterior[2, 25:].min() == pytest.approx(1.0, abs=0.05)
