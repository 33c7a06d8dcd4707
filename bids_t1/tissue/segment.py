"""The brain and its tissues from the maps of one run, a template, and what a user gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.tissue import Hemisphere, Segmentation, Tissue
from bids_t1.tissue.affine import place
from bids_t1.tissue.brain import cleaned
from bids_t1.tissue.deformation import deform, expectations
from bids_t1.tissue.mixture import classify, fit
from bids_t1.tissue.picture import head_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Labels, Map, VoxelFlags
    from bids_t1.tissue.templates import Template

OF_CLASS = {
    "white": Tissue.WHITE_MATTER,
    "subcortical": Tissue.SUBCORTICAL_GREY_MATTER,
    "grey": Tissue.GREY_MATTER,
    "fluid": Tissue.FLUID,
}

UNEXPECTED = 0.01
"""What is expected of every tissue everywhere in a brain that is given."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """What a user knows of the brain; it wins over what is computed."""

    brain: VoxelFlags | None = None
    """(x, y, z)."""

    brain_source: str = ""
    """Where it is from, such as the name of its file."""

    tissue: Labels | None = None
    """`Tissue` of each voxel, (x, y, z)."""

    tissue_source: str = ""


def segment(
    maps: Mapping[str, np.ndarray], grid: Grid, *, template: Template, given: Given, n_threads: int = 1
) -> Segmentation:
    """Find the brain and tell its tissues apart.

    Parameters
    ----------
    maps : mapping
        Of one run, (x, y, z) each: ``time`` [s] and ``amplitude``, ``robust_uni`` or ``uni``; NaN where not fitted.
    grid : Grid
        Theirs.
    template : Template
        From `templates.load_template`.
    given : Given
        On the same grid.
    n_threads
        The result does not depend on it.

    Raises
    ------
    InvalidInputError
        Where maps do not suffice, or what is given is of another shape.
    """
    _check(given, grid)
    values = _log_time(maps["time"])
    deformation = deform(values, grid, template, place(head_image(maps, grid), template), n_threads)
    points = deformation.template_points(grid)
    expected = expectations(template, points)
    if given.brain is not None:
        expected = _within(given.brain, expected)
    priors = np.stack(list(expected.values()))
    tissues = [OF_CLASS[name] for name in expected if name in OF_CLASS]
    mixture = fit(values, priors, n_tissues=len(tissues))
    posteriors = classify(values, priors, mixture, grid.voxel_sizes)
    brain = given.brain if given.brain is not None else cleaned(posteriors[: len(tissues)].sum(axis=0) > 0.5, grid)
    probabilities = dict(zip(tissues, posteriors, strict=False))
    hemisphere = np.where(points[0] < 0, Hemisphere.LEFT, Hemisphere.RIGHT).astype(np.uint8)
    record = {"Template": dict(template.record)}
    return from_probabilities(probabilities, brain, hemisphere, grid, record=record, warnings=template.warnings)


def from_probabilities(
    probabilities: Mapping[Tissue, Map],
    brain: VoxelFlags,
    hemisphere: Labels | None,
    grid: Grid,
    *,
    record: Mapping[str, object],
    warnings: tuple[str, ...] = (),
) -> Segmentation:
    """Make a segmentation of probabilities, such as those of another run that were brought to this grid.

    Parameters
    ----------
    probabilities : mapping
        Of each tissue, (x, y, z); NaN where unknown. They are scaled so that they sum to one in the brain.
    brain : array (x, y, z)
    hemisphere : array (x, y, z) or None
    grid : Grid
        That of all of them.
    record, warnings
        How they came about.
    """
    tissues = list(probabilities)
    known = np.stack([np.nan_to_num(probabilities[tissue], nan=0.0) for tissue in tissues]) * brain
    total = known.sum(axis=0)
    brain = brain & (total > 0)
    known = np.divide(known, total, out=np.zeros_like(known), where=brain).astype(np.float32)
    codes = np.array(tissues, dtype=np.uint8)
    return Segmentation(
        grid=grid,
        brain=brain,
        tissue=np.where(brain, codes[np.argmax(known, axis=0)], np.uint8(Tissue.OUTSIDE)),
        probabilities=dict(zip(tissues, known, strict=True)),
        hemisphere=None if hemisphere is None else np.where(brain, hemisphere, np.uint8(Hemisphere.NEITHER)),
        record=record,
        warnings=warnings,
    )


def _log_time(time: Map) -> Map:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(time > 0, np.log(time), np.nan).astype(np.float32)


def _within(brain: VoxelFlags, expected: Mapping[str, Map]) -> dict[str, Map]:
    """Count what the template expects around the brain to fluid, which is what lies at the brim of a brain."""
    kept = {name: each + UNEXPECTED for name, each in expected.items() if name != "around"}
    kept["fluid"] = kept["fluid"] + expected["around"]
    total = sum(kept.values())
    return {name: np.asarray(each / total * brain, np.float32) for name, each in kept.items()}


def _check(given: Given, grid: Grid) -> None:
    for what, values in ((given.brain_source or "brain", given.brain), (given.tissue_source or "tissue", given.tissue)):
        if values is not None and values.shape != grid.shape:
            raise InvalidInputError(f"{what}: {values.shape} voxels; expected {grid.shape}, those of the maps.")
