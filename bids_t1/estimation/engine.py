"""The estimation engine: what is decided once per image, then every chunk of voxels. Read `estimate` first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from scipy import stats

from bids_t1.data.errors import InvalidInputError, UsageError
from bids_t1.data.estimate import Estimate, LearnedRatio, NoiseLevels, VoxelStatus
from bids_t1.estimation.dictionary import Dictionary, build_dictionary
from bids_t1.estimation.noise import find_background, remove_noise_floor
from bids_t1.estimation.polarity import Solution, real_part, solve_signed, solve_unsigned
from bids_t1.estimation.ratio_prior import RatioPrior, learn_ratio_prior
from bids_t1.estimation.refinement import TINY, Problem
from bids_t1.estimation.rician import refine_rician

if TYPE_CHECKING:
    from collections.abc import Callable

    from bids_t1.data.shapes import Measurements, Signals, VoxelMask, Voxels
    from bids_t1.data.signal_model import SignalModel

CHUNK = 16_384
"""Voxels at a time. Fixed, so that the same input gives the same bits whatever memory there is."""

SAMPLE = 8_192
"""Voxels from which the noise and the ratio prior are learned."""

MIN_SAMPLE = 50
"""Voxels below which no ratio prior is learned."""

UNDECIDED = 0.05
"""Posterior probability of the second choice of signs from which a voxel is flagged."""

MIN_SIGNAL_TO_NOISE = 3.0
"""Root mean square of the fit over the residual below which a voxel carries no estimate."""

MAX_BACKGROUND = 1.2
"""Background noise over typical residual up to which the two agree."""

AT_LIMIT = 1e-3
"""Relative distance to a limit of the search range, or of the ratio, that counts as being at it."""

DataKind = Literal["magnitude", "real", "complex"]
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

    device: str = "auto"
    """auto, cpu or cuda."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Everything that is decided once, before the voxels."""

    model: SignalModel
    options: EstimationOptions
    kind: DataKind
    device: torch.device
    dictionary: Dictionary
    noise: NoiseLevels
    degrees_of_freedom: int
    prior: RatioPrior | None = None
    n_learned_from: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maps:
    """The maps of some voxels while they are being filled."""

    time: np.ndarray
    time_sd: np.ndarray
    amplitude: np.ndarray
    ratio: np.ndarray
    residual: np.ndarray
    relative_error: np.ndarray
    status: np.ndarray


def estimate(
    model: SignalModel,
    measurements: Measurements,
    kind: DataKind,
    options: EstimationOptions,
    *,
    progress: Callable[[int], None] | None = None,
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
    _keep_freed_memory()
    flat = measurements.reshape(len(measurements), -1)
    plan = _prepare(model, flat, kind, options)
    n_voxels = flat.shape[1]
    single = {name: np.full(n_voxels, np.nan, np.float32) for name in _Maps.__slots__ if name != "status"}
    maps = _Maps(**single, status=np.zeros(n_voxels, np.uint8))
    for start in range(0, n_voxels, CHUNK):
        chunk = slice(start, min(start + CHUNK, n_voxels))
        _estimate_chunk(plan, flat[:, chunk], maps, start)
        if progress is not None:
            progress(chunk.stop - chunk.start)
    shape = measurements.shape[1:]
    learned = None
    if plan.prior is not None:
        learned = LearnedRatio(
            times=plan.prior.knots,
            means=plan.prior.means,
            sd=plan.prior.sd,
            n_voxels=plan.n_learned_from,
        )
    return Estimate(
        **{name: getattr(maps, name).reshape(shape) for name in _Maps.__slots__},
        degrees_of_freedom=plan.degrees_of_freedom,
        noise=plan.noise,
        learned_ratio=learned,
        device=str(plan.device),
    )


def _keep_freed_memory() -> None:
    """Let the allocator reuse what chunks free, where it would give it back to the system and fetch it again.

    The GNU allocator raises its threshold for doing so to the size of the largest block freed so far, up to 32 MB;
    a block that is never touched costs nothing. Without this, a third of the time goes into fresh pages.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def choose_device(wanted: str) -> torch.device:
    """Return the device to compute on.

    Raises
    ------
    UsageError
        If CUDA is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device is cuda, but PyTorch finds no CUDA device here; use --device cpu or auto.")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def _prepare(model: SignalModel, flat: Measurements, kind: DataKind, options: EstimationOptions) -> _Plan:
    """Learn the noise, and the ratio prior where asked, from a regular sample of the voxels."""
    device = choose_device(options.device)
    background = find_background(flat) if kind == "magnitude" else None
    plan = _Plan(
        model=model,
        options=options,
        kind=kind,
        device=device,
        dictionary=build_dictionary(model, options.time_range, None, device),
        noise=NoiseLevels(background=None if background is None else background.sd, is_rician=False, residual=0.0),
        degrees_of_freedom=model.n_measurements - model.n_coefficients - 1,
    )
    with_signal = np.flatnonzero(_initial_status(plan, flat) == VoxelStatus.FITTED)
    if not len(with_signal):
        raise InvalidInputError("no voxel has a finite signal above the noise; expected images of a head or phantom.")
    sample = flat[:, with_signal[:: max(1, len(with_signal) // SAMPLE)]]
    plan, solution = _with_residual(plan, sample)
    # Residuals hold the noise and more: a background above them is not the noise of the signal.
    if background is not None and background.is_rician and background.sd < MAX_BACKGROUND * plan.noise.residual:
        plan, solution = _with_residual(replace(plan, noise=replace(plan.noise, is_rician=True)), sample)
    if options.learn_ratio and model.n_coefficients > 1:
        plan = _learn_ratio(plan, solution)
    return plan


def _with_residual(plan: _Plan, sample: Measurements) -> tuple[_Plan, Solution]:
    """Fit a sample of voxels and enter their typical residual, robust against those the model does not describe."""
    solution = _solve(plan, _load(plan, sample))
    typical = _explains_signal(plan, solution) & ~_outside_range(plan, solution.fit.time)
    if bool(typical.any()):
        solution = solution.select(typical)
    expected = stats.chi2(max(1, plan.degrees_of_freedom)).ppf(0.5)
    residual = float(torch.sqrt(solution.fit.cost.median() / expected))
    return replace(plan, noise=replace(plan.noise, residual=residual)), solution


def _learn_ratio(plan: _Plan, solution: Solution) -> _Plan:
    """Learn the ratio prior from voxels whose residual is ordinary."""
    limit = plan.noise.residual**2 * stats.chi2(max(1, plan.degrees_of_freedom)).ppf(0.99)
    sample = solution.select(solution.fit.cost < limit)
    n_voxels = len(sample.fit.time)
    if n_voxels < MIN_SAMPLE:
        raise InvalidInputError(
            f"{n_voxels} voxels are clean enough to learn the inversion efficiency from; expected at least "
            f"{MIN_SAMPLE}. Use --ir-efficiency free."
        )
    prior = learn_ratio_prior(plan.model, sample, plan.noise.residual, plan.options.time_range)
    return replace(
        plan,
        prior=prior,
        n_learned_from=n_voxels,
        dictionary=build_dictionary(plan.model, plan.options.time_range, prior, plan.device),
        degrees_of_freedom=plan.degrees_of_freedom + 1,
    )


def _initial_status(plan: _Plan, chunk: Measurements) -> np.ndarray:
    """Say which voxels are worth fitting, from their measurements alone."""
    energy = np.einsum("mv,mv->v", chunk, chunk.conj()).real
    threshold = (plan.noise.background or 0.0) ** 2 * stats.chi2.ppf(1 - 1e-4, 2 * len(chunk))
    status = np.where(energy > threshold, np.uint8(VoxelStatus.FITTED), np.uint8(VoxelStatus.NO_SIGNAL))
    status[~np.isfinite(energy)] = VoxelStatus.NOT_FINITE
    return status


def _load(plan: _Plan, chunk: Measurements) -> Signals:
    """Move measurements to the device, as magnitudes or signed real numbers."""
    signals = torch.from_numpy(np.ascontiguousarray(chunk)).to(plan.device)
    signals = real_part(signals) if signals.is_complex() else signals.float()
    if plan.kind != "magnitude":
        return signals.abs() if plan.options.restore_polarity else signals
    if plan.options.noise == "floor" and plan.noise.is_rician and plan.noise.background is not None:
        return remove_noise_floor(signals, plan.noise.background)
    return signals.abs()


def _solve(plan: _Plan, signals: Signals) -> Solution:
    unsigned = plan.kind == "magnitude" or plan.options.restore_polarity
    problem = Problem(model=plan.model, dictionary=plan.dictionary, prior=plan.prior, noise_sd=plan.noise.residual)
    solution = solve_unsigned(problem, signals) if unsigned else solve_signed(problem, signals)
    if plan.kind == "magnitude" and plan.options.noise == "rician" and plan.noise.residual > 0:
        problem = replace(problem, noise_sd=_rician_sd(plan.noise))
        fit = refine_rician(problem, plan.options.time_range, signals, solution.fit)
        return replace(solution, fit=fit)
    return solution


def _rician_sd(noise: NoiseLevels) -> float:
    return noise.background if noise.is_rician and noise.background is not None else noise.residual


def _explains_signal(plan: _Plan, solution: Solution) -> VoxelMask:
    """Whether what the fit explains stands clear of what it leaves."""
    n_measurements = len(solution.signals)
    explained = solution.signals.square().sum(0) - solution.fit.cost
    variance = solution.fit.cost / max(1, plan.degrees_of_freedom)
    return explained / n_measurements > MIN_SIGNAL_TO_NOISE**2 * variance


def _outside_range(plan: _Plan, time: Voxels) -> VoxelMask:
    low, high = plan.options.time_range
    return (time <= low * (1 + AT_LIMIT)) | (time >= high * (1 - AT_LIMIT))


def _estimate_chunk(plan: _Plan, chunk: Measurements, maps: _Maps, start: int) -> None:
    """Fill the maps of one chunk of voxels."""
    initial = _initial_status(plan, chunk)
    kept = np.flatnonzero(initial == VoxelStatus.FITTED)
    maps.status[start : start + len(initial)] = initial
    if not len(kept):
        return
    solution = _solve(plan, _load(plan, chunk if len(kept) == len(initial) else chunk[:, kept]))
    fit, signals = solution.fit, solution.signals
    time_sd, second_probability = _uncertainty(plan, solution)
    status = _final_status(plan, solution, second_probability)
    energy = signals.square().sum(0)
    values = {
        "time": fit.time,
        "time_sd": time_sd,
        "amplitude": fit.amplitude,
        "ratio": fit.ratio,
        "residual": torch.sqrt(fit.cost / max(1, plan.degrees_of_freedom)),
        "relative_error": torch.sqrt(fit.cost / energy),
    }
    has_estimate = status <= max(VoxelStatus.FITTED, VoxelStatus.POLARITY_UNDECIDED, VoxelStatus.RATIO_AT_BOUND)
    for name, value in values.items():
        getattr(maps, name)[start + kept] = torch.where(has_estimate, value, torch.nan).cpu().numpy()
    maps.status[start + kept] = status.to(torch.uint8).cpu().numpy()


def _uncertainty(plan: _Plan, solution: Solution) -> tuple[Voxels, Voxels]:
    """Return the SD of the relaxation time [s], both choices of sign included, and the second one's probability.

    Each choice has its Cramer-Rao bound at the voxel's own residual; where there are no residuals, at the noise of
    the background. The choices are weighed by the likelihood of their costs, at the image's typical residual or the
    voxel's own where that is larger: a voxel the model describes badly is not sure of its signs.
    """
    fit = solution.fit
    if plan.degrees_of_freedom > 0:
        variance = fit.cost / plan.degrees_of_freedom
    else:
        variance = torch.full_like(fit.cost, (plan.noise.background or torch.nan) ** 2)
    unexplained = torch.clamp_min(fit.cost / max(1, plan.degrees_of_freedom), max(plan.noise.residual**2, TINY))
    second = torch.sigmoid((fit.cost - solution.second_fit.cost) / (2 * unexplained))
    variances = [
        time.square() * variance / information
        for time, information in (
            (fit.time, fit.information),
            (solution.second_fit.time, solution.second_fit.information),
        )
    ]
    mixed = (1 - second) * variances[0] + second * variances[1]
    mixed += second * (1 - second) * (fit.time - solution.second_fit.time).square()
    return torch.sqrt(torch.where(second > 0, mixed, variances[0])), second


def _final_status(plan: _Plan, solution: Solution, second_probability: Voxels) -> torch.Tensor:
    """Give each fitted voxel the most serious thing there is to say about it."""
    fit = solution.fit
    low, high = plan.options.time_range
    status = torch.full_like(fit.time, VoxelStatus.FITTED, dtype=torch.int64)
    if plan.model.n_coefficients > 1:
        lowest, highest = plan.model.ratio_bounds
        at_bound = (fit.ratio <= lowest + AT_LIMIT) | (fit.ratio >= highest - AT_LIMIT)
        status[at_bound] = VoxelStatus.RATIO_AT_BOUND
    status[second_probability > UNDECIDED] = VoxelStatus.POLARITY_UNDECIDED
    status[~_explains_signal(plan, solution)] = VoxelStatus.SIGNAL_TOO_LOW
    outside = _outside_range(plan, fit.time)
    status[outside & (fit.time < (low * high) ** 0.5)] = VoxelStatus.BELOW_RANGE
    status[outside & (fit.time > (low * high) ** 0.5)] = VoxelStatus.ABOVE_RANGE
    return status
