"""The transmit field B1+ that entered an MP2RAGE run: how it was measured, where it is known, how far it is from 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.report.voices.origins import prior_of, sources_of
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import Number
from bids_t1.report.words.record import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.result import RunResult
    from bids_t1.report.figures.mosaic import MapFigure
    from bids_t1.report.words.literature import Work

MAP, EXTRAPOLATED = "transmit", "transmit_extrapolated"
"""Quantities of the outputs table that this section shows."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way of measuring B1+."""

    name: str
    works: tuple[Work, ...]


METHODS = {
    "TB1AFI": Method("actual flip-angle imaging", (literature.YARNYKH,)),
    "TB1DAM": Method("the double-angle method", (literature.INSKO,)),
    "TB1TFL": Method("a saturation pulse before a turbo-FLASH readout", (literature.CHUNG,)),
    "TB1SRGE": Method("SA2RAGE, two gradient-echo readouts after a saturation", (literature.EGGENSCHWILER,)),
    "TB1EPI": Method("spin echoes and stimulated echoes read by EPI", (literature.JIRU, literature.LUTTI)),
}
"""By suffix of the images; a TB1map was computed elsewhere, by a method that it does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitSection:
    """What the template shows of the transmit field."""

    method: str
    works: tuple[Work, ...]
    source: str
    scaling: str
    numbers: tuple[Number, ...]
    figures: tuple[MapFigure, ...]


def field_of(run: RunResult) -> Mapping[str, object] | None:
    """Return what is recorded of the transmit field; None where none was used."""
    field = run.record.get("TransmitField")
    return field if isinstance(field, Mapping) else None


def method_of(run: RunResult) -> Method | None:
    """Return how the transmit field was measured; None where that is not known."""
    field = field_of(run)
    return None if field is None else METHODS.get(str(field.get("Method")))


def extrapolated_share(run: RunResult) -> tuple[int, int] | None:
    """Return in how many voxels with an estimate B1+ was extrapolated, and of how many; None without a mask."""
    if EXTRAPOLATED not in run.maps:
        return None
    fitted = _fitted(run)
    return int(np.count_nonzero((run.maps[EXTRAPOLATED] > 0) & fitted)), int(fitted.sum())


def describe_transmit(run: RunResult, figures: tuple[MapFigure, ...]) -> TransmitSection | None:
    """Describe the transmit field of a run; None where none was used.

    Parameters
    ----------
    run
        Of MP2RAGE or MP3RAGE.
    figures
        Pictures of the map, and of where it was extrapolated.
    """
    field = field_of(run)
    if field is None:
        return None
    method = method_of(run)
    return TransmitSection(
        method=f"Measured with {method.name}"
        if method
        else "A map that was computed by the scanner or another program; it does not tell its method",
        works=method.works if method else (),
        source=sources_of(field),
        scaling=wording.without_folders(plain(field.get("Scaling", "not recorded"))),
        numbers=_numbers(run),
        figures=figures,
    )


def _fitted(run: RunResult) -> NDArray[np.bool_]:
    times = run.maps.get("time", np.full(run.grid.shape, np.nan))
    fitted: NDArray[np.bool_] = np.isfinite(times)
    return fitted


def _numbers(run: RunResult) -> tuple[Number, ...]:
    if MAP not in run.maps:
        return ()
    fitted = _fitted(run)
    inside = run.maps[MAP][fitted]
    known = inside[np.isfinite(inside)]
    numbers = [_median(known)]
    if (found := extrapolated_share(run)) is not None:
        numbers.append(_share("Extrapolated", *found, "continued from their neighbourhood, not measured"))
    numbers.append(_share("Not known", inside.size - known.size, inside.size, _instead(run)))
    return tuple(numbers)


def _instead(run: RunResult) -> str:
    """Say what entered where B1+ is not known."""
    mean, sd, _ = prior_of(run) or (math.nan, math.nan, ())
    return f"where it was taken as {mean:g}" if sd == 0 else "where it was integrated over its prior"


def _median(known: NDArray[np.floating]) -> Number:
    if not known.size:
        return Number(label="Median B1+", value="not available", remarks=())
    low, lower, median, upper, high = (f"{value:.2f}" for value in np.percentile(known, (0, 5, 50, 95, 100)))
    remarks = (f"{lower} to {upper} in the middle 90 % of fitted voxels", f"{low} to {high} in all of them")
    return Number(label="Median B1+", value=f"{median} of nominal", remarks=remarks)


def _share(label: str, count: int, total: int, remark: str) -> Number:
    voxels = f"{wording.grouped(count)} fitted {'voxel' if count == 1 else 'voxels'}"
    remarks = (f"{voxels}, {remark}",) if count else ("no fitted voxel",)
    return Number(label=label, value=wording.percent(count, total), remarks=remarks)
