"""T1 and T2* from arrays, in Python: what the command does to the images of a run, without files.

Images are NumPy arrays or PyTorch tensors whose first axis, or the one called ``axis``, is that of the measurements;
times are in seconds, angles in degrees. What goes in is checked as sidecars are, and what cannot be is refused with
`bids_t1.data.errors`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import PLAUSIBLE, TIME
from bids_t1.estimation.curves.demodulation import demodulate
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, TransmitPrior, estimate_posterior
from bids_t1.estimation.posterior.readout_phase import remove_phase
from bids_t1.runs.readout_agreement import settle
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.mp2rage import DEFAULT_EFFICIENCY, DEFAULT_EFFICIENCY_SD, Mp2rage
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from bids_t1.sequences.selective_inversion_recovery import EXCHANGE_RATE, SATURATION, SelectiveInversionRecovery
from bids_t1.sequences.variable_flip_angle import VariableFlipAngle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from bids_t1.data.acquisition import Kind
    from bids_t1.data.estimate import Estimate, PosteriorEstimate
    from bids_t1.data.forms import InputForm
    from bids_t1.data.signal_model import ReadoutModel
    from bids_t1.estimation.curves.engine import NoiseHandling
    from bids_t1.estimation.posterior.readout_phase import PhaseTurn

    Images = NDArray[Any] | torch.Tensor
    Numbers = float | Sequence[float] | NDArray[np.floating]

EFFICIENCIES = ("free", "learned", "ideal")
T1_RANGE = EstimationOptions().time_range
T2_STAR_RANGE = (0.001, 0.3)
FAST_COMPONENT = 0.048
"""Relaxation time of the fast component up to 3 T [s] (Rioux et al. 2016, doi 10.1002/mrm.25729)."""


class Maps(Mapping[str, "NDArray[Any]"]):
    """Maps by name, as items and as attributes: ``maps["t1"]`` is ``maps.t1``."""

    def __init__(self, maps: Mapping[str, NDArray[Any] | None]) -> None:
        self._maps = {name: values for name, values in maps.items() if values is not None}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._maps[name]

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name.startswith("_") or name not in self._maps:
            raise AttributeError(f"no map {name!r}; there are {', '.join(self.__dict__.get('_maps', ()))}")
        return self._maps[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._maps]

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    def __or__(self, others: Mapping[str, NDArray[Any] | None]) -> Maps:
        return Maps({**self._maps, **others})

    def __repr__(self) -> str:
        return f"Maps({', '.join(f'{name} {values.shape}' for name, values in self._maps.items())})"


def fit_inversion_recovery(  # noqa: PLR0913 - a protocol has as many numbers
    images: Images,
    inversion_times: Numbers,
    repetition_time: Numbers = math.inf,
    *,
    efficiency: Literal["free", "learned", "ideal"] = "free",
    fast_component: bool = False,
    noise: NoiseHandling = "floor",
    t1_range: tuple[float, float] = T1_RANGE,
    axis: int = 0,
    device: str = "auto",
) -> Maps:
    """Fit T1 of inversion recovery (Barral et al. 2010, doi 10.1002/mrm.22497).

    Parameters
    ----------
    images
        (inversion time, *voxels): magnitudes, real or complex.
    inversion_times
        [s], in any order.
    repetition_time
        Delay between two inversions [s], one for all or one for each image; infinite where it is not known.
    efficiency
        Of the inversion: free in each voxel, with a prior learned from the image, or ideal.
    fast_component
        Whether the fast component of tissue is fitted, so that T1 is that of the slow one; needs five times or more.
    noise
        What is done about the noise floor of magnitudes.
    t1_range
        Searched [s].
    axis
        Axis of the measurements in the images, such as -1 of what nibabel reads; maps have the others, in their order.
    device
        auto, cpu or cuda.

    Returns
    -------
    Maps t1, t1_sd [s], m0, kappa (1 - cos of the inversion angle), residual, status (`VoxelStatus`) and, where it is
    fitted, fast_share, each (*voxels).

    Raises
    ------
    InvalidInputError
        If times are none, of another number than images, or the images hold no signal.
    """
    if efficiency not in EFFICIENCIES:
        raise InvalidInputError(f"efficiency is {efficiency!r}; expected one of {', '.join(EFFICIENCIES)}.")
    measured, kind = _measured(images, axis)
    times = _times("inversion_times", inversion_times, len(measured), "InversionTime")
    repetition = _times("repetition_time", repetition_time, len(measured), "RepetitionTime", unknown=True)
    # The signs of magnitudes are sought among those that change once, from the shortest time to the longest.
    order = np.argsort(times, kind="stable")
    measured = measured[order]
    model = InversionRecovery(
        inversion_times=tuple(times[index] for index in order),
        repetition_times=tuple(repetition[index] for index in order),
        ideal=efficiency == "ideal",
        fast=FAST_COMPONENT if fast_component else None,
    )
    options = EstimationOptions(
        time_range=_range("t1_range", t1_range), learn_ratio=efficiency == "learned", noise=noise, device=device
    )
    found = estimate(model, measured, kind, options)
    return _of_curves(found, "t1") | {
        "kappa": found.ratio,
        "fast_share": found.share if fast_component else None,
    }


def fit_sir(  # noqa: PLR0913 - a protocol has as many numbers
    images: Images,
    inversion_times: Numbers,
    recovery_times: Numbers,
    *,
    pools: Literal[1, 2] = 2,
    exchange_rate: float = EXCHANGE_RATE,
    saturation: float = SATURATION,
    t1_range: tuple[float, float] = T1_RANGE,
    axis: int = 0,
    device: str = "auto",
) -> Maps:
    """Fit selective inversion recovery (Dortch et al. 2011, doi 10.1002/mrm.22928).

    Parameters
    ----------
    images
        (image, *voxels): magnitudes, real or complex.
    inversion_times, recovery_times
        Delay between inversion and excitation, and between the end of a readout and the inversion that follows [s].
    pools
        Two: free water and macromolecules; one: free water alone.
    exchange_rate, saturation
        From macromolecules to free water [1/s], and what the inversion leaves of theirs: both are taken as known.
    axis
        Axis of the measurements in the images, such as -1 of what nibabel reads; maps have the others, in their order.

    Returns
    -------
    Maps t1 (1/R1 of free water), t1_sd [s], m0, sf (what the inversion makes of free water), residual, status and, of
    two pools, pool_ratio and pool_ratio_sd.

    Raises
    ------
    InvalidInputError
        As `fit_inversion_recovery`.
    """
    measured, kind = _measured(images, axis)
    model = SelectiveInversionRecovery(
        inversion_times=_times("inversion_times", inversion_times, len(measured), "InversionTime"),
        recovery_times=_times("recovery_times", recovery_times, len(measured), "RecoveryTime"),
        n_pools=pools,
        exchange_rate=exchange_rate,
        saturation=saturation,
    )
    found = estimate(model, measured, kind, EstimationOptions(time_range=_range("t1_range", t1_range), device=device))
    of_pools = {"pool_ratio": found.share, "pool_ratio_sd": found.share_sd} if pools > 1 else {}
    return _of_curves(found, "t1") | {"sf": found.ratio, **of_pools}


def fit_t2star(  # noqa: PLR0913 - a protocol has as many numbers
    images: Images,
    echo_times: Numbers,
    *,
    noise: NoiseHandling = "floor",
    t2star_range: tuple[float, float] = T2_STAR_RANGE,
    axis: int = 0,
    device: str = "auto",
) -> Maps:
    """Fit T2* of echoes after one excitation, M0 exp(-TE/T2*).

    Parameters
    ----------
    images
        (echo, *voxels): magnitudes, or complex echoes, whose phase is taken off where it is linear in time.
    echo_times
        [s], in any order.
    axis
        Axis of the measurements in the images, such as -1 of what nibabel reads; maps have the others, in their order.

    Returns
    -------
    Maps t2star, t2star_sd [s], m0, residual and status.

    Raises
    ------
    InvalidInputError
        As `fit_inversion_recovery`.
    """
    measured, kind = _measured(images, axis)
    model = MultiEchoGradientEcho(echo_times=_times("echo_times", echo_times, len(measured), "EchoTime"))
    if kind == "complex":
        order = np.argsort(model.echo_times)
        real = demodulate(measured[order], [model.echo_times[index] for index in order])
        model = MultiEchoGradientEcho(echo_times=tuple(model.echo_times[index] for index in order))
        measured, kind = (np.abs(measured[order]), "magnitude") if real is None else (real, "real")
    options = EstimationOptions(time_range=_range("t2star_range", t2star_range), noise=noise, device=device)
    return _of_curves(estimate(model, measured, kind, options), "t2star")


def fit_mp2rage(  # noqa: PLR0913 - a protocol has as many numbers
    readouts: Images | None = None,
    *,
    uni: Images | None = None,
    inversion_times: Numbers,
    flip_angles: Numbers,
    excitation_time: Numbers,
    excitations: Sequence[tuple[float, float]] | tuple[float, float],
    cycle_time: float,
    efficiency: float = DEFAULT_EFFICIENCY,
    efficiency_sd: float = DEFAULT_EFFICIENCY_SD,
    b1: Images | None = None,
    b1_sd: float = 0.0,
    noise_sd: float | None = None,
    t1_range: tuple[float, float] = T1_RANGE,
    axis: int = 0,
    device: str = "auto",
) -> Maps:
    """Compute the posterior of T1 from MP2RAGE or MP3RAGE (Marques et al. 2010, doi 10.1016/j.neuroimage.2009.10.002).

    Parameters
    ----------
    readouts
        (readout, *voxels): complex, or magnitudes.
    uni
        UNI of the first two readouts, from -0.5 to 0.5, (*voxels): beside magnitudes, whose signs it tells; beside
        complex readouts, which are compared with it; or alone.
    inversion_times
        Delay between inversion and k-space centre of each readout [s].
    flip_angles
        [degree], one for all or one for each readout.
    excitation_time
        Delay between two excitations of a train [s].
    excitations
        Numbers of excitations before and after the k-space centre, one pair for all or one for each readout.
    cycle_time
        Delay between two inversions [s].
    efficiency, efficiency_sd
        Of the inversion, and the SD of its normal prior; 0: it is known.
    b1, b1_sd
        Transmit field relative to nominal, (*voxels), and its SD; without it, it is integrated over its prior.
    noise_sd
        Of one channel, in units of the readouts (of M0, for UNI alone); None: estimated.
    axis
        Axis of the readouts, such as -1 of what nibabel reads; maps have the others, in their order.

    Returns
    -------
    Maps t1 (maximum of the posterior), t1_sd, mean, lower, upper (95 % interval) [s], m0, confidence, two_modes,
    status, uni and b1, as far as the input tells them.

    Raises
    ------
    InvalidInputError
        If the protocol cannot be played, or the images hold no signal.

    Warns
    -----
    UserWarning
        As the command does: of a phase between readouts, which is taken off; of a gain or sign that uni beside them
        contradicts, where uni counts; and of complex readouts that their protocol cannot give.
    """
    times = _listed(inversion_times)
    n = len(times)
    pairs = [excitations] * n if np.ndim(excitations) == 1 else list(excitations)
    model = Mp2rage(
        cycle_time=_times("cycle_time", cycle_time, 1, "RepetitionTimePreparation")[0],
        inversion_times=_times("inversion_times", times, n, "InversionTime"),
        excitation_times=_times("excitation_time", excitation_time, n, "RepetitionTimeExcitation"),
        flip_angles=_angles(flip_angles, n),
        excitations=tuple((float(pair[0]), float(pair[1])) for pair in pairs),  # type: ignore[index]
        efficiency=efficiency,
        efficiency_sd=efficiency_sd,
    )
    measured, form = _readouts(readouts, uni, axis)
    turns: tuple[PhaseTurn, ...] = ()
    if form == "complex" and measured is not None:
        measured, turns = remove_phase(measured)
    s = _map("uni", uni, None if measured is None else measured.shape[1:])
    images = ReadoutImages(form=form, readouts=measured, uni=s)
    images = replace(images, transmit=_map("b1", b1, images.shape))
    agreement = settle(images, images.uni, model, model.at_time, noise_sd)
    for told in (*(turn.warning for turn in turns if turn.warning), *agreement.warnings):
        warnings.warn(told, stacklevel=2)
    return _of_posterior(model, agreement.images, _posterior_options(t1_range, b1_sd, noise_sd, device))


def fit_vfa(  # noqa: PLR0913 - a protocol has as many numbers
    images: Images,
    flip_angles: Numbers,
    repetition_time: Numbers,
    *,
    b1: Images | None = None,
    b1_sd: float = 0.0,
    spoiling_increment: float | None = None,
    noise_sd: float | None = None,
    t1_range: tuple[float, float] = T1_RANGE,
    axis: int = 0,
    device: str = "auto",
) -> Maps:
    """Compute the posterior of T1 from variable flip angles (Deoni et al. 2003, doi 10.1002/mrm.10407).

    Parameters
    ----------
    images
        (flip angle, *voxels): magnitudes, or complex.
    flip_angles
        Nominal ones [degree].
    repetition_time
        Delay between two pulses [s], one for all or one for each image.
    b1, b1_sd
        Transmit field relative to nominal, (*voxels), and its SD; without it, it is integrated over its prior.
    spoiling_increment
        Of the quadratic phase of the pulses [degree]: corrects for imperfect spoiling (Preibisch & Deichmann 2009,
        doi 10.1002/mrm.21776); None: spoiling is taken as perfect.
    noise_sd
        Of one channel, in units of the images; None: estimated.
    axis
        Axis of the measurements in the images, such as -1 of what nibabel reads; maps have the others, in their order.

    Returns
    -------
    Maps t1, t1_sd, mean, lower, upper [s], m0, status and b1, as far as the input tells them.

    Raises
    ------
    InvalidInputError
        If the protocol cannot be played, or the images hold no signal.
    """
    measured, kind = _measured(images, axis)
    model = VariableFlipAngle(
        flip_angles=_angles(flip_angles, len(measured)),
        repetition_times=_times("repetition_time", repetition_time, len(measured), "RepetitionTimeExcitation"),
    )
    if spoiling_increment is not None:
        model = model.spoiled_by(spoiling_increment)
    form: InputForm = "complex" if kind == "complex" else "positive readouts"
    options = _posterior_options(t1_range, b1_sd, noise_sd, device, sums_transmit=True)
    maps = _of_posterior(
        model, ReadoutImages(form=form, readouts=measured, transmit=_map("b1", b1, measured.shape[1:])), options
    )
    return Maps({name: values for name, values in maps.items() if name not in {"uni", "confidence", "two_modes"}})


def _of_curves(found: Estimate, quantity: str) -> Maps:
    return Maps({
        quantity: found.time,
        f"{quantity}_sd": found.time_sd,
        "m0": found.amplitude,
        "residual": found.residual,
        "status": found.status,
    })  # fmt: skip


def _posterior_options(
    t1_range: tuple[float, float],
    b1_sd: float,
    noise_sd: float | None,
    device: str,
    *,
    sums_transmit: bool = False,
) -> PosteriorOptions:
    return PosteriorOptions(
        time_range=_range("t1_range", t1_range),
        transmit_prior=TransmitPrior(),
        transmit_sd=b1_sd,
        sums_transmit=sums_transmit,
        noise_sd=noise_sd,
        device=device,
    )


def _of_posterior(model: ReadoutModel, images: ReadoutImages, options: PosteriorOptions) -> Maps:
    found: PosteriorEstimate = estimate_posterior(model, images, options)
    return Maps({
        "t1": found.time,
        "t1_sd": found.time_sd,
        "mean": found.mean,
        "lower": found.lower,
        "upper": found.upper,
        "m0": found.amplitude,
        "confidence": found.confidence,
        "two_modes": found.two_modes,
        "status": found.status,
        "uni": found.uni,
        "b1": found.transmit,
    })  # fmt: skip


def _array(values: Images) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _map(name: str, values: Images | None, voxels: tuple[int, ...] | None = None) -> NDArray[np.float32] | None:
    """Return a map in single precision, which has the voxels of the images."""
    if values is None:
        return None
    found = np.asarray(_array(values), np.float32)
    if voxels is not None and found.shape != voxels:
        raise InvalidInputError(f"{name} has the shape {found.shape}; expected that of the images' voxels, {voxels}.")
    return found


def _measured(images: Images, axis: int) -> tuple[NDArray[Any], Kind]:
    """Return a copy of the images in single precision, the axis of measurements first, and what they are."""
    values = _array(images)
    if not -values.ndim <= axis < values.ndim:
        raise InvalidInputError(f"axis is {axis}; expected one of the {values.ndim} axes of images {values.shape}.")
    values = np.moveaxis(values, axis, 0)
    if len(values) < 2:  # noqa: PLR2004 - one image tells no time
        raise InvalidInputError(f"images have the shape {values.shape}; expected (measurement, *voxels).")
    if np.iscomplexobj(values):
        return values.astype(np.complex64, order="C"), "complex"
    return values.astype(np.float32, order="C"), "real" if np.nanmin(values) < 0 else "magnitude"


def _readouts(readouts: Images | None, uni: Images | None, axis: int) -> tuple[NDArray[Any] | None, InputForm]:
    if readouts is None:
        if uni is None:
            raise InvalidInputError("there are neither readouts nor uni; expected one of them, or magnitudes and uni.")
        return None, "UNIT1"
    values, kind = _measured(readouts, axis)
    if kind == "complex":
        return values, "complex"
    if kind == "real":
        raise InvalidInputError("readouts hold negative numbers; expected magnitudes, or complex readouts.")
    return values, "magnitudes" if uni is None else "UNIT1 and magnitudes"


def _listed(values: Numbers) -> list[float]:
    found: ArrayLike = np.atleast_1d(np.asarray(values, float))
    return [float(value) for value in np.ravel(found)]


def _times(name: str, values: Numbers, n: int, field: str, *, unknown: bool = False) -> tuple[float, ...]:
    """Return a time of each image [s], checked as those of sidecars; infinity is one that may be ``unknown``."""
    times = _listed(values)
    times = times * n if len(times) == 1 else times
    if len(times) != n:
        raise InvalidInputError(f"{name} has {len(times)} values for {n} images; expected one, or one for each.")
    plausible = PLAUSIBLE.get(field, TIME)
    for time in times:
        if not plausible.holds(time) and not (unknown and time == math.inf):
            raise InvalidInputError(f"{name} is {time:g}; expected {plausible.complaint(time)}")
    return tuple(times)


def _angles(values: Numbers, n: int) -> tuple[float, ...]:
    """Return a flip angle of each image [rad]."""
    angles = _listed(values)
    angles = angles * n if len(angles) == 1 else angles
    if len(angles) != n:
        raise InvalidInputError(f"flip_angles has {len(angles)} values for {n} images; expected one, or one for each.")
    return tuple(math.radians(angle) for angle in angles)


def _range(name: str, values: tuple[float, float]) -> tuple[float, float]:
    low, high = values
    if not 0 < low < high <= TIME.below:
        raise InvalidInputError(f"{name} is {low:g} to {high:g}; expected seconds, rising, above 0.")
    return low, high
