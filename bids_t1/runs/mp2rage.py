"""MP2RAGE and MP3RAGE: from the files of one run to its maps."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from bids_t1.bids.load_readouts import load_readouts
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.result import RunResult, SignalCurve
from bids_t1.runs.common import field_strength_of, naming, require_memory
from bids_t1.runs.posteriors import TIMES_IMAGES, Question, process_readouts, ready_readouts
from bids_t1.runs.slow_time import efficiency_of, with_slow_time
from bids_t1.sequences.mp2rage_timing import GivenEfficiency, ImageFacts, read_timing

if TYPE_CHECKING:
    from bids_t1.data.acquisition import ReadoutSeries
    from bids_t1.data.options import Readouts
    from bids_t1.runs.common import Ready, Run
    from bids_t1.sequences.mp2rage import Mp2rage
    from bids_t1.sequences.mp2rage_timing import Timing
    from bids_t1.settings import Settings

REFERENCE = "Marques et al., NeuroImage 49:1271 (2010), doi:10.1016/j.neuroimage.2009.10.002"

CURVE_TRANSMIT = (0.7, 0.85, 1.0, 1.15, 1.3)
CURVE_POINTS = 300

LOWER = 0.1
"""Inversion efficiency less than told, of which it is said what it makes of T1."""

TYPICAL_T1 = 1.5
"""Grey matter, roughly: for that example [s]."""


def process(run: Run, settings: Settings) -> RunResult:
    """Estimate the posterior of T1 of one run."""
    series, timing = _read(run, settings)
    question = Question(
        sequence=timing.model.name,
        model=timing.model,
        reference=REFERENCE,
        protocol=_protocol(timing),
        notes=timing.notes,
        lowest_transmit=timing.model.lowest_transmit,
        curve=_curve(timing.model, settings.search.t1_range),
        at_time=timing.model.at_time,
    )
    made = process_readouts(run, series, question, settings)
    if settings.readouts.mt_prior != "tissue":
        return made
    with naming(run.acquisition):
        mean, _ = settings.readouts.b1_prior
        return with_slow_time(made, timing.model, field_strength_of(series), mean)


def ready(run: Run, settings: Settings) -> Ready:
    """Read what one run would be measured from."""
    series, timing = _read(run, settings)
    return ready_readouts(run, series, timing.model.name, timing.notes, settings)


def _read(run: Run, settings: Settings) -> tuple[ReadoutSeries, Timing]:
    """Open the images, and read what was played."""
    acquisition = run.acquisition
    admit = partial(require_memory, acquisition, settings.memory_mb, TIMES_IMAGES)
    series = load_readouts(acquisition, settings.protocol, admit)
    with naming(acquisition):
        return series, _timing(series, settings)


def _timing(series: ReadoutSeries, settings: Settings) -> Timing:
    """Read the timing; where it fails, say too which images with more of it are of no use."""
    facts = ImageFacts(
        uni=series.uni_sidecar,
        echo_times=series.echo_times,
        several_echoes=series.several_echoes,
        grid=series.grid,
    )
    try:
        return read_timing(
            series.sidecars,
            efficiency=_given_efficiency(settings.readouts, field_strength_of(series)),
            facts=facts,
        )
    except InvalidInputError as error:
        raise InvalidInputError("\n".join((str(error), *series.lost))) from error


def _given_efficiency(readouts: Readouts, field: float | None) -> GivenEfficiency | None:
    """Return what options say of the inversion efficiency."""
    if readouts.inversion_efficiency_prior is not None:
        mean, sd = readouts.inversion_efficiency_prior
        return GivenEfficiency(mean, sd=sd, origin="option --inversion-efficiency-prior")
    known = efficiency_of(readouts.mt_prior, field) or readouts.efficiency_and_slope
    return None if known is None else GivenEfficiency(*known, origin="option --inversion-efficiency")


def _protocol(timing: Timing) -> dict[str, object]:
    """Say what was played, and where each number of it comes from."""
    model = timing.model
    return {
        "InversionTimes": list(model.inversion_times),
        "FlipAngles": [round(math.degrees(angle), 6) for angle in model.flip_angles],
        "RepetitionTimePreparation": model.cycle_time,
        "RepetitionTimesExcitation": list(model.excitation_times),
        # BIDS knows NumberShots as one number or pair: a list of pairs needs a name of its own.
        "NumberShotsPerReadout": [list(pair) for pair in model.excitations],
        "InversionEfficiency": model.efficiency,
        "InversionEfficiencySD": model.efficiency_sd,
        "InversionEfficiencySlope": model.efficiency_slope or None,
        "IfEfficiencyIsLower": _if_lower(model),
        "InversionEfficiencyByB1": _efficiency_by_transmit(model) or None,
        "TimingOrigins": timing.origins,
    }


def _if_lower(model: Mp2rage) -> dict[str, float]:
    """Say which T1 the S of a typical T1 stands for, where the inversion efficiency is lower than told."""
    times = torch.linspace(TYPICAL_T1 / 2, 2 * TYPICAL_T1, CURVE_POINTS, dtype=torch.float64)
    typical, nominal = torch.tensor([TYPICAL_T1], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    seen = replace(model, efficiency_shift=model.efficiency_shift - LOWER).uni(typical, nominal)
    read = times[(model.uni(times, nominal) - seen).abs().argmin()]
    return {"By": LOWER, "T1": TYPICAL_T1, "ReadAs": round(float(read), 2)}


def _efficiency_by_transmit(model: Mp2rage) -> list[list[float]]:
    return [[round(field, 4), round(model.efficiency * factor, 4)] for field, factor in model.efficiency_curve]


def _curve(model: Mp2rage, time_range: tuple[float, float]) -> SignalCurve:
    """Compute what S can tell of T1, for the page."""
    times = torch.linspace(*time_range, CURVE_POINTS, dtype=torch.float64)
    transmit = torch.tensor(CURVE_TRANSMIT, dtype=torch.float64)
    values = model.uni(times[None, :], transmit[:, None])
    return SignalCurve(
        times=tuple(round(time, 6) for time in times.tolist()),
        transmit=CURVE_TRANSMIT,
        values=tuple(tuple(round(value, 6) for value in row) for row in values.tolist()),
    )
