"""A digital head: tissues, relaxation and magnetisation on a scanner's oblique grid.

Every voxel holds one tissue, and has one T1, one M0, one inversion efficiency and one transmit field: they are
properties of the object, so the truth needs no convention about partial volume. The same seed gives the same head at
any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.head.anatomy import Atlas, Tissue, classify
from bids_t1_phantom.head.pose import Pose
from bids_t1_phantom.head.transmit import TransmitOptions, transmit_field
from bids_t1_phantom.head.variety import LESION_T1, Variety, draw, field_error
from bids_t1_phantom.physics.protocols import WHITE_MATTER_M0
from bids_t1_phantom.physics.two_pools import Pools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FIELD_OF_VIEW = (184.0, 240.0, 190.0)
"""Extent of the images, left-right, posterior-anterior, foot-head [mm]."""

_CENTRE = (0.0, -8.0, 20.0)
"""Centre of the field of view of a whole head, in the template's coordinates [mm]."""

_SLICE_CENTRE = (0.0, -8.0, 8.0)
"""Centre of a stack of few slices: at the height of the basal ganglia and ventricles [mm]."""

_OBLIQUITY = (-12.0, 3.0)
"""Tilt of the slices about the left-right axis and rotation about the foot-head axis [degree]."""

T1 = MappingProxyType(
    {
        # 3 T. White and grey matter: Wright 2008, doi 10.1007/s10334-008-0104-8; deep grey matter: the mean
        # of 56 published data sets. The rest are round numbers that make the head look right.
        Tissue.GREY_MATTER: 1.60,
        Tissue.WHITE_MATTER: 0.84,
        Tissue.FLUID: 4.0,
        Tissue.BONE: 0.40,
        Tissue.SOFT_TISSUE: 1.35,
        Tissue.DEEP_GREY_MATTER: 1.19,
        Tissue.FAT: 0.35,
        Tissue.EYE: 3.6,
    }
)
"""Mean T1 of each tissue [s]."""

T2_STAR = MappingProxyType(
    {
        # Round numbers for 3 T; iron shortens that of deep grey matter.
        Tissue.GREY_MATTER: 0.060,
        Tissue.WHITE_MATTER: 0.048,
        Tissue.FLUID: 0.5,
        Tissue.BONE: 0.005,
        Tissue.SOFT_TISSUE: 0.030,
        Tissue.DEEP_GREY_MATTER: 0.035,
        Tissue.FAT: 0.030,
        Tissue.EYE: 0.4,
    }
)
"""Mean T2* of each tissue [s]."""

_WATER = MappingProxyType(
    {
        Tissue.GREY_MATTER: 1.17,
        Tissue.WHITE_MATTER: 1.0,
        Tissue.FLUID: 1.43,
        Tissue.BONE: 0.10,
        Tissue.SOFT_TISSUE: 1.05,
        Tissue.DEEP_GREY_MATTER: 1.10,
        Tissue.FAT: 1.25,
        Tissue.EYE: 1.40,
    }
)
"""M0 of each tissue, relative to white matter: proton density and what T2 leaves of it at a short TE."""


BOUND_FRACTION = MappingProxyType(
    {
        # Protons bound to macromolecules over all protons. White matter 0.14 and grey matter 0.05: Stanisz et al. 2005,
        # doi 10.1002/mrm.20605. Deep grey matter lies between; the rest are round numbers.
        Tissue.GREY_MATTER: 0.065,
        Tissue.WHITE_MATTER: 0.135,
        Tissue.FLUID: 0.0,
        Tissue.BONE: 0.05,
        Tissue.SOFT_TISSUE: 0.05,
        Tissue.DEEP_GREY_MATTER: 0.095,
        Tissue.FAT: 0.0,
        Tissue.EYE: 0.0,
    }
)
"""Mean share of the bound pool in each tissue."""

_EXCHANGE = MappingProxyType(
    {
        # White matter so that its fast component has the 48 ms of Rioux et al. 2016, doi 10.1002/mrm.25729. Faster in
        # grey matter: Stanisz et al. 2005 (40 there, 23 in white matter).
        kind: {Tissue.WHITE_MATTER: 17.5, Tissue.GREY_MATTER: 25.0}.get(kind, 20.0)
        for kind in T1
    }
)
"""Mean rate from the bound to the free pool in each tissue [1/s]."""

_BOUND_RATE = 1.0
"""R1 of the bound pool [1/s]: the usual assumption, Henkelman et al. 1993, doi 10.1002/mrm.1910290607."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the voxels of an image are."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    """From voxel indices to scanner coordinates, RAS+ [mm]."""

    def points(self) -> NDArray[np.float64]:
        """Scanner coordinates of the voxel centres, array (3, x, y, z) [mm]."""
        indices = np.indices(self.shape, dtype=float)
        return np.tensordot(self.affine[:3, :3], indices, axes=1) + self.affine[:3, 3].reshape(3, 1, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One participant's head as it lies in the scanner: the truth of the phantom."""

    grid: Grid
    tissue: NDArray[np.uint8]
    """`Tissue` of each voxel, array (x, y, z)."""

    t1: NDArray[np.float64]
    """Longitudinal relaxation time [s]; NaN in air."""

    m0: NDArray[np.float64]
    """Signal at full magnetisation, with the receive profile [arbitrary]; 0 in air."""

    inversion_efficiency: NDArray[np.float64]
    """kappa = 1 - cos(inversion angle); NaN in air."""

    phase: NDArray[np.float64]
    """Phase of the transverse magnetisation at the echo [rad]."""

    t2_star: NDArray[np.float64]
    """Decay time of a gradient echo [s]; NaN in air."""

    off_resonance: NDArray[np.float64]
    """Smooth part of the static field, as a frequency [Hz]."""

    brain: NDArray[np.bool_]
    """Brain with its fluid."""

    transmit_field: NDArray[np.float64]
    """B1+, achieved over nominal flip angle, also in air."""

    pools: Pools | None = None
    """Free and bound water of each voxel, of which `t1` is the slow component; None where there is only free water."""

    variety: Variety | None = None
    """What differs beside T1; None where nothing does."""

    @property
    def lesion(self) -> NDArray[np.bool_] | None:
        """White matter that is lesion; None where there are no lesions."""
        return None if self.variety is None else self.variety.lesion & (self.tissue == Tissue.WHITE_MATTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadOptions:
    """How a head is made."""

    resolution: float = 2.0
    """Edge of the cubic voxels [mm]."""

    slices: int | None = None
    """Number of slices about the basal ganglia; None for the whole head."""

    slice_thickness: float | None = None
    """[mm]; None for cubic voxels."""

    pose: Pose = field(default_factory=Pose)
    """How the head lies, with everything that belongs to it: also transmit field, receive profile and phase."""

    efficiency_mean: float = 1.93
    efficiency_sd: float = 0.02
    """Mean and spatial standard deviation of kappa."""

    efficiency_offset: Mapping[Tissue, float] = field(default_factory=dict)
    """Added to kappa in some tissues, as magnetisation transfer does."""

    t1_spread: float = 0.03
    """Standard deviation of T1 and T2* within a tissue, and of their means between participants, relative."""

    bound_pool: bool = False
    """Whether tissues have a pool of bound protons, which IRT1, MP2RAGE and MP3RAGE feel."""

    varied: bool = False
    """Whether the bound pool, inversions and B1+ maps vary independently of T1, and there are lesions."""

    transmit: TransmitOptions = field(default_factory=TransmitOptions)
    """Range of B1+, which gradient-echo trains feel; the spin echoes of inversion recovery do not."""


def make_grid(options: HeadOptions) -> Grid:
    """Lay the voxels of an oblique axial scan.

    Raises
    ------
    InvalidInputError
        If the resolution or the number of slices is not possible.
    """
    if not 0.5 <= options.resolution <= 20:  # noqa: PLR2004 -- 0.5 mm is already 67 million voxels
        raise InvalidInputError(f"resolution {options.resolution} mm; expected 0.5 to 20 mm.")
    thickness = options.resolution if options.slice_thickness is None else options.slice_thickness
    if not options.resolution <= thickness <= 20:  # noqa: PLR2004
        raise InvalidInputError(
            f"slices of {thickness} mm; expected {options.resolution} mm, the edge of the voxels, to 20 mm."
        )
    edges = (options.resolution, options.resolution, thickness)
    width, depth, height = (round(extent / edge) for extent, edge in zip(FIELD_OF_VIEW, edges, strict=True))
    if options.slices is not None and not 1 <= options.slices <= height:
        raise InvalidInputError(f"{options.slices} slices of {thickness} mm; expected 1 to {height}, the whole head.")
    shape = (width, depth, options.slices or height)
    affine = np.eye(4)
    affine[:3, :3] = _rotation(*np.deg2rad(_OBLIQUITY)) * edges
    centre = np.array(_SLICE_CENTRE if options.slices else _CENTRE)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape=shape, affine=affine)


def make_head(atlas: Atlas, options: HeadOptions, *, seed: int, participant: int = 1, grid: Grid | None = None) -> Head:
    """Make the head of one participant; another number is another head of the same family.

    Parameters
    ----------
    atlas : Atlas
        The anatomy that all heads are deformed from (`anatomy.load_atlas`).
    options : HeadOptions
        Resolution, number of slices and how much heads vary.
    seed, participant : int
        Together they determine the head.
    grid : Grid, optional
        Where to look at it; what the options say unless given.
    """
    rng = np.random.default_rng([seed, participant])
    grid = make_grid(options) if grid is None else grid
    points = options.pose.at_rest(grid.points())
    template_points = _deform(points, rng)
    tissue = classify(atlas, template_points)
    own_t1 = {kind: T1[kind] * (1 + options.t1_spread * rng.standard_normal()) for kind in T1}
    texture = 1 + options.t1_spread * np.clip(_smooth_field(points, rng, spacing=22.0), -2.5, 2.5)
    t1 = _look_up(tissue, own_t1) * texture
    water = _look_up(tissue, {kind: WHITE_MATTER_M0 * _WATER[kind] for kind in T1}, air=0.0)
    receive = 1 + 0.06 * _smooth_field(points, rng, spacing=70.0)
    efficiency = options.efficiency_mean + options.efficiency_sd * _smooth_field(points, rng, spacing=40.0)
    efficiency += _look_up(tissue, {kind: options.efficiency_offset.get(kind, 0.0) for kind in T1})
    t2_star, off_resonance = _decay(points, tissue, options, seed=[seed, participant, 5])
    transmit = field_of(points, options.transmit, seed=seed, participant=participant)
    variety = draw(points, transmit, _smooth_field, seed=[seed, participant, 13]) if options.varied else None
    if variety is not None:
        t1 = np.where(variety.lesion & (tissue == Tissue.WHITE_MATTER), LESION_T1, 1.0) * t1
    return Head(
        grid=grid,
        tissue=tissue,
        t1=t1,
        m0=water * np.clip(receive, 0.7, 1.3),
        inversion_efficiency=np.clip(efficiency, 0.0, 2.0),
        phase=1.0 + 0.012 * (points[1] + 10) + 1.2 * _smooth_field(points, rng, spacing=60.0),
        t2_star=t2_star,
        off_resonance=off_resonance,
        brain=np.isin(tissue, [kind for kind in Tissue if kind.in_brain]),
        transmit_field=transmit,
        pools=_pools(points, tissue, t1, variety, seed=[seed, participant, 9]) if options.bound_pool else None,
        variety=variety,
    )


def sub_slices(grid: Grid) -> list[Grid]:
    """Cut the slices of a grid into thinner ones, about as thin as the voxels are wide; one grid per layer."""
    width, thickness = np.linalg.norm(grid.affine[:3, 0]), np.linalg.norm(grid.affine[:3, 2])
    count = max(1, round(float(thickness / width)))
    layers = []
    for position in (np.arange(count) + 0.5) / count - 0.5:
        affine = grid.affine.copy()
        affine[:3, 3] += position * affine[:3, 2]
        layers.append(Grid(shape=grid.shape, affine=affine))
    return layers


def _decay(
    points: NDArray[np.float64], tissue: NDArray[np.uint8], options: HeadOptions, *, seed: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return T2* and off-resonance, from a stream of their own like that of the transmit field."""
    rng = np.random.default_rng(seed)
    means = {kind: mean * (1 + options.t1_spread * rng.standard_normal()) for kind, mean in T2_STAR.items()}
    texture = 1 + options.t1_spread * np.clip(_smooth_field(points, rng, spacing=22.0), -2.5, 2.5)
    return _look_up(tissue, means) * texture, 15.0 * _smooth_field(points, rng, spacing=80.0)


def _pools(
    points: NDArray[np.float64],
    tissue: NDArray[np.uint8],
    t1: NDArray[np.float64],
    variety: Variety | None,
    *,
    seed: list[int],
) -> Pools:
    """Return pools that differ by up to 5 % between participants, and their fractions by 10 % within a tissue.

    What varies beside that is a factor of both.
    """
    rng = np.random.default_rng(seed)
    fractions = {kind: mean * rng.uniform(0.95, 1.05) for kind, mean in BOUND_FRACTION.items()}
    exchange = {kind: mean * rng.uniform(0.95, 1.05) for kind, mean in _EXCHANGE.items()}
    texture = 1 + 0.05 * np.clip(_smooth_field(points, rng, spacing=30.0), -2, 2)
    of_pool, of_exchange = (1.0, 1.0) if variety is None else (variety.pool, variety.exchange)
    return Pools.build(
        t1,
        bound_fraction=_look_up(tissue, fractions) * texture * of_pool,
        exchange=_look_up(tissue, exchange) * of_exchange,
        bound_rate=_BOUND_RATE,
    )


def field_of(
    points: NDArray[np.float64], options: TransmitOptions, *, seed: int, participant: int
) -> NDArray[np.float64]:
    """Return the transmit field in the head of one participant, at any points in scanner coordinates [mm]."""
    # A stream of its own, here and for each kind of noise: one does not depend on what another used.
    return transmit_field(points, options, seed=[seed, participant, 4])


def mapped_field_of(
    points: NDArray[np.float64], options: HeadOptions, *, seed: int, participant: int
) -> NDArray[np.float64]:
    """Return the transmit field that a map says: where heads are varied it has errors."""
    found = field_of(points, options.transmit, seed=seed, participant=participant)
    return found * field_error(points, _smooth_field, seed=[seed, participant, 14]) if options.varied else found


def parts_of(grid: Grid) -> list[Grid]:
    """Return four grids, a quarter of a voxel off in the directions of a tetrahedron: what a voxel averages."""
    parts = []
    for offset in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
        affine = grid.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ np.array(offset) / 4
        parts.append(Grid(shape=grid.shape, affine=affine))
    return parts


def _deform(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Template coordinates that lie under the scanner coordinates of one participant's head [mm]."""
    tilt, turn = np.deg2rad(rng.normal(0, 3, 2))
    offset = rng.normal(0, 2.5, 3)
    scale = rng.normal(1.0, 0.03, 3)
    moved = np.tensordot(np.diag(1 / scale) @ _rotation(tilt, turn).T, points - offset.reshape(3, 1, 1, 1), axes=1)
    coarse, fine = (
        np.stack([_smooth_field(points, rng, spacing=spacing) for _ in range(3)]) for spacing in (55.0, 20.0)
    )
    # Amplitudes that keep the map one to one: displacements change by less than a third of the distance.
    return np.asarray(moved + 2.5 * coarse + 1.0 * fine)


def _rotation(tilt: float, turn: float) -> NDArray[np.float64]:
    """Rotate about the left-right axis, then about the foot-head axis [rad]."""
    cx, sx, cz, sz = np.cos(tilt), np.sin(tilt), np.cos(turn), np.sin(turn)
    turned = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    tilted = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return np.asarray(turned @ tilted)


def _smooth_field(points: NDArray[np.float64], rng: np.random.Generator, *, spacing: float) -> NDArray[np.float64]:
    """Draw a smooth random field of unit variance: B-splines over random points `spacing` mm apart."""
    from scipy.ndimage import map_coordinates  # noqa: PLC0415 -- slow to import

    reach = 260.0
    control = rng.standard_normal((int(2 * reach / spacing) + 4,) * 3)
    # A sum of squared cubic B-splines averages 151/315 per axis.
    field = map_coordinates(control, (points + reach) / spacing, order=3, prefilter=False, mode="nearest")
    return np.asarray(field / (151 / 315) ** 1.5)


def _look_up(tissue: NDArray[np.uint8], values: Mapping[Tissue, float], *, air: float = np.nan) -> NDArray[np.float64]:
    table: NDArray[np.float64] = np.full(max(Tissue) + 1, air)
    for kind, value in values.items():
        table[kind] = value
    return np.asarray(table[tissue])
