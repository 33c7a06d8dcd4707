"""A model whose companion has one share in all voxels, for where too few measurements leave no room for its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_t1.data.shapes import Columns, Times
    from bids_t1.data.signal_model import Companion, SignalModel


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCompanion:
    """The model of one more column, which goes with the last one in a share that is given."""

    model: SignalModel
    beside: Companion
    share: float

    @property
    def n_measurements(self) -> int:
        """That of the model."""
        return self.model.n_measurements

    @property
    def n_coefficients(self) -> int:
        """That of the model."""
        return self.model.n_coefficients

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """That of the model."""
        return self.model.ratio_bounds

    @property
    def companion(self) -> None:
        """Held, it is a part of the last column."""
        return

    @property
    def changes_sign(self) -> bool:
        """As the model."""
        return self.model.changes_sign

    def columns(self, time: Times) -> tuple[Columns, Columns]:
        """Return the columns with the companion in the last one, and their derivatives with respect to log T."""
        columns, slopes = self.model.columns(time)
        column, slope = self.beside.column(time)
        columns[-1] += self.share * column
        slopes[-1] += self.share * slope
        return columns, slopes
