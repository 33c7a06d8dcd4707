"""Tissues by name, and what is said of T1 in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.deformation import Deformation
    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Labels, Map, VoxelFlags


class Tissue(IntEnum):
    """Indices of ``desc-tissue_dseg``, those of BIDS' common labels."""

    OUTSIDE = 0
    GREY_MATTER = 1
    WHITE_MATTER = 2
    FLUID = 3
    SUBCORTICAL_GREY_MATTER = 9

    @property
    def abbreviation(self) -> str:
        """BIDS' label, as in ``label-WM_probseg``."""
        return {0: "BG", 1: "GM", 2: "WM", 3: "CSF", 9: "SGM"}[self]

    @property
    def meaning(self) -> str:
        """What it is, in words."""
        return {
            0: "outside the brain",
            1: "cortical grey matter",
            2: "white matter",
            3: "cerebrospinal fluid",
            9: "subcortical grey matter",
        }[self]


TISSUES = (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.SUBCORTICAL_GREY_MATTER, Tissue.FLUID)
"""In the order of tables and figures."""


_NAMES = (
    # Words within a name, in lower case without spaces and dashes; the first that is found decides.
    (Tissue.SUBCORTICAL_GREY_MATTER, ("thalamus", "caudate", "putamen", "pallidum", "accumbens", "subcorticalgr",
                                      "deepgr")),
    # "Ventrical" is how the atlas HOSPA has it in places.
    (Tissue.FLUID, ("ventricle", "ventrical", "csf", "cerebrospinal", "choroidplexus")),
    (Tissue.WHITE_MATTER, ("whitematter", "corpuscallosum")),
    # Hippocampus and amygdala are older cortex: their T1 is like that of cortex, above that of the nuclei.
    (Tissue.GREY_MATTER, ("cortex", "corticalgr", "greymatter", "graymatter", "ctx", "hippocampus", "amygdala")),
)  # fmt: skip
"""Words that tell a structure's tissue, those of FreeSurfer and Harvard-Oxford among them."""

_ABBREVIATED = {
    "wm": Tissue.WHITE_MATTER,
    "gm": Tissue.GREY_MATTER,
    "cgm": Tissue.GREY_MATTER,
    "sgm": Tissue.SUBCORTICAL_GREY_MATTER,
    "csf": Tissue.FLUID,
}


def tissue_named(name: str) -> Tissue | None:
    """Return the tissue that a structure is made of, by its name in a table of labels; None where that is not known.

    Cerebellum and brain stem have no tissue of their own here, except for their white matter and cortex.
    """
    bare = "".join(letter for letter in name.lower() if letter.isalnum())
    if bare in _ABBREVIATED:
        return _ABBREVIATED[bare]
    found = (tissue for tissue, words in _NAMES if any(word in bare for word in words))
    return next(found, None)


class Hemisphere(IntEnum):
    """Side of the brain, the participant's own."""

    NEITHER = 0
    LEFT = 1
    RIGHT = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """The brain and its tissues on one grid."""

    grid: Grid
    brain: VoxelFlags
    """(x, y, z): brain with its fluid."""

    tissue: Labels
    """`Tissue` of each voxel, (x, y, z); 0 outside the brain."""

    probabilities: Mapping[Tissue, Map]
    """Of each tissue that is told apart, (x, y, z), float32; they sum to one in the brain."""

    hemisphere: Labels | None
    """`Hemisphere` of each voxel, (x, y, z); None where no template tells."""

    record: Mapping[str, object]
    """How mask and tissues came about: methods, templates, versions, in JSON types."""

    warnings: tuple[str, ...] = ()
    deformation: Deformation | None = None
    """Where the head lies in the template; None where it was not found there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionStatistics:
    """T1 of one map in one tissue."""

    map: str
    """File name of the map."""

    tissue: Tissue
    hemisphere: Hemisphere
    """`NEITHER` for both together."""

    eroded: bool
    """Whether voxels at the border of the tissue are left out."""

    n_voxels: int
    volume: float
    """Of these voxels [ml]."""

    not_fitted: float
    """Share of the voxels without an estimate, 0 to 1."""

    median: float | None
    mean: float | None
    sd: float | None
    quartile_1: float | None
    quartile_3: float | None
    percentile_5: float | None
    percentile_95: float | None
    """T1 over the voxels with an estimate [s]; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One map of T1 against that of inversion recovery in the same voxels."""

    map: str
    """File name of the map that is compared, in the space of the reference."""

    reference: str
    """File name of the map of inversion recovery."""

    tissue: Tissue | None
    """None for all tissues but fluid together."""

    eroded: bool
    n_voxels: int
    """With an estimate in both."""

    bias: float | None = None
    """Mean of map minus reference [s]; this and what follows is None below three voxels."""

    sd: float | None = None
    """SD of the difference [s]."""

    lower_limit: float | None = None
    upper_limit: float | None = None
    """Limits of agreement: bias -+ 1.96 SD [s]."""

    rmse: float | None = None
    """Root mean square of the difference [s]."""

    correlation: float | None = None
    """Pearson's."""

    ratio: float | None = None
    """Median of map over reference."""
