"""Philips PAR/REC: times of each image, comparable numbers, nobody's name, and no repetition time that is not one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.data.errors import InvalidInputError, NoInputError
from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import Sidecar
from bids_t1.dicom.sources import find_sources
from tests import command, validator
from tests.dicom.par_files import SECRET, write_par
from tests.dicom.test_dicom_convert import run, sidecars, values
from tests.integration.test_selective_inversion_recovery import TD, TI, images, protocol, require_truth

if TYPE_CHECKING:
    from pathlib import Path

TIMES = (50.0, 400.0, 1100.0, 2500.0)
DECLARED = Protocol({"SIR": Sidecar("protocol.toml", {"InversionTime": list(TI), "RecoveryTime": list(TD)})})


def rising(n: int = 4) -> np.ndarray:
    """Images of 100, 200, ... and a voxel that tells the axes."""
    stack = np.ones((n, 6, 8, 3)) * 100 * (1 + np.arange(n))[:, None, None, None]
    stack[:, 1, 2, 0] += 50
    return stack


def test_each_image_of_one_file_has_its_inversion_time_and_the_repetition_time_is_not_taken_for_its_own(
    tmp_path: Path,
) -> None:
    raw_dir = tmp_path / "out" / "sourcedata" / "raw"
    write_par(tmp_path / "par" / f"{SECRET}_3.PAR", rising(), TIMES, repetition_time=6000)
    record = run(tmp_path / "par", raw_dir)
    found = sidecars(raw_dir)
    assert [entry["InversionTime"] for entry in found.values()] == [0.05, 0.4, 1.1, 2.5]
    assert not any("RepetitionTime" in entry for entry in found.values())
    assert "not taken for that of each" in " ".join(record.warnings)
    paths = sorted(raw_dir.rglob("*.nii.gz"))
    assert [np.median(values(path)) for path in paths] == [100, 200, 300, 400]
    assert validator.errors(raw_dir) == []
    written = str(asdict(record)) + "".join(path.read_text() for path in raw_dir.rglob("*.json"))
    assert SECRET not in written


def test_a_scan_for_each_inversion_time_keeps_its_repetition_time(tmp_path: Path) -> None:
    raw_dir = tmp_path / "out" / "sourcedata" / "raw"
    for number, time in enumerate(TIMES):
        write_par(
            tmp_path / "par" / f"{number}.PAR", rising()[number : number + 1], (time,), repetition_time=5000 + time
        )
    run(tmp_path / "par", raw_dir)
    assert [entry["RepetitionTime"] for entry in sidecars(raw_dir).values()] == [5.05, 5.4, 6.1, 7.5]


def test_signed_images_keep_their_signs(tmp_path: Path) -> None:
    raw_dir = tmp_path / "out" / "sourcedata" / "raw"
    signed = rising() - 250
    write_par(tmp_path / "par" / "a.PAR", signed, TIMES, kind=1, repetition_time=6000)
    run(tmp_path / "par", raw_dir)
    paths = sorted(raw_dir.rglob("*part-real_IRT1.nii.gz"))
    assert [np.median(values(path)) for path in paths] == [-150, -50, 50, 150]


def test_selective_inversion_recovery_gives_the_same_through_par_files(tmp_path: Path) -> None:
    stack = np.abs(images())
    write_par(tmp_path / "data" / "sub-01" / "scan.PAR", stack, tuple(1000 * time for time in TI))
    file = protocol(tmp_path, InversionTime=TI, RecoveryTime=TD)
    answer = command.participant(tmp_path / "data", tmp_path / "out", "--protocol", file)
    assert answer.code == 0, answer.said
    require_truth(tmp_path / "out")


@pytest.mark.parametrize(
    ("times", "scan", "words"),
    [
        ((15.0, 15.0, 278.0, 1007.0), {}, "RecoveryTime of every image in the table SIR"),
        ((50.0, 400.0, 1100.0, 2500.0), {}, "shorter than the spread"),
        ((50.0, 400.0, 1100.0, 2500.0), {"technique": "T1TFE", "repetition_time": 8000.0}, "follow one inversion"),
        ((50.0, 400.0, 400.0, 400.0), {"repetition_time": 6000.0}, "T1 needs at least 3"),
    ],
)
def test_what_is_no_series_of_separate_inversions_is_refused(
    tmp_path: Path, times: tuple[float, ...], scan: dict[str, object], words: str
) -> None:
    write_par(tmp_path / "par" / "a.PAR", rising(), times, **scan)  # type: ignore[arg-type]
    with pytest.raises(NoInputError, match=words):
        run(tmp_path / "par", tmp_path / "out" / "sourcedata" / "raw")


@pytest.mark.parametrize("damage", ["cut", "no REC", "text", "long"])
def test_a_damaged_file_is_refused_by_its_place_and_not_by_its_name(tmp_path: Path, damage: str) -> None:
    path = write_par(tmp_path / "par" / f"{SECRET}.PAR", rising(), TIMES)
    rec = path.with_suffix(".REC")
    if damage == "cut":
        rec.write_bytes(rec.read_bytes()[:-10])
    elif damage == "no REC":
        rec.unlink()
    elif damage == "text":
        path.write_text(path.read_text().replace(" 90.0 ", " many "))
    else:
        rec.write_bytes(rec.read_bytes() + b"0")
    with pytest.raises(InvalidInputError, match="PAR file 1 of 1") as refusal:
        run(tmp_path / "par", tmp_path / "out" / "sourcedata" / "raw", protocol=DECLARED)
    assert SECRET not in str(refusal.value)


def test_folders_of_par_files_are_those_of_participants(tmp_path: Path) -> None:
    for label in ("01", "02"):
        write_par(tmp_path / f"sub-{label}" / "a.PAR", rising(), TIMES)
    assert [source.participant for source in find_sources(tmp_path).found] == ["01", "02"]
