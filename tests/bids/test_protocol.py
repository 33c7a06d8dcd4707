"""A protocol file says what it means, or is refused by field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_t1.bids import protocol
from bids_t1.bids.protocol import read_protocol
from bids_t1.data.errors import UsageError

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "protocols").glob("*.toml"))


def written(folder: Path, text: str, name: str = "protocol.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_no_file_is_an_empty_protocol() -> None:
    assert read_protocol(None).of("MP2RAGE") is None


@pytest.mark.parametrize("name", ["protocol.json", "protocol.toml", "protocol.txt", "protocol"])
def test_toml_and_json_say_the_same(tmp_path: Path, name: str) -> None:
    fields = {"RepetitionTimePreparation": 8.25, "FlipAngle": [4, 5], "UNIT1Scaling": "0..4095"}
    as_toml = '[MP2RAGE]\nRepetitionTimePreparation = 8.25\nFlipAngle = [4, 5]\nUNIT1Scaling = "0..4095"\n'
    texts = {"protocol.toml": [as_toml], "protocol.json": [json.dumps({"MP2RAGE": fields})]}
    for text in texts.get(name, [as_toml, json.dumps({"MP2RAGE": fields})]):
        table = read_protocol(written(tmp_path, text, name)).of("MP2RAGE")
        assert table is not None
        assert table.seconds("RepetitionTimePreparation") == 8.25
        assert table.numbers("FlipAngle") == (4, 5)
        assert table.text("UNIT1Scaling") == "0..4095"
        assert table.name == name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_hold_a_whole_protocol(example: Path) -> None:
    table = read_protocol(example).of("MP2RAGE")
    assert table is not None
    needed = {"RepetitionTimePreparation", "RepetitionTimeExcitation", "NumberShots", "InversionTime", "FlipAngle"}
    assert needed | {"MagneticFieldStrength"} <= set(table.fields)
    cycle, trains = table.seconds("RepetitionTimePreparation"), table.numbers("InversionTime")
    assert cycle is not None
    assert trains is not None
    assert trains == tuple(sorted(trains))
    assert trains[-1] < cycle


def test_there_is_an_example_per_vendor() -> None:
    assert [path.stem for path in EXAMPLES] == ["ge", "philips", "siemens"]


def test_every_field_is_documented() -> None:
    documented = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for fields in protocol.TABLES.values():
        for key in fields:
            assert f"| `{key}` |" in documented


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[MP2RAGE", r"protocol\.toml: cannot be read as TOML"),
        ("[T1w]\nEchoTime = 1", "'T1w' is no table that is known; expected IRT1, SIR, MP2RAGE"),
        ("MP2RAGE = 3", "'MP2RAGE' is no table"),
        ("[MP2RAGE]\nEchoSpacing = 0.007", r"\[MP2RAGE\]: 'EchoSpacing' is no field .*RepetitionTimeExcitation"),
        ("[IRT1]\nNumberShots = 4", r"\[IRT1\]: 'NumberShots' is no field that is known; expected PhaseScaling"),
        ("[MP2RAGE]\nInversionTime = [700, 2500]", r"InversionTime is \[700, 2500\]; .*divide by 1000"),
        ("[MP2RAGE]\nInversionTime = [0.7, 0]", r"InversionTime is \[0\.7, 0\]; expected seconds, at least 0.001"),
        ("[MP2RAGE]\nRepetitionTimePreparation = -5.0", "is -5.0; expected seconds"),
        ("[MP2RAGE]\nRepetitionTimePreparation = [5.0, 5.0]", "expected at most 1 value"),
        ("[MP2RAGE]\nNumberShots = [1, 2, 3]", "expected at most 2 value.*before, after"),
        ("[MP2RAGE]\nNumberShots = []", r"NumberShots is \[\]; expected numbers"),
        ("[MP2RAGE]\nNumberShots = [-1, 2]", "expected excitations"),
        ('[MP2RAGE]\nFlipAngle = "4"', "FlipAngle is '4'; expected numbers: degrees"),
        ("[MP2RAGE]\nFlipAngle = true", "FlipAngle is True; expected numbers"),
        ("[MP2RAGE]\nInversionTime = [nan, 1.0]", "InversionTime is .*expected numbers"),
        ("[MP2RAGE]\nSlicePartialFourier = 75", "expected a share from 0.5 to 1"),
        ("[MP2RAGE]\nInversionEfficiency = 1.96", "expected a number above 0, at most 1"),
        ("[MP2RAGE]\nPhaseScaling = 0", "expected radians per stored unit"),
        ("[MP2RAGE]\nUNIT1Scaling = 4095", "UNIT1Scaling is 4095; expected one of 0..4095, -0.5..0.5, -2048..2047"),
    ],
)
def test_what_is_not_meant_is_refused_by_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_protocol(written(tmp_path, text))


@pytest.mark.parametrize("text", ["[]", "{", '"MP2RAGE"'])
def test_json_without_tables_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"protocol\.json: is no JSON object"):
        read_protocol(written(tmp_path, text, "protocol.json"))


def test_a_missing_file_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        read_protocol(tmp_path / "none.toml")
