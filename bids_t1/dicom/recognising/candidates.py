"""Which slices may be of a sequence, by what they show; series and slices that are of none, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.recognising.refusals import COMPUTED, SCANNER_T1_MAP, name_refusal, without_inversion_time
from bids_t1.dicom.recognising.verdict import Verdict, assembled, passed, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.verdict import SeriesSlices


def may_be_gradient_echo(plane: Slice) -> bool:
    """Tell whether a slice may be of a gradient echo without inversion, read out line by line."""
    return (
        lacks_inversion(plane)
        and "GR" in plane.sequence
        and not {"SE", "IR", "EP"} & plane.sequence
        and not plane.b_value
    )


def may_be_inverted(plane: Slice) -> bool:
    """Tell whether a slice may be of an image after an inversion, or computed of several by the scanner."""
    if plane.product is not None:
        return plane.product != "T1 map"
    return plane.timing.inversion_time is not None and not plane.derived


def lacks_inversion(plane: Slice) -> bool:
    """Tell whether a slice was acquired, and has no inversion time."""
    return plane.timing.inversion_time is None and plane.product is None and not plane.derived


def inverted_volumes(series: SeriesSlices) -> tuple[list[Volume], Verdict]:
    """Return the volumes of all series that may have an inversion, and why others are incomplete."""
    return passed(assembled(plane for plane in planes if may_be_inverted(plane)) for planes in series.values())


def refuse_series(series: SeriesSlices) -> Verdict:
    """Leave out series as a whole, whatever their times: by a rule of the vendor, or by their name."""
    refusals = {key: _refusal(key, planes) for key, planes in series.items()}
    return Verdict(
        skipped=tuple((key, reason) for key, reason in refusals.items() if reason is not None),
        rest={key: planes for key, planes in series.items() if refusals[key] is None},
    )


def _refusal(key: SeriesKey, planes: Sequence[Slice]) -> str | None:
    return next((plane.refusal for plane in planes if plane.refusal), None) or name_refusal(key)


def refuse_slices(series: SeriesSlices) -> Verdict:
    """Say of slices that no sequence asks for what they look like; they are left, as the time of some may be lost."""
    return together((_refused(key, planes) for key, planes in series.items()), series)


def _refused(key: SeriesKey, planes: Sequence[Slice]) -> Verdict:
    unwanted = [plane for plane in planes if not may_be_inverted(plane) and not may_be_gradient_echo(plane)]
    reasons = ((key, _reason(key, unwanted)),) if unwanted else ()
    _, incomplete = inverted_volumes({key: planes})
    return Verdict(skipped=reasons, incomplete=incomplete.skipped) + incomplete


def _reason(key: SeriesKey, unwanted: Sequence[Slice]) -> str:
    if any(plane.product == "T1 map" for plane in unwanted):
        return SCANNER_T1_MAP
    return COMPUTED if all(plane.derived for plane in unwanted) else without_inversion_time(key, unwanted)
