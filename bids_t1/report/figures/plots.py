"""The histogram of a relaxation time, and measurements with their fitted curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bids_t1.report.figures.drawing import BLUE, GREEN, LINES, ORANGE, PURPLE, add_axes, at_both_widths, is_wide
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bids_t1.data.result import Example
    from bids_t1.data.sequences import Axis
    from bids_t1.report.words.literature import ReferenceBand
    from bids_t1.report.words.quantity import Quantity

FEW_VOXELS = 5000
MAX_EXAMPLES = 8
SUPERSCRIPTS = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")
TICKS_OF_DECADES = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

HISTOGRAM_HEIGHT = 3.1
MOTION_HEIGHT = 2.2
PANEL_HEIGHT = 3.3
PANEL_MARGINS = {"left": 0.72, "right": 0.12, "bottom": 0.5, "top": 0.58}
"""Around the axes of one voxel, for ticks, labels and a power of ten [inch]."""


@at_both_widths
def draw_histogram(
    width: float, fitted: NDArray[np.floating], quantity: Quantity, bands: Sequence[ReferenceBand]
) -> Figure:
    """Draw how often each value occurs.

    Parameters
    ----------
    width
        Of the plot [inch].
    fitted
        Values [s], at least one.
    quantity
        What they are.
    bands
        Reference values to shade [s].
    """
    bin_width = quantity.bin_widths[0 if fitted.size > FEW_VOXELS else 1]
    edges = np.arange(0, quantity.histogram_end + bin_width / 2, bin_width)
    counts, _ = np.histogram(fitted * quantity.per_second, edges)
    figure = Figure(figsize=(width, HISTOGRAM_HEIGHT))
    axes = add_axes(figure, 0.79, 0.5, 0.21, 0.46)
    # Labels away from each other, as there is little room between white and grey matter.
    for band, colour, side in zip(bands, (GREEN, PURPLE), ("right", "left"), strict=False):
        axes.axvspan(band.mean - band.sd, band.mean + band.sd, color=colour, alpha=0.22, linewidth=0)
        label = f"{band.tissue}\n{band.mean:.2f} ± {band.sd:.2f} s"
        above = axes.get_xaxis_transform()
        place = band.mean + (band.sd if side == "right" else -band.sd)
        axes.text(place, 1.02, label, ha=side, va="bottom", transform=above, fontsize=8)
    axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.75)
    axes.set(
        xlim=(0, quantity.histogram_end),
        xlabel=f"{quantity.name} [{quantity.unit}]",
        ylabel=f"voxels per {1000 * bin_width / quantity.per_second:g} ms",
    )
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="y", nbins=4, integer=True)
    axes.yaxis.set_major_formatter(lambda count, _: wording.grouped(round(count)))
    axes.set_xticks(np.arange(0, quantity.histogram_end + quantity.tick / 2, quantity.tick))
    return figure


@at_both_widths
def draw_motion(width: float, times: Sequence[float], displacements: Sequence[float]) -> Figure:
    """Draw the displacement of images [mm] at their times [s]."""
    figure = Figure(figsize=(width, MOTION_HEIGHT))
    axes = add_axes(figure, 0.79, 0.53, 0.21, 0.13)
    places = range(len(times))
    axes.bar(places, displacements, width=0.6, color=BLUE, alpha=0.75)
    axes.set(xlabel="inversion time [ms]", ylabel="displacement [mm]")
    axes.set_xticks(list(places), [f"{1000 * time:g}" for time in times])
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="y", nbins=4)
    return figure


@at_both_widths
def draw_curves(width: float, examples: Sequence[Example], quantity: Quantity, axis: Axis) -> Figure:
    """Draw the measurements of some voxels, the model through them and what it leaves."""
    shown = examples[:MAX_EXAMPLES]
    n_columns = (3 if len(shown) in {1, 2, 3, 5, 6} else 4) if is_wide(width) else 2
    n_rows = -(-len(shown) // n_columns)
    figure = Figure(figsize=(width, PANEL_HEIGHT * n_rows))
    for number, example in enumerate(shown):
        upper, lower = _add_panel(figure, divmod(number, n_columns), n_rows, n_columns)
        _draw_curve(upper, example, quantity, axis)
        _draw_residuals(lower, example, axis)
    return figure


def _add_panel(figure: Figure, place: tuple[int, int], n_rows: int, n_columns: int) -> tuple[Axes, Axes]:
    """Return the axes of one voxel's curve and, below it, of its residuals."""
    (row, column), (width, height) = place, (1 / n_columns, 1 / n_rows)
    sizes = figure.get_size_inches()
    inch = {side: 1 / sizes[0 if side in {"left", "right"} else 1] for side in PANEL_MARGINS}
    margin = {side: size * inch[side] for side, size in PANEL_MARGINS.items()}
    grid = figure.add_gridspec(
        2,
        1,
        height_ratios=(3.2, 1),
        hspace=0.12,
        left=column * width + margin["left"],
        right=(column + 1) * width - margin["right"],
        bottom=1 - (row + 1) * height + margin["bottom"],
        top=1 - row * height - margin["top"],
    )
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    upper.tick_params(labelbottom=False)
    for axes in (upper, lower):
        axes.yaxis.set_label_coords(-0.55 * inch["left"] / (width - margin["left"] - margin["right"]), 0.5)
    return upper, lower


def _draw_curve(axes: Axes, example: Example, quantity: Quantity, axis: Axis) -> None:
    times, values = curve(example)
    axes.axhline(0, color=LINES, linewidth=0.7)
    factor, power = _power_of_ten(np.concatenate([values, example.measured]))
    axes.plot(times * axis.per_unit, values / factor, color=BLUE, linewidth=1.4)
    measured = np.divide(example.measured, factor)
    axes.plot(np.multiply(example.times, axis.per_unit), measured, "o", color=ORANGE, markersize=4)
    estimate, sd = quantity.written(example.estimate, unit=False), quantity.written(example.sd)
    axes.set_title(
        f"{quantity.name} = {estimate} ± {sd}\nvoxel {', '.join(map(str, example.voxel))}",
        loc="left",
    )
    axes.set_ylabel(f"signal{power}")
    axes.locator_params(axis="y", nbins=4)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def _draw_residuals(axes: Axes, example: Example, axis: Axis) -> None:
    """Draw what the model leaves, on its own scale: a pattern here is more than noise."""
    times = np.multiply(example.times, axis.per_unit)
    residuals = np.subtract(example.measured, example.fitted)
    factor, power = _power_of_ten(residuals)
    residuals /= factor
    axes.axhline(0, color=LINES, linewidth=0.7)
    axes.vlines(times, 0, residuals, color=ORANGE, linewidth=1.2)
    axes.plot(times, residuals, "o", color=ORANGE, markersize=2.5)
    largest = float(np.max(np.abs(residuals), initial=0.0))
    axes.set(
        xlabel=f"{axis.name} [{axis.unit}]",
        ylabel=f"residual{power}",
        ylim=(-1.4 * largest or -1, 1.4 * largest or 1),
    )
    if axis.is_logarithmic:
        axes.set_xscale("log")
        ticks = [t for t in TICKS_OF_DECADES if 0.8 * times.min() <= t <= 1.25 * times.max()]
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    else:
        axes.set_xlim(left=0)
    axes.locator_params(axis="y", nbins=3)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def _power_of_ten(values: NDArray[np.floating]) -> tuple[float, str]:
    """Return what to divide values by so that ticks are short, and how the label of the axis says so."""
    largest = float(np.max(np.abs(values), initial=0.0))
    exponent = math.floor(math.log10(largest)) if largest else 0
    if -2 <= exponent <= 3:  # noqa: PLR2004 -- 0.01 to 9999 are short as they are
        return 1.0, ""
    return 10.0**exponent, f" / 10{str(exponent).translate(SUPERSCRIPTS)}"


def curve(example: Example) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the model between its fitted points.

    With one repetition time for all measurements they lie on one exponential of the fitted T1, which is then
    drawn; else there is no curve between them, and straight lines join them.
    """
    times, fitted = np.array(example.times), np.array(example.fitted)
    order = np.argsort(times, kind="stable")
    columns = np.stack([np.ones_like(times), np.exp(-times / example.estimate)], axis=1)
    coefficients, *_ = np.linalg.lstsq(columns, fitted, rcond=None)
    if np.max(np.abs(columns @ coefficients - fitted)) > 2e-3 * np.max(np.abs(fitted)):
        return times[order], fitted[order]
    dense = np.geomspace(times.min(), times.max(), 120)
    return dense, coefficients[0] + coefficients[1] * np.exp(-dense / example.estimate)


def describe_curves(examples: Sequence[Example], quantity: Quantity, axis: Axis) -> str:
    """Say what the curves show, for readers who cannot see them."""
    voxels = (
        f"voxel {', '.join(map(str, e.voxel))}: {quantity.name} {quantity.written(e.estimate)}, "
        f"SD {quantity.written(e.sd)}"
        for e in examples[:MAX_EXAMPLES]
    )
    return f"Measured signals and fitted curves over {axis.name}. " + "; ".join(voxels)
