"""The transmit field B1+ that entered a run: how it was measured, where it is known, how far it is from 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.outputs import OF_TRANSMIT
from bids_t1.data.sequences import TRANSMIT_METHODS
from bids_t1.report.voices.origins import field_of, prior_of, sources_of, voxels_without_map
from bids_t1.report.words import literature, wording
from bids_t1.report.words.numbers import Number
from bids_t1.report.words.record import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.result import RunResult
    from bids_t1.data.sequences import TransmitMethod
    from bids_t1.report.figures.mosaic import MapFigure
    from bids_t1.report.words.literature import References, Work

MAP, EXTRAPOLATED = OF_TRANSMIT
"""Quantities of the outputs table that this section shows."""

MUCH_EXTRAPOLATED = 0.05
"""Share of fitted voxels with extrapolated B1+ from which the page cautions."""

METHODS = {method.suffix: method for method in TRANSMIT_METHODS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitSection:
    """What the template shows of the transmit field."""

    method: str
    works: tuple[Work, ...]
    source: str
    scaling: str
    numbers: tuple[Number, ...]
    figures: tuple[MapFigure, ...]


def method_of(run: RunResult) -> TransmitMethod | None:
    """Return how the transmit field was measured; None where that is not known."""
    field = field_of(run)
    method = None if field is None else METHODS.get(str(field.get("Method")))
    return None if method is None or method.name is None else method


def works_of(method: TransmitMethod) -> tuple[Work, ...]:
    """Return the publications to cite for a method."""
    return tuple(literature.BY_DOI[doi] for doi in method.works)


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
        Any, whether its sequence needs B1+ or not.
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
        works=works_of(method) if method else (),
        source=sources_of(field),
        scaling=wording.without_folders(plain(field.get("Scaling", "not recorded"))),
        numbers=_numbers(run),
        figures=figures,
    )


def why_missing(run: RunResult) -> str:
    """Return why a run has no map of B1+; nothing where that is not known."""
    return "no map of B1+ was used" if "TransmitField" not in run.record else ""


def caution_of_extrapolated(run: RunResult) -> str:
    """Say where B1+ is a guess; nothing where it is measured almost everywhere."""
    found = extrapolated_share(run)
    if found is None or found[0] < MUCH_EXTRAPOLATED * found[1]:
        return ""
    return (
        f"In {wording.percent(*found)} of the fitted voxels B1+ was not measured but continued from its neighbourhood: "
        "there the 95 % interval takes it as exact. A picture below shows where."
    )


def caution_of_unknown(run: RunResult, example: str) -> str:
    """Say what B1+ was taken for where it is not known; nothing where it is known.

    Parameters
    ----------
    run
        With the prior of B1+ on record.
    example
        What another B1+ than the nominal one does, for a run without a map.
    """
    n_without, prior = voxels_without_map(run), prior_of(run)
    if prior is None or n_without == 0:
        return ""
    mean, sd, limits = prior
    if n_without is None:
        start = "No map of the transmit field B1+ was used."
        example = example if mean == 1 else ""  # it is of nominal B1+
    else:
        voxels = "1 voxel" if n_without == 1 else f"{wording.grouped(n_without)} voxels"
        start, example = f"The map of the transmit field B1+ has no value in {voxels}.", ""
    if not sd:
        return (
            f"{start} It was taken as {mean:g}: T1 is wrong where it is not, and the 95 % interval does not tell. "
            f"{example}"
        )
    there = "" if n_without is None else " there"
    within = f" (from {limits[0]:g} to {limits[-1]:g})" if limits else ""
    return (
        f"{start} T1{there} carries the uncertainty of B1+, which was allowed to be "
        f"{wording.plus_minus(mean, sd)}{within}: the SD and the 95 % interval include it. {example}"
    )


def sentence_on(run: RunResult, references: References) -> str:
    """Say in the methods which B1+ entered."""
    prior, n_without = prior_of(run), voxels_without_map(run)
    measured = "" if n_without is None else _measured(run, references)
    if prior is None or n_without == 0:
        return measured
    mean, sd, limits = prior
    within = f", cut off at {limits[0]:g} and {limits[-1]:g}" if limits else ""
    how = (
        f"was integrated over a normal prior, {wording.plus_minus(mean, sd)} of nominal{within}"
        if sd
        else f"was taken as {mean:g} of nominal"
    )
    if measured:
        return f"{measured} Where the map has no value, B1+ {how}."
    return f"No map of the transmit field B1+ was used: it {how}."


def _measured(run: RunResult, references: References) -> str:
    """Say how B1+ was measured and where it was continued."""
    method, extrapolated = method_of(run), extrapolated_share(run)
    text = (
        f"The transmit field B1+ was measured with {method.name} {references.cite(*works_of(method))}."
        if method
        else "The transmit field B1+ was that of a measured map."
    )
    if extrapolated and extrapolated[0]:
        text += (
            f" In {wording.percent(*extrapolated)} of the fitted voxels it was not measured but continued from their "
            "neighbourhood."
        )
    return text


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
