"""Participants and sessions are found from folders and contents, never from headers."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from bids_t1.data.errors import InvalidInputError
from bids_t1.dicom.files import is_dicom
from bids_t1.dicom.sources import find_sources
from tests.dicom.scanner_files import SIEMENS, write_volume
from tests.real_data import real_data

if TYPE_CHECKING:
    from pathlib import Path


def labels(bids_dir: Path) -> list[tuple[str | None, str | None, str]]:
    found = find_sources(bids_dir)
    return [(source.participant, source.session, str(source.folder.relative_to(bids_dir))) for source in found]


def scan(folder: Path) -> None:
    write_volume(folder, 50.0, SIEMENS, series=1)


def test_source_data_of_a_bids_dataset_is_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    scan(tmp_path / "sourcedata" / "sub-01" / "study" / "series")
    scan(tmp_path / "sourcedata" / "sub-02" / "ses-a" / "deep" / "er")
    scan(tmp_path / "sourcedata" / "sub-02" / "ses-b")
    (tmp_path / "sourcedata" / "sub-03").mkdir()
    assert labels(tmp_path) == [
        ("01", None, "sourcedata/sub-01"),
        ("02", "a", "sourcedata/sub-02/ses-a"),
        ("02", "b", "sourcedata/sub-02/ses-b"),
    ]


def test_a_bids_dataset_without_source_data_has_no_sources(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    scan(tmp_path / "sub-01")
    assert labels(tmp_path) == []


def test_a_plain_folder_has_one_folder_per_participant(tmp_path: Path) -> None:
    scan(tmp_path / "sub-01" / "series1")
    scan(tmp_path / "P2")
    scan(tmp_path / ".hidden")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "list.txt").write_text("no image")
    assert labels(tmp_path) == [("P2", None, "P2"), ("01", None, "sub-01")]


def test_a_flat_folder_is_one_participant_without_a_label(tmp_path: Path) -> None:
    scan(tmp_path)
    assert labels(tmp_path) == [(None, None, ".")]


def test_a_label_loses_characters_that_bids_forbids_and_says_so(tmp_path: Path) -> None:
    scan(tmp_path / "plate_4")
    (source,) = find_sources(tmp_path)
    assert source.participant == "plate4"
    assert "called sub-plate4" in source.warnings[0]


def test_folders_that_give_one_label_are_refused(tmp_path: Path) -> None:
    scan(tmp_path / "plate_4")
    scan(tmp_path / "plate4")
    with pytest.raises(InvalidInputError, match="both give sub-plate4"):
        find_sources(tmp_path)


def test_a_label_without_letters_is_refused(tmp_path: Path) -> None:
    scan(tmp_path / "___")
    with pytest.raises(InvalidInputError, match="no letter or digit"):
        find_sources(tmp_path)


def test_loose_files_beside_participants_are_refused(tmp_path: Path) -> None:
    scan(tmp_path / "sub-01")
    scan(tmp_path)
    with pytest.raises(InvalidInputError, match="beside participant folders"):
        find_sources(tmp_path)


def test_files_inside_and_outside_sessions_are_refused(tmp_path: Path) -> None:
    scan(tmp_path / "sub-01" / "ses-1")
    scan(tmp_path / "sub-01" / "other")
    with pytest.raises(InvalidInputError, match="inside and outside ses-"):
        find_sources(tmp_path)


def test_dicom_is_recognised_by_content(tmp_path: Path) -> None:
    (file, _) = write_volume(tmp_path / "x", 50.0, SIEMENS, series=1)
    packed = tmp_path / "image.dcm.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    bare = tmp_path / "bare"
    bare.write_bytes(file.read_bytes()[132:])
    others = {
        "a.dcm": b"text",
        "b.dcm": b"",
        "c": b"\x08\x00 text that begins like a tag",
        "d.gz": b"\x1f\x8b",
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    assert all(is_dicom(path) for path in (file, packed, bare))
    assert not any(is_dicom(tmp_path / name) for name in others)


def test_an_empty_or_missing_folder_has_no_sources(tmp_path: Path) -> None:
    assert find_sources(tmp_path) == find_sources(tmp_path / "nothing") == ()


def test_listing_participants_opens_one_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for participant in ("a", "b", "c"):
        scan(tmp_path / participant)
    opened: list[Path] = []

    def counting(path: Path) -> bool:
        opened.append(path)
        return is_dicom(path)

    monkeypatch.setattr("bids_t1.dicom.files.is_dicom", counting)
    assert len(find_sources(tmp_path)) == len(opened) == 3


def test_real_phantom_plates_are_participants() -> None:
    assert [source.participant for source in find_sources(real_data("nist_ir", "philips_1p5t"))] == [
        "plate4",
        "plate5",
    ]
