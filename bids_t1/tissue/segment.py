"""The brain and its tissues from the maps of one run, a template, and what a user gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.tissue import TISSUES, Hemisphere, Segmentation, Tissue
from bids_t1.resampling import drawn_out
from bids_t1.tissue.affine import place
from bids_t1.tissue.brain import by_intensity, by_rank, cleaned
from bids_t1.tissue.deformation import deform, expectations, looked_at
from bids_t1.tissue.mixture import classify, fit
from bids_t1.tissue.picture import head_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bids_t1.data.alignment import HeadImage
    from bids_t1.data.deformation import Deformation
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Labels, Map, VoxelFlags
    from bids_t1.tissue.templates import Template

OF_CLASS = {
    "white": Tissue.WHITE_MATTER,
    "subcortical": Tissue.SUBCORTICAL_GREY_MATTER,
    "grey": Tissue.GREY_MATTER,
    "fluid": Tissue.FLUID,
}

LIKELIER_THAN_NOT = 0.5

SMOOTH = 2.0
"""Between voxels that are asked what the template expects there, which is no sharper [mm]; the others lie between."""

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


LARGEST_SCATTER = 0.8
"""Of T1 in white and in grey matter, distance of the quartiles over the median: brains have 0.1 to 0.5."""


class NoBrainError(InvalidInputError):
    """An image that shows no brain, such as that of a phantom: there are no tissues to tell."""


def segment(
    maps: Mapping[str, np.ndarray], grid: Grid, *, template: Template, given: Given, n_threads: int = 1
) -> Segmentation:
    """Find the brain and tell its tissues apart.

    Parameters
    ----------
    maps : mapping
        Of one run, (x, y, z) each: ``time`` [s] and ``amplitude``, ``robust_uni`` or ``uni``; NaN where not fitted.
        Without ``time`` tissues are told by the brightness of UNI.
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
    NoBrainError
        Where T1 in what would be white and grey matter is not that of a brain, and nothing was given.
    """
    _check(given, grid)
    found = _found(maps, grid, template, given, n_threads)
    if given.brain is None and given.tissue is None and "time" in maps:
        _require_brain(maps["time"], found)
    return found


def _found(
    maps: Mapping[str, np.ndarray], grid: Grid, template: Template, given: Given, n_threads: int
) -> Segmentation:
    picture = head_image(maps, grid)
    values = _log_time(maps["time"]) if "time" in maps else -picture.values
    matrix = place(picture, template)
    if matrix is None:
        return _without_template(values, picture, given, template)
    del picture
    deformation = deform(values, grid, template, matrix, n_threads)
    box = looked_at(template, deformation, grid) if given.brain is None else (slice(None),) * 3
    part = grid.part(box)
    expected, left = _expected(template, deformation, part)
    if given.brain is not None:
        expected = _within(given.brain, expected)
    told = _classified(values[box], tuple(expected), _stacked(expected, part.shape), part)
    brain = given.brain
    if brain is None:
        brain = cleaned(_put(_sum(told.values()) > LIKELIER_THAN_NOT, box, grid), grid)
    probabilities = {tissue: _put(told.pop(tissue), box, grid) for tissue in tuple(told)}
    hemisphere = np.where(_put(left, box, grid), np.uint8(Hemisphere.LEFT), np.uint8(Hemisphere.RIGHT))
    record = _record(given, "aligned with a template", "mixture of T1 with priors of a template", template.record)
    found = _told(probabilities, brain, hemisphere, grid, record)
    return _with_given_tissue(replace(found, warnings=template.warnings, deformation=deformation), given)


def _expected(template: Template, deformation: Deformation, grid: Grid) -> tuple[dict[str, Map], VoxelFlags]:
    """Return what the template expects in each voxel, by class, and which voxels lie in its left half."""
    steps = [max(1, int(SMOOTH / size)) for size in grid.voxel_sizes]
    points = deformation.template_points(grid.part(tuple(slice(None, None, step) for step in steps)))

    def everywhere(values: Map) -> Map:
        return drawn_out(values, grid.shape, [(step, 0.0) for step in steps])

    expected = {name: everywhere(each) for name, each in expectations(template, points).items()}
    return expected, everywhere(points[0].astype(np.float32)) < 0


def _stacked(of_class: dict[str, Map], shape: tuple[int, ...]) -> np.ndarray:
    """Stack maps (class, x, y, z), which are taken out one by one: no two of what is much are held at a time."""
    stacked = np.empty((len(of_class), *shape), np.float32)
    for whole, name in zip(stacked, tuple(of_class), strict=True):
        whole[:] = of_class.pop(name)
    return stacked


def _put(values: np.ndarray, box: tuple[slice, ...], grid: Grid) -> np.ndarray:
    """Put what is known in a box into the image around it, where there is nothing."""
    whole = np.zeros(grid.shape, values.dtype)
    whole[box] = values
    return whole


def _require_brain(time: Map, found: Segmentation) -> None:
    """Refuse tissues whose T1 scatters, or is ordered, as in no brain."""
    quartiles = {}
    for tissue in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER):
        values = time[(found.tissue == tissue) & np.isfinite(time)]
        quartiles[tissue] = np.percentile(values, (25, 50, 75)) if values.size else np.array([0.0, np.nan, np.inf])
    white, grey = quartiles.values()
    scatter = max((upper - lower) / median for lower, median, upper in (white, grey))
    if not (scatter <= LARGEST_SCATTER and white[1] < grey[1]):
        raise NoBrainError(
            f"No brain was found: T1 of what would be white matter is {white[0]:.2f} to {white[2]:.2f} s, of grey "
            f"matter {grey[0]:.2f} to {grey[2]:.2f} s (middle halves); expected narrower ranges, white below grey. No "
            "mask and no tissues are written; where there is a brain, give its mask with --derivatives."
        )


def _without_template(values: Map, picture: HeadImage, given: Given, template: Template) -> Segmentation:
    """Segment what looks like no head: few voxels of a brain, or a bad image."""
    brain = by_intensity(picture) if given.brain is None else given.brain
    start = by_rank(values, brain)
    flat = {name: np.asarray(brain / np.float32(len(start)), np.float32) for name in start}
    probabilities = _classified(
        values, tuple(flat), np.stack(list(flat.values())), picture.grid, np.stack(list(start.values()))
    )
    record = _record(given, "by intensity: the alignment with the template failed", "mixture of T1, no priors", {})
    found = from_probabilities(probabilities, brain, None, picture.grid, record)
    warning = (
        f"The head could not be aligned with the template {template.record['Name']}: tissues are told by their values "
        "alone, without subcortical grey matter and hemispheres; look at them."
    )
    return _with_given_tissue(replace(found, warnings=(warning,)), given)


def _classified(
    values: Map, names: Sequence[str], priors: np.ndarray, grid: Grid, start: np.ndarray | None = None
) -> dict[Tissue, Map]:
    found = priors
    if priors.any():
        mixture = fit(values, priors, n_tissues=sum(name in OF_CLASS for name in names), start=start)
        found = classify(values, priors, mixture, grid.voxel_sizes, out=priors)
    return {OF_CLASS[name]: each for name, each in zip(names, found, strict=True) if name in OF_CLASS}


def _with_given_tissue(found: Segmentation, given: Given) -> Segmentation:
    if given.tissue is None:
        return found
    brain = (given.tissue > 0) if given.brain is None else given.brain
    told = {tissue: (given.tissue == tissue).astype(np.float32) for tissue in TISSUES if (given.tissue == tissue).any()}
    hemisphere = found.hemisphere
    made = from_probabilities(told, brain, hemisphere, found.grid, found.record)
    return replace(made, warnings=found.warnings if hemisphere is None else (), deformation=found.deformation)


def _record(given: Given, brain: str, tissue: str, template: Mapping[str, object]) -> dict[str, object]:
    if given.tissue is not None:
        tissue, brain = f"given: {given.tissue_source}", f"that of the tissues given: {given.tissue_source}"
    if given.brain is not None:
        brain = f"given: {given.brain_source}"
    return {"BrainMask": brain, "Tissues": tissue, "Template": dict(template)}


def from_probabilities(
    probabilities: Mapping[Tissue, Map],
    brain: VoxelFlags,
    hemisphere: Labels | None,
    grid: Grid,
    record: Mapping[str, object],
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
    record : mapping
        How they came about, in JSON types.
    """
    # Copies: what was brought from an equal grid is still that of the other run.
    known = {name: np.nan_to_num(each, nan=0.0).astype(np.float32, copy=False) for name, each in probabilities.items()}
    return _told(known, brain, hemisphere, grid, record)


def _told(
    probabilities: Mapping[Tissue, Map],
    brain: VoxelFlags,
    hemisphere: Labels | None,
    grid: Grid,
    record: Mapping[str, object],
) -> Segmentation:
    """Do so of probabilities that are known everywhere, and become those of the segmentation."""
    for each in probabilities.values():
        np.multiply(each, brain, out=each)
    total = _sum(probabilities.values())
    brain = brain & (total > 0)
    total[~brain] = np.inf
    for each in probabilities.values():
        np.divide(each, total, out=each)
    return Segmentation(
        grid=grid,
        brain=brain,
        tissue=np.where(brain, _likeliest(probabilities), np.uint8(Tissue.OUTSIDE)),
        probabilities=dict(probabilities),
        hemisphere=None if hemisphere is None else np.where(brain, hemisphere, np.uint8(Hemisphere.NEITHER)),
        record=record,
    )


def _sum(of_tissues: Iterable[Map]) -> Map:
    """Add maps up, without stacking them."""
    first, *others = of_tissues
    total = first.copy()
    for each in others:
        total += each
    return total


def _likeliest(probabilities: Mapping[Tissue, Map]) -> Labels:
    """Return the likeliest tissue of each voxel, the first of equals."""
    highest = np.full(next(iter(probabilities.values())).shape, -np.inf, np.float32)
    found = np.zeros(highest.shape, np.uint8)
    for tissue, probability in probabilities.items():
        found[probability > highest] = tissue
        np.maximum(highest, probability, out=highest)
    return found


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
