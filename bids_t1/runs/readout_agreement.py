"""Whether the readouts of a run belong together: what is odd is told with its cause, and undone where it can be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.forms import FORMS
from bids_t1.estimation.noise import find_background
from bids_t1.estimation.offset import find_offset
from bids_t1.estimation.posterior.readout_misfit import CLEAR, compare_with_uni, find_misfit
from bids_t1.estimation.posterior.readout_noise import noise_of_complex, noise_of_ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bids_t1.data.acquisition import ReadoutSeries
    from bids_t1.data.shapes import Measurements
    from bids_t1.data.signal_model import ReadoutModel
    from bids_t1.estimation.posterior.posterior import ReadoutImages
    from bids_t1.estimation.posterior.readout_misfit import ReadoutMisfit, Suspicion, UniComparison

MIDDLE = 48
"""Voxels along each axis that are enough to tell the noise."""

FEWEST_FREE = 2
"""Images whose signals any T1 and M0 explain, where nothing but these two tells of a fault."""

AT_RISK = "The results are wrong as long as that is so."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadoutAgreement:
    """What came of the comparison."""

    images: ReadoutImages
    """With what was undone."""

    warnings: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict)


def without_offset(series: ReadoutSeries) -> tuple[ReadoutSeries, tuple[str, ...]]:
    """Take off what complex readouts hold outside the head in place of zero."""
    if not FORMS[series.form].is_complex or series.readouts is None:
        return series, ()
    offsets = [find_offset(one[None]) for one in series.readouts]
    if not any(offsets):
        return series, ()
    readouts = np.stack([one - np.complex64(offset or 0) for one, offset in zip(series.readouts, offsets, strict=True)])
    told = "; ".join(f"readout {number}: {offset:g}" for number, offset in enumerate(offsets, 1) if offset)
    warning = (
        f"Real or imaginary images hold a constant where there is no signal, at the border of the view ({told}): they "
        "were stored with an offset that their headers do not tell. It is taken off."
    )
    return replace(series, readouts=readouts), (warning,)


def settle(
    images: ReadoutImages,
    uni: np.ndarray | None,
    model: ReadoutModel,
    at_time: Callable[[int, float], ReadoutModel | None] | None,
    noise_sd: float | None = None,
) -> ReadoutAgreement:
    """Compare readouts in phase with UNIT1 and with their protocol, and go on with what is consistent.

    Parameters
    ----------
    images
        Complex readouts in phase, or magnitudes.
    uni
        S of the UNIT1 beside them; None where there is none.
    model
        The sequence.
    at_time
        See `find_misfit`; None: a sequence without inversion, whose images are compared where there are three or more.
    noise_sd
        Of one channel, in units of the readouts; None: estimated, where it is asked for.
    """

    @cache
    def noise() -> float:  # of a readout that is turned as well
        if noise_sd is not None:
            return noise_sd
        readouts = np.asarray(images.readouts)
        return noise_of_complex(readouts).value if FORMS[images.form].is_complex else _noise_of_pair(readouts)

    compared = _compared(images, uni)
    misfit = _misfit(model, images, noise, at_time)
    if uni is not None and compared is not None and compared.contradicts:
        if compared.is_scaled or misfit is None:
            return _by_uni(images, uni, compared, misfit)
        return _turned(images, compared, misfit, _misfit(model, _turn(images, 0), noise, at_time))
    told = ReadoutAgreement(images=images, warnings=_unlike(compared), record=_told(compared, misfit))
    return told if misfit is None or not misfit.is_wrong else _by_protocol(told, model, misfit)


def _compared(images: ReadoutImages, uni: np.ndarray | None) -> UniComparison | None:
    """Compare a pair of readouts with UNIT1, where both are there."""
    readouts = images.readouts
    if uni is None or readouts is None or len(readouts) < 2:  # noqa: PLR2004 - a pair
        return None
    return compare_with_uni(readouts, uni)


def _misfit(
    model: ReadoutModel,
    images: ReadoutImages,
    noise_sd: Callable[[], float],
    at_time: Callable[[int, float], ReadoutModel | None] | None,
) -> ReadoutMisfit | None:
    """Compare readouts whose signs are known with their protocol."""
    readouts = _with_signs(images)
    if readouts is None or (at_time is None and len(readouts) <= FEWEST_FREE):
        return None
    try:
        return find_misfit(model, readouts, noise_sd, at_time)
    except InvalidInputError:  # without noise of magnitudes nothing can be told; the estimation says what to do
        if FORMS[images.form].is_complex:
            raise
        return None


def _noise_of_pair(magnitudes: Measurements) -> float:
    """Return the noise of the background, or of the middle of the view, where there is enough to tell it."""
    background = find_background(magnitudes)
    if background is not None:
        return background.sd
    sides = [slice(max(0, (n - MIDDLE) // 2), (n + MIDDLE) // 2) for n in magnitudes.shape[1:]]
    return noise_of_ratios(magnitudes[(slice(None), *sides)]).value


def _with_signs(images: ReadoutImages) -> Measurements | None:
    """Return readouts whose signs are known, of a pair of magnitudes from UNIT1; None where they are not."""
    if images.readouts is None or FORMS[images.form].is_complex or images.form == "positive readouts":
        return images.readouts
    if images.form != "UNIT1 and magnitudes" or images.uni is None or len(images.readouts) > 2:  # noqa: PLR2004
        return None
    return np.stack([images.readouts[0] * np.sign(images.uni), images.readouts[1]])


def _turn(images: ReadoutImages, readout: int) -> ReadoutImages:
    """Turn a readout by 180 degrees; of magnitudes UNIT1 has the sign."""
    if not FORMS[images.form].is_complex and images.uni is not None:
        return replace(images, uni=-images.uni)
    readouts = np.array(images.readouts)
    readouts[readout] *= -1
    return replace(images, readouts=readouts)


def _turned(
    images: ReadoutImages, compared: UniComparison, misfit: ReadoutMisfit, otherwise: ReadoutMisfit | None
) -> ReadoutAgreement:
    """Decide between readouts and a UNIT1 of the other sign: UNIT1 counts unless M0 contradicts it."""
    record = _told(compared, misfit)
    evidence = f"S of UNIT1 has the other sign ({compared.difference:.3f} apart, {compared.left:.3f} with that)"
    if otherwise is not None and otherwise.left > CLEAR * misfit.left:
        warning = (
            f"UNIT1 contradicts the readouts: {evidence}. M0 of neighbouring tissues differs by "
            f"{misfit.unevenness:.0%} by the readouts, and by {otherwise.unevenness:.0%} by UNIT1, which is not used."
        )
        return ReadoutAgreement(images=images, warnings=(warning,), record=record)
    warning = f"One of the first two readouts is turned by 180 degrees: {evidence}. Readout 1 is turned back."
    return ReadoutAgreement(images=_turn(images, 0), warnings=(warning,), record=record)


def _by_uni(
    images: ReadoutImages, uni: np.ndarray, compared: UniComparison, misfit: ReadoutMisfit | None
) -> ReadoutAgreement:
    """Go on with UNIT1, which was made of both readouts before they were scaled, and with the second magnitude."""
    what = []
    if compared.is_scaled:
        what.append(
            f"readout 1 is as if it were {compared.gain:.2f} times as bright against readout 2 as UNIT1 has it; "
            "display scaling (slopes of DICOM headers) or receiver gain may differ between their images"
        )
    if compared.is_turned:
        what.append("one of the readouts is turned by 180 degrees")
    warning = (
        f"UNIT1 contradicts the images of the readouts: {', and '.join(what)}. S differs by {compared.difference:.3f} "
        f"(median), and by {compared.left:.3f} without that. T1 is measured from UNIT1 and the magnitude of readout 2; "
        f"what is lost: {FORMS['UNIT1 and last magnitude'].costs}."
    )
    magnitude = np.abs(images.readouts[1:2]).astype(np.float32) if images.readouts is not None else None
    return ReadoutAgreement(
        images=replace(images, form="UNIT1 and last magnitude", readouts=magnitude, uni=uni),
        warnings=(warning,),
        record=_told(compared, misfit),
    )


def _by_protocol(told: ReadoutAgreement, model: ReadoutModel, misfit: ReadoutMisfit) -> ReadoutAgreement:
    """Say what is wrong with readouts by their protocol; one that is turned is turned back."""
    causes = {one.cause for one in misfit.suspicions}
    evidence = (
        f"in {misfit.impossible:.0%} of the bright voxels the signals are those of no T1, and M0 differs between "
        f"neighbouring tissues by {misfit.unevenness:.0%}"
    )
    if causes == {"turned"}:
        (readout,) = misfit.suspicions[0].readouts
        images = _turn(told.images, readout)
        which = _turned_one(told.images, model, readout)
        warning = (
            f"{which} is turned by 180 degrees against its protocol: {evidence}, and {misfit.suspicions[0].left:.0%} "
            "is left of both the other way round. It is turned back."
        )
        return replace(told, images=images, warnings=(*told.warnings, warning))
    likely = " or ".join(_accusation(one, model) for one in misfit.suspicions)
    if likely:
        warning = f"The readouts contradict their protocol: {evidence}. It is as if {likely}. {AT_RISK}"
    else:
        warning = (
            f"The readouts contradict their protocol: {evidence}, and no single gain, time or exchange explains that. "
            "Look for another protocol than told, images of another scan, or a head that moved, and do not trust the "
            "results before."
        )
    return replace(told, warnings=(*told.warnings, warning))


def _turned_one(images: ReadoutImages, model: ReadoutModel, readout: int) -> str:
    """Say what is turned: of a pair either may be."""
    if not FORMS[images.form].is_complex:
        return "UNIT1"
    return "One of the readouts" if model.n_readouts == 2 else f"Readout {readout + 1}"  # noqa: PLR2004


def _accusation(one: Suspicion, model: ReadoutModel) -> str:
    """Name a likely cause."""
    first = one.readouts[0] + 1
    match one.cause:
        case "turned":
            return f"readout {first} were turned by 180 degrees"
        case "exchanged":
            return f"readouts {first} and {one.readouts[1] + 1} were exchanged (sidecars or names of the images)"
        case "gain":
            return (
                f"readout {first} were about {one.value:.1f} times as bright as its protocol makes it (display "
                "scaling, receiver gain, flip angle)"
            )
        case "time":
            times = getattr(model, "inversion_times", ())
            told = f"{times[first - 1] * one.value:.2g} s" if times else f"{one.value:g} times what is told"
            return f"the inversion time of readout {first} were about {told}"


def _unlike(compared: UniComparison | None) -> tuple[str, ...]:
    if compared is None or not compared.is_unlike:
        return ()
    warning = (
        f"UNIT1 is not that of the readouts: S differs by {compared.left:.3f} (median) whatever their scale. It may be "
        "of another scan, or filtered."
    )
    return (warning,)


def _told(compared: UniComparison | None, misfit: ReadoutMisfit | None) -> dict[str, object]:
    """Return the numbers behind, for the record."""
    record: dict[str, object] = {}
    if compared is not None:
        record["UNIT1Agreement"] = {
            "Gain": round(compared.gain, 3),
            "Turned": compared.is_turned,
            "Difference": round(compared.difference, 4),
            "Left": round(compared.left, 4),
        }
    if misfit is not None:
        record["ReadoutAgreement"] = {
            "Impossible": round(misfit.impossible, 4),
            "UnevenM0": round(misfit.unevenness, 4),
            **({"Suspicions": [one.cause for one in misfit.suspicions]} if misfit.suspicions else {}),
        }
    return record
