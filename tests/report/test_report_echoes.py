from __future__ import annotations

import base64
import re
from dataclasses import replace

import numpy as np
import pytest

from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.outputs import outputs_of
from bids_t1.data.sequences import MULTI_ECHO, Axis
from bids_t1.report.figures import plots
from bids_t1.report.sections.run import describe_run
from bids_t1.report.voices.methods import write_methods
from bids_t1.report.voices.multi_echo_gre import VOICE
from bids_t1.report.words import literature
from bids_t1.report.words.quantity import T2_STAR
from bids_t1.report.words.record import record_rows
from tests.report.echo_results import ECHO_TIMES, make_echo_run
from tests.report.pages import page_of, readout_run
from tests.report.report_results import make_result, make_run

ECHOES = MULTI_ECHO.axis or Axis(name="", unit="")

USUAL = make_echo_run()


def drawn(source: str) -> str:
    return base64.b64decode(source.partition(",")[2]).decode()


def test_t1_is_not_named_where_t2_star_is_meant() -> None:
    reader = page_of(USUAL)
    program = reader.text.replace("bids_t1", "").replace("with T1 weighting", "")
    assert not re.search(r"\bT1\b", program)
    assert not any("T1" in (image["alt"] or "") for image in reader.all("img"))
    plots_shown = (image for image in reader.all("img") if image.get("class") == "plot")
    plotted = [drawn(image["src"] or "") for image in plots_shown]
    assert len(plotted) == 2
    assert not any("T1" in picture for picture in plotted)


def test_every_map_is_shown_with_its_file() -> None:
    text = page_of(USUAL).text
    for row in outputs_of("MEGRE"):
        assert f"sub-01_ses-2_desc-{row.desc}_{row.suffix}.nii.gz" in text


def test_times_are_shown_in_milliseconds_and_said_to_be_stored_in_seconds() -> None:
    section = describe_run(USUAL, 1)
    assert section.main is not None
    assert section.main.bar is not None
    assert section.main.label == "T2* [ms]"
    assert [value for _, value in section.main.bar.ticks][-1] == "100"
    assert section.main.description.endswith("Shown in ms; the file is in s.")
    labels = {map_.label: map_ for map_ in section.maps}
    assert "Shown in ms" in labels["SD of T2* [ms]"].description
    assert "Shown in ms" not in labels["R2* [1/s]"].description
    median = 1000 * float(np.nanmedian(USUAL.maps["time"]))
    assert section.summary.numbers[0].label == "Median T2*, whole image"
    assert section.summary.numbers[0].value == f"{median:.1f} ms"
    assert section.main.alt.endswith(f"median {median:.3g} ms")


def test_pictures_in_milliseconds_are_those_of_the_seconds_in_the_file() -> None:
    # The log-like curve of the colours depends on ratios only.
    from_file = make_run(maps={**make_run().maps})
    t1 = describe_run(from_file, 1)
    assert t1.main is not None
    assert "Shown in" not in t1.main.description
    row = next(row for row in outputs_of("MEGRE") if row.quantity == "time")
    shown, values = T2_STAR.shown(row, np.array([0.02, np.nan]))
    assert values == pytest.approx([20.0, np.nan], nan_ok=True)
    assert shown.view.limits == (0.0, 100.0)
    assert shown.view.colour_map == row.view.colour_map == "navia"


def test_the_histogram_counts_in_milliseconds_without_reference_bands() -> None:
    section = describe_run(USUAL, 1)
    assert section.histogram is not None
    assert section.histogram.bands == ()
    share = float(np.mean(USUAL.maps["time"][np.isfinite(USUAL.maps["time"])] > 0.1))
    assert section.histogram.beyond == f"{100 * share:.1f} % of them lie above 100 ms."
    words = re.findall(r">([^<]*T2\*[^<]*)<", drawn(section.histogram.source.wide))
    assert words == ["T2* [ms]"]
    assert literature.WRIGHT not in write_methods(make_result(runs=(USUAL,))).references


def test_decays_are_drawn_against_echo_times() -> None:
    picture = drawn(plots.draw_curves(USUAL.examples, T2_STAR, ECHOES).wide)
    assert "echo time [ms]" in picture
    assert "T2* = 18.0 ± 0.4 ms" in picture
    times, values = plots.curve(USUAL.examples[0])
    assert values == pytest.approx(900 * np.exp(-times / 0.018), rel=1e-6)
    assert "T2* 18.0 ms, SD 0.4 ms" in plots.describe_curves(USUAL.examples, T2_STAR, ECHOES)


@pytest.mark.parametrize(("scale", "label"), [(1.0, "signal"), (1e-6, "signal / 10⁻⁴"), (1e4, "signal / 10⁶")])
def test_large_and_small_units_leave_short_ticks(scale: float, label: str) -> None:
    example = USUAL.examples[0]
    scaled = replace(
        example,
        measured=tuple(scale * value for value in example.measured),
        fitted=tuple(scale * value for value in example.fitted),
    )
    words = re.findall(r">([^<>]+)</text>", drawn(plots.draw_curves((scaled,), T2_STAR, ECHOES).wide))
    assert label in words
    assert max(len(word) for word in words if re.fullmatch(r"[\d.\N{MINUS SIGN}]+", word)) <= 5


def test_only_statuses_that_a_decay_can_have_are_listed() -> None:
    text = page_of(USUAL).text
    listed = {status for status in VoxelStatus if status.meaning in text}
    assert listed == {
        VoxelStatus.NO_SIGNAL, VoxelStatus.FITTED, VoxelStatus.NOT_FINITE, VoxelStatus.SIGNAL_TOO_LOW,
        VoxelStatus.BELOW_RANGE, VoxelStatus.ABOVE_RANGE,
    }  # fmt: skip


def test_the_limits_of_the_model_are_told_beside_the_numbers_and_in_the_methods() -> None:
    note = describe_run(USUAL, 1).summary.note
    assert "spins lose their common phase, and T2* is shorter than that of the tissue" in note
    assert "A 95 % interval is T2* ± 2.45 SD" in note
    methods = write_methods(make_result(runs=(USUAL,)))
    assert "T2* is underestimated" in methods.paragraphs[-1]
    assert literature.FERNANDEZ_SEARA in methods.references


@pytest.mark.parametrize(
    ("record", "said", "unsaid"),
    [
        ({}, "echo times of 4, 10, 16, 22, 28, 34, 40, 46 ms", "inversion"),
        ({}, "a repetition time of 0.05 s, a flip angle of 15° and voxels of 1", "echo time of"),
        ({}, "S(TE) = M0 exp(-TE/T2*)", "κ"),
        ({}, "T2* was searched between 1 and 500 ms", "T1"),
        ({"NoiseHandling": "floor"}, "subtracted from the squared magnitudes", "Rician likelihood"),
        ({"NoiseHandling": "rician"}, "maximises the Rician likelihood", "subtracted"),
        ({"NoiseHandling": "gaussian"}, "taken as Gaussian", "Rician"),
        ({"DataKind": "complex"}, "The phase of the complex echoes", "magnitudes"),
        ({"DegreesOfFreedom": 0, "IntervalFactor": "absent"}, "follows from the noise", "Cramér"),
        ({"MagneticFieldStrength": "absent"}, "gradient-echo images had", " T had"),
    ],
)
def test_the_methods_say_what_was_done(record: dict[str, object], said: str, unsaid: str) -> None:
    text = " ".join(write_methods(make_result(runs=(make_echo_run((4, 4, 1), record=record),))).paragraphs[1:])
    text = text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")
    assert said in text
    assert unsaid not in text


def test_the_record_is_written_in_the_units_of_the_scan() -> None:
    rows = {row.label: row.value for row in record_rows(USUAL, VOICE.meanings)}
    assert rows["Echo times TE"] == "4, 10, 16, 22, 28, 34, 40, 46 ms"
    assert rows["Repetition time TR"] == "0.05 s"
    assert rows["Flip angle"] == "15°"
    assert rows["Search range of T2*"] == "1 to 500 ms"
    labels = list(rows)
    assert labels.index("Flip angle") < labels.index("Matrix") < labels.index("Kind of data")
    complex_rows = {
        row.label: row.value
        for row in record_rows(make_echo_run((4, 4, 1), record={"DataKind": "complex"}), VOICE.meanings)
    }
    assert "linear in time" in complex_rows["Kind of data"]


@pytest.mark.parametrize("value", [None, True, 3, "text", [], ["a"], {}, [None, 0.1], float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["EchoTimes", "RepetitionTime", "FlipAngle", "SearchRange", "DataKind", "NoiseSD"])
def test_a_strange_record_is_shown_and_not_fatal(key: str, value: object) -> None:
    run = make_echo_run((4, 4, 1), record={key: value}, examples=())
    assert all(isinstance(row.value, str) for row in record_rows(run, VOICE.meanings))
    assert write_methods(make_result(runs=(run,))).paragraphs


def test_pages_of_both_times_name_both() -> None:
    text = page_of(USUAL, readout_run()).text
    assert "T1 and T2* in the brain, from multi-echo gradient echo and MP2RAGE" in text
    assert "Maps of T2* and T1 were computed" in text
    assert "T1 depends on field strength" in text
    assert "T2* depends on field strength" in text
    assert "T2* depends on" not in page_of(readout_run()).text
    assert len(ECHO_TIMES) == len(USUAL.examples[0].times)


def test_runs_without_any_value_are_shown_as_such() -> None:
    shape = (6, 7, 3)
    maps = {row.quantity: np.full(shape, np.nan, np.float32) for row in outputs_of("MEGRE")}
    maps["status"] = np.zeros(shape, np.uint8)
    text = page_of(make_echo_run(shape, maps=maps, examples=())).text
    assert "No voxel was fitted" in text
    assert "not available" in text
    assert not re.search(r"\bnan\b", text)
