"""Multi-echo gradient echo, for T2*."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Columns, Times
    from bids_t1.data.sidecar import Sidecar

LONGEST_ECHO_TIME = 1.0
"""Later echoes hold no signal; larger numbers are milliseconds [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiEchoGradientEcho:
    """Gradient echoes after one excitation: signal M0 exp(-TE/T2*).

    Monoexponential: field gradients across the voxel, which bend the decay, shorten T2*.
    """

    echo_times: tuple[float, ...]
    """Delays between excitation and echo [s]."""

    def __post_init__(self) -> None:
        times = ", ".join(f"{time:g}" for time in self.echo_times)
        if any(not 0 < time < LONGEST_ECHO_TIME for time in self.echo_times):
            raise InvalidInputError(
                f"EchoTime is {times}; expected seconds, above 0 and below {LONGEST_ECHO_TIME:g}. Divide by 1000 if "
                "these are milliseconds."
            )
        if len(set(self.echo_times)) < 2:  # noqa: PLR2004 - M0 and T2*
            raise InvalidInputError(
                f"{len(set(self.echo_times))} different echo times ({times} s); expected two or more."
            )

    @classmethod
    def from_metadata(cls, sidecars: Sequence[Sidecar]) -> MultiEchoGradientEcho:
        """Read the echo time of each image.

        Raises
        ------
        InvalidInputError
            If one is missing or impossible.
        """
        return cls(echo_times=tuple(sidecar.seconds("EchoTime") or math.nan for sidecar in sidecars))

    def select(self, images: Sequence[int]) -> MultiEchoGradientEcho:
        """Return the experiment of some of the images, by their numbers from zero."""
        return replace(self, echo_times=tuple(self.echo_times[image] for image in images))

    @property
    def n_measurements(self) -> int:
        """Number of echoes."""
        return len(self.echo_times)

    @property
    def n_coefficients(self) -> int:
        """M0 alone."""
        return 1

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """No second coefficient."""
        return (0.0, 0.0)

    @property
    def companion(self) -> None:
        """One exponential."""
        return

    @property
    def changes_sign(self) -> bool:
        """A decay does not."""
        return False

    def columns(self, time: Times) -> tuple[Columns, Columns]:
        """Return the column of M0 and its derivative with respect to log T2*."""
        echo = time.new_tensor(self.echo_times).reshape(-1, *(1 for _ in time.shape)) / time
        decay = torch.exp(-echo)
        return decay[None], (echo * decay)[None]
