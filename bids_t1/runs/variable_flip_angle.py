"""Variable flip angles: from the files of one run to its maps."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.load import load_series
from bids_t1.data.acquisition import ReadoutSeries
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sequences import VARIABLE_FLIP_ANGLE
from bids_t1.runs.common import if_valid, naming, require_memory
from bids_t1.runs.posteriors import TIMES_IMAGES, Question, process_readouts, ready_readouts
from bids_t1.sequences.spoiling import USUAL_T2
from bids_t1.sequences.variable_flip_angle import VariableFlipAngle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bids_t1.data.acquisition import Series
    from bids_t1.data.result import RunResult
    from bids_t1.data.sidecar import Sidecar
    from bids_t1.runs.common import Ready, Run
    from bids_t1.settings import Settings

REFERENCE = "Deoni et al., Magn Reson Med 49:515 (2003), doi:10.1002/mrm.10407"

WITHOUT_MAP = (
    "No map of the transmit field B1+: T1 from variable flip angles goes with about the square of B1+, so that "
    "every T1 carries the whole uncertainty of B1+, and the interval is as wide as that. Measure B1+, or give --b1-map."
)

INCREMENT = "SpoilingRFPhaseIncrement"
SAME_ECHO = 5e-5
"""Echo times closer than this are the same: headers round them [s]."""


def process(run: Run, settings: Settings) -> RunResult:
    """Estimate the posterior of T1 of one run."""
    series, model, increment = _read(run, settings)
    question = Question(
        sequence=VARIABLE_FLIP_ANGLE.name,
        model=model,
        reference=REFERENCE,
        protocol=_protocol(model, series.sidecars, increment),
        without_map=WITHOUT_MAP,
        sums_transmit=True,
    )
    return process_readouts(run, _readouts(series), question, settings)


def ready(run: Run, settings: Settings) -> Ready:
    """Read what one run would be measured from."""
    series, _, _ = _read(run, settings)
    return ready_readouts(run, _readouts(series), VARIABLE_FLIP_ANGLE.name, (), settings)


def _read(run: Run, settings: Settings) -> tuple[Series, VariableFlipAngle, float | None]:
    """Open the images; return them, their model, and by how much the phase of the pulses rises [degree]."""
    acquisition = run.acquisition
    admit = partial(require_memory, acquisition, settings.memory_mb, TIMES_IMAGES)
    series = load_series(acquisition, settings.protocol, admit)
    with naming(acquisition):
        _require_spoiled(series.sidecars)
        _require_one_echo(series.sidecars)
        model = VariableFlipAngle.from_metadata(series.sidecars)
        asked = settings.readouts.vfa_spoiling == "auto"
        increment = _increment(series.sidecars) if asked else None
    return series, model if increment is None else model.spoiled_by(increment), increment


def _readouts(series: Series) -> ReadoutSeries:
    """Return the images as readouts, of which magnitudes have lost no sign."""
    if series.kind == "real":
        raise InvalidInputError(
            f"{series.acquisition.name}: has real images alone; expected magnitudes, real and imaginary, or magnitude "
            "and phase images. What a phase correction did to the signs is not known."
        )
    is_complex = series.kind == "complex"
    return ReadoutSeries(
        acquisition=series.acquisition,
        form="complex" if is_complex else "positive readouts",
        readouts=series.measurements if is_complex else np.asarray(series.measurements, np.float32),
        uni=None,
        grid=series.grid,
        sidecars=series.sidecars,
        sources=series.sources,
        scaling={},
        warnings=series.warnings,
    )


def _require_spoiled(sidecars: Sequence[Sidecar]) -> None:
    """Refuse pulses whose transverse magnetisation comes back: the signals are others."""
    for sidecar in sidecars:
        if sidecar.fields.get("SpoilingState") is False:
            raise InvalidInputError(
                f"{sidecar.name}: SpoilingState is false; expected spoiled gradient echoes. T1 from others is not "
                "measured here."
            )


def _require_one_echo(sidecars: Sequence[Sidecar]) -> None:
    """Refuse images of several echo times, whose T2* would be taken for T1."""
    times = [time for sidecar in sidecars if (time := if_valid(sidecar.seconds, "EchoTime")) is not None]
    if times and max(times) - min(times) > SAME_ECHO:
        raise InvalidInputError(
            f"EchoTime is {', '.join(f'{time:g}' for time in times)}; expected the same of all images: T2* would be "
            "taken for T1. Tell echoes apart with echo-, which makes a run of each."
        )


def _increment(sidecars: Sequence[Sidecar]) -> float | None:
    """Return by how much the phase of the pulses rises more each time, where it is told [degree].

    Raises
    ------
    InvalidInputError
        If images differ in it, or it cannot be.
    """
    told = {value for sidecar in sidecars if (value := sidecar.number(INCREMENT)) is not None}
    if len(told) > 1 or not all(0 < value < 360 for value in told):  # noqa: PLR2004
        raise InvalidInputError(
            f"{INCREMENT} is {', '.join(f'{value:g}' for value in sorted(told))}; expected degrees, above 0 and below "
            "360, the same of all images. --vfa-spoiling none goes on without."
        )
    return next(iter(told), None)


def _protocol(model: VariableFlipAngle, sidecars: Sequence[Sidecar], increment: float | None) -> Mapping[str, object]:
    """Say what was played, where each number of it comes from, and what was taken of the spoiling."""
    return {
        "FlipAngles": [round(math.degrees(angle), 6) for angle in model.flip_angles],
        "RepetitionTimesExcitation": list(model.repetition_times),
        "Spoiling": "taken as perfect"
        if increment is None
        else {"PhaseIncrement": increment, "T2": USUAL_T2, "Method": "pulses played by extended phase graphs"},
        "TimingOrigins": {
            "FlipAngle": _origin(sidecars, ("FlipAngle",)),
            "RepetitionTimeExcitation": _origin(sidecars, ("RepetitionTimeExcitation", "RepetitionTime")),
            **({} if increment is None else {INCREMENT: _origin(sidecars, (INCREMENT,))}),
        },
    }


def _origin(sidecars: Sequence[Sidecar], keys: tuple[str, ...]) -> str:
    """Say where values come from: of each image that of the first field which is told."""
    return "; ".join(dict.fromkeys(_source(sidecar, keys) for sidecar in sidecars))


def _source(sidecar: Sidecar, keys: tuple[str, ...]) -> str:
    key = next((key for key in keys if sidecar.get(key) is not None), keys[0])
    return sidecar.origin_of(key) + ("" if key == keys[0] else f", as {key}")
