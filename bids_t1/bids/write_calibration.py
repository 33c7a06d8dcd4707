"""What cross-validation of a calibration says, as tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from bids_t1.bids.write import write_group_table
from bids_t1.bids.write_spaces import table
from bids_t1.data.calibration import METHODS

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.calibration import Behaviour, CalibrationScores

SCORES = {
    "fold": "Fold in which the participant was held out.",
    "label": "Name of the MP2RAGE run.",
    "participant": "Participant.",
    "method": "Correction; from none to a network: "
    + "; ".join(f"{name}: {text}" for name, text in METHODS.items())
    + ".",
    "tissue": "Abbreviation of the tissue, as in dseg.tsv.",
    "n_voxels": "Voxels with T1 from both sequences, in the space of inversion recovery.",
    "rmse": "Root mean square of corrected MP2RAGE T1 minus inversion-recovery T1 [s].",
    "bias": "Mean of the difference [s].",
    "sd": "Standard deviation of the difference [s].",
    "lower_limit": "Lower limit of agreement, bias - 1.96 SD [s].",
    "upper_limit": "Upper limit of agreement, bias + 1.96 SD [s].",
    "within": "Share of voxels within the 95 % interval that the other participants tell.",
}
"""Columns of group_calibration.tsv."""

SUMMARIES = {
    "method": SCORES["method"],
    "tissue": SCORES["tissue"],
    "n_participants": "Held-out participants.",
    "rmse": "Mean of the participants' RMSE [s].",
    "rmse_sd": "Standard deviation between participants [s].",
    "bias": "Mean of the participants' bias [s].",
    "reduction": "Reduction of the RMSE, relative to no correction.",
    "excess": "Mean RMSE of this method less that of the one that is applied [s].",
    "excess_error": "Standard error of that mean over participants [s].",
    "n_worse": "Participants in whom this method leaves more than the one that is applied.",
    "within": "Share of voxels within the 95 % interval, mean over participants.",
    "least_within": "The same in the participant in whom it is smallest.",
    "region_limit": "Half the 95 % interval of the mean of a region in another participant, relative to T1.",
}
"""Columns of group_calibrationsummary.tsv."""


BEHAVIOUR = {
    "method": SCORES["method"],
    "n_scans": "Held-out scans.",
    "lesion_response": "d log(T1 out) / d log(T1 in) of a lesion painted into white matter, T1 longer by 20 %; mean.",
    "least_response": "The same in the scan where it is smallest.",
    "amplitude_low": "Amplitude of log T1 after over before correction, in the lower third of spatial frequencies.",
    "amplitude_middle": "The same in the middle third.",
    "amplitude_high": "The same in the upper third.",
}
"""Columns of group_calibrationbehaviour.tsv."""


def write_scores(out_dir: Path, scores: CalibrationScores) -> None:
    """Write tables of participants, of methods and of their behaviour, each with a description of its columns."""
    for name, columns, rows in (
        ("calibrationbehaviour", BEHAVIOUR, [_with_bands(row) for row in scores.behaviour]),
        ("calibration", SCORES, [asdict(row) for row in scores.scores]),
        ("calibrationsummary", SUMMARIES, [asdict(row) for row in scores.summaries]),
    ):
        write_group_table(out_dir, name, columns, table(list(columns), rows))


def _with_bands(row: Behaviour) -> dict[str, object]:
    """Return a row with a column for each band of the spectrum."""
    return {**asdict(row), **dict(zip(list(BEHAVIOUR)[-3:], row.spectrum, strict=True))}
