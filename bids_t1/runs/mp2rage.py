"""MP2RAGE and MP3RAGE: from the files of one run to its maps."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from bids_t1.bids.load_readouts import load_readouts
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import VoxelStatus, count_statuses
from bids_t1.data.forms import FORMS
from bids_t1.data.outputs import outputs_of
from bids_t1.data.result import RunResult, SignalCurve
from bids_t1.data.vocabulary import known_manufacturer
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, estimate_posterior
from bids_t1.estimation.posterior.readout_phase import remove_phase
from bids_t1.runs.common import computing, covered, if_valid, naming, near_one, require_memory, times, versions
from bids_t1.runs.slow_time import efficiency_of, with_slow_time
from bids_t1.runs.transmit import record_of_transmit_field, transmit_field_of, transmit_prior
from bids_t1.sequences.mp2rage_timing import GivenEfficiency, ImageFacts, read_timing

if TYPE_CHECKING:
    from bids_t1.data.acquisition import ReadoutSeries
    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.estimation.posterior.readout_phase import PhaseTurn
    from bids_t1.runs.common import Run
    from bids_t1.sequences.mp2rage import Mp2rage
    from bids_t1.sequences.mp2rage_timing import Timing
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

REFERENCE = "Marques et al., NeuroImage 49:1271 (2010), doi:10.1016/j.neuroimage.2009.10.002"

MANY_TWO_MODES = 0.05
"""Share of voxels with two modes from which the page warns."""

MANY_DOUBTFUL = 0.01
"""Share of voxels of doubtful inversion from which the page warns."""

CURVE_TRANSMIT = (0.7, 0.85, 1.0, 1.15, 1.3)
CURVE_POINTS = 300


def process(run: Run, settings: Settings) -> RunResult:
    """Estimate the posterior of T1 of one run."""
    acquisition, raw = run.acquisition, run.raw
    admit = partial(require_memory, acquisition, settings.memory_mb, 6)
    series = load_readouts(acquisition, settings.protocol, admit)
    with naming(acquisition):
        timing = _timing(series, settings)
    field = transmit_field_of(run.transmit_fields, series.acquisition, series.grid, settings)
    options = PosteriorOptions(
        time_range=settings.search.t1_range,
        transmit_prior=transmit_prior(settings),
        transmit_sd=settings.readouts.b1_map_sd,
        lowest_transmit=timing.model.lowest_transmit,
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )
    LOG.info(
        "%s: %s of %d readouts, %s voxels, %s, B1+ %s",
        acquisition.name,
        timing.model.name,
        timing.model.n_readouts,
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
        options = replace(
            options, noise_sd=None if settings.readouts.noise_sd is None else settings.readouts.noise_sd / unit
        )
        images, turns = _in_phase(images)
        estimate = estimate_posterior(timing.model, images, options, progress=progress).in_images(unit)
    counts = count_statuses(estimate.status)
    n_estimates = sum(counts[status.name] for status in VoxelStatus if status.has_estimate)
    coverage = covered(acquisition, series.readouts, estimate.status, estimate.noise.value)
    sequence = timing.model.name
    maps = {row.quantity: getattr(estimate, row.quantity, None) for row in outputs_of(sequence)}
    if field is not None:
        maps["transmit_extrapolated"] = field.extrapolated
    made = RunResult(
        name=acquisition.name.having({"desc": sequence}, suffix="T1map", extension=".nii.gz"),
        sequence=sequence,
        grid=series.grid,
        maps={quantity: values for quantity, values in maps.items() if values is not None},
        record=_record(series, timing, estimate, settings)
        | record_of_transmit_field(estimate, field, series.sources, raw, settings)
        | _record_of_phase(turns)
        | coverage.record,
        status_counts=counts,
        examples=(),
        warnings=(
            *series.warnings,
            *timing.notes,
            *(() if field is None else field.warnings),
            *(turn.warning for turn in turns if turn.warning),
            *_doubts(counts, n_estimates, estimate),
            *coverage.warnings,
        ),
        curve=_curve(timing.model, settings.search.t1_range),
    )
    if settings.readouts.mt_prior != "tissue":
        return made
    with naming(acquisition):
        mean, _ = settings.readouts.b1_prior
        return with_slow_time(made, timing.model, _field_strength(series, settings), mean)


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


def _timing(series: ReadoutSeries, settings: Settings) -> Timing:
    """Read the timing; where it fails, say too which images with more of it are of no use."""
    facts = ImageFacts(
        uni=series.uni_sidecar,
        echo_times=series.echo_times,
        several_echoes=series.several_echoes,
        grid=series.grid,
    )
    published = efficiency_of(settings.readouts.mt_prior, _field_strength(series, settings))
    try:
        return read_timing(
            series.sidecars,
            settings.protocol.of(series.acquisition.sequence),
            efficiency=GivenEfficiency(
                published or settings.readouts.efficiency_and_slope, settings.readouts.inversion_efficiency_prior
            ),
            facts=facts,
        )
    except InvalidInputError as error:
        raise InvalidInputError("\n".join((str(error), *series.lost))) from error


def _doubts(counts: dict[str, int], n_estimates: int, estimate: PosteriorEstimate) -> tuple[str, ...]:
    """Warn of what is wrong in much of the map; what form of input and record imply, the page says by itself."""
    doubts = []
    share = int(estimate.two_modes.sum()) / max(1, n_estimates)
    if share > MANY_TWO_MODES:
        doubts.append(
            f"In {share:.0%} of the fitted voxels two separate values of T1 explain the data; the map of two modes "
            "shows where."
        )
    doubtful = counts[VoxelStatus.INVERSION_DOUBTFUL.name] / max(1, n_estimates)
    if doubtful > MANY_DOUBTFUL:
        doubts.append(
            f"In {doubtful:.0%} of the fitted voxels B1+ is below what the inversion pulse needs: inversion doubtful."
        )
    low = counts[VoxelStatus.LOW_CONFIDENCE.name] / max(1, n_estimates)
    if low > MANY_TWO_MODES:
        doubts.append(f"In {low:.0%} of the fitted voxels the data are no likelier than under noise alone.")
    return tuple(doubts)


def _record(
    series: ReadoutSeries, timing: Timing, estimate: PosteriorEstimate, settings: Settings
) -> dict[str, object]:
    """Say where every number of the maps comes from."""
    first, model = series.sidecars[0], timing.model
    record: dict[str, object] = {
        "EstimationAlgorithm": FORMS[series.form].algorithm,
        "EstimationReference": REFERENCE,
        "InversionTimes": list(model.inversion_times),
        "FlipAngles": [round(math.degrees(angle), 6) for angle in model.flip_angles],
        "RepetitionTimePreparation": model.cycle_time,
        "RepetitionTimesExcitation": list(model.excitation_times),
        # BIDS knows NumberShots as one number or pair: a list of pairs needs a name of its own.
        "NumberShotsPerReadout": [list(pair) for pair in model.excitations],
        "InversionEfficiency": model.efficiency,
        "InversionEfficiencySD": model.efficiency_sd,
        "InversionEfficiencySlope": model.efficiency_slope or None,
        "InversionEfficiencyByB1": _efficiency_by_transmit(model) or None,
        "TimingOrigins": timing.origins,
        "EchoTime": if_valid(first.seconds, "EchoTime"),
        "MagneticFieldStrength": _field_strength(series, settings),
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


def _field_strength(series: ReadoutSeries, settings: Settings) -> float | None:
    """Return the field strength of the images, else that of the protocol file [T]."""
    protocol = settings.protocol.of(series.acquisition.sequence)
    found = if_valid(series.sidecars[0].number, "MagneticFieldStrength")
    return found if found is not None or protocol is None else protocol.number("MagneticFieldStrength")


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
