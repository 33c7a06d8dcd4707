"""The prior on the ratio of coefficients: what its search goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.estimation.curves.dictionary import build_dictionaries
from bids_t1.estimation.curves.polarity import solve_unsigned
from bids_t1.estimation.curves.prior import RatioPrior
from bids_t1.estimation.curves.ratio_prior import FEW, _Priors, _Sample, learn_ratio_prior
from bids_t1.estimation.curves.refinement import Problem
from tests.estimation.scenes import MODEL, scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.estimation.curves.polarity import Solution

NOISE = 0.02
RANGE = (0.02, 6.0)


def fits(voxels: slice | list[int] = slice(600)) -> Solution:
    truth = np.random.default_rng(3).uniform(0.4, 2.5, 600)
    magnitudes = torch.from_numpy(np.ascontiguousarray(scene(3, truth, 1.8).magnitudes[:, voxels])).float()
    problem = Problem(
        model=MODEL,
        dictionaries=build_dictionaries(MODEL, RANGE, None, torch.device("cpu")),
        prior=None,
        noise_sd=NOISE,
    )
    return solve_unsigned(problem, magnitudes)


KNOTS = pytest.mark.parametrize("knots", [(1.0,), (0.5, 1.0, 2.0)])


@pytest.mark.filterwarnings("error")
def test_voxels_of_one_relaxation_time_have_no_bends() -> None:
    assert len(learn_ratio_prior(MODEL, fits([7] * 60), NOISE, RANGE).means) == 1


def histogram(sample: _Sample) -> NDArray[np.float64]:
    density: NDArray[np.float64] = np.random.default_rng(1).uniform(0.5, 1.5, int(sample.bin.max()) + 1)
    return np.log(density)


@KNOTS
def test_derivatives_of_the_marginal_likelihood_are_its_differences(knots: tuple[float, ...]) -> None:
    sample = _Sample.draw(MODEL, fits(), NOISE, RANGE)
    priors, log_density = _Priors.of(knots, sample), histogram(sample)
    at = np.array([*np.linspace(1.7, 1.9, len(knots)), 0.06])
    gradient = priors.look(at).judge(log_density).gradient
    for index, step in enumerate(1e-5 * np.eye(len(at))):
        up, down = (priors.look(there).judge(log_density).cost for there in (at + step, at - step))
        assert gradient[index] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-3)


def test_the_ratio_of_an_image_is_found() -> None:
    prior = learn_ratio_prior(MODEL, fits(), NOISE, RANGE)
    assert prior.means == pytest.approx([1.8], abs=0.01)


@KNOTS
def test_the_marginal_likelihood_is_the_same_with_a_compiler_and_without(knots: tuple[float, ...]) -> None:
    at = np.array([*np.linspace(1.7, 1.9, len(knots)), 0.06])
    samples = [_Sample.draw(MODEL, fits(), NOISE, RANGE, compiles=way) for way in (False, True)]
    plain, compiled = (_Priors.of(knots, sample).look(at).judge(histogram(sample)) for sample in samples)
    assert compiled.cost == pytest.approx(plain.cost, rel=1e-10)
    np.testing.assert_allclose(compiled.scores, plain.scores, rtol=1e-8, atol=1e-8)


def test_the_histogram_becomes_more_likely() -> None:
    sample = _Sample.draw(MODEL, fits(), NOISE, RANGE)
    look = _Priors.of((1.0,), sample).look(np.array([1.8, 0.06]))
    before = histogram(sample)
    before -= np.log(np.exp(before).sum())
    assert look.judge(look.better_histogram(before)).cost < look.judge(before).cost - 10


def test_every_fourth_voxel_is_drawn_with_its_second_choice() -> None:
    solution = fits()
    some = _Sample.draw(MODEL, solution, NOISE, RANGE).every(FEW)
    alone = _Sample.draw(MODEL, solution.select(torch.arange(len(solution.fit.time)) % FEW == 0), NOISE, RANGE)
    assert 0 < len(alone.second_of) < alone.n_voxels == some.n_voxels
    np.testing.assert_array_equal(some.second_of, alone.second_of)
    np.testing.assert_array_equal(some.bin, alone.bin)
    np.testing.assert_allclose(some.products, alone.products, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(some.offset, alone.offset, rtol=1e-12)


@KNOTS
def test_means_between_knots_are_those_of_the_prior(knots: tuple[float, ...]) -> None:
    sample = _Sample.draw(MODEL, fits(), NOISE, RANGE)
    means = np.linspace(1.7, 1.9, len(knots))
    prior = RatioPrior(knots=knots, means=tuple(means), sd=0.05)
    expected, _ = prior.mean(torch.from_numpy(sample.log_time).exp())
    np.testing.assert_allclose(np.tensordot(means, _Priors.of(knots, sample).hats, 1), expected, rtol=1e-12)
