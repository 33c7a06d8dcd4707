"""From each kind of input to validated derivatives with the right T1."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.data.outputs import outputs_of
from tests import command, validator
from tests.small_bids import open_image

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Finished


def check_t1(truth: Path, out_dir: Path, label: str = "01") -> None:
    """The error is noise: its median is near none, and the SD maps know its size."""
    name = f"sub-{label}/anat/sub-{label}_desc-"
    # Scanner files say where voxels lie, and conversion may turn their axes: compare in scanner coordinates.
    true, t1, sd = (
        nib.as_closest_canonical(open_image(folder / f"{name}{what}_T1map.nii.gz"))
        for folder, what in ((truth, "truth"), (out_dir, "IRT1"), (out_dir, "IRT1sd"))
    )
    np.testing.assert_allclose(true.affine, t1.affine, atol=1e-3)
    values = np.asanyarray(true.dataobj)
    known = np.isfinite(np.asanyarray(t1.dataobj)) & (values > 0.5) & (values < 2)
    assert known.sum() > 300
    error = (np.asanyarray(t1.dataobj) - values)[known]
    standard = error / np.asanyarray(sd.dataobj)[known]
    assert abs(np.median(error / values[known])) < 0.01
    assert abs(np.median(standard)) < 0.2
    assert 0.5 < np.median(np.abs(standard)) / 0.6745 < 1.5


def test_bids_in_t1_out(bids_done: Finished) -> None:
    assert bids_done.answer.code == 0, bids_done.answer.said
    for label in ("01", "02"):
        check_t1(bids_done.bids_dir / "derivatives" / "truth", bids_done.out_dir, label)
    assert validator.errors(bids_done.out_dir) == []
    assert command.leftovers(bids_done.out_dir) == []
    assert bids_done.answer.said.splitlines()[-1].endswith(f"open {bids_done.out_dir}/sub-*.html")


def test_dicom_in_t1_out(dicom_done: Finished) -> None:
    assert dicom_done.answer.code == 0, dicom_done.answer.said
    check_t1(dicom_done.bids_dir.with_name("data_truth"), dicom_done.out_dir)
    assert validator.errors(dicom_done.out_dir) == []
    assert validator.errors(dicom_done.out_dir / "sourcedata" / "raw") == []
    assert command.leftovers(dicom_done.out_dir) == []


def test_every_row_of_the_table_of_outputs_is_written_and_nothing_else(bids_done: Finished) -> None:
    of_tissue = {"share"}  # where a fast component shows itself: not in the phantom of water
    expected = {f"sub-01_{row.ending}" for row in outputs_of("IRT1") if row.quantity not in of_tissue}
    written = {path.name.split(".")[0] for path in (bids_done.out_dir / "sub-01" / "anat").iterdir()}
    assert written == expected | {"sub-01_desc-quality_metrics"}


def test_sources_of_the_maps_exist(dicom_done: Finished) -> None:
    links = json.loads((dicom_done.out_dir / "dataset_description.json").read_text())["DatasetLinks"]
    for sidecar in (dicom_done.out_dir / "sub-01").rglob("*map.json"):
        sources = json.loads(sidecar.read_text())["Sources"]
        assert len(sources) == 6
        for source in sources:
            _, dataset, path = source.split(":")
            assert (dicom_done.out_dir / links[dataset] / path).is_file()


def test_nothing_identifies_the_patient(dicom_done: Finished) -> None:
    secrets = command.secrets_of(dicom_done.bids_dir)
    assert command.betrayed(dicom_done.out_dir, secrets) == []
    assert not [secret for secret in secrets if secret in dicom_done.answer.said]


def test_the_input_is_only_read_and_a_second_run_reuses_the_conversion(
    dicom_phantom: Path, dicom_done: Finished, tmp_path: Path
) -> None:
    before = command.listing(dicom_phantom, times=True)
    out_dir = tmp_path / "out"
    shutil.copytree(dicom_done.out_dir, out_dir)
    raw = command.listing(out_dir / "sourcedata", times=True)
    first = command.listing(out_dir)
    assert command.participant(dicom_phantom, out_dir, "-w", tmp_path / "work").code == 0
    assert (
        command.listing(out_dir / "sourcedata" / "raw" / "sub-01", times=True).items()
        <= {name.removeprefix("raw/sub-01/"): entry for name, entry in raw.items()}.items()
    )
    assert list((tmp_path / "work").iterdir()) == []
    second = command.listing(out_dir)
    changed = {name for name in first | second if first.get(name) != second.get(name)}
    # The command line is written down, and has --work-dir now.
    assert changed <= {"logs/sub-01.json", "sub-01.html"}
    assert command.listing(dicom_phantom, times=True) == before


def test_a_conversion_record_that_cannot_be_read_is_no_obstacle(
    dicom_phantom: Path, dicom_done: Finished, tmp_path: Path
) -> None:
    shutil.copytree(dicom_done.out_dir, tmp_path / "out")
    (tmp_path / "out" / "logs" / "sub-01.conversion.json").write_text('{"digest": 3}')
    assert command.participant(dicom_phantom, tmp_path / "out").code == 0


def test_the_same_input_gives_the_same_bytes_from_any_number_of_processes(bids_done: Finished, tmp_path: Path) -> None:
    before = command.listing(bids_done.bids_dir, times=True)
    answer = command.participant(bids_done.bids_dir, tmp_path / "out", "--nprocs", "2", "--omp-nthreads", "1")
    assert answer.code == 0
    assert "2 runs of 2 participants without failure" in answer.said
    for label in ("sub-01", "sub-02"):
        assert command.listing(tmp_path / "out" / label) == command.listing(bids_done.out_dir / label)
    assert command.listing(bids_done.bids_dir, times=True) == before


def test_sourcedata_with_sessions(dicom_phantom: Path, tmp_path: Path) -> None:
    dataset, out_dir = tmp_path / "data", tmp_path / "out"
    for session in ("a", "b"):
        shutil.copytree(dicom_phantom / "sub-01", dataset / "sourcedata" / "sub-01" / f"ses-{session}")
    (dataset / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    assert command.participant(dataset, out_dir, "--session-label", "ses-a").code == 0
    assert not (out_dir / "sub-01" / "ses-b").exists()
    answer = command.participant(dataset, out_dir)
    assert answer.code == 0, answer.said
    assert "2 runs of 1 participant" in answer.said
    assert (out_dir / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_desc-IRT1_T1map.nii.gz").is_file()
    assert validator.errors(out_dir) == validator.errors(out_dir / "sourcedata" / "raw") == []
    page = (out_dir / "sub-01.html").read_text()
    assert "ses-a" in page
    assert "ses-b" in page
    assert command.participant(dataset, out_dir, "--session-label", "c").code == 18
    assert command.participant(dataset, out_dir, "--reports-only").code == 0


@pytest.mark.parametrize(("options", "label"), [((), "01"), (("--participant-label", "sub-P7"), "P7")])
def test_ten_files_in_one_flat_folder(tmp_path: Path, options: tuple[str, ...], label: str) -> None:
    """The layout of the ISMRM reproducibility challenge: one slice, one DICOM file per inversion time."""
    times = ("0.05", "0.1", "0.2", "0.35", "0.55", "0.8", "1.2", "1.7", "2.3", "3.0")
    words = ("--format", "dicom", "--layout", "flat", "--one-series", "--inversion-times", *times)
    folder = command.phantom(tmp_path / "data", *words)
    assert len(list(folder.iterdir())) == 10
    answer = command.participant(folder, tmp_path / "out", *options)
    assert answer.code == 0, answer.said
    truth, out_dir = tmp_path / "data_truth", tmp_path / "out"
    if label != "01":
        shutil.copytree(truth / "sub-01", truth / f"sub-{label}")
        for path in (truth / f"sub-{label}" / "anat").iterdir():
            path.rename(path.with_name(path.name.replace("sub-01", f"sub-{label}")))
    check_t1(truth, out_dir, label)
    sidecar = json.loads((out_dir / f"sub-{label}/anat/sub-{label}_desc-IRT1_T1map.json").read_text())
    assert sidecar["InversionTimes"] == [float(time) for time in times]
    assert sidecar["RepetitionTimes"] == [6.0] * 10


def test_a_dataset_inside_the_derivatives_is_processed(bids_phantom: Path, tmp_path: Path) -> None:
    """The layout that BIDS recommends for derivatives keeps the raw data in out_dir/sourcedata/raw."""
    raw = tmp_path / "out" / "sourcedata" / "raw"
    shutil.copytree(bids_phantom, raw)
    before = command.listing(raw, times=True)
    assert command.participant(raw, tmp_path / "out", "--participant-label", "01").code == 0
    assert command.listing(raw, times=True) == before


def test_scanner_files_are_not_converted_into_the_input(dicom_phantom: Path, tmp_path: Path) -> None:
    raw = tmp_path / "out" / "sourcedata" / "raw"
    shutil.copytree(dicom_phantom, raw)
    before = command.listing(raw, times=True)
    answer = command.participant(raw, tmp_path / "out")
    assert answer.code == 64
    assert "expected another out_dir" in answer.said
    assert command.listing(raw, times=True) == before


def test_derivatives_inside_the_input_are_not_taken_for_input(dicom_phantom: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(dicom_phantom, folder)
    for _ in range(2):
        answer = command.participant(folder, folder / "derivatives" / "bids_t1")
        assert answer.code == 0, answer.said
        assert "1 run of 1 participant" in answer.said


def test_sources_are_found_where_some_participants_were_converted_and_others_not(
    bids_phantom: Path, dicom_phantom: Path, tmp_path: Path
) -> None:
    dataset, out_dir = tmp_path / "data", tmp_path / "out"
    shutil.copytree(bids_phantom, dataset)
    shutil.copytree(dicom_phantom / "sub-01", dataset / "sourcedata" / "sub-03")
    assert command.participant(dataset, out_dir, "--participant-label", "03", "02").code == 0
    links = json.loads((out_dir / "dataset_description.json").read_text())["DatasetLinks"]
    for label in ("02", "03"):
        sidecar = out_dir / f"sub-{label}/anat/sub-{label}_desc-IRT1_T1map.json"
        for source in json.loads(sidecar.read_text())["Sources"]:
            _, name, path = source.split(":")
            assert (out_dir / links[name] / path).is_file()
    assert validator.errors(out_dir) == []
