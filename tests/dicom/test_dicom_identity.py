"""Files of several patients, days or positions are never taken for one examination, and nobody is named for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bids_t1.data.errors import InvalidInputError
from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.sources import find_sources
from tests.dicom.scanner_files import SECRETS, SIEMENS, TIMES, write_volume

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.writing.record import Conversion

OTHER = {"PatientID": "ID0815", "PatientName": "Seacole^Mary", "PatientBirthDate": "18051123"}


def write(folder: Path, *changes: dict[str, Any], common: dict[str, Any] | None = None) -> None:
    """Write a series per inversion time; changes apply to the last ones."""
    given: list[dict[str, Any]] = [{}] * (len(TIMES) - len(changes)) + list(changes)
    for number, (time, change) in enumerate(zip(TIMES, given, strict=True), start=1):
        write_volume(folder, time, SIEMENS | (common or {}) | change, series=number)


def run(tmp_path: Path) -> Conversion:
    return convert(tmp_path / "dicom", Destination(tmp_path / "raw", "01"), tmp_path / "work")


def refusal(tmp_path: Path) -> str:
    with pytest.raises(InvalidInputError) as refused:
        run(tmp_path)
    message = str(refused.value)
    told = [word for word in (*SECRETS, *OTHER.values(), "Seacole", "Mary") if word.lower() in message.lower()]
    assert told == []
    assert not (tmp_path / "raw" / "sub-01").exists()
    return message


@pytest.mark.parametrize("attribute", sorted(OTHER))
def test_a_series_of_another_patient_is_refused(tmp_path: Path, attribute: str) -> None:
    write(
        tmp_path / "dicom",
        {attribute: OTHER[attribute]},
        common={"PatientBirthDate": None}
        | ({} if attribute != "PatientBirthDate" else {"PatientBirthDate": "18200512"}),
    )
    message = refusal(tmp_path)
    assert "series 1, 2, 3 and series 4 belong to 2 patients" in message
    assert f"{attribute} differs" in message


def test_one_slice_of_another_patient_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "dicom")
    (file, _) = write_volume(tmp_path / "other", TIMES[0], SIEMENS | OTHER, series=1)
    file.rename(tmp_path / "dicom" / "one")
    assert "series 1 holds files of 2 patients (PatientID differs)" in refusal(tmp_path)


def test_identifiers_that_are_missing_or_the_same_are_fine(tmp_path: Path) -> None:
    write(tmp_path / "dicom", {"PatientID": "", "PatientName": None}, {"FrameOfReferenceUID": None})
    assert run(tmp_path).warnings == ()


def test_a_name_written_in_two_ways_is_of_one_patient(tmp_path: Path) -> None:
    write(tmp_path / "dicom", {"PatientName": "NIGHTINGALE^FLORENCE^^"}, {"PatientName": "Nightingale^F"})
    assert run(tmp_path).warnings == ()


def test_examinations_of_two_days_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "dicom", {"StudyInstanceUID": "1.2.9", "StudyDate": "20240203"})
    assert "different days (StudyDate differs)" in refusal(tmp_path)


def test_images_of_one_fit_from_two_positions_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "dicom", {"StudyInstanceUID": "1.2.9", "FrameOfReferenceUID": "1.2.10"})
    assert "series 1, 2, 3 and series 4 belong to 2 examinations" in refusal(tmp_path)


@pytest.mark.parametrize("attribute", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_two_examinations_or_two_frames_of_reference_are_told(tmp_path: Path, attribute: str) -> None:
    write(tmp_path / "dicom", {attribute: "1.2.9"})
    assert f"{attribute} differs" in " ".join(run(tmp_path).warnings)


def test_folders_of_series_are_one_participant(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_volume(tmp_path / f"{number}_ir", TIMES[number], SIEMENS, series=number)
    (found,) = find_sources(tmp_path).found
    assert (found.participant, found.folder) == (None, tmp_path)
    assert "StudyInstanceUID" in found.warnings[0]


@pytest.mark.parametrize("change", [{"StudyInstanceUID": "1.2.9"}, OTHER, {"SeriesInstanceUID": "1.2.5.1"}])
def test_folders_of_other_examinations_are_other_participants(tmp_path: Path, change: dict[str, Any]) -> None:
    write_volume(tmp_path / "a", TIMES[0], SIEMENS, series=1)
    write_volume(tmp_path / "b", TIMES[0], SIEMENS | change, series=2)
    assert [source.participant for source in find_sources(tmp_path).found] == ["a", "b"]


def test_folders_of_several_series_are_participants(tmp_path: Path) -> None:
    for number in (1, 2):
        write_volume(tmp_path / "a", TIMES[0], SIEMENS, series=number)
        write_volume(tmp_path / "b", TIMES[0], SIEMENS, series=number + 2)
    assert [source.participant for source in find_sources(tmp_path).found] == ["a", "b"]
