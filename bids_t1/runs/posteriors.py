"""What runs whose posterior of T1 is computed share: from loaded readouts and their model to maps and record."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bids_t1.data.estimate import VoxelStatus, count_estimates, count_statuses
from bids_t1.data.forms import FORMS
from bids_t1.data.outputs import OF_TRANSMIT, outputs_of
from bids_t1.data.result import RunResult
from bids_t1.data.vocabulary import known_manufacturer
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, estimate_posterior
from bids_t1.estimation.posterior.readout_phase import remove_phase
from bids_t1.runs.common import Ready, computing, covered, field_strength_of, if_valid, near_one, times, versions
from bids_t1.runs.readout_agreement import settle, without_offset
from bids_t1.runs.transmit import record_of_transmit_field, transmit_field_of, transmit_prior

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from bids_t1.data.acquisition import ReadoutSeries, TransmitField
    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.data.forms import InputForm
    from bids_t1.data.result import SignalCurve
    from bids_t1.data.signal_model import ReadoutModel
    from bids_t1.estimation.posterior.readout_phase import PhaseTurn
    from bids_t1.runs.common import Run
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

MANY_TWO_MODES = 0.05
"""Share of voxels with two modes from which the page warns."""

MANY_DOUBTFUL = 0.01
"""Share of voxels of doubtful inversion from which the page warns."""


TIMES_IMAGES = 6
"""What readouts and the maps of their posterior take in memory, over the images."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """What a sequence brings to the posterior of its readouts."""

    sequence: str
    """Name of what comes of the run."""

    model: ReadoutModel
    reference: str
    """The publication of the signal model, for the record."""

    protocol: Mapping[str, object]
    """What was played, for the record."""

    notes: tuple[str, ...] = ()
    """Warnings of what was read."""

    without_map: str = ""
    """What to warn of where no map of the transmit field is used."""

    lowest_transmit: float = 0.0
    sums_transmit: bool = False
    """See `PosteriorOptions`."""

    curve: SignalCurve | None = None

    at_time: Callable[[int, float], ReadoutModel | None] | None = None
    """Gives the model with the inversion time of a readout times a factor, None where that cannot be played; None: the
    sequence has no inversion."""


def process_readouts(run: Run, series: ReadoutSeries, question: Question, settings: Settings) -> RunResult:
    """Estimate the posterior of T1 of loaded readouts, at the transmit field of a map or over its prior."""
    acquisition = run.acquisition
    series, offsets = without_offset(series)
    field = transmit_field_of(run.transmit_fields, series.acquisition, series.grid, settings)
    LOG.info(
        "%s: %s of %d readouts, %s voxels, %s, B1+ %s",
        acquisition.name,
        question.sequence,
        question.model.n_readouts,
        times(series.grid.shape),
        series.form,
        "integrated over its prior" if field is None else f"from {field.sources[0].name}",
    )
    images = ReadoutImages(
        form=series.form,
        readouts=series.readouts,
        uni=series.uni,
        transmit=None if field is None else field.values,
    )
    with computing(acquisition, series.grid.shape, settings) as progress, near_one(series.readouts) as unit:
        options = _options(question, unit, settings)
        images, turns = _in_phase(images)
        beside = series.uni if series.uni_beside is None else series.uni_beside.values
        agreement = settle(images, beside, question.model, question.at_time, options.noise_sd)
        images = agreement.images
        estimate = estimate_posterior(question.model, images, options, progress=progress).in_images(unit)
    series = _of_form(series, images.form)
    counts = count_statuses(estimate.status)
    coverage = covered(acquisition, series.readouts, estimate.status, estimate.noise.value)
    return RunResult(
        name=acquisition.name.having({"desc": question.sequence}, suffix="T1map", extension=".nii.gz"),
        sequence=question.sequence,
        grid=series.grid,
        maps=_maps(question.sequence, estimate, field),
        record=_record(series, question, estimate, settings)
        | record_of_transmit_field(estimate, field, series.sources, run.raw, settings)
        | _record_of_phase(turns)
        | dict(agreement.record)
        | coverage.record,
        status_counts=counts,
        examples=(),
        warnings=(
            *series.warnings,
            *question.notes,
            *((question.without_map,) if field is None and question.without_map else ()),
            *(() if field is None else field.warnings),
            *offsets,
            *(turn.warning for turn in turns if turn.warning),
            *agreement.warnings,
            *_doubts(counts, estimate),
            *coverage.warnings,
        ),
        curve=question.curve,
    )


def ready_readouts(run: Run, series: ReadoutSeries, sequence: str, notes: Sequence[str], settings: Settings) -> Ready:
    """Say what loaded readouts would be measured from, and refuse a map of the transmit field that cannot be used."""
    field = transmit_field_of(run.transmit_fields, series.acquisition, series.grid, settings)
    return Ready(
        sequence=sequence,
        n_images=len(series.sources),
        kind=f"images ({series.form})",
        shape=series.grid.shape,
        transmit="" if field is None else field.sources[0].name,
        lacking=frozenset({*FORMS[series.form].missing, *(OF_TRANSMIT if field is None else ())}),
        warnings=(*series.warnings, *notes, *(() if field is None else field.warnings)),
    )


def _of_form(series: ReadoutSeries, form: InputForm) -> ReadoutSeries:
    """Say what the results are of, where it is less than what was loaded."""
    beside = series.uni_beside
    if form == series.form:
        return series
    if beside is None:
        return replace(series, form=form)
    scaling = {**series.scaling, "UNIT1": beside.scaling}
    return replace(series, form=form, sources=(*series.sources, beside.source), scaling=scaling)


def _options(question: Question, unit: float, settings: Settings) -> PosteriorOptions:
    """Return the choices of the estimation, of images that were divided by a unit."""
    noise_sd = settings.readouts.noise_sd
    return PosteriorOptions(
        time_range=settings.search.t1_range,
        transmit_prior=transmit_prior(settings),
        transmit_sd=settings.readouts.b1_map_sd,
        sums_transmit=question.sums_transmit,
        lowest_transmit=question.lowest_transmit,
        noise_sd=None if noise_sd is None else noise_sd / unit,
        noise_origin="option --noise-sd",
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )


def _maps(sequence: str, estimate: PosteriorEstimate, field: TransmitField | None) -> dict[str, np.ndarray]:
    """Return the maps that the outputs table lists and the estimate has."""
    maps = {row.quantity: getattr(estimate, row.quantity, None) for row in outputs_of(sequence)}
    if field is not None:
        maps["transmit_extrapolated"] = field.extrapolated
    return {quantity: values for quantity, values in maps.items() if values is not None}


def _in_phase(images: ReadoutImages) -> tuple[ReadoutImages, tuple[PhaseTurn, ...]]:
    """Take off what turns complex readouts against one another, which the model does not know."""
    if not FORMS[images.form].is_complex or images.readouts is None:
        return images, ()
    aligned, turns = remove_phase(images.readouts)
    return replace(images, readouts=aligned), turns


def _record_of_phase(turns: tuple[PhaseTurn, ...]) -> dict[str, object]:
    """Say how far the readouts were turned against the first one [degree]."""
    if not turns:
        return {}
    return {
        "PhaseBetweenReadouts": [
            {
                "Readout": turn.readout,
                "Median": round(turn.median, 1),
                "Range": [round(turn.lowest, 1), round(turn.highest, 1)],
                "Removed": turn.removed,
            }
            for turn in turns
        ]
    }


def _doubts(counts: dict[str, int], estimate: PosteriorEstimate) -> tuple[str, ...]:
    """Warn of what is wrong in much of the map; what form of input and record imply, the page says by itself."""
    doubts = []
    n_estimates = max(1, count_estimates(counts))
    share = int(estimate.two_modes.sum()) / n_estimates
    if share > MANY_TWO_MODES:
        doubts.append(
            f"In {share:.0%} of the fitted voxels two separate values of T1 explain the data; the map of two modes "
            "shows where."
        )
    doubtful = counts[VoxelStatus.INVERSION_DOUBTFUL.name] / n_estimates
    if doubtful > MANY_DOUBTFUL:
        doubts.append(
            f"In {doubtful:.0%} of the fitted voxels B1+ is below what the inversion pulse needs: inversion doubtful."
        )
    low = counts[VoxelStatus.LOW_CONFIDENCE.name] / n_estimates
    if low > MANY_TWO_MODES:
        doubts.append(f"In {low:.0%} of the fitted voxels the data are no likelier than under noise alone.")
    return tuple(doubts)


def _record(
    series: ReadoutSeries, question: Question, estimate: PosteriorEstimate, settings: Settings
) -> dict[str, object]:
    """Say where every number of the maps comes from."""
    first = series.sidecars[0]
    record: dict[str, object] = {
        "EstimationAlgorithm": FORMS[series.form].algorithm,
        "EstimationReference": question.reference,
        **question.protocol,
        "EchoTime": if_valid(first.seconds, "EchoTime"),
        "MagneticFieldStrength": field_strength_of(series),
        "Manufacturer": known_manufacturer(first.text("Manufacturer")),
        "DataKind": series.form,
        "Scaling": dict(series.scaling) or None,
        "T1Prior": "uniform",
        "SearchRange": list(settings.search.t1_range),
        "NoiseSD": {"Value": estimate.noise.value, "Origin": estimate.noise.origin},
        "RobustBeta": estimate.robust_beta,
        "Device": estimate.device,
        "EstimationSoftware": versions(),
    }
    return {key: value for key, value in record.items() if value is not None}
