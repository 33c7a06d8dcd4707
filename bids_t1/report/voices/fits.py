"""Sentences of the methods section that hold for every fit of curves, whatever the sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.report.words import literature, wording
from bids_t1.report.words.quantity import quantity_of

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult
    from bids_t1.report.words.literature import References


def noise_of_magnitudes(run: RunResult, references: References) -> str:
    """Say how the noise of magnitudes was treated; nothing for other data."""
    if run.record.get("DataKind") != "magnitude":
        return ""
    background = str(run.record.get("Background", ""))
    match run.record.get("NoiseHandling"):
        case "floor":
            return _floor(background, references)
        case "rician":
            works = references.cite(literature.GUDBJARTSSON, literature.VARADHAN)
            return f"The fit maximises the Rician likelihood of the magnitudes, by majorisation {works}."
        case "gaussian":
            reason = f": {background}" if background else ""
            return f"The noise of the magnitudes was taken as Gaussian{reason}."
        case _:
            return ""


def at_residual(run: RunResult) -> str:
    """Say at which noise the Cramér-Rao bound is."""
    degrees = run.record.get("DegreesOfFreedom")
    freedom = f" with {wording.counted(degrees, 'degree')} of freedom" if isinstance(degrees, int) else ""
    return f"at the residual of the voxel{freedom}"


def without_value(run: RunResult) -> str:
    """Say which voxels have no value."""
    return (
        "Voxels have no value where they hold no signal, where the signal is below three times its noise, and where "
        f"the best {quantity_of(run.sequence).name} lies at an end of the search range."
    )


def signed_images(run: RunResult) -> str:
    """Name the images that a sign was read from, of data that are no magnitudes."""
    return "phase-corrected complex images" if run.record.get("DataKind") == "complex" else "real-part images"


def _floor(background: str, references: References) -> str:
    """Say whose mean share was taken off."""
    if "sum of squares" in background:
        return (
            f"The background had {background}; the mean share of such noise was subtracted from the squared "
            f"magnitudes {references.cite(literature.CONSTANTINIDES)}."
        )
    if "no air" in background:
        return (
            f"{background[0].upper()}{background[1:]}; its variance was subtracted from the squared magnitudes "
            f"{references.cite(literature.GUDBJARTSSON)}."
        )
    return (
        "The variance of the noise, measured in the background, was subtracted from the squared "
        f"magnitudes {references.cite(literature.GUDBJARTSSON)}."
    )
