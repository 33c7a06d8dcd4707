"""Images of the transmit field B1+: which method they are of, and which image of it each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped_by
from bids_t1.dicom.recognising.angle_maps import ANGLE_MAPS
from bids_t1.dicom.recognising.computed_maps import COMPUTED_MAPS
from bids_t1.dicom.recognising.field_pairs import ACTUAL_FLIP_ANGLE, DOUBLE_ANGLE
from bids_t1.dicom.recognising.refusals import name_refusal
from bids_t1.dicom.recognising.verdict import assembled, passed, together

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.transmit_method import TransmitMethod
    from bids_t1.dicom.recognising.verdict import PlannedImage, SeriesSlices, Verdict

METHODS = (ANGLE_MAPS, COMPUTED_MAPS, ACTUAL_FLIP_ANGLE, DOUBLE_ANGLE)


def recognise(series: SeriesSlices) -> Verdict:
    """Plan the conversion of every map of the transmit field; the series that are of none are left.

    Images of flip angles and computed maps say in their headers what they are. Pairs of the other methods look like
    ordinary gradient echoes: their names must say the method, and their headers what the method asks for.
    """
    protocols = _protocols_of_angle_maps(series)
    concerned = {key: planes for key, planes in series.items() if _concerns_it(key, planes, protocols)}
    volumes, incomplete = passed(assembled(planes, _varying) for planes in concerned.values())
    by_method = grouped_by(volumes, lambda volume: _method(volume, protocols))
    kept = [method.keep(by_method.get(method, ())) for method in METHODS]
    return together([incomplete, *kept], {key: series[key] for key in series if key not in concerned})


def _protocols_of_angle_maps(series: SeriesSlices) -> set[str]:
    """Return the protocols of flip angle maps: unmarked images of these belong to the maps."""
    marked = {
        key.protocol for key, planes in series.items() if any(plane.transmit == "flip angles" for plane in planes)
    }
    return marked - {""}


def _varying(plane: Slice) -> object:
    """Return what may differ within a series: delays, echoes and angles of a method."""
    return plane.transmit, plane.timing.repetition_time, plane.timing.echo_number, plane.timing.flip_angle


def _concerns_it(key: SeriesKey, planes: Sequence[Slice], protocols: Collection[str]) -> bool:
    """Tell whether a series is of the transmit field: by its headers, its name, or a flip angle map of its scan."""
    if name_refusal(key) is not None or any(plane.refusal for plane in planes):
        return False
    marked = any(plane.transmit is not None for plane in planes)
    of_a_map = key.protocol in protocols and all(plane.timing.inversion_time is None for plane in planes)
    return marked or of_a_map or _named(key) is not None


def _named(key: SeriesKey) -> TransmitMethod | None:
    """Return the method that a series calls itself by."""
    return next((method for method in METHODS if method.called and key.is_called(method.called)), None)


def _method(volume: Volume, protocols: Collection[str]) -> TransmitMethod:
    """Return the method that an image is of; an unmarked one beside a computed map goes with the map."""
    shown, key = volume.first.transmit, volume.first.series
    if shown is not None:
        return next(method for method in METHODS if shown in method.shown)
    return _named(key) or (ANGLE_MAPS if key.protocol in protocols else COMPUTED_MAPS)


def tell(images: Sequence[PlannedImage]) -> list[str]:
    """Say what images of one series were kept as."""
    fields = [image for image in images if image.datatype == "fmap"]
    return sorted(f"kept as {image.name}, an image of the transmit field" for image in fields)
