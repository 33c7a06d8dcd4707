from __future__ import annotations

import itertools

import numpy as np
import pytest

from bids_t1.data.grid import Grid
from bids_t1.report.figures.orientation import lay_out

MARKS = {"R": (8, 1, 1), "A": (1, 8, 1), "S": (1, 1, 8)}


def scanner_affine(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for voxel_axis, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[axis, voxel_axis] = 2.0 * sign
        affine[axis, 3] += 0 if sign > 0 else 2.0 * 9
    return affine


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_right_is_left_and_anterior_is_up_however_the_voxels_are_stored(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    affine = scanner_affine(order, signs)
    inverse = np.linalg.inv(affine)
    values = np.zeros((10, 10, 10))
    for number, millimetres in enumerate(((16, 8, 8), (8, 16, 8)), 1):  # to the right, and in front
        index = (inverse @ np.array([*millimetres, 1.0]))[:3].round().astype(int)
        values[tuple(index)] = number
    layout = lay_out(Grid((10, 10, 10), affine), np.ones((10, 10, 10), bool), n_slices=10)
    picture = layout.picture(values, 4)
    assert layout.plane.name == "axial"
    assert layout.plane.letters[:2] == ("R", "L")
    assert tuple(np.argwhere(picture == 1)[0]) == (5, 1)  # row from the front, column from the right
    assert tuple(np.argwhere(picture == 2)[0]) == (1, 5)
    assert layout.positions[4] == "S 8 mm"


def test_thick_slices_are_shown_as_acquired_at_their_true_proportions() -> None:
    grid = Grid((6, 30, 40), np.diag([5.0, 1.0, 0.5, 1.0]))
    layout = lay_out(grid, np.ones(grid.shape, bool), n_slices=18)
    assert layout.plane.name == "sagittal"
    assert layout.slices == tuple(range(6))
    assert layout.picture(np.zeros(grid.shape), 0).shape == (40, 30)
    assert layout.pixel_size == (1.0, 0.5)


def test_slices_cover_what_was_fitted_and_pictures_are_cropped_to_it() -> None:
    shown = np.zeros((50, 60, 100), bool)
    shown[20:30, 10:50, 30:70] = True
    layout = lay_out(Grid((50, 60, 100), np.eye(4)), shown, n_slices=5)
    assert layout.slices == (30, 40, 50, 59, 69)
    assert layout.picture(shown, 30).shape == (46, 16)
    assert layout.fewer(3).slices == (40, 50, 59)


def test_oblique_slices_say_by_how_much() -> None:
    angle = np.deg2rad(15)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    layout = lay_out(Grid((5, 5, 5), affine), np.ones((5, 5, 5), bool), n_slices=3)
    assert layout.obliquity == pytest.approx(15)
