"""How two images of one head lie to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Affine, Map, VoxelFlags


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadImage:
    """A T1-weighted picture of a head, made from the maps of one run: what masks and alignments look at."""

    values: Map
    """(x, y, z), float32, 0 where there is nothing, no NaN, arbitrary units."""

    grid: Grid
    brain: VoxelFlags | None = None
    """(x, y, z); None where it is not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alignment:
    """Where the points of a fixed image (inversion recovery) lie in a moving one, and whether to trust it."""

    matrix: Affine
    """Scanner coordinates of the fixed image to those of the moving one [mm], right-anterior-superior, rigid."""

    estimated: tuple[str, ...]
    """Parameters that the images determine, such as ``rotation x`` or ``translation z``; others stay as in the
    headers."""

    headers_kept: bool = False
    """Whether the images lie to each other as the headers say, within a tenth of a voxel; `matrix` is that of no
    motion then, so that nothing has to be interpolated."""

    rotation: float
    """Angle of the matrix [degree]."""

    translation: float
    """How far it moves the centre of the fixed brain [mm]."""

    overlap: float
    """Share of the fixed brain, within the field of view of the moving image, that lies in the moving brain."""

    similarity_before: float
    similarity_after: float
    """Normalised mutual information within the fixed brain, by the headers alone and by `matrix`."""

    reasons: tuple[str, ...] = ()
    """Why it must not be used, in words for the page; empty where it can be trusted."""

    warnings: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether maps may be compared through it."""
        return not self.reasons
