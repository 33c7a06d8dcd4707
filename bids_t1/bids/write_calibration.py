"""What cross-validation of a calibration says, as tables, and read back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from bids_t1.bids.write_spaces import table
from bids_t1.data.calibration import CalibrationScore, CalibrationScores, Coverage, MethodSummary
from bids_t1.data.tissue import Tissue
from bids_t1.storage import as_json, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Row = TypeVar("Row", CalibrationScore, MethodSummary, Coverage)

SCORES = {
    "fold": "Fold in which the participant was held out.",
    "label": "Name of the MP2RAGE run.",
    "participant": "Participant.",
    "method": "Correction: none, one scale, linear or cubic regression of T1, inversion efficiency, network.",
    "tissue": "Abbreviation of the tissue, as in dseg.tsv.",
    "n_voxels": "Voxels with T1 from both sequences, in the space of inversion recovery.",
    "rmse": "Root mean square of corrected MP2RAGE T1 minus inversion-recovery T1 [s].",
    "bias": "Mean of the difference [s].",
    "sd": "Standard deviation of the difference [s].",
    "lower_limit": "Lower limit of agreement, bias - 1.96 SD [s].",
    "upper_limit": "Upper limit of agreement, bias + 1.96 SD [s].",
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
    "network_gain": "Mean RMSE of this method less that of the network [s]; n/a where no network was trained.",
    "p_wilcoxon": "Two-sided p of the signed-rank test of the participants' differences to the network.",
    "p_t": "Of the paired t test.",
}
"""Columns of group_calibrationsummary.tsv."""


def write_scores(out_dir: Path, scores: CalibrationScores) -> None:
    """Write a table of participants and a table of methods, each with a description of its columns."""
    for name, columns, rows in (
        ("calibration", SCORES, scores.scores),
        ("calibrationsummary", SUMMARIES, scores.summaries),
    ):
        write_whole(out_dir / f"group_{name}.tsv", table(list(columns), [asdict(row) for row in rows]))
        described = {column: {"Description": description} for column, description in columns.items()}
        write_whole(out_dir / f"group_{name}.json", as_json(described))


def scores_in_json(scores: CalibrationScores) -> dict[str, object]:
    """Return all scores in JSON types."""
    return asdict(scores)


def read_scores(content: Mapping[str, Any]) -> CalibrationScores:
    """Return scores from JSON types."""
    return CalibrationScores(
        scores=tuple(_row(CalibrationScore, entry) for entry in content["scores"]),
        summaries=tuple(_row(MethodSummary, entry) for entry in content["summaries"]),
        coverage=tuple(_row(Coverage, entry) for entry in content["coverage"]),
        verdict=tuple(content["verdict"]),
    )


def _row(kind: type[Row], entry: Mapping[str, Any]) -> Row:
    return kind(**{**entry, "tissue": Tissue(entry["tissue"])})
