"""Values to colours: relaxation maps as recommended for the field, and a fixed colour for each voxel status.

Fuderer et al. 2025 (doi 10.1002/mrm.30290) recommend the colour maps Lipari (T1, R1) and Navia (T2, R2), run
through a curve that is linear up to 1/e of the upper limit and logarithmic above: relaxation times matter by
their ratios. Maps of rates use the map backwards, such as lipari_r.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cmap
import numpy as np

from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.tissue import Tissue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from bids_t1.data.outputs import Output, View

N_COLOURS = 255
"""Colours of a map; one more index of an 8-bit palette is for voxels without a value."""

MISSING = 255
"""Palette index of voxels without a value."""

MISSING_COLOUR = (176, 178, 181)
"""Neutral grey, far from every colour of the relaxation maps."""

MISSING_AMONG_GREYS = (190, 206, 224)
"""A pale blue, for maps in which grey is a value."""

GROUNDS = {MISSING_COLOUR: "plain", MISSING_AMONG_GREYS: "greys"}
"""Names under which the page knows the colours of no value: they are clear in pictures, and darker on a dark page."""

STATUS_GROUND = "status"
"""The same for voxels without signal in pictures of the status."""

GREY_MAPS = frozenset({"grey", "gray"})

RELAXATION_MAPS = frozenset({"lipari", "navia"})
"""Colour maps that come with the log-like curve."""

# Near Okabe and Ito's palette, which most colour-blind readers can tell apart; calm where nothing is wrong.
STATUS_COLOURS = {
    VoxelStatus.NO_SIGNAL: (214, 216, 219),
    VoxelStatus.FITTED: (93, 125, 153),
    VoxelStatus.POLARITY_UNDECIDED: (230, 159, 0),
    VoxelStatus.RATIO_AT_BOUND: (204, 121, 167),
    VoxelStatus.NOT_FINITE: (0, 0, 0),
    VoxelStatus.SIGNAL_TOO_LOW: (240, 228, 132),
    VoxelStatus.BELOW_RANGE: (0, 158, 115),
    VoxelStatus.ABOVE_RANGE: (213, 94, 0),
    VoxelStatus.TWO_MODES: (220, 38, 127),
    VoxelStatus.AT_PRIOR_LIMIT: (86, 180, 233),
    VoxelStatus.LOW_CONFIDENCE: (158, 120, 72),
    VoxelStatus.INVERSION_DOUBTFUL: (112, 72, 160),
    VoxelStatus.SHARE_AT_BOUND: (68, 170, 153),
}

TISSUE_COLOURS = {
    Tissue.WHITE_MATTER: (58, 146, 222),
    Tissue.GREY_MATTER: (236, 138, 24),
    Tissue.SUBCORTICAL_GREY_MATTER: (46, 173, 108),
    Tissue.FLUID: (190, 112, 200),
}
"""Seen on every shade of grey, and on a light and a dark page."""


MOST_BEYOND = 0.25
"""Share of values in the colour of the upper end from which a window is widened."""


def limits_of(view: View, values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the ends of the colour bar: the view's own, or zero and a round number for the data.

    The view's own are those of heads; where too much lies above them, as in phantoms, the upper end follows the data.
    """
    finite = values[np.isfinite(values)]
    if view.limits is not None:
        lower, upper = view.limits
        is_beyond = lower == 0 and finite.size and np.mean(finite > upper) > MOST_BEYOND
        return (lower, _round_up(float(np.percentile(finite, 98)))) if is_beyond else view.limits
    upper = float(np.percentile(finite, 99.5)) if finite.size else 0.0
    return (0.0, _round_up(upper) if upper > 0 else 1.0)


def colour_table(view: View, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return the colours of evenly spaced values between the limits, and after them the one for no value."""
    share = np.linspace(0.0, 1.0, N_COLOURS)
    if view.colour_map.removesuffix("_r") in RELAXATION_MAPS:
        share = log_like(share, limits)
    colours = np.asarray(cmap.Colormap(view.colour_map)(share))[:, :3]
    missing = MISSING_AMONG_GREYS if view.colour_map in GREY_MAPS else MISSING_COLOUR
    return np.vstack([np.rint(255 * colours), missing]).astype(np.uint8)


def is_recommended(row: Output) -> bool:
    """Whether a map has the colours that Fuderer et al. 2025 recommend for its quantity."""
    return (row.suffix, row.view.colour_map) in {
        ("T1map", "lipari"),
        ("R1map", "lipari_r"),
        ("T2starmap", "navia"),
        ("R2starmap", "navia_r"),
    }


def log_like(share: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Return the place in the colour map, 0 to 1, of values that lie so far between the limits.

    Linear from the lower limit to a = upper / e, logarithmic above, without a kink (Fuderer et al. 2025).
    """
    lower, upper = limits
    values = lower + share * (upper - lower)
    turn = max(upper / math.e, lower)
    height = (turn - lower) / (2 * turn - lower)
    with np.errstate(divide="ignore"):
        logarithmic = height + (1 - height) * np.log(values / turn) / math.log(upper / turn)
    linear = height * (values - lower) / (turn - lower) if turn > lower else np.zeros_like(values)
    return np.where(values > turn, logarithmic, linear)


def indices(values: NDArray[np.floating], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return palette indices of values; those beyond the limits take the colour of the end."""
    lower, upper = limits
    share = np.clip((values - lower) / (upper - lower), 0.0, 1.0)
    return np.where(np.isfinite(values), np.rint(np.nan_to_num(share) * (N_COLOURS - 1)), MISSING).astype(np.uint8)


def ground_of(table: NDArray[np.uint8]) -> str:
    """Return under which name the page knows a table's colour of no value."""
    red, green, blue = (int(channel) for channel in table[MISSING])
    return GROUNDS[red, green, blue]


def of_page(ground: str) -> str:
    """Return a ground as the page's style sheet calls it."""
    return f"var(--ground-{ground})"


def hexadecimal(colour: Iterable[int]) -> str:
    """Return a colour as #rrggbb."""
    return "#" + "".join(f"{int(channel):02x}" for channel in colour)


def status_table() -> NDArray[np.uint8]:
    """Return the colours of the voxel statuses by code, as a palette."""
    table = np.full((MISSING + 1, 3), MISSING_COLOUR, np.uint8)
    for status, colour in STATUS_COLOURS.items():
        table[status] = colour
    return table


def _round_up(value: float) -> float:
    """Return the next larger number of two digits that is easy to read."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(
        step * unit for step in (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0) if value <= step * unit
    )
