"""Where a head lies in the coordinates of a template: twelve parameters by mutual information.

The picture's own voxels are what is compared, so that a slab, or one slice, is no special case: what it does not
determine stays near its prior. A voxel is told by the template's intensity where it falls in or near the template's
brain, and by one more class, elsewhere, where it falls far from it. Nothing is gained by leaving the template.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, optimize

from bids_t1.resampling import averaged
from bids_t1.tissue.joint import PICTURE_BINS, Points, Sought, joint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.alignment import HeadImage
    from bids_t1.data.shapes import Affine
    from bids_t1.tissue.templates import Template

BRIGHT = 0.98
"""Quantile of the picture within the head that counts as brightest: fat says nothing."""

NEAR = 12.0
"""Distance from the template's brain within which the picture around the brain is compared [mm]."""

PRIOR_SD = np.array([20.0, 30.0, 40.0, 0.25, 0.15, 0.15, 0.08, 0.08, 0.08, 0.03, 0.03, 0.03])
"""Of translations [mm], rotations [rad], logarithms of scales, and shears, about `PRIOR_MEAN`."""

PRIOR_MEAN = np.array([0.0] * 6 + [0.05] * 3 + [0.0] * 3)
"""Templates of the Montreal Neurological Institute are larger than most heads."""

VOXELS_PER_DATUM = 30.0
"""Voxels that count as one in the balance against the prior: neighbours, and the two images' noise, are not
independent."""

STARTS = tuple(product((0.0,), (-20.0, 0.0, 20.0), (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0)))
"""Translations that are tried first, beyond what the headers say [mm]."""

REFINED_STARTS = 4

N_POINTS = 25_000
"""Voxels that are looked at: of more, a random choice tells the same."""

SEED = 1

LEAST_INFORMATION = 0.2
"""Mutual information below which nothing was found [nat per voxel]: heads, slabs and slices have 0.5 and more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Comparison:
    """A picture and a template at one coarseness."""

    n_voxels: int
    """Of the picture; its points are some of them."""

    points: Points
    sought: Sought
    to_index: Affine
    """Template coordinates to indices."""

    def information(self, matrix: Affine) -> float:
        """Mutual information of picture and template [nat per voxel]."""
        return _information(joint(self.points, self.sought, self.to_index @ matrix))


def place(picture: HeadImage, template: Template) -> Affine | None:
    """Find where the template's brain lies.

    Returns
    -------
    array (4, 4) or None
        Scanner coordinates to template coordinates [mm], right-anterior-superior; None where nothing in the picture
        looks like the template.
    """
    coarse, fine = (_compare(picture, template, step) for step in (8.0, 5.0))
    centre = _centre(picture)
    starts = [PRIOR_MEAN + np.array([*shift, *[0.0] * 9]) for shift in STARTS]
    starts += [start + np.array([-centre[0], *[0.0] * 11]) for start in starts]
    starts.sort(key=lambda start: _cost(start, coarse))
    rigid_and_scale = [np.eye(12)[k] for k in range(6)] + [np.array([0.0] * 6 + [1.0] * 3 + [0.0] * 3)]
    refined = [_refined(start, coarse, rigid_and_scale) for start in starts[:REFINED_STARTS]]
    best = min(refined, key=lambda start: _cost(start, coarse))
    found = _matrix(_refined(best, fine, list(np.eye(12))))
    return found if fine.information(found) > LEAST_INFORMATION else None


def _cost(parameters: np.ndarray, comparison: _Comparison) -> float:
    n_data = comparison.n_voxels / VOXELS_PER_DATUM
    prior = 0.5 * float(np.sum(((parameters - PRIOR_MEAN) / PRIOR_SD) ** 2))
    return float(prior / n_data - comparison.information(_matrix(parameters)))


def _refined(start: np.ndarray, comparison: _Comparison, directions: Sequence[np.ndarray]) -> np.ndarray:
    basis = np.array(directions) * PRIOR_SD / 4

    def cost(steps: np.ndarray) -> float:
        return _cost(start + steps @ basis, comparison)

    found = optimize.minimize(cost, np.zeros(len(basis)), method="Powell", options={"xtol": 1e-2, "ftol": 1e-5})
    return np.asarray(start + found.x @ basis)


def _matrix(parameters: np.ndarray) -> Affine:
    """Scale, shear, rotate, and translate."""
    (rx, ry, rz), scale, (xy, xz, yz) = parameters[3:6], np.exp(parameters[6:9]), parameters[9:]
    (cx, cy, cz), (sx, sy, sz) = np.cos([rx, ry, rz]), np.sin([rx, ry, rz])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    shear = np.array([[1, xy, xz], [0, 1, yz], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_y @ about_x @ shear @ np.diag(scale)
    matrix[:3, 3] = parameters[:3]
    return matrix


def _compare(picture: HeadImage, template: Template, step: float) -> _Comparison:
    values, grid = averaged(picture.values, picture.grid, step)
    head = values[values > values.mean()]
    brightest = np.quantile(head, BRIGHT) if head.size else 1.0
    some = np.arange(values.size)
    if values.size > N_POINTS:
        some = np.sort(np.random.default_rng(SEED).choice(values.size, N_POINTS, replace=False))
    levels = np.clip(values.ravel()[some] / brightest, 0, 1) * (PICTURE_BINS - 1)
    bins = np.minimum(levels.astype(np.int32), PICTURE_BINS - 2)
    indices = np.array(np.unravel_index(some, grid.shape))
    sigma = [step / 2.355 / size for size in template.grid.voxel_sizes]
    outward = ndimage.distance_transform_edt(template.brain == 0, template.grid.voxel_sizes)
    return _Comparison(
        n_voxels=values.size,
        points=Points(grid.affine @ np.vstack([indices, np.ones(len(some))]), bins, levels - bins),
        sought=Sought(
            ndimage.gaussian_filter(template.picture.astype(np.float32), sigma),
            ndimage.gaussian_filter((outward < NEAR).astype(np.float32), sigma),
        ),
        to_index=np.linalg.inv(template.grid.affine),
    )


def _centre(picture: HeadImage) -> np.ndarray:
    """Scanner coordinates of the centre of mass [mm]."""
    index = ndimage.center_of_mass(picture.values) if picture.values.any() else (np.array(picture.values.shape) - 1) / 2
    return np.asarray((picture.grid.affine @ [*index, 1.0])[:3])


def _information(histogram: np.ndarray) -> float:
    joint = histogram / histogram.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    some = joint > 0
    return float(np.sum(joint[some] * np.log(joint[some] / independent[some])))
