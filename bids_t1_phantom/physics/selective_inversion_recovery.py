"""Selective inversion recovery as it is played, of two pools: the witness of the closed form that assumes empty pools.

A train of refocusing pulses follows each excitation. It turns what recovers of free water over and over, and saturates
the bound pool pulse by pulse, so that next to nothing of either is left at its end; how little is simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.physics.two_pools import SPIN_ECHO_SATURATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1_phantom.physics.protocols import Protocol
    from bids_t1_phantom.physics.two_pools import Pools

N_REFOCUSING = 22
SPACING = 0.006
"""Of the refocusing pulses, the first of which comes half of it after the excitation [s]."""

TRAIN = N_REFOCUSING * SPACING
"""From the excitation to the end of the readout [s]."""

_MAX_REPETITIONS = 200
_STEADY = 1e-10
_BLOCK = 4096


def selective_inversion_recovery(
    pools: Pools, m0: NDArray[np.float64], *, protocol: Protocol, inversion_efficiency: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Signed steady-state signal of inversions after recovery times, read by trains of spin echoes.

    Parameters
    ----------
    pools : Pools
        Of voxels (voxel).
    m0 : array (voxel)
        Signal of free water in equilibrium.
    protocol : Protocol
        Timing, with recovery times.
    inversion_efficiency : array (voxel)
        kappa = 1 - cos(inversion angle), of free water.

    Returns
    -------
    array (measurement, voxel)
        In the units of `m0`, negative before the zero crossing.
    """
    signal = np.empty((len(protocol.inversion_times), m0.size))
    for row, times in zip(signal, zip(protocol.inversion_times, protocol.recovery_times, strict=True), strict=True):
        for start in range(0, m0.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            row[block] = _steady(pools[block], inversion_efficiency[block], *times, protocol.inversion_leaves)
    return signal * m0


def _steady(
    pools: Pools, kappa: NDArray[np.float64], inversion_time: float, recovery_time: float, leaves: float
) -> NDArray[np.float64]:
    """Repeat inversion, excitation, train and recovery until nothing changes; return Mz at the excitation."""
    to_excitation = pools.wait(inversion_time).after(1 - kappa, leaves)
    first_half = pools.wait(SPACING / 2).after(0.0, np.exp(-SPIN_ECHO_SATURATION * (np.pi / 2) ** 2))
    refocused = np.exp(-SPIN_ECHO_SATURATION * np.pi**2)
    between, second_half = (pools.wait(time).after(-1.0, refocused) for time in (SPACING, SPACING / 2))
    to_inversion = pools.wait(recovery_time)
    state = np.array([np.ones_like(kappa), pools.ratio])
    for _ in range(_MAX_REPETITIONS):
        before, excited = state, to_excitation(state)
        state = first_half(excited)
        for _ in range(N_REFOCUSING - 1):
            state = between(state)
        state = to_inversion(second_half(state))
        if np.all(np.abs(state - before) <= _STEADY):
            return np.asarray(excited[0])
    raise InvalidInputError(f"{recovery_time:g} s of recovery reach no steady state; expected fewer repetitions.")
