"""Two maps of T1 in the same voxels: joint histogram and Bland-Altman plot, in the colours of tissues."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bids_t1.data.tissue import Tissue
from bids_t1.report.figures import colours
from bids_t1.report.figures.drawing import LINES, TEXT, at_both_widths, is_wide
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import T1

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bids_t1.data.tissue import Agreement

SOLID = (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.SUBCORTICAL_GREY_MATTER)
BINS = ((20_000, 120), (2_000, 60), (0, 30))
"""Bins along each axis, from so many voxels on."""

HIDDEN = 0.1
"""Share of voxels, in percent, that either end of the axes may leave out."""

FINE, COARSE = 0.1, 0.25
"""Steps of the ends of axes, below and above one second [s]."""

BESIDE = (4.6, ((0.07, 0.12, 0.37, 0.845), (0.545, 0.12, 0.345, 0.845)))
BELOW = (8.2, ((0.16, 0.565, 0.8, 0.42), (0.16, 0.065, 0.6, 0.42)))
"""Height [inch] of both plots beside each other, or one below the other, and their places in the figure."""

FAINTEST = 0.25
"""Opacity of a bin with one voxel."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Voxels with an estimate in both maps."""

    name: str
    """Of the map that is compared."""

    values: NDArray[np.float64]
    reference: NDArray[np.float64]
    tissue: NDArray[np.uint8]
    """T1 [s] in both, and the tissue, of each voxel."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Ends of the axes [s]."""

    times: tuple[float, float]
    differences: tuple[float, float]


def ends_of(pairs: Sequence[Pair], agreements: Iterable[Agreement | None]) -> Ends:
    """Return ends that serve all maps, so that their plots can be compared."""
    times = np.concatenate([values for pair in pairs for values in (pair.values, pair.reference)])
    differences = np.concatenate([pair.values - pair.reference for pair in pairs])
    keep = [0.0, *(line for agreement in agreements for line in _lines(agreement))]
    return Ends(_range(times), _range(differences, keep))


@at_both_widths
def draw_agreement(width: float, pair: Pair, agreement: Agreement | None, ends: Ends) -> Figure:
    """Draw one map against the other, and their difference against their mean.

    Parameters
    ----------
    width
        Of the plot [inch].
    pair
        At least one voxel.
    agreement
        Of all tissues but fluid together, whose lines are drawn; None where it is not known.
    ends
        Of the axes.
    """
    height, places = BESIDE if is_wide(width) else BELOW
    figure = Figure(figsize=(width, height))
    joint, bland = map(figure.add_axes, places)
    _draw_joint(joint, pair, ends)
    _draw_differences(bland, pair, agreement, ends)
    return figure


def _draw_joint(axes: Axes, pair: Pair, ends: Ends) -> None:
    _draw_density(axes, (pair.reference, pair.values), pair.tissue, (*ends.times, *ends.times))
    axes.plot(ends.times, ends.times, color=LINES, linewidth=1)
    axes.set(xlabel="T1 of inversion recovery [s]", ylabel=f"T1 of {pair.name} [s]")


def _draw_differences(axes: Axes, pair: Pair, agreement: Agreement | None, ends: Ends) -> None:
    mean, difference = (pair.values + pair.reference) / 2, pair.values - pair.reference
    axes.axhline(0, color=LINES, linewidth=0.8)
    _draw_density(axes, (mean, difference), pair.tissue, (*ends.times, *ends.differences))
    for line, words, style in zip(
        _lines(agreement), ("lower limit", "bias", "upper limit"), ("--", "-", "--"), strict=False
    ):
        axes.axhline(line, color=TEXT, linewidth=2.2, alpha=0.25)
        axes.axhline(line, color=LINES, linewidth=1.2, linestyle=style)
        text = f"{words}\n{wording.signed(line)} s"
        axes.text(1.015, line, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.set(xlabel="mean of both [s]", ylabel=f"{pair.name} \N{MINUS SIGN} inversion recovery [s]")


def _lines(agreement: Agreement | None) -> list[float]:
    """Return lower limit, bias and upper limit, all or none."""
    lines = () if agreement is None else (agreement.lower_limit, agreement.bias, agreement.upper_limit)
    return [line for line in lines if line is not None]


def _range(values: NDArray[np.float64], keep: Sequence[float] = ()) -> tuple[float, float]:
    """Return round ends that hold nearly all values, and those to keep."""
    low, high = map(float, np.percentile(values, (HIDDEN, 100 - HIDDEN)))
    low, high = min([low, *keep]), max([high, *keep])
    step = FINE if high - low < 1 else COARSE
    return step * math.floor(low / step), step * (math.floor(high / step) + 1)


def _draw_density(
    axes: Axes,
    values: tuple[NDArray[np.float64], NDArray[np.float64]],
    tissue: NDArray[np.uint8],
    ends: tuple[float, float, float, float],
) -> None:
    picture = _density(*values, tissue, ends)
    axes.imshow(picture, extent=ends, origin="lower", aspect="auto", interpolation="none")
    axes.set(xlim=ends[:2], ylim=ends[2:])


def _density(
    across: NDArray[np.float64],
    up: NDArray[np.float64],
    tissue: NDArray[np.uint8],
    ends: tuple[float, float, float, float],
) -> NDArray[np.float64]:
    """Return a picture whose colour is the tissue that most voxels of a bin have, and whose opacity their number."""
    n = next(bins for least, bins in BINS if across.size >= least)
    edges = (np.linspace(ends[2], ends[3], n + 1), np.linspace(ends[0], ends[1], n + 1))
    counts = np.stack([np.histogram2d(up[tissue == kind], across[tissue == kind], edges)[0] for kind in SOLID])
    total = counts.sum(0)
    table = np.array([colours.TISSUE_COLOURS[kind] for kind in SOLID]) / 255
    share = np.log1p(total) / np.log1p(max(float(total.max()), 1.0))
    opacity = np.where(total > 0, FAINTEST + (1 - FAINTEST) * share, 0.0)
    return np.concatenate([table[counts.argmax(0)], opacity[..., None]], axis=-1)


def describe_agreement(pair: Pair, agreement: Agreement | None) -> str:
    """Say what the plots show, for readers who cannot see them."""
    medians = [
        f"{kind.meaning} {T1.written(float(np.median(pair.reference[chosen])))} and "
        f"{T1.written(float(np.median(pair.values[chosen])))}"
        for kind in SOLID
        if (chosen := pair.tissue == kind).any()
    ]
    text = (
        f"Joint histogram and Bland-Altman plot of {wording.grouped(pair.values.size)} voxels: medians of inversion "
        f"recovery and of {pair.name} are, in {'; in '.join(medians)}"
    )
    if not _lines(agreement):
        return text
    lower, bias, upper = map(wording.signed, _lines(agreement))
    return f"{text}. Bias {bias} s, limits of agreement {lower} to {upper} s"
