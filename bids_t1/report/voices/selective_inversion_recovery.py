"""What the page says of selective inversion recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.report.voices.fits import noise_of_magnitudes
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
    echo_time, field_strength = run.record.get("EchoTime"), run.record.get("MagneticFieldStrength")
    parts = [
        f"inversion times of {wording.times(inversion_times)}",
        f"delays of {wording.times(recovery_times)} between the end of a readout and the next inversion",
    ]
    if isinstance(echo_time, int | float):
        parts.append(f"an echo time of {wording.number(1000 * echo_time)} ms")
    parts.append(f"voxels of {' x '.join(wording.number(size, 3) for size in run.grid.voxel_sizes)} mm")
    place = f" at {wording.number(field_strength)} T" if isinstance(field_strength, int | float) else ""
    return f"Selective inversion-recovery images{place} had {wording.listed(parts)}."


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
    limits = times_of(run.record, "SearchRange")
    where = f" between {wording.number(limits[0])} and {wording.number(limits[-1])} s" if limits else ""
    numbers = references.cite(literature.GOLUB, literature.KAUFMAN)
    text = (
        f"M0 and Sf follow from linear least squares (variable projection {numbers}); T1 was searched{where}, with the "
        "pool size ratio where it is free, and both were refined by damped Gauss-Newton steps."
    )
    return " ".join(filter(None, (text, _signs(run), noise_of_magnitudes(run, references))))


def _signs(run: RunResult) -> str:
    kind = run.record.get("DataKind")
    if kind == "magnitude" or run.record.get("PolarityRestored"):
        return (
            "Of the signs that the model can have in the images of the series, those with the smallest residual were "
            "taken for each voxel."
        )
    source = "phase-corrected complex images" if kind == "complex" else "real-part images"
    return f"Signs were those of the {source}."


def _uncertainty(run: RunResult) -> str:
    degrees = run.record.get("DegreesOfFreedom")
    if degrees == 0:
        how = (
            "at the noise of the images, because as many images as unknowns leave no residual, and nothing to check by"
        )
    else:
        freedom = f" with {wording.counted(degrees, 'degree')} of freedom" if isinstance(degrees, int) else ""
        how = f"at the residual of the voxel{freedom}"
    return (
        f"Standard deviations are Cramér-Rao bounds {how}, with all unknowns free; where two choices of sign explain "
        "the data, they cover both. Voxels have no value where they hold no signal, where the signal is below three "
        "times its noise, and where the best T1 lies at an end of the search range."
    )


VOICE = Voice(
    summarise=summarise,
    paragraphs=paragraphs,
    meanings={"complex": "complex: real part after phase correction"},
)
"""No equation: the methods say it in words."""
