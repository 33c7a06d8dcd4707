"""Gradient echoes pulse by pulse: excitations repeated to the steady state, and what the echoes lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_STEADY = 1e-12
"""Largest change from one cycle to the next, relative to M0, that counts as none."""

_MAX_CYCLES = 50_000
_CHECKED = 50
"""Cycles between two looks at whether anything still changes."""

_BLOCK = 8192
"""Voxels stepped together: few enough that their magnetisation stays in the processor's cache."""


def spoiled_gradient_echo(
    t1: ArrayLike,
    m0: ArrayLike,
    *,
    flip_angles: Sequence[float],
    repetition_times: Sequence[float],
    transmit_field: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Signal right after each excitation of a cycle of pulses, in the steady state of the cycle.

    Each pulse turns Mz by its flip angle times the transmit field; what it tips is spoiled, and the rest relaxes until
    the next pulse. One pulse is the ordinary spoiled gradient echo; two with different times are actual flip-angle
    imaging.

    Parameters
    ----------
    t1, m0 : array (*voxels)
        Longitudinal relaxation time [s] and equilibrium magnetisation [arbitrary]; they broadcast, like the transmit
        field.
    flip_angles : sequence (pulse)
        Nominal [degree].
    repetition_times : sequence (pulse)
        From each pulse to the next [s].
    transmit_field : array (*voxels)
        Achieved over nominal flip angle.

    Returns
    -------
    array (pulse, *voxels)
        In the units of `m0`.

    Raises
    ------
    InvalidInputError
        If there is no steady state within a reasonable number of cycles.
    """
    voxels = np.broadcast_arrays(*(np.asarray(each, dtype=float) for each in (t1, transmit_field, m0)))
    shape = voxels[0].shape
    relaxation, field, equilibrium = (each.ravel() for each in voxels)
    angles = np.deg2rad(np.asarray(flip_angles, dtype=float))
    signal = np.empty((len(angles), equilibrium.size))
    for start in range(0, equilibrium.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        decays = [np.exp(-time / relaxation[block]) for time in repetition_times]
        signal[:, block] = _steady_cycle(angles[:, None] * field[block], decays)
    return np.asarray((signal * equilibrium).reshape(-1, *shape))


def _steady_cycle(angles: NDArray[np.float64], decays: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Repeat the pulses until they no longer change the magnetisation; return the last signals for M0 = 1."""
    pairs = [(np.cos(angle) * decay, 1 - decay) for angle, decay in zip(angles, decays, strict=True)]
    longitudinal = np.ones_like(angles[0])
    for _ in range(_MAX_CYCLES // _CHECKED):
        for _ in range(_CHECKED):
            before = longitudinal.copy()
            for remaining, recovered in pairs:
                longitudinal *= remaining
                longitudinal += recovered
        if np.all(np.abs(longitudinal - before) <= _STEADY):
            return _signals(longitudinal, angles, pairs)
    raise InvalidInputError(
        f"no steady state after {_MAX_CYCLES} cycles; expected repetition times that are not so much shorter than T1, "
        "or larger flip angles."
    )


def _signals(
    longitudinal: NDArray[np.float64],
    angles: NDArray[np.float64],
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    signals = []
    for angle, (remaining, recovered) in zip(angles, pairs, strict=True):
        signals.append(longitudinal * np.sin(angle))
        longitudinal = longitudinal * remaining + recovered
    return np.stack(signals)


def echoes(
    amplitude: NDArray[np.float64],
    echo_times: Sequence[float],
    *,
    t2_star: NDArray[np.float64],
    off_resonance: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Let transverse magnetisation decay and precess until each echo.

    Parameters
    ----------
    amplitude : array (*voxels)
        Right after the excitation.
    echo_times : sequence (echo)
        From excitation to echo [s].
    t2_star : array (*voxels)
        [s]
    off_resonance : array (*voxels)
        [Hz]

    Returns
    -------
    array (echo, *voxels)
        In the units of `amplitude`.
    """
    rate = 2j * np.pi * off_resonance - 1 / t2_star
    return np.stack([amplitude * np.exp(rate * time) for time in echo_times])
