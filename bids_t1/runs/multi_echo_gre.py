"""Multi-echo gradient echo: what its runs have of their own on the way to T2*."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.estimation.curves.demodulation import demodulate
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.runs.common import done_to_noise, if_valid
from bids_t1.runs.curves import CurveFit, Shown, Told, process_curves, ready_curves, unlike_heads
from bids_t1.runs.image_agreement import Question, compare, without_offset
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bids_t1.data.acquisition import Kind, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.result import RunResult
    from bids_t1.runs.common import Ready, Run
    from bids_t1.runs.image_agreement import Agreement
    from bids_t1.settings import Settings

ALGORITHM = "monoexponential decay M0 exp(-TE/T2*), dictionary start, least squares by variable projection"
RICIAN = ", then maximum of the Rician likelihood"
REFERENCE = "Golub and Pereyra, SIAM J Numer Anal 10:413 (1973), doi:10.1137/0710036"


TIMES_IMAGES = 3
"""What images and maps take in memory, over the images."""


def process(run: Run, settings: Settings) -> RunResult:
    """Fit one multi-echo run."""
    return process_curves(run, settings, _prepare, times_images=TIMES_IMAGES)


def ready(run: Run, settings: Settings) -> Ready:
    """Read what one multi-echo run would be fitted from."""
    return ready_curves(run, settings, _model, times_images=TIMES_IMAGES)


def _model(series: Series) -> MultiEchoGradientEcho:
    return MultiEchoGradientEcho.from_metadata(series.sidecars)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit(CurveFit):
    model: MultiEchoGradientEcho
    series: Series
    kind: Kind
    options: EstimationOptions
    warnings: tuple[str, ...]
    agreement: Agreement

    def estimate(self, progress: Callable[[int], object]) -> tuple[Estimate, Callable[[Estimate], Shown]]:
        model, series = self.model, self.series
        found = estimate(model, series.measurements, series.kind, self.options, progress=progress)
        return found, lambda fitted: Shown(model=model, series=series, places=model.echo_times, fitted=fitted)

    def tell(self, fitted: Estimate, sources: Sequence[str]) -> Told:
        first = self.series.sidecars[0]
        is_rician = done_to_noise(self.series.kind, fitted, self.options.noise) == "rician"
        return Told(
            scan={
                "EstimationAlgorithm": ALGORITHM + (RICIAN if is_rician else ""),
                "EstimationReference": REFERENCE,
                "EchoTimes": list(self.model.echo_times),
                "RepetitionTime": if_valid(first.seconds, "RepetitionTime"),
                "FlipAngle": if_valid(first.number, "FlipAngle"),
            },
            found={"Sources": list(sources), "ImageAgreement": self.agreement.record or None},
        )

    def doubts(self, counts: Mapping[str, int], fitted: Estimate) -> tuple[str, ...]:  # noqa: ARG002 - values are asked
        """Warn of T2* that no head has."""
        return unlike_heads(fitted, "T2*", "EchoTime")


def _prepare(loaded: Series, settings: Settings) -> _Fit:
    model = _model(loaded)
    series, notes = _without_phase(loaded, model)
    options = EstimationOptions(
        time_range=settings.search.t2star_range,
        noise=settings.echoes.t2star_noise,
        device=settings.computing.device,
        n_threads=settings.n_threads,
    )
    agreement = without_offset(series)
    agreement = agreement.and_then(compare(question_of_echoes(model), agreement.series, options))
    return _Fit(
        model=model.select(agreement.kept),
        series=agreement.series,
        kind="magnitude" if agreement.series.kind == "magnitude" else "complex",
        options=options,
        warnings=(*notes, *agreement.warnings),
        agreement=agreement,
    )


def question_of_echoes(model: MultiEchoGradientEcho) -> Question:
    """Say how echoes are compared: strictly, as decays in uneven fields are no exponentials."""
    return Question(
        time="EchoTime",
        times=model.echo_times,
        at_times=lambda echoes, times: replace(model.select(echoes), echo_times=tuple(times)),
        accusable=tuple(range(model.n_measurements)),
        is_strict=True,
        looks_like_gain="Signals of fat and water that beat do that. ",
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
