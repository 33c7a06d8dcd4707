"""The figures of docs/validation.md, into docs/images: python -m benchmarks.figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import bids_t1
from bids_t1.report.figures.drawing import BLUE, GREEN, LINES, ORANGE, SETTINGS
from bids_t1_phantom.physics.simulate import inversion_recovery, rapid_gradient_echo_trains
from bids_t1_phantom.physics.trains import MP2RAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

DOCS = Path(__file__).parents[1] / "docs"
IMAGES = DOCS / "images"

TRUTH = np.array([0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 3.5])
"""T1 [s]."""

N_VOXELS = 4000
"""Of each T1."""

TIMES = (0.05, 0.08, 0.125, 0.2, 0.31, 0.49, 0.77, 1.21, 1.91, 3.0)
"""Inversion times [s]."""

REPETITION_TIME = 6.0
SNR = 50
READOUT_NOISE = 0.001
"""Of M0."""

FIELDS = ((0.7, ORANGE), (1.0, BLUE), (1.3, GREEN))
"""B1+, and the colour of it."""


def draw_inversion_recovery() -> Figure:
    """Draw error and coverage of ten magnitudes of inversion recovery."""
    random = np.random.default_rng(1)
    signal = inversion_recovery(
        TRUTH, 1.0, inversion_times=TIMES, repetition_times=REPETITION_TIME, inversion_efficiency=1.93
    )
    noise = random.standard_normal((2, len(TIMES), len(TRUTH), N_VOXELS)) / SNR
    images = np.abs(signal[..., None] + noise[0] + 1j * noise[1])
    maps = bids_t1.fit_inversion_recovery(images, TIMES, REPETITION_TIME, noise="gaussian", device="cpu")
    half = 2.365 * maps.t1_sd  # Student's t, seven degrees of freedom
    error, coverage = _axes("Inversion recovery: ten magnitudes, SNR 50")
    _draw_error(error, maps.t1, BLUE, "median, and middle 68 %")
    _draw_coverage(coverage, maps.t1 - half, maps.t1 + half, BLUE, "T1 ± t SD")
    return _finished(error, coverage)


def draw_mp2rage() -> Figure:
    """Draw error and coverage of complex readouts, with the map of B1+ and, at the nominal field, without."""
    random = np.random.default_rng(2)
    error, coverage = _axes("MP2RAGE: complex readouts, noise 0.001 of M0")
    for field, colour in FIELDS:
        signal = rapid_gradient_echo_trains(TRUTH, 1.0, protocol=MP2RAGE, transmit_field=field)
        noise = random.standard_normal((2, 2, len(TRUTH), N_VOXELS)) * READOUT_NOISE
        readouts = signal[..., None] + noise[0] + 1j * noise[1]
        maps = _mp2rage(readouts, np.full(readouts.shape[1:], field))
        _draw_error(error, maps.t1, colour, f"B1+ {field:g}, with map")
        _draw_coverage(coverage, maps.lower, maps.upper, colour, f"B1+ {field:g}, with map")
        if field == 1:
            without = _mp2rage(readouts, None)
            _draw_coverage(coverage, without.lower, without.upper, LINES, "B1+ 1, without map")
    return _finished(error, coverage)


def _mp2rage(readouts: NDArray[np.complex128], b1: NDArray[np.float64] | None) -> bids_t1.arrays.Maps:
    return bids_t1.fit_mp2rage(
        readouts,
        inversion_times=MP2RAGE.inversion_times,
        flip_angles=MP2RAGE.flip_angles,
        excitation_time=MP2RAGE.excitation_times[0],
        excitations=(MP2RAGE.n_before, MP2RAGE.n_after),
        cycle_time=MP2RAGE.cycle_time,
        efficiency_sd=0.0,
        b1=b1,
        noise_sd=READOUT_NOISE,
        device="cpu",
    )


def draw_phantom() -> Figure:
    """Draw the table of the NiCl2 spheres as it stands in the document."""
    rows = nist_rows((DOCS / "validation.md").read_text(encoding="utf-8"))
    published = np.array([row[0] for row in rows])
    figure = Figure(figsize=(8, 3.2))
    axes = figure.subplots()
    axes.axhline(0, color=LINES, linewidth=0.8)
    for column, colour, marker, label in (
        (1, LINES, "s", "GE: independent fit"),
        (2, BLUE, "o", "GE: bids_t1"),
        (3, LINES, "D", "Philips: independent fit"),
        (4, ORANGE, "^", "Philips: bids_t1"),
    ):
        values = np.array([row[column] for row in rows])
        axes.plot(
            published, 100 * (values / published - 1), marker, color=colour, markersize=5, fillstyle="none", label=label
        )
    axes.set_xscale("log")
    axes.set_xlabel("published T1 [ms]")
    axes.set_ylabel("measured against published [%]")
    axes.set_title("NIST/ISMRM phantom, NiCl2 spheres, 1.5 T", loc="left")
    axes.legend(frameon=False)
    figure.tight_layout()
    return figure


def nist_rows(text: str) -> list[tuple[float, ...]]:
    """Return published T1 and that of both scanners and both fits of each sphere [ms]; NaN where there is none."""
    table = text.partition("NiCl2 array")[2].partition("\n\n* ")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if re.match(r"\| \d", line)]
    return [tuple(_number(cells[place]) for place in (1, 2, 3, 6, 7)) for cells in lines]


def _number(cell: str) -> float:
    """Read a cell; what stands in brackets is no measurement."""
    return float(cell) if re.fullmatch(r"\s*[\d.]+\s*", cell) else np.nan


def _axes(title: str) -> tuple[Axes, Axes]:
    error, coverage = Figure(figsize=(8, 3.2)).subplots(1, 2)
    error.set_title(title, loc="left")
    error.axhline(0, color=LINES, linewidth=0.8)
    error.set_ylabel("error of T1 [%]")
    coverage.axhspan(93.5, 96.5, color=LINES, alpha=0.2, linewidth=0)
    coverage.axhline(95, color=LINES, linewidth=0.8)
    coverage.set_ylim(85, 100)
    coverage.set_ylabel("truths in the 95 % interval [%]")
    return error, coverage


def _draw_error(axes: Axes, found: NDArray[np.floating], colour: str, label: str) -> None:
    """Draw median and spread of the relative error of every T1."""
    relative = 100 * (found / TRUTH[:, None] - 1)
    low, median, high = np.nanpercentile(relative, (16, 50, 84), axis=1)
    axes.fill_between(TRUTH, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(TRUTH, median, "o-", color=colour, markersize=3, linewidth=1.2, label=label)


def _draw_coverage(
    axes: Axes, lower: NDArray[np.floating], upper: NDArray[np.floating], colour: str, label: str
) -> None:
    """Draw how often the truth lies in the interval."""
    held = (lower <= TRUTH[:, None]) & (TRUTH[:, None] <= upper)
    known = np.isfinite(lower) & np.isfinite(upper)
    share = 100 * held.sum(1) / np.maximum(1, known.sum(1))
    axes.plot(TRUTH, share, "o-", color=colour, markersize=3, linewidth=1.2, label=label)


def _finished(*every: Axes) -> Figure:
    for axes in every:
        axes.set_xlabel("true T1 [s]")
        axes.legend(frameon=False, fontsize=7)
    figure = every[0].figure
    assert isinstance(figure, Figure)  # noqa: S101 - not a part of another figure
    figure.tight_layout()
    return figure


FIGURES = {
    "validation_ir.svg": draw_inversion_recovery,
    "validation_mp2rage.svg": draw_mp2rage,
    "validation_phantom.svg": draw_phantom,
}

if __name__ == "__main__":
    with mpl.rc_context({**SETTINGS, "svg.fonttype": "path"}):
        for name, draw in FIGURES.items():
            draw().savefig(IMAGES / name, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
