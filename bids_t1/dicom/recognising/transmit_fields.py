"""Images of the transmit field B1+: which method they are of, and which image of it each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.reading.volumes import assemble
from bids_t1.dicom.recognising.angle_maps import keep_flip_angles
from bids_t1.dicom.recognising.field_pairs import keep_pairs
from bids_t1.dicom.recognising.plan import Kept
from bids_t1.dicom.recognising.refusals import name_refusal
from bids_t1.dicom.vendors import names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bids_t1.dicom.reading.slices import SeriesKey, Slice
    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.plan import Plan, Suffix


def take_transmit_fields(by_series: Mapping[SeriesKey, list[Slice]], plan: Plan) -> dict[SeriesKey, list[Slice]]:
    """Plan the conversion of every map of the transmit field, and return the series that are of none.

    Images of flip angles and computed maps say in their headers what they are. Pairs of the other methods look like
    ordinary gradient echoes: their names must say the method, and their headers what the method asks for.
    """
    others: dict[SeriesKey, list[Slice]] = {}
    protocols = {
        series.protocol
        for series, pieces in by_series.items()
        if series.protocol and any(piece.transmit == "flip angles" for piece in pieces)
    }
    methods: dict[Suffix, list[Volume]] = {}
    for series, pieces in by_series.items():
        if _concerns_it(series, pieces, protocols):
            for volume in _volumes(pieces, plan):
                methods.setdefault(_method(volume, protocols), []).append(volume)
        else:
            others[series] = pieces
    keep_flip_angles(methods.get("TB1TFL", []), plan)
    _keep_maps(methods.get("TB1map", []), plan)
    keep_pairs("TB1AFI", methods.get("TB1AFI", []), plan)
    keep_pairs("TB1DAM", methods.get("TB1DAM", []), plan)
    return others


def _concerns_it(series: SeriesKey, pieces: Sequence[Slice], protocols: Collection[str]) -> bool:
    """Tell whether a series is of the transmit field: by its headers, its name, or a flip angle map of its scan."""
    if name_refusal(series) is not None or any(piece.refusal for piece in pieces):
        return False
    marked = any(piece.transmit is not None for piece in pieces)
    of_a_map = series.protocol in protocols and all(piece.inversion_time is None for piece in pieces)
    return marked or of_a_map or _named(series) is not None


def _named(series: SeriesKey) -> Suffix | None:
    """Return the method that a series calls itself by."""
    called = (series.description, series.protocol)
    if any(names.AFI.search(name) for name in called):
        return "TB1AFI"
    return "TB1DAM" if any(names.DOUBLE_ANGLE.search(name) for name in called) else None


def _volumes(pieces: Sequence[Slice], plan: Plan) -> list[Volume]:
    """Put slices together; delays, echoes and angles of a method may share one series."""
    volumes, failures = assemble(
        pieces, lambda piece: (piece.transmit, piece.repetition_time, piece.echo_number, piece.flip_angle)
    )
    plan.skipped.extend((piece.series, reason) for piece, reason in failures)
    return volumes


def _method(volume: Volume, protocols: Collection[str]) -> Suffix:
    """Return the method that an image is of; an unmarked one beside a computed map goes with the map."""
    one = volume.one
    if one.transmit in {"flip angles", "anatomy of flip angles"}:
        return "TB1TFL"
    named = _named(one.series)
    if one.transmit is None and named is not None:
        return named
    return "TB1TFL" if one.transmit is None and one.series.protocol in protocols else "TB1map"


def _keep_maps(volumes: Sequence[Volume], plan: Plan) -> None:
    """Keep the maps that the scanner computed; nothing else beside them is needed."""
    maps = [volume for volume in volumes if volume.one.transmit == "B1 map" and volume.one.component == "mag"]
    plan.skip(
        [volume for volume in volumes if not any(volume is kept for kept in maps)],
        "image beside a computed B1 map, which is kept",
    )
    for number, volume in enumerate(sorted(maps, key=lambda volume: volume.started), start=1):
        plan.kept.append(Kept(volume, run=number if len(maps) > 1 else None, suffix="TB1map"))
