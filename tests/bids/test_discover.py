"""What pybids finds is what the dataset holds, for one participant at a time."""

from __future__ import annotations

import gc
import json
from typing import TYPE_CHECKING

import pytest

from bids_t1.bids import discover
from bids_t1.bids.discover import participants, read_filters, require
from bids_t1.data.errors import InvalidInputError, NothingSelectedError, UsageError
from tests.bids.small_readouts import readouts, uni_of, write_readouts, write_uni
from tests.small_bids import T1, TIMES, change_json, sidecar, write_image, write_json, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from bids_t1.data.acquisition import Acquisition

S = uni_of(readouts())


def find(dataset: Path, **filters: object) -> tuple[Acquisition, ...]:
    return discover.find(dataset, "01", filters={"IRT1": filters}).runs


def times(acquisition: Acquisition) -> list[float]:
    return sorted(file.sidecar.seconds("InversionTime") or 0.0 for file in acquisition.files)


def test_participants_are_the_folders_with_images(tmp_path: Path) -> None:
    write_run(tmp_path, "02")
    write_run(tmp_path, "a1", session="x")
    (tmp_path / "sub-03" / "dicom" / "series" / "deep").mkdir(parents=True)
    (tmp_path / "sub-04_T1w.nii.gz").touch()
    write_run(tmp_path / "sourcedata", "05")
    assert participants(tmp_path) == ("02", "a1")


def test_a_dataset_of_links_is_found_like_any_other(tmp_path: Path) -> None:
    write_run(tmp_path / "store")
    dataset = write_root(tmp_path / "dataset")
    (dataset / "sub-01").mkdir()
    (dataset / "sub-01" / "anat").symlink_to(tmp_path / "store" / "sub-01" / "anat")
    assert participants(dataset) == ("01",)


def test_one_run_is_one_acquisition_named_without_inv_and_part(tmp_path: Path) -> None:
    write_run(write_root(tmp_path), parts=("real", "imag"))
    (acquisition,) = find(tmp_path)
    assert str(acquisition.name) == "sub-01_IRT1"
    assert len(acquisition.files) == 2 * len(TIMES)


def test_an_index_is_not_kept_when_a_participant_is_read(tmp_path: Path) -> None:
    write_run(write_root(tmp_path))
    find(tmp_path)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one).__name__ in {"BIDSLayout", "ConnectionManager"}]


def test_sessions_runs_and_acquisitions_are_told_apart(tmp_path: Path) -> None:
    write_root(tmp_path)
    for session in ("a", "b"):
        for entities in ("_acq-gold_run-1", "_acq-gold_run-02", "_acq-fast_chunk-1"):
            write_run(tmp_path, session=session, entities=entities)
    names = [f"{found.name}" for found in find(tmp_path)]
    assert len(names) == 6
    assert "sub-01_ses-a_acq-gold_run-2_IRT1" in names
    assert "sub-01_ses-b_acq-fast_chunk-1_IRT1" in names


def test_indices_with_and_without_zeros_belong_together(tmp_path: Path) -> None:
    write_root(tmp_path)
    write_run(tmp_path, times=TIMES[:2], entities="_run-1")
    write_run(tmp_path, times=TIMES[2:], entities="_run-01", index="{:02d}")
    (acquisition,) = find(tmp_path)
    assert times(acquisition) == list(TIMES)


def test_times_are_inherited_from_the_root(tmp_path: Path) -> None:
    for number, image in enumerate(write_run(write_root(tmp_path)), 1):
        sidecar(image).unlink()
        write_json(tmp_path / f"inv-{number}_IRT1.json", {"InversionTime": number / 10})
    write_json(tmp_path / "IRT1.json", {"RepetitionTime": 7.0})
    write_json(tmp_path / "sub-01" / "sub-01_inv-2_IRT1.json", {"InversionTime": 0.25})
    (acquisition,) = find(tmp_path)
    assert times(acquisition) == [0.1, 0.25, 0.3, 0.4, 0.5]
    assert {file.sidecar.seconds("RepetitionTime") for file in acquisition.files} == {7.0}


def test_only_this_participant_is_read(tmp_path: Path) -> None:
    write_root(tmp_path)
    write_run(tmp_path, "01")
    write_run(tmp_path, "011")
    for folder in ("sub-011/anat", "derivatives/x/sub-01/anat", "sourcedata/sub-01/anat"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "sub-01_inv-1_IRT1.json").write_text("broken")
    (acquisition,) = find(tmp_path)
    assert len(acquisition.files) == len(TIMES)


def test_participants_without_the_sequence_have_no_acquisitions(tmp_path: Path) -> None:
    write_run(write_root(tmp_path))
    assert discover.find(tmp_path, "99") == discover.Found((), ())
    write_image(tmp_path / "sub-02" / "anat" / "sub-02_T1w.nii.gz", T1)
    assert discover.find(tmp_path, "02") == discover.Found((), ())


def test_a_missing_dataset_description_is_no_obstacle(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert len(find(tmp_path)) == 1


@pytest.mark.parametrize("content", ["{", "", '{"InversionTime": 0.1,}', "[1, 2]", '"text"', "\xff"])
def test_a_broken_sidecar_is_named(tmp_path: Path, content: str) -> None:
    image = write_run(write_root(tmp_path))[1]
    sidecar(image).write_bytes(content.encode("latin-1"))
    (acquisition,) = find(tmp_path)
    with pytest.raises(InvalidInputError, match=rf"^sub-01/anat/{sidecar(image).name}: is "):
        times(acquisition)


def test_filters_choose_by_any_entity(tmp_path: Path) -> None:
    write_root(tmp_path)
    write_run(tmp_path, entities="_acq-gold")
    write_run(tmp_path)
    assert [str(found.name) for found in find(tmp_path, acquisition="gold")] == ["sub-01_acq-gold_IRT1"]
    assert [str(found.name) for found in find(tmp_path, acquisition=None)] == ["sub-01_IRT1"]
    assert len(find(tmp_path, suffix="IRT1", datatype="anat")) == 2
    assert [len(found.files) for found in find(tmp_path, inv=["1", "2", "4"])] == [3, 3]


def test_sessions_are_chosen(tmp_path: Path) -> None:
    write_root(tmp_path)
    for session in ("a", "b"):
        write_run(tmp_path, session=session)
    found = discover.find(tmp_path, "01", sessions=["b"]).runs
    assert [str(run.name) for run in found] == ["sub-01_ses-b_IRT1"]


def test_a_choice_that_leaves_nothing_is_an_error_of_selection(tmp_path: Path) -> None:
    write_run(write_root(tmp_path))
    with pytest.raises(NothingSelectedError, match=r"sub-01: has IRT1 images, but none with \{'acquisition': 'x'\}"):
        find(tmp_path, acquisition="x")
    with pytest.raises(NothingSelectedError, match="--session-label"):
        discover.find(tmp_path, "01", sessions=["9"])


@pytest.mark.parametrize("filters", [{"subject": "02"}, {"suffix": "T1w"}])
def test_filters_do_not_choose_participants_or_suffix(tmp_path: Path, filters: dict[str, object]) -> None:
    write_run(write_root(tmp_path))
    with pytest.raises(UsageError, match="Choose participants with --participant-label"):
        find(tmp_path, **filters)


def test_an_unknown_entity_in_a_filter_is_named(tmp_path: Path) -> None:
    write_run(write_root(tmp_path))
    with pytest.raises(UsageError, match="--bids-filter-file: 'colour' is not a recognized entity; expected"):
        find(tmp_path, colour="red")


def test_file_names_that_are_not_bids_are_named(tmp_path: Path) -> None:
    image = write_run(write_root(tmp_path))[0]
    image.rename(image.with_name("sub-01_left_IRT1.nii.gz"))
    with pytest.raises(InvalidInputError, match=r"sub-01_left_IRT1\.nii\.gz: 'left' is not a BIDS entity"):
        find(tmp_path)


def test_a_saved_index_is_used(tmp_path: Path) -> None:
    from bids import BIDSLayout  # noqa: PLC0415 - heavy

    write_run(write_root(tmp_path / "data"))
    BIDSLayout(tmp_path / "data", validate=False, database_path=tmp_path / "index")
    for image in (tmp_path / "data").rglob("*.json"):
        image.unlink()
    (acquisition,) = discover.find(tmp_path / "data", "01", database=tmp_path / "index").runs
    assert times(acquisition) == list(TIMES)


def test_sidecar_messages_name_the_image_s_own_sidecar(tmp_path: Path) -> None:
    image = write_run(write_root(tmp_path))[0]
    change_json(sidecar(image), InversionTime=350)
    (acquisition,) = find(tmp_path)
    (file,) = [file for file in acquisition.files if file.path.name == image.name]
    with pytest.raises(InvalidInputError, match=r"^sub-01_inv-1_IRT1\.json: InversionTime is 350"):
        file.sidecar.seconds("InversionTime")


@pytest.mark.parametrize("content", ["{", "[]", '{"IRT1": 3}', '"IRT1"'])
def test_a_broken_filter_file_is_an_error_of_usage(tmp_path: Path, content: str) -> None:
    path = tmp_path / "filters.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r'filters\.json: .*expected.*\{"IRT1": \{"acquisition": "gold"\}\}'):
        read_filters(path)


def test_filter_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "filters.json"
    path.write_text(json.dumps({"IRT1": {"acquisition": "gold"}}))
    assert read_filters(path) == {"IRT1": {"acquisition": "gold"}}
    assert read_filters(None) == {}
    with pytest.raises(UsageError, match="No such file"):
        read_filters(tmp_path / "none.json")


def test_labels_are_required_once_each_and_in_the_order_given() -> None:
    assert require(["1", "2", "3"], [], "participant") == ("1", "2", "3")
    assert require(["1", "2", "3"], ["3", "1", "3"], "participant") == ("3", "1")
    with pytest.raises(NothingSelectedError, match=r"participant 7: not in the dataset, which has 1, 2\. Check"):
        require(["1", "2"], ["2", "7"], "participant")


def named(dataset: Path, **choice: Any) -> dict[str, list[str]]:
    """Return the files of each run, by the name of the run."""
    runs = discover.find(dataset, "01", **choice).runs
    return {str(run.name): [file.path.name for file in run.files] for run in runs}


def test_readouts_of_one_run_share_a_name_without_inv_and_part(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(3), entities="_acq-a_run-01")
    write_readouts(tmp_path, readouts(), entities="_acq-b")
    write_run(tmp_path)
    runs = discover.find(tmp_path, "01").runs
    assert {str(run.name): (run.sequence, len(run.files)) for run in runs} == {
        "sub-01_IRT1": ("IRT1", len(TIMES)),
        "sub-01_acq-a_run-1_MP2RAGE": ("MP2RAGE", 6),
        "sub-01_acq-b_MP2RAGE": ("MP2RAGE", 4),
    }


def test_a_suffix_of_three_readouts_is_accepted(tmp_path: Path) -> None:
    for image in write_readouts(write_root(tmp_path), readouts(3), ("mag",)):
        for path in (image, sidecar(image)):
            path.rename(path.with_name(path.name.replace("MP2RAGE", "MP3RAGE")))
    write_uni(tmp_path, S)
    (run,) = discover.find(tmp_path, "01").runs
    assert (str(run.name), run.sequence, len(run.files)) == ("sub-01_MP3RAGE", "MP2RAGE", 4)
    assert all("InversionTime" in file.sidecar.fields for file in run.files[:3])


@pytest.mark.parametrize(
    ("readout", "uni", "joined"),
    [
        ("", "", True),
        ("_acq-x", "_acq-x", True),
        ("_acq-x_run-1", "_acq-x_run-01", True),
        ("", "_rec-x", True),
        ("_rec-x", "", True),
        ("_rec-x", "_rec-x", True),
        ("_rec-x", "_rec-y", False),
        ("_rec-x", "_rec-denoised", True),
        ("", "_rec-denoised", True),
        ("", "_acq-x", False),
        ("_acq-x", "", False),
        ("_run-1", "_run-2", False),
        ("_ses-a", "_ses-b", False),
    ],
)
def test_unit1_joins_the_readouts_it_was_made_from(tmp_path: Path, readout: str, uni: str, joined: bool) -> None:
    write_readouts(write_root(tmp_path), readouts(), ("mag",), entities=readout)
    write_uni(tmp_path, S, entities=uni)
    runs = named(tmp_path)
    assert len(runs) == (1 if joined else 2)
    assert sum(len(files) for files in runs.values()) == 3


def test_unit1_without_readouts_is_a_run_of_its_own(tmp_path: Path) -> None:
    write_uni(write_root(tmp_path), S, entities="_acq-a")
    write_uni(tmp_path, S, entities="_acq-a_rec-denoised")
    write_uni(tmp_path, S, entities="_acq-b_rec-norm")
    write_uni(tmp_path, S, entities="_acq-b_rec-denoised")
    assert named(tmp_path) == {
        "sub-01_acq-a_UNIT1": ["sub-01_acq-a_UNIT1.nii.gz", "sub-01_acq-a_rec-denoised_UNIT1.nii.gz"],
        "sub-01_acq-b_rec-norm_UNIT1": ["sub-01_acq-b_rec-norm_UNIT1.nii.gz", "sub-01_acq-b_rec-denoised_UNIT1.nii.gz"],
    }
    assert {run.sequence for run in discover.find(tmp_path, "01").runs} == {"MP2RAGE"}


def test_transmit_fields_of_all_sessions_come_with_their_metadata(tmp_path: Path) -> None:
    write_root(tmp_path)
    for session in ("a", "b"):
        write_readouts(tmp_path, readouts(), entities=f"_ses-{session}")
        write_image(tmp_path / f"sub-01/ses-{session}/fmap/sub-01_ses-{session}_TB1map.nii.gz", T1)
    write_json(tmp_path / "TB1map.json", {"Units": "percent"})
    found = discover.find(tmp_path, "01", sessions=["b"])
    assert [str(run.name) for run in found.runs] == ["sub-01_ses-b_MP2RAGE"]
    files = [file for images in found.transmit_fields for file in images.files]
    assert [file.path.name for file in files] == ["sub-01_ses-a_TB1map.nii.gz", "sub-01_ses-b_TB1map.nii.gz"]
    assert {file.sidecar.text("Units") for file in files} == {"percent"}


def test_images_of_one_measurement_of_the_transmit_field_belong_together(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts())
    names = {
        "sub-01_TB1TFL": ["_acq-anat", "_acq-famp"],
        "sub-01_acq-Test_run-2_TB1TFL": ["_acq-anatTest_run-02", "_acq-fampTest_run-02"],
        "sub-01_TB1AFI": ["_acq-tr1", "_acq-tr2"],
        "sub-01_run-1_TB1DAM": ["_run-1_flip-1", "_run-1_flip-2"],
        "sub-01_run-2_TB1DAM": ["_run-2_flip-1", "_run-2_flip-2"],
        "sub-01_TB1SRGE": [f"_flip-{n}_inv-{n}_part-{part}" for n in (1, 2) for part in ("mag", "phase")],
        "sub-01_acq-x_TB1EPI": [f"_acq-x_echo-{echo}_flip-{flip:02d}" for echo in (1, 2) for flip in (1, 2)],
        "sub-01_acq-trx_TB1map": ["_acq-trx"],
    }
    for name, members in names.items():
        for member in members:
            write_image(tmp_path / f"sub-01/fmap/sub-01{member}_{name.rpartition('_')[2]}.nii.gz", T1)
    found = {str(images.name): images for images in discover.find(tmp_path, "01").transmit_fields}
    assert set(found) == set(names)
    for name, images in found.items():
        suffix = name.rpartition("_")[2]
        assert images.suffix == suffix
        files = sorted(file.path.name for file in images.files)
        assert files == sorted(f"sub-01{member}_{suffix}.nii.gz" for member in names[name])


def test_each_suffix_has_its_own_filter(tmp_path: Path) -> None:
    write_root(tmp_path)
    for entities in ("_acq-a", "_acq-b"):
        write_readouts(tmp_path, readouts(), ("mag",), entities=entities)
        write_uni(tmp_path, S, entities=entities)
        write_image(tmp_path / f"sub-01/fmap/sub-01{entities}_TB1map.nii.gz", T1)
        write_run(tmp_path, entities=entities)
    filters = {"MP2RAGE": {"acquisition": "a"}, "UNIT1": {"acquisition": "a"}, "TB1map": {"acquisition": "b"}}
    found = discover.find(tmp_path, "01", filters=filters)
    assert [str(run.name) for run in found.runs] == [
        "sub-01_acq-a_IRT1",
        "sub-01_acq-b_IRT1",
        "sub-01_acq-a_MP2RAGE",
    ]
    assert [str(images.name) for images in found.transmit_fields] == ["sub-01_acq-b_TB1map"]


@pytest.mark.parametrize("suffix", ["MP2RAGE", "UNIT1", "TB1map"])
def test_a_filter_that_leaves_none_of_its_suffix_is_an_error(tmp_path: Path, suffix: str) -> None:
    write_readouts(write_root(tmp_path), readouts(), ("mag",))
    write_uni(tmp_path, S)
    write_image(tmp_path / "sub-01" / "fmap" / "sub-01_TB1map.nii.gz", T1)
    with pytest.raises(NothingSelectedError, match=f"sub-01: has {suffix} images, but none with"):
        discover.find(tmp_path, "01", filters={suffix: {"acquisition": "x"}})


def test_a_session_without_one_of_the_sequences_is_no_error(tmp_path: Path) -> None:
    write_run(write_root(tmp_path), session="a")
    write_readouts(tmp_path, readouts(), ("mag",), entities="_ses-b")
    assert list(named(tmp_path, sessions=["b"])) == ["sub-01_ses-b_MP2RAGE"]
    assert list(named(tmp_path, sessions=["b"], filters={"IRT1": {"acquisition": None}})) == ["sub-01_ses-b_MP2RAGE"]
