"""Models: one file, checked when it is read, refused for another protocol."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bids_t1.calibration.application import Ensemble, apply
from bids_t1.calibration.model_file import CARD_KEY, check_protocol, differences, load_model, save_model
from bids_t1.data.errors import InputOutputError, InvalidInputError, NoInputError
from tests.calibration.cohorts import MEASURED_RECORD, pair

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.calibration import Calibration


def test_a_model_that_is_read_back_corrects_as_before(calibration: Calibration, tmp_path: Path) -> None:
    save_model(calibration.model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    model = load_model(tmp_path / "model.safetensors")
    assert model.card == calibration.model.card
    scan = pair(7).measured
    one, other = apply(calibration.model, scan), apply(model, scan)
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.time_sd, other.time_sd)


def test_a_model_that_two_threads_trained_is_read_and_applied_by_as_many(
    calibration: Calibration, tmp_path: Path
) -> None:
    earlier = replace(calibration.model, card=replace(calibration.model.card, n_threads=2))
    assert calibration.model.card.n_threads == 1
    save_model(earlier, tmp_path)
    assert Ensemble.of(load_model(tmp_path / "model.safetensors"), "cpu").n_threads == 2


def test_the_card_lies_beside_the_model(calibration: Calibration, tmp_path: Path) -> None:
    save_model(calibration.model, tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    assert card == json.loads(json.dumps(asdict(calibration.model.card)))
    assert card["n_participants"] == 3
    assert card["members"] == ["fold-1", "fold-2", "fold-3", "final"]


def test_others_may_read_the_model(calibration: Calibration, tmp_path: Path) -> None:
    save_model(calibration.model, tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_the_card_names_no_participant(calibration: Calibration, tmp_path: Path) -> None:
    save_model(calibration.model, tmp_path)
    assert "sub-0" not in (tmp_path / "model.json").read_text()


def test_the_same_model_is_the_same_bytes(calibration: Calibration, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        save_model(calibration.model, tmp_path / name)
        contents.append((tmp_path / name / "model.safetensors").read_bytes())
    assert contents[0] == contents[1]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"model\.safetensors: no such file"):
        load_model(tmp_path / "model.safetensors")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"PK\x03\x04 a pickle, perhaps")
    with pytest.raises(InvalidInputError, match="cannot be read as safetensors"):
        load_model(path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(InvalidInputError, match="not those of a calibration"):
        load_model(path)


def test_a_flipped_bit_is_noticed(calibration: Calibration, tmp_path: Path) -> None:
    save_model(calibration.model, tmp_path)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="checksum"):
        load_model(path)


def test_a_file_that_was_cut_off_is_noticed(calibration: Calibration, tmp_path: Path) -> None:
    save_model(calibration.model, tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInputError, match="cannot be read as safetensors"):
        load_model(path)


@pytest.mark.parametrize(
    ("card", "message"),
    [("{}", "card cannot be read"), ("no json", "is no JSON object"), ('{"format": 99}', "format 99.*expected")],
)
def test_cards_of_other_versions_are_refused(tmp_path: Path, card: str, message: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata={CARD_KEY: card})
    with pytest.raises(InvalidInputError, match=message):
        load_model(path)


def test_a_folder_that_cannot_be_written_leaves_nothing(calibration: Calibration, tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="cannot be written"):
        save_model(calibration.model, tmp_path / "missing")


def test_the_protocol_of_the_training_is_accepted(calibration: Calibration) -> None:
    assert check_protocol(calibration.model.card, MEASURED_RECORD) == []
    rounded = {**MEASURED_RECORD, "InversionTimes": [0.701, 2.499]}
    assert check_protocol(calibration.model.card, rounded) == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("InversionTimes", [0.8, 2.5], "InversionTimes: 0.7, 2.5 in training and 0.8, 2.5 here"),
        ("InversionTimes", [0.7, 2.5, 4.0], "InversionTimes: 0.7, 2.5 in training and 0.7, 2.5, 4 here"),
        ("FlipAngles", [4, 4], "FlipAngles: 4, 5 in training and 4, 4 here"),
        ("MagneticFieldStrength", 7, "MagneticFieldStrength: 3 in training and 7 here"),
        ("InversionEfficiency", 0.84, "InversionEfficiency: 0.96 in training and 0.84 here"),
        (
            "NumberShotsPerReadout",
            [[44, 88], [44, 88]],
            "NumberShotsPerReadout: 88, 88, 88, 88 in training and 44, 88, 44, 88 here",
        ),
        ("RepetitionTimePreparation", None, "RepetitionTimePreparation: 5 in training and not given here"),
        ("TransmitField", None, "TransmitFieldMeasured: yes in training and no here"),
    ],
)
def test_another_protocol_is_told_with_both_values(
    calibration: Calibration, field: str, value: object, message: str
) -> None:
    record = {key: each for key, each in {**MEASURED_RECORD, field: value}.items() if each is not None}
    assert check_protocol(calibration.model.card, record) == [message]


def test_times_that_both_records_lack_are_the_same() -> None:
    one: dict[str, object] = {"RepetitionTimes": [None, 6.0]}
    assert differences(one, {"RepetitionTimes": [None, 6.01]}) == []
    assert differences(one, {"RepetitionTimes": [5.0, 6.0]}) == ["RepetitionTimes: not given, 6 and 5, 6"]


def test_a_file_of_another_format_is_told_from_a_damaged_one(calibration: Calibration, tmp_path: Path) -> None:
    later = replace(calibration.model, card=replace(calibration.model.card, format=4))
    save_model(later, tmp_path)
    with pytest.raises(InvalidInputError, match="a model of format 4, written by bids_t1"):
        load_model(tmp_path / "model.safetensors")
