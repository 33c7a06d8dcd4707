"""Spoiled gradient echoes at several flip angles, for T1."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.flip_angles import listed, require_degrees
from bids_t1.sequences.spoiling import USUAL_T2, Spoiling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Readouts, Times
    from bids_t1.data.sidecar import Sidecar

LONGEST_REPETITION_TIME = 0.5
"""Pulses of spoiled gradient echoes follow one another faster; larger numbers are milliseconds [s]."""

N_LEAST = 2
"""M0 and T1."""


@dataclass(frozen=True, kw_only=True)
class VariableFlipAngle:
    """The steady state of perfectly spoiled gradient echoes at several flip angles.

    M0 sin(a) (1 - E) / (1 - cos(a) E), with E = exp(-TR/T1) and a the nominal angle times b1 (Gupta 1977,
    doi 10.1016/0022-2364(77)90138-X; Deoni et al. 2003, doi 10.1002/mrm.10407). Never negative.
    """

    flip_angles: tuple[float, ...]
    """Nominal flip angles [rad]."""

    repetition_times: tuple[float, ...]
    """Delay between two pulses of each image [s]."""

    spoiling: Spoiling | None = None
    """What spoiling leaves; None: it is taken as perfect."""

    def __post_init__(self) -> None:
        if len(self.flip_angles) != len(self.repetition_times):
            raise InvalidInputError(
                f"{len(self.flip_angles)} flip angles and {len(self.repetition_times)} repetition times; expected one "
                "of each per image."
            )
        require_degrees(self.flip_angles)
        if not all(0 < time < LONGEST_REPETITION_TIME for time in self.repetition_times):
            raise InvalidInputError(
                f"RepetitionTimeExcitation is {listed(self.repetition_times)}; expected seconds, below "
                f"{LONGEST_REPETITION_TIME:g}. Divide by 1000 if these are milliseconds."
            )
        if len(set(zip(self.flip_angles, self.repetition_times, strict=True))) < N_LEAST:
            angle = math.degrees(max(self.flip_angles, default=0.0))
            raise InvalidInputError(f"all flip angles are {angle:g} degrees; expected images at two or more.")

    @classmethod
    def from_metadata(cls, sidecars: Sequence[Sidecar]) -> VariableFlipAngle:
        """Read angle and repetition time of each image.

        The repetition time is ``RepetitionTimeExcitation`` (BIDS), else ``RepetitionTime``, as converters write it.

        Raises
        ------
        InvalidInputError
            If one of them is missing or impossible.
        """
        angles = _required(sidecars, ("FlipAngle",), "degrees")
        times = _required(sidecars, ("RepetitionTimeExcitation", "RepetitionTime"), "seconds")
        return cls(flip_angles=tuple(math.radians(angle) for angle in angles), repetition_times=times)

    def spoiled_by(self, phase_increment: float, t2: float = USUAL_T2) -> VariableFlipAngle:
        """Return the model of pulses whose phase rises by this much more each time [degree], in tissue of T2 [s]."""
        spoiling = Spoiling(
            phase_increment=phase_increment,
            flip_angles=self.flip_angles,
            repetition_times=self.repetition_times,
            t2=t2,
        )
        return replace(self, spoiling=spoiling)

    @property
    def n_readouts(self) -> int:
        """Number of images."""
        return len(self.flip_angles)

    @property
    def is_exact(self) -> bool:
        """All of the protocol is known."""
        return True

    def at_score(self, score: float) -> VariableFlipAngle:  # noqa: ARG002 - nothing is uncertain
        """Return the model itself."""
        return self

    def signals(self, time: Times, transmit: Times) -> Readouts:
        """Return the signal of each image relative to the equilibrium signal.

        Parameters
        ----------
        time
            T1 [s].
        transmit
            Transmit field relative to nominal; broadcasts with `time`.
        """
        signals = []
        for angle, repetition_time in zip(self.flip_angles, self.repetition_times, strict=True):
            recovered = -torch.expm1(-repetition_time / time)
            played = angle * transmit
            signals.append(torch.sin(played) * recovered / (1 - torch.cos(played) * (1 - recovered)))
        ideal = torch.stack(signals)
        return ideal if self.spoiling is None else ideal * self.spoiling.ratios(time, transmit)


def _required(sidecars: Sequence[Sidecar], keys: tuple[str, ...], unit: str) -> tuple[float, ...]:
    """Return the first of some fields that is there, of every image."""
    found = [next((value for key in keys if (value := sidecar.number(key)) is not None), None) for sidecar in sidecars]
    missing = [sidecar.name for sidecar, value in zip(sidecars, found, strict=True) if value is None]
    if missing:
        raise InvalidInputError(f"{', '.join(missing)}: {keys[0]} is missing; expected {unit} in every sidecar.")
    return tuple(value for value in found if value is not None)
