"""What the page says of multi-echo gradient echo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.report.voices import scan
from bids_t1.report.voices.fits import at_residual, noise_of_magnitudes, without_value
from bids_t1.report.voices.voice import Voice
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import summarise_fit
from bids_t1.report.words.record import numbers_of

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
    repetition_time, flip_angle = (run.record.get(key) for key in ("RepetitionTime", "FlipAngle"))
    parts = [f"echo times of {', '.join(wording.number(1000 * time) for time in echoes)} ms"] if echoes else []
    if isinstance(repetition_time, int | float):
        parts.append(f"a repetition time of {wording.number(repetition_time)} s")
    if isinstance(flip_angle, int | float):
        parts.append(f"a flip angle of {flip_angle:g}°")
    return scan.acquired(run, "Multi-echo gradient-echo images", parts)


def _fit(run: RunResult, references: References) -> str:
    numbers = references.cite(literature.GOLUB, literature.KAUFMAN)
    text = (
        f"The signal of each voxel was modelled as a monoexponential decay, {EQUATION}. For a given T2* the best M0 "
        f"follows from linear least squares (variable projection {numbers}); T2* was searched{scan.searched(run)} and "
        "refined to the continuous optimum, without taking logarithms of the signal."
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
    of_noise = "follows from the noise, because as many echoes as unknowns leave no residual"
    how = of_noise if run.record.get("DegreesOfFreedom") == 0 else f"is its Cramér-Rao bound {at_residual(run)}"
    return f"The standard deviation of T2* {how}. {without_value(run)}"


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
