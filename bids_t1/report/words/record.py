"""The table of what was found and chosen: any key of a run's record, with good names for the known ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.data.sidecar import finite
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import quantity_of

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult

LABELS = {
    "InversionTimes": "Inversion times TI",
    "AddedToInversionTimes": "Added to TI in each slice [s]",
    "RepetitionTimes": "Repetition times TR",
    "RecoveryTimes": "Recovery times TD",
    "EchoTimes": "Echo times TE",
    "RepetitionTime": "Repetition time TR",
    "FlipAngle": "Flip angle",
    "EchoTime": "Echo time TE",
    "MagneticFieldStrength": "Field strength",
    "Manufacturer": "Manufacturer of the scanner",
    "DataKind": "Kind of data",
    "PolarityRestored": "Signs restored by the fit",
    "EfficiencyModel": "Inversion efficiency",
    "ImageAgreement": "Agreement of the images",
    "Motion": "Motion between images",
    "FastComponent": "Fast component of tissue",
    "Pools": "Pools",
    "ExchangeRate": "Exchange from macromolecules to free water, taken as [1/s]",
    "MacromolecularSaturation": "What the inversion leaves of the macromolecules, taken as",
    "PoolRatioRange": "Range of the pool size ratio",
    "NoiseHandling": "Noise of magnitudes",
    "Background": "Background of magnitudes",
    "SearchRange": "Search range",
    "NoiseSD": "Noise SD, in units of the images",
    "Coverage": "Estimates where there is signal",
    "PhaseBetweenReadouts": "Phase between readouts [degrees]",
    "UNIT1Agreement": "UNIT1 against the readouts",
    "ReadoutAgreement": "Readouts against their protocol",
    "DegreesOfFreedom": "Degrees of freedom",
    "IntervalFactor": "95 % interval, in SDs",
    "LearnedEfficiency": "Learned prior on the efficiency",
    "EstimationAlgorithm": "Algorithm",
    "EstimationReference": "Reference of the algorithm",
    "Device": "Computed on",
    "Sources": "Source files",
}
"""Names of known keys, in the order of the table; unknown ones follow in theirs."""

MEANINGS = {
    ("DataKind", "magnitude"): "magnitude",
    ("DataKind", "real"): "real part",
    ("EfficiencyModel", "free"): "free in every voxel",
    ("EfficiencyModel", "learned"): "free in every voxel, with a prior learned from the image",
    ("EfficiencyModel", "ideal"): "ideal: \N{GREEK SMALL LETTER KAPPA} fixed at 2, TR taken as infinite",
    ("NoiseHandling", "floor"): "mean share of the noise removed from magnitudes",
    ("NoiseHandling", "gaussian"): "taken as Gaussian",
    ("NoiseHandling", "rician"): "Rician likelihood",
}
"""What the values of known options mean."""

INNER_LABELS = {
    "AtT1": "at T1 [s]",
    "Mean": "mean",
    "Voxels": "voxels learned from",
    "VoxelsWithSignal": "voxels with signal",
    "WithoutEstimate": "of these without estimate",
    "Treatment": "treatment",
    "Reason": "reason",
    "LeftOut": "inversion times left out [s]",
    "RelaxationTime": "relaxation time [s]",
    "GoneAfter": "gone after [s]",
    "Evidence": "evidence",
    "LogLikelihoodRatio": "log likelihood ratio",
    "SDWithout": "its SD without a fast component",
    "PooledShare": "pooled share of the slow component",
    "Done": "done",
    "LargestDisplacement": "largest displacement [mm]",
    "Displacements": "displacements [mm]",
    "NotBelieved": "displacements, not believed [mm]",
    "Rotations": "rotations [degrees]",
    "ResidualBefore": "residual before",
    "ResidualAfter": "residual after",
    "Left": "left by the fit, over the signal",
    "Noise": "noise over the signal",
    "Suspicion": "likely fault",
    "Of": "of the images of time [s]",
    "Values": "gain, or time [s]",
    "LeftWithout": "left without it",
    "ContradictedSigns": "voxels that stored signs do not fit",
    "LeftWithSigns": "left by the fit with stored signs",
    "LeftWithoutSigns": "left with signs of the fit",
}
"""Names inside of nested values."""

_OF_THE_SCAN = frozenset({
    "InversionTimes", "RepetitionTimes", "RecoveryTimes", "EchoTimes", "RepetitionTime", "FlipAngle", "EchoTime",
    "MagneticFieldStrength", "Manufacturer",
})  # fmt: skip
_SHOWN_ELSEWHERE = frozenset({"Description", "Units", "SkullStripped", "EstimationSoftware", "Residuals"})
_UNITS = {"MagneticFieldStrength": " T", "EchoTime": " s", "RepetitionTime": " s", "FlipAngle": "°"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    label: str
    value: str


def record_rows(run: RunResult, kinds: Mapping[str, str], elsewhere: frozenset[str] = frozenset()) -> tuple[Row, ...]:
    """Return what was found in the data and chosen for the fit.

    Parameters
    ----------
    run
        With its record.
    kinds
        What kinds of data mean for the sequence of the run.
    elsewhere
        Keys that are shown elsewhere.
    """
    shape = " \N{MULTIPLICATION SIGN} ".join(map(str, run.grid.shape))
    sizes = " \N{MULTIPLICATION SIGN} ".join(wording.number(size, 3) for size in run.grid.voxel_sizes)
    if run.record.get("DataKind", "magnitude") != "magnitude":
        elsewhere |= {"NoiseHandling"}  # says what was done to magnitudes
    known = [key for key in LABELS if key in run.record.keys() - elsewhere]
    others = [key for key in run.record if key not in LABELS.keys() | _SHOWN_ELSEWHERE | elsewhere]
    rows = [Row(_label(run, key), wording.without_folders(_value_in(run, key, kinds))) for key in (*known, *others)]
    place = sum(key in _OF_THE_SCAN for key in known)
    return (*rows[:place], Row("Matrix", f"{shape} voxels"), Row("Voxel size", f"{sizes} mm"), *rows[place:])


def _label(run: RunResult, key: str) -> str:
    label = LABELS.get(key, wording.spelt_out(key))
    return f"{label} of {quantity_of(run.sequence).name}" if key == "SearchRange" else label


def _value_in(run: RunResult, key: str, kinds: Mapping[str, str]) -> str:
    value = run.record[key]
    if key == "DataKind" and str(value) in kinds:
        return kinds[str(value)]
    if key == "SearchRange" and len(limits := times_of(run.record, key)) == 2:  # noqa: PLR2004 -- a range
        quantity = quantity_of(run.sequence)
        lower, upper = (wording.number(limit * quantity.per_second) for limit in limits)
        return f"{lower} to {upper} {quantity.unit}"
    return _value(key, value)


def times_of(record: Mapping[str, object], key: str) -> tuple[float, ...]:
    """Return a list of times of a record, unknown ones as infinity; empty where it has none [s]."""
    value = record.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(float(time) if isinstance(time, int | float) else math.inf for time in value)


def numbers_of(value: object) -> tuple[float, ...]:
    """Return a list of finite numbers of a record; empty where it is anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    numbers = [number for item in value if (number := finite(item)) is not None]
    return tuple(numbers) if len(numbers) == len(value) else ()


def _value(key: str, value: object) -> str:
    if key == "Sources" and isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    if isinstance(value, str) and (key, value) in MEANINGS:
        return MEANINGS[key, value]
    times = times_of({key: value}, key)
    if key in _TIMES and times:
        return _TIMES[key](times)
    unit = _UNITS.get(key)
    return f"{plain(value)}{unit}" if unit and isinstance(value, int | float) else plain(value)


def _echo_times(times: tuple[float, ...]) -> str:
    return ", ".join(wording.number(1000 * time) for time in times) + " ms"


def repetition_times(times: tuple[float, ...]) -> str:
    """Write one time for all where they agree, and say where they are not known."""
    if all(math.isinf(time) for time in times):
        return "not known, taken as infinite"
    if len(set(times)) == 1:
        return f"{wording.number(times[0])} s, for all inversion times"
    return ", ".join("not known" if math.isinf(time) else wording.number(time) for time in times) + " s"


_TIMES: Mapping[str, Callable[[tuple[float, ...]], str]] = {
    "InversionTimes": wording.times,
    "RecoveryTimes": wording.times,
    "RepetitionTimes": repetition_times,
    "EchoTimes": _echo_times,
}
"""How lists of times are written."""


def plain(value: object) -> str:
    """Write any JSON value for people."""
    match value:
        case None:
            return "not known"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return wording.number(value)
        case Mapping():
            return "; ".join(f"{_inner_label(str(key))}: {plain(item)}" for key, item in value.items()) or "none"
        case list() | tuple():
            return ", ".join(plain(item) for item in value)
        case _:
            return str(value)


def _inner_label(key: str) -> str:
    spelt = INNER_LABELS.get(key, wording.spelt_out(key))
    first = spelt.split(" ")[0]
    return spelt if first.isupper() else spelt[:1].lower() + spelt[1:]
