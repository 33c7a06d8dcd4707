"""How plots look, and how they become part of the page: SVG that follows the theme and width of the screen."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import matplotlib as mpl

from bids_t1.report.figures.mosaic import data_uri

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

# Places are set by hand: matplotlib's constrained layout differs in the last digits from run to run, because its
# solver keeps the unknowns in the order of their addresses, and the names of clipping paths follow these digits.
WIDTH = 10.5
"""Of all plots, as wide as the page [inch]."""

NARROW = 4.6
"""Of the same plots on a telephone, where letters are to stay as large [inch]."""

# Mid-tones that stand out from white and from black: the page does not know which it will be.
BLUE, ORANGE, GREEN, PURPLE, LINES = "#3d7ab8", "#d5731e", "#4c9a6a", "#a06aa8", "#8a9099"
TEXT = "#30353b"

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "bids_t1",
    "svg.fonttype": "none",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINES,
    "xtick.color": LINES,
    "ytick.color": LINES,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "axes.labelcolor": TEXT,
    "text.color": TEXT,
    "axes.titlesize": 9.0,
    "axes.unicode_minus": True,
}

_ONE_AT_A_TIME = Lock()
"""Settings of matplotlib are those of all threads."""

_THEME = (
    "<style>"
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif!important}"
    "@media screen and (prefers-color-scheme:dark){text{fill:#d5d9de!important}}</style>"
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot as data URIs."""

    wide: str
    narrow: str
    """The same for a narrow screen."""

    def __bool__(self) -> bool:
        return bool(self.wide)


NO_DRAWING = Drawing("", "")


def at_both_widths(draw: Callable[Concatenate[float, P], Figure]) -> Callable[P, Drawing]:
    """Make of what draws at a width [inch] what draws at both."""

    @wraps(draw)
    def drawn(*arguments: P.args, **named: P.kwargs) -> Drawing:
        with _ONE_AT_A_TIME, mpl.rc_context(SETTINGS):
            return Drawing(*(svg(draw(width, *arguments, **named)) for width in (WIDTH, NARROW)))

    return drawn


def is_wide(width: float) -> bool:
    """Tell whether there is room for plots beside each other."""
    return width > NARROW


def add_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Add axes that leave room on each side [inch]."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height))


def svg(figure: Figure) -> str:
    """Return a figure as a data URI, the same bytes for the same figure."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    drawing = buffer.getvalue()
    start = drawing.index("<svg")
    inside = drawing.index(">", start) + 1
    return data_uri("image/svg+xml", (drawing[start:inside] + _THEME + drawing[inside:]).encode())
