"""What the page says of multi-echo gradient echo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.report.figures.cycle import numbers_of
from bids_t1.report.voices.fits import noise_of_magnitudes
from bids_t1.report.voices.voice import Voice
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import summarise_fit

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References
    from bids_t1.report.words.numbers import Summary

EQUATION = "S(TE) = M0 exp(-TE/T2*)"

BENDS = "differences of the magnetic field across the voxel, motion, partial volume, several pools of water"

DEPHASING = (
    " T2* is that of the voxel as it was imaged: where the field changes across it, near the sinuses and the ear "
    "canals and most along its longest edge, spins lose their common phase, and T2* is shorter than that of the "
    "tissue. Nothing was corrected for this."
)


def summarise(run: RunResult) -> Summary:
    """Return the numbers of a run."""
    return summarise_fit(run, bends=BENDS, limit=DEPHASING)


def paragraphs(run: RunResult, references: References) -> tuple[str, ...]:
    """Return acquisition, signal model and fit, and uncertainty of a run."""
    return (_acquisition(run), _fit(run, references), _uncertainty(run), _limits(references))


def _acquisition(run: RunResult) -> str:
    echoes = numbers_of(run.record.get("EchoTimes"))
    repetition_time, flip_angle, field_strength = (
        run.record.get(key) for key in ("RepetitionTime", "FlipAngle", "MagneticFieldStrength")
    )
    parts = [f"echo times of {', '.join(wording.number(1000 * time) for time in echoes)} ms"] if echoes else []
    if isinstance(repetition_time, int | float):
        parts.append(f"a repetition time of {wording.number(repetition_time)} s")
    if isinstance(flip_angle, int | float):
        parts.append(f"a flip angle of {flip_angle:g}°")
    parts.append(f"voxels of {' x '.join(wording.number(size, 3) for size in run.grid.voxel_sizes)} mm")
    place = f" at {wording.number(field_strength)} T" if isinstance(field_strength, int | float) else ""
    return f"Multi-echo gradient-echo images{place} had {wording.listed(parts)}."


def _fit(run: RunResult, references: References) -> str:
    limits = numbers_of(run.record.get("SearchRange"))
    written = [wording.number(1000 * limit) for limit in limits]
    where = f" between {written[0]} and {written[-1]} ms" if written else ""
    numbers = references.cite(literature.GOLUB, literature.KAUFMAN)
    text = (
        f"The signal of each voxel was modelled as a monoexponential decay, {EQUATION}. For a given T2* the best M0 "
        f"follows from linear least squares (variable projection {numbers}); T2* was searched{where} and refined to "
        "the continuous optimum, without taking logarithms of the signal."
    )
    return " ".join(filter(None, (text, _phase(run), noise_of_magnitudes(run, references))))


def _phase(run: RunResult) -> str:
    if run.record.get("DataKind") != "complex":
        return ""
    return (
        "The phase of the complex echoes, linear in echo time, was fitted in each voxel and taken off; the real part, "
        "whose noise is Gaussian, was fitted."
    )


def _uncertainty(run: RunResult) -> str:
    degrees = run.record.get("DegreesOfFreedom")
    if degrees == 0:
        how = "follows from the noise, because as many echoes as unknowns leave no residual"
    else:
        freedom = f" with {wording.counted(degrees, 'degree')} of freedom" if isinstance(degrees, int) else ""
        how = f"is its Cramér-Rao bound at the residual of the voxel{freedom}"
    return (
        f"The standard deviation of T2* {how}. Voxels have no value where they hold no signal, where the signal is "
        "below three times its noise, and where the best T2* lies at an end of the search range."
    )


def _limits(references: References) -> str:
    return (
        "Differences of the magnetic field across a voxel, mostly through the slice, were not corrected: there the "
        f"decay is faster than exponential and T2* is underestimated {references.cite(literature.FERNANDEZ_SEARA)}."
    )


VOICE = Voice(
    summarise=summarise,
    paragraphs=paragraphs,
    equations=lambda _run: ("decay",),
    meanings={"complex": "complex: real part after the phase, linear in time, was taken off"},
)
"""No cautions: what limits T2* stands below its numbers."""
