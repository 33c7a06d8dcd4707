"""The timing of MP2RAGE is never guessed: what is missing is listed, what is given is used and its origin recorded."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import command
from tests.integration.readouts import Measured, t1_sidecar
from tests.small_bids import (
    READOUT_T1,
    READOUT_TIMING,
    change_json,
    complex_readouts,
    sidecar,
    write_json,
    write_readouts,
    write_root,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.command import Answer

NOMINAL = ("--b1-prior", "1", "0")
"""There is no map of B1+ here, and the field is that asked for."""

TIMES, ANGLES = [0.7, 2.5], [4, 5]
EVERYTHING = {**READOUT_TIMING, "InversionTime": TIMES, "FlipAngle": ANGLES}
OLSSON = (1.0214, -0.39871)
"""Efficiency and its change with R1 of a TR-FOCI pulse at 7 T, doi:10.1002/nbm.70067."""


DEFAULTS = dict.fromkeys(("InversionEfficiency", "InversionEfficiencySD"), "default")


def process(data: Path, out_dir: Path, *options: str | Path) -> Answer:
    return command.participant(data, out_dir, *NOMINAL, *options)


def make(folder: Path, **changes: object) -> Path:
    """Write a run with a change to every sidecar."""
    data = write_root(folder / "data")
    for image in write_readouts(data):
        change_json(sidecar(image), **changes)
    return data


def as_toml(table: dict[str, Any]) -> str:
    return "\n".join(["[MP2RAGE]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())])


def maps(out_dir: Path) -> dict[str, tuple[str, int]]:
    return {name: entry for name, entry in command.listing(out_dir / "sub-01").items() if name.endswith(".nii.gz")}


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run whose sidecars hold everything."""
    folder = tmp_path_factory.mktemp("timing")
    answer = process(make(folder), folder / "out")
    assert answer.code == 0, answer.said
    return folder / "out"


def test_t1_is_right_and_every_origin_is_recorded(complete: Path) -> None:
    measured = Measured.read(complete)
    where = (READOUT_T1 > 0) & measured.known
    assert where.sum() == 256
    standard = (measured.t1 - READOUT_T1)[where] / measured.sd[where]
    assert abs(np.median(standard)) < 0.3
    assert 0.4 < np.std(standard) < 1  # the SD allows for another inversion efficiency than this phantom has
    written = t1_sidecar(complete)
    assert written["TimingOrigins"] == {
        **dict.fromkeys(EVERYTHING.keys() - {"MagneticFieldStrength"}, "sidecar"),
        **DEFAULTS,
    }  # fmt: skip
    assert written["InversionEfficiency"] == 0.96


def test_every_missing_field_of_every_file_is_listed_with_a_template(tmp_path: Path) -> None:
    data = make(tmp_path, RepetitionTimeExcitation=None, NumberShots=None)
    for part in ("mag", "phase"):
        change_json(data / f"sub-01/anat/sub-01_inv-2_part-{part}_MP2RAGE.json", InversionTime=None, FlipAngle=None)
    answer = process(data, tmp_path / "out")
    assert answer.code == 16
    first, second = (f"sub-01_inv-{number}_part-mag_MP2RAGE.json" for number in (1, 2))
    for line in (
        "sub-01_MP2RAGE: the timing is incomplete, and a scanner's timing is never guessed. Missing:",
        f"  InversionTime: missing in {second}",
        f"  FlipAngle: missing in {second}",
        f"  RepetitionTimeExcitation: missing in {first}, {second}",
        f"  NumberShots: missing in {first}, {second}",
    ):
        assert line in answer.said
    assert "RepetitionTimePreparation" not in answer.said
    assert not (tmp_path / "out" / "sub-01").exists()
    assert "a scanner&#39;s timing is never guessed" in (tmp_path / "out" / "sub-01.html").read_text()


def test_the_template_filled_in_is_a_protocol_file_that_runs(tmp_path: Path, complete: Path) -> None:
    data = make(tmp_path, **dict.fromkeys(EVERYTHING))
    said = process(data, tmp_path / "out").said
    lines = said[said.index("[MP2RAGE]") :].splitlines()
    template = [line.strip() for line in lines if line.startswith((" ", "["))]
    table = tomllib.loads("\n".join(template))["MP2RAGE"]
    assert table.keys() == EVERYTHING.keys() - {"MagneticFieldStrength"}
    protocol = tmp_path / "filled.toml"
    protocol.write_text(as_toml({key: EVERYTHING[key] for key in table}))
    answer = process(data, tmp_path / "out", "--protocol", protocol)
    assert answer.code == 0, answer.said
    assert maps(tmp_path / "out") == maps(complete)
    origins = t1_sidecar(tmp_path / "out")["TimingOrigins"]
    assert origins == {**dict.fromkeys(table, "protocol file filled.toml"), **DEFAULTS}
    assert "never guessed" not in (tmp_path / "out" / "sub-01.html").read_text()


def test_a_protocol_file_may_be_json(tmp_path: Path, complete: Path) -> None:
    data = make(tmp_path, **dict.fromkeys(EVERYTHING))
    write_json(
        tmp_path / "protocol.json",
        {"MP2RAGE": {**EVERYTHING, "InversionEfficiency": 0.96, "InversionEfficiencySD": 0.025}},
    )
    assert process(data, tmp_path / "out", "--protocol", tmp_path / "protocol.json").code == 0
    assert maps(tmp_path / "out") == maps(complete)
    written = t1_sidecar(tmp_path / "out")
    assert set(written["TimingOrigins"].values()) == {"protocol file protocol.json"}
    assert written["MagneticFieldStrength"] == 3


def test_a_protocol_file_never_replaces_what_a_sidecar_says(tmp_path: Path, complete: Path) -> None:
    data = make(tmp_path)
    (tmp_path / "other.toml").write_text(as_toml({"RepetitionTimeExcitation": 0.0072}))
    assert process(data, tmp_path / "out", "--protocol", tmp_path / "other.toml").code == 0
    assert maps(tmp_path / "out") == maps(complete)
    assert t1_sidecar(tmp_path / "out")["TimingOrigins"]["RepetitionTimeExcitation"] == "sidecar"
    page = (tmp_path / "out" / "sub-01.html").read_text()
    assert "RepetitionTimeExcitation is 0.0069 in the sidecars" in page
    assert "0.0072 in protocol file other.toml; the sidecars are used." in page


@pytest.mark.parametrize(
    ("changes", "key", "origin"),
    [
        (
            {"RepetitionTimePreparation": None, "RepetitionTime": 5.0},
            "RepetitionTimePreparation",
            "sidecar, as RepetitionTime",
        ),
        (
            {"RepetitionTimeExcitation": None, "EchoSpacing": 0.0069},
            "RepetitionTimeExcitation",
            "sidecar, as EchoSpacing",
        ),
        ({"NumberShots": 176, "SlicePartialFourier": 1.0}, "SlicePartialFourier", "sidecar"),
    ],
)
def test_other_ways_of_saying_the_same_give_the_same_bytes(
    changes: dict[str, object], key: str, origin: str, tmp_path: Path, complete: Path
) -> None:
    assert process(make(tmp_path, **changes), tmp_path / "out").code == 0
    assert maps(tmp_path / "out") == maps(complete)
    assert t1_sidecar(tmp_path / "out")["TimingOrigins"][key] == origin


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"RepetitionTimePreparation": None, "RepetitionTime": 0.0069}, "RepetitionTimePreparation"),
        ({"RepetitionTimeExcitation": None, "EchoSpacing": 6.9}, "RepetitionTimeExcitation"),
        ({"NumberShots": 176}, "SlicePartialFourier"),
    ],
)
def test_old_names_that_may_mean_something_else_are_not_taken(
    changes: dict[str, object], missing: str, tmp_path: Path
) -> None:
    answer = process(make(tmp_path, **changes), tmp_path / "out")
    assert (answer.code, f"  {missing}: missing in sub-01_inv-1" in answer.said) == (16, True), answer.said


def test_partial_fourier_moves_the_centre_of_the_train(tmp_path: Path) -> None:
    """Of n that are played, n / (2 f) come after the centre."""
    write = ("--sequences", "MP2RAGE", "--slices", "1", "--slice-partial-fourier", "0.75")
    data = command.phantom(tmp_path / "data", *write)
    assert command.participant(data, tmp_path / "pairs").code == 0
    assert t1_sidecar(tmp_path / "pairs")["NumberShotsPerReadout"] == [[44, 88], [44, 88]]
    for path in (data / "sub-01" / "anat").glob("*_MP2RAGE.json"):
        change_json(path, NumberShots=None, ExcitationsPerReadout=132, SlicePartialFourier=0.75)
    assert command.participant(data, tmp_path / "one").code == 0
    assert maps(tmp_path / "one") == maps(tmp_path / "pairs")


def test_an_efficiency_that_falls_with_r1_is_used_and_recorded(tmp_path: Path) -> None:
    value, slope = OLSSON
    data = write_root(tmp_path / "data")
    with np.errstate(divide="ignore"):
        rate = np.where(READOUT_T1 > 0, 1 / READOUT_T1, 0)
    write_readouts(data, images=complex_readouts(value + slope * rate))
    words = ("--inversion-efficiency", str(value), str(slope))
    answer = process(data, tmp_path / "out", *words)
    assert answer.code == 0, answer.said
    measured = Measured.read(tmp_path / "out")
    where = (READOUT_T1 > 0) & measured.known
    assert abs(np.median((measured.t1 - READOUT_T1)[where] / measured.sd[where])) < 0.3
    written = t1_sidecar(tmp_path / "out")
    assert (written["InversionEfficiency"], written["InversionEfficiencySlope"]) == OLSSON
    assert written["TimingOrigins"]["InversionEfficiency"] == "option --inversion-efficiency"
    log = json.loads((tmp_path / "out" / "logs" / "sub-01.json").read_text())
    assert "--inversion-efficiency 1.0214 -0.39871" in log["command"]


def test_the_page_says_what_a_lower_efficiency_than_the_default_makes_of_t1(tmp_path: Path) -> None:
    data = write_root(tmp_path / "data")
    write_readouts(data, images=complex_readouts(0.86))
    answer = process(data, tmp_path / "out", "--inversion-efficiency-prior", "0.96", "0")
    assert answer.code == 0, answer.said
    told = t1_sidecar(tmp_path / "out")["IfEfficiencyIsLower"]
    measured = Measured.read(tmp_path / "out")
    near = measured.known & (np.abs(READOUT_T1 - told["T1"]) < 0.05)
    ratio = float(np.median(measured.t1[near] / READOUT_T1[near]))
    assert told["ReadAs"] / told["T1"] == pytest.approx(ratio, abs=0.01)
    assert ratio < 0.93
    assert process(data, tmp_path / "default").code == 0
    page = (tmp_path / "default" / "sub-01.html").read_text(encoding="utf-8")
    assert f"where it is 0.86 in truth, T1 of 1.5 s reads as {told['ReadAs']:g} s" in page.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[MP2RAGE]\nEchoTrainLength = 4\n", "protocol.toml [MP2RAGE]: 'EchoTrainLength' is no field that is known"),
        ("[MP4RAGE]\n", "protocol.toml: 'MP4RAGE' is no table that is known; expected IRT1, SIR, MP2RAGE"),
        ("[MP2RAGE]\nFlipAngle = 'four'\n", "protocol.toml [MP2RAGE]: FlipAngle is 'four'; expected numbers"),
        ("[MP2RAGE]\nInversionTime = [700, 2500]\n", "expected seconds, at least 0.001 and below 30"),
        ("MP2RAGE", "protocol.toml: cannot be read as TOML"),
    ],
)
def test_a_protocol_file_that_makes_no_sense_is_an_error_of_usage(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "protocol.toml").write_text(content)
    data = make(tmp_path)
    answer = process(data, tmp_path / "out", "--protocol", tmp_path / "protocol.toml")
    assert (answer.code, message in answer.said) == (64, True), answer.said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("values", [("0",), ("1.2",), ("nan",), ("1", "2", "3"), ("nan", "0.1"), ("1", "inf")])
def test_an_efficiency_that_cannot_be_is_refused(tmp_path: Path, values: tuple[str, ...]) -> None:
    answer = process(make(tmp_path), tmp_path / "out", "--inversion-efficiency", *values)
    assert answer.code in {16, 64}, answer.said
    assert not (tmp_path / "out" / "sub-01").exists()
    assert "Traceback" not in answer.said
