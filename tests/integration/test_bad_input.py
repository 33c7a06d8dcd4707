"""What is wrong with the input is said with file, value and advice; others go on, and nothing half-written stays."""

from __future__ import annotations

import gzip
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1 import participant as story
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.sequences import BY_SUFFIX
from bids_t1.runs.by_sequence import process
from tests import command
from tests.real_data import real_data
from tests.small_bids import (
    AFFINE,
    SHAPE,
    T1,
    TIMES,
    change_json,
    complex_images,
    open_image,
    sidecar,
    write_image,
    write_root,
    write_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from bids_t1.data.result import RunResult
    from bids_t1.runs.common import Run
    from bids_t1.settings import Settings
    from tests.command import Answer

Images = list["Path"]


def no_time(images: Images) -> None:
    change_json(sidecar(images[1]), InversionTime=None)


def negative_time(images: Images) -> None:
    change_json(sidecar(images[1]), InversionTime=-0.3)


def zero_time(images: Images) -> None:
    change_json(sidecar(images[1]), InversionTime=0)


def milliseconds(images: Images) -> None:
    for image, time in zip(images, TIMES, strict=True):
        change_json(sidecar(image), InversionTime=1000 * time)


def words(images: Images) -> None:
    change_json(sidecar(images[1]), InversionTime="0.3")


def same_time(images: Images) -> None:
    change_json(sidecar(images[1]), InversionTime=TIMES[0])


def two_times(images: Images) -> None:
    for image in images[2:]:
        image.unlink()


def short_repetition(images: Images) -> None:
    change_json(sidecar(images[4]), RepetitionTime=3.0)


def other_grid(images: Images) -> None:
    write_image(images[2], np.ones((9, 8, 2), np.float32))


def truncated(images: Images) -> None:
    images[1].write_bytes(images[1].read_bytes()[:300])


def all_nan(images: Images) -> None:
    for image in images:
        write_image(image, np.full(SHAPE, np.nan, np.float32))


def all_zero(images: Images) -> None:
    for image in images:
        write_image(image, np.zeros(SHAPE, np.int16))


def broken_sidecar(images: Images) -> None:
    sidecar(images[1]).write_text("{")


def phase_only(images: Images) -> None:
    for image in images:
        for path in (image, sidecar(image)):
            path.rename(path.with_name(path.name.replace("_IRT1", "_part-phase_IRT1")))


BAD: dict[Callable[[Images], None], str] = {
    no_time: "sub-01_inv-2_IRT1.json: InversionTime is missing; expected seconds",
    negative_time: "sub-01_inv-2_IRT1.json: InversionTime is -0.3; expected seconds, above 0. Correct the sidecar.",
    zero_time: "sub-01_inv-2_IRT1.json: InversionTime is 0; expected seconds, above 0. Correct the sidecar.",
    milliseconds: "InversionTime is 50; expected seconds, below 30. BIDS times are in seconds: divide by 1000",
    words: "sub-01_inv-2_IRT1.json: InversionTime is '0.3'; expected one number. Correct the sidecar.",
    same_time: "sub-01_inv-1_IRT1.nii.gz and sub-01_inv-2_IRT1.nii.gz: both have InversionTime 0.05 s; expected",
    two_times: "sub-01_IRT1: 2 different inversion times (0.05, 0.3 s); expected at least 3",
    short_repetition: "sub-01_IRT1: RepetitionTime 3 s is not longer than InversionTime 4 s; expected",
    other_grid: "sub-01_inv-3_IRT1.nii.gz: its grid is 9 x 8 x 2 voxels",
    truncated: "sub-01_inv-2_IRT1.nii.gz: cannot be read as NIfTI",
    all_nan: "sub-01_inv-1_IRT1.nii.gz: holds no number; expected an image. Convert it again.",
    all_zero: "sub-01_inv-1_IRT1.nii.gz: holds only zeros; expected an image. Convert it again.",
    broken_sidecar: "sub-01/anat/sub-01_inv-2_IRT1.json: is no JSON object (",
    phase_only: "sub-01_IRT1: has only part phase; expected magnitude, real",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_bad_images_fail_alone_with_a_message_of_what_to_do(spoil: Callable[[Images], None], tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    spoil(write_run(dataset, "01"))
    answer = command.participant(dataset, out_dir)
    assert (answer.code, BAD[spoil] in answer.said) == (16, True), answer.said
    assert "Traceback" not in answer.said
    assert not (out_dir / "sub-01").exists()
    assert command.leftovers(out_dir) == []
    assert (out_dir / "sub-01.html").is_file()


def test_the_others_go_on_and_a_repaired_participant_is_processed(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    images = write_run(dataset, "01")
    write_run(dataset, "02")
    no_time(images)
    answer = command.participant(dataset, out_dir)
    assert answer.code == 1
    assert "1 participant with failures: 01" in answer.said
    assert (out_dir / "sub-02" / "anat").is_dir()
    assert "InversionTime is missing" in (out_dir / "sub-01.html").read_text()
    change_json(sidecar(images[1]), InversionTime=TIMES[1])
    assert command.participant(dataset, out_dir).code == 0
    assert "InversionTime is missing" not in (out_dir / "sub-01.html").read_text()


def test_one_bad_run_leaves_the_other_runs_alone(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    no_time(write_run(dataset, entities="_run-1"))
    write_run(dataset, entities="_run-2")
    answer = command.participant(dataset, out_dir)
    assert answer.code == 1
    assert (out_dir / "sub-01" / "anat" / "sub-01_run-2_desc-IRT1_T1map.nii.gz").is_file()
    assert list(out_dir.rglob("*run-1*")) == []


def test_a_failure_before_the_sessions_were_known_is_forgotten_once_they_are(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    images = write_run(dataset, session="a")
    good = sidecar(images[1]).read_text()
    broken_sidecar(images)
    assert command.participant(dataset, out_dir).code == 16
    sidecar(images[1]).write_text(good)
    assert command.participant(dataset, out_dir).code == 0
    assert "is no JSON object" not in (out_dir / "sub-01.html").read_text()


def test_images_in_and_outside_of_sessions_do_not_overwrite_each_other(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    write_run(dataset)
    write_run(dataset, session="A")
    assert command.participant(dataset, out_dir).code == 0
    assert (out_dir / "sub-01" / "anat").is_dir()
    assert (out_dir / "sub-01" / "ses-A" / "anat").is_dir()


def read(out_dir: Path, what: str) -> NDArray[np.float64]:
    return np.asanyarray(open_image(out_dir / f"sub-01/anat/sub-01_desc-{what}.nii.gz").dataobj)


def test_nan_voxels_are_marked_and_the_others_fitted(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    images = complex_images()
    images[2, 3, 4, 1] = np.nan
    images[0, 0, 0, 0] = np.inf
    write_run(dataset, images=images)
    answer = command.participant(dataset, out_dir)
    assert answer.code == 0, answer.said
    status, t1 = read(out_dir, "IRT1status_dseg"), read(out_dir, "IRT1_T1map")
    marked = status == VoxelStatus.NOT_FINITE
    assert np.argwhere(marked).tolist() == [[0, 0, 0], [3, 4, 1]]
    assert np.isnan(t1[marked]).all()
    fitted = np.isfinite(t1)
    assert fitted.sum() > 120
    assert abs(np.median(t1[fitted] / T1[fitted] - 1)) < 0.01


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_of_the_images_does_not_matter(tmp_path: Path, factor: float) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    write_run(dataset, images=complex_images() * factor)
    assert command.participant(dataset, out_dir).code == 0
    t1 = read(out_dir, "IRT1_T1map")
    fitted = np.isfinite(t1)
    assert fitted.sum() > 120
    assert abs(np.median(t1[fitted] / T1[fitted] - 1)) < 0.01


def test_a_field_that_enters_no_number_is_left_out_when_it_is_wrong(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    for image in write_run(dataset):
        change_json(sidecar(image), EchoTime=97, MagneticFieldStrength="3T")
    assert command.participant(dataset, out_dir).code == 0
    written = (out_dir / "sub-01/anat/sub-01_desc-IRT1_T1map.json").read_text()
    assert "EchoTime" not in written
    assert "MagneticFieldStrength" not in written


def test_grids_that_differ_a_little_leave_a_warning_in_the_page(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    images = write_run(dataset)
    affine = AFFINE.copy()
    affine[0, 3] += 0.1
    write_image(images[2], np.abs(complex_images()[2]).astype(np.float32), affine)
    assert command.participant(dataset, out_dir).code == 0
    assert "0.050 voxels beside those of" in (out_dir / "sub-01.html").read_text()


def crash_for_01(process_run: Callable[[Run, Settings], RunResult]) -> Callable[[Run, Settings], RunResult]:
    def crashing(run: Run, settings: Settings) -> RunResult:
        if run.acquisition.name.get("sub") == "01":
            raise RuntimeError("wires crossed")
        return process_run(run, settings)

    return crashing


def test_a_bug_keeps_its_traceback_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    write_run(dataset, "01")
    write_run(dataset, "02")
    monkeypatch.setattr(story, "process", crash_for_01(process))
    answer = command.participant(dataset, out_dir)
    assert answer.code == 1
    assert 'raise RuntimeError("wires crossed")' in answer.said
    assert "sub-01: unexpected failure; this is a bug, please report it" in answer.said
    assert (out_dir / "sub-02" / "anat").is_dir()
    assert not (out_dir / "sub-01").exists()
    assert command.leftovers(out_dir) == []
    crash = out_dir / "logs" / "sub-01_crash.txt"
    assert 'raise RuntimeError("wires crossed")' in crash.read_text()
    monkeypatch.setattr(story, "process", process)
    assert command.participant(dataset, out_dir).code == 0
    assert not crash.exists()


def test_a_bug_in_the_only_participant_is_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_root(tmp_path / "data")
    write_run(dataset, "01")
    monkeypatch.setattr(story, "process", crash_for_01(process))
    assert command.participant(dataset, tmp_path / "out").code == 1


def test_stopping_at_the_first_failure(tmp_path: Path) -> None:
    dataset, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    no_time(write_run(dataset, "01"))
    write_run(dataset, "02")
    answer = command.participant(dataset, out_dir, "--stop-on-first-crash")
    assert answer.code == 16
    assert "stopping at sub-01, as asked" in answer.said
    assert not (out_dir / "sub-02").exists()


def test_failures_of_different_kinds_are_code_1(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    no_time(write_run(dataset, "01"))
    (dataset / "sub-02").mkdir()
    assert command.participant(dataset, tmp_path / "out").code == 1


def test_images_of_no_known_sequence_are_no_input(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    write_image(dataset / "sub-01" / "anat" / "sub-01_T1w.nii.gz", np.ones(SHAPE, np.float32))
    answer = command.participant(dataset, tmp_path / "out", "--participant-label", "01")
    assert answer.code == 66
    message = f"sub-01: no images with suffix {' or '.join(BY_SUFFIX)} and no DICOM files; expected either"
    assert message in answer.said


@pytest.mark.parametrize("make", ["nothing", "empty folders", "a description", "text files"])
def test_no_participants_is_no_input(tmp_path: Path, make: str) -> None:
    (tmp_path / "data").mkdir()
    match make:
        case "empty folders":
            (tmp_path / "data" / "sub-01" / "dicom").mkdir(parents=True)
        case "a description":
            write_root(tmp_path / "data")
        case "text files":
            (tmp_path / "data" / "sub-01").mkdir()
            (tmp_path / "data" / "sub-01" / "IM_0001.dcm").write_text("no image")
    answer = command.participant(tmp_path / "data", tmp_path / "out")
    assert answer.code == 66
    assert "holds no sub-* folder with images and no DICOM files; expected a BIDS dataset, or DICOM" in answer.said
    assert not (tmp_path / "out").exists()


def test_dicom_files_that_cannot_be_read_are_invalid(dicom_phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(dicom_phantom, tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:150] + b"\xff" * 50)
    answer = command.participant(tmp_path / "data", tmp_path / "out")
    assert answer.code == 16, answer.said
    assert "none of 6 DICOM files can be read; expected complete files. Copy them again" in answer.said
    assert not (tmp_path / "out" / "sub-01").exists()
    assert not list((tmp_path / "out").rglob("*.nii.gz"))
    assert command.leftovers(tmp_path / "out") == []


def test_one_dicom_file_that_cannot_be_read_is_said_in_the_page(dicom_phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(dicom_phantom, tmp_path / "data")
    path = sorted((tmp_path / "data").rglob("*.dcm"))[2]
    path.write_bytes(path.read_bytes()[:150] + b"\xff" * 50)
    answer = command.participant(tmp_path / "data", tmp_path / "out")
    assert answer.code == 0, answer.said
    assert "1 DICOM files cannot be read and are left out" in answer.said
    assert "cannot be read and are left out" in (tmp_path / "out" / "sub-01.html").read_text()


def real(tmp_path: Path, *folder: str) -> tuple[Answer, Path]:
    return command.participant(real_data(*folder), tmp_path / "out"), tmp_path / "out"


@pytest.mark.parametrize("folder", [("look_locker",), ("look_locker", "magnitude")])
def test_look_locker_data_are_refused_by_name(tmp_path: Path, folder: tuple[str, ...]) -> None:
    answer, out_dir = real(tmp_path, *folder)
    assert answer.code == 66, answer.said
    assert "no inversion recovery with at least 3 inversion times was found" in answer.said
    assert "Look-Locker" in answer.said
    assert not list(out_dir.rglob("*.nii.gz"))


@pytest.mark.parametrize(
    "vendor",
    ["ge", "philips", "philips_enhanced", "philips_enhanced_fieldmap", "siemens", "siemens_multiframe", "hitachi",
     "hyperfine"],
)  # fmt: skip
def test_no_inversion_recovery_is_invented(tmp_path: Path, vendor: str) -> None:
    answer, out_dir = real(tmp_path, "dicom_vendors", vendor)
    assert answer.code == 66, answer.said
    assert "Traceback" not in answer.said
    assert "skipped: " in answer.said
    assert not list(out_dir.rglob("*.nii.gz"))


def test_what_nibabel_mends_in_a_header_does_not_reach_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = write_root(tmp_path / "data")
    for path in write_run(dataset):
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[:4] = (100).to_bytes(4, "little")  # sizeof_hdr, which is 348
        path.write_bytes(gzip.compress(bytes(content)))
    answer = command.participant(dataset, tmp_path / "out")
    assert answer.code == 0, answer.said
    assert "sizeof_hdr" not in "".join([*capfd.readouterr(), answer.said])
