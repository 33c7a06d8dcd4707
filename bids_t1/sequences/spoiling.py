"""What spoiled gradient echoes leave of transverse magnetisation, and what it does to their signals.

Gradients and a quadratic phase of the pulses should leave nothing. They leave enough to bend T1 from variable flip
angles by some percent; for most phase increments by more (Preibisch & Deichmann 2009, doi 10.1002/mrm.21776).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.interpolate import RectBivariateSpline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Readouts, Times

USUAL_T2 = 0.07
"""T2 of grey and white matter at 3 T, on which the correction depends little [s]."""

T1_NODES = np.geomspace(0.1, 6.0, 16)
B1_NODES = np.linspace(0.2, 2.0, 19)
"""Where pulses are played; splines lie between, and nothing changes beyond."""

FAINTEST = 1e-3
"""Configurations that have decayed this far are followed no longer."""

FADING_TIMES = 4.0
"""Pulses are played for so many times T1, with the recovery that the pulses themselves hasten."""


@dataclass(frozen=True, kw_only=True)
class Spoiling:
    """The signals of one protocol over those of perfect spoiling.

    Preibisch & Deichmann 2009, doi 10.1002/mrm.21776, correct T1 by a straight line whose coefficients are parabolas
    in b1 and belong to one protocol; at 26 degrees that line is 2 % off. Here the pulses of the protocol are played
    at some T1 and b1, by extended phase graphs (Weigel 2015, doi 10.1002/jmri.24619) without diffusion, with
    gradients that dephase a voxel by whole turns in each repetition.
    """

    phase_increment: float
    """Of the quadratic phase of the pulses [degree]."""

    flip_angles: tuple[float, ...]
    """Nominal flip angles [rad]."""

    repetition_times: tuple[float, ...]
    """Delay between two pulses of each image [s]."""

    t2: float = USUAL_T2
    """T2 that is taken everywhere [s]."""

    def ratios(self, time: Times, transmit: Times) -> Readouts:
        """Return the signal of each image over that of perfect spoiling, at T1 [s] and b1, which broadcast."""
        log_time, field = np.broadcast_arrays(torch.log(time).cpu().numpy(), transmit.cpu().numpy())
        values = np.stack([spline(log_time, field, grid=False) for spline in self._splines])
        return torch.from_numpy(values).to(time)

    @cached_property
    def _splines(self) -> tuple[RectBivariateSpline, ...]:
        """Return the ratio of each image over log T1 and b1."""
        t1, b1 = (axis.ravel() for axis in np.meshgrid(T1_NODES, B1_NODES, indexing="ij"))
        images = zip(self.flip_angles, self.repetition_times, strict=True)
        ratios = [self.steady_state(angle * b1, tr, t1) / spoiled(angle * b1, np.exp(-tr / t1)) for angle, tr in images]
        shape = (len(T1_NODES), len(B1_NODES))
        return tuple(RectBivariateSpline(np.log(T1_NODES), B1_NODES, ratio.reshape(shape)) for ratio in ratios)

    def steady_state(
        self, angle: NDArray[np.float64], repetition_time: float, t1: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Play pulses until nothing changes, and return the echo of each case, of angle [rad] and T1 [s], over M0."""
        decay = math.exp(-repetition_time / self.t2)
        n_orders = max(4, math.ceil(math.log(FAINTEST) / math.log(decay)))
        recovery = np.exp(-repetition_time / t1)
        hastened = float(np.min(-np.log(np.cos(angle).clip(1e-6)) / repetition_time + 1 / t1))
        n_pulses = math.ceil(FADING_TIMES / (hastened * repetition_time)) + n_orders
        plus, minus, along = (np.zeros((n_orders, len(t1)), complex) for _ in range(3))
        along[0] = (1 - recovery) / (1 - np.cos(angle) * recovery)
        phase = 0.0
        for pulse in range(n_pulses):
            phase = (phase + math.radians(self.phase_increment) * pulse) % (2 * math.pi)
            plus, minus, along = _turned(plus, minus, along, angle, phase)
            echo: NDArray[np.float64] = np.abs(plus[0])
            along *= recovery
            along[0] += 1 - recovery
            plus, minus = _dephased(plus * decay, minus * decay)
        return echo


def spoiled(angle: NDArray[np.float64], recovery: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the steady state of perfect spoiling over M0, with exp(-TR/T1) given (Ernst & Anderson 1966)."""
    signal: NDArray[np.float64] = np.sin(angle) * (1 - recovery) / (1 - np.cos(angle) * recovery)
    return signal


def _turned(
    plus: NDArray[np.complex128],
    minus: NDArray[np.complex128],
    along: NDArray[np.complex128],
    angle: NDArray[np.float64],
    phase: float,
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.complex128]]:
    """Mix configurations (order, case) by a pulse of this angle and phase [rad].

    In the frame of the pulse, whose phase the receiver follows; `minus` holds the conjugates.
    """
    half, sine = np.cos(angle / 2) ** 2, np.sin(angle)
    other = 1 - half
    turn = complex(math.cos(phase), math.sin(phase))
    plus_, minus_ = plus / turn, minus * turn
    return (
        (half * plus_ + other * minus_ - 1j * sine * along) * turn,
        (other * plus_ + half * minus_ + 1j * sine * along) / turn,
        -0.5j * sine * (plus_ - minus_) + np.cos(angle) * along,
    )


def _dephased(
    plus: NDArray[np.complex128], minus: NDArray[np.complex128]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Shift configurations by one order."""
    after_plus, after_minus = np.zeros_like(plus), np.zeros_like(minus)
    after_plus[1:] = plus[:-1]
    after_minus[:-1] = minus[1:]
    after_plus[0] = np.conj(after_minus[0])
    return after_plus, after_minus
