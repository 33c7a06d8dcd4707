"""What the page says of selective inversion recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.report.voices import scan
from bids_t1.report.voices.fits import at_residual, noise_of_magnitudes, signed_images, without_value
from bids_t1.report.voices.voice import Voice
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import summarise_fit
from bids_t1.report.words.record import times_of

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References
    from bids_t1.report.words.numbers import Summary

BENDS = "motion, partial volume, a rate of exchange or a saturation other than assumed"


def summarise(run: RunResult) -> Summary:
    """Return the numbers of a run."""
    return summarise_fit(run, bends=BENDS)


def paragraphs(run: RunResult, references: References) -> tuple[str, ...]:
    """Return acquisition, signal model, fit, and uncertainty of a run."""
    return (_acquisition(run), _model(run, references), _fit(run, references), _uncertainty(run))


def _acquisition(run: RunResult) -> str:
    inversion_times, recovery_times = (times_of(run.record, key) for key in ("InversionTimes", "RecoveryTimes"))
    parts = [
        f"inversion times of {wording.times(inversion_times)}",
        f"delays of {wording.times(recovery_times)} between the end of a readout and the next inversion",
        *scan.echo_time(run),
    ]
    return scan.acquired(run, "Selective inversion-recovery images", parts)


def _model(run: RunResult, references: References) -> str:
    work = references.cite(literature.DORTCH)
    started = f"The readout was taken to leave no magnetisation {work}, so that each image stands for itself. "
    if run.record.get("Pools") == 1:
        return started + (
            "The signal of each voxel was modelled as M0 (1 - (1 - Sf (1 - exp(-TD/T1))) exp(-TI/T1)), one pool of "
            "water, with TD the delay before the inversion and Sf what it makes of the magnetisation. M0, Sf and T1 "
            "were free in every voxel. T1 is that of one exponential."
        )
    rate, left = (run.record.get(key) for key in ("ExchangeRate", "MacromolecularSaturation"))
    fixed = (
        f" The rate of exchange from macromolecules to free water was fixed at {wording.number(rate)}/s, and what the "
        f"inversion leaves of the macromolecular magnetisation at {wording.number(left)} "
        f"{references.cite(literature.CRONIN)}; R1 was taken as the same in both pools."
        if isinstance(rate, int | float) and isinstance(left, int | float)
        else ""
    )
    return started + (
        "The signal of each voxel was modelled as that of free water which exchanges magnetisation with macromolecules "
        "(two pools). M0, the inversion of free water Sf, its relaxation rate R1f and the pool size ratio, that of "
        f"macromolecules over free water, were free in every voxel.{fixed} T1 is 1/R1f: that of free water without "
        "exchange."
    )


def _fit(run: RunResult, references: References) -> str:
    numbers = references.cite(literature.GOLUB, literature.KAUFMAN)
    text = (
        f"M0 and Sf follow from linear least squares (variable projection {numbers}); T1 was searched"
        f"{scan.searched(run)}, with the pool size ratio where it is free, and both were refined by damped "
        "Gauss-Newton steps."
    )
    return " ".join(filter(None, (text, _signs(run), noise_of_magnitudes(run, references))))


def _signs(run: RunResult) -> str:
    if run.record.get("DataKind") == "magnitude" or run.record.get("PolarityRestored"):
        return (
            "Of the signs that the model can have in the images of the series, those with the smallest residual were "
            "taken for each voxel."
        )
    return f"Signs were those of the {signed_images(run)}."


def _uncertainty(run: RunResult) -> str:
    how = at_residual(run)
    if run.record.get("DegreesOfFreedom") == 0:
        how = (
            "at the noise of the images, because as many images as unknowns leave no residual, and nothing to check by "
            "but whether all have the same noise in air"
        )
    return (
        f"Standard deviations are Cramér-Rao bounds {how}, with all unknowns free; where two choices of sign explain "
        f"the data, they cover both. {without_value(run)}"
    )


VOICE = Voice(
    summarise=summarise,
    paragraphs=paragraphs,
    meanings={"complex": "complex: real part after phase correction"},
)
"""No equation: the methods say it in words."""
