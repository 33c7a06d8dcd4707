"""Which images are the readouts and the UNI of an MP2RAGE, and which only look like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bids_t1.dicom.reading.slices import read_file
from bids_t1.dicom.recognising.classify import classify
from bids_t1.dicom.writing.survey import series_records, survey
from tests.dicom.plans import names, plan_of, reasons
from tests.dicom.scanner_files import (
    CSA_SERIES,
    GE,
    GRADIENT_ECHO,
    MP2RAGE,
    PHILIPS,
    SIEMENS,
    TIMES,
    UNI,
    asc_conv,
    private_item,
    protocol_lines,
    write_enhanced,
    write_mp2rage,
    write_set,
    write_volume,
)
from tests.real_data import real_data

if TYPE_CHECKING:
    from pathlib import Path


CALLED = {"ProtocolName": "t1_mp2rage_sag"}
GRADIENT_PHILIPS: dict[str, Any] = {
    **PHILIPS,
    "ScanningSequence": "GR",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 5.5,
    "AcquisitionTime": "101112",
}
GRADIENT_GE: dict[str, Any] = {**GE, "ScanningSequence": ["GR", "IR"], "MRAcquisitionType": "3D", "RepetitionTime": 7}


def siemens(**lines: object) -> dict[Any, Any]:
    return MP2RAGE | {CSA_SERIES: asc_conv(protocol_lines() | lines)}


BOTH = [f"inv-{rank}_part-{part}_MP2RAGE" for rank in (1, 2) for part in ("mag", "phase")]


def test_the_protocol_in_the_header_makes_two_times_an_mp2rage(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens())
    assert names(tmp_path) == BOTH


def test_magnitudes_alone_have_no_part(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens(), parts="M")
    assert names(tmp_path) == ["inv-1_MP2RAGE", "inv-2_MP2RAGE"]


def test_everything_in_one_series_is_told_apart(tmp_path: Path) -> None:
    for rank, time in enumerate((2500, 700)):
        for part in "PM":
            typed = {"ImageType": ["ORIGINAL", "PRIMARY", part, "ND"], "FlipAngle": 5 - rank}
            write_volume(tmp_path, time, siemens() | typed, series=1)
    write_volume(tmp_path, None, UNI, series=1)
    write_volume(tmp_path, None, UNI | {"ImageType": ["DERIVED", "PRIMARY", "T1 MAP", "ND"]}, series=1)
    assert names(tmp_path) == ["UNIT1", *BOTH]


def test_the_order_of_series_does_not_matter_but_the_inversion_time(tmp_path: Path) -> None:
    write_volume(tmp_path, 2500, siemens() | {"SeriesDescription": "INV1"}, series=1)
    write_volume(tmp_path, 700, siemens() | {"SeriesDescription": "INV2"}, series=2)
    ranks = {image.volume.first.series.number: image.inversion for image in plan_of(tmp_path).kept}
    assert ranks == {1: 2, 2: 1}


def test_three_readouts_after_one_inversion_are_no_separate_inversions(tmp_path: Path) -> None:
    lines = protocol_lines((1010, 3310, 5610), (4, 4, 4))
    write_mp2rage(tmp_path, siemens(**lines) | {"RepetitionTime": 8250}, times=(1010, 3310, 5610), parts="M")
    assert names(tmp_path) == [f"inv-{rank}_MP2RAGE" for rank in (1, 2, 3)]


def test_three_times_with_an_inversion_each_stay_inversion_recovery(tmp_path: Path) -> None:
    """Siemens says one inversion contrast, and the name does not count against it."""
    for series, time in enumerate((700, 1500, 2500)):
        lines = protocol_lines((time,), (6,))
        attributes = MP2RAGE | CALLED | {CSA_SERIES: asc_conv(lines), "AcquisitionTime": f"10{series}112"}
        write_volume(tmp_path, time, attributes, series=series)
    assert names(tmp_path) == [f"inv-{rank}_IRT1" for rank in (1, 2, 3)]


def test_a_name_does_not_join_what_was_acquired_minutes_apart(tmp_path: Path) -> None:
    for series, time in enumerate((700, 1500, 2500)):
        attributes = MP2RAGE | CALLED | {"AcquisitionTime": f"10{10 + 5 * series}00"}
        write_volume(tmp_path, time, attributes, series=series)
    assert names(tmp_path) == [f"inv-{rank}_IRT1" for rank in (1, 2, 3)]


def test_a_name_does_not_make_spin_echoes_an_mp2rage(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS | CALLED)
    assert names(tmp_path) == [f"inv-{rank}_IRT1" for rank in (1, 2, 3, 4)]


@pytest.mark.parametrize("time", ["101112.25", "000000", ""])
def test_without_private_attributes_name_and_times_together_tell(tmp_path: Path, time: str) -> None:
    write_mp2rage(tmp_path, MP2RAGE | CALLED | {"AcquisitionTime": time}, parts="M")
    assert names(tmp_path) == ["inv-1_MP2RAGE", "inv-2_MP2RAGE"]


def test_a_uni_image_tells_without_name_and_protocol(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, MP2RAGE)
    write_volume(tmp_path, None, UNI, series=9)
    assert names(tmp_path) == ["UNIT1", *BOTH]


@pytest.mark.parametrize(
    "change",
    [{"PixelSpacing": [1, 1]}, {"RepetitionTime": 4000}, {"ProtocolName": "other"}],
    ids=["place", "cycle", "protocol"],
)
def test_a_uni_image_of_something_else_tells_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    write_mp2rage(tmp_path, MP2RAGE, parts="M")
    write_volume(tmp_path, None, UNI | change, series=9)
    assert names(tmp_path) == ["UNIT1"]


def test_nothing_makes_two_times_an_mp2rage_without_a_mark(tmp_path: Path) -> None:
    write_set(tmp_path, MP2RAGE, times=(700, 2500))
    assert "two inversion times (700 and 2500 ms), and nothing says that they follow one inversion" in reasons(tmp_path)


@pytest.mark.parametrize("repetition", [400, 2400])
def test_an_impossible_repetition_time_is_not_believed(tmp_path: Path, repetition: float) -> None:
    write_mp2rage(tmp_path, MP2RAGE | CALLED | {"RepetitionTime": repetition}, parts="M")
    assert names(tmp_path) == []


def test_an_mprage_alone_is_skipped_with_a_reason(tmp_path: Path) -> None:
    lines = protocol_lines((900,), (9,))
    attributes = MP2RAGE | {"SeriesDescription": "t1_mprage_sag", CSA_SERIES: asc_conv(lines), "RepetitionTime": 2300}
    write_volume(tmp_path, 900, attributes, series=1)
    assert "one inversion time (900 ms), such as MPRAGE" in reasons(tmp_path)


def test_an_mprage_beside_an_mp2rage_is_no_readout_of_it(tmp_path: Path) -> None:
    """Also where de-identification has taken every name and private attribute away."""
    nameless = {"ProtocolName": "", "SeriesDescription": ""}
    write_mp2rage(tmp_path, MP2RAGE | nameless, parts="M")
    write_volume(tmp_path, None, UNI | nameless, series=8)
    write_volume(tmp_path, 900, MP2RAGE | nameless | {"RepetitionTime": 2300}, series=9)
    assert names(tmp_path) == ["UNIT1", "inv-1_MP2RAGE", "inv-2_MP2RAGE"]


def test_philips_images_of_one_scan_need_no_name(tmp_path: Path) -> None:
    for time in (800, 2700):
        for letter in "RI":
            typed = {"ImageType": ["ORIGINAL", "PRIMARY", f"{letter}_FFE", letter, "FFE"]}
            implausible = {"InversionTimes": [0.0, 1.7976931348623157e308]}
            write_volume(tmp_path, time, GRADIENT_PHILIPS | typed | implausible, series=1)
    assert names(tmp_path) == [f"inv-{rank}_part-{part}_MP2RAGE" for rank in (1, 2) for part in ("imag", "real")]


def test_philips_may_write_the_inversion_time_as_trigger_time(tmp_path: Path) -> None:
    for time in (800, 2700):
        for letter in "RI":
            typed = {"ImageType": ["ORIGINAL", "PRIMARY", f"{letter}_FFE", letter, "FFE"]}
            trigger = {"TriggerTime": time, "InversionTime": 0, "SeriesDescription": "WIP_MP2RAGE_wip"}
            write_volume(tmp_path, None, GRADIENT_PHILIPS | typed | trigger, series=1)
    times = {image.inversion: image.volume.timing.inversion_time for image in plan_of(tmp_path).kept}
    assert times == {1: 0.8, 2: 2.7}


def test_a_trigger_time_is_no_inversion_time_elsewhere(tmp_path: Path) -> None:
    trigger = {"TriggerTime": 800, "SeriesDescription": "cine"}
    (file, _) = write_volume(tmp_path, None, GRADIENT_PHILIPS | trigger, series=1)
    assert read_file(file).slices[0].timing.inversion_time is None


def test_ge_readouts_are_told_by_their_name(tmp_path: Path) -> None:
    for rank, time in enumerate((700, 2500)):
        described = {"SeriesDescription": f"3D MP2RAGE INV{rank + 1}", "AcquisitionTime": "101112"}
        write_volume(tmp_path, time, GRADIENT_GE | described, series=rank)
    assert names(tmp_path) == ["inv-1_MP2RAGE", "inv-2_MP2RAGE"]


def enhanced(folder: Path, *, types: list[str], times: tuple[float | None, ...], series: int) -> None:
    """An XA file: the protocol in the shared groups, each frame's image type in private words."""
    frames = [
        {"time": time, "place": place, "component": component, "value": 100, "type": [*types[:2], "T1", "NONE"]}
        for time in times
        for component in (("MAGNITUDE", "PHASE") if times[0] else ("MAGNITUDE",))
        for place in (0, 1)
    ]
    attributes = {"EchoPulseSequence": "GRADIENT", "MRAcquisitionType": "3D", "PulseSequenceName": "*tfl3d1_16ns"}
    protocol = private_item(0x0021, "SIEMENS MR SDS 01", 0x19, "OB", asc_conv(protocol_lines()))
    words = {} if times[0] else private_item(0x0021, "SIEMENS MR SDI 02", 0x75, "CS", types)
    write_enhanced(folder / f"{series}.dcm", frames, series=series, shared_attributes=protocol | words, **attributes)


def test_enhanced_files_hold_the_protocol_in_their_shared_groups(tmp_path: Path) -> None:
    enhanced(tmp_path, types=["ORIGINAL", "PRIMARY"], times=(2500, 700), series=1)
    enhanced(tmp_path, types=["DERIVED", "PRIMARY", "M", "UNI", "DIS2D"], times=(None,), series=2)
    enhanced(tmp_path, types=["DERIVED", "PRIMARY", "M", "DENOISED IMAGE", "UNI", "DIS2D"], times=(None,), series=3)
    assert names(tmp_path) == ["UNIT1", *BOTH, "rec-denoised_UNIT1"]


@pytest.mark.parametrize(
    "mark",
    [
        {"SeriesDescription": "t1_sag_p3_UNI-DEN"},
        {"SeriesDescription": "t1_sag_p3_UNI_DEN"},
        {"ImageComments": "Denoised Image"},
        {"ImageType": ["DERIVED", "PRIMARY", "M", "ND", "UNI", "DENOISED IMAGE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "M", "DENOISED IMAGE"], "SeriesDescription": "mp2rage_UNI-DEN"},
    ],
)
def test_a_denoised_uni_never_becomes_unit1(tmp_path: Path, mark: dict[str, Any]) -> None:
    write_volume(tmp_path, None, UNI | mark, series=9)
    assert "denoised UNI (UNI-DEN) alone" in reasons(tmp_path)
    write_mp2rage(tmp_path, siemens())
    assert names(tmp_path) == [*BOTH, "rec-denoised_UNIT1"]
    write_volume(tmp_path, None, UNI | {"SeriesDescription": "t1_sag_p3_UNI_Images"}, series=10)
    assert names(tmp_path) == ["UNIT1", *BOTH, "rec-denoised_UNIT1"]


def test_of_two_uni_images_that_nothing_tells_apart_none_is_used(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens())
    for series in (9, 10):
        write_volume(tmp_path, None, UNI, series=series)
    assert names(tmp_path) == BOTH
    assert "several UNI images of one acquisition" in plan_of(tmp_path).warnings[0]


@pytest.mark.parametrize(("description", "kept"), [("", []), ("t1_sag_p3_UNI_Images", ["UNIT1"])])
def test_a_uni_image_is_doubted_where_a_denoised_one_was_asked_for(
    tmp_path: Path, description: str, kept: list[str]
) -> None:
    protocol = asc_conv(protocol_lines() | {"ucDenoiseUniform": "0x1"})
    write_volume(tmp_path, None, UNI | {CSA_SERIES: protocol, "SeriesDescription": description}, series=9)
    assert names(tmp_path) == kept


def test_a_uni_image_alone_is_kept(tmp_path: Path) -> None:
    write_volume(tmp_path, None, UNI, series=1)
    assert names(tmp_path) == ["UNIT1"]


def test_the_scanners_t1_map_is_not_taken_over(tmp_path: Path) -> None:
    write_volume(tmp_path, None, MP2RAGE | {"ImageType": ["DERIVED", "PRIMARY", "T1 MAP", "ND"]}, series=1)
    assert "a T1 map of the scanner; this program measures T1 itself" in reasons(tmp_path)


def test_inversion_recovery_and_mp2rage_of_one_examination_are_both_kept(tmp_path: Path) -> None:
    write_set(tmp_path, SIEMENS)
    write_set(tmp_path, GRADIENT_ECHO | {"EchoTime": 2.9}, first_series=11)
    write_mp2rage(tmp_path, siemens(), parts="M", first_series=21)
    write_volume(tmp_path, None, UNI, series=31)
    separate = [f"run-{run}_inv-{rank}_IRT1" for run in (1, 2) for rank in range(1, len(TIMES) + 1)]
    assert names(tmp_path) == sorted(["UNIT1", "inv-1_MP2RAGE", "inv-2_MP2RAGE", *separate])


@pytest.mark.parametrize("times", [("101112", "103000"), ("", "")], ids=["times", "no times"])
def test_repeated_acquisitions_are_runs_with_their_own_uni(tmp_path: Path, times: tuple[str, str]) -> None:
    for run, time in enumerate(times):
        first = 1 + 10 * run
        write_mp2rage(tmp_path, siemens() | {"AcquisitionTime": time}, parts="M", first_series=first)
        write_volume(tmp_path, None, UNI | {"AcquisitionTime": time}, series=first + 2)
        described = {"SeriesDescription": "UNI-DEN", "AcquisitionTime": time}
        write_volume(tmp_path, None, UNI | described, series=first + 9)
    plan = plan_of(tmp_path)
    runs = {(image.run, (image.volume.first.series.number or 0) > 10) for image in plan.kept}
    assert runs == {(1, False), (2, True)}
    assert len(plan.kept) == 8
    assert plan.warnings == ()


def test_readouts_of_two_acquisitions_are_never_mixed(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens(), parts="M")
    broken_off = siemens() | {"AcquisitionTime": "103000"}
    write_volume(tmp_path, 700, broken_off, series=11)
    plan = plan_of(tmp_path)
    assert {image.volume.first.series.number for image in plan.kept} == {1, 2}
    assert "part of an MP2RAGE that was acquired again" in plan.skipped[0][1]


def test_two_protocols_are_two_runs_and_told(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens(), parts="M")
    other = siemens(**protocol_lines((900, 2750))) | {"AcquisitionTime": "103000"}
    write_mp2rage(tmp_path, other, times=(900, 2750), parts="M", first_series=11)
    plan = plan_of(tmp_path)
    assert {(image.run, image.times) for image in plan.kept} == {(1, (0.7, 2.5)), (2, (0.9, 2.75))}
    assert "different inversion times or geometry" in plan.warnings[0]


def test_one_missing_readout_of_two_is_stood_for_by_uni(tmp_path: Path) -> None:
    write_volume(tmp_path, 2500, siemens(), series=1)
    assert "without images of the other readouts (inversion times 700 ms)" in reasons(tmp_path)
    write_volume(tmp_path, None, UNI, series=9)
    assert names(tmp_path) == ["UNIT1", "inv-2_MP2RAGE"]
    assert "1 of 2 readouts have no image" in plan_of(tmp_path).warnings[0]


def test_a_single_readout_without_protocol_is_numbered_by_its_name_or_left_out(tmp_path: Path) -> None:
    write_volume(tmp_path, None, UNI, series=9)
    write_volume(tmp_path, 2500, MP2RAGE | {"SeriesDescription": "t1_sag_p3_INV2"}, series=1)
    assert names(tmp_path) == ["UNIT1", "inv-2_MP2RAGE"]
    write_volume(tmp_path / "other", None, UNI, series=9)
    write_volume(tmp_path / "other", 2500, MP2RAGE, series=1)
    assert names(tmp_path / "other") == ["UNIT1"]


def test_a_missing_readout_of_three_leaves_only_uni(tmp_path: Path) -> None:
    lines = protocol_lines((1010, 3310, 5610), (4, 4, 4))
    attributes = siemens(**lines) | {"RepetitionTime": 8250}
    write_mp2rage(tmp_path, attributes, times=(1010, 3310), parts="M")
    assert "other readouts (inversion times 5610 ms)" in reasons(tmp_path)
    write_volume(tmp_path, None, UNI | {"RepetitionTime": 8250}, series=9)
    assert names(tmp_path) == ["UNIT1"]


def test_many_readouts_after_one_inversion_are_a_look_locker_sequence(tmp_path: Path) -> None:
    times = tuple(float(time) for time in range(100, 900, 100))
    write_mp2rage(tmp_path, siemens(**protocol_lines(times)), times=times, parts="M")
    assert "Look-Locker type: 8 readouts follow one inversion" in reasons(tmp_path)


@pytest.mark.parametrize("key", ["SeriesDescription", "ProtocolName"])
def test_readouts_after_a_saturation_are_not_taken(tmp_path: Path, key: str) -> None:
    write_mp2rage(tmp_path, siemens(**protocol_lines((50, 1800))) | {key: "sa2rage_p2"}, times=(50, 1800), parts="M")
    assert "SA2RAGE by its name: a B1 map" in reasons(tmp_path)


def test_echoes_of_a_readout_are_numbered_by_echo_time(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens(), parts="M")
    for series, time in ((10, 9.3), (9, 6.1)):
        write_volume(tmp_path, 2500, siemens() | {"EchoTime": time}, series=series)
        write_volume(tmp_path, None, UNI | {"EchoTime": time}, series=series + 10)
    write_volume(tmp_path, None, UNI, series=30)
    found = {image.echo: image.volume.timing.echo_time for image in plan_of(tmp_path).kept if image.echo is not None}
    assert found == {1: 0.0029, 2: 0.0061, 3: 0.0093}
    assert names(tmp_path) == ["UNIT1", *(f"echo-{echo}_inv-2_MP2RAGE" for echo in (1, 2, 3)), "inv-1_MP2RAGE"]


def test_another_echo_time_acquired_later_is_no_echo_of_the_readouts(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens(), parts="M")
    later = siemens() | {"EchoTime": 6.1, "AcquisitionTime": "113000"}
    write_volume(tmp_path, 2500, later, series=9)
    assert names(tmp_path) == ["inv-1_MP2RAGE", "inv-2_MP2RAGE"]


def test_images_corrected_alike_are_kept_together(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens())
    for rank, time in enumerate((700, 2500)):
        corrected = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS3D"], "AcquisitionTime": "101112.25"}
        write_volume(tmp_path, time, siemens() | corrected, series=21 + rank)
    write_volume(tmp_path, None, UNI | {"ImageType": ["DERIVED", "PRIMARY", "M", "DIS3D", "UNI"]}, series=8)
    write_volume(tmp_path, None, UNI, series=9)
    kept = {image.volume.first.reconstruction for image in plan_of(tmp_path).kept}
    assert kept == {("ND",)}


def test_times_in_seconds_are_refused(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, MP2RAGE | CALLED, times=(0.7, 2.5), parts="M")
    assert "look like seconds" in reasons(tmp_path)


@pytest.mark.parametrize("name", ["t1_mp2rage_sag", "T1_MP3RAGE"])
def test_a_name_alone_makes_no_mp2rage(tmp_path: Path, name: str) -> None:
    write_volume(tmp_path, None, GRADIENT_ECHO | {"SeriesDescription": name}, series=1)
    assert "neither an inversion time nor an image type" in reasons(tmp_path)


def test_every_series_is_told_what_it_was_kept_as(tmp_path: Path) -> None:
    write_mp2rage(tmp_path, siemens())
    write_volume(tmp_path, None, UNI, series=9)
    write_volume(tmp_path, None, UNI | {"SeriesDescription": "UNI-DEN"}, series=10)
    found = survey(tmp_path)
    plan = classify([plane for content in found.contents for plane in content.slices])
    assert [entry.outcome for entry in series_records(found, plan)] == [
        "kept as MP2RAGE inv-1 part-mag, inversion time 700 ms",
        "kept as MP2RAGE inv-1 part-phase, inversion time 700 ms",
        "kept as MP2RAGE inv-2 part-mag, inversion time 2500 ms",
        "kept as MP2RAGE inv-2 part-phase, inversion time 2500 ms",
        "kept as UNIT1",
        "kept as UNIT1 rec-denoised; its regularisation changes T1, which is never measured from it",
    ]


@pytest.mark.parametrize("folder", ["ge", "philips", "siemens", "hyperfine", "siemens_multiframe", "hitachi"])
def test_real_anatomical_images_are_not_taken(folder: str) -> None:
    assert plan_of(real_data("dicom_vendors", folder)).kept == ()
