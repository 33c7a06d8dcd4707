"""The estimation engine: what is decided once per image, then every chunk of voxels. Read `estimate` first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from scipy import stats

from bids_t1.compiling import COMPILES, WORTH_COMPILING, compiles_for_cards
from bids_t1.data.errors import InvalidInputError, NoSignalError
from bids_t1.data.estimate import Estimate, LearnedRatio, NoiseLevels, VoxelStatus
from bids_t1.data.signal_model import SurfaceModel
from bids_t1.estimation.chunks import CHUNK, choose_device, for_each_chunk, take_voxels
from bids_t1.estimation.curves.block import block_space
from bids_t1.estimation.curves.dictionary import Dictionary, build_dictionaries
from bids_t1.estimation.curves.lattice import FINE_PARTS, tabulate
from bids_t1.estimation.curves.open_signs import Fitted
from bids_t1.estimation.curves.polarity import (
    CLEAR_CALL,
    CLOSE_CALL,
    Solution,
    joined,
    real_part,
    solve_signed,
    solve_unsigned,
)
from bids_t1.estimation.curves.ratio_prior import learn_ratio_prior
from bids_t1.estimation.curves.refinement import TINY, Fit, Problem, predict
from bids_t1.estimation.curves.rician import refine_rician
from bids_t1.estimation.curves.surface import SurfaceAtoms, SurfaceFit, SurfaceProblem, solve_surface
from bids_t1.estimation.curves.surroundings import Choice, Surroundings
from bids_t1.estimation.curves.voxel import MAPS, Choices, Tables
from bids_t1.estimation.curves.voxels import Open, fit_voxels, joined_open, room_for_open
from bids_t1.estimation.noise import (
    FALSE_BACKGROUND,
    Background,
    find_background,
    noise_of_neighbours,
    remove_noise_floor,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Kind
    from bids_t1.data.shapes import Measurements, Signals, VoxelMask, Voxels
    from bids_t1.data.signal_model import SignalModel
    from bids_t1.estimation.curves.card import CardFit
    from bids_t1.estimation.curves.prior import RatioPrior

SAMPLE = 8_192
"""Voxels from which the noise and the ratio prior are learned."""

MIN_SAMPLE = 50
"""Voxels below which no ratio prior is learned."""

UNDECIDED = 0.05
"""Posterior probability of the second choice of signs from which a voxel is flagged."""

N_AXES = 3
"""Of an image, in which voxels have neighbours."""

MIN_SIGNAL_TO_NOISE = 3.0
"""Root mean square of the fit over the residual below which a voxel carries no estimate."""

PLAUSIBLE_SIGNAL_TO_NOISE = 20.0
"""Taken where neither background nor residuals tell the noise, to ask whether a choice of signs is one."""

BRIGHT = 0.1
"""Energy over that of the brightest voxels from which on a voxel is worth a hypothesis."""

LUCK = 0.01
"""Share of voxels whose residuals are smaller by chance than the smallest that a Rician fit is believed to have."""

MAX_BACKGROUND = 1.2
"""Background noise over typical residual up to which the two agree."""

AT_LIMIT = 1e-3
"""Relative distance to a limit of the search range, or of the ratio, that counts as being at it."""

CHUNKS_ON_CARD = 64
"""Chunks that the compiled fit does at once on a card."""

PART_OF_CHUNK = 1 / 4
"""Part of a chunk that it does at once on a processor: the last ones keep the threads busy that are done before."""

PART_OF_SAMPLE = 1 / 32
"""The same of the sample."""

NoiseHandling = Literal["floor", "gaussian", "rician"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationOptions:
    """The choices of one estimation."""

    time_range: tuple[float, float] = (0.02, 6.0)
    """Search range of the relaxation time [s]."""

    learn_ratio: bool = False
    """Whether a prior on the coefficient ratio is learned from the image and used."""

    noise: NoiseHandling = "floor"
    """What is done about the noise of magnitudes: its mean share taken off, nothing, or the Rician likelihood."""

    restore_polarity: bool = False
    """Whether the signs of real and complex data are set aside and chosen as for magnitudes."""

    background: Background | None = None
    """Noise of the whole image, where a part of it is estimated; None: found in what is estimated."""

    device: str = "auto"
    """auto, cpu or cuda."""

    n_threads: int = 1
    """Chunks computed side by side on a CPU; with more than one, set PyTorch's own threads to one."""

    compiles_from: int = WORTH_COMPILING
    """Voxels from which on the compiled fit is used; PyTorch, its reference, does fewer ones."""

    def for_residuals(self) -> EstimationOptions:
        """Return the options of a fit whose residuals are looked at, each voxel for itself.

        The Rician likelihood has no residuals; with the noise floor off they are nearly those of a signed signal.
        """
        return replace(self, learn_ratio=False, noise="floor" if self.noise == "rician" else self.noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Everything that is decided once, before the voxels."""

    model: SignalModel | SurfaceModel
    options: EstimationOptions
    kind: Kind
    device: torch.device
    dictionaries: tuple[Dictionary, ...]
    atoms: tuple[SurfaceAtoms, ...]
    """In place of dictionaries, where there is a second pool: one."""

    noise: NoiseLevels
    degrees_of_freedom: int
    prior: RatioPrior | None = None
    n_learned_from: int = 0
    tables: Tables | None = None
    """Those of the compiled fit, where the image is large enough for it."""

    compiled: tuple[Tables, Choices] | None = None
    """What the compiled fit needs, where it is the one that is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maps:
    """The maps of all voxels while they are being filled."""

    values: torch.Tensor
    """(map, voxel), laid out as voxels are fitted; what follows are its rows."""

    time: torch.Tensor
    time_sd: torch.Tensor
    amplitude: torch.Tensor
    ratio: torch.Tensor
    residual: torch.Tensor
    relative_error: torch.Tensor
    share: torch.Tensor
    status: torch.Tensor
    share_sd: torch.Tensor | None
    """None where there is no second pool whose share is unknown."""

    notes: dict[int, Open] | None
    """Of voxels whose signs are open, by the first voxel of each chunk; None where none are asked for."""

    @classmethod
    def room(cls, model: SignalModel | SurfaceModel, n_voxels: int, *, takes_notes: bool = False) -> _Maps:
        """Return room for the maps of so many voxels."""
        # NumPy asks for large pages, which are handed out in half the time.
        values = torch.from_numpy(np.empty((len(MAPS), n_voxels), np.float32))
        return cls(
            **dict(zip(MAPS, values, strict=True)),
            values=values,
            status=torch.from_numpy(np.empty(n_voxels, np.uint8)),
            share_sd=torch.empty(n_voxels) if isinstance(model, SurfaceModel) and _has_share(model) else None,
            notes={} if takes_notes else None,
        )

    def lay_out(self, chunk: slice) -> None:
        """Make some voxels those without an estimate."""
        self.values[:, chunk] = torch.nan
        if self.share_sd is not None:
            self.share_sd[chunk] = torch.nan

    def fit_of(self, voxels: torch.Tensor) -> Fit:
        """Return the fits of some voxels, without what only their uncertainty needs."""
        time, amplitude, ratio, share = (
            values[voxels].nan_to_num() for values in (self.time, self.amplitude, self.ratio, self.share)
        )
        none = torch.zeros_like(time)
        return Fit(time=time, amplitude=amplitude, ratio=ratio, cost=none, gradient=none, information=none, share=share)


def estimate(
    model: SignalModel | SurfaceModel,
    measurements: Measurements,
    kind: Kind,
    options: EstimationOptions,
    *,
    progress: Callable[[int], object] | None = None,
) -> Estimate:
    """Fit a signal model to every voxel.

    Parameters
    ----------
    model
        The sequence.
    measurements
        (measurement, *voxels), in the order of the model; magnitudes need rising inversion times.
    kind
        What the numbers are: magnitudes, signed real data, or complex data.
    options
        Choices of the estimation.
    progress
        Called with the number of voxels just done.

    Raises
    ------
    InvalidInputError
        If the measurements do not match the model, or no voxel has signal.
    UsageError
        If a device is asked for that is not there.
    """
    if len(measurements) != model.n_measurements:
        raise InvalidInputError(f"{len(measurements)} images for a model of {model.n_measurements} measurements.")
    plan = _prepare(model, measurements, kind, options)
    flat = measurements.reshape(len(measurements), -1)
    n_voxels = flat.shape[1]
    shape = measurements.shape[1:]
    maps = _Maps.room(model, n_voxels, takes_notes=_weighs_open_signs(plan, shape))
    fill, chunks_at_once = _way(plan, flat)
    for_each_chunk(
        n_voxels,
        lambda chunk: fill(plan, flat, maps, chunk),
        n_threads=options.n_threads if plan.device.type == "cpu" else 1,
        size=chunks_at_once,
        progress=progress,
    )
    _settle_open_signs(plan, flat, shape, maps)
    learned = None
    if plan.prior is not None:
        learned = LearnedRatio(
            times=plan.prior.knots,
            means=plan.prior.means,
            sd=plan.prior.sd,
            n_voxels=plan.n_learned_from,
        )
    return Estimate(
        **{name: getattr(maps, name).numpy().reshape(shape) for name in (*MAPS, "status")},
        share_sd=None if maps.share_sd is None else maps.share_sd.numpy().reshape(shape),
        degrees_of_freedom=plan.degrees_of_freedom,
        noise=plan.noise,
        learned_ratio=learned,
        device=str(plan.device),
    )


def _prepare(
    model: SignalModel | SurfaceModel, measurements: Measurements, kind: Kind, options: EstimationOptions
) -> _Plan:
    """Learn the noise, and the ratio prior where asked, from a regular sample of the voxels."""
    n_voxels = measurements[0].size
    plan, fitted = _begin(model, measurements, kind, options)
    if options.learn_ratio and model.n_coefficients > 1 and not isinstance(model, SurfaceModel):
        plan = _learn_ratio(plan, model, fitted.solution)
        plan = _tabulate(plan, n_voxels)
    return replace(plan, compiled=_compile(plan))


def _tabulate(plan: _Plan, n_voxels: int) -> _Plan:
    """Add the tables of the compiled fit where it can be used; elsewhere PyTorch does the same more slowly."""
    compiles = COMPILES if plan.device.type == "cpu" else compiles_for_cards()
    if not compiles or n_voxels < plan.options.compiles_from or isinstance(plan.model, SurfaceModel):
        return plan
    return replace(plan, tables=tabulate(plan.model, plan.options.time_range, plan.prior, plan.dictionaries))


def _compile(plan: _Plan) -> tuple[Tables, Choices] | None:
    """Prepare the compiled fit; None where it cannot be used."""
    is_rician = plan.kind == "magnitude" and _handling(plan) == "rician"
    if plan.tables is None or is_rician or isinstance(plan.model, SurfaceModel):
        return None
    return plan.tables, _choices(plan, plan.model, plan.tables)


def _choices(plan: _Plan, model: SignalModel, tables: Tables) -> Choices:
    """Write down for the compiled fit what is decided once per image."""
    noise, dof = plan.noise, plan.degrees_of_freedom
    is_magnitude = plan.kind == "magnitude"
    low, high = plan.options.time_range
    lowest, highest = math.log(low), math.log(high)
    n_atoms = len(plan.dictionaries[0].times)
    floor = noise.one_channel if is_magnitude and _handling(plan) == "floor" else None
    low_ratio, high_ratio = model.ratio_bounds
    return Choices(
        n_atoms=n_atoms,
        n_measurements=model.n_measurements,
        has_first=model.n_coefficients > 1,
        has_beside=model.companion is not None,
        has_prior=plan.prior is not None,
        is_unsigned=(is_magnitude or plan.options.restore_polarity) and model.changes_sign,
        lowest=lowest,
        low_time=low * (1 + AT_LIMIT),
        middle_time=(low * high) ** 0.5,
        high_time=high * (1 - AT_LIMIT),
        atom_step=(highest - lowest) / (n_atoms - 1),
        stretch=(highest - lowest) / len(tables.columns),
        fine_step=(highest - lowest) / len(tables.columns) / FINE_PARTS,
        low_ratio=float(low_ratio),
        high_ratio=float(high_ratio),
        prior_sd=1.0 if plan.prior is None else plan.prior.sd,
        threshold=0.0 if plan.kind == "complex" else _threshold(plan),
        noise_floor=-1.0 if floor is None else (2 * noise.coils - 1) * floor**2,
        makes_absolute=is_magnitude or plan.options.restore_polarity,
        noise_variance=_noise_sd(plan) ** 2,
        known_variance=(_floor(plan) or math.nan) ** 2,
        degrees_of_freedom=float(max(dof, 0)),
        least_noise=0.0 if dof > 0 or _floor(plan) else 1 / PLAUSIBLE_SIGNAL_TO_NOISE**2,
        close_call=CLOSE_CALL,
        clear_call=CLEAR_CALL,
        undecided=UNDECIDED,
        min_signal_to_noise=MIN_SIGNAL_TO_NOISE,
        at_limit=AT_LIMIT,
    )


def _begin(
    model: SignalModel | SurfaceModel, measurements: Measurements, kind: Kind, options: EstimationOptions
) -> tuple[_Plan, _FittedSample]:
    """Fit a regular sample of the voxels and learn the noise: of the background, where residuals bear it out."""
    background, n_voxels = options.background, measurements[0].size
    plan = _tabulate(_plan_with(model, kind, options), n_voxels)
    # Signed data need another noise than that of the residuals only where a fit leaves none.
    needs_noise = kind == "magnitude" or plan.degrees_of_freedom == 0
    if background is None and needs_noise and kind != "real":
        background = find_background(measurements, options.n_threads)
    plan = _with_background(plan, background)
    flat = measurements.reshape(len(measurements), -1)
    sample = _sample(plan, flat)
    plan, fitted = _with_residual(plan, sample)
    if (
        background is not None
        and plan.degrees_of_freedom > 0
        and background.sd > FALSE_BACKGROUND * plan.noise.residual
    ):
        background, plan = None, _with_background(plan, None)
        sample = _sample(plan, flat)
        plan, fitted = _with_residual(plan, sample)
    if background is None:
        return _without_air(plan, measurements, sample) if needs_noise else (plan, fitted)
    # Residuals hold the noise and more: a background above them is not the noise of the signal.
    if background.is_known and background.sd < MAX_BACKGROUND * plan.noise.residual:
        plan = replace(plan, noise=replace(plan.noise, is_known=True))
        plan, fitted = _with_residual(plan, sample)
    return plan, fitted


def _without_air(plan: _Plan, measurements: Measurements, sample: torch.Tensor) -> tuple[_Plan, _FittedSample]:
    """Take the noise of one channel from the residuals, or from neighbours where there are none, or they show less.

    Residuals hold what the model does not describe, neighbours hold structure: the smaller one is nearer the noise.
    """
    residual = plan.noise.residual if plan.degrees_of_freedom > 0 else math.inf
    magnitudes = measurements if plan.kind == "magnitude" else np.abs(measurements)
    neighbours = noise_of_neighbours(magnitudes, plan.options.n_threads)
    assumed = min(residual, math.inf if neighbours is None else neighbours)
    if math.isfinite(assumed):
        origin = plan.noise.origin if assumed == residual else "differences between neighbouring voxels"
        plan = replace(plan, noise=replace(plan.noise, assumed=assumed, origin=origin))
    return _with_residual(plan, sample)


def _plan_with(model: SignalModel | SurfaceModel, kind: Kind, options: EstimationOptions) -> _Plan:
    """Return what is decided before anything is known of the image."""
    device = choose_device(options.device)
    return _Plan(
        model=model,
        options=options,
        kind=kind,
        device=device,
        dictionaries=()
        if isinstance(model, SurfaceModel)
        else build_dictionaries(model, options.time_range, None, device),
        atoms=(SurfaceAtoms.build(model, options.time_range, device),) if isinstance(model, SurfaceModel) else (),
        noise=_noise_with(None),
        degrees_of_freedom=model.n_measurements - count_unknowns(model),
    )


def _with_background(plan: _Plan, background: Background | None) -> _Plan:
    """Enter the noise seen outside the head, or that there is none, before the first fit."""
    return replace(plan, noise=_noise_with(background))


def _noise_with(background: Background | None) -> NoiseLevels:
    return NoiseLevels(
        background=None if background is None else background.sd,
        is_known=False,
        coils=1.0 if background is None else background.coils,
        residual=0.0,
        origin="residuals of the fit" if background is None else "background of the magnitudes",
    )


def count_unknowns(model: SignalModel | SurfaceModel) -> int:
    """Return how many numbers of a voxel are free: coefficients, a time, the share of a second component or pool."""
    return model.n_coefficients + 1 + _has_share(model)


def _has_share(model: SignalModel | SurfaceModel) -> bool:
    """Tell whether the share of a second component or pool is an unknown."""
    if isinstance(model, SurfaceModel):
        return model.share_bounds[0] < model.share_bounds[1]
    return model.companion is not None


def fit_sample(
    model: SignalModel, measurements: Measurements, kind: Kind, options: EstimationOptions
) -> tuple[Solution, NoiseLevels]:
    """Fit a regular sample of the voxels, without what is learned from their fits.

    Parameters
    ----------
    measurements
        (measurement, *voxels).

    Raises
    ------
    InvalidInputError
        If no voxel has signal.
    """
    plan, fitted = _begin(model, measurements, kind, options)
    return fitted.solution, plan.noise


def fit_examples(
    model: SignalModel | SurfaceModel, measurements: Measurements, kind: Kind, options: EstimationOptions
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return flat indices of bright voxels at regular distances, and what a fit predicts there, (measurement, voxel).

    Raises
    ------
    InvalidInputError
        If no voxel has signal.
    """
    bench = set_up_bench(model, measurements, kind, options, SAMPLE)
    unsigned = kind == "magnitude" or options.restore_polarity
    fit = bench.fit(model, bench.signals, unsigned=unsigned)
    return bench.voxels, predict(model, fit).cpu().numpy()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """Bright voxels of an image, to fit again and again under other hypotheses."""

    images: torch.Tensor
    """Measurements of the voxels, (measurement, voxel)."""

    voxels: NDArray[np.intp]
    """Their flat indices."""

    plan: _Plan

    @property
    def noise_sd(self) -> float:
        """Noise of one channel, seen outside the head or between neighbours; zero where neither shows it."""
        return _floor(self.plan)

    @property
    def sees_noise(self) -> bool:
        """Whether noise is seen outside the head; structure counts as noise between neighbours."""
        return self.plan.noise.background is not None

    @property
    def signals(self) -> Signals:
        """Magnitudes or signed measurements."""
        return _signals(self.plan, self.images)

    def fit(self, model: SignalModel | SurfaceModel, signals: Signals, *, unsigned: bool) -> Fit:
        """Fit another model to signals, with the signs they have or free ones."""
        kind: Kind = "magnitude" if unsigned else "real"
        options = replace(self.plan.options, restore_polarity=False)
        plan = replace(_plan_with(model, kind, options), noise=self.plan.noise)
        return _solve(plan, signals).fit


def set_up_bench(
    model: SignalModel | SurfaceModel, measurements: Measurements, kind: Kind, options: EstimationOptions, n_voxels: int
) -> Bench:
    """Choose voxels as bright as tissue, at regular distances.

    Parameters
    ----------
    measurements
        (measurement, *voxels).

    Raises
    ------
    InvalidInputError
        If no voxel has signal.
    """
    plan, _ = _begin(model, measurements, kind, options.for_residuals())
    places, sample = _placed_sample(plan, measurements.reshape(len(measurements), -1))
    energy = sample.abs().square().sum(0)
    bright = torch.nonzero(energy > BRIGHT * energy.quantile(0.95)).squeeze(1)
    if kind != "magnitude":
        plan = replace(plan, noise=replace(plan.noise, assumed=noise_of_neighbours(np.abs(measurements))))
    chosen = bright[:: max(1, len(bright) // n_voxels)]
    return Bench(images=sample[:, chosen], voxels=places[chosen].cpu().numpy(), plan=plan)


def _sample(plan: _Plan, flat: Measurements) -> torch.Tensor:
    """Take voxels with signal at regular distances; of a large image, among every few voxels first."""
    return _placed_sample(plan, flat)[1]


def _placed_sample(plan: _Plan, flat: Measurements) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the same with their flat indices."""
    for step in (max(1, flat.shape[1] // (8 * SAMPLE)), 1):
        images = _load(plan, take_voxels(flat, slice(None, None, step), plan.options.n_threads))
        with_signal = torch.nonzero(_initial_status(plan, images) == VoxelStatus.FITTED).squeeze(1)
        if len(with_signal):
            chosen = with_signal[:: max(1, len(with_signal) // SAMPLE)]
            return step * chosen, images[:, chosen]
    raise NoSignalError("no voxel has a finite signal above the noise; expected images of a head or phantom.")


@dataclass(frozen=True, kw_only=True, eq=False)
class _FittedSample:
    """Voxels at regular distances that the model describes; what is not asked for is not fitted."""

    plan: _Plan
    images: torch.Tensor
    """Of the sample, (measurement, voxel)."""

    @cached_property
    def solution(self) -> Solution:
        """Their fits."""
        plan = self.plan
        solution = _solve(plan, _signals(plan, self.images))
        energy = solution.signals.square().sum(0)
        typical = _explains_signal(plan, solution.fit, energy) & ~_outside_range(plan, solution.fit.time)
        return solution.select(typical) if bool(typical.any()) else solution

    @cached_property
    def cost(self) -> Voxels:
        """Their squared residuals, by the compiled fit where the image is fitted by it."""
        plan = self.plan
        compiled = _compile(plan) if plan.device.type == "cpu" else None
        if compiled is None:
            return self.solution.fit.cost
        tables, choices = compiled
        # All were bright enough when they were chosen.
        plan = replace(plan, compiled=(tables, choices._replace(threshold=0.0)))
        images = self.images.numpy()
        maps = _Maps.room(plan.model, images.shape[1])
        for_each_chunk(
            images.shape[1],
            lambda chunk: _fill_compiled(plan, images, maps, chunk),
            n_threads=plan.options.n_threads,
            size=PART_OF_SAMPLE,
        )
        residual = maps.residual[maps.residual.isfinite()]
        return residual.square() * max(1, plan.degrees_of_freedom) if len(residual) else self.solution.fit.cost


def _with_residual(plan: _Plan, sample: torch.Tensor) -> tuple[_Plan, _FittedSample]:
    """Fit a sample of voxels and enter their typical residual, robust against those the model does not describe."""
    fitted = _FittedSample(plan=plan, images=sample)
    expected = stats.chi2(max(1, plan.degrees_of_freedom)).ppf(0.5)
    residual = float(torch.sqrt(fitted.cost.median() / expected))
    return replace(plan, noise=replace(plan.noise, residual=residual)), fitted


def _learn_ratio(plan: _Plan, model: SignalModel, solution: Solution) -> _Plan:
    """Learn the ratio prior from voxels whose residual is ordinary."""
    limit = plan.noise.residual**2 * stats.chi2(max(1, plan.degrees_of_freedom)).ppf(0.99)
    sample = solution.select(solution.fit.cost < limit)
    n_voxels = len(sample.fit.time)
    if n_voxels < MIN_SAMPLE:
        raise InvalidInputError(
            f"{n_voxels} voxels are clean enough to learn the inversion efficiency from; expected at least "
            f"{MIN_SAMPLE}. It can be free in every voxel instead.",
            remedy="ir_efficiency free",
        )
    prior = learn_ratio_prior(model, sample, plan.noise.residual, plan.options.time_range)
    return replace(
        plan,
        prior=prior,
        n_learned_from=n_voxels,
        dictionaries=build_dictionaries(model, plan.options.time_range, prior, plan.device),
        degrees_of_freedom=plan.degrees_of_freedom + 1,
    )


def _load(plan: _Plan, images: Measurements) -> torch.Tensor:
    """Copy measurements of some voxels to the device, in single precision."""
    precision = torch.complex64 if np.iscomplexobj(images) else torch.float32
    writable = images if images.flags.writeable else images.copy()
    return torch.from_numpy(writable).to(plan.device, precision).contiguous()


def _initial_status(plan: _Plan, images: torch.Tensor) -> torch.Tensor:
    """Say which voxels are worth fitting, from their measurements alone."""
    energy = (images * images.conj()).real.sum(0) if images.is_complex() else (images * images).sum(0)
    status = (energy > _threshold(plan)).to(torch.uint8) * int(VoxelStatus.FITTED)
    return torch.where(torch.isfinite(energy), status, int(VoxelStatus.NOT_FINITE))


def _threshold(plan: _Plan) -> float:
    """Return the energy that noise alone hardly reaches."""
    return float(_floor(plan) ** 2 * stats.chi2.ppf(1 - 1e-4, 2 * plan.model.n_measurements * plan.noise.coils))


def _floor(plan: _Plan) -> float:
    """Return the noise that a voxel must exceed: that of the background, else what is taken for it once it is known."""
    return plan.noise.background or plan.noise.assumed or 0.0


def _signals(plan: _Plan, images: torch.Tensor) -> Signals:
    """Turn measurements into magnitudes, or signed real numbers."""
    signals = real_part(images) if images.is_complex() else images
    if plan.kind != "magnitude":
        return signals.abs() if plan.options.restore_polarity else signals
    noise = plan.noise
    if _handling(plan) == "floor" and noise.one_channel is not None:
        return remove_noise_floor(signals, noise.one_channel, noise.coils)
    return signals.abs()


def _solve(plan: _Plan, signals: Signals) -> Solution:
    unsigned = (plan.kind == "magnitude" or plan.options.restore_polarity) and plan.model.changes_sign
    if isinstance(plan.model, SurfaceModel):
        (atoms,) = plan.atoms
        surface = SurfaceProblem(model=plan.model, atoms=atoms, noise_sd=_noise_sd(plan))
        return solve_surface(surface, signals, unsigned=unsigned)
    problem = Problem(model=plan.model, dictionaries=plan.dictionaries, prior=plan.prior, noise_sd=_noise_sd(plan))
    solution = solve_unsigned(problem, signals) if unsigned else solve_signed(problem, signals)
    if plan.kind == "magnitude" and _handling(plan) == "rician" and plan.noise.residual > 0:
        problem = replace(problem, noise_sd=_rician_sd(plan.noise))
        fit = refine_rician(problem, plan.options.time_range, signals, solution.fit)
        return replace(solution, fit=fit)
    return solution


def _noise_sd(plan: _Plan) -> float:
    """Return the typical noise: that of the residuals, or where a fit leaves none, of background or neighbours."""
    return plan.noise.residual if plan.degrees_of_freedom > 0 else _floor(plan)


def _handling(plan: _Plan) -> NoiseHandling:
    """Return what is done about the noise: a sum of squares over coils has no Rician likelihood, but a floor."""
    several = plan.noise.is_known and plan.noise.coils > 1
    return "floor" if several and plan.options.noise == "rician" else plan.options.noise


def _rician_sd(noise: NoiseLevels) -> float:
    return noise.background if noise.is_known and noise.background is not None else noise.residual


def _explains_signal(plan: _Plan, fit: Fit, energy: Voxels) -> VoxelMask:
    """Whether what the fit explains of the signal's energy stands clear of what it leaves."""
    explained = energy - fit.cost
    variance = fit.cost / max(1, plan.degrees_of_freedom)
    return explained / plan.model.n_measurements > MIN_SIGNAL_TO_NOISE**2 * variance


def _outside_range(plan: _Plan, time: Voxels) -> VoxelMask:
    low, high = plan.options.time_range
    return (time <= low * (1 + AT_LIMIT)) | (time >= high * (1 - AT_LIMIT))


def _estimate_chunk(plan: _Plan, flat: Measurements, maps: _Maps, chunk: slice) -> None:
    """Fill the maps of one chunk of voxels."""
    images = _load(plan, flat[:, chunk])
    initial = _initial_status(plan, images)
    maps.status[chunk] = initial.cpu()
    maps.lay_out(chunk)
    kept = torch.nonzero(initial == VoxelStatus.FITTED).squeeze(1)
    if not len(kept):
        return
    all_kept = len(kept) == len(initial)
    solution = _solve(plan, _signals(plan, images if all_kept else images[:, kept]))
    _write(plan, solution, maps, chunk if all_kept else chunk.start + kept.cpu())


def _write(
    plan: _Plan,
    solution: Solution,
    maps: _Maps,
    where: slice | torch.Tensor,
    favour: Voxels | None = None,
) -> None:
    """Fill the maps of some voxels; `favour` adds to the log odds of the second choice of signs."""
    fit, signals = solution.fit, solution.signals
    time_sd, share_sd, second_probability = _uncertainty(plan, solution, favour)
    energy = signals.square().sum(0)
    status = _final_status(plan, fit, energy, second_probability)
    values = {
        "time": fit.time,
        "time_sd": time_sd,
        "amplitude": fit.amplitude,
        "ratio": fit.ratio,
        "residual": torch.sqrt(fit.cost / max(1, plan.degrees_of_freedom)),
        "relative_error": torch.sqrt(fit.cost / energy),
        "share": fit.share,
    }
    if share_sd is not None and maps.share_sd is not None:
        values["share_sd"] = share_sd
    has_estimate = torch.isin(status, status.new_tensor([kind for kind in VoxelStatus if kind.has_estimate]))
    for name, value in values.items():
        getattr(maps, name)[where] = torch.where(has_estimate, value, torch.nan).cpu()
    maps.status[where] = status.cpu()


def _way(plan: _Plan, flat: Measurements) -> tuple[Callable[[_Plan, Measurements, _Maps, slice], None], float]:
    """Choose what fills the maps of some voxels: PyTorch, or the compiled fit; and of how many chunks at a time."""
    if plan.compiled is None:
        return _estimate_chunk, 1
    if plan.device.type == "cpu":
        return _fill_compiled, PART_OF_CHUNK
    from bids_t1.estimation.curves.card import TRIED, trusted  # noqa: PLC0415 - of a package that is not always there

    sample = _real_samples(plan, flat[:, :: max(1, flat.shape[1] // TRIED)])
    card = trusted(*plan.compiled, sample)
    return (_estimate_chunk, 1) if card is None else (partial(_fill_on_card, card), CHUNKS_ON_CARD)


def _fill_on_card(card: CardFit, plan: _Plan, flat: Measurements, maps: _Maps, chunk: slice) -> None:
    """Fill the maps of some voxels in one pass over them on the card."""
    images = _real_samples(plan, flat[:, chunk])
    values, status = maps.values[:, chunk].to(plan.device), maps.status[chunk].to(plan.device)
    card.fit(images, values, status)
    maps.values[:, chunk], maps.status[chunk] = values.cpu(), status.cpu()


def _fill_compiled(plan: _Plan, flat: Measurements, maps: _Maps, chunk: slice) -> None:
    """Fill the maps of one chunk of voxels in one pass over them."""
    if plan.compiled is None:
        return
    tables, choices = plan.compiled
    in_place = flat.dtype == np.float32 and flat.flags.c_contiguous
    images, first = (flat, 0) if in_place else (_real_samples(plan, flat[:, chunk]).numpy(), chunk.start)
    values, status = maps.values.numpy(), maps.status.numpy()
    found = room_for_open(tables, 0 if maps.notes is None else chunk.stop - chunk.start)
    space = block_space(tables), found
    n_open = fit_voxels(tables, choices, images, first, chunk.start, chunk.stop, values, status, *space)
    if maps.notes is not None:
        maps.notes[chunk.start] = Open._make(values[:n_open].copy() for values in found)


def _real_samples(plan: _Plan, flat: Measurements) -> torch.Tensor:
    """Return real samples of some voxels; complex ones without their phase, and as zeros where they hold no signal."""
    images = _load(plan, flat)
    if not images.is_complex():
        return images
    status = _initial_status(plan, images)
    signals = torch.where(status == VoxelStatus.FITTED, real_part(images), 0.0)
    return signals.masked_fill_(status == VoxelStatus.NOT_FINITE, torch.nan)


def _uncertainty(plan: _Plan, solution: Solution, favour: Voxels | None = None) -> tuple[Voxels, Voxels | None, Voxels]:
    """Return the SDs of relaxation time [s] and share, and the probability of the second choice of signs.

    Each choice has its Cramer-Rao bound at the voxel's own residual; where there are no residuals, at the noise of
    the background. The choices are weighed by the likelihood of their costs, at the image's typical residual or the
    voxel's own where that is larger: a voxel the model describes badly is not sure of its signs.
    """
    fit, second_fit, second_of = solution.fit, solution.second_fit, solution.second_of
    if plan.degrees_of_freedom > 0:
        variance = fit.cost / plan.degrees_of_freedom
    else:
        variance = torch.full_like(fit.cost, (_floor(plan) or torch.nan) ** 2)
    if plan.kind == "magnitude" and plan.options.noise == "rician":
        least = stats.chi2(max(1, plan.degrees_of_freedom)).ppf(LUCK) / max(1, plan.degrees_of_freedom)
        variance = variance.clamp_min(least * _rician_sd(plan.noise) ** 2)
    odds = _log_odds(plan, solution)
    second = torch.sigmoid(odds if favour is None else odds + favour)
    probability = torch.zeros_like(fit.time).index_put_((second_of,), second)

    def sd_of(value: Voxels, own: Voxels, other: Voxels, of_other: Voxels) -> Voxels:
        mixed = (1 - second) * own[second_of] + second * of_other
        own[second_of] = mixed + second * (1 - second) * (value[second_of] - other).square()
        return own.sqrt_()

    def time_variance(of: Fit, noise: Voxels) -> Voxels:
        return of.time.square() * noise / of.information

    second_noise = variance[second_of]
    time_sd = sd_of(fit.time, time_variance(fit, variance), second_fit.time, time_variance(second_fit, second_noise))
    if not (isinstance(fit, SurfaceFit) and isinstance(second_fit, SurfaceFit)):
        return time_sd, None, probability
    of_share, of_second = variance / fit.share_information, second_noise / second_fit.share_information
    return time_sd, sd_of(fit.share, of_share, second_fit.share, of_second), probability


def _unexplained(plan: _Plan, solution: Solution) -> Voxels:
    """Return the noise variance by which choices of signs are weighed, in voxels that have a second one."""
    cost = torch.minimum(solution.fit.cost[solution.second_of], solution.second_fit.cost)
    unexplained = (cost / max(1, plan.degrees_of_freedom)).clamp_min_(max(_noise_sd(plan) ** 2, TINY))
    if plan.degrees_of_freedom == 0 and not _floor(plan):
        energy = solution.signals[:, solution.second_of].square().mean(0)
        unexplained = torch.maximum(unexplained, energy / PLAUSIBLE_SIGNAL_TO_NOISE**2)
    return unexplained


def _log_odds(plan: _Plan, solution: Solution) -> Voxels:
    """Return the log odds of the second choice of signs by the data of each voxel that has one."""
    difference = solution.fit.cost[solution.second_of] - solution.second_fit.cost
    return difference / (2 * _unexplained(plan, solution))


def _weighs_open_signs(plan: _Plan, shape: tuple[int, ...]) -> bool:
    """Tell whether what surrounds a voxel may say something about its signs.

    What has no three axes is no image, and a voxel nothing around it. Where there are no more samples than unknowns
    every choice explains them: voxels would confirm one another.
    """
    is_rician = plan.kind == "magnitude" and _handling(plan) == "rician"
    is_curve = not isinstance(plan.model, SurfaceModel)
    return is_curve and not is_rician and len(shape) == N_AXES and plan.degrees_of_freedom > 0


def _open_voxels(maps: _Maps) -> torch.Tensor:
    """Return flat indices of the voxels whose own data leave both choices of signs open."""
    return torch.from_numpy(np.flatnonzero(maps.status.numpy() == VoxelStatus.POLARITY_UNDECIDED))


def _notes_beside_card(plan: _Plan, flat: Measurements, maps: _Maps) -> dict[int, Open]:
    """Return what the processor finds in voxels that a card has left open."""
    voxels = _open_voxels(maps).numpy()
    images = _real_samples(plan, flat[:, voxels]).cpu().numpy()
    again = _Maps.room(plan.model, len(voxels), takes_notes=True)
    for_each_chunk(
        len(voxels), lambda chunk: _fill_compiled(plan, images, again, chunk), n_threads=plan.options.n_threads
    )
    notes = again.notes or {}
    return {start: found._replace(voxel=voxels[found.voxel]) for start, found in notes.items()}


def _settle_open_signs(plan: _Plan, flat: Measurements, shape: tuple[int, ...], maps: _Maps) -> None:
    """Choose with what surrounds a voxel where its own data leave two choices of signs open.

    Voxels whose own data decide stay as they are.
    """
    if not _weighs_open_signs(plan, shape) or isinstance(plan.model, SurfaceModel):
        return
    if plan.compiled is None:
        _settle_plainly(plan, plan.model, flat, shape, maps)
        return
    notes = maps.notes if plan.device.type == "cpu" else _notes_beside_card(plan, flat, maps)
    found = joined_open([notes[start] for start in sorted(notes)]) if notes else None
    if found is not None and len(found.voxel):
        _fitted(plan.compiled, plan, shape, maps).settle(found)


def _settle_plainly(plan: _Plan, model: SignalModel, flat: Measurements, shape: tuple[int, ...], maps: _Maps) -> None:
    """Do the same in PyTorch."""
    open_voxels = _open_voxels(maps)
    if not len(open_voxels):
        return
    solution = _solve_again(plan, flat, open_voxels)
    open_voxels = open_voxels[solution.second_of]
    if not len(open_voxels):  # what one way of computing leaves open another may decide
        return
    solution = solution.select(torch.isin(torch.arange(len(solution.fit.time)), solution.second_of))
    own, norm = _log_odds(plan, solution), _norm(solution.signals)
    surroundings = Surroundings(
        shape=shape,
        open_voxels=open_voxels,
        has_estimate=maps.time.isfinite(),
        predict=lambda voxels: _normalised(predict(model, maps.fit_of(voxels))),
        variance=_unexplained(plan, solution) / norm.square(),
    )
    first, second = (
        Choice(signals=signals / norm, predicted=_normalised(predict(model, fit)))
        for signals, fit in ((solution.signals, solution.fit), (solution.second_signals, solution.second_fit))
    )
    favour = surroundings.weigh(first, second, own)
    wins = own + favour > 0
    _write(plan, solution.exchanged(wins), maps, open_voxels, torch.where(wins, -favour, favour))


def _fitted(compiled: tuple[Tables, Choices], plan: _Plan, shape: tuple[int, ...], maps: _Maps) -> Fitted:
    """Return what the compiled weighing of open signs needs."""
    tables, choices = compiled
    return Fitted(
        tables=tables,
        choices=choices,
        shape=(shape[0], shape[1], shape[2]),
        maps=maps.values.numpy(),
        status=maps.status.numpy(),
        n_threads=plan.options.n_threads,
    )


def _normalised(signals: Signals) -> Signals:
    return signals / _norm(signals)


def _norm(signals: Signals) -> Voxels:
    return signals.square().sum(0).sqrt().clamp_min(TINY)


def _solve_again(plan: _Plan, flat: Measurements, voxels: torch.Tensor) -> Solution:
    """Return both choices of signs of some voxels, on the processor."""
    chunks = (voxels[start : start + CHUNK].numpy() for start in range(0, len(voxels), CHUNK))
    return joined([_solve(plan, _signals(plan, _load(plan, flat[:, chunk]))).cpu() for chunk in chunks])


def _final_status(plan: _Plan, fit: Fit, energy: Voxels, second_probability: Voxels) -> torch.Tensor:
    """Give each fitted voxel the most serious thing there is to say about it."""
    low, high = plan.options.time_range
    status = torch.full_like(fit.time, VoxelStatus.FITTED, dtype=torch.uint8)
    if plan.model.n_coefficients > 1:
        lowest, highest = plan.model.ratio_bounds
        at_bound = (fit.ratio <= lowest + AT_LIMIT) | (fit.ratio >= highest - AT_LIMIT)
        status.masked_fill_(at_bound, VoxelStatus.RATIO_AT_BOUND)
    if isinstance(plan.model, SurfaceModel) and _has_share(plan.model):
        least, most = plan.model.share_bounds
        at_bound = (fit.share <= least) | (fit.share >= most)
        status.masked_fill_(at_bound, VoxelStatus.SHARE_AT_BOUND)
    status.masked_fill_(second_probability > UNDECIDED, VoxelStatus.POLARITY_UNDECIDED)
    status.masked_fill_(~_explains_signal(plan, fit, energy), VoxelStatus.SIGNAL_TOO_LOW)
    outside = _outside_range(plan, fit.time)
    middle = (low * high) ** 0.5
    status.masked_fill_(outside & (fit.time < middle), VoxelStatus.BELOW_RANGE)
    return status.masked_fill_(outside & (fit.time > middle), VoxelStatus.ABOVE_RANGE)
