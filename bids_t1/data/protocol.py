"""What a user says about a scan where its metadata are silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.sidecar import Sidecar


@dataclass(frozen=True, slots=True)
class Protocol:
    """The tables of a protocol file, by sequence: they complete sidecars and never replace what is in one."""

    tables: Mapping[str, Sidecar] = field(default_factory=dict)
    """Fields named as in BIDS, times in seconds, angles in degrees; lists hold one value per readout."""

    def of(self, sequence: str) -> Sidecar | None:
        """Return the table of a sequence, such as MP2RAGE, or None."""
        return self.tables.get(sequence)
