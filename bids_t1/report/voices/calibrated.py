"""What a reader has to know of T1 that was calibrated to inversion recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.calibration import MUCH_OUTSIDE
from bids_t1.report.words import wording
from bids_t1.report.words.record import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bids_t1.data.result import RunResult

CALIBRATED, OUTSIDE = "calibrated", "outside_training"
FORCED = "CalibrationForced"
"""Key of the record: how the protocol differs from that of the training, where it was applied all the same."""


def caution_of_forced(record: Mapping[str, object]) -> str:
    """Say that the calibration is that of another protocol; nothing where it is not."""
    differences = record.get(FORCED)
    if not differences:
        return ""
    found = "" if differences is True else f" ({plain(differences)})"
    return (
        f"The calibration was trained on another protocol{found} and was applied all the same, as asked for. It may "
        "make T1 worse; use the calibrated maps only where you can check them."
    )


def caution_of_outside(outside: NDArray[np.integer], where: NDArray[np.bool_]) -> str:
    """Say in how many voxels T1 is not calibrated; nothing where they are few."""
    count, total = int(np.count_nonzero((outside > 0) & where)), int(where.sum())
    if not count or count < MUCH_OUTSIDE * total:
        return ""
    return (
        f"In {wording.percent(count, total)} of the voxels of tissue the measurements lie outside the range that the "
        "calibration was trained on: calibrated T1 is T1 as measured there."
    )


def cautions_of_run(run: RunResult) -> tuple[str, ...]:
    """Return the cautions on the calibrated maps of a run."""
    forced = caution_of_forced(run.record) if CALIBRATED in run.maps else ""
    return (forced,) if forced else ()
