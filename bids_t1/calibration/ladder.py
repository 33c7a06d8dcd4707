"""Which of the corrections, from the simplest to the network, is worth applying, and how sure of it one may be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.calibration.intervals import BELIEVED_ALONE, LEAST_HELD, LEVEL
from bids_t1.data.calibration import METHODS, CalibrationScore, Method

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.tissue import Tissue

FEWEST_FOR_NETWORK = 4
"""Participants below which no network is trained, and simple corrections are shrunk."""

BELIEVED_BIAS = 0.12
"""SD of the logarithm of the factor that is believed before any pair was seen: MP2RAGE reads 10 to 15 % short."""

BELIEVED_SCATTER = 0.04
"""SD of the logarithm of the factor between participants that is believed where it cannot be measured."""

LEAST_GAIN = 0.02
"""Share of the RMSE below which a gain is not worth a less simple correction, however sure it is."""


def choose(scores: Sequence[CalibrationScore]) -> Method:
    """Return the simplest method that is as good as any in every tissue of participants that were held out.

    As good is what leaves no more in a tissue than the one that leaves least there, but for one standard error of the
    participants' differences, or for `LEAST_GAIN`. Where none is so in every tissue, it is the one with the smallest
    RMSE, averaged over tissues; without scores, of one participant, it is one factor.
    """
    errors = _errors(scores)
    if not errors:
        return "scale"
    as_good = [method for method in METHODS if method in errors and _as_good(method, errors)]
    return as_good[0] if as_good else min(errors, key=lambda method: _on_average(errors[method]))


def is_as_good(method: Method, scores: Sequence[CalibrationScore]) -> bool:
    """Tell whether no other method leaves less in a tissue by more than chance."""
    errors = _errors(scores)
    return method not in errors or _as_good(method, errors)


def _on_average(errors: Mapping[Tissue, np.ndarray]) -> float:
    return float(np.mean([own.mean() for own in errors.values()]))


def _as_good(method: Method, errors: Mapping[Method, Mapping[Tissue, np.ndarray]]) -> bool:
    return all(
        _as_good_in_tissue(own, min((other[tissue] for other in errors.values()), key=lambda rmse: float(rmse.mean())))
        for tissue, own in errors[method].items()
    )


def _as_good_in_tissue(own: np.ndarray, best: np.ndarray) -> bool:
    excess = own - best
    error = float(excess.std(ddof=1)) / math.sqrt(len(excess)) if len(excess) > 1 else 0.0
    return float(excess.mean()) <= max(error, LEAST_GAIN * float(best.mean()))


def _errors(scores: Sequence[CalibrationScore]) -> dict[Method, dict[Tissue, np.ndarray]]:
    """Return the RMSE of each method in each tissue, one number per participant [s]."""
    found: dict[Method, dict[Tissue, dict[str, list[float]]]] = {}
    for each in scores:
        if each.rmse is not None:
            of_tissue = found.setdefault(each.method, {}).setdefault(each.tissue, {})
            of_tissue.setdefault(each.participant, []).append(each.rmse)
    return {
        method: {tissue: np.array([np.mean(rows[name]) for name in sorted(rows)]) for tissue, rows in of_method.items()}
        for method, of_method in found.items()
    }


def share_kept(n_participants: int, method: Method) -> float:
    """Return the share of a simple correction that so few participants can bear, 0 to 1; 1 from four on.

    The logarithm of the factor is shrunk towards none, as a mean of so many normal values; what was not fitted stays.
    """
    if n_participants >= FEWEST_FOR_NETWORK or method == "prior":
        return 1.0
    return n_participants / (n_participants + (BELIEVED_SCATTER / BELIEVED_BIAS) ** 2)


_INTERVALS = (
    "The SD of a simple correction holds what participants differ by, by Student's t (degrees of freedom: {}); that of "
    "a network is its own. Both are widened until 95 % intervals hold 95 % of the voxels on average over held-out "
    "participants, and at least {:.0%} in each of them."
)


def promise(n_participants: int, rung: Method) -> tuple[str, ...]:
    """Say what so many participants, and the correction that they chose, can promise of another one."""
    share = share_kept(n_participants, rung)
    if n_participants == 1:
        return (
            "One participant: nobody was held out, so nothing was measured of how well the correction does.",
            f"Its SD holds what is believed of people and tissues ({BELIEVED_ALONE:.0%}), not what was measured.",
            f"One factor is applied, shrunk to {share:.0%} of its logarithm.",
        )
    distribution_free = n_participants / (n_participants + 1)
    words = [
        _INTERVALS.format(n_participants - 1, LEAST_HELD),
    ]
    if distribution_free < LEVEL:
        words.append(
            f"{n_participants} participants cannot promise 95 % of another one: without assumptions at most "
            f"{distribution_free:.0%}; Student's t assumes that participants scatter normally."
        )
    if n_participants < FEWEST_FOR_NETWORK:
        shrunk = f"; what a simple correction adds is shrunk to {share:.0%}" if share < 1 else ""
        words.append(f"So few participants teach no network{shrunk}.")
    return tuple(words)
