"""Maps of flip angles that the scanner computes, and the anatomical images that lie with them (tfl_b1map)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.recognising.plan import Kept
from bids_t1.dicom.recognising.repetitions import distortion, one_reconstruction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.dicom.reading.volumes import Volume
    from bids_t1.dicom.recognising.plan import Plan

NO_ANGLE = (
    "TB1TFL: the header of the flip angle map does not tell the nominal angle of its saturation pulse (its FlipAngle "
    "is that of the excitation), and FlipAngle is left open; expected by every use of the map. Give the angle, in "
    "degrees, as FlipAngle in a table [TB1TFL] of a file for --protocol"
)

NO_MAP = "image of tfl_b1map without a flip angle map of the same slices"


def keep_flip_angles(volumes: Sequence[Volume], plan: Plan) -> None:
    """Keep each flip angle map, as stored, and the anatomical image of its scan."""
    maps = [volume for volume in volumes if volume.one.transmit == "flip angles"]
    images = [volume for volume in volumes if volume.one.transmit != "flip angles"]
    chosen = sorted(_of_one_reconstruction(maps, plan), key=lambda volume: volume.started)
    used: list[Volume] = []
    for number, angles in enumerate(chosen, start=1):
        run = number if len(chosen) > 1 else None
        plan.kept.append(Kept(angles, run=run, suffix="TB1TFL", label="famp"))
        if angles.one.saturation_angle is None:
            plan.warn(NO_ANGLE)
        image = _image_of(angles, [image for image in images if not any(image is other for other in used)])
        if image is not None:
            used.append(image)
            plan.kept.append(Kept(image, run=run, suffix="TB1TFL", label="anat"))
    plan.skip([image for image in images if not any(image is other for other in used)], NO_MAP)


def _of_one_reconstruction(maps: Sequence[Volume], plan: Plan) -> list[Volume]:
    """Keep one reconstruction of the maps of the same slices."""
    groups: list[list[Volume]] = []
    for volume in maps:
        home = next((group for group in groups if group[0].lies_with(volume)), None)
        if home is None:
            groups.append([volume])
        else:
            home.append(volume)
    return [volume for group in groups for volume in one_reconstruction(group, plan)]


def _image_of(angles: Volume, images: Sequence[Volume]) -> Volume | None:
    """Return the anatomical image of a map: of the same slices, corrected alike, and nearest in series number."""
    possible = [image for image in images if image.one.component == "mag" and image.lies_with(angles)]

    def distance(image: Volume) -> tuple[bool, int]:
        apart = abs((image.one.series.number or 0) - (angles.one.series.number or 0))
        return distortion(image) != distortion(angles), apart

    return min(possible, key=distance, default=None)
