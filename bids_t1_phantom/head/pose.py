"""How a head lies: it may move between two sequences, and the truth of the move is a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CENTRE = (0.0, -18.0, 8.0)
"""About the middle of the brain, where heads turn [mm]."""

_STREAM = 8
"""Random numbers of the move: nothing else depends on it."""

_MOST_DEGREES = 90.0
_MOST_MILLIMETRES = 100.0

_TO_LPS = np.array([-1.0, -1.0, 1.0])
"""ITK's axes point left, posterior, superior; all others here right, anterior, superior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misalignment:
    """How far a head may move between two sequences."""

    degrees: float = 0.0
    """Largest rotation [degree]."""

    millimetres: float = 0.0
    """Largest shift [mm]."""

    def __post_init__(self) -> None:
        """Refuse what no head in a scanner does.

        Raises
        ------
        UsageError
            If a number is negative, or too large.
        """
        if not (0 <= self.degrees <= _MOST_DEGREES and 0 <= self.millimetres <= _MOST_MILLIMETRES):
            raise UsageError(
                f"misalignment of {self.degrees:g} degrees and {self.millimetres:g} mm; expected 0 to "
                f"{_MOST_DEGREES:g} degrees and 0 to {_MOST_MILLIMETRES:g} mm."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A rigid move of a head from where it lies in inversion recovery: a rotation about `CENTRE`, then a shift."""

    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Direction of the axis, times the angle [degree]; right-anterior-superior."""

    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the middle of the brain [mm]; right-anterior-superior."""

    @classmethod
    def draw(cls, misalignment: Misalignment, *, seed: int, participant: int) -> Pose:
        """Draw the move of one participant: any axis and direction, angle and length uniform up to the largest."""
        rng = np.random.default_rng([seed, participant, _STREAM])
        axis, direction = (vector / np.linalg.norm(vector) for vector in rng.standard_normal((2, 3)))
        angle, length = rng.uniform(0, 1, 2) * (misalignment.degrees, misalignment.millimetres)
        return cls(rotation=_triple(axis * angle), shift=_triple(direction * length))

    @property
    def angle(self) -> float:
        """How far it turns [degree]."""
        return float(np.linalg.norm(self.rotation))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The rotation, array (3, 3), by Rodrigues' formula."""
        angle = np.deg2rad(self.angle)
        if angle == 0:
            return np.eye(3)
        x, y, z = np.asarray(self.rotation) / self.angle
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)

    def at_rest(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Say where, before the move, the head's parts were that now are at scanner coordinates (3, ...) [mm]."""
        if self == Pose():
            return points
        shape = (3,) + (1,) * (points.ndim - 1)
        centre = np.reshape(CENTRE, shape)
        return np.asarray(np.tensordot(self.matrix.T, points - centre - np.reshape(self.shift, shape), axes=1) + centre)

    def itk_text(self) -> str:
        """Return the move as ITK's text file: it takes points before the move to points after it.

        So an image after the move, the input, is resampled to a grid before it, the output.
        """
        matrix = self.matrix * np.outer(_TO_LPS, _TO_LPS)
        parameters = [*matrix.ravel(), *(_TO_LPS * self.shift)]
        rows = [
            "#Insight Transform File V1.0",
            "#Transform 0",
            "Transform: AffineTransform_double_3_3",
            f"Parameters: {_numbers(parameters)}",
            f"FixedParameters: {_numbers(_TO_LPS * CENTRE)}",
        ]
        return "\n".join(rows) + "\n"


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in vector)
    return x, y, z


def _numbers(values: NDArray[np.float64] | list[float]) -> str:
    # Zeros without sign, so that a head that did not move has a tidy file.
    return " ".join(repr(float(value) + 0.0) for value in values)
