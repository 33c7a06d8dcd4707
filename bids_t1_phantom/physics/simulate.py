r"""The scanner's physics: magnetisation stepped pulse by pulse to the steady state.

Nothing here knows a signal equation: pulses rotate, waiting relaxes, and the train repeats until nothing
changes. So it is an independent witness for the closed forms in `bids_t1.sequences`, which it must not
import.

For a 90 degree readout the steady state of the spin-echo train has the closed form (tested, not used)::

    S / M0 = 1 - kappa exp(-TI/T1) + (kappa - 1) [2 exp(-(TR - TE/2)/T1) - exp(-TR/T1)]

with kappa = 1 - cos(theta). What follows from it:

* As TE -> 0, or without a refocusing pulse: ``1 + (kappa - 1) exp(-TR/T1) - kappa exp(-TI/T1)``, which in
  two linear coefficients is ``M0 [1 - exp(-TR/T1)] + kappa M0 [exp(-TR/T1) - exp(-TI/T1)]``
  (doi 10.1002/mrm.22497: ``1 - (1 - cos theta) exp(-TI/T1) - cos theta exp(-TR/T1)``).
* The model ``1 + exp(-TR/T1) - kappa exp(-TI/T1)`` equals it for kappa = 2 only. Otherwise it is too high by
  ``(2 - kappa) exp(-TR/T1)``: at kappa = 1.93 and TR = 6 s, 0.0001 of M0 for T1 = 0.9 s and 0.016 for 4 s.
  With one TR for all TIs the excess is a constant, which M0 and kappa absorb: T1 is unharmed, they are not.
* The refocusing pulse inverts what recovered in TE/2, which adds
  ``2 (kappa - 1) exp(-TR/T1) [exp(TE/2T1) - 1]``: below 0.001 of M0 for TE = 10 ms, TR = 6 s
  and any T1. It too is the same for all TIs of one TR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from bids_t1_phantom.physics.trains import ReadoutProtocol

_MAX_REPETITIONS = 2000
_STEADY = 1e-12
"""Largest change from one repetition to the next, relative to M0, that counts as none."""

_BLOCK = 8192
"""Voxels stepped together: few enough that their magnetisation stays in the processor's cache."""


def inversion_recovery(  # noqa: PLR0913 -- one argument per physical parameter of the experiment
    t1: ArrayLike,
    m0: ArrayLike,
    *,
    inversion_times: Sequence[float],
    repetition_times: ArrayLike,
    inversion_efficiency: ArrayLike = 2.0,
    echo_time: float = 0.0,
    excitation_angle: ArrayLike = 90.0,
    refocusing: bool = True,
    t2: ArrayLike = np.inf,
) -> NDArray[np.float64]:
    """Signed steady-state signal of an inversion-recovery (spin-)echo experiment.

    Each inversion time is an experiment of its own: inversion, wait TI, excitation, wait TE/2, refocusing
    pulse, echo at TE, wait until TR, repeated to the steady state. Pulses take no time; transverse
    magnetisation is spoiled before each inversion, and crushers leave of the refocusing pulse its inversion
    of Mz and the echo.

    Parameters
    ----------
    t1, m0 : array (*voxels)
        Longitudinal relaxation time [s] and equilibrium magnetisation [arbitrary]; they broadcast, like all
        voxel quantities below.
    inversion_times : sequence (measurement)
        From inversion to excitation [s].
    repetition_times : float or sequence (measurement)
        From one inversion to the next [s].
    inversion_efficiency : array (*voxels)
        kappa = 1 - cos(inversion angle): 2 for a perfect inversion, 1 for a saturation.
    echo_time : float
        From excitation to echo [s].
    excitation_angle : array (*voxels)
        Flip angle of the readout pulse [degree].
    refocusing : bool
        True for a spin echo; False for a gradient echo, without the 180 degree pulse at TE/2.
    t2 : array (*voxels)
        Decay of the echo [s]; infinite where M0 is understood as the signal at the echo.

    Returns
    -------
    array (measurement, *voxels)
        Signal in the units of `m0`, negative before the zero crossing.

    Raises
    ------
    InvalidInputError
        If timings do not match each other, or an experiment does not fit into its repetition time.
    """
    repetition = np.broadcast_to(np.asarray(repetition_times, dtype=float), (len(inversion_times),))
    experiments = []
    for inversion_time, repetition_time in zip(inversion_times, repetition, strict=True):
        waits = _waits(inversion_time, echo_time, float(repetition_time))
        experiments.append(_steady_state(t1, m0, inversion_efficiency, excitation_angle, waits, refocusing=refocusing))
    return np.asarray(np.stack(experiments) * np.exp(-echo_time / np.asarray(t2, dtype=float)))


def _waits(inversion_time: float, echo_time: float, repetition_time: float) -> tuple[float, float, float]:
    """Delays between the pulses [s]: inversion to excitation, to refocusing, to the next inversion."""
    rest = repetition_time - inversion_time - echo_time / 2
    if inversion_time < 0 or echo_time < 0 or rest < echo_time / 2:
        raise InvalidInputError(
            f"inversion time {inversion_time} s and echo time {echo_time} s do not fit into the repetition "
            f"time of {repetition_time} s; expected 0 <= TI and TI + TE <= TR. Give a longer repetition time."
        )
    return inversion_time, echo_time / 2, rest


def _steady_state(  # noqa: PLR0913
    t1: ArrayLike,
    m0: ArrayLike,
    inversion_efficiency: ArrayLike,
    excitation_angle: ArrayLike,
    waits: tuple[float, float, float],
    *,
    refocusing: bool,
) -> NDArray[np.float64]:
    """Repeat the train until it no longer changes the magnetisation; return the last signal."""
    equilibrium, t1, kappa, angle = (
        np.array(values)
        for values in np.broadcast_arrays(
            np.asarray(m0, dtype=float), t1, inversion_efficiency, np.deg2rad(excitation_angle)
        )
    )
    to_excitation, to_refocusing, to_inversion = (np.exp(-wait / t1) for wait in waits)
    longitudinal = equilibrium.copy()
    for _ in range(_MAX_REPETITIONS):
        before = longitudinal
        longitudinal = longitudinal * (1 - kappa)
        longitudinal = equilibrium + (longitudinal - equilibrium) * to_excitation
        transverse = longitudinal * np.sin(angle)
        longitudinal = longitudinal * np.cos(angle)
        longitudinal = equilibrium + (longitudinal - equilibrium) * to_refocusing
        if refocusing:
            longitudinal = -longitudinal
        longitudinal = equilibrium + (longitudinal - equilibrium) * to_inversion
        if np.all(np.abs(longitudinal - before) <= _STEADY * np.abs(equilibrium)):
            return np.asarray(transverse)
    raise InvalidInputError(
        f"no steady state after {_MAX_REPETITIONS} repetitions of {sum(waits)} s; expected a repetition time "
        "that is not much shorter than T1, or a larger excitation angle."
    )


def rapid_gradient_echo_trains(
    t1: ArrayLike,
    m0: ArrayLike,
    *,
    protocol: ReadoutProtocol,
    transmit_field: ArrayLike = 1.0,
    inversion_efficiency: ArrayLike = 0.96,
) -> NDArray[np.float64]:
    """Signed steady-state signal of gradient-echo trains after one inversion: MP2RAGE and its kin.

    Every excitation of every train is played, for every voxel: it turns the longitudinal magnetisation by the flip
    angle times the transmit field, the transverse part is spoiled, and what is left relaxes until the next pulse.
    Whole cycles repeat until the magnetisation no longer changes. Nothing is summed in closed form and nothing is
    interpolated; speed comes only from stepping thousands of voxels at once.

    Parameters
    ----------
    t1, m0 : array (*voxels)
        Longitudinal relaxation time [s] and equilibrium magnetisation [arbitrary]; they broadcast, like all
        voxel quantities below.
    protocol : ReadoutProtocol
        Timing and flip angles.
    transmit_field : array (*voxels)
        Achieved over nominal flip angle of the excitations. The inversion, adiabatic, does not depend on it.
    inversion_efficiency : array (*voxels)
        The inversion takes Mz to minus this times Mz: 1 if perfect.

    Returns
    -------
    array (readout, *voxels)
        Signal at the excitation of the centre of k-space, in the units of `m0`, negative where Mz is.

    Raises
    ------
    InvalidInputError
        If there is no steady state within a reasonable number of cycles.
    """
    voxels = np.broadcast_arrays(
        *(np.asarray(each, dtype=float) for each in (t1, transmit_field, inversion_efficiency, m0))
    )
    shape = voxels[0].shape
    relaxation, field, efficiency, equilibrium = (each.ravel() for each in voxels)
    signal = np.empty((len(protocol.inversion_times), equilibrium.size))
    for start in range(0, equilibrium.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        signal[:, block] = _steady_cycle(relaxation[block], field[block], efficiency[block], protocol)
    return np.asarray((signal * equilibrium).reshape(-1, *shape))


def _steady_cycle(
    t1: NDArray[np.float64], field: NDArray[np.float64], efficiency: NDArray[np.float64], protocol: ReadoutProtocol
) -> NDArray[np.float64]:
    """Repeat the cycle until it no longer changes the magnetisation; return the last signals for M0 = 1."""
    angles = [np.deg2rad(angle) * field for angle in protocol.flip_angles]
    turned = [np.cos(angle) for angle in angles]
    excited = [np.sin(angle) for angle in angles]
    longitudinal = np.ones_like(t1)
    for _ in range(_MAX_REPETITIONS):
        before = longitudinal
        centres, longitudinal = _cycle(-efficiency * longitudinal, t1, turned, protocol)
        if np.all(np.abs(longitudinal - before) <= _STEADY):
            return np.stack([centre * sine for centre, sine in zip(centres, excited, strict=True)])
    raise InvalidInputError(
        f"no steady state after {_MAX_REPETITIONS} cycles of {protocol.cycle_time} s; expected a cycle that is not "
        "much shorter than T1."
    )


def _cycle(
    longitudinal: NDArray[np.float64],
    t1: NDArray[np.float64],
    turned: list[NDArray[np.float64]],
    protocol: ReadoutProtocol,
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Play the trains after an inversion; return Mz at each centre of k-space, and before the next inversion."""
    centres = []
    *waits, last = protocol.delays
    for wait, spacing, cosine in zip(waits, protocol.spacings, turned, strict=True):
        longitudinal = 1 + (longitudinal - 1) * np.exp(-wait / t1)
        # Pulse and relaxation together: Mz becomes 1 + (Mz cos - 1) exp(-TR/T1).
        remaining = cosine * np.exp(-spacing / t1)
        recovered = -np.expm1(-spacing / t1)
        for _ in range(protocol.n_before):
            longitudinal *= remaining
            longitudinal += recovered
        centres.append(longitudinal.copy())
        for _ in range(protocol.n_after):
            longitudinal *= remaining
            longitudinal += recovered
    return centres, 1 + (longitudinal - 1) * np.exp(-last / t1)
