"""The shape of the head: which tissue is where, in the coordinates of the MNI152 template.

Grey and white matter are the ICBM 2009a maps in nilearn's wheel. Everything else is geometry: ellipsoids
for deep nuclei, eyes and cavities, and shells at measured distances from the brain for fluid, bone, fat
and skin.
Coordinates are RAS+ in mm; x is mirrored, so one ellipsoid stands for a left and a right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Tissue(IntEnum):
    """Indices of the segmentation; 0 to 5 and 9 are those of BIDS' common labels."""

    AIR = 0
    GREY_MATTER = 1
    WHITE_MATTER = 2
    FLUID = 3
    BONE = 4
    SOFT_TISSUE = 5
    DEEP_GREY_MATTER = 9
    FAT = 12
    EYE = 13

    @property
    def abbreviation(self) -> str:
        """The label as tables and file names give it."""
        return _ABBREVIATIONS[self]

    @property
    def in_brain(self) -> bool:
        """Whether the tissue counts as brain; fluid does."""
        return self in _BRAIN


_BRAIN = frozenset({Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.FLUID, Tissue.DEEP_GREY_MATTER})

_ABBREVIATIONS = {
    Tissue.AIR: "BG", Tissue.GREY_MATTER: "GM", Tissue.WHITE_MATTER: "WM", Tissue.FLUID: "CSF",
    Tissue.BONE: "B",
    Tissue.SOFT_TISSUE: "ST", Tissue.DEEP_GREY_MATTER: "SGM", Tissue.FAT: "FAT", Tissue.EYE: "EYE",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """Maps in template space, arrays (x, y, z)."""

    affine: NDArray[np.float64]
    grey_matter: NDArray[np.float32]
    white_matter: NDArray[np.float32]
    inside: NDArray[np.float32]
    """1 in the brain with its fluid, 0 outside."""

    distance: NDArray[np.float32]
    """Distance from the smooth hull of the brain, negative inside [mm]."""


@dataclass(frozen=True, slots=True)
class _Ellipsoid:
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Roughly the distance to the surface, negative inside [mm]."""
        mirrored = np.stack([np.abs(points[0]), points[1], points[2]])
        scaled = (mirrored - np.reshape(self.centre, (3, 1, 1, 1))) / np.reshape(self.radii, (3, 1, 1, 1))
        return np.asarray((np.sqrt(np.sum(scaled**2, axis=0)) - 1) * min(self.radii))


_DEEP_GREY = (
    _Ellipsoid((12, 13, 5), (5.5, 10, 10)),  # head of the caudate nucleus
    _Ellipsoid((16, -3, 20), (4, 15, 5)),  # its body
    _Ellipsoid((27, 4, 1), (5, 17, 11)),  # putamen
    _Ellipsoid((20, -4, -1), (5, 9, 7)),  # globus pallidus
    _Ellipsoid((12, -18, 7), (9, 15, 9)),  # thalamus
)
_FACE = (
    _Ellipsoid((0, 38, -52), (62, 48, 70)),
    _Ellipsoid((0, 84, -42), (13, 20, 26)),  # nose
    _Ellipsoid((0, 40, -105), (52, 46, 44)),  # jaw
    _Ellipsoid((0, -42, -100), (60, 66, 90)),  # neck
    _Ellipsoid((80, -18, -38), (9, 15, 26)),  # ears
)
_EYE = _Ellipsoid((32, 60, -36), (12, 12, 12))
_ORBIT = _Ellipsoid((30, 48, -36), (17, 28, 16))
_CAVITIES = (
    _Ellipsoid((6, 55, -50), (4.5, 32, 17)),  # nose
    _Ellipsoid((28, 46, -66), (12, 14, 12)),  # maxillary sinus
    _Ellipsoid((0, 22, -34), (10, 9, 8)),  # sphenoid sinus
    _Ellipsoid((8, 74, -12), (9, 4, 9)),  # frontal sinus
    _Ellipsoid((52, -38, -46), (7, 11, 9)),  # mastoid cells
    _Ellipsoid((0, 8, -70), (11, 8, 26)),  # pharynx
)

# Distances from the hull of the brain, outwards [mm].
_FLUID_DEPTH = 2.0
_MARROW = (4.0, 7.0)
_SKULL = 9.0
_HEAD = 15.0
_SKULL_BASE = -20.0
"""Height below which the skull has no marrow [mm]."""

# Depths below the surface of the head [mm].
_SKIN = 1.8
_SCALP = 5.5

_WALL = 1.5
"""Thickness of the wall of eyes and cavities [mm]."""

_EMPTY = 0.05
"""Least intensity of the template, of at most 1, that is brain."""

_HALF = 0.5


def load_atlas() -> Atlas:
    """Read the template's tissue maps from nilearn's wheel (no network) and measure around its brain."""
    from nilearn.datasets import (  # noqa: PLC0415 -- seconds to import
        load_mni152_gm_template,
        load_mni152_template,
        load_mni152_wm_template,
    )
    from scipy import ndimage  # noqa: PLC0415

    # The maps are stored at 1 mm; every other voxel is enough for a head that is deformed and sampled anew.
    step, padding = 2, [(4, 4), (4, 4), (0, 12)]  # room for the scalp
    template = load_mni152_template(resolution=1)
    whole, grey, white = (
        np.pad(np.asarray(image.dataobj, dtype=np.float32)[::step, ::step, ::step], padding)
        for image in (template, load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    )
    affine = template.affine @ np.diag([step, step, step, 1.0])
    affine[:3, 3] -= affine[:3, :3] @ [first for first, _ in padding]
    inside = ndimage.binary_fill_holes(ndimage.binary_closing(whole > _EMPTY, iterations=2))
    hull = ndimage.binary_closing(np.pad(inside, 8), iterations=7)[8:-8, 8:-8, 8:-8]
    outward = ndimage.distance_transform_edt(~hull) - ndimage.distance_transform_edt(hull)
    distance = ndimage.gaussian_filter(outward * step, sigma=1.5)
    return Atlas(
        affine=affine,
        grey_matter=grey,
        white_matter=white,
        inside=inside.astype(np.float32),
        distance=distance.astype(np.float32),
    )


def classify(atlas: Atlas, points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Name the tissue at each point.

    Parameters
    ----------
    atlas : Atlas
        From `load_atlas`.
    points : array (3, x, y, z)
        Template coordinates [mm].

    Returns
    -------
    array (x, y, z)
        `Tissue` of each point.
    """
    distance = _sample(atlas.distance, atlas, points)
    tissue = _outside_the_brain(points, distance)
    grey, white, inside = (
        _sample(each, atlas, points) for each in (atlas.grey_matter, atlas.white_matter, atlas.inside)
    )
    # Fluid also fills the 2 mm between brain and skull, and whatever of the brain is neither grey nor white.
    brain = np.argmax(np.stack([grey, white, 1.15 * (1 - grey - white)]), axis=0).astype(np.uint8)
    brain = np.array([Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.FLUID], dtype=np.uint8)[brain]
    brain[inside < _HALF] = Tissue.FLUID
    nuclei = np.min([each.distance(points) for each in _DEEP_GREY], axis=0) < 0
    brain[nuclei & (brain != Tissue.FLUID)] = Tissue.DEEP_GREY_MATTER
    return np.where((distance < _FLUID_DEPTH) | (inside > _HALF), brain, tissue).astype(np.uint8)


def _outside_the_brain(points: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Skull, scalp, face and neck, from the outside in: what comes later overwrites."""
    surface = distance - _HEAD
    for part in _FACE:
        surface = _smooth_union(surface, part.distance(points), 12.0)
    tissue = np.full(distance.shape, Tissue.AIR, dtype=np.uint8)
    tissue[surface < 0] = Tissue.SOFT_TISSUE
    tissue[(surface < -_SKIN) & (surface > -_SCALP)] = Tissue.FAT
    tissue[(_ORBIT.distance(points) < 0) & (surface < -_SKIN)] = Tissue.FAT
    tissue[distance < _SKULL] = Tissue.BONE
    tissue[(distance > _MARROW[0]) & (distance < _MARROW[1]) & (points[2] > _SKULL_BASE)] = Tissue.FAT
    eye = _EYE.distance(points)
    tissue[eye < _WALL] = Tissue.SOFT_TISSUE
    tissue[eye < 0] = Tissue.EYE
    cavities = np.min([each.distance(points) for each in _CAVITIES], axis=0)
    tissue[(cavities < _WALL) & (surface < 0)] = Tissue.SOFT_TISSUE
    tissue[cavities < 0] = Tissue.AIR
    return tissue


def _smooth_union(first: NDArray[np.float64], second: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Distance to the union of two shapes whose joint is rounded over `width` mm."""
    blend = np.clip(0.5 + 0.5 * (second - first) / width, 0, 1)
    return np.asarray(second * (1 - blend) + first * blend - width * blend * (1 - blend))


def _sample(volume: NDArray[np.float32], atlas: Atlas, points: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import map_coordinates  # noqa: PLC0415

    to_index = np.linalg.inv(atlas.affine)
    indices = np.tensordot(to_index[:3, :3], points, axes=1) + to_index[:3, 3].reshape(3, 1, 1, 1)
    return np.asarray(map_coordinates(volume, indices, order=1, mode="nearest"), dtype=float)
