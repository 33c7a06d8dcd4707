"""What runs share whose voxels are fitted curve by curve: from the files of one run to its maps.

The file of a sequence says only what differs: its model, its images, and what its record holds beside that of all.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.load import load_series
from bids_t1.data.estimate import count_statuses
from bids_t1.data.outputs import WEIGHTED, outputs_of
from bids_t1.data.result import RunResult
from bids_t1.data.sequences import sequence_of
from bids_t1.data.vocabulary import known_manufacturer
from bids_t1.estimation.curves.examples import choose_examples
from bids_t1.runs.common import (
    Ready,
    computing,
    covered,
    field_strength_of,
    interval_factor,
    naming,
    near_one,
    noise_record,
    require_memory,
    times,
    uris,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.data.acquisition import Acquisition, Kind, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.outputs import Output
    from bids_t1.data.signal_model import SignalModel, SurfaceModel
    from bids_t1.estimation.curves.engine import EstimationOptions
    from bids_t1.runs.common import Run
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """The voxels of a run that one model describes, to be drawn."""

    model: SignalModel | SurfaceModel
    series: Series
    places: tuple[float, ...] | None
    """Where each image lies on the axis of the sequence, in units of the record; None where no one curve joins them."""

    fitted: Estimate
    """In units of the images; without estimates in other voxels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the record of one sequence holds beside that of all; None where it is not known."""

    scan: Mapping[str, object]
    """Algorithm and timing: what comes first."""

    choices: Mapping[str, object] = field(default_factory=dict)
    """What was chosen for the fit, beside its range and its noise."""

    found: Mapping[str, object] = field(default_factory=dict)
    """What was found beside the maps: what comes last."""


HEADS = {"T1": (0.2, 3.5), "T2*": (0.006, 0.25)}
"""What the typical voxel of a head has at any field in use [s], with room: phantoms may have other numbers."""


def unlike_heads(fitted: Estimate, quantity: str, times: str) -> tuple[str, ...]:
    """Warn where the typical voxel has what no head has: times that are all off by one factor fit as well.

    Parameters
    ----------
    fitted
        The maps.
    quantity
        T1 or T2*.
    times
        The field that the relaxation time is proportional to.
    """
    found = fitted.time[np.isfinite(fitted.time)]
    typical = float(np.median(found)) if found.size else math.nan
    low, high = HEADS[quantity]
    if not found.size or low <= typical <= high:
        return ()
    message = (
        f"The typical voxel has a {quantity} of {typical:.3g} s; that of a head is between {low:g} and {high:g} s. "
        f"Values of {times} that are all wrong by one factor do that, and fit as well as true ones: compare them with "
        "the protocol, unless this is a phantom."
    )
    return (message,)


class CurveFit(ABC):
    """One run, ready to be fitted; the file of a sequence says what is abstract here."""

    series: Series
    """What is fitted."""

    kind: Kind
    """Of the images that were measured."""

    options: EstimationOptions
    warnings: tuple[str, ...]

    @abstractmethod
    def estimate(self, progress: Callable[[int], object]) -> tuple[Estimate, Callable[[Estimate], Shown]]:
        """Fit every voxel; return the maps, and what takes of them, in units of the images, those to be drawn."""

    @abstractmethod
    def tell(self, fitted: Estimate, sources: Sequence[str]) -> Told:
        """Say where the numbers of the maps come from."""

    def maps(self, rows: Sequence[Output], fitted: Estimate) -> dict[str, np.ndarray]:
        """Return the maps by their quantity."""
        return {row.quantity: getattr(fitted, row.quantity) for row in rows}

    def left(self, shown: Shown) -> dict[str, object]:  # noqa: ARG002 - for those who look
        """Return what the fit leaves, for record and page."""
        return {}

    def interval(self, fitted: Estimate) -> float | None:
        """Return the number of SDs of a 95 % interval."""
        return interval_factor(fitted.degrees_of_freedom)

    def doubts(self, counts: Mapping[str, int], fitted: Estimate) -> tuple[str, ...]:  # noqa: ARG002 - for those who have some
        """Warn of what is wrong in much of the map."""
        return ()


def process_curves(
    run: Run, settings: Settings, prepare: Callable[[Series, Settings], CurveFit], *, times_images: float
) -> RunResult:
    """Fit one run curve by curve.

    Parameters
    ----------
    run
        Any whose sequence has a `CurveFit`.
    settings
        The choices of the command.
    prepare
        Makes of the loaded images what is fitted.
    times_images
        What images and maps take in memory, over the images in single precision.
    """
    acquisition, sequence = run.acquisition, sequence_of(run.acquisition.sequence)
    loaded = _load(acquisition, settings, times_images)
    with naming(acquisition):
        fit = prepare(loaded, settings)
    series, shape = fit.series, fit.series.grid.shape
    LOG.info("%s: %d images, %s voxels, %s data", acquisition.name, len(series.sidecars), times(shape), loaded.kind)
    with computing(acquisition, shape, settings) as progress, near_one(series.measurements) as unit:
        found, choose = fit.estimate(progress)
        fitted = found.in_images(unit)
    counts, shown, rows = count_statuses(fitted.status), choose(fitted), _estimated(sequence.name)
    coverage = covered(acquisition, series.measurements, fitted.status, fitted.noise.level)
    main = next(row for row in rows if row.quantity == "time")
    return RunResult(
        name=acquisition.name.having({"desc": main.desc}, suffix=main.suffix, extension=".nii.gz"),
        sequence=sequence.name,
        grid=series.grid,
        maps=fit.maps(rows, fitted),
        record=_record(fit, fitted, uris(series.sources, run.raw, settings)) | fit.left(shown) | coverage.record,
        status_counts=counts,
        examples=() if shown.places is None else choose_examples(shown.model, shown.series, shown.places, shown.fitted),
        warnings=(*series.warnings, *fit.warnings, *fit.doubts(counts, fitted), *coverage.warnings),
    )


def _estimated(sequence: str) -> tuple[Output, ...]:
    """Return the rows that come of the fit itself."""
    return tuple(row for row in outputs_of(sequence) if row.quantity != WEIGHTED)


def ready_curves(run: Run, settings: Settings, require: Callable[[Series], object], *, times_images: float) -> Ready:
    """Read what a run would be fitted from, and refuse it as `process_curves` would; see there.

    `require` refuses images whose metadata make no model.
    """
    loaded = _load(run.acquisition, settings, times_images)
    with naming(run.acquisition):
        require(loaded)
    return Ready(
        sequence=sequence_of(run.acquisition.sequence).name,
        n_images=len(loaded.sidecars),
        kind=f"{loaded.kind} images",
        shape=loaded.grid.shape,
        warnings=loaded.warnings,
    )


def _load(acquisition: Acquisition, settings: Settings, times_images: float) -> Series:
    admit = partial(require_memory, acquisition, settings.memory_mb, times_images)
    return load_series(acquisition, settings.protocol, admit)


def _record(fit: CurveFit, fitted: Estimate, sources: Sequence[str]) -> dict[str, object]:
    """Say where every number of the maps comes from."""
    first = fit.series.sidecars[0]
    told = fit.tell(fitted, sources)
    record = {
        **told.scan,
        "MagneticFieldStrength": field_strength_of(fit.series),
        "Manufacturer": known_manufacturer(first.text("Manufacturer")),
        "DataKind": fit.kind,
        **told.choices,
        "SearchRange": list(fit.options.time_range),
        **noise_record(fit.series.kind, fitted, fit.options.noise),
        "DegreesOfFreedom": fitted.degrees_of_freedom,
        "IntervalFactor": fit.interval(fitted),
        "Device": fitted.device,
        "EstimationSoftware": versions(),
        **told.found,
    }
    return {key: value for key, value in record.items() if value is not None}
