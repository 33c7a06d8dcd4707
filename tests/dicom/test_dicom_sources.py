"""Participants and sessions are found from folders and contents, never from headers."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from bids_t1.dicom.reading.files import is_dicom
from bids_t1.dicom.sources import Sources, find_sources
from tests.dicom.scanner_files import SIEMENS, write_volume
from tests.real_data import real_data

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def labels(bids_dir: Path) -> list[tuple[str | None, str | None, str]]:
    found = find_sources(bids_dir).found
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
    (source,) = find_sources(tmp_path).found
    assert source.participant == "plate4"
    assert "called sub-plate4" in source.warnings[0]


def refused(bids_dir: Path) -> dict[str, str]:
    return {label: str(error) for label, error in find_sources(bids_dir).refused}


def test_folders_that_give_one_label_are_refused_and_the_others_found(tmp_path: Path) -> None:
    for name in ("plate_4", "plate4", "plate5"):
        scan(tmp_path / name)
    assert labels(tmp_path) == [("plate5", None, "plate5")]
    assert list(refused(tmp_path)) == ["plate4"]
    assert refused(tmp_path)["plate4"].startswith(
        "plate4 and folder 3 of 3, in the order of names: all give sub-plate4"
    )


def test_a_label_without_letters_is_refused_without_its_name_and_the_others_found(tmp_path: Path) -> None:
    for name in ("01", "山田", "太郎"):
        scan(tmp_path / name)
    assert labels(tmp_path) == [("01", None, "01")]
    assert [str(error)[:25] for _, error in find_sources(tmp_path).refused] == [
        "the name of folder 2 of 3",
        "the name of folder 3 of 3",
    ]
    assert "山" not in str(refused(tmp_path))


def test_loose_files_beside_participants_are_refused_and_participants_found(tmp_path: Path) -> None:
    scan(tmp_path / "sub-01")
    scan(tmp_path)
    assert labels(tmp_path) == [("01", None, "sub-01")]
    assert "beside participant folders" in refused(tmp_path)["?"]


def test_files_inside_and_outside_sessions_are_refused_and_the_others_found(tmp_path: Path) -> None:
    scan(tmp_path / "sub-01" / "ses-1")
    scan(tmp_path / "sub-01" / "other")
    scan(tmp_path / "sub-02" / "ses-1")
    assert labels(tmp_path) == [("02", "1", "sub-02/ses-1")]
    assert "inside and outside ses-" in refused(tmp_path)["01"]


def test_sessions_that_give_one_label_or_none_are_refused(tmp_path: Path) -> None:
    for name in ("sub-01/ses-a_b", "sub-01/ses-ab", "sub-02/ses-__", "sub-03"):
        scan(tmp_path / name)
    assert labels(tmp_path) == [("03", None, "sub-03")]
    assert "all give ses-ab" in refused(tmp_path)["01"]
    assert "holds no letter or digit" in refused(tmp_path)["02"]


def test_folders_without_scanner_files_are_told_by_what_they_are_called(tmp_path: Path) -> None:
    scan(tmp_path / "01")
    for name in ("sub-bad", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.zip").write_bytes(b"PK")
    found = find_sources(tmp_path)
    assert found.empty == {"bad": tmp_path / "sub-bad"}
    assert found.aside == ["notes"]


def test_a_participant_that_needs_nothing_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in ("01", "02"):
        scan(tmp_path / "sourcedata" / f"sub-{label}")
    looked: list[str] = []
    monkeypatch.setattr("bids_t1.dicom.sources.first_of_scanner", lambda folder: looked.append(folder.name))
    find_sources(tmp_path, known={"01"})
    assert looked == ["sub-02"]


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
    assert find_sources(tmp_path) == find_sources(tmp_path / "nothing") == Sources()


def test_listing_participants_opens_one_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for participant in ("a", "b", "c"):
        scan(tmp_path / participant)
    opened: list[Path] = []

    def counting(path: Path) -> bool:
        opened.append(path)
        return is_dicom(path)

    monkeypatch.setattr("bids_t1.dicom.reading.files.is_dicom", counting)
    assert len(find_sources(tmp_path).found) == len(set(opened)) == 3


def test_real_phantom_plates_are_participants() -> None:
    assert [source.participant for source in find_sources(real_data("nist_ir", "philips_1p5t")).found] == [
        "plate4",
        "plate5",
    ]
