"""Points of a head are led to a template and back."""

from __future__ import annotations

import numpy as np

from bids_t1.data.deformation import Deformation, Displacement, apply, points_of
from bids_t1.data.grid import Grid

GRID = Grid((20, 22, 18), np.diag([3.0, 3.0, 3.0, 1.0]))
INSIDE = np.random.default_rng(0).uniform(10.0, 40.0, (3, 200))


def smooth() -> Displacement:
    x, y, z = points_of(GRID) / 20
    return Displacement(grid=GRID, values=2 * np.stack([np.sin(y), np.cos(z), np.sin(x + y)]))


def rigid() -> np.ndarray:
    angle = 0.2
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = (4.0, -3.0, 2.0)
    return matrix


def test_the_inverse_of_a_displacement_leads_points_back() -> None:
    there = smooth().moved(INSIDE)
    np.testing.assert_allclose(smooth().inverse().moved(there), INSIDE, atol=0.05)  # of voxels of 3 mm


def test_points_of_the_template_are_led_back_to_the_head() -> None:
    scaled = rigid() @ np.diag([1.05, 0.95, 1.0, 1.0])
    deformation = Deformation(matrix=scaled, displacement=smooth())
    there = apply(scaled, smooth().moved(INSIDE))
    np.testing.assert_allclose(deformation.way_back().head_points(there), INSIDE, atol=0.05)


def test_a_deformation_seen_from_another_image_leads_the_same_place_to_the_same_point() -> None:
    deformation = Deformation(matrix=np.diag([1.1, 0.9, 1.0, 1.0]), displacement=smooth())
    other = Grid((8, 8, 8), np.diag([2.0, 2.0, 2.0, 1.0]))
    same = Grid(other.shape, rigid() @ other.affine)
    np.testing.assert_allclose(
        deformation.seen_from(rigid()).template_points(other), deformation.template_points(same), atol=1e-9
    )
