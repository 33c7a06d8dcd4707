"""How sure a correction may be in another participant: Student's t between people, and what each of them needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from bids_t1.calibration.lattice import SCORED
from bids_t1.calibration.scores import Left
from bids_t1.data.calibration import NETWORKS, Coverage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.calibration import Method
    from bids_t1.data.tissue import Tissue

BELIEVED_ALONE = 0.06
"""SD of the logarithm of the factor between participants, with what one factor leaves between tissues, that is believed
where it cannot be measured."""

LIMIT = 1.96
LEVEL = 0.95

LEAST_HELD = 0.92
"""Share of the voxels that the interval is to hold also in a held-out participant who is unlike the others: then it is
90 % in the worst twentieth of others (`python -m benchmarks.calibration_intervals`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What is added to the SD of the measurement, and what all of it is multiplied by."""

    relation_sd: float
    """Between participants, relative."""

    sd_scale: float


def interval_of(method: Method, held_out: Sequence[Left]) -> Interval:
    """Return the interval of a method from what it leaves in participants that were held out.

    The SD of a network is its own prediction, with a factor; that of a simple correction is between participants, and
    is never narrower than Student's t says.
    """
    trained = method in NETWORKS
    relation = 0.0 if trained else relation_sd([each.offsets for each in by_participant(held_out)])
    scale = conformal_scale([each.errors(relation) for each in by_participant(held_out)])
    return Interval(relation_sd=relation, sd_scale=scale if trained else max(1.0, scale))


def by_participant(held_out: Sequence[Left]) -> list[Left]:
    """Bring several scans of one participant together: what scatters are people."""
    names = dict.fromkeys(each.participant for each in held_out)
    return [_together([each for each in held_out if each.participant == name]) for name in names]


def _together(scans: Sequence[Left]) -> Left:
    tissues = dict.fromkeys(tissue for each in scans for tissue in each.voxels)
    return Left(
        participant=scans[0].participant,
        label=scans[0].label,
        offsets={
            tissue: float(np.mean([each.offsets[tissue] for each in scans if tissue in each.offsets]))
            for tissue in tissues
        },
        voxels={
            tissue: np.concatenate([each.voxels[tissue] for each in scans if tissue in each.voxels], axis=1)
            for tissue in tissues
        },
    )


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


def region_limit(held_out: Sequence[Left], tissue: Tissue) -> float:
    """Return half the 95 % interval of the mean of a region of a tissue in another participant, relative.

    Noise averages out over a region, and what participants differ by does not.
    """
    of_tissue = [{tissue: each.offsets[tissue]} for each in by_participant(held_out) if tissue in each.offsets]
    return LIMIT * relation_sd(of_tissue)


def conformal_scale(errors: Sequence[Mapping[Tissue, np.ndarray]]) -> float:
    """Return the factor of an SD with which 1.96 of it hold 95 % of the voxels of participants not seen.

    95 % on average over participants; and `LEAST_HELD` in the worst tissue of all but one participant in n + 1 (from 19
    participants on, of all but one in twenty).
    """
    known = [values for each in errors if (values := [np.abs(own) for own in each.values() if len(own)])]
    if not known:
        return 1.0
    worst = sorted(max(float(np.quantile(own, LEAST_HELD)) for own in each) for each in known)
    average = float(np.mean([np.mean([np.quantile(own, LEVEL) for own in each]) for each in known]))
    return max(average, worst[min(len(worst), math.ceil((len(worst) + 1) * LEVEL)) - 1]) / LIMIT


def standard_errors(method: Method, scans: Sequence[Left]) -> list[dict[Tissue, np.ndarray]]:
    """Return the errors of each scan in units of the SD that the other participants tell."""
    others = {
        name: interval_of(method, [each for each in scans if each.participant != name])
        for name in {each.participant for each in scans}
    }
    return [
        {
            tissue: errors / others[each.participant].sd_scale
            for tissue, errors in each.errors(others[each.participant].relation_sd).items()
        }
        for each in scans
    ]


def cover(errors: Sequence[Mapping[Tissue, np.ndarray]]) -> tuple[Coverage, ...]:
    """Return how often errors stay within their SD; scans count alike."""
    rows = []
    for tissue in SCORED:
        of_tissue = [np.abs(each[tissue]) for each in errors if tissue in each and len(each[tissue])]
        if of_tissue:
            one, two = ([float((each < limit).mean()) for each in of_tissue] for limit in (1, LIMIT))
            rows.append(Coverage(tissue=tissue, one_sd=float(np.mean(one)), two_sd=float(np.mean(two)), least=min(two)))
    return tuple(rows)
