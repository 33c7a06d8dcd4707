"""MP2RAGE and MP3RAGE without pairs: T1 of the slow component of tissue, by what is believed of tissue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.estimation.posterior.correction import correct, learn_correction
from bids_t1.sequences.magnetisation_transfer import play, prior_of
from bids_t1.sequences.mp2rage import OLSSON_FIELD, OLSSON_PULSES

if TYPE_CHECKING:
    from bids_t1.data.options import MtPrior
    from bids_t1.data.prior_correction import PriorCorrection
    from bids_t1.data.result import RunResult
    from bids_t1.data.shapes import Map
    from bids_t1.estimation.posterior.correction import Corrected
    from bids_t1.sequences.magnetisation_transfer import TissuePrior
    from bids_t1.sequences.mp2rage import Mp2rage

N_TISSUES = 20_000
"""Drawn to learn the correction of a protocol: it takes about a second."""

FIELDS = (0.4, 1.6)
"""Transmit fields between which tissues are played."""

SHORTEST_OF_BRAIN = 0.5
"""Shorter ones are of fat and bone marrow, which nobody wants corrected [s]."""

MUCH_OUTSIDE = 0.05
"""Share of voxels without a slow T1 from which there is a warning."""


def efficiency_of(choice: MtPrior, field_strength: float | None) -> tuple[float, float] | None:
    """Return the published efficiency and its slope with R1 [s] that a choice stands for; None where it is another.

    Raises
    ------
    InvalidInputError
        If the field is not the one of the publication.
    """
    if choice not in OLSSON_PULSES:
        return None
    if field_strength is None or abs(field_strength / OLSSON_FIELD - 1) > 0.1:  # noqa: PLR2004
        found = "not known" if field_strength is None else f"{field_strength:g} T"
        raise InvalidInputError(
            f"MagneticFieldStrength is {found}; expected {OLSSON_FIELD:g} T, at which the efficiencies of {choice} "
            "were measured: at 3 T they would over-correct T1 by 10 to 20 %. Choose --mt-prior tissue, or none."
        )
    return OLSSON_PULSES[choice]


def believed_correction(model: Mp2rage, field_strength: float | None) -> PriorCorrection:
    """Return what tissue as it is believed to be makes of a protocol.

    Raises
    ------
    InvalidInputError
        If nothing is known of tissue at this field.
    """
    return learn_correction(model, *play(model, prior_of(field_strength), N_TISSUES, FIELDS), FIELDS)


def with_slow_time(run: RunResult, model: Mp2rage, field_strength: float | None, mean_transmit: float) -> RunResult:
    """Add T1 of the slow component and its SD to the maps of a run.

    Parameters
    ----------
    run
        Of MP2RAGE or MP3RAGE.
    model
        Its protocol, which is played on tissues as they are believed to be.
    field_strength
        [T].
    mean_transmit
        Transmit field where it was not measured.

    Raises
    ------
    InvalidInputError
        If nothing is known of tissue at this field.
    """
    prior = prior_of(field_strength)
    found = correct(believed_correction(model, field_strength), dict(run.maps), _transmit(run, mean_transmit))
    return replace(
        run,
        maps={**run.maps, "slow": found.time, "slow_sd": found.time_sd},
        record={**run.record, "TissuePrior": _record(prior, found)},
        warnings=(*run.warnings, *_doubts(found, run.maps["time"])),
    )


def _transmit(run: RunResult, mean: float) -> Map:
    """Return the transmit field of every voxel, with its mean where it was not measured."""
    known = run.maps.get("transmit")
    if known is None:
        return np.full(run.grid.shape, mean, np.float32)
    field: Map = np.where(np.isfinite(known), known, np.float32(mean))
    return field


def _record(prior: TissuePrior, found: Corrected) -> dict[str, object]:
    return {
        "FieldStrength": prior.field,
        "Rate": prior.rate,
        "RateByBoundFraction": prior.rate_by_fraction,
        "RateScatter": prior.rate_scatter,
        "BoundFraction": list(prior.fraction),
        "ExchangeRate": list(prior.exchange),
        "BoundRate": prior.bound_rate,
        "LeftByInversion": list(prior.left),
        "SaturationPerSquaredAngle": prior.saturation,
        "Tissues": N_TISSUES,
        "Voxels": int(np.isfinite(found.time).sum()),
        "VoxelsOutside": int(found.outside.sum()),
    }


def _doubts(found: Corrected, time: Map) -> tuple[str, ...]:
    with np.errstate(invalid="ignore"):
        outside = int((found.outside & (time > SHORTEST_OF_BRAIN)).sum())
    corrected = int(np.isfinite(found.time).sum())
    if outside <= MUCH_OUTSIDE * (outside + corrected):
        return ()
    share = outside / (outside + corrected)
    text = (
        f"In {share:.0%} of the voxels with a T1 of brain there is no T1 of the slow component: tissue of such a T1, "
        "or at such a B1+, is beyond what the tissue prior is made for."
    )
    return (text,)
