"""Multi-echo gradient echo: from the files of one run to T2*."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.load import load_series
from bids_t1.data.estimate import count_statuses
from bids_t1.data.outputs import outputs_of
from bids_t1.data.result import RunResult
from bids_t1.data.vocabulary import known_manufacturer
from bids_t1.estimation.curves.demodulation import demodulate
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.curves.examples import choose_examples
from bids_t1.runs.common import (
    computing,
    covered,
    if_valid,
    interval_factor,
    naming,
    near_one,
    noise_record,
    require_memory,
    times,
    uris,
    versions,
)
from bids_t1.runs.image_agreement import Question, compare
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.acquisition import Acquisition, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

ALGORITHM = "monoexponential decay M0 exp(-TE/T2*), dictionary start, least squares by variable projection"
RICIAN = ", then maximum of the Rician likelihood"
REFERENCE = "Golub and Pereyra, SIAM J Numer Anal 10:413 (1973), doi:10.1137/0710036"


def process(acquisition: Acquisition, raw: Path, settings: Settings) -> RunResult:
    """Fit one multi-echo run."""
    admit = partial(require_memory, acquisition, settings.memory_mb, 3)
    loaded = load_series(acquisition, "EchoTime", settings.protocol, admit)
    with naming(acquisition):
        model = MultiEchoGradientEcho.from_metadata(loaded.sidecars)
    series, notes = _without_phase(loaded, model)
    options = EstimationOptions(
        time_range=settings.search.t2star_range,
        noise=settings.echoes.t2star_noise,
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )
    with naming(acquisition):
        agreement = compare(question_of_echoes(model), series, options)
    model, series = model.select(agreement.kept), agreement.series
    shape = series.grid.shape
    LOG.info("%s: %d echoes, %s voxels, %s data", acquisition.name, model.n_measurements, times(shape), loaded.kind)
    with computing(acquisition, shape, settings) as progress, near_one(series.measurements) as unit:
        fitted = estimate(model, series.measurements, series.kind, options, progress=progress).in_images(unit)
    counts = count_statuses(fitted.status)
    coverage = covered(acquisition, series.measurements, fitted.status, fitted.noise.level)
    within = {"desc": "MEGRE", "inv": None, "echo": None, "part": None}
    return RunResult(
        name=acquisition.name.having(within, suffix="T2starmap", extension=".nii.gz"),
        sequence="MEGRE",
        grid=series.grid,
        maps={row.quantity: getattr(fitted, row.quantity) for row in outputs_of("MEGRE")},
        record=_record(series, model, fitted, settings)
        | {"Sources": uris(series.sources, raw, settings)}
        | ({"ImageAgreement": agreement.record} if agreement.record else {})
        | coverage.record,
        status_counts=counts,
        examples=choose_examples(model, series, model.echo_times, fitted),
        warnings=(*series.warnings, *notes, *agreement.warnings, *coverage.warnings),
    )


def question_of_echoes(model: MultiEchoGradientEcho) -> Question:
    """Say how echoes are compared: strictly, as decays in uneven fields are no exponentials."""
    return Question(
        time="EchoTime",
        times=model.echo_times,
        at_times=lambda echoes, times: replace(model.select(echoes), echo_times=tuple(times)),
        accusable=tuple(range(model.n_measurements)),
        is_strict=True,
    )


def _without_phase(series: Series, model: MultiEchoGradientEcho) -> tuple[Series, tuple[str, ...]]:
    """Turn complex echoes into real signals, or magnitudes where their phase is no straight line in time."""
    if series.kind == "magnitude":
        return series, ()
    if series.kind == "complex":
        real = demodulate(series.measurements, model.echo_times)
        if real is not None:
            return replace(series, measurements=real, kind="real"), ()
    note = (
        "The phase of the echoes is not linear in time, as with readouts of alternating polarity: magnitudes were "
        "fitted."
    )
    return replace(series, measurements=np.abs(series.measurements), kind="magnitude"), (note,)


def _record(series: Series, model: MultiEchoGradientEcho, fitted: Estimate, settings: Settings) -> dict[str, object]:
    """Say where every number of the maps comes from."""
    first = series.sidecars[0]
    noise = noise_record(series.kind, fitted, settings.echoes.t2star_noise)
    is_rician = noise["NoiseHandling"] == "rician"
    record: dict[str, object] = {
        "EstimationAlgorithm": ALGORITHM + (RICIAN if is_rician else ""),
        "EstimationReference": REFERENCE,
        "EchoTimes": list(model.echo_times),
        "RepetitionTime": if_valid(first.seconds, "RepetitionTime"),
        "FlipAngle": if_valid(first.number, "FlipAngle"),
        "MagneticFieldStrength": if_valid(first.number, "MagneticFieldStrength"),
        "Manufacturer": known_manufacturer(first.text("Manufacturer")),
        "DataKind": "magnitude" if series.kind == "magnitude" else "complex",
        "SearchRange": list(settings.search.t2star_range),
        **noise,
        "DegreesOfFreedom": fitted.degrees_of_freedom,
        "IntervalFactor": interval_factor(fitted.degrees_of_freedom),
        "Device": fitted.device,
        "EstimationSoftware": versions(),
    }
    return {key: value for key, value in record.items() if value is not None}
