"""How a template bends to a head, after an affine match.

Intensities are never compared across images: both are painted with one brightness per tissue, the template by what it
expects, the head by how its own values are classified with the help of that. The two paintings have one contrast
whatever the sequence, and demons (Vercauteren et al. 2009, doi 10.1016/j.neuroimage.2008.10.040; SimpleITK's) bring
one onto the other. The better match gives better classes, and so on, a few times over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from bids_t1.data.deformation import Deformation, Displacement, apply
from bids_t1.data.grid import Grid
from bids_t1.resampling import averaged
from bids_t1.tissue.mixture import classify, fit

if TYPE_CHECKING:
    from bids_t1.data.shapes import Affine, Map
    from bids_t1.tissue.templates import Template

STEP = 3.0
"""Voxels of the deformation, about [mm]; larger where those of the image are. At 2 mm it takes three times as long, and
brain and tissues overlap with the truth by 0.002 more, or less."""

MARGIN = 10.0
"""By which it goes beyond the image and the brain, so that a slab can slide within the template [mm]."""

BRIGHTNESS = {"white": 1.0, "subcortical": 0.75, "grey": 0.55, "fluid": 0.2, "around": 0.0}
BLUR = 1.0
"""SD of the Gaussian that softens the template [mm]: how far brains still differ after the match."""

ROUNDS = ((4.0, 40, 2.5), (2.0, 25, 1.5), (1.5, 25, BLUR))
"""Of classifying and matching: SD of the Gaussian that keeps the deformation smooth [voxels], iterations, and the blur
of the template that the classes start from [mm]."""

BOX_STEP = 4.0
"""Between the voxels that are asked where the template expects nothing [mm]."""

SURROUNDINGS = (5.0, 0.02)
"""SD of a Gaussian over the template's brain [mm], and its value from which a voxel is looked at, some 10 mm from the
brain: far enough to learn what lies around, beyond the fluid."""


def expectations(template: Template, points: np.ndarray, blur: float = BLUR) -> dict[str, Map]:
    """Return what the template expects at points in it, by class; they sum to one, or to zero far from the brain."""
    where = apply(np.linalg.inv(template.grid.affine), points)

    def sampled(values: Map, sd: float = blur) -> Map:
        return _sampled(values, template, where, sd)

    brain = sampled(template.brain)
    near = sampled(template.brain, SURROUNDINGS[0]) > SURROUNDINGS[1]
    expected = {"white": sampled(template.white)}
    if template.subcortical is not None:
        expected["subcortical"] = sampled(template.subcortical)
    expected["grey"] = sampled(template.grey)
    expected["fluid"] = np.clip(brain - sum(expected.values()), 0, 1)
    expected["around"] = np.clip(1 - brain, 0, 1)
    return {name: each * near for name, each in expected.items()}


def _sampled(values: Map, template: Template, where: np.ndarray, sd: float) -> Map:
    """Return the template, softened by a Gaussian of some SD [mm], at its indices."""
    soft = ndimage.gaussian_filter(values, [sd / size for size in template.grid.voxel_sizes])
    return np.asarray(ndimage.map_coordinates(soft, where, order=1, mode="constant"), np.float32)


def looked_at(template: Template, deformation: Deformation, grid: Grid) -> tuple[slice, ...]:
    """Return the box of a grid outside of which the template expects nothing; all of it where it expects nothing."""
    steps = [max(1, int(BOX_STEP / size)) for size in grid.voxel_sizes]
    sparse = tuple(slice(None, None, step) for step in steps)
    where = apply(np.linalg.inv(template.grid.affine), deformation.template_points(grid.part(sparse)))
    near = _sampled(template.brain, template, where, SURROUNDINGS[0]) > SURROUNDINGS[1] / 4
    found = ndimage.find_objects(near.astype(np.uint8))
    if not found:
        return tuple(slice(0, n) for n in grid.shape)
    return tuple(
        slice(max(0, (each.start - 1) * step), min(n, each.stop * step + 1))
        for each, step, n in zip(found[0], steps, grid.shape, strict=True)
    )


def deform(values: Map, grid: Grid, template: Template, matrix: Affine, n_threads: int) -> Deformation:
    """Bend the template to a head.

    Parameters
    ----------
    values : array (x, y, z)
        By which tissues differ, such as log T1; NaN where unknown.
    grid : Grid
        Theirs.
    template : Template
    matrix : array (4, 4)
        Scanner to template coordinates [mm], from an affine match.
    n_threads
        Threads of SimpleITK; the result does not depend on it.
    """
    coarse, coarse_grid = _working(values, grid, template, matrix)
    found = Deformation(matrix=matrix)
    affine_only = expectations(template, found.template_points(coarse_grid))
    painted_template = _painted(affine_only, np.stack(list(affine_only.values())))
    displacement: np.ndarray = np.zeros((3, *coarse_grid.shape))
    for smoothness, n_iterations, blur in ROUNDS:
        expected = expectations(template, found.template_points(coarse_grid), blur)
        priors = np.stack(list(expected.values()))
        mixture = fit(coarse, priors, n_tissues=len(priors) - 1)
        posteriors = classify(coarse, priors, mixture, coarse_grid.voxel_sizes)
        # Where nothing is measured the template stays as it is: no force.
        painted = np.where(np.isfinite(coarse), _painted(expected, posteriors), _painted(expected, priors))
        displacement = _demons(
            painted, painted_template, coarse_grid, displacement, (smoothness, n_iterations, n_threads)
        )
        found = Deformation(matrix=matrix, displacement=Displacement(grid=coarse_grid, values=displacement))
    return found


def _painted(expected: dict[str, Map], probabilities: np.ndarray) -> Map:
    return np.asarray(np.tensordot([BRIGHTNESS[name] for name in expected], probabilities, axes=1), np.float32)


def _demons(
    fixed: Map, moving: Map, grid: Grid, displacement: np.ndarray, settings: tuple[float, int, int]
) -> np.ndarray:
    import SimpleITK  # noqa: PLC0415 - takes half a second to import

    smoothness, n_iterations, n_threads = settings
    axes = grid.affine[:3, :3] / np.array(grid.voxel_sizes)
    itk: Any = SimpleITK

    def image(values: np.ndarray, *, vector: bool = False) -> Any:
        made = itk.GetImageFromArray(np.ascontiguousarray(values.T), isVector=vector)
        made.SetSpacing(grid.voxel_sizes)
        return made

    demons = itk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(n_iterations)
    demons.SetStandardDeviations(smoothness)
    demons.SetNumberOfThreads(n_threads)
    # SimpleITK works along the axes of the grid, as if the first voxel were at the origin.
    start = image(np.tensordot(axes.T, displacement, axes=1), vector=True)
    found = demons.Execute(image(fixed), image(moving), start)
    return np.asarray(np.tensordot(axes, itk.GetArrayFromImage(found).T, axes=1))


def _working(values: Map, grid: Grid, template: Template, matrix: Affine) -> tuple[Map, Grid]:
    """Average the values over blocks, and keep the surroundings of the brain, also those that were not imaged."""
    coarse, coarse_grid = averaged(values, grid, STEP)
    pad = [int(np.ceil(MARGIN / size)) for size in coarse_grid.voxel_sizes]
    coarse = np.pad(coarse, [(n, n) for n in pad], constant_values=np.nan)
    affine = coarse_grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ pad
    coarse_grid = Grid(coarse.shape, affine)
    points = Deformation(matrix=matrix).template_points(coarse_grid)
    where = apply(np.linalg.inv(template.grid.affine), points)
    brain = ndimage.map_coordinates(template.brain, where, order=0, mode="constant") > 0
    box = tuple(
        slice(max(0, extent.start - n), extent.stop + n)
        for extent, n in zip(ndimage.find_objects(brain.astype(np.uint8))[0], pad, strict=True)
    )
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [each.start for each in box]
    return coarse[box], Grid(coarse[box].shape, affine)
