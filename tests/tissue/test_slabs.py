from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bids_t1.data.grid import Grid
from bids_t1.tissue import slabs
from bids_t1.tissue.brain import cleaned
from bids_t1.tissue.mixture import classify, fit

SHAPE = (60, 30, 20)


def test_slabs_cover_an_image_once_and_none_is_thinner_than_what_it_hears_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "VOXELS", 7 * SHAPE[1] * SHAPE[2])
    found = list(slabs.slabs(SHAPE, 9))
    assert [(slab.start, slab.stop) for slab, _ in found] == [*((at, at + 9) for at in range(0, 54, 9)), (54, 60)]
    assert [(around.start, around.stop) for _, around in found[:2]] == [(0, 18), (0, 27)]


def test_classes_of_slabs_are_those_of_the_whole_image_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    second = ndimage.gaussian_filter(random.standard_normal(SHAPE), 3) > 0
    values = (1.0 + second + 0.6 * random.standard_normal(SHAPE)).astype(np.float32)
    priors = np.stack([np.where(second, 0.4, 0.6), np.where(second, 0.6, 0.4)]).astype(np.float32)
    mixture = fit(values, priors, n_tissues=2)
    whole = classify(values, priors, mixture, (1.0, 1.0, 1.0))
    monkeypatch.setattr(slabs, "VOXELS", 7 * SHAPE[1] * SHAPE[2])
    np.testing.assert_array_equal(classify(values, priors, mixture, (1.0, 1.0, 1.0)), whole)
    assert classify(values, priors, mixture, (1.0, 1.0, 1.0), out=priors) is priors
    np.testing.assert_array_equal(priors, whole)


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (0.7, 0.9, 1.3)])
def test_a_brain_cleaned_in_slabs_is_that_cleaned_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[float, float, float]
) -> None:
    blobs = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(SHAPE), 3)
    grid, brain = Grid(SHAPE, np.diag([*sizes, 1.0])), blobs > np.quantile(blobs, 0.4)
    whole = cleaned(brain, grid)
    assert 0 < whole.sum() < brain.sum()
    monkeypatch.setattr(slabs, "VOXELS", 7 * SHAPE[1] * SHAPE[2])
    np.testing.assert_array_equal(cleaned(brain, grid), whole)
