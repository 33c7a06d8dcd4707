r"""Free water that exchanges magnetisation with a bound pool: why MP2RAGE reads a T1 that is too short.

Longitudinal magnetisation a of free water and b of protons bound to macromolecules, relative to free water in
equilibrium, follow the Bloch-McConnell equations (Henkelman et al. 1993, doi 10.1002/mrm.1910290607)::

    da/dt = R1a (1 - a) - k F a + k b
    db/dt = R1b (F - b) + k F a - k b

with k the rate from bound to free and F the ratio of bound to free protons. Left alone, both recover with a slow rate,
whose inverse is what "the T1" of a tissue means here, and a fast one near k (1 + F). Only free water is seen and turned
by pulses; a pulse leaves the fraction exp(-W) of b. W is proportional to power times duration, which is the squared
angle, flip angle times transmit field, over the duration (Gloor et al. 2008, doi 10.1002/mrm.21705).

An inversion turns free water only. Exchange then takes part of it back within 50 ms: to who samples later, the
inversion was a worse one. Inversion recovery fits its efficiency; MP2RAGE is told one, and reads a shorter T1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.physics.protocols import INVERSION_LEAVES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bids_t1_phantom.physics.protocols import Protocol
    from bids_t1_phantom.physics.trains import ReadoutProtocol

_MAX_REPETITIONS = 2000
_STEADY = 1e-10
"""Largest change from one repetition to the next, relative to M0 of free water, that counts as none."""

_BLOCK = 4096
"""Voxels stepped together: few enough that their magnetisation stays in the processor's cache."""

SPIN_ECHO_SATURATION = float(-np.log(INVERSION_LEAVES)) / np.pi**2
"""W over the squared angle of excitation and refocusing of spin echoes, pulses of 1 ms [1/rad^2]."""

EXCITATION_SATURATION = 5 * SPIN_ECHO_SATURATION
"""The same of the excitations of gradient-echo trains, pulses of 0.2 ms."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pools:
    """Two pools in each voxel; arrays (*voxels) of one shape."""

    free_rate: NDArray[np.float64]
    """R1 of free water [1/s]."""

    bound_rate: NDArray[np.float64]
    """R1 of bound protons [1/s]."""

    exchange: NDArray[np.float64]
    """From the bound to the free pool [1/s]."""

    ratio: NDArray[np.float64]
    """Bound over free protons."""

    @classmethod
    def build(cls, t1: ArrayLike, *, bound_fraction: ArrayLike, exchange: ArrayLike, bound_rate: ArrayLike) -> Pools:
        """Return pools whose slow component recovers with T1 [s].

        Parameters
        ----------
        t1 : array (*voxels)
            Of the slow component [s].
        bound_fraction : array (*voxels)
            Bound protons over all protons.
        exchange, bound_rate : array (*voxels)
            From the bound to the free pool, and R1 of the bound pool [1/s].
        """
        slow, fraction, leaving, bound = np.broadcast_arrays(
            1 / np.asarray(t1, dtype=float), bound_fraction, exchange, bound_rate
        )
        ratio = fraction / (1 - fraction)
        # What makes the determinant of the equations, less the slow rate, vanish.
        free = slow - ratio * leaving * (1 - leaving / (bound + leaving - slow))
        return cls(free_rate=free, bound_rate=bound, exchange=leaving, ratio=ratio)

    def __getitem__(self, chosen: slice | NDArray[np.bool_]) -> Pools:
        """Return some of the voxels."""
        return Pools(
            free_rate=self.free_rate[chosen],
            bound_rate=self.bound_rate[chosen],
            exchange=self.exchange[chosen],
            ratio=self.ratio[chosen],
        )

    @property
    def bound_fraction(self) -> NDArray[np.float64]:
        """Bound protons over all protons."""
        return self.ratio / (1 + self.ratio)

    @property
    def rates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The slow and the fast rate with which the pools recover when left alone [1/s]."""
        free, bound = self._losses()
        middle = (free + bound) / 2
        apart = np.sqrt((free - bound) ** 2 / 4 + self.ratio * self.exchange**2)
        return middle - apart, middle + apart

    def wait(self, time: float) -> _Step:
        """Return what waiting [s] does: the exponential of the 2 x 2 matrix of the equations, from its eigenvalues."""
        slow, fast = self.rates
        free, bound = self._losses()
        equations = np.array([[free, -self.exchange], [-self.ratio * self.exchange, bound]])
        identity = np.eye(2)[..., None]
        slowly, quickly = np.exp(-slow * time), np.exp(-fast * time)
        matrix = (slowly * (fast * identity - equations) - quickly * (slow * identity - equations)) / (fast - slow)
        equilibrium = np.array([np.ones_like(self.ratio), self.ratio])
        return _Step(matrix=matrix, offset=equilibrium - np.sum(matrix * equilibrium, axis=1))

    def _losses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.free_rate + self.ratio * self.exchange, self.bound_rate + self.exchange


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Step:
    """What happens to (a, b), array (2, voxel): a matrix (2, 2, voxel) times it, and an offset (2, voxel)."""

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    def after(self, turned: ArrayLike, left: ArrayLike) -> _Step:
        """Return this step after a pulse that multiplies a and b."""
        factors = np.broadcast_arrays(turned, left, self.offset[0])[:2]
        return _Step(matrix=self.matrix * np.array(factors), offset=self.offset)

    def __call__(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        new: NDArray[np.float64] = self.matrix[:, 0] * state[0]
        new += self.matrix[:, 1] * state[1]
        new += self.offset
        return new


def inversion_recovery(
    pools: Pools, m0: NDArray[np.float64], *, protocol: Protocol, inversion_efficiency: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Signed steady-state signal of inversion-recovery spin echoes: `simulate.inversion_recovery` with two pools.

    Parameters
    ----------
    pools : Pools
        Of voxels (voxel).
    m0 : array (voxel)
        Signal of free water in equilibrium.
    protocol : Protocol
        Timing.
    inversion_efficiency : array (voxel)
        kappa = 1 - cos(inversion angle), of free water.

    Returns
    -------
    array (measurement, voxel)
        In the units of `m0`, negative before the zero crossing.
    """
    signal = np.empty((len(protocol.inversion_times), m0.size))
    for row, times in zip(signal, zip(protocol.inversion_times, protocol.repetition_times, strict=True), strict=True):
        for start in range(0, m0.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            row[block] = _steady_echo(pools[block], inversion_efficiency[block], *times, protocol)
    return signal * m0


def _steady_echo(
    pools: Pools, kappa: NDArray[np.float64], inversion_time: float, repetition_time: float, protocol: Protocol
) -> NDArray[np.float64]:
    """Repeat inversion, excitation by 90 and refocusing by 180 degrees until nothing changes; return the last Mz."""
    echo_time = protocol.echo_time
    to_excitation = pools.wait(inversion_time).after(1 - kappa, protocol.inversion_leaves)
    to_refocusing = pools.wait(echo_time / 2).after(0.0, np.exp(-SPIN_ECHO_SATURATION * (np.pi / 2) ** 2))
    to_inversion = pools.wait(repetition_time - inversion_time - echo_time / 2).after(
        -1.0, np.exp(-SPIN_ECHO_SATURATION * np.pi**2)
    )
    state = np.array([np.ones_like(kappa), pools.ratio])
    for _ in range(_MAX_REPETITIONS):
        before = state
        excited = to_excitation(state)
        state = to_inversion(to_refocusing(excited))
        if np.all(np.abs(state - before) <= _STEADY):
            return np.asarray(excited[0])
    raise _unsteady(repetition_time)


def rapid_gradient_echo_trains(  # noqa: PLR0913 -- one argument per physical parameter of the experiment
    pools: Pools,
    m0: NDArray[np.float64],
    *,
    protocol: ReadoutProtocol,
    transmit_field: NDArray[np.float64],
    inversion_efficiency: ArrayLike,
    inversion_leaves: ArrayLike = INVERSION_LEAVES,
) -> NDArray[np.float64]:
    """Signed steady-state signal of MP2RAGE and its kin: `simulate.rapid_gradient_echo_trains` with two pools.

    Parameters
    ----------
    pools : Pools
        Of voxels (voxel).
    m0 : array (voxel)
        Signal of free water in equilibrium.
    protocol : ReadoutProtocol
        Timing and flip angles.
    transmit_field : array (voxel)
        Achieved over nominal flip angle of the excitations.
    inversion_efficiency : array (voxel)
        The inversion takes a to minus this times a.
    inversion_leaves : array (voxel)
        Share of b after it.

    Returns
    -------
    array (readout, voxel)
        At the excitation of the centre of k-space, in the units of `m0`.
    """
    signal = np.empty((len(protocol.inversion_times), m0.size))
    efficiency, left = (np.broadcast_to(each, m0.shape) for each in (inversion_efficiency, inversion_leaves))
    for start in range(0, m0.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        inversion = (-efficiency[block], left[block])
        signal[:, block] = _steady_cycle(pools[block], transmit_field[block], inversion, protocol)
    return signal * m0


def _steady_cycle(
    pools: Pools,
    field: NDArray[np.float64],
    inversion: tuple[NDArray[np.float64], NDArray[np.float64]],
    protocol: ReadoutProtocol,
) -> NDArray[np.float64]:
    """Repeat the cycle until nothing changes; return the last signals for M0 = 1."""
    angles = [np.deg2rad(angle) * field for angle in protocol.flip_angles]
    first, *others = (pools.wait(delay) for delay in protocol.delays)
    waits = [first.after(*inversion), *others]
    excitations = [
        pools.wait(spacing).after(np.cos(angle), np.exp(-EXCITATION_SATURATION * angle**2))
        for spacing, angle in zip(protocol.spacings, angles, strict=True)
    ]
    state = np.array([np.ones_like(field), pools.ratio])
    for _ in range(_MAX_REPETITIONS):
        before = state
        centres = []
        for wait, excite in zip(waits, excitations, strict=False):
            state = wait(state)
            for _ in range(protocol.n_before):
                state = excite(state)
            centres.append(state[0])
            for _ in range(protocol.n_after):
                state = excite(state)
        state = waits[-1](state)
        if np.all(np.abs(state - before) <= _STEADY):
            return np.array(centres) * np.sin(angles)
    raise _unsteady(protocol.cycle_time)


def _unsteady(time: float) -> InvalidInputError:
    return InvalidInputError(
        f"no steady state after {_MAX_REPETITIONS} repetitions of {time} s; expected a time that is not much shorter "
        "than T1."
    )
