"""The inversion efficiency of adiabatic pulses by their peak amplitude: the tables of `bids_t1.sequences.adiabatic`.

``python -m benchmarks.adiabatic_pulses`` prints them. The Bloch equations in the frame of the pulse, on resonance, with
T2 and without T1, are stepped in rotations of 10 microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.sequences.adiabatic import FOCI, HYPERBOLIC_SECANT

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAMMA = 2 * np.pi * 42.577e6
"""Of protons [rad/s/T]."""

T2 = 0.05
"""Of tissue [s]."""

STEP = 1e-5
"""[s]."""


def hyperbolic_secant(duration: float, mu: float, beta: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return amplitude over its peak and frequency offset [rad/s] (Silver 1984, doi 10.1016/0022-2364(84)90181-1)."""
    time = _times(duration)
    return 1 / np.cosh(beta * time), -mu * beta * np.tanh(beta * time)


def foci(duration: float, mu: float, beta: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same of the C-shaped modulation (Ordidge et al. 1996, doi 10.1002/mrm.1910360405)."""
    amplitude, frequency = hyperbolic_secant(duration, mu, beta)
    shape = np.minimum(1 / amplitude, 10.0)
    return shape * amplitude, shape * frequency


def invert(amplitude: NDArray[np.float64], frequency: NDArray[np.float64], peak: float) -> float:
    """Return the share of the magnetisation that is turned over; the peak is in microtesla."""
    magnetisation = np.array([0.0, 0.0, 1.0])
    for size, offset in zip(amplitude * GAMMA * peak * 1e-6, frequency, strict=True):
        axis = np.array([size, 0.0, offset])
        speed = np.linalg.norm(axis)
        axis, angle = axis / speed, speed * STEP
        magnetisation = (
            magnetisation * np.cos(angle)
            + np.cross(axis, magnetisation) * np.sin(angle)
            + axis * (axis @ magnetisation) * (1 - np.cos(angle))
        )
        magnetisation[:2] *= np.exp(-STEP / T2)
    return float(-magnetisation[2])


def _times(duration: float) -> NDArray[np.float64]:
    n = round(duration / STEP)
    times: NDArray[np.float64] = (np.arange(n, dtype=np.float64) + 0.5) * STEP - duration / 2
    return times


def main() -> None:
    """Print both tables beside those of the program."""
    pulses = {
        "HYPERBOLIC_SECANT": (hyperbolic_secant(0.01024, 4.9, 672.0), HYPERBOLIC_SECANT),
        "FOCI": (foci(0.00768, 2000 * np.pi / 1618, 1618.0), FOCI),
    }
    for name, ((amplitude, frequency), kept) in pulses.items():
        print(name)
        for peak, efficiency in kept:
            print(f"    ({peak:g}, {max(invert(amplitude, frequency, peak), 0):.3f}),  # kept: {efficiency:g}")


if __name__ == "__main__":
    main()
