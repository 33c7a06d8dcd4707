"""What is a multi-TI inversion recovery, and what only looks like one."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from bids_t1.data.sequences import SEQUENCES
from bids_t1.dicom.reading.slices import read_file
from bids_t1.dicom.recognising.classify import SEQUENCES as RECOGNISERS
from bids_t1.dicom.recognising.classify import classify
from bids_t1.dicom.vendors import STANDARD, VENDORS, Rule
from bids_t1.dicom.writing.survey import survey
from tests.dicom.scanner_files import (
    GE,
    GRADIENT_ECHO,
    PHILIPS,
    SIEMENS,
    TIMES,
    write_enhanced,
    write_set,
    write_slice,
    write_volume,
)
from tests.real_data import real_data

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.recognising.verdict import Verdict


def plan_of(folder: Path) -> Verdict:
    return classify([plane for content in survey(folder).contents for plane in content.slices])


def reasons(folder: Path) -> str:
    plan = plan_of(folder)
    assert plan.kept == ()
    return " | ".join(reason for _, reason in plan.skipped)


def names(folder: Path) -> list[tuple[int | None, int | None, str | None]]:
    return sorted(
        ((image.run, image.inversion, image.part) for image in plan_of(folder).kept),
        key=lambda name: tuple(str(entity) for entity in name),
    )


def test_two_complete_acquisitions_are_two_runs(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS)
    write_set(tmp_path, SIEMENS, first_series=11)
    plan = plan_of(tmp_path)
    assert {(image.run, image.volume.first.series.number) for image in plan.kept} == {
        (1 + series // 10, series) for series in (1, 2, 3, 4, 11, 12, 13, 14)
    }
    assert {image.inversion for image in plan.kept} == {1, 2, 3, 4}


def test_repetitions_inside_one_series_are_runs(tmp_path: Path) -> None:
    for repetition in range(2):
        times = {"AcquisitionTime": f"10000{repetition}", "AcquisitionNumber": repetition}
        write_set(tmp_path, SIEMENS | times, one_series=True)
    plan = plan_of(tmp_path)
    assert len(plan.kept) == 8
    assert {(image.run, image.volume.timing.acquired[1]) for image in plan.kept} == {(1, 0), (2, 1)}


def test_a_single_repeated_time_replaces_the_earlier_one(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS)
    write_volume(tmp_path, TIMES[1], SIEMENS, series=20)
    plan = plan_of(tmp_path)
    assert {image.volume.first.series.number for image in plan.kept} == {1, 20, 3, 4}
    assert "acquired 2 times" in plan.warnings[0]


def test_parts_are_named_only_where_there_are_others_than_magnitude(tmp_path: Path) -> None:
    write_set(tmp_path / "mag", SIEMENS)
    assert names(tmp_path / "mag") == [(None, rank, None) for rank in (1, 2, 3, 4)]
    phase = SIEMENS | {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}
    write_set(tmp_path / "mag", phase, first_series=11)
    assert names(tmp_path / "mag") == [(None, rank, part) for rank in (1, 2, 3, 4) for part in ("mag", "phase")]


def test_one_of_several_reconstructions_is_kept(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS)
    filtered = SIEMENS | {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"]}
    write_set(tmp_path, filtered, first_series=11)
    plan = plan_of(tmp_path)
    assert {image.volume.first.series.number for image in plan.kept} == {1, 2, 3, 4}
    assert "another reconstruction (DIS2D, NORM)" in plan.skipped[0][1]


def test_names_that_lie_about_the_time_are_not_believed(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS | {"SeriesDescription": "IR_TI_999ms", "ProtocolName": "TI 7"})
    times = {image.volume.timing.inversion_time for image in plan_of(tmp_path).kept}
    assert times == {time / 1000 for time in TIMES}


@pytest.mark.parametrize(
    "change",
    [
        {"ImagePositionPatient": [0, 9, 0]},
        {"EchoTime": 20},
        {"FlipAngle": 60},
        {"PixelSpacing": [1, 1]},
        {"SequenceName": "tse"},
    ],
    ids=["position", "echo", "flip", "voxels", "sequence"],
)
def test_images_of_another_geometry_or_sequence_do_not_make_a_set(tmp_path: Path, change: dict[str, Any]) -> None:
    write_set(tmp_path, SIEMENS, times=TIMES[:2])
    write_set(tmp_path, SIEMENS | change, times=TIMES[2:], first_series=11)
    assert "but with another geometry" in reasons(tmp_path)


def test_two_sets_of_different_geometry_are_two_runs(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS)
    write_set(tmp_path, SIEMENS | {"EchoTime": 20}, first_series=11)
    plan = plan_of(tmp_path)
    assert {image.run for image in plan.kept} == {1, 2}
    assert "2 inversion-recovery sets" in plan.warnings[0]


def test_missing_slices_are_told(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS, one_series=True)
    write_volume(tmp_path, TIMES[0], SIEMENS, series=1)[0].unlink()
    assert "slices are missing" in " ".join(reason for _, reason in plan_of(tmp_path).skipped)


def test_a_single_time_is_an_anatomical_image(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS, times=(900.0,))
    assert "one inversion time (900 ms)" in reasons(tmp_path)


def test_two_times_are_too_few(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS, times=(700.0, 2500.0))
    assert "two inversion times (700 and 2500 ms)" in reasons(tmp_path)


@pytest.mark.parametrize("name", ["ShMOLLI_192i", "MOLLI", "T1_Look-Locker", "look locker", "WIP LL_T1", "LL"])
def test_look_locker_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    write_set(tmp_path, SIEMENS | {"SeriesDescription": name})
    assert "T1* and not T1" in reasons(tmp_path)


@pytest.mark.parametrize("name", ["t1_ir_se", "allT1", "full_brain", "IR-TSE (pull)"])
def test_ordinary_names_are_not_taken_for_look_locker(tmp_path: Path, name: str) -> None:
    write_set(tmp_path, SIEMENS | {"SeriesDescription": name})
    assert len(plan_of(tmp_path).kept) == 4


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"SequenceName": "*tfi2d1_84"}, "single-shot SSFP"),
        ({"RepetitionTime": 400}, "repetition time (400 ms) is shorter than the spread"),
        ({"AcquisitionTime": "101112.25"}, "acquired at once"),
    ],
)
def test_readouts_that_share_an_inversion_are_refused(tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    write_set(tmp_path, GRADIENT_ECHO | attributes, one_series=True)
    assert reason in reasons(tmp_path)


@pytest.mark.parametrize("mark", ["TriggerTime", "TemporalPositionIdentifier"])
def test_times_that_rise_with_the_trigger_delay_are_refused(tmp_path: Path, mark: str) -> None:
    for index, time in enumerate(TIMES):
        write_volume(tmp_path, time, GRADIENT_ECHO | {mark: 10 * (index + 1)}, series=1)
    assert "T1* and not T1" in reasons(tmp_path)


def test_times_removed_by_de_identification_prove_nothing(tmp_path: Path) -> None:
    for number, time in enumerate(("000000", "20240102000000.000000+0100"[8:], "", "120000", "010101.000000")):
        folder = tmp_path / str(number)
        write_set(folder, GRADIENT_ECHO | {"AcquisitionTime": time[:13]})
        assert len(plan_of(folder).kept) == 4


@pytest.mark.parametrize("differing", ["ProtocolName", "RepetitionTime"])
def test_one_start_of_several_scans_is_made_up_and_proves_nothing(tmp_path: Path, differing: str) -> None:
    for number, time in enumerate(TIMES):
        changed = {"ProtocolName": f"ir_{number}", "RepetitionTime": 4000 + 100 * number}[differing]
        attributes = {"AcquisitionTime": "083145.25", differing: changed}
        write_volume(tmp_path, time, GRADIENT_ECHO | attributes, series=number + 1)
    assert len(plan_of(tmp_path).kept) == len(TIMES)


def test_inversion_prepared_gradient_echoes_in_series_of_their_own_are_kept(tmp_path: Path) -> None:
    write_set(tmp_path, GRADIENT_ECHO | {"RepetitionTime": 8.9})
    assert len(plan_of(tmp_path).kept) == 4


def test_times_in_seconds_are_refused(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS, times=(0.05, 0.4, 1.1))
    assert "look like seconds" in reasons(tmp_path)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"ScanningSequence": "IR"}, "without a plausible inversion time"),
        ({"ScanningSequence": "GR"}, "no inversion time"),
        ({"ScanningSequence": "GR", "SeriesDescription": "tfl_b1map"}, "without a flip angle map"),
        ({"ScanningSequence": "GR", "SeriesDescription": "B1_bloch_siegert"}, "B1 map"),
        ({"ScanningSequence": "GR", "SeriesDescription": "localizer"}, "localiser"),
        ({"ScanningSequence": "GR", "SeriesDescription": "gre_megre"}, "one echo time"),
        ({"ImageType": ["DERIVED", "PRIMARY", "T1 MAP", "ND"]}, "computed from other images"),
    ],
)
def test_other_series_are_told_what_they_look_like(tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    write_volume(tmp_path, None, SIEMENS | attributes, series=1)
    assert reason in reasons(tmp_path)


def test_other_objects_are_told_from_images(tmp_path: Path) -> None:
    (file, _) = write_volume(tmp_path, 50.0, SIEMENS | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, series=1)
    assert read_file(file).problem == "no MR image (Raw Data Storage)"


def test_implausible_philips_times_are_no_times(tmp_path: Path) -> None:
    write_volume(tmp_path, 0.0, PHILIPS | {"InversionTimes": [0.0, 1.7976931348623157e308]}, series=1)
    assert "without a plausible inversion time" in reasons(tmp_path)


def test_a_plausible_philips_time_is_found_among_implausible_ones(tmp_path: Path) -> None:
    (file, _) = write_volume(tmp_path, 0.0, PHILIPS | {"InversionTimes": [350.0, 1.79e308]}, series=1)
    assert read_file(file).slices[0].timing.inversion_time == 0.35


def test_ge_label_delays_are_no_inversion_times(tmp_path: Path) -> None:
    labelled = GE | {(0x0043, "GEMS_PARM_01", 0xA3, "CS"): "PSEUDOCONTINUOUS"}
    write_set(tmp_path, labelled)
    assert "arterial spin labelling" in reasons(tmp_path)


def test_philips_look_locker_is_refused_by_its_sequence(tmp_path: Path) -> None:
    write_set(tmp_path, PHILIPS | {"PulseSequenceName": "TFE_LOOK_LOCKER"})
    assert "Look-Locker" in reasons(tmp_path)


@pytest.mark.parametrize("missing", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_images_without_a_place_are_refused(tmp_path: Path, missing: str) -> None:
    write_set(tmp_path, SIEMENS | {missing: None})
    assert "position or orientation is missing" in reasons(tmp_path)


def test_slices_that_lie_in_one_place_and_elsewhere_are_refused(tmp_path: Path) -> None:
    for index, time in enumerate(TIMES):
        for place in range(3):
            given = {
                "SeriesInstanceUID": "1.2.5", "SeriesNumber": 1, "InstanceNumber": 3 * index + place,
                "InversionTime": time, "ImagePositionPatient": [0, 0, 0], "SliceLocation": 3 * place + 1,
            }  # fmt: skip
            write_slice(tmp_path / f"{index}_{place}", 100, SIEMENS | given)
    assert "all slices have one ImagePositionPatient, and several slice locations" in reasons(tmp_path)


@pytest.mark.parametrize(("apart", "n_warnings"), [(False, 1), (True, 0)])
def test_slices_in_one_place_are_repetitions_with_a_doubt_unless_acquired_apart(
    tmp_path: Path, apart: bool, n_warnings: int
) -> None:
    for index, time in enumerate(TIMES):
        for repetition in range(2):
            given = {
                "SeriesInstanceUID": "1.2.5", "SeriesNumber": 1, "InstanceNumber": 2 * index + repetition,
                "InversionTime": time, "ImagePositionPatient": [0, 0, 0],
                "AcquisitionTime": f"10{15 * repetition * apart:02d}{index + 11}",
            }  # fmt: skip
            write_slice(tmp_path / f"{index}_{repetition}", 100, SIEMENS | given)
    plan = plan_of(tmp_path)
    assert {image.run for image in plan.kept} == {1, 2}
    assert sum("nothing says when each was acquired" in warning for warning in plan.warnings) == n_warnings


@pytest.mark.parametrize("sequence", [["SE", "IR"], ["SE"]])
def test_an_image_whose_inversion_time_is_lost_is_missed_aloud(tmp_path: Path, sequence: list[str]) -> None:
    write_set(tmp_path, SIEMENS)
    write_volume(tmp_path, None, SIEMENS | {"ScanningSequence": sequence}, series=9)
    ((series, reason),) = plan_of(tmp_path).incomplete
    assert (series.number, reason.split(",")[0]) == (9, "no inversion time")


def test_odd_values_do_not_stop_the_reading(tmp_path: Path) -> None:
    odd = {"SeriesNumber": None, "TriggerTime": "", (0x0043, "GEMS_PARM_01", 0x2F, "UN"): b"odd"}
    (file, _) = write_volume(tmp_path, 50.0, GE | odd, series=1)
    (plane,) = read_file(file).slices
    assert (plane.component, plane.timing.trigger_time, plane.series.number) == ("mag", None, None)


def component(folder: Path, attributes: dict[Any, Any]) -> str:
    return read_file(write_volume(folder, 50.0, attributes, series=1)[0]).slices[0].component


@pytest.mark.parametrize(
    ("attributes", "part"),
    [
        (SIEMENS | {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase"),
        (SIEMENS | {"ImageType": ["ORIGINAL", "PRIMARY", "I", "ND"]}, "imag"),
        (SIEMENS | {(0x0021, "SIEMENS MR SDI 02", 0x75, "CS"): ["ORIGINAL", "PRIMARY", "R", "ND"]}, "real"),
        (PHILIPS | {"ImageType": ["ORIGINAL", "PRIMARY", "R_IR", "R", "IR"]}, "real"),
        (PHILIPS | {"ImageType": ["ORIGINAL", "PRIMARY", "I_IR", "I", "IR"]}, "imag"),
        (PHILIPS | {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "IR"]}, "phase"),
        (
            PHILIPS
            | {
                "ImageType": ["ORIGINAL", "PRIMARY", "T1", "NONE"],
                (0x2005, "Philips MR Imaging DD 001", 0x11, "CS"): "I",
            },
            "imag",
        ),
        (GE | {(0x0043, "GEMS_PARM_01", 0x2F, "SS"): 3}, "imag"),
        (GE | {(0x0043, "GEMS_PARM_01", 0x2F, "UN"): b"\x02\x00"}, "real"),
        (GE, "mag"),
        (SIEMENS | {"Manufacturer": "Canon", "ComplexImageComponent": "REAL"}, "real"),
    ],
)
def test_each_vendor_says_in_its_own_way_which_part_an_image_shows(
    tmp_path: Path, attributes: dict[Any, Any], part: str
) -> None:
    assert component(tmp_path, attributes) == part


def test_enhanced_sequence_codes_equal_classic_ones(tmp_path: Path) -> None:
    frames = [{"time": 50.0, "place": 0, "value": 1}]
    (plane,) = read_file(write_enhanced(tmp_path / "a", frames)).slices
    assert (plane.sequence, plane.timing.echo_time, plane.timing.repetition_time) == (
        frozenset({"SE", "IR"}),
        0.01,
        6.0,
    )
    assert (plane.timing.inversion_time, plane.timing.flip_angle, plane.place.spacing) == (0.05, 90, (2, 2))


def test_every_vendor_rule_has_a_source() -> None:
    rules: list[Rule[Any]] = [
        rule
        for vendor in (*VENDORS, STANDARD)
        for quantity in fields(vendor)
        if quantity.name not in {"name", "manufacturers"}
        for rule in getattr(vendor, quantity.name)
    ]
    assert len(rules) > 20
    assert all(len(rule.source) > 20 for rule in rules)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("look_locker", "single-shot SSFP"),
        ("dicom_vendors/ge", "one inversion time (900 ms)"),
        ("dicom_vendors/philips", "one inversion time (1650 ms)"),
        ("dicom_vendors/siemens", "one inversion time (2200 ms)"),
        ("dicom_vendors/hyperfine", "one inversion time (1400 ms)"),
        ("dicom_vendors/hitachi", "no inversion time"),
        ("dicom_vendors/philips_enhanced", "no inversion time"),
        ("dicom_vendors/siemens_multiframe", "no inversion time"),
        ("dicom_vendors/philips_enhanced_fieldmap", "field map by its name"),
    ],
)
def test_real_series_that_are_no_multi_time_inversion_recovery_are_refused(folder: str, reason: str) -> None:
    assert reason in reasons(real_data(*folder.split("/")))


def test_every_sequence_of_the_table_has_its_recogniser() -> None:
    """A selective inversion recovery is told from an ordinary one by the user only: one file recognises both."""
    files = {row.file for row in SEQUENCES} - {"selective_inversion_recovery"}
    assert files == set(RECOGNISERS)
    assert all(recogniser.__name__.endswith(f".{name}") for name, recogniser in RECOGNISERS.items())  # type: ignore[attr-defined]
