"""Maps of the transmit field that the scanner computed, by a method that it does not tell (TB1map)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.reading.volumes import in_order, without
from bids_t1.dicom.recognising.transmit_method import TransmitMethod
from bids_t1.dicom.recognising.verdict import PlannedImage, Verdict, left_out, numbered, repeated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.volumes import Volume


def _keep(volumes: Sequence[Volume]) -> Verdict:
    """Keep the maps; nothing else beside them is needed."""
    maps = [volume for volume in volumes if volume.first.transmit == "B1 map" and volume.first.component == "mag"]
    kept = [
        PlannedImage(
            volume=volume,
            suffix="TB1map",
            run=run,
            timing=repeated(volume.first),
            values={"Units": "percent"},
            displayed=True,
        )
        for volume, run in numbered(in_order(maps))
    ]
    return left_out(without(volumes, maps), "image beside a computed B1 map, which is kept") + Verdict(tuple(kept))


COMPUTED_MAPS = TransmitMethod(keep=_keep, shown=frozenset({"B1 map"}))
