"""Scanner files of a selective inversion recovery: equal inversion times are kept where that is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import Sidecar
from tests.dicom.scanner_files import PHILIPS, PHILIPS_SCALE, write_set
from tests.dicom.test_dicom_convert import run, sidecars, values

if TYPE_CHECKING:
    from pathlib import Path

TI = (0.015, 0.015, 0.278, 1.007)
TABLE = {"InversionTime": list(TI), "RecoveryTime": [0.684, 4.121, 2.730, 0.010]}
DECLARED = Protocol({"SIR": Sidecar("protocol.toml", TABLE)})


@pytest.mark.parametrize("one_series", [False, True])
def test_images_of_equal_inversion_times_are_kept_in_the_order_of_acquisition(tmp_path: Path, one_series: bool) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "out" / "sourcedata" / "raw"
    scan = PHILIPS | {"RepetitionTime": 981, PHILIPS_SCALE: 1.0}
    write_set(source, scan, times=tuple(1000 * time for time in TI), one_series=one_series)
    run(source, raw_dir, protocol=DECLARED)
    found = sidecars(raw_dir)
    assert [entry["InversionTime"] for entry in found.values()] == list(TI)
    smallest = [values(path).min() for path in sorted(raw_dir.rglob("*.nii.gz"))]
    assert smallest == [100, 200, 300, 400]


def test_without_a_declaration_a_repeated_time_is_told_with_the_fields_to_give(tmp_path: Path) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "out" / "sourcedata" / "raw"
    write_set(source, PHILIPS, times=(15, 15, 278, 1007))
    record = run(source, raw_dir)
    assert len(sidecars(raw_dir)) == 3
    assert "RecoveryTime of every image in the table SIR" in " ".join(record.warnings)


def test_a_declaration_of_other_times_changes_nothing(tmp_path: Path) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "out" / "sourcedata" / "raw"
    write_set(source, PHILIPS)
    run(source, raw_dir, protocol=DECLARED)
    assert len(sidecars(raw_dir)) == 4
