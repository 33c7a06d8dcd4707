"""Which gradient echoes are variable flip angles, and how they are converted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bids_t1.cli import main
from bids_t1_phantom.cli import main as make_phantom
from tests import validator
from tests.dicom.plans import names, plan_of
from tests.dicom.scanner_files import ECHO, write_echoes, write_volume
from tests.small_bids import open_image

if TYPE_CHECKING:
    from pathlib import Path

ONE_ECHO = ECHO | {"EchoTime": 3, "RepetitionTime": 20, "ProtocolName": "fl3d_vfa"}


def write_angles(
    folder: Path, angles: tuple[float, ...] = (20, 4, 10), *, first_series: int = 1, **changes: Any
) -> None:
    for series, angle in enumerate(angles, first_series):
        write_volume(folder, None, ONE_ECHO | {"FlipAngle": angle} | changes, series=series)


def suffixes(folder: Path) -> set[str]:
    return {image.suffix for image in plan_of(folder).kept}


def test_angles_are_ranked_by_their_size_and_not_by_their_order(tmp_path: Path) -> None:
    write_angles(tmp_path)
    angles = {image.flip: image.volume.timing.flip_angle for image in plan_of(tmp_path).kept}
    assert angles == {1: 4, 2: 10, 3: 20}
    assert names(tmp_path) == ["flip-1_VFA", "flip-2_VFA", "flip-3_VFA"]


def test_angles_in_one_series_are_told_apart(tmp_path: Path) -> None:
    for angle in (4, 20):
        write_volume(tmp_path, None, ONE_ECHO | {"FlipAngle": angle}, series=1)
    assert names(tmp_path) == ["flip-1_VFA", "flip-2_VFA"]


def test_repeated_sets_are_runs(tmp_path: Path) -> None:
    write_angles(tmp_path, (4, 20))
    write_angles(tmp_path, (4, 20), first_series=11, AcquisitionTime="112233")
    assert {(image.run, image.flip) for image in plan_of(tmp_path).kept} == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_another_reconstruction_of_the_same_images_is_left_out(tmp_path: Path) -> None:
    write_angles(tmp_path, (4, 20))
    write_angles(tmp_path, (4, 20), first_series=11, ImageType=["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"])
    assert names(tmp_path) == ["flip-1_VFA", "flip-2_VFA"]


@pytest.mark.parametrize(
    "changes",
    [
        {"FlipAngle": 6},
        {"RepetitionTime": 25},
        {"EchoTime": 5},
        {"PixelSpacing": [1, 1]},
        {"SequenceName": "*qfl3d1"},
        {"ScanningSequence": ["GR", "IR"]},
        {"ProtocolName": "dam_b1"},
        {"ProtocolName": "mp2rage"},
        {"FlipAngle": 120},
    ],
    ids=["readouts", "repetition", "echo", "voxels", "sequence", "inversion", "dam", "mp2rage", "inverting"],
)
def test_what_differs_in_more_or_hardly_in_angle_is_no_set(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_angles(tmp_path, (4,))
    write_volume(tmp_path, None, ONE_ECHO | {"FlipAngle": 20} | changes, series=7)
    assert names(tmp_path) == []


def test_angles_that_were_not_acquired_equally_often_are_refused_in_words(tmp_path: Path) -> None:
    write_angles(tmp_path, (6, 6, 21))
    plan = plan_of(tmp_path)
    assert plan.kept == ()
    assert "one may be with a magnetisation transfer pulse" in " ".join(reason for _, reason in plan.skipped)


def test_a_time_series_after_a_contrast_agent_is_no_angle_of_the_set(tmp_path: Path) -> None:
    write_angles(tmp_path, (4, 20))
    for repetition in range(11):
        dynamic = {"FlipAngle": 20, "TemporalPositionIdentifier": repetition + 1, "ProtocolName": "twist"}
        write_volume(tmp_path, None, ONE_ECHO | dynamic, series=9)
    assert {(image.flip, image.volume.first.series.number) for image in plan_of(tmp_path).kept} == {(1, 1), (2, 2)}


def test_scans_with_several_echoes_stay_multi_echo_images(tmp_path: Path) -> None:
    write_echoes(tmp_path, ECHO | {"FlipAngle": 6})
    write_echoes(tmp_path, ECHO | {"FlipAngle": 21}, first_series=11)
    assert suffixes(tmp_path) == {"MEGRE"}


@pytest.mark.parametrize(
    "vendor",
    ["siemens", pytest.param("philips", marks=pytest.mark.slow), pytest.param("ge", marks=pytest.mark.slow)],
)
def test_scanner_files_of_the_phantom_give_valid_bids_and_the_t1_of_the_head(tmp_path: Path, vendor: str) -> None:
    source, out = tmp_path / "dicom", tmp_path / "out"
    made = ["--sequences", "VFA", "--resolution", "10", "--b1-range", "1", "1", "--format", "dicom", "--vendor", vendor]
    assert make_phantom([str(source), *made]) == 0
    assert main([str(source), str(out), "participant", "--maps-only", "--b1-prior", "1", "0"]) == 0
    raw = out / "sourcedata" / "raw"
    assert validator.errors(raw) == []
    told = json.loads((raw / "sub-01" / "anat" / "sub-01_flip-2_VFA.json").read_text())
    assert (told["FlipAngle"], told["RepetitionTimeExcitation"], told["EchoTime"]) == (10, 0.02, 0.003)
    t1 = np.asarray(open_image(tmp_path / "dicom_truth/sub-01/anat/sub-01_desc-truth_T1map.nii.gz").dataobj)
    found = np.asarray(open_image(out / "sub-01" / "anat" / "sub-01_desc-VFA_T1map.nii.gz").dataobj)
    tissue = (t1 > 0.5) & (t1 < 2)
    # Slices of scanner files run the other way round in some vendors' images: quantiles do not care.
    assert np.median(found[np.isfinite(found) & (found > 0.5) & (found < 2)]) == pytest.approx(
        np.median(t1[tissue]), rel=0.02
    )
