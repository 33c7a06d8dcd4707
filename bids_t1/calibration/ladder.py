"""Which of the corrections, from the simplest to the network, is worth applying, and how sure of it one may be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

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

BELIEVED_ALONE = 0.06
"""The same of one participant alone, with what one factor leaves between tissues."""

LEAST_GAIN = 0.02
"""Share of the RMSE below which a gain is not worth a less simple correction, however sure it is."""

LIMIT = 1.96
LEVEL = 0.95


def choose(scores: Sequence[CalibrationScore]) -> Method:
    """Return the simplest method that is as good as the best one in participants that were held out.

    That is: whose RMSE, averaged over tissues, is larger by no more than one standard error of the participants'
    differences, or by no more than `LEAST_GAIN` of it. Without scores, of one participant, it is one factor.
    """
    errors = _errors(scores)
    if not errors:
        return "scale"
    best = min(errors, key=lambda method: float(errors[method].mean()))
    return next(method for method in METHODS if method in errors and _as_good(errors[method], errors[best]))


def _as_good(own: np.ndarray, best: np.ndarray) -> bool:
    excess = own - best
    error = float(excess.std(ddof=1)) / math.sqrt(len(excess)) if len(excess) > 1 else 0.0
    return float(excess.mean()) <= max(error, LEAST_GAIN * float(best.mean()))


def _errors(scores: Sequence[CalibrationScore]) -> dict[Method, np.ndarray]:
    """Return the RMSE of each method, one number per participant: the mean over tissues [s]."""
    found: dict[Method, dict[str, list[float]]] = {}
    for each in scores:
        if each.rmse is not None:
            found.setdefault(each.method, {}).setdefault(each.participant, []).append(each.rmse)
    return {method: np.array([np.mean(of[name]) for name in sorted(of)]) for method, of in found.items()}


def share_kept(n_participants: int) -> float:
    """Return the share of a simple correction that so few participants can bear, 0 to 1; 1 from four on.

    The logarithm of the factor is shrunk towards none, as a mean of so many normal values is.
    """
    if n_participants >= FEWEST_FOR_NETWORK:
        return 1.0
    return n_participants / (n_participants + (BELIEVED_SCATTER / BELIEVED_BIAS) ** 2)


def relation_sd(offsets: Sequence[Mapping[Tissue, float]]) -> float:
    """Return the SD of a correction between participants, relative, so that 1.96 of it hold 95 % of them.

    Parameters
    ----------
    offsets
        Mean logarithm of corrected over reference T1 of each held-out participant, by tissue. The quantile is that of
        Student's t with one participant fewer than there are.
    """
    n = len(offsets)
    if n < 2:  # noqa: PLR2004 -- one value has no scatter
        return BELIEVED_ALONE
    squares = [value**2 for each in offsets for value in each.values()]
    n_tissues = max(1, len(squares) / n)
    scatter = math.sqrt(sum(squares) / n_tissues / (n - 1))
    return scatter * float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) / LIMIT


def conformal_scale(errors: Sequence[Mapping[Tissue, np.ndarray]]) -> float:
    """Return the factor of an SD with which 1.96 of it hold 95 % of the voxels of a participant not seen.

    Each held-out participant has a factor of its own, in its worst tissue; of these the (n + 1) 95 %-th is taken, or,
    of fewer than 19, the largest, which promises n / (n + 1).
    """
    own = sorted(
        max(float(np.quantile(np.abs(values), LEVEL)) for values in each.values() if len(values))
        for each in errors
        if any(len(values) for values in each.values())
    )
    if not own:
        return 1.0
    return own[min(len(own), math.ceil((len(own) + 1) * LEVEL)) - 1] / LIMIT


_INTERVALS = (
    "Intervals of a simple correction are the wider of Student's t, degrees of freedom: {}, and the quantile of the "
    "held-out participants; those of the network are the latter."
)


def promise(n_participants: int) -> tuple[str, ...]:
    """Say what so many participants can promise of another one."""
    if n_participants == 1:
        return (
            "One participant: nobody was held out, so nothing was measured of how well the correction does.",
            f"Its SD holds what is believed of people and tissues ({BELIEVED_ALONE:.0%}), not what was measured.",
            f"One factor is applied, shrunk to {share_kept(1):.0%} of its logarithm.",
        )
    distribution_free = n_participants / (n_participants + 1)
    words = [
        _INTERVALS.format(n_participants - 1),
    ]
    if distribution_free < LEVEL:
        words.append(
            f"{n_participants} participants cannot promise 95 % of another one: without assumptions at most "
            f"{distribution_free:.0%}; Student's t assumes that participants scatter normally."
        )
    if n_participants < FEWEST_FOR_NETWORK:
        words.append(
            f"So few participants teach no network; what a simple correction adds is shrunk to "
            f"{share_kept(n_participants):.0%}."
        )
    return tuple(words)
