"""What makes maps of the runs of each sequence; a test holds it equal to the table of sequences."""

from __future__ import annotations

from dataclasses import replace
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

PROCESSES: Mapping[str, Callable[[Run, Settings], RunResult]] = {
    INVERSION_RECOVERY.name: inversion_recovery.process,
    SELECTIVE_INVERSION_RECOVERY.name: selective_inversion_recovery.process,
    MP2RAGE.name: mp2rage.process,
    MULTI_ECHO.name: multi_echo_gre.process,
    VARIABLE_FLIP_ANGLE.name: variable_flip_angle.process,
}


READY: Mapping[str, Callable[[Run, Settings], Ready]] = {
    INVERSION_RECOVERY.name: inversion_recovery.ready,
    SELECTIVE_INVERSION_RECOVERY.name: selective_inversion_recovery.ready,
    MP2RAGE.name: mp2rage.ready,
    MULTI_ECHO.name: multi_echo_gre.ready,
    VARIABLE_FLIP_ANGLE.name: variable_flip_angle.ready,
}


DECLARED: Mapping[str, Callable[[Acquisition, Protocol], Acquisition | None]] = {
    INVERSION_RECOVERY.name: selective_inversion_recovery.declared,
}
"""What metadata may declare a run of a sequence to be."""


def process(run: Run, settings: Settings) -> RunResult:
    """Estimate the maps of one run with what knows its sequence."""
    run = _as_declared(run, settings)
    return _with_weighted_image(PROCESSES[run.acquisition.sequence](run, settings))


def ready(run: Run, settings: Settings) -> Ready:
    """Read what one run would be measured from.

    Raises
    ------
    InvalidInputError
        If `process` would refuse it before it computes anything.
    """
    run = _as_declared(run, settings)
    return READY[run.acquisition.sequence](run, settings)


def _as_declared(run: Run, settings: Settings) -> Run:
    """Return a run as what its metadata or the protocol file declare it to be."""
    declare = DECLARED.get(run.acquisition.sequence)
    declared = None if declare is None else declare(run.acquisition, settings.protocol)
    return run if declared is None else replace(run, acquisition=declared)


def _with_weighted_image(run: RunResult) -> RunResult:
    """Add the T1-weighted image of a run of T1."""
    if all(row.quantity != WEIGHTED for row in outputs_of(run.sequence)):
        return run
    image, how = weighted_image(run.maps, run.grid)
    return replace(run, maps={**run.maps, WEIGHTED: image}, record={**run.record, "T1WeightedImage": how})
