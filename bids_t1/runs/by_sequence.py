"""What makes maps of the runs of each sequence; a test holds it equal to the table of sequences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bids_t1.data.outputs import WEIGHTED, outputs_of
from bids_t1.data.sequences import (
    INVERSION_RECOVERY,
    MP2RAGE,
    MULTI_ECHO,
    SELECTIVE_INVERSION_RECOVERY,
    VARIABLE_FLIP_ANGLE,
)
from bids_t1.runs import (
    inversion_recovery,
    mp2rage,
    multi_echo_gre,
    selective_inversion_recovery,
    variable_flip_angle,
)
from bids_t1.tissue.picture import weighted_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bids_t1.data.acquisition import Acquisition
    from bids_t1.data.protocol import Protocol
    from bids_t1.data.result import RunResult
    from bids_t1.runs.common import Ready, Run
    from bids_t1.settings import Settings


@dataclass(frozen=True, slots=True)
class Measured:
    """What becomes of the runs of a sequence."""

    process: Callable[[Run, Settings], RunResult]
    """Makes maps of one run."""

    ready: Callable[[Run, Settings], Ready]
    """Reads what one run would be measured from."""

    declared: Callable[[Acquisition, Protocol], Acquisition | None] = lambda _acquisition, _protocol: None
    """What metadata declare a run of it to be instead; None: nothing else."""


RUNS: Mapping[str, Measured] = {
    INVERSION_RECOVERY.name: Measured(
        inversion_recovery.process, inversion_recovery.ready, selective_inversion_recovery.declared
    ),
    SELECTIVE_INVERSION_RECOVERY.name: Measured(
        selective_inversion_recovery.process, selective_inversion_recovery.ready
    ),
    MP2RAGE.name: Measured(mp2rage.process, mp2rage.ready),
    MULTI_ECHO.name: Measured(multi_echo_gre.process, multi_echo_gre.ready),
    VARIABLE_FLIP_ANGLE.name: Measured(variable_flip_angle.process, variable_flip_angle.ready),
}


def process(run: Run, settings: Settings) -> RunResult:
    """Estimate the maps of one run with what knows its sequence."""
    run = _as_declared(run, settings)
    return _with_weighted_image(RUNS[run.acquisition.sequence].process(run, settings))


def ready(run: Run, settings: Settings) -> Ready:
    """Read what one run would be measured from.

    Raises
    ------
    InvalidInputError
        If `process` would refuse it before it computes anything.
    """
    run = _as_declared(run, settings)
    return RUNS[run.acquisition.sequence].ready(run, settings)


def _as_declared(run: Run, settings: Settings) -> Run:
    """Return a run as what its metadata or the protocol file declare it to be."""
    declared = RUNS[run.acquisition.sequence].declared(run.acquisition, settings.protocol)
    return run if declared is None else replace(run, acquisition=declared)


def _with_weighted_image(run: RunResult) -> RunResult:
    """Add the T1-weighted image of a run of T1."""
    if all(row.quantity != WEIGHTED for row in outputs_of(run.sequence)):
        return run
    image, how = weighted_image(run.maps, run.grid)
    return replace(run, maps={**run.maps, WEIGHTED: image}, record={**run.record, "T1WeightedImage": how})
