"""The table of pairs of intensities is that of the plain formula."""

from __future__ import annotations

import numpy as np
import pytest

from bids_t1.tissue.joint import PICTURE_BINS, TEMPLATE_BINS, Points, Sought, joint, plain

N_POINTS = 2_000


@pytest.fixture(scope="module")
def points() -> Points:
    """Points within, at the borders and outside of an image of 9 x 10 x 11 voxels."""
    random = np.random.default_rng(1)
    places = random.uniform(-4, 14, (3, N_POINTS))
    places[:, :200] = random.integers(-1, 11, (3, 200))
    bins = random.integers(0, PICTURE_BINS - 1, N_POINTS).astype(np.int32)
    return Points(np.vstack([places, np.ones(N_POINTS)]), bins, random.random(N_POINTS))


@pytest.fixture(scope="module")
def sought() -> Sought:
    picture, near = np.random.default_rng(2).random((2, 9, 10, 11)).astype(np.float32)
    picture[0, 0, 0] = 1.0
    return Sought(picture, near)


@pytest.mark.parametrize("shift", [0.0, 0.37, 100.0])
def test_pairs_are_counted_as_by_the_plain_formula(points: Points, sought: Sought, shift: float) -> None:
    to_index = np.eye(4)
    to_index[:3] += 0.03 * np.random.default_rng(3).standard_normal((3, 4))
    to_index[:3, 3] += shift
    found = joint(points, sought, to_index)
    np.testing.assert_allclose(found, plain(points, sought, to_index), atol=1e-4)
    assert found.sum() == pytest.approx(N_POINTS)


def test_what_is_outside_of_the_template_is_far_from_its_brain(points: Points, sought: Sought) -> None:
    to_index = np.eye(4)
    to_index[0, 3] = 1000.0
    found = joint(points, sought, to_index)
    assert not found[:TEMPLATE_BINS].any()
