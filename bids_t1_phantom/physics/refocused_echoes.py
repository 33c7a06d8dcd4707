"""Spin and stimulated echoes of three pulses: magnetisation vectors turned, dephased and averaged.

No signal equation is used. A voxel holds several isochromats that gradients dephase by different angles; an echo is
their mean, and what no pathway refocuses averages out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_N_ISOCHROMATS = 8
_CRUSHER = 1
"""Turns of dephasing across the voxel, equal on both sides of the echoes that are wanted."""

_SPOILER = 4
"""Turns during the mixing time, so that of all three pulses' pathways only the stimulated echo adds up: no other sum of
turns is a multiple of the number of isochromats."""

_BLOCK = 4096
"""Voxels stepped together."""


def spin_and_stimulated_echo(  # noqa: PLR0913 -- one argument per physical parameter of the experiment
    t1: ArrayLike,
    *,
    flip_angle: float,
    echo_time: float,
    mixing_time: float,
    repetition_time: float,
    transmit_field: ArrayLike = 1.0,
) -> NDArray[np.complex128]:
    """Echoes of the pulses alpha, 2 alpha and alpha in their steady state, for M0 = 1.

    The second pulse follows the first after TE/2, and the spin echo comes another TE/2 later. The third one follows the
    second after the mixing time, and the stimulated echo comes TE/2 later. Transverse magnetisation does not decay,
    and is spoiled before the next repetition.

    Parameters
    ----------
    t1 : array (*voxels)
        Longitudinal relaxation time [s]; it broadcasts with the transmit field.
    flip_angle : float
        Nominal alpha [degree].
    echo_time, mixing_time, repetition_time : float
        TE, TM and from first pulse to first pulse [s].
    transmit_field : array (*voxels)
        Achieved over nominal flip angle.

    Returns
    -------
    array (2, *voxels)
        Spin echo and stimulated echo.

    Raises
    ------
    InvalidInputError
        If the spin echo does not fit into the mixing time, or all pulses not into the repetition time.
    """
    rest = repetition_time - echo_time - mixing_time
    if not (0 < echo_time / 2 < mixing_time and rest > 0):
        raise InvalidInputError(
            f"echo time {echo_time} s, mixing time {mixing_time} s, repetition time {repetition_time} s; expected half "
            "the echo time below the mixing time, and both within the repetition time."
        )
    times, angle = np.broadcast_arrays(np.asarray(t1, dtype=float), np.deg2rad(flip_angle) * np.asarray(transmit_field))
    echoes = np.empty((2, times.size), dtype=complex)
    for start in range(0, times.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        waits = (echo_time / 2, mixing_time - echo_time / 2, rest)
        echoes[:, block] = _steady_echoes(times.ravel()[block], angle.ravel()[block], waits)
    return np.asarray(echoes.reshape(2, *times.shape))


def _steady_echoes(
    t1: NDArray[np.float64], angle: NDArray[np.float64], waits: tuple[float, float, float]
) -> NDArray[np.complex128]:
    """Play one repetition from nothing and one from equilibrium: it is linear in what it starts from."""
    from_nothing, end_of_nothing = _repetition(np.zeros_like(t1), t1, angle, waits)
    from_equilibrium, end_of_equilibrium = _repetition(np.ones_like(t1), t1, angle, waits)
    steady = end_of_nothing / (1 - (end_of_equilibrium - end_of_nothing))
    return np.asarray(from_nothing + (from_equilibrium - from_nothing) * steady)


def _repetition(
    start: NDArray[np.float64], t1: NDArray[np.float64], angle: NDArray[np.float64], waits: tuple[float, float, float]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Return both echoes, and Mz before the next repetition."""
    half, mixing, rest = waits
    spins = _Isochromats(start, t1)
    spins.turn(angle)
    spins.wait(half, _CRUSHER)
    spins.turn(2 * angle)
    spins.wait(half, _CRUSHER)
    spin_echo = spins.transverse.mean(axis=0)
    spins.wait(mixing, _SPOILER)
    spins.turn(angle)
    spins.wait(half, _CRUSHER)
    stimulated_echo = spins.transverse.mean(axis=0)
    spins.wait(rest, 0)
    return np.stack([spin_echo, stimulated_echo]), spins.longitudinal.mean(axis=0)


class _Isochromats:
    """Magnetisation of the parts of each voxel, arrays (isochromat, voxel)."""

    def __init__(self, start: NDArray[np.float64], t1: NDArray[np.float64]) -> None:
        self._t1 = t1
        self._dephasing = np.exp(2j * np.pi * np.arange(_N_ISOCHROMATS) / _N_ISOCHROMATS)[:, None]
        self.longitudinal = np.tile(start, (_N_ISOCHROMATS, 1))
        self.transverse = np.zeros_like(self.longitudinal, dtype=complex)

    def turn(self, angle: NDArray[np.float64]) -> None:
        """Rotate about the x axis."""
        y, z = self.transverse.imag, self.longitudinal
        cosine, sine = np.cos(angle), np.sin(angle)
        self.transverse = self.transverse.real + 1j * (cosine * y - sine * z)
        self.longitudinal = sine * y + cosine * z

    def wait(self, time: float, turns: int) -> None:
        """Relax, while a gradient dephases."""
        self.transverse = self.transverse * self._dephasing**turns
        self.longitudinal = 1 + (self.longitudinal - 1) * np.exp(-time / self._t1)
