"""Spoiled pulses one by one, repeated to the steady state, and what gradient echoes lose until they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

_STEADY = 1e-12
"""Largest change from one cycle to the next, relative to M0, that counts as none."""

_MAX_PULSES = 200_000
_CHECKED = 50
"""Pulses between two looks at whether anything still changes; at least one cycle."""

_BLOCK = 8192
"""Voxels stepped together: few enough that their magnetisation stays in the processor's cache."""


def spoiled_pulses(  # noqa: PLR0913 -- one argument per physical parameter of the experiment
    t1: ArrayLike,
    m0: ArrayLike,
    *,
    flip_angles: Sequence[float],
    delays: Sequence[float],
    transmit_field: ArrayLike = 1.0,
    read: Sequence[int] | None = None,
) -> NDArray[np.float64]:
    """Signal right after pulses of a cycle, in the steady state of the cycle.

    Each pulse turns Mz by its flip angle times the transmit field; what it tips is spoiled, and the rest relaxes until
    the next pulse. One pulse is the ordinary spoiled gradient echo, two with different delays are actual flip-angle
    imaging, and a large one before many small ones is a train after a saturation.

    Parameters
    ----------
    t1, m0 : array (*voxels)
        Longitudinal relaxation time [s] and equilibrium magnetisation [arbitrary]; they broadcast, like the transmit
        field.
    flip_angles : sequence (pulse)
        Nominal [degree].
    delays : sequence (pulse)
        From each pulse to the next, from the last one to the first of the next cycle [s].
    transmit_field : array (*voxels)
        Achieved over nominal flip angle.
    read : sequence of int, optional
        Which pulses to return; all unless given.

    Returns
    -------
    array (pulse, *voxels)
        In the units of `m0`; negative where Mz was.

    Raises
    ------
    InvalidInputError
        If there is no steady state within a reasonable number of cycles.
    """
    voxels = np.broadcast_arrays(*(np.asarray(each, dtype=float) for each in (t1, transmit_field, m0)))
    shape = voxels[0].shape
    relaxation, field, equilibrium = (each.ravel() for each in voxels)
    pulses = list(zip(flip_angles, delays, strict=True))
    wanted = list(range(len(pulses)) if read is None else read)
    signal = np.empty((len(wanted), equilibrium.size))
    for start in range(0, equilibrium.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        signal[:, block] = _steady_cycle(pulses, relaxation[block], field[block], wanted)
    return np.asarray((signal * equilibrium).reshape(-1, *shape))


def _steady_cycle(
    pulses: Sequence[tuple[float, float]], t1: NDArray[np.float64], field: NDArray[np.float64], wanted: Sequence[int]
) -> NDArray[np.float64]:
    """Repeat the pulses until they no longer change the magnetisation; return the last signals for M0 = 1."""
    # Pulse and relaxation together: Mz becomes Mz cos(angle) exp(-delay/T1) + 1 - exp(-delay/T1).
    effects = {
        (angle, delay): (np.cos(np.deg2rad(angle) * field) * np.exp(-delay / t1), -np.expm1(-delay / t1))
        for angle, delay in pulses
    }
    longitudinal = np.ones_like(t1)
    n_unseen = max(1, _CHECKED // len(pulses))
    for _ in range(_MAX_PULSES // (n_unseen * len(pulses))):
        for _ in range(n_unseen):
            before = longitudinal.copy()
            for pulse in pulses:
                remaining, recovered = effects[pulse]
                longitudinal *= remaining
                longitudinal += recovered
        if np.all(np.abs(longitudinal - before) <= _STEADY):
            return _signals(pulses, effects, longitudinal, field)[list(wanted)]
    raise InvalidInputError(
        f"no steady state after {_MAX_PULSES} pulses; expected delays that are not so much shorter than T1, or larger "
        "flip angles."
    )


def _signals(
    pulses: Sequence[tuple[float, float]],
    effects: Mapping[tuple[float, float], tuple[NDArray[np.float64], NDArray[np.float64]]],
    longitudinal: NDArray[np.float64],
    field: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Play one more cycle and read after each pulse."""
    signals = np.empty((len(pulses), longitudinal.size))
    for signal, pulse in zip(signals, pulses, strict=True):
        signal[...] = longitudinal * np.sin(np.deg2rad(pulse[0]) * field)
        remaining, recovered = effects[pulse]
        longitudinal = longitudinal * remaining + recovered
    return signals


def echoes(
    amplitude: NDArray[np.float64],
    echo_times: Sequence[float],
    *,
    t2_star: NDArray[np.float64],
    off_resonance: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Let transverse magnetisation decay and turn until each echo.

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
