"""Selective inversion recovery: from the files of one run to R1 of free water and the pool size ratio."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from scipy import stats

from bids_t1.bids.load import load_series
from bids_t1.bids.volumes import SAME_TIME, complete_each, unfold
from bids_t1.data.estimate import count_statuses
from bids_t1.data.outputs import outputs_of
from bids_t1.data.result import RunResult
from bids_t1.data.vocabulary import known_manufacturer
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
from bids_t1.sequences.selective_inversion_recovery import RECOVERY_KEY, SelectiveInversionRecovery

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from bids_t1.data.acquisition import Acquisition, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.protocol import Protocol
    from bids_t1.data.sidecar import Sidecar
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

SEQUENCE = "SIR"

ALGORITHMS = {
    1: "selective inversion recovery of free water alone, least squares by variable projection",
    2: "selective inversion recovery of two pools with equal R1, least squares by variable projection",
}

REFERENCE = "Dortch et al., Magn Reson Med 66:1346 (2011), doi:10.1002/mrm.22928"

ONE_POOL = (
    "Fitted with one pool: T1 is that of one exponential, which tissue with macromolecules makes read short, by up to "
    "a fifth with inversion times of a few ms."
)


def declared(acquisition: Acquisition, protocol: Protocol) -> Acquisition | None:
    """Return a run of inversion recovery as a selective one, where sidecars or protocol file tell recovery times.

    The table SIR of a protocol file is of runs with its inversion times; without any, of all runs.
    """
    table = protocol.of(SEQUENCE)
    run = unfold(acquisition, "InversionTime", table)
    told = any(_has_delay(file.sidecar) for file in run.files)
    if told or (table is not None and RECOVERY_KEY in table.fields and _fits(run, table)):
        return replace(complete_each(run, "InversionTime", table), sequence=SEQUENCE)
    return None


def _has_delay(sidecar: Sidecar) -> bool:
    return RECOVERY_KEY in sidecar.fields


def _fits(run: Acquisition, table: Sidecar) -> bool:
    """Tell whether a run has the inversion times of a table, as far as both have some."""
    wanted = sorted(table.numbers("InversionTime") or ())
    parts = {file.name.get("part") for file in run.files}
    for part in parts:
        found = [file.sidecar.seconds("InversionTime") for file in run.files if file.name.get("part") == part]
        known = sorted(time for time in found if time is not None)
        if wanted and known and len(known) == len(found):
            same = len(known) == len(wanted) and all(
                math.isclose(time, other, abs_tol=SAME_TIME) for time, other in zip(known, wanted, strict=True)
            )
            if not same:
                return False
    return True


def process(acquisition: Acquisition, raw: Path, settings: Settings) -> RunResult:
    """Fit one run of selective inversion recovery; see `declared`."""
    admit = partial(require_memory, acquisition, settings.memory_mb, 2)
    series = load_series(acquisition, "InversionTime", settings.protocol, admit, beside=RECOVERY_KEY)
    with naming(acquisition):
        model = SelectiveInversionRecovery.from_metadata(
            series.sidecars,
            n_pools=settings.pools.sir_pools,
            exchange_rate=settings.pools.sir_exchange_rate,
            saturation=settings.pools.sir_saturation,
        )
    options = EstimationOptions(
        time_range=settings.search.t1_range,
        noise="floor" if settings.recovery.ir_noise == "rician" else settings.recovery.ir_noise,
        restore_polarity=settings.recovery.restore_polarity,
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )
    shape = series.grid.shape
    LOG.info("%s: %d images, %s voxels, %s data", acquisition.name, model.n_measurements, times(shape), series.kind)
    with computing(acquisition, shape, settings) as progress, near_one(series.measurements) as unit:
        fitted = estimate(model, series.measurements, series.kind, options, progress=progress).in_images(unit)
    coverage = covered(acquisition, series.measurements, fitted.status, fitted.noise.level)
    return RunResult(
        name=acquisition.name.having({"desc": SEQUENCE}, suffix="T1map", extension=".nii.gz"),
        sequence=SEQUENCE,
        grid=series.grid,
        maps=_maps(fitted),
        record=_record(series, model, fitted, settings)
        | {"Sources": uris(series.sources, raw, settings)}
        | coverage.record,
        status_counts=count_statuses(fitted.status),
        examples=choose_examples(model, series, model.inversion_times, fitted) if _is_one_curve(model) else (),
        warnings=(*series.warnings, *_doubts(series, settings), *coverage.warnings),
    )


def _is_one_curve(model: SelectiveInversionRecovery) -> bool:
    """Tell whether all images lie on one curve over the inversion time."""
    return len(set(model.recovery_times)) == 1


def _maps(fitted: Estimate) -> dict[str, np.ndarray]:
    """Return the maps of the run; those of the pool size ratio only where there are two pools."""
    maps = {row.quantity: getattr(fitted, row.quantity) for row in outputs_of(SEQUENCE)}
    if fitted.share_sd is None:
        del maps["share"], maps["share_sd"]
    return maps


def _doubts(series: Series, settings: Settings) -> tuple[str, ...]:
    """Warn of what was asked for and is not there, and of what one pool costs."""
    rician = (
        "--ir-noise rician is not there for selective inversion recovery: the mean share of the noise was taken off."
    )
    return (
        *((ONE_POOL,) if settings.pools.sir_pools == 1 else ()),
        *((rician,) if settings.recovery.ir_noise == "rician" and series.kind == "magnitude" else ()),
    )


def _of_known_noise(fitted: Estimate) -> float | None:
    """Return the number of SDs of a 95 % interval where the noise is not that of the voxel's own residuals."""
    known = fitted.noise.background is not None or fitted.noise.assumed is not None
    return float(stats.norm.ppf(0.975)) if known else None


def _record(
    series: Series, model: SelectiveInversionRecovery, fitted: Estimate, settings: Settings
) -> dict[str, object]:
    """Say where every number of the maps comes from."""
    first = series.sidecars[0]
    pools = {
        "ExchangeRate": model.exchange_rate,
        "MacromolecularSaturation": model.saturation,
        "PoolRatioRange": list(model.share_bounds),
    }
    record: dict[str, object] = {
        "EstimationAlgorithm": ALGORITHMS[model.n_pools],
        "EstimationReference": REFERENCE,
        "InversionTimes": list(model.inversion_times),
        "RecoveryTimes": list(model.recovery_times),
        "Pools": model.n_pools,
        **(pools if model.n_pools > 1 else {}),
        "EchoTime": if_valid(first.seconds, "EchoTime"),
        "MagneticFieldStrength": if_valid(first.number, "MagneticFieldStrength"),
        "Manufacturer": known_manufacturer(first.text("Manufacturer")),
        "DataKind": series.kind,
        "PolarityRestored": series.kind == "magnitude" or settings.recovery.restore_polarity,
        "SearchRange": list(settings.search.t1_range),
        **noise_record(
            series.kind, fitted, "floor" if settings.recovery.ir_noise == "rician" else settings.recovery.ir_noise
        ),
        "DegreesOfFreedom": fitted.degrees_of_freedom,
        "IntervalFactor": interval_factor(fitted.degrees_of_freedom) or _of_known_noise(fitted),
        "Device": fitted.device,
        "EstimationSoftware": versions(),
    }
    return {key: value for key, value in record.items() if value is not None}
