"""Selective inversion recovery: what its runs have of their own on the way to R1 of free water and pool size ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from bids_t1.bids.volumes import SAME_TIME, unfold
from bids_t1.data.groups import grouped_by
from bids_t1.data.outputs import OF_POOLS
from bids_t1.data.sequences import SELECTIVE_INVERSION_RECOVERY
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.runs.common import if_valid
from bids_t1.runs.curves import CurveFit, Shown, Told, process_curves, ready_curves
from bids_t1.runs.head_motion import settle_images
from bids_t1.runs.image_agreement import Question
from bids_t1.sequences.selective_inversion_recovery import RECOVERY_KEY, SelectiveInversionRecovery
from bids_t1.sequences.slice_timing import INVERSION_KEY, SELECTIVE, are_unlike

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.data.acquisition import Acquisition, Kind, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.outputs import Output
    from bids_t1.data.protocol import Protocol
    from bids_t1.data.result import RunResult
    from bids_t1.data.sidecar import Sidecar
    from bids_t1.runs.common import Ready, Run
    from bids_t1.runs.head_motion import Motion
    from bids_t1.runs.image_agreement import Agreement
    from bids_t1.settings import Settings

ALGORITHMS = {
    1: "selective inversion recovery of free water alone, least squares by variable projection",
    2: "selective inversion recovery of two pools with equal R1, least squares by variable projection",
}

REFERENCE = "Dortch et al., Magn Reson Med 66:1346 (2011), doi:10.1002/mrm.22928"

UNLIKE_SLICES = (
    f"SliceTiming differs between slices. InversionTime and {RECOVERY_KEY} are taken as the same for all of them, "
    "which is so where each has an inversion of its own; else T1 and pool size ratio are wrong in slices read later. "
    f'Write {INVERSION_KEY} = "{SELECTIVE}" into the sidecars where each has its own.'
)

PAIRS_OF_TWO_POOLS = 4
"""Different pairs of times that two pools can be fitted to."""

LEAST_INVERTED = -1.03
"""Typical Sf below which something is wrong: beyond a perfect inversion, by what images usually are off."""

MOST_SHARE = 0.3
"""The same for the pool size ratio, of which white matter has up to 0.2."""

ONE_POOL = (
    "Fitted with one pool: T1 is that of one exponential, which tissue with macromolecules makes read short: by up to "
    "a fifth where inversion times of a few ms are among many, by up to half where they are among three."
)


def declared(acquisition: Acquisition, protocol: Protocol) -> Acquisition | None:
    """Return a run of inversion recovery as a selective one, where sidecars or protocol file tell recovery times.

    The table SIR of a protocol file is of runs with its inversion times; without any, of all runs.
    """
    row = SELECTIVE_INVERSION_RECOVERY
    table = protocol.of(row.name)
    run = unfold(acquisition, row.varying, table)
    told = any(_has_delay(file.sidecar) for file in run.files)
    if told or (table is not None and RECOVERY_KEY in table.fields and _fits(run, table)):
        return replace(run, sequence=row.name)
    return None


def _has_delay(sidecar: Sidecar) -> bool:
    return RECOVERY_KEY in sidecar.fields


def _fits(run: Acquisition, table: Sidecar) -> bool:
    """Tell whether a run has the inversion times of a table, as far as both have some."""
    wanted = sorted(table.numbers("InversionTime") or ())
    parts = grouped_by(run.files, lambda file: file.name.get("part")).values()
    return not wanted or all(
        _may_be([file.sidecar.seconds("InversionTime") for file in files], wanted) for files in parts
    )


def _may_be(times: Sequence[float | None], wanted: Sequence[float]) -> bool:
    """Tell whether times are those that are wanted, or not all known."""
    known = sorted(time for time in times if time is not None)
    if len(known) < len(times):
        return True
    return len(known) == len(wanted) and all(
        math.isclose(time, other, abs_tol=SAME_TIME) for time, other in zip(known, wanted, strict=True)
    )


TIMES_IMAGES = 2
"""What images and maps take in memory, over the images."""


def process(run: Run, settings: Settings) -> RunResult:
    """Fit one run of selective inversion recovery; see `declared`."""
    return process_curves(run, settings, _prepare, times_images=TIMES_IMAGES)


def ready(run: Run, settings: Settings) -> Ready:
    """Read what one run of selective inversion recovery would be fitted from."""
    there = ready_curves(run, settings, partial(_model, settings=settings), times_images=TIMES_IMAGES)
    return replace(there, lacking=frozenset(OF_POOLS)) if settings.pools.sir_pools == 1 else there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit(CurveFit):
    model: SelectiveInversionRecovery
    series: Series
    kind: Kind
    options: EstimationOptions
    warnings: tuple[str, ...]
    agreement: Agreement
    motion: Motion

    def estimate(self, progress: Callable[[int], object]) -> tuple[Estimate, Callable[[Estimate], Shown]]:
        model, series = self.model, self.series
        found = estimate(model, series.measurements, series.kind, self.options, progress=progress)
        is_one_curve = len(set(model.recovery_times)) == 1
        places = model.inversion_times if is_one_curve else None
        return found, lambda fitted: Shown(model=model, series=series, places=places, fitted=fitted)

    def tell(self, fitted: Estimate, sources: Sequence[str]) -> Told:  # noqa: ARG002 - nothing is learned
        model = self.model
        pools = {
            "ExchangeRate": model.exchange_rate,
            "MacromolecularSaturation": model.saturation,
            "PoolRatioRange": list(model.share_bounds),
        }
        return Told(
            scan={
                "EstimationAlgorithm": ALGORITHMS[model.n_pools],
                "EstimationReference": REFERENCE,
                "InversionTimes": list(model.inversion_times),
                "RecoveryTimes": list(model.recovery_times),
                "Pools": model.n_pools,
                **(pools if model.n_pools > 1 else {}),
                "EchoTime": if_valid(self.series.sidecars[0].seconds, "EchoTime"),
            },
            choices={"PolarityRestored": self.kind == "magnitude" or self.options.restore_polarity},
            found={
                "Sources": list(sources),
                "ImageAgreement": self.agreement.record or None,
                "Motion": self.motion.record or None,
            },
        )

    def maps(self, rows: Sequence[Output], fitted: Estimate) -> dict[str, np.ndarray]:
        """Return the maps of the run; those of the pool size ratio only where there are two pools."""
        return {row.quantity: values for row in rows if (values := self._map(row, fitted)) is not None}

    def _map(self, row: Output, fitted: Estimate) -> np.ndarray | None:
        values: np.ndarray | None = getattr(fitted, row.quantity)
        return None if row.quantity == "share" and fitted.share_sd is None else values

    def interval(self, fitted: Estimate) -> float | None:
        """Return the factor of Student's t, or that of a known noise where there are no residuals."""
        return CurveFit.interval(self, fitted) or _of_known_noise(fitted)

    def doubts(self, counts: Mapping[str, int], fitted: Estimate) -> tuple[str, ...]:  # noqa: ARG002 - values are asked
        """Warn where what the fit finds is of no inversion or no tissue: as many unknowns as images fit anything."""
        found = np.isfinite(fitted.time)
        inverted, share = (float(np.median(of[found])) if found.any() else 0.0 for of in (fitted.ratio, fitted.share))
        inversion = (f"an inversion to {inverted:.2f}, where no pulse goes beyond -1",)
        tissue = (f"a pool size ratio of {share:.2f}, where white matter has 0.2",)
        odd = (*inversion * (inverted < LEAST_INVERTED), *tissue * (share > MOST_SHARE))
        if self.agreement.is_suspect or not odd:
            return ()
        message = (
            f"The typical voxel has {', and '.join(odd)}: T1 may be wrong by more than its SD. Images may be scaled "
            f"differently from one another, or InversionTime or {RECOVERY_KEY} may be other than the scanner used."
        )
        return (message,)


def _model(series: Series, settings: Settings) -> SelectiveInversionRecovery:
    return SelectiveInversionRecovery.from_metadata(
        series.sidecars,
        n_pools=settings.pools.sir_pools,
        exchange_rate=settings.pools.sir_exchange_rate,
        saturation=settings.pools.sir_saturation,
    )


def _prepare(series: Series, settings: Settings) -> _Fit:
    model = _model(series, settings)
    options = EstimationOptions(
        time_range=settings.search.t1_range,
        noise="floor" if settings.recovery.ir_noise == "rician" else settings.recovery.ir_noise,
        restore_polarity=settings.recovery.restore_polarity,
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )
    agreement, motion = settle_images(question_of(model), series, options, settings.recovery.ir_motion)
    return _Fit(
        model=model.select(agreement.kept),
        series=agreement.series,
        kind=agreement.series.kind,
        options=options,
        warnings=(*_doubts(series, settings), *agreement.warnings, *motion.warnings),
        agreement=agreement,
        motion=motion,
    )


def question_of(model: SelectiveInversionRecovery) -> Question:
    """Say how the images are compared: as two pools, which tissue is, where there are enough of them.

    Strictly, as rate of exchange and saturation are not fitted.
    """
    pairs = set(zip(model.inversion_times, model.recovery_times, strict=True))
    tissue = replace(model, n_pools=2 if len(pairs) >= PAIRS_OF_TWO_POOLS else 1)

    def at_times(images: Sequence[int], times: Sequence[float]) -> SelectiveInversionRecovery:
        return replace(tissue.select(images), inversion_times=tuple(times))

    return Question(
        time="InversionTime",
        times=model.inversion_times,
        at_times=at_times,
        looks_like_gain=f"A {RECOVERY_KEY} other than told does that. ",
        beside=tuple(f"{RECOVERY_KEY} {time:g} s" for time in model.recovery_times),
        accusable=tuple(range(model.n_measurements)),
        is_strict=True,
    )


def _doubts(series: Series, settings: Settings) -> tuple[str, ...]:
    """Warn of what was asked for and is not there, and of what one pool costs."""
    rician = (
        "--ir-noise rician is not there for selective inversion recovery: the mean share of the noise was taken off."
    )
    return (
        *((ONE_POOL,) if settings.pools.sir_pools == 1 else ()),
        *((rician,) if settings.recovery.ir_noise == "rician" and series.kind == "magnitude" else ()),
        *((UNLIKE_SLICES,) if are_unlike(series.sidecars) else ()),
    )


def _of_known_noise(fitted: Estimate) -> float | None:
    """Return the number of SDs of a 95 % interval where the noise is not that of the voxel's own residuals."""
    known = fitted.noise.background is not None or fitted.noise.assumed is not None
    return float(stats.norm.ppf(0.975)) if known else None
