"""What a folder holds and a run lacks is told, file by file, and a bad sidecar stops only whom it concerns."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from bids_t1.bids import discover
from bids_t1.data.errors import InvalidInputError, UsageError
from tests.small_bids import TIMES, sidecar, write_json, write_root, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def copied(ending: str) -> Callable[[Path], object]:
    return lambda image: shutil.copy(image, image.with_name(image.name.replace("_IRT1.nii.gz", ending)))


def numbered(label: str) -> Callable[[Path], object]:
    """Give an image another number, with its sidecar."""

    def rename(image: Path) -> None:
        for path in (sidecar(image), image):
            path.rename(path.with_name(path.name.replace("inv-3", f"inv-{label}")))

    return rename


def called(ending: str) -> Callable[[Path], object]:
    return lambda image: image.rename(image.with_name(image.name.replace("_IRT1.nii.gz", ending)))


def folder(image: Path) -> None:
    image.unlink()
    image.mkdir()


def both(image: Path) -> None:
    sidecar(image).unlink()
    image.unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (called("_irt1.nii.gz"), "sub-01_inv-3_irt1.nii.gz: left out, its suffix is _irt1; expected _IRT1"),
        (
            called("_IRT1.nii.gz.part"),
            "sub-01_inv-3_IRT1.nii.gz.part: left out, it ends in .nii.gz.part; expected .nii",
        ),
        (called("_IRT1.NII.GZ"), "sub-01_inv-3_IRT1.NII.GZ: left out, it ends in .NII.GZ; expected .nii.gz"),
        (called("_part-phase_IRT1.nii.gz"), "sub-01_IRT1: inv-3 has part-phase that others lack, and lacks part-mag"),
        (folder, "sub-01_inv-3_IRT1.nii.gz: left out, it is a folder"),
        (os.unlink, "sub-01_inv-3_IRT1.json: left out, it describes no image that is here"),
        (both, "sub-01_IRT1: has inv-1, inv-2, inv-4, inv-5 and lacks inv-3"),
        (numbered("30"), "sub-01_IRT1: has inv-1, inv-2, inv-4, inv-5, inv-30 and lacks inv-3, inv-6 to inv-29;"),
        (numbered("three"), "sub-01_IRT1: has inv-three; expected a number in its place"),
        (copied("_IRT1 (1).nii.gz"), "sub-01_inv-3_IRT1 (1).nii.gz: left out, its name goes on behind _IRT1"),
        (copied("_IRT1__dup-01.nii.gz"), "sub-01_inv-3_IRT1__dup-01.nii.gz: left out, its name goes on behind _IRT1"),
        (copied("_IRT1.1.nii.gz"), "sub-01_inv-3_IRT1.1.nii.gz: left out, it ends in .1.nii.gz; expected .nii.gz"),
    ],
)
def test_an_image_that_is_left_out_is_told(tmp_path: Path, spoil: Callable[[Path], object], told: str) -> None:
    spoil(write_run(write_root(tmp_path))[2])
    (run,) = discover.find(tmp_path, "01").runs
    assert any(warning.startswith(told) for warning in run.warnings), run.warnings


def test_numbers_that_do_not_begin_with_one_and_are_far_apart_may_be_times(tmp_path: Path) -> None:
    for image, time in zip(write_run(write_root(tmp_path)), TIMES, strict=True):
        for path in (sidecar(image), image):
            path.rename(path.with_name(re.sub(r"inv-\d", f"inv-{1000 * time:.0f}", path.name)))
    (run,) = discover.find(tmp_path, "01").runs
    assert len(run.files) == len(TIMES)
    assert run.warnings == ()


def test_a_whole_run_with_inherited_metadata_and_a_choice_by_filter_has_nothing_to_tell(tmp_path: Path) -> None:
    for image in write_run(write_root(tmp_path)):
        sidecar(image).rename(tmp_path / sidecar(image).name)
    write_json(tmp_path / "sub-01" / "anat" / "sub-01_IRT1.json", {"RepetitionTime": 7})
    found = discover.find(tmp_path, "01", filters={"IRT1": {"inv": ["1", "2", "4"]}})
    assert [run.warnings for run in found.runs] == [()]
    assert found.warnings == ()


def test_a_sidecar_that_cannot_be_read_stops_only_whom_it_concerns(tmp_path: Path) -> None:
    for participant in ("01", "02"):
        write_run(write_root(tmp_path), participant)
    (tmp_path / "participants.json").symlink_to("nowhere")
    (tmp_path / "T1w.json").write_text("[" * 100_000)
    os.mkfifo(tmp_path / "MEGRE.json")
    os.mkfifo(tmp_path / "sub-01" / "layout_config.json")
    (tmp_path / "sub-02_IRT1.json").symlink_to("nowhere")
    for participant, whole in (("01", True), ("02", False)):
        (run,) = discover.find(tmp_path, participant).runs
        assert len(run.files) == len(TIMES)
        if whole:
            assert run.files[0].sidecar.seconds("InversionTime") == TIMES[0]
        else:
            with pytest.raises(InvalidInputError, match=r"^sub-02_IRT1\.json: is a link to content that is not there"):
                run.files[0].sidecar.seconds("InversionTime")


@pytest.mark.parametrize("link", [True, False])
def test_images_of_another_participant_are_refused(tmp_path: Path, link: bool) -> None:
    write_run(write_root(tmp_path), "01")
    other = tmp_path / "sub-02"
    if link:
        other.symlink_to("sub-01")
    else:
        (tmp_path / "sub-01").rename(other)
    with pytest.raises(InvalidInputError, match=r"^sub-02/anat/sub-01_inv-1_IRT1\.nii\.gz: is called after sub-01"):
        discover.find(tmp_path, "02")


@pytest.mark.parametrize(
    "filters",
    [
        {"run": 10**30},
        {"run": [1, [2]]},
        {"acquisition": {"a": 1}},
        {"return_type": "id"},
        {"scope": "all"},
        {"run": float("nan")},
    ],
)
def test_filters_that_choose_no_entity_or_no_value_are_refused(tmp_path: Path, filters: dict[str, object]) -> None:
    write_json(tmp_path / "filter.json", {"IRT1": filters})
    with pytest.raises(UsageError, match=r"filter\.json \[IRT1\]: '(run|acquisition|return_type|scope)' is"):
        discover.read_filters(tmp_path / "filter.json")


def test_fields_of_the_metadata_choose_too(tmp_path: Path) -> None:
    write_run(write_root(tmp_path))
    (run,) = discover.find(tmp_path, "01", filters={"IRT1": {"InversionTime": list(TIMES[:3])}}).runs
    assert len(run.files) == 3


@pytest.mark.parametrize("content", [b"junk", b""])
def test_an_index_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    write_run(write_root(tmp_path / "data"))
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "layout_index.sqlite").write_bytes(content)
    with pytest.raises(UsageError, match="is no index of pybids that can be read"):
        discover.find(tmp_path / "data", "01", database=tmp_path / "index")


def test_labels_that_differ_in_case_only_are_found() -> None:
    assert discover.alike(["01", "ab", "AB", "b"]) == (("ab", "AB"),)
