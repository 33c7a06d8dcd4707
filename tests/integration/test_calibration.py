"""Calibration from the command line: trained by the group, applied to participants, refused where it does not fit."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.calibration.ladder import choose
from bids_t1.data.calibration import METHODS, SMALL
from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.cli import main as make_phantom
from tests import command, validator
from tests.small_bids import open_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TINY = replace(SMALL, width=1 / 16, tile=8, batch=2, steps=2, epochs=2, patience=2, validation_examples=4)
"""Learns next to nothing, in seconds."""

HEADS = ("--resolution", "4", "--slices", "14", "--bias", "mt")
ON_CPU = ("--device", "cpu", "--omp-nthreads", "1")
"""One fold after the other in this process, which spares the start of others."""

MODEL = "calibration/model.safetensors"
CALIBRATED = "sub-01_desc-MP2RAGEcalibrated_T1map.nii.gz"


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bids_t1.learning.PRESETS", {"small": TINY})
        patch.setattr("bids_t1.learning.VOXELS", {"small": replace(TINY, kind="voxel")})
        patch.setattr("bids_t1.calibration.cross_validation.FEWEST_FOR_NETWORK", 2)
        patch.setattr("bids_t1.calibration.cross_validation.choose", lambda _: "network")
        yield


def make(folder: Path, *options: str) -> Path:
    assert make_phantom([str(folder), *HEADS, *options]) == 0
    return folder


def group(done: command.Finished, *options: str) -> command.Answer:
    return command.run(done.bids_dir, done.out_dir, "group", *ON_CPU, "--calibration-preset", "small", *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> command.Finished:
    """Two pairs, and what the group made of them, both folds at a time."""
    folder = tmp_path_factory.mktemp("pairs")
    data = make(folder / "data", "--participants", "2", "--sequences", "IRT1,MP2RAGE")
    assert command.whole(data, folder / "out").code == 0
    done = command.Finished(data, folder / "out", command.Answer(0, ""))
    answer = group(done, "--omp-nthreads", "2")
    assert answer.code == 0, answer.said
    return replace(done, answer=answer)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A participant without inversion recovery."""
    return make(tmp_path_factory.mktemp("alone") / "data", "--seed", "5", "--sequences", "MP2RAGE")


def apply(data: Path, out_dir: Path, model: Path, *options: str) -> command.Answer:
    return command.whole(data, out_dir, "--calibration", model, *options)


def load(folder: Path, name: str) -> np.ndarray:
    return np.asanyarray(open_image(folder / "sub-01" / "anat" / name).dataobj)


def test_group_leaves_a_model_its_card_tables_and_a_page_and_no_checkpoints(trained: command.Finished) -> None:
    out_dir = trained.out_dir
    assert {path.name for path in (out_dir / "calibration").iterdir()} == {
        "model.safetensors", "model.json", "model.html",
    }  # fmt: skip
    card = json.loads((out_dir / "calibration" / "model.json").read_text())
    assert (card["n_participants"], card["members"]) == (2, ["fold-1", "fold-2", "final"])
    page = (out_dir / "group.html").read_text(encoding="utf-8")
    assert "Calibration" in page
    assert "sub-01" not in (out_dir / "calibration" / "model.html").read_text(encoding="utf-8")
    assert not (out_dir / ".work").exists()
    assert validator.errors(out_dir) == []


def test_tables_and_page_are_there_when_training_begins(
    trained: command.Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_dir = shutil.copytree(trained.out_dir, tmp_path / "out")
    for path in (*out_dir.glob("group*"), out_dir / "logs" / "calibration.json"):
        path.unlink()

    seen: list[bool] = []

    def killed(*_: object, **__: object) -> None:
        page = (out_dir / "group.html").read_text(encoding="utf-8")
        seen.extend((out_dir / f"group_{name}.tsv").is_file() for name in ("maps", "participants"))
        seen.append("has not ended" in page)
        raise InvalidInputError("ended here")

    monkeypatch.setattr("bids_t1.learning.calibrate", killed)
    group(replace(trained, out_dir=out_dir))
    assert seen == [True, True, True]


def test_nothing_is_trained_unless_asked_for(trained: command.Finished, tmp_path: Path) -> None:
    out_dir = shutil.copytree(trained.out_dir, tmp_path / "out")
    shutil.rmtree(out_dir / "calibration")
    assert command.run(trained.bids_dir, out_dir, "group").code == 0
    assert not (out_dir / "calibration").exists()
    assert "No calibration was asked for" in (out_dir / "group.html").read_text(encoding="utf-8")


def test_scores_are_of_participants_that_were_held_out_by_every_method(trained: command.Finished) -> None:
    with (trained.out_dir / "group_calibration.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["method"] for row in rows} == set(METHODS) - {"small"}
    assert {(row["fold"], row["participant"]) for row in rows} == {("1", "01"), ("2", "02")}
    assert {row["tissue"] for row in rows} >= {"WM", "GM"}


def test_a_training_on_the_same_maps_is_not_repeated(trained: command.Finished) -> None:
    before = (trained.out_dir / MODEL).stat().st_mtime_ns
    answer = group(trained)
    assert answer.code == 0
    assert "trained before" in answer.said
    assert (trained.out_dir / MODEL).stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_weights_however_many_folds_at_a_time_and_another_seed_others(
    trained: command.Finished,
) -> None:
    card = trained.out_dir / "calibration" / "model.json"
    before = json.loads(card.read_text())["checksum"]
    assert group(trained, "--random-seed", "7").code == 0
    other = json.loads(card.read_text())["checksum"]
    assert group(trained).code == 0
    assert json.loads(card.read_text())["checksum"] == before != other


def test_a_participant_without_inversion_recovery_is_calibrated(
    trained: command.Finished, alone: Path, tmp_path: Path
) -> None:
    answer = apply(alone, tmp_path, trained.out_dir / "calibration")
    assert answer.code == 0, answer.said
    measured, calibrated = load(tmp_path, "sub-01_desc-MP2RAGE_T1map.nii.gz"), load(tmp_path, CALIBRATED)
    white = load(tmp_path, "sub-01_desc-tissue_dseg.nii.gz") == 2
    ratio = np.nanmedian(calibrated[white]) / np.nanmedian(measured[white])
    assert 1.05 < ratio < 1.3  # magnetisation transfer made MP2RAGE read short
    outside = load(tmp_path, "sub-01_desc-MP2RAGEoutsidetraining_mask.nii.gz") > 0
    np.testing.assert_array_equal(calibrated[outside], measured[outside])
    assert validator.errors(tmp_path) == []


def test_what_is_said_of_the_calibration_stays_with_its_maps(
    trained: command.Finished, alone: Path, tmp_path: Path
) -> None:
    assert apply(alone, tmp_path, trained.out_dir / MODEL).code == 0
    folder = tmp_path / "sub-01" / "anat"
    calibrated = json.loads((folder / CALIBRATED.replace(".nii.gz", ".json")).read_text())
    card = json.loads((trained.out_dir / "calibration" / "model.json").read_text())
    assert calibrated["CalibrationModel"]["Checksum"] == card["checksum"]
    measured = json.loads((folder / "sub-01_desc-MP2RAGE_T1map.json").read_text())
    assert not [key for key in measured if key.startswith("Calibration")]


def test_only_voxels_of_the_brain_count_as_outside_of_the_training(
    trained: command.Finished, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert apply(alone, tmp_path, trained.out_dir / MODEL).code == 0
    brain = load(tmp_path, "sub-01_desc-brain_mask.nii.gz") > 0
    outside = load(tmp_path, "sub-01_desc-MP2RAGEoutsidetraining_mask.nii.gz") > 0
    share = outside[brain].mean()
    assert outside.mean() > 0.05 > share  # scalp is not calibrated
    assert "lie outside of what the calibration" not in (tmp_path / "sub-01.html").read_text(encoding="utf-8")
    monkeypatch.setattr("bids_t1.runs.calibrated.MUCH_OUTSIDE", -1.0)
    answer = apply(alone, tmp_path, trained.out_dir / MODEL, "--force")
    warning = f"In {share:.0%} of the voxels of the brain T1, its SD or B1+ lie outside of what the calibration was"
    assert warning in answer.said
    assert warning in (tmp_path / "sub-01.html").read_text(encoding="utf-8")


def test_a_participant_with_inversion_recovery_is_compared_before_and_after(
    trained: command.Finished, tmp_path: Path
) -> None:
    answer = apply(trained.bids_dir, tmp_path, trained.out_dir / MODEL, "--participant-label", "01")
    assert answer.code == 0, answer.said
    assert (tmp_path / "sub-01" / "anat" / f"sub-01_space-IRT1_{CALIBRATED.removeprefix('sub-01_')}").is_file()
    with (tmp_path / "sub-01" / "anat" / "sub-01_desc-agreement_T1map.tsv").open(encoding="utf-8") as file:
        rows = {row["map"]: row for row in csv.DictReader(file, delimiter="\t") if row["tissue"] == "WM"}
    before, after = (abs(float(rows[name]["bias"])) for name in sorted(rows, key=lambda name: "calibrated" in name))
    assert after < before / 3


def other_protocol(data: Path) -> Path:
    """Change the cycle time in the sidecars."""
    for path in (data / "sub-01" / "anat").glob("*MP2RAGE.json"):
        sidecar = json.loads(path.read_text())
        path.write_text(json.dumps({**sidecar, "RepetitionTimePreparation": 6.0}))
    return data


def test_another_protocol_is_refused_with_both_values_unless_forced(trained: command.Finished, tmp_path: Path) -> None:
    data = other_protocol(make(tmp_path / "data", "--seed", "5", "--sequences", "MP2RAGE"))
    answer = apply(data, tmp_path / "out", trained.out_dir / MODEL)
    assert answer.code == 1  # its other maps are written
    assert "RepetitionTimePreparation: 5 in training and 6 here" in answer.said
    assert "--mt-prior tissue" in answer.said
    assert not (tmp_path / "out" / "sub-01" / "anat" / CALIBRATED).exists()
    assert (tmp_path / "out" / "sub-01" / "anat" / "sub-01_desc-MP2RAGE_T1map.nii.gz").exists()
    answer = apply(data, tmp_path / "out", trained.out_dir / MODEL, "--calibration-force")
    assert answer.code == 0, answer.said
    sidecar = json.loads((tmp_path / "out" / "sub-01" / "anat" / CALIBRATED.replace(".nii.gz", ".json")).read_text())
    assert "6 here" in sidecar["CalibrationForced"][0]
    assert "another protocol" in (tmp_path / "out" / "sub-01.html").read_text(encoding="utf-8")


def test_one_pair_gives_a_shrunk_factor_and_the_card_says_what_that_promises(
    trained: command.Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bids_t1.calibration.cross_validation.choose", choose)
    out_dir = shutil.copytree(trained.out_dir, tmp_path / "out")
    answer = group(replace(trained, out_dir=out_dir), "--participant-label", "01")
    assert answer.code == 0, answer.said
    card = json.loads((out_dir / "calibration" / "model.json").read_text())
    assert (card["rung"], card["members"]) == ("scale", ["scale"])
    assert "nobody was held out" in (out_dir / "calibration" / "model.html").read_text(encoding="utf-8")
    assert "nobody was held out" in (out_dir / "group.html").read_text(encoding="utf-8")


def test_a_model_that_is_not_there_is_named(trained: command.Finished, tmp_path: Path) -> None:
    answer = apply(trained.bids_dir, tmp_path / "out", tmp_path / "none")
    assert answer.code == 66
    assert "none is no file" in answer.said
