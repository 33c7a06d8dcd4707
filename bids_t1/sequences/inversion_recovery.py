"""Multi-TI inversion recovery, the reference method for T1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Columns, Times
    from bids_t1.data.sidecar import Sidecar

UNKNOWN_REPETITION_TIME = 1e4
"""Stands in for an infinite TR inside exp(-TR/T1), which it makes exactly zero [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionRecovery:
    """An inversion - TI - 90 degree readout experiment, repeated every TR.

    In the steady state the longitudinal magnetisation at the readout is, exactly,

        M0 (1 - exp(-TR/T1)) + kappa M0 (exp(-TR/T1) - exp(-TI/T1))

    with kappa = 1 - cos(inversion angle), 2 for an ideal inversion. When all TR are equal the two columns
    span the same signals as a + b exp(-TI/T1) (Barral et al. 2010, doi 10.1002/mrm.22497), so T1 is the same.
    """

    inversion_times: tuple[float, ...]
    """Delays between inversion and excitation [s]."""

    repetition_times: tuple[float, ...]
    """Delay between two inversions, one per inversion time [s]; infinite where unknown."""

    ideal: bool = False
    """Whether kappa is fixed at 2 and TR taken as infinite: signal M0 (1 - 2 exp(-TI/T1))."""

    def __post_init__(self) -> None:
        times = ", ".join(f"{time:g}" for time in self.inversion_times)
        if len(self.inversion_times) != len(self.repetition_times):
            raise InvalidInputError(
                f"{len(self.inversion_times)} inversion times and {len(self.repetition_times)} repetition times; "
                "expected one TR per TI."
            )
        if any(ti <= 0 or not math.isfinite(ti) for ti in self.inversion_times):
            raise InvalidInputError(f"InversionTime is {times} s; expected positive seconds.")
        for ti, tr in zip(self.inversion_times, self.repetition_times, strict=True):
            if not tr > ti:
                raise InvalidInputError(
                    f"RepetitionTime {tr:g} s is not longer than InversionTime {ti:g} s; "
                    "expected the delay between two inversions. Correct the sidecar."
                )
        n_unknowns = self.n_coefficients + 1
        if len(set(self.inversion_times)) < n_unknowns:
            raise InvalidInputError(
                f"{len(set(self.inversion_times))} different inversion times ({times} s); "
                f"expected at least {n_unknowns}, one per unknown of the model."
            )

    @classmethod
    def from_metadata(
        cls, sidecars: Sequence[Sidecar], *, ideal: bool = False
    ) -> tuple[InversionRecovery, tuple[str, ...]]:
        """Read the timing of each image, and say what was assumed.

        The repetition time is the delay between two inversions: ``RepetitionTimePreparation`` (BIDS), else
        ``RepetitionTimeInversion`` (dcm2niix), else ``RepetitionTime``. Where none is given it is taken as infinite.

        Raises
        ------
        InvalidInputError
            If an inversion time is missing, or the timing is impossible.
        """
        inversion_times = [sidecar.seconds("InversionTime") for sidecar in sidecars]
        missing = [sidecar.name for sidecar, time in zip(sidecars, inversion_times, strict=True) if time is None]
        if missing:
            raise InvalidInputError(
                f"{', '.join(missing)}: InversionTime is missing; expected seconds in every sidecar."
            )
        repetition_times = [_repetition_time(sidecar) for sidecar in sidecars]
        unknown = [sidecar.name for sidecar, time in zip(sidecars, repetition_times, strict=True) if math.isinf(time)]
        notes: tuple[str, ...] = ()
        if unknown and not ideal:
            notes = (f"{', '.join(unknown)}: RepetitionTime is missing; taken as infinite.",)
        model = cls(
            inversion_times=tuple(time for time in inversion_times if time is not None),
            repetition_times=tuple(repetition_times),
            ideal=ideal,
        )
        return model, notes

    @property
    def n_measurements(self) -> int:
        """Number of inversion times."""
        return len(self.inversion_times)

    @property
    def n_coefficients(self) -> int:
        """M0 alone for an ideal inversion, else M0 and kappa M0."""
        return 1 if self.ideal else 2

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """Range of kappa: loose, because a tight bound is a one-sided prior that biases T1."""
        return (0.5, 3.0)

    @property
    def changes_sign(self) -> bool:
        """Before the zero crossing it is negative."""
        return True

    def columns(self, time: Times) -> tuple[Columns, Columns]:
        """Return the columns of M0 and kappa M0 and their derivatives with respect to log T1."""
        ti = _over(self.inversion_times, time)
        recovery = torch.exp(-ti)
        if self.ideal:
            column = 1 - 2 * recovery
            return column[None], ti.mul_(recovery).mul_(-2)[None]
        finite = [min(tr, UNKNOWN_REPETITION_TIME) for tr in self.repetition_times]
        tr = _over(finite[:1] if len(set(finite)) == 1 else finite, time)
        repeat = torch.exp(-tr)
        slope = tr * repeat
        columns, slopes = (time.new_empty(2, *ti.shape) for _ in range(2))
        columns[0] = 1 - repeat
        torch.sub(repeat, recovery, out=columns[1])
        slopes[0] = -slope
        torch.addcmul(slope, ti, recovery, value=-1, out=slopes[1])
        return columns, slopes


def _over(numerators: Sequence[float], time: Times) -> Times:
    """Divide each of some times by each relaxation time; the new axis comes first."""
    return time.new_tensor(numerators).reshape(-1, *(1 for _ in time.shape)) / time


def _repetition_time(sidecar: Sidecar) -> float:
    for key in ("RepetitionTimePreparation", "RepetitionTimeInversion", "RepetitionTime"):
        value = sidecar.seconds(key)
        if value is not None:
            return value
    return math.inf
