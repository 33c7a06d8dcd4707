from __future__ import annotations

import base64
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.outputs import CALIBRATED, SLOW, outputs_of
from bids_t1.data.result import RunResult, SignalCurve
from bids_t1.report import render_page
from bids_t1.report.figures.cycle import Cycle
from bids_t1.report.figures.drawing import NO_DRAWING
from bids_t1.report.figures.readout_plots import draw_cycle
from bids_t1.report.figures.signal_curve import plateau_end, read_as, shared_ranges
from bids_t1.report.sections.run import describe_run
from bids_t1.report.voices.methods import write_methods
from bids_t1.report.voices.mp2rage import extras
from bids_t1.report.voices.origins import list_origins
from bids_t1.report.voices.transmit import describe_transmit
from bids_t1.report.words import literature
from bids_t1.report.words.numbers import summarise_posterior
from tests.report.pages import page_of, readout_run
from tests.report.readout_results import MAP, MONOTONE, ORIGINS, PRIOR, THREE, make_readout_run
from tests.report.report_results import make_result, make_run

FORMS = ("complex", "UNIT1 and magnitudes", "UNIT1 and last magnitude", "UNIT1", "magnitudes")
TURNING = replace(MONOTONE, inversion_times=(0.5, 1.3), flip_angles=(7.0, 5.0), shots=(40.0, 60.0), cycle=3.0)
TWO_OF_THREE = replace(THREE, inversion_times=(1.010, 3.310), flip_angles=(4.0, 4.0))


def methods_of(run: RunResult) -> str:
    text = " ".join(write_methods(make_result(runs=(run,))).paragraphs)
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("transmit", [True, False])
def test_every_map_is_shown_or_named_as_missing(form: str, transmit: bool) -> None:
    run = readout_run(form=form, transmit=transmit)
    text = page_of(run).text
    missing = text[text.index("Not made in this run:") :] if "Not made in this run:" in text else ""
    for row in outputs_of("MP2RAGE"):
        if row.quantity in run.maps:
            assert f"sub-01_ses-2_desc-{row.desc}_{row.suffix}.nii.gz" in text
        elif row.quantity in {*CALIBRATED, *SLOW}:  # nobody asked for a correction
            assert row.view.label not in missing
        else:
            assert row.view.label in missing
    assert ("no map of B1+ was used" in missing) == (not transmit)
    assert ("UNIT1 has no signal strength" in missing) == (form == "UNIT1")


@pytest.mark.parametrize(
    ("form", "lost", "likelihood"),
    [
        ("complex", "nothing is lost", "complex images of all readouts"),
        ("UNIT1 and magnitudes", "UNIT1 gives the signs", "known from UNI and the magnitudes"),
        ("UNIT1 and last magnitude", "the first magnitude is lost", "reconstructed from UNI and the last magnitude"),
        ("UNIT1", "the strength of the signal is lost", "the same in every voxel"),
        ("magnitudes", "the sign of the signal is lost", "summed over the signs"),
    ],
)
def test_what_each_form_of_input_loses_is_said(form: str, lost: str, likelihood: str) -> None:
    run = readout_run(form=form)
    assert lost in page_of(run).text
    assert likelihood in methods_of(run)


def test_without_a_b1_map_the_page_says_first_that_t1_carries_its_uncertainty() -> None:
    text = page_of(readout_run(transmit=False)).text
    assert "B1+, which was allowed to be 1 ± 0.2 (from 0.4 to 1.6): the SD and the 95 % interval include it" in text
    assert text.index("No map of the transmit field B1+ was used") < text.index("Median T1")
    assert "It covers the noise of the images and the unknown B1+." in text
    assert "No map of the transmit field" not in page_of(readout_run(transmit=True)).text


def test_b1_that_was_taken_as_nominal_is_not_said_to_be_in_the_interval() -> None:
    text = page_of(make_readout_run(transmit=False, record={"TransmitFieldPrior": {**PRIOR, "SD": 0.0}})).text
    assert "It was taken as 1: T1 is wrong where it is not" in text
    assert "the unknown B1+" not in text


def test_the_example_of_a_wrong_b1_is_given_only_where_b1_was_taken_as_nominal() -> None:
    # The curve is read at nominal B1+: for another assumed field its numbers would be wrong.
    changes: dict[str, Any] = {"protocol": TWO_OF_THREE, "transmit": False}
    assert "looks like that of" in page_of(make_readout_run(**changes)).text
    other = make_readout_run(**changes, record={"TransmitFieldPrior": {**PRIOR, "Mean": 0.9, "SD": 0.0}})
    assert "It was taken as 0.9" in page_of(other).text
    assert "looks like that of" not in page_of(other).text
    rows = {row.label: row.value for row in list_origins(other)}
    assert rows["Prior of B1+"] == "0.9, taken as exact"


def test_gaps_of_a_b1_map_are_counted() -> None:
    record = {"TransmitField": {**MAP, "VoxelsWithout": 12345}, "TransmitFieldPrior": PRIOR}
    text = page_of(make_readout_run(record=record)).text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "has no value in 12 345 voxels. T1 there carries" in text
    assert "sub-01_TB1map.nii.gz; not known in 12 345 voxels" in text


def test_what_a_wrong_b1_does_is_shown_by_an_example_of_this_protocol() -> None:
    text = page_of(readout_run(protocol=TWO_OF_THREE, transmit=False)).text
    assert "UNI of T1 = 1.5 s looks like that of 1.58 s where B1+ is 0.7 and 1.39 s where B1+ is 1.3" in text


def test_unit1_alone_warns_of_its_noise_and_of_air() -> None:
    caution = "The noise was taken as the same everywhere"
    assert caution in page_of(readout_run(form="UNIT1")).text
    assert "has values of T1 that mean nothing" in page_of(readout_run(form="UNIT1")).text
    assert caution not in page_of(readout_run(form="UNIT1 and magnitudes")).text


def test_an_efficiency_by_default_is_a_caution_and_a_given_one_is_not() -> None:
    assert "the default of 0.96 was taken" in page_of(readout_run()).text
    given = {"TimingOrigins": {**ORIGINS, "InversionEfficiency": "option --inversion-efficiency"}}
    text = page_of(make_readout_run(record=given)).text
    assert "Before you use these numbers" not in text
    assert "option --inversion-efficiency" in text


def test_the_interval_is_credible_and_no_multiple_of_the_sd() -> None:
    text = page_of(readout_run()).text
    assert "credible interval: given the data, the noise and the priors" in text
    assert "Student" not in text
    assert not re.search(r"± [\d.]+ SD", text)


def test_each_value_is_shown_with_its_origin() -> None:
    rows = {row.label: row for row in list_origins(readout_run(transmit=False))}
    assert (rows["Inversion times TI"].value, rows["Inversion times TI"].origin) == ("0.7, 2.5 s", "sidecar")
    assert rows["Flip angles"].value == "4, 5°"
    assert rows["Excitation to excitation"].value == "6.9 ms"
    assert rows["Excitation to excitation"].origin == "protocol file site.toml"
    assert rows["Cycle, from inversion to inversion"].origin.endswith("old name RepetitionTime")
    assert rows["Excitations before and after the k-space centre"].value == "44 + 88"
    assert rows["Noise SD of one channel"].origin == "background of the images"
    assert {label for label, row in rows.items() if row.is_assumed} == {"Inversion efficiency", "Prior of B1+"}


def test_the_sd_of_the_efficiency_stands_beside_its_origin() -> None:
    told = {"InversionEfficiencySD": 0.025, "TimingOrigins": {**ORIGINS, "InversionEfficiencySD": "default"}}
    rows = {row.label: row for row in list_origins(make_readout_run(record=told))}
    row = rows["SD of the inversion efficiency"]
    assert (row.value, row.is_assumed) == ("0.025", True)


def test_an_efficiency_that_depends_on_r1_is_written_out_and_cited() -> None:
    run = make_readout_run(record={"InversionEfficiency": 1.0214, "InversionEfficiencySlope": -0.39871})
    written = "1.0214 - 0.39871 s · R1"
    assert written in methods_of(run)
    rows = {row.label: row.value for row in list_origins(run)}
    assert rows["Inversion efficiency"].replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-") == written
    assert literature.OLSSON in write_methods(make_result(runs=(run,))).references
    assert literature.OLSSON not in write_methods(make_result(runs=(readout_run(),))).references


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "The transmit field B1+ was that of a measured map.", "integrated over a normal prior"),
        (
            {"transmit": False},
            "No map of the transmit field B1+ was used: it was integrated over a normal prior, 1 ± 0.2",
            "measured map",
        ),
        ({"protocol": THREE}, "MP3RAGE images at 7 T had a cycle of 8.25 s, inversion times of 1.01, 3.31", "3 T"),
        ({"form": "UNIT1"}, "at 3 T", "Robust UNI suppresses"),
        ({"record": {"NoiseSD": {"Value": 1.0, "Origin": "option --noise-sd"}}}, "The noise SD was given.", "option"),
        ({}, "taken from the background of the images", "was given"),
        ({}, "T1 had a uniform prior between 0.02 and 6 s", "variable projection"),
    ],
)
def test_the_methods_say_what_was_done(changes: dict[str, Any], said: str, unsaid: str) -> None:
    text = methods_of(make_readout_run(**changes))
    assert said in text
    assert unsaid not in text


def test_three_readouts_are_named_and_drawn() -> None:
    reader = page_of(readout_run(protocol=THREE))
    assert "T1 in the brain, from MP3RAGE" in reader.text
    assert "S is that of the first two readouts; the others entered as well." in reader.text
    assert "nothing else entered" in page_of(readout_run(protocol=THREE, form="UNIT1")).text
    alt = next(image["alt"] or "" for image in reader.all("img") if "Timing diagram" in (image["alt"] or ""))
    assert "readout 3 from 4.935 to 6.285 s, flip angle 4°, k-space centre at 5.610 s" in alt
    assert "delays without pulses 0.335, 0.950, 0.950, 1.965 s" in alt


@pytest.mark.parametrize("protocol", [MONOTONE, THREE, TURNING])
@pytest.mark.parametrize("t1", [0.5, 1.5, 4.0])
def test_the_drawn_magnetisation_is_that_of_the_signal_formula(protocol: Any, t1: float) -> None:
    cycle = Cycle.from_record(protocol.record())
    assert cycle is not None
    times, magnetisation = cycle.magnetisation(t1, n=20_001)
    at_centres = np.interp(protocol.inversion_times, times, magnetisation)
    expected = protocol.signals(np.array([t1]))[:, 0] / np.sin(np.radians(protocol.flip_angles))
    assert at_centres == pytest.approx(expected, abs=1e-4)
    assert magnetisation[0] == pytest.approx(-protocol.efficiency * magnetisation[-1])


def test_delays_of_no_length_are_written_as_zero() -> None:
    # Sums of binary fractions leave 1e-16 s between trains that touch.
    gapless = replace(MONOTONE, inversion_times=(0.3, 0.9), excitation_time=0.006, shots=(50.0, 50.0), cycle=1.2)
    cycle = Cycle.from_record(gapless.record())
    assert cycle is not None
    drawing = base64.b64decode(draw_cycle(cycle).wide.partition(",")[2]).decode()
    assert re.findall(r">(TD[^<]*)<", drawing) == ["TD₀ 0 s", "TD₁ 0 s", "TD₂ 0 s"]


def test_the_drawn_efficiency_follows_r1() -> None:
    cycle = Cycle.from_record({**MONOTONE.record(), "InversionEfficiency": 1.0, "InversionEfficiencySlope": -0.4})
    assert cycle is not None
    _, magnetisation = cycle.magnetisation(2.0)
    assert magnetisation[0] == pytest.approx(-0.8 * magnetisation[-1])


@pytest.mark.parametrize(
    "value", [None, "text", [], [1.0], [None, None], {"a": 1}, [0.7, float("nan")], -1.0, [9.0, 9.5]]
)
@pytest.mark.parametrize(
    "key",
    [
        "InversionTimes", "FlipAngles", "RepetitionTimesExcitation", "NumberShotsPerReadout",
        "RepetitionTimePreparation", "InversionEfficiency", "InversionEfficiencySlope", "TimingOrigins",
        "DataKind", "Scaling", "TransmitField", "TransmitFieldPrior", "T1Prior", "SearchRange", "NoiseSD", "RobustBeta",
    ],
)  # fmt: skip
def test_a_strange_record_is_shown_and_not_fatal(key: str, value: object) -> None:
    of_timing = {"InversionTimes", "RepetitionTimesExcitation", "NumberShotsPerReadout", "RepetitionTimePreparation"}
    undrawn = (
        {} if key in of_timing else {"NumberShotsPerReadout": "absent"}
    )  # drawing takes long and reads the timing only
    run = make_readout_run((4, 4, 1), record={**undrawn, key: value}, curve=None)
    section = extras(run)
    assert all(isinstance(row.value, str) for row in section.origins)
    assert summarise_posterior(run).numbers
    assert write_methods(make_result(runs=(run,))).paragraphs
    assert (describe_transmit(run, ()) is None) == (key == "TransmitField" and not isinstance(value, dict))
    if key in of_timing:
        assert section.timing == NO_DRAWING


def test_a_run_without_timing_or_curve_says_so() -> None:
    text = page_of(make_readout_run(record={"NumberShotsPerReadout": "absent"}, curve=None)).text
    assert "does not hold the whole timing" in text
    assert "The curve was not recorded" in text


def test_a_curve_that_turns_is_marked_where_two_t1_share_one_s() -> None:
    ranges = shared_ranges(TURNING.curve())
    uni = TURNING.uni(np.linspace(0.02, 6.0, 3000))
    lowest = float(np.linspace(0.02, 6.0, 3000)[uni.argmin()])
    first, last = ranges[-1]
    assert first < lowest < last == pytest.approx(6.0)
    assert TURNING.uni(np.array([first]))[0] == pytest.approx(uni[-1], abs=0.01)
    text = page_of(readout_run(protocol=TURNING, form="UNIT1")).text
    assert f"{first:.2f} to 6.00 s; there S alone cannot tell" in text
    assert "two modes are marked" not in text


def test_a_falling_curve_has_no_mark() -> None:
    times = np.linspace(0.02, 6.0, 200)
    falling = SignalCurve(times=tuple(times), transmit=(1.0,), values=(tuple(0.5 * np.exp(-times)),))
    ripple = replace(falling, values=(tuple(0.5 * np.exp(-times / 9) + 3e-4 * np.sin(20 * times)),))
    assert shared_ranges(falling) == ()
    assert shared_ranges(ripple) == ()
    assert shared_ranges(THREE.curve()) == ()


def test_misreadings_are_the_published_ones() -> None:
    # B1 0.70 and 1.30 at 7 T turn a true T1 of 1.45 s into 1.530 and 1.345 s.
    (_, at_low), (_, at_high) = read_as(TWO_OF_THREE.curve(), 1.45)
    assert (at_low, at_high) == pytest.approx((1.530, 1.345), abs=0.001)


def test_no_misreading_is_given_where_s_is_shared() -> None:
    assert read_as(TURNING.curve(), 1.5) == ()


def test_a_plateau_at_short_t1_is_told() -> None:
    end = plateau_end(THREE.curve())
    assert float(np.ptp(THREE.uni(np.linspace(0.02, end - 0.05, 50)))) < 0.006
    assert f"Below T1 of {end:.2f} s S hardly changes. No two T1 share" in page_of(readout_run(protocol=THREE)).text


def test_two_modes_are_counted_and_shown_on_slices_that_hold_them() -> None:
    run = make_readout_run((20, 24, 40))
    mask = np.zeros((20, 24, 40), np.uint8)
    mask[8:10, 8:10, 21] = 1
    section = describe_run(replace(run, maps={**run.maps, "two_modes": mask}), 1)
    figure = next(map_ for map_ in section.maps if map_.label == "two modes")
    assert "S 42 mm" in [tile.position for tile in figure.tiles]
    assert figure.legend[0].meaning == "two modes: 4 voxels"
    share = next(number for number in section.summary.numbers if number.label == "Two T1 fit the data")
    assert share.remarks == ("4 voxels, marked in a map below",)
    assert section.summary.numbers[3].label == share.label
    without = describe_run(replace(run, maps={**run.maps, "two_modes": 0 * mask}), 1).summary.numbers[3]
    assert (without.value, without.remarks) == ("0 %", ("no voxel",))


def test_the_mark_is_no_shade_of_the_picture_below() -> None:
    run = readout_run()
    clear = {**run.maps, "two_modes": np.zeros_like(run.maps["two_modes"])}
    marked = {**clear, "two_modes": np.ones_like(run.maps["two_modes"])}
    figures = [
        next(map_ for map_ in describe_run(replace(run, maps=maps), 1).maps if map_.label == "two modes")
        for maps in (clear, marked)
    ]
    assert figures[0].tiles[0].source != figures[1].tiles[0].source
    assert figures[0].legend[0].colour != figures[0].legend[1].colour


def test_voxels_of_low_confidence_are_left_out_of_medians_and_histogram() -> None:
    run = make_readout_run((10, 10, 4))
    status = np.full((10, 10, 4), VoxelStatus.FITTED, np.uint8)
    status[:3] = VoxelStatus.LOW_CONFIDENCE
    t1 = np.where(status == VoxelStatus.FITTED, 1.25, 5.5).astype(np.float32)
    counts = {kind.name: int((status == kind).sum()) for kind in VoxelStatus}
    maps = {**run.maps, "time": t1, "status": status}
    section = describe_run(replace(run, maps=maps, status_counts=counts), 1)
    assert section.summary.numbers[0].value == "1.250 s"
    assert section.histogram is not None
    assert "in 280 fitted voxels" in section.histogram.alt
    assert section.histogram.beyond == ""
    assert section.histogram.of == "fitted voxels without low confidence"
    assert section.summary.numbers[5].value == "30.0 %"


def test_pages_are_well_formed_described_and_in_order() -> None:
    reader = page_of(make_run(), readout_run(transmit=False), readout_run(protocol=THREE, form="magnitudes"))
    assert reader.open == []
    assert "T1 in the brain, from inversion recovery, MP2RAGE and MP3RAGE" in reader.text
    images = reader.all("img")
    assert all(len(image["alt"] or "") > 10 and (image["src"] or "").startswith("data:image/") for image in images)
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    names = [attributes["id"] for _, attributes in reader.tags if attributes.get("id")]
    assert len(names) == len(set(names))


def test_runs_without_any_value_are_shown_as_such() -> None:
    run = make_readout_run((6, 7, 3))
    maps = {name: np.full_like(values, np.nan) for name, values in run.maps.items() if values.dtype == np.float32}
    maps |= {"two_modes": np.zeros((6, 7, 3), np.uint8), "status": np.zeros((6, 7, 3), np.uint8)}
    text = page_of(replace(run, maps=maps, status_counts={"NO_SIGNAL": 126})).text
    assert "No voxel was fitted" in text
    assert not re.search(r"\bnan\b", text)


def test_hostile_values_are_shown_and_not_obeyed() -> None:
    attack = "<script>alert('x')</script>"
    record = {
        "TimingOrigins": {attack: attack, "FlipAngle": attack},
        "TransmitField": {"Source": attack, "Scaling": attack},
        "Scaling": {attack: attack},
        "NoiseSD": {"Value": attack, "Origin": attack},
        "DataKind": attack,
    }
    reader = page_of(make_readout_run(record=record))
    assert len(reader.all("script")) == 2  # those of the rating
    assert reader.text.count("alert('x')") >= 9


def test_folders_stay_off_the_page() -> None:
    record = {
        "TimingOrigins": {"FlipAngle": "protocol file /home/jane/site.toml"},
        "NoiseSD": {"Value": 1.0, "Origin": "option /home/jane/x"},
        "TransmitField": {"Source": "/home/jane/sub-01_TB1map.nii.gz", "Scaling": "from /home/jane/map.json"},
    }
    html = render_page(make_result(runs=(make_readout_run(record=record),)))
    assert "jane" not in html
