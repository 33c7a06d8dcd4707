"""How the points of one picture of a head lie in another, and whether to believe it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.alignment import Alignment
from bids_t1.registration.check import inspect, overlap, rotation, similarity, translation
from bids_t1.registration.images import coarser, moved, points_of, region
from bids_t1.registration.search import FEW_SLICES, PARAMETERS, register
from bids_t1.resampling import resample_flags

if TYPE_CHECKING:
    from bids_t1.data.alignment import HeadImage
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Affine

SMALLER = 0.7
"""Volume relative to that of the fixed image below which the moving image is the one that sees less."""


STILL = 0.1
"""Largest displacement of any part of the brain, in voxels, that is taken for none: registration is hardly better."""


def align(fixed: HeadImage, moving: HeadImage) -> Alignment:
    """Find where the points of the fixed image lie in the moving one.

    Parameters
    ----------
    fixed, moving : HeadImage
        Either may be a whole head, a slab or one slice, of any contrast. They are compared in and about the brain of
        the one that sees less. Where only one has a mask the other gets it on the way; where none has, all of the
        head counts.

    Returns
    -------
    Alignment
        Its `reasons` say why it must not be used: too little overlap, a motion that no head makes in a coil, or parts
        of the brain that do not fit each other after any rigid motion, as those of two persons.
    """
    edge = max(*fixed.grid.voxel_sizes, *moving.grid.voxel_sizes)
    fixed, moving = coarser(fixed), coarser(moving)
    turned_around = _volume(moving.grid) < SMALLER * _volume(fixed.grid)
    sampled, other = (moving, fixed) if turned_around else (fixed, moving)
    estimated = _determined(sampled, other)
    try:
        sampled, other, there = _registered(sampled, other, estimated)
    except _NothingInCommonError as error:
        return _none(str(error))
    headers_kept = _is_still(sampled, there, STILL * edge)
    there = np.eye(4) if headers_kept else there
    reasons, warnings = inspect(sampled, other, there)
    fixed, moving = (other, sampled) if turned_around else (sampled, other)
    matrix = np.linalg.inv(there) if turned_around else there
    return Alignment(
        matrix=matrix,
        estimated=estimated,
        headers_kept=headers_kept,
        rotation=rotation(matrix),
        translation=translation(matrix, points_of(fixed.grid, np.argwhere(region(fixed)))),
        overlap=overlap(fixed, moving, matrix),
        similarity_before=similarity(sampled, other, np.eye(4)),
        similarity_after=similarity(sampled, other, there),
        reasons=reasons,
        warnings=(*_of_few_slices(sampled, estimated), *warnings),
    )


class _NothingInCommonError(Exception):
    """Images that cannot be registered, and why."""


def _registered(
    sampled: HeadImage, other: HeadImage, estimated: tuple[str, ...]
) -> tuple[HeadImage, HeadImage, Affine]:
    """Return both images with a brain where one has it, and where the points of the first lie in the second."""
    if not (region(sampled).any() and region(other).any()):
        raise _NothingInCommonError("One of the images shows no head.")
    borrows = sampled.brain is None and other.brain is not None
    there = register(sampled, other, estimated, roughly=borrows)
    if there is None:
        raise _NothingInCommonError(
            "By their headers, and near to that, the images have no part of the brain in common."
        )
    if borrows:  # the whole head has told where it lies
        sampled = _with_brain_of(other, sampled, there)
        there = register(sampled, other, estimated, near=there) if region(sampled).any() else None
        if there is None:
            raise _NothingInCommonError("The images have no part of the brain in common.")
    if other.brain is None and sampled.brain is not None:
        other = _with_brain_of(sampled, other, np.linalg.inv(there))
    return sampled, other, there


def _with_brain_of(image: HeadImage, other: HeadImage, matrix: Affine) -> HeadImage:
    """Return the other image with the brain of one, by the matrix from the other's scanner coordinates to the one's."""
    return replace(other, brain=resample_flags(region(image), image.grid, other.grid, matrix))


def _is_still(sampled: HeadImage, matrix: Affine, limit: float) -> bool:
    """Tell whether a head moved by so little that to interpolate would do more harm than to leave it."""
    points = points_of(sampled.grid, np.argwhere(region(sampled)))
    moves = np.linalg.norm(moved(matrix, points) - points, axis=0)
    return bool(moves.max(initial=0) < limit)


def _volume(grid: Grid) -> float:
    return float(np.prod(grid.shape) * np.prod(grid.voxel_sizes))


def _determined(sampled: HeadImage, other: HeadImage) -> tuple[str, ...]:
    """Name the parameters that two images determine.

    One slice determines all six against a volume: where anatomy changes across slices, only one place fits. Two single
    slices determine what happens within them.
    """
    if min(*sampled.grid.shape) > FEW_SLICES or min(*other.grid.shape) > FEW_SLICES:
        return PARAMETERS
    across = "xyz"[int(np.argmin(sampled.grid.shape))]
    return tuple(name for name in PARAMETERS if name.startswith("rotation") == name.endswith(across))


def _of_few_slices(sampled: HeadImage, estimated: tuple[str, ...]) -> tuple[str, ...]:
    n_slices = min(*sampled.grid.shape)
    if n_slices > FEW_SLICES:
        return ()
    slices = "One slice was" if n_slices == 1 else f"{n_slices} slices were"
    if estimated != PARAMETERS:
        return (f"{slices} registered to another of few: motion across slices is taken from the headers.",)
    uncertain = "tilt and shift across it rest on how the anatomy changes, and are less certain than motion within it"
    return (f"{slices} registered to a volume: {uncertain}.",)


def _none(reason: str) -> Alignment:
    """Leave the images where the headers have them."""
    return Alignment(
        matrix=np.eye(4),
        estimated=(),
        rotation=0.0,
        translation=0.0,
        overlap=0.0,
        similarity_before=1.0,
        similarity_after=1.0,
        reasons=(reason,),
    )
