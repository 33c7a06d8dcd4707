"""Grids are compared by where their voxels lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_t1.data.grid import Grid

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def shifted(*millimetres: float) -> Grid:
    affine = AFFINE.copy()
    affine[:3, 3] += millimetres
    return Grid((5, 6, 7), affine)


def test_voxel_sizes_are_the_lengths_of_the_axes_also_of_oblique_grids() -> None:
    turn = np.array([[0.6, -0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert Grid((5, 6, 7), turn @ AFFINE).voxel_sizes == pytest.approx((2, 3, 4))


@given(st.tuples(*[st.floats(-50, 50)] * 3))
def test_a_shift_is_measured_in_the_smallest_voxel_edge(millimetres: tuple[float, float, float]) -> None:
    expected = np.linalg.norm(millimetres) / 2
    assert shifted(0, 0, 0).shift_to(shifted(*millimetres)) == pytest.approx(expected, abs=1e-9)


def test_the_worst_corner_counts() -> None:
    stretched = AFFINE.copy()
    stretched[0, 0] = 2.1  # the fifth voxel lies 4 x 0.1 mm further out
    assert shifted(0, 0, 0).shift_to(Grid((5, 6, 7), stretched)) == pytest.approx(0.2)


def test_other_shapes_are_infinitely_far_apart() -> None:
    assert shifted(0, 0, 0).shift_to(Grid((5, 6, 8), AFFINE)) == np.inf


def test_a_grid_says_its_shape_and_affine() -> None:
    assert str(shifted(0, 0, 0.5)) == "5 x 6 x 7 voxels, affine [2 0 0 0; 0 3 0 0; 0 0 4 0.5]"
