"""The pairs of a cohort, as they are and on the lattice that is learned on, where they can be learned from together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.calibration.lattice import SCORED, edge_of, to_sample
from bids_t1.calibration.model_file import differences, protocol_part, target_of
from bids_t1.data.errors import InvalidInputError, NothingSelectedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bids_t1.calibration.lattice import Sample
    from bids_t1.data.calibration import CalibrationOptions, PairedScan
    from bids_t1.data.prior_correction import PriorCorrection

LEAST_VOXELS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Facts:
    """What of a pair is known without its maps."""

    participant: str
    label: str
    edge: float
    measured_protocol: Mapping[str, object]
    reference_protocol: Mapping[str, object]

    @property
    def names(self) -> tuple[str, str]:
        """Return what pairs are sorted by."""
        return self.participant, self.label

    @classmethod
    def of(cls, scan: PairedScan) -> _Facts:
        """Look at one pair."""
        return cls(
            participant=scan.participant,
            label=scan.label,
            edge=edge_of(scan),
            measured_protocol=scan.measured_protocol,
            reference_protocol=scan.reference_protocol,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cohort:
    """All pairs, as they are and on their lattice."""

    scans: Sequence[PairedScan]
    kept: tuple[int, ...]
    """Places in `scans` of those that are learned from."""

    samples: tuple[Sample, ...]
    """Of these."""

    protocol: Mapping[str, object]
    reference_protocol: Mapping[str, object]
    edge: float
    options: CalibrationOptions
    believed: PriorCorrection | None
    left_out: tuple[str, ...]
    """Pairs that could not be learned from, and why."""

    @classmethod
    def gathered(
        cls, scans: Sequence[PairedScan], options: CalibrationOptions, believed: PriorCorrection | None
    ) -> Cohort:
        """Bring scans to the lattice one by one, after a look at whether they can be learned from together."""
        facts = {place: _Facts.of(scans[place]) for place in range(len(scans))}
        order = sorted(facts, key=lambda place: facts[place].names)
        first = facts[order[0]]
        _require_same_protocol([facts[place] for place in order])
        edge = round(float(np.median([each.edge for each in facts.values()])), 3)
        samples = {place: to_sample(scans[place], edge) for place in order}
        kept, left_out = _divided(samples)
        return cls(
            scans=scans,
            kept=kept,
            samples=tuple(samples[place] for place in kept),
            protocol=first.measured_protocol,
            reference_protocol=first.reference_protocol,
            edge=edge,
            options=options,
            believed=believed,
            left_out=left_out,
        )

    @property
    def participants(self) -> list[str]:
        """Return the labels of those that are learned from."""
        return sorted({sample.participant for sample in self.samples})

    def pairs_of(self, participants: Sequence[str]) -> Iterator[tuple[PairedScan, Sample]]:
        """Yield the scans of some participants, each as it is and on the lattice."""
        for place, sample in zip(self.kept, self.samples, strict=True):
            if sample.participant in participants:
                yield self.scans[place], sample

    def of(self, participants: Sequence[str]) -> list[Sample]:
        """Return what is known of some participants on the lattice."""
        return [sample for sample in self.samples if sample.participant in participants]

    def without(self, participants: Sequence[str]) -> list[Sample]:
        """Return what may be learned from when participants are held out."""
        return [sample for sample in self.samples if sample.participant not in participants]


def _require_same_protocol(facts: Sequence[_Facts]) -> None:
    first = facts[0]
    for other in facts[1:]:
        targets = [target_of(each.reference_protocol) for each in (first, other)]
        if targets[0] != targets[1]:
            raise InvalidInputError(
                f"Calibration: {first.label} and {other.label} differ in the T1 to learn: {targets[0]}, and "
                f"{targets[1]}. Expected one: give --ir-fast-component fit, exclude or none to all participants."
            )
        for one, another in (
            (first.measured_protocol, other.measured_protocol),
            (first.reference_protocol, other.reference_protocol),
        ):
            found = differences(protocol_part(one), protocol_part(another))
            if found:
                raise InvalidInputError(
                    f"Calibration: {first.label} and {other.label} differ in {'; '.join(found)}. Expected one "
                    "protocol: a correction holds for the protocol that it was learned with. Select participants of "
                    "one protocol."
                )


def _divided(samples: Mapping[int, Sample]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the places of pairs that can be learned from, and why others cannot.

    Raises
    ------
    NothingSelectedError
        If no pair can.
    """
    small = {place: reason for place, sample in samples.items() if (reason := _too_small(sample))}
    if len(small) == len(samples):
        raise NothingSelectedError(f"Calibration: nothing is left to learn from. {' '.join(small.values())}")
    return tuple(place for place in samples if place not in small), tuple(small.values())


def _too_small(sample: Sample) -> str | None:
    """Say why a pair cannot be learned from; None where it can."""
    n_voxels = int(np.isin(sample.tissue, SCORED).sum())
    if n_voxels >= LEAST_VOXELS:
        return None
    return (
        f"{sample.label} is left out: {n_voxels} voxels of white and grey matter with T1 from both sequences; expected "
        f"at least {LEAST_VOXELS}. Check registration and tissues."
    )
