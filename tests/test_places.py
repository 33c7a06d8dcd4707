"""Results go nowhere where something of somebody else could be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bids_t1.data.errors import CannotCreateOutputError, UsageError
from bids_t1.places import require_out_dir, require_raw, require_work_dir
from tests.small_bids import write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "bids_t1", "Version": "0"}]}
CONVERTED = {"DatasetType": "raw", "GeneratedBy": [{"Name": "bids_t1"}, {"Name": "dcm2niix"}]}
DESCRIPTION = "dataset_description.json"


@pytest.fixture
def bids_dir(tmp_path: Path) -> Path:
    write_json(tmp_path / "study" / DESCRIPTION, {"Name": "study", "BIDSVersion": "1.10.0"})
    (tmp_path / "study" / "sub-01").mkdir()
    return tmp_path / "study"


def nothing(_: Path) -> None:
    pass


def empty(out: Path) -> None:
    out.mkdir()


def of_an_earlier_run(out: Path) -> None:
    write_json(out / DESCRIPTION, OWN)
    (out / "sub-01").mkdir()
    (out / "notes.txt").touch()


def of_a_run_that_failed(out: Path) -> None:
    write_json(out / "logs" / "sub-01.json", {})
    write_json(out / "logs" / "sub-01_ses-a.conversion.json", {})
    write_json(out / "sourcedata" / "raw" / DESCRIPTION, CONVERTED)
    (out / ".work").mkdir()
    (out / "sub-01.html").touch()
    (out / ".bids_t1-1234abcd-xyz").mkdir()


def a_new_disk(out: Path) -> None:
    (out / "lost+found").mkdir(parents=True)


@pytest.mark.parametrize("make", [nothing, empty, of_an_earlier_run, of_a_run_that_failed, a_new_disk])
def test_a_folder_that_is_new_empty_or_of_this_program_is_taken(
    make: Callable[[Path], None], bids_dir: Path, tmp_path: Path
) -> None:
    make(tmp_path / "out")
    require_out_dir(tmp_path / "out", bids_dir)


def a_raw_dataset(out: Path) -> None:
    write_json(out / DESCRIPTION, {"Name": "x", "BIDSVersion": "1.10.0"})


def converted_images(out: Path) -> None:
    write_json(out / DESCRIPTION, CONVERTED)


def of_another_pipeline(out: Path) -> None:
    write_json(out / DESCRIPTION, {"DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]})


def several_datasets(out: Path) -> None:
    of_another_pipeline(out / "fmriprep")


def several_with_ours(out: Path) -> None:
    of_another_pipeline(out / "fmriprep")
    write_json(out / "t1maps" / DESCRIPTION, OWN)


def participants_alone(out: Path) -> None:
    (out / "sub-01" / "anat").mkdir(parents=True)


def scanner_files(out: Path) -> None:
    out.mkdir()
    (out / "IM1").write_bytes(bytes(128) + b"DICM" + bytes(100))


def a_home(out: Path) -> None:
    (out / "Documents").mkdir(parents=True)
    (out / "thesis.tex").touch()


def foreign_logs(out: Path) -> None:
    (out / "logs").mkdir(parents=True)
    (out / "logs" / "diary.json").touch()


def foreign_source_data(out: Path) -> None:
    (out / "sourcedata" / "raw" / "sub-01").mkdir(parents=True)


def a_cut_description(out: Path) -> None:
    out.mkdir()
    (out / DESCRIPTION).write_text("{")


def a_list(out: Path) -> None:
    out.mkdir()
    (out / DESCRIPTION).write_text("[" * 100_000)


def a_dead_link(out: Path) -> None:
    out.mkdir()
    (out / DESCRIPTION).symlink_to("nowhere")


FOREIGN: dict[Callable[[Path], None], str] = {
    a_raw_dataset: r"is a BIDS dataset of raw images; .* such as .*/out/derivatives/bids_t1\.",
    converted_images: "holds raw images that bids_t1 converted",
    of_another_pipeline: "holds derivatives of fMRIPrep",
    several_datasets: r"holds datasets in folders of their own; .* such as .*/out/bids_t1\.",
    several_with_ours: r"holds datasets in folders of their own; .* such as .*/out/t1maps\.",
    participants_alone: r"holds sub-\* and no dataset_description.json",
    scanner_files: "holds DICOM files",
    a_home: "holds 2 files and folders that bids_t1 did not make",
    foreign_logs: "holds 1 files and folders that bids_t1 did not make",
    foreign_source_data: "holds 1 files and folders that bids_t1 did not make",
    a_cut_description: "holds a dataset_description.json that cannot be read",
    a_list: "holds a dataset_description.json that cannot be read",
    a_dead_link: "holds a dataset_description.json that cannot be read",
}


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_a_folder_that_holds_something_else_is_refused_with_what_it_holds(
    make: Callable[[Path], None], bids_dir: Path, tmp_path: Path
) -> None:
    make(tmp_path / "out")
    with pytest.raises(CannotCreateOutputError, match=FOREIGN[make]):
        require_out_dir(tmp_path / "out", bids_dir)


@pytest.mark.parametrize("place", [".", "sub-01", "sub-01/anat/out"])
def test_the_input_is_no_place_for_results(place: str, bids_dir: Path) -> None:
    with pytest.raises(UsageError, match="which is only read"):
        require_out_dir(bids_dir / place, bids_dir)


def test_a_link_to_the_input_is_the_input(bids_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bids_dir)
    with pytest.raises(UsageError, match="is bids_dir"):
        require_out_dir(tmp_path / "link", bids_dir)


def test_a_folder_around_the_input_is_refused(bids_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotCreateOutputError, match=r"such as .*/bids_t1"):
        require_out_dir(tmp_path, bids_dir)


def test_input_among_the_results_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / DESCRIPTION, OWN)
    (tmp_path / "sub-01").mkdir()
    with pytest.raises(UsageError, match="lies in what is written to out_dir"):
        require_out_dir(tmp_path, tmp_path / "sub-01")


def test_results_inside_of_the_input_but_not_among_its_derivatives_are_warned_of(
    bids_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    require_out_dir(bids_dir / "derivatives" / "bids_t1", bids_dir)
    assert not caplog.records
    require_out_dir(bids_dir / "results", bids_dir)
    assert "not in its derivatives/" in caplog.text


def test_scanner_files_are_converted_into_own_datasets_only(tmp_path: Path) -> None:
    require_raw(tmp_path / "raw")
    converted_images(tmp_path / "raw")
    require_raw(tmp_path / "raw")
    a_raw_dataset(tmp_path / "other")
    with pytest.raises(CannotCreateOutputError, match="is a BIDS dataset of raw images"):
        require_raw(tmp_path / "other")


def test_intermediate_files_go_to_no_dataset(bids_dir: Path, tmp_path: Path) -> None:
    out_dir = tmp_path / "out"
    a_home(tmp_path / "scratch")
    for good in (out_dir / ".work", tmp_path / "none", tmp_path / "scratch", bids_dir / "derivatives" / "x" / ".work"):
        require_work_dir(good, bids_dir / "derivatives" / "x" if "derivatives" in good.parts else out_dir, bids_dir)
    of_another_pipeline(tmp_path / "fmriprep")
    for bad in (bids_dir, bids_dir / "sub-01", tmp_path / "fmriprep"):
        with pytest.raises(UsageError, match="--work-dir"):
            require_work_dir(bad, out_dir, bids_dir)
