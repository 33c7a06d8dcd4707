"""What a run measures, and how it is named, written and drawn: T1 in seconds, T2* in milliseconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bids_t1.data.sequences import sequence_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bids_t1.data.outputs import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A relaxation time as the page shows it."""

    name: str
    unit: str
    per_second: float
    """Units in one second: 1 or 1000."""

    decimals: int
    depends_on: str
    """What makes one measurement of it differ from another, for the head of the page."""

    histogram_end: float
    """Up to which value the histogram goes, in `unit`."""

    bin_widths: tuple[float, float]
    """For many and for few voxels, in `unit`."""

    tick: float

    def written(self, value: float, *, unit: bool = True) -> str:
        """Write a value or its SD [s] in the unit of the quantity."""
        if math.isnan(value):
            return "not available"
        number = f"{value * self.per_second:.{self.decimals}f}"
        return f"{number} {self.unit}" if unit else number

    def shown(self, row: Output, values: NDArray[np.floating]) -> tuple[Output, NDArray[np.floating]]:
        """Return a row and its map [s] in the unit of the quantity; maps of anything else as they are."""
        if row.units != "s" or self.per_second == 1:
            return row, values
        limits = row.view.limits
        scaled = None if limits is None else (limits[0] * self.per_second, limits[1] * self.per_second)
        view = replace(row.view, label=row.view.label.replace("[s]", f"[{self.unit}]"), limits=scaled)
        description = f"{row.description} Shown in {self.unit}; the file is in s."
        return replace(row, view=view, description=description), values * self.per_second


T1 = Quantity(
    name="T1",
    unit="s",
    per_second=1.0,
    decimals=3,
    depends_on="T1 depends on field strength, sequence, temperature and age.",
    histogram_end=5.0,  # free fluid in the head has about 4 to 4.5 s
    bin_widths=(0.025, 0.1),
    tick=0.5,
)
T2_STAR = Quantity(
    name="T2*",
    unit="ms",
    per_second=1000.0,
    decimals=1,
    depends_on="T2* depends on field strength, iron and blood oxygenation, and on voxel size and shim as well.",
    histogram_end=100.0,
    bin_widths=(1.0, 4.0),
    tick=10.0,
)
QUANTITIES = (T1, T2_STAR)
"""In the order in which the page names them."""

BY_NAME = {quantity.name: quantity for quantity in QUANTITIES}


def quantity_of(sequence: str) -> Quantity:
    """Return what a sequence measures."""
    return BY_NAME[sequence_of(sequence).quantity]
