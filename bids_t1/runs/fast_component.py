"""What becomes of the fast component of tissue in inversion recovery: fitted, its inversion times left out, or none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bids_t1.data.errors import InvalidInputError
from bids_t1.estimation.curves.evidence import weigh
from bids_t1.runs.common import near_one

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Series
    from bids_t1.data.options import FastChoice
    from bids_t1.estimation.curves.engine import EstimationOptions
    from bids_t1.estimation.curves.evidence import Evidence
    from bids_t1.sequences.inversion_recovery import InversionRecovery

HIGH_FIELD = 5.0
"""From here on the values of 7 T are taken; below, and where the field is not known, those of 3 T [T]."""

RELAXATION_TIMES = (0.048, 0.057)
"""Of the fast component of white matter at 3 and 7 T [s] (Rioux et al. 2016, doi 10.1002/mrm.25729)."""

GONE_AFTER = (0.15, 0.2)
"""Inversion times from which on one exponential reads the slow T1 within 10 ms, at 3 and 7 T [s]; the same source."""

MIN_TIMES_TO_FIT = 5
"""One more than M0, efficiency, T1 and share."""

MIN_TIMES_LEFT = 4
"""One more than M0, efficiency and T1."""

Action = Literal["none", "fit", "exclude"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Treatment:
    """Model and images to fit, and why these."""

    model: InversionRecovery
    series: Series
    record: dict[str, object]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    action: Action
    reason: str
    evidence: Evidence | None = None
    warnings: tuple[str, ...] = ()


def treat(
    model: InversionRecovery, series: Series, choice: FastChoice, field: float | None, options: EstimationOptions
) -> Treatment:
    """Decide about the fast component of one run.

    Parameters
    ----------
    model
        One exponential.
    series
        The images of all inversion times.
    choice
        What the user asks for; ``auto``: what the image asks for.
    field
        Of the scanner [T]; None where not known.
    options
        Of the estimation.

    Raises
    ------
    InvalidInputError
        If the choice needs more inversion times than there are.
    """
    fast, limit = fast_component_at(field)
    if choice == "auto":
        decision = _decide(model, series, fast, limit, options)
    else:
        decision = _Decision(action=choice, reason="asked for with --ir-fast-component")
    record: dict[str, object] = {"Reason": decision.reason, "RelaxationTime": fast, "GoneAfter": limit}
    if decision.evidence is not None:
        record["Evidence"] = _told(decision.evidence)
    match decision.action:
        case "fit":
            model, record = replace(model, fast=fast), {"Treatment": "fitted", **record}
        case "exclude":
            record = {"Treatment": "short inversion times left out", "LeftOut": _below(model, limit), **record}
            model, series = _without_short(model, series, limit)
        case "none":
            record = {"Treatment": "none", **record}
    return Treatment(model=model, series=series, record=record, warnings=decision.warnings)


def fast_component_at(field: float | None) -> tuple[float, float]:
    """Return the relaxation time of the fast component, and when it has gone [s], in a field [T]; None: not known."""
    high = field is not None and field >= HIGH_FIELD
    return RELAXATION_TIMES[high], GONE_AFTER[high]


def treat_suspect(
    model: InversionRecovery, series: Series, choice: FastChoice, field: float | None, options: EstimationOptions
) -> Treatment:
    """Decide about a run whose images do not agree with each other: what they leave tells of no component."""
    treatment = treat(model, series, "none" if choice == "auto" else choice, field, options)
    reason = "images do not agree with each other, so that their residuals tell of no component"
    return replace(treatment, record=treatment.record | ({"Reason": reason} if choice == "auto" else {}))


def treat_slices(
    model: InversionRecovery, series: Series, choice: FastChoice, field: float | None, options: EstimationOptions
) -> Treatment:
    """Decide about a run whose inversion times differ from slice to slice: nothing is asked, and nothing left out.

    Raises
    ------
    InvalidInputError
        If short inversion times are to be left out.
    """
    differ = "inversion times differ from slice to slice"
    if choice == "exclude":
        raise InvalidInputError(f"--ir-fast-component exclude: {differ}; expected auto, none or fit.")
    treatment = treat(model, series, "none" if choice == "auto" else choice, field, options)
    return replace(treatment, record=treatment.record | ({"Reason": differ} if choice == "auto" else {}))


def _decide(
    model: InversionRecovery, series: Series, fast: float, limit: float, options: EstimationOptions
) -> _Decision:
    """Return what the image asks for, as far as its inversion times allow it."""
    n_times = len(set(model.inversion_times))
    obstacle = _obstacle(model, limit)
    if obstacle is not None:
        return _Decision(action="none", reason=obstacle, warnings=_unseen(model, limit))
    evidence = _weigh(model, series, fast, options)
    if not evidence.asks:
        reason = "the residuals of the image do not ask for a second exponential"
        return _Decision(action="none", reason=reason, evidence=evidence)
    if n_times >= MIN_TIMES_TO_FIT:
        return _Decision(action="fit", reason="the residuals of the image ask for it", evidence=evidence)
    warning = (
        f"The residuals show the fast component of tissue ({evidence.share:.1%} of the slow one), which makes T1 read "
        f"5 to 15 % short in white matter. {n_times} inversion times are too few to fit it, and leave no SD without "
        f"those below {limit:g} s. Add inversion times, or leave the short ones out with --ir-fast-component exclude."
    )
    reason = f"the residuals of the image ask for a second exponential, for which {n_times} inversion times are too few"
    return _Decision(action="none", reason=reason, evidence=evidence, warnings=(warning,))


def _obstacle(model: InversionRecovery, limit: float) -> str | None:
    """Say why a fast component cannot be told, or need not be; None where it can."""
    if model.ideal:
        return "an inversion that is less than ideal cannot be told from a fast component"
    if not _below(model, limit):
        return f"no inversion time is below {limit:g} s, where the fast component has gone"
    if _are_few(model):
        return "three inversion times leave no residuals to tell by"
    return None


def _are_few(model: InversionRecovery) -> bool:
    return len(set(model.inversion_times)) < MIN_TIMES_LEFT


def _unseen(model: InversionRecovery, limit: float) -> tuple[str, ...]:
    """Warn where a fast component would change T1 and so few images do not show whether there is one."""
    short = _below(model, limit)
    if not short or not _are_few(model):
        return ()
    listed = " and ".join(f"{time:g} s" for time in short)
    message = (
        f"At InversionTime {listed} tissue still has its fast component, which has gone by {limit:g} s. So few images "
        "neither show nor fit it: T1 reads 5 to 30 % short in white matter, and about right in water without "
        "macromolecules. "
        f"Measure at {limit:g} s and later, or at {MIN_TIMES_TO_FIT} inversion times and more."
    )
    return (message,)


def _weigh(model: InversionRecovery, series: Series, fast: float, options: EstimationOptions) -> Evidence:
    companion = model.fast_component(fast)
    with near_one(series.measurements):
        return weigh(model, companion, series.measurements, series.kind, options.for_residuals())


def _told(evidence: Evidence) -> dict[str, object]:
    return {
        "LogLikelihoodRatio": round(evidence.log_likelihood_ratio, 1),
        "SDWithout": round(evidence.spread, 1),
        "PooledShare": round(evidence.share, 4),
        "Voxels": evidence.n_voxels,
    }


def _below(model: InversionRecovery, limit: float) -> list[float]:
    return [time for time in model.inversion_times if time < limit]


def _without_short(model: InversionRecovery, series: Series, limit: float) -> tuple[InversionRecovery, Series]:
    """Leave out the images of inversion times at which the fast component is still there."""
    chosen = [index for index, time in enumerate(model.inversion_times) if time >= limit]
    n_needed = model.n_coefficients + 1
    if len({model.inversion_times[index] for index in chosen}) < n_needed:
        raise InvalidInputError(
            f"--ir-fast-component exclude leaves {len(chosen)} inversion times of {limit:g} s and more; expected at "
            f"least {n_needed}. Use --ir-fast-component auto or none."
        )
    return model.select(chosen), series.select(chosen)
