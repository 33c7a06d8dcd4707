"""Maximum likelihood of a few parameters within bounds, where likelihoods take long to compute: quasi-Newton steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np
from scipy.optimize import lsq_linear

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

GAIN = 1e-5
"""Log likelihood that a step must promise: what is found is within a two-hundredth of its standard error."""

MOST_STEPS = 50
"""Of one descent."""

MOST_TRIALS = 10
"""Of one step, each shorter than the one before."""

SHORTEST, HALF = 0.1, 0.5
"""How much of a step that led up is tried next, at least and at most."""

RIDGE = 1e-9
"""Added to correlations, so that rounding leaves them positive."""

LEAST_TURN = 0.2
"""Share of the expected change of the gradient from which on the change is believed."""


class Point(Protocol):
    """Parameters and what they cost."""

    @property
    def at(self) -> Values:
        """The parameters."""
        ...

    @property
    def cost(self) -> float:
        """Negative log likelihood."""
        ...

    @property
    def gradient(self) -> Values:
        """Its derivatives."""
        ...


P = TypeVar("P", bound=Point)


class Limits(NamedTuple):
    """Of parameters."""

    least: Values
    most: Values
    longest: float
    """Step of each."""


def descend(judge: Callable[[Values], P], here: P, curvature: Values, limits: Limits) -> tuple[P, Values]:
    """Return where the cost is least, and the curvature there.

    Each step goes to the least value, within bounds, of the parabola that the curvature describes, which learns from
    every change of the gradient (Broyden, Fletcher, Goldfarb and Shanno). A good first guess of it saves as many steps
    as there are parameters.

    Parameters
    ----------
    curvature
        Guess of the second derivatives, (parameter, parameter), positive definite.
    """
    for _ in range(MOST_STEPS):
        step = _step(here, curvature, limits)
        if -(here.gradient @ step + 0.5 * step @ curvature @ step) < GAIN:
            break
        for _ in range(MOST_TRIALS):
            there = judge(here.at + step)
            curvature = _learned(curvature, step, there.gradient - here.gradient)
            if there.cost < here.cost:
                break
            slope = here.gradient @ step
            step = step * np.clip(-0.5 * slope / (there.cost - here.cost - slope), SHORTEST, HALF)
        else:
            break
        here = there
    return here, curvature


def _step(here: Point, curvature: Values, limits: Limits) -> Values:
    """Return the way to the least value of the parabola."""
    low = np.maximum(limits.least - here.at, -limits.longest)
    high = np.minimum(limits.most - here.at, limits.longest)
    scale = np.sqrt(np.diag(curvature))
    root = np.linalg.cholesky(curvature / np.outer(scale, scale) + RIDGE * np.eye(len(scale)))
    target = -np.linalg.solve(root, here.gradient / scale)
    best = lsq_linear(root.T, target, bounds=(low * scale, high * scale), method="bvls").x
    step: Values = np.clip(best / scale, low, high)
    return step


def _learned(curvature: Values, step: Values, turn: Values) -> Values:
    """Return the curvature that a change of the gradient shows, kept positive (Powell 1978, doi 10.1007/BFb0067703)."""
    expected = curvature @ step
    by_step, by_turn = step @ expected, step @ turn
    if by_turn < LEAST_TURN * by_step:
        turn = expected + (1 - LEAST_TURN) * by_step / (by_step - by_turn) * (turn - expected)
    learned: Values = curvature - np.outer(expected, expected) / by_step + np.outer(turn, turn) / (step @ turn)
    return learned
