"""The two plots of an MP2RAGE run: its cycle as a timing diagram, and S against T1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bids_t1.report.figures import signal_curve
from bids_t1.report.figures.drawing import BLUE, GREEN, LINES, ORANGE, PURPLE, WIDTH, add_axes, at_both_widths
from bids_t1.report.words import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bids_t1.data.result import SignalCurve
    from bids_t1.report.figures.cycle import Cycle, Train

SHOWN_T1 = ((1.0, BLUE, "-"), (2.0, GREEN, "--"), (4.0, PURPLE, ":"))
"""Relaxation times whose magnetisation is drawn [s], from white matter to fluid, with colours and lines."""

ROOMY = 0.1
"""Share of the cycle from which there is room for words in or below a part of it."""

WORDS = 0.07
"""Share of the cycle on the longer side of a k-space centre from which there is room for words."""

LABEL = 0.16
"""Share of the cycle between k-space centres from which there is room for their times."""

NEAR = 0.06
"""Share of the cycle within which words beside the inversion are moved away from it."""

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@at_both_widths
def draw_cycle(width: float, cycle: Cycle) -> Figure:
    """Draw one cycle: inversion, delays, trains and k-space centres above, the magnetisation below."""
    figure = Figure(figsize=(width, 4.3))
    events = add_axes(figure, 0.79, 2.4, 0.47, 0.09)
    magnetisation = add_axes(figure, 0.79, 0.52, 0.47, 2.24)
    _draw_events(events, cycle, cycle.duration * WIDTH / width)
    _draw_magnetisation(magnetisation, cycle)
    for axes in (events, magnetisation):
        axes.set_xlim(-0.012 * cycle.duration, 1.012 * cycle.duration)
    return figure


def _draw_events(axes: Axes, cycle: Cycle, room: float) -> None:
    """Draw pulses and delays; words need a share of a room [s], which is as long as the cycle on a wide plot."""
    axes.axis("off")
    axes.set_ylim(-0.75, 2.1)
    axes.axhline(0, color=LINES, linewidth=0.8)
    for time, words, side in ((0.0, "inversion", "left"), (cycle.duration, "next inversion", "right")):
        axes.plot([time, time], [0, 1.55], color=ORANGE, linewidth=4, solid_capstyle="butt")
        axes.text(time, 1.66, words, ha=side, va="bottom")
    for number, train in enumerate(cycle.trains, 1):
        _draw_train(axes, train, number, (cycle, room))
    begins = [0.0, *(train.end for train in cycle.trains)]
    middles = [begin + delay / 2 for begin, delay in zip(begins, cycle.delays, strict=True)]
    for number, (begin, delay) in enumerate(zip(begins, cycle.delays, strict=True)):
        free = min(abs(middle - middles[number]) for place, middle in enumerate(middles) if place != number)
        is_roomy = max(free, delay) > ROOMY * room
        _draw_delay(axes, (begin, begin + delay), number, roomy=is_roomy)


def _draw_train(axes: Axes, train: Train, number: int, within: tuple[Cycle, float]) -> None:
    cycle, room = within
    length, centre = train.end - train.start, train.inversion_time
    axes.add_patch(Rectangle((train.start, 0), length, 1, facecolor=BLUE, alpha=0.3, edgecolor="none"))
    axes.vlines([train.start, train.end], 0, 1, color=BLUE, linewidth=0.8)
    axes.plot([centre] * 2, [0, 1.3], color=BLUE, linewidth=1.2, linestyle=(0, (4, 2)))
    is_roomy = length > ROOMY * room and max(centre - train.start, train.end - centre) > WORDS * room
    if is_roomy:
        n, spacing = wording.number(train.before + train.after), wording.number(1000 * train.excitation_time, 3)
        is_late = centre > (train.start + train.end) / 2  # words stand on the longer side of the k-space centre
        place = (train.start + centre) / 2 if is_late else (centre + train.end) / 2
        words = f"{train.flip_angle:g}°\n{n} \N{MULTIPLICATION SIGN} {spacing} ms"
        axes.text(place, 0.5, words, ha="center", va="center", fontsize=8)
    label = f"TI{number}".translate(SUBSCRIPTS)
    gaps = np.diff([other.inversion_time for other in cycle.trains]) / room
    if gaps.min(initial=1.0) > LABEL:  # else the page's table has to do
        label += f" {wording.number(centre)} s" + ("" if is_roomy else f", {train.flip_angle:g}°")
    side = "left" if centre < NEAR * room else "center"
    axes.text(centre, 1.34, label, ha=side, va="bottom")


def _draw_delay(axes: Axes, ends: tuple[float, float], number: int, *, roomy: bool) -> None:
    delay = round(max(ends[1] - ends[0], 0.0), 4)
    if delay:
        arrow = {"arrowstyle": "<->", "color": LINES, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (ends[0], -0.2), (ends[1], -0.2), arrowprops=arrow)
    name = f"TD{number}".translate(SUBSCRIPTS)
    words = f"{name} {wording.number(delay, 3)} s" if roomy else name
    axes.text(sum(ends) / 2, -0.32, words, ha="center", va="top", fontsize=8)


def _draw_magnetisation(axes: Axes, cycle: Cycle) -> None:
    axes.axhline(0, color=LINES, linewidth=0.7)
    for train in cycle.trains:
        axes.axvspan(train.start, train.end, color=BLUE, alpha=0.1, linewidth=0)
        axes.axvline(train.inversion_time, color=BLUE, linewidth=0.8, linestyle=(0, (4, 2)))
    for t1, colour, line in SHOWN_T1:
        axes.plot(*cycle.magnetisation(t1), color=colour, linestyle=line, linewidth=1.5, label=f"T1 {t1:g} s")
    axes.set(ylim=(-1, 1), xlabel="time after the inversion [s]", ylabel="magnetisation / M0")
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.legend(frameon=False, loc="lower right", ncols=len(SHOWN_T1), fontsize=8.5, handlelength=2.6)


def describe_cycle(cycle: Cycle) -> str:
    """Say what the timing diagram shows, for readers who cannot see it."""
    trains = "; ".join(
        f"readout {number} from {train.start:.3f} to {train.end:.3f} s, flip angle {train.flip_angle:g}°, k-space "
        f"centre at {train.inversion_time:.3f} s"
        for number, train in enumerate(cycle.trains, 1)
    )
    delays = ", ".join(f"{max(delay, 0.0):.3f}" for delay in cycle.delays)
    return (
        f"Timing diagram of one cycle of {cycle.duration:g} s: inversion at 0 s; {trains}; delays without pulses "
        f"{delays} s. Below it the longitudinal magnetisation for T1 of "
        f"{wording.listed([f'{t1:g} s' for t1, _, _ in SHOWN_T1])}."
    )


@at_both_widths
def draw_signal_curve(width: float, curve: SignalCurve) -> Figure:
    """Draw S against T1 at each transmit field, and where two T1 share one S."""
    times, values = np.array(curve.times), np.array(curve.values)
    middle = signal_curve.nominal(curve)
    figure = Figure(figsize=(width, 3.9))
    axes = add_axes(figure, 0.79, 0.51, 1.42, 0.19)
    axes.axhline(0, color=LINES, linewidth=0.7)
    for first, last in signal_curve.shared_ranges(curve):
        axes.axvspan(first, last, color=ORANGE, alpha=0.13, linewidth=0)
    axes.fill_between(times, values.min(0), values.max(0), color=BLUE, alpha=0.14, linewidth=0)
    for field, row in zip(curve.transmit, values, strict=True):
        if field != signal_curve.NOMINAL:
            colour, line = (PURPLE, "--") if field < signal_curve.NOMINAL else (GREEN, ":")
            axes.plot(times, row, color=colour, linestyle=line, linewidth=1)
    ambiguous = signal_curve.shared(curve)
    axes.plot(times, middle, color=BLUE, linewidth=2)
    axes.plot(times, np.where(ambiguous, middle, np.nan), color=ORANGE, linewidth=3)
    axes.set(xlim=(0, times[-1]), ylim=(-0.52, 0.52), xlabel="T1 [s]", ylabel="S (UNI)")
    axes.set_yticks([-0.5, -0.25, 0, 0.25, 0.5])
    _label_fields(axes, curve)
    return figure


def _label_fields(axes: Axes, curve: SignalCurve) -> None:
    """Write the transmit fields beside the ends of their lines, in their order and clear of one another."""
    ends = [row[-1] for row in curve.values]
    order = np.argsort(ends, kind="stable")
    spacing = 0.062
    places = np.sort(ends)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + spacing)
    places -= max(0.0, places[-1] - 0.5)
    for index in range(len(places) - 2, -1, -1):
        places[index] = min(places[index], places[index + 1] - spacing)
    for place, index in zip(places, order, strict=True):
        field = curve.transmit[index]
        words = f"B1+ {field:g}" + (" (nominal)" if field == signal_curve.NOMINAL else "")
        axes.annotate(
            words,
            (curve.times[-1], ends[index]),
            (1.018, place),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            arrowprops={
                "arrowstyle": "-",
                "color": LINES,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )


def describe_signal_curve(curve: SignalCurve) -> str:
    """Say what the plot of S against T1 shows, for readers who cannot see it."""
    middle, ranges = signal_curve.nominal(curve), signal_curve.shared_ranges(curve)
    shared = (
        f"two T1 share one S for T1 {wording.listed([f'{a:.2f} to {b:.2f} s' for a, b in ranges])}"
        if ranges
        else "every S belongs to one T1"
    )
    return (
        f"S against T1 from {curve.times[0]:g} to {curve.times[-1]:g} s: S goes from {middle[0]:.2f} to "
        f"{middle[-1]:.2f} at nominal B1+; drawn for B1+ from {curve.transmit[0]:g} to {curve.transmit[-1]:g}; "
        f"{shared}."
    )
