"""The prior on the ratio of coefficients: what its search goes by."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.estimation.curves.dictionary import build_dictionaries
from bids_t1.estimation.curves.polarity import solve_unsigned
from bids_t1.estimation.curves.ratio_prior import _Priors, _Sample, _Search, learn_ratio_prior
from bids_t1.estimation.curves.refinement import Problem
from tests.estimation.scenes import MODEL, scene

if TYPE_CHECKING:
    from bids_t1.estimation.curves.polarity import Solution

NOISE = 0.02
RANGE = (0.02, 6.0)


def fits() -> Solution:
    truth = np.random.default_rng(3).uniform(0.4, 2.5, 600)
    magnitudes = torch.from_numpy(np.ascontiguousarray(scene(3, truth, 1.8).magnitudes[:, :600])).float()
    problem = Problem(
        model=MODEL,
        dictionaries=build_dictionaries(MODEL, RANGE, None, torch.device("cpu")),
        prior=None,
        noise_sd=NOISE,
    )
    return solve_unsigned(problem, magnitudes)


KNOTS = pytest.mark.parametrize("knots", [(1.0,), (0.5, 1.0, 2.0)])


@KNOTS
def test_derivatives_of_the_marginal_likelihood_are_its_differences(knots: tuple[float, ...]) -> None:
    sample = _Sample.draw(MODEL, fits(), NOISE, RANGE)
    search, priors = _Search(sample, sample, compiles=False), _Priors.of(knots, sample)
    search.log_density = np.log(np.random.default_rng(1).uniform(0.5, 1.5, len(search.log_density)))
    at = np.array([*np.linspace(1.7, 1.9, len(knots)), math.log(0.06)])
    _, slopes = search.cost(priors, at)
    for index, step in enumerate(1e-5 * np.eye(len(at))):
        difference = search.cost(priors, at + step)[0] - search.cost(priors, at - step)[0]
        assert slopes[index] == pytest.approx(difference / 2e-5, rel=1e-4, abs=1e-3)


def test_the_ratio_of_an_image_is_found() -> None:
    prior = learn_ratio_prior(MODEL, fits(), NOISE, RANGE)
    assert prior.means == pytest.approx([1.8], abs=0.01)


@KNOTS
def test_the_marginal_likelihood_is_the_same_with_a_compiler_and_without(knots: tuple[float, ...]) -> None:
    sample = _Sample.draw(MODEL, fits(), NOISE, RANGE)
    at = np.array([*np.linspace(1.7, 1.9, len(knots)), math.log(0.06)])
    plain, compiled = (
        _Search(sample, sample, compiles=way).cost(_Priors.of(knots, sample), at) for way in (False, True)
    )
    assert compiled[0] == pytest.approx(plain[0], rel=1e-10)
    np.testing.assert_allclose(compiled[1], plain[1], rtol=1e-8)
