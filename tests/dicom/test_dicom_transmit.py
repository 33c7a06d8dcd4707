"""Which images are of the transmit field, by which method, and what their numbers mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import pytest

from bids_t1.data.errors import NoInputError
from bids_t1.dicom.convert import Destination, convert
from tests import validator
from tests.dicom.plans import names, plan_of, reasons
from tests.dicom.scanner_files import (
    CSA_SERIES,
    ECHO,
    GE,
    PHILIPS,
    PHILIPS_SCALE,
    SIEMENS,
    asc_conv,
    write_echoes,
    write_set,
    write_volume,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.writing.record import Conversion

Attributes = dict[Any, Any]

TURBO: Attributes = {
    **SIEMENS,
    "ScanningSequence": "GR",
    "SequenceName": "*tfl2d1_16",
    "RepetitionTime": 5000,
    "FlipAngle": 8,
    "SeriesDescription": "field",
    "ProtocolName": "field",
}
"""What both images of tfl_b1map share; nothing in it tells the sequence."""

ANGLES = {"ImageType": ["ORIGINAL", "PRIMARY", "FLIP ANGLE MAP", "ND"]}
AFI: Attributes = {**ECHO, "ProtocolName": "kp_afib1_v1g_4mm", "RepetitionTime": 25, "FlipAngle": 60, "EchoTime": 2}
DAM: Attributes = {**ECHO, "SeriesDescription": "DAM_60_120", "RepetitionTime": 8000}
PHILIPS_AFI: Attributes = {**PHILIPS, "ScanningSequence": "GR", "SeriesDescription": "WIP AFI", "FlipAngle": 60}
COMPUTED = {"ImageType": ["ORIGINAL", "PRIMARY", "B1 MAP", "B1", "UNSPECIFIED"]}


def run(source: Path, raw_dir: Path) -> Conversion:
    """Convert, with the smallest set of images that measures something."""
    write_echoes(source, first_series=91)
    return convert(source, Destination(raw_dir, "01"), raw_dir.with_name("work"))


def sidecars(raw_dir: Path) -> dict[str, dict[str, Any]]:
    return {path.stem.removeprefix("sub-01_"): json.loads(path.read_text()) for path in raw_dir.rglob("fmap/*.json")}


def smallest(raw_dir: Path, name: str) -> float:
    path = raw_dir / "sub-01" / "fmap" / f"sub-01_{name}.nii.gz"
    return float(nib.nifti1.Nifti1Image.from_filename(path).get_fdata().min())


BOTH = ["acq-anat_TB1TFL", "acq-famp_TB1TFL"]


@pytest.mark.parametrize(
    "mark", [ANGLES, {"ImageComments": "flip angle map"}, {"ImageComments": "Flip Angle Map"}], ids=str
)
def test_a_flip_angle_map_and_the_image_of_its_scan_go_together(tmp_path: Path, mark: Attributes) -> None:
    write_volume(tmp_path, None, TURBO, series=1)
    write_volume(tmp_path, None, TURBO | mark, series=2)
    assert names(tmp_path) == BOTH
    assert {image.label: image.volume.first.series.number for image in plan_of(tmp_path).kept} == {"anat": 1, "famp": 2}


@pytest.mark.parametrize(
    "mark",
    [
        {"SeriesDescription": "tfl_b1map_sag"},
        {"PulseSequenceName": "tfl_b1map"},
        {CSA_SERIES: asc_conv({"tSequenceFileName": '""%SiemensSeq%\\tfl_b1map""'})},
    ],
    ids=["description", "sequence", "protocol"],
)
def test_the_sequence_is_known_without_its_map(tmp_path: Path, mark: Attributes) -> None:
    write_volume(tmp_path, None, TURBO | mark, series=1)
    assert "image of tfl_b1map without a flip angle map of the same slices" in reasons(tmp_path)


def test_the_angle_of_the_saturation_is_never_taken_from_the_excitation(tmp_path: Path) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "raw"
    write_volume(source, None, TURBO, series=1)
    write_volume(source, None, TURBO | ANGLES, series=2, value=790)
    record = run(source, raw_dir)
    found = sidecars(raw_dir)["acq-famp_TB1TFL"]
    assert "FlipAngle" not in found
    assert found["Units"] == "0.1 degree"
    assert smallest(raw_dir, "acq-famp_TB1TFL") == 790
    assert "does not tell the nominal angle of its saturation pulse" in " ".join(record.warnings)
    assert validator.errors(raw_dir) == []
    outcomes = {note.number: note.outcome for note in record.series}
    assert outcomes[2] == "kept as TB1TFL acq-famp, an image of the transmit field"
    assert all((raw_dir / name).is_file() for name in record.written)


def test_an_angle_that_no_excitation_has_is_that_of_the_saturation(tmp_path: Path) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "raw"
    for series, mark in enumerate(({}, ANGLES)):
        write_volume(source, None, TURBO | mark | {"FlipAngle": 80}, series=series)
    record = run(source, raw_dir)
    assert sidecars(raw_dir)["acq-famp_TB1TFL"]["FlipAngle"] == 80
    assert record.warnings == ()


def test_the_image_that_was_corrected_like_the_map_goes_with_it(tmp_path: Path) -> None:
    corrected = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "DIS2D"]}
    write_volume(tmp_path, None, TURBO | corrected, series=1)
    write_volume(tmp_path, None, TURBO, series=2)
    write_volume(tmp_path, None, TURBO | {"ImageType": ["ORIGINAL", "PRIMARY", "FLIP ANGLE MAP", "DIS2D"]}, series=3)
    assert {image.label: image.volume.first.series.number for image in plan_of(tmp_path).kept} == {"anat": 1, "famp": 3}


def test_repeated_maps_are_runs_with_their_own_images(tmp_path: Path) -> None:
    for series in (1, 11):
        write_volume(tmp_path, None, TURBO, series=series)
        write_volume(tmp_path, None, TURBO | ANGLES, series=series + 1)
    kept = {(image.run, image.label, image.volume.first.series.number) for image in plan_of(tmp_path).kept}
    assert kept == {(1, "anat", 1), (1, "famp", 2), (2, "anat", 11), (2, "famp", 12)}


@pytest.mark.parametrize("one_series", [True, False])
def test_siemens_writes_both_repetition_times_into_its_protocol_only(tmp_path: Path, one_series: bool) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "raw"
    protocol = {CSA_SERIES: asc_conv({"alTR[0]": 25000, "alTR[1]": 125000})}
    for number in (1, 2):
        numbered = {"EchoNumbers": number}
        write_volume(source, None, AFI | protocol | numbered, series=1 if one_series else number, value=100 * number)
    run(source, raw_dir)
    found = {name: sidecar["RepetitionTimeExcitation"] for name, sidecar in sidecars(raw_dir).items()}
    assert found == {"acq-tr1_TB1AFI": 0.025, "acq-tr2_TB1AFI": 0.125}
    assert [smallest(raw_dir, f"acq-tr{number}_TB1AFI") for number in (1, 2)] == [100, 200]
    assert {sidecar["FlipAngle"] for sidecar in sidecars(raw_dir).values()} == {60}
    assert validator.errors(raw_dir) == []


def test_philips_has_pair_and_map_in_one_series(tmp_path: Path) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "raw"
    for time in (150, 30):
        write_volume(source, None, PHILIPS_AFI | {"RepetitionTime": time, PHILIPS_SCALE: 0.5}, series=1, value=time)
    displayed = COMPUTED | {"RepetitionTime": 30, "RescaleSlope": 0.5, "RescaleIntercept": 10, PHILIPS_SCALE: 4.0}
    write_volume(source, None, PHILIPS_AFI | displayed, series=1, value=160)
    phase = COMPUTED | {"ComplexImageComponent": "PHASE", "ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "B1"]}
    write_volume(source, None, PHILIPS_AFI | phase, series=1)
    run(source, raw_dir)
    found = sidecars(raw_dir)
    assert sorted(found) == ["TB1map", "acq-tr1_TB1AFI", "acq-tr2_TB1AFI"]
    assert [found[f"acq-tr{number}_TB1AFI"]["RepetitionTimeExcitation"] for number in (1, 2)] == [0.03, 0.15]
    assert found["TB1map"]["Units"] == "percent"
    assert smallest(raw_dir, "TB1map") == 0.5 * 160 + 10
    assert validator.errors(raw_dir) == []


@pytest.mark.parametrize("times", [(25,), (25, 25), (10, 25, 125)])
def test_afi_without_two_repetition_times_is_skipped(tmp_path: Path, times: tuple[float, ...]) -> None:
    for number, time in enumerate(times, start=1):
        ge = GE | {"ScanningSequence": "GR", "ProtocolName": "3D AFI", "EchoNumbers": number, "RepetitionTime": time}
        write_volume(tmp_path, None, ge, series=number)
    assert "expected two, one for each image" in reasons(tmp_path)


def test_afi_images_of_other_slices_are_no_pair(tmp_path: Path) -> None:
    write_volume(tmp_path, None, AFI, series=1)
    write_volume(tmp_path, None, AFI | {"RepetitionTime": 125, "PixelSpacing": [1, 1]}, series=2)
    assert "with repetition times of 25 ms" in reasons(tmp_path)


@pytest.mark.parametrize("one_series", [True, False])
def test_double_angles_are_a_pair(tmp_path: Path, one_series: bool) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "raw"
    for series, angle in enumerate((120, 60), start=1):
        write_volume(source, None, DAM | {"FlipAngle": angle}, series=1 if one_series else series, value=angle)
    run(source, raw_dir)
    found = {name: (entry["FlipAngle"], entry["RepetitionTime"]) for name, entry in sidecars(raw_dir).items()}
    assert found == {"flip-1_TB1DAM": (60, 8), "flip-2_TB1DAM": (120, 8)}
    assert [smallest(raw_dir, f"flip-{number}_TB1DAM") for number in (1, 2)] == [60, 120]
    assert validator.errors(raw_dir) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"FlipAngle": 100}, "flip angles of 60, 100 degrees; expected two, one twice the other"),
        ({"RepetitionTime": 9000}, "flip angles of 60 degrees"),
        ({"EchoTime": 20}, "flip angles of 60 degrees"),
        ({"FlipAngle": 60}, "flip angles of 60 degrees"),
    ],
)
def test_what_is_no_double_angle_is_skipped(tmp_path: Path, change: Attributes, reason: str) -> None:
    write_volume(tmp_path, None, DAM | {"FlipAngle": 60}, series=1)
    write_volume(tmp_path, None, DAM | {"FlipAngle": 120} | change, series=2)
    assert reason in reasons(tmp_path)


def test_double_angles_without_recovery_are_skipped(tmp_path: Path) -> None:
    for series, angle in enumerate((60, 120)):
        write_volume(tmp_path, None, DAM | {"FlipAngle": angle, "RepetitionTime": 1500}, series=series)
    assert "repetition time of 1.5 s; expected 5 s or more" in reasons(tmp_path)


def test_two_flip_angles_without_a_name_are_no_measurement_of_the_field(tmp_path: Path) -> None:
    for series, angle in enumerate((60, 120)):
        write_volume(tmp_path, None, DAM | {"FlipAngle": angle, "SeriesDescription": "adam"}, series=series)
    assert "one echo time" in reasons(tmp_path)


def test_a_map_alone_measures_nothing(tmp_path: Path) -> None:
    write_volume(tmp_path / "dicom", None, TURBO | ANGLES, series=1)
    with pytest.raises(NoInputError, match="kept as TB1TFL acq-famp"):
        convert(tmp_path / "dicom", Destination(tmp_path / "raw", "01"), tmp_path / "work")
    assert not (tmp_path / "raw").exists()


def test_a_map_does_not_disturb_an_inversion_recovery(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS)
    write_volume(tmp_path, None, SIEMENS | {"ProtocolName": "field"} | ANGLES, series=8)
    assert names(tmp_path) == ["acq-famp_TB1TFL", *(f"inv-{rank}_IRT1" for rank in (1, 2, 3, 4))]


def test_a_field_of_unknown_scaling_is_skipped_with_the_reason(tmp_path: Path) -> None:
    write_volume(tmp_path, None, GE | {"ScanningSequence": "GR", "SeriesDescription": "B1 Bloch-Siegert"}, series=1)
    assert "looks like a B1 map, and nothing in its headers tells how to read it" in reasons(tmp_path)
