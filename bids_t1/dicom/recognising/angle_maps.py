"""Maps of flip angles that the scanner computes, and the anatomical images that lie with them (tfl_b1map)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.groups import grouped
from bids_t1.dicom.reading.volumes import in_order, without
from bids_t1.dicom.recognising.repetitions import distortion, one_reconstruction
from bids_t1.dicom.recognising.transmit_method import TransmitMethod
from bids_t1.dicom.recognising.verdict import (
    PlannedImage,
    Verdict,
    left_out,
    numbered,
    passed,
    repeated,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.volumes import Volume

NO_ANGLE = (
    "TB1TFL: the header of the flip angle map does not tell the nominal angle of its saturation pulse (its FlipAngle "
    "is that of the excitation), and FlipAngle is left open; expected by every use of the map. Give the angle, in "
    "degrees, as FlipAngle in a table [TB1TFL] of a file for --protocol"
)

NO_MAP = "image of tfl_b1map without a flip angle map of the same slices"


def _keep(volumes: Sequence[Volume]) -> Verdict:
    """Keep each flip angle map, as stored, and the anatomical image of its scan."""
    maps = [volume for volume in volumes if volume.first.transmit == "flip angles"]
    images = without(volumes, maps)
    groups = grouped(maps, lambda group, volume: group[0].lies_with(volume))
    kept, verdict = passed(map(one_reconstruction, groups))
    for angles, run in numbered(in_order(kept)):
        image = _image_of(angles, images)
        verdict += _angles(angles, run)
        if image is not None:
            verdict += _anatomy(image, run)
            images = without(images, [image])
    return verdict + left_out(images, NO_MAP)


def _angles(volume: Volume, run: int | None) -> Verdict:
    timing = repeated(volume.first) | {"FlipAngle": volume.timing.saturation_angle}
    image = PlannedImage(
        volume=volume, run=run, suffix="TB1TFL", label="famp", timing=timing, values={"Units": "0.1 degree"}
    )
    return Verdict((image,), warnings=(NO_ANGLE,) if volume.timing.saturation_angle is None else ())


def _anatomy(volume: Volume, run: int | None) -> Verdict:
    image = PlannedImage(volume=volume, run=run, suffix="TB1TFL", label="anat", timing=repeated(volume.first))
    return Verdict((image,))


def _image_of(angles: Volume, images: Sequence[Volume]) -> Volume | None:
    """Return the anatomical image of a map: of the same slices, corrected alike, and nearest in series number."""
    possible = [image for image in images if image.first.component == "mag" and image.lies_with(angles)]

    def distance(image: Volume) -> tuple[bool, int]:
        apart = abs((image.first.series.number or 0) - (angles.first.series.number or 0))
        return distortion(image) != distortion(angles), apart

    return min(possible, key=distance, default=None)


ANGLE_MAPS = TransmitMethod(keep=_keep, shown=frozenset({"flip angles", "anatomy of flip angles"}))
