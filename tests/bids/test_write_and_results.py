"""What is written is what is read back, and the same bytes every time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.bids import logs, results, write
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import CannotCreateOutputError, InputOutputError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.grid import Grid
from bids_t1.data.outputs import outputs_of
from bids_t1.data.result import Example, RunResult
from bids_t1.storage import publishing, write_whole
from tests.small_bids import open_image

if TYPE_CHECKING:
    from pathlib import Path

AFFINE = np.array([[-1.6, 0.5, 0.1, 9], [0.4, 1.9, -0.2, -7], [0.1, 0.3, 3.1, 2.5], [0, 0, 0, 1]])


def run_result(session: str | None = None, *, run: str | None = None) -> RunResult:
    rng = np.random.default_rng(0)
    maps = {row.quantity: rng.random((3, 4, 2)).astype(np.float32) for row in outputs_of("IRT1")}
    maps["time"][0, 0, 0] = np.nan
    maps["status"] = rng.integers(0, 7, (3, 4, 2)).astype(np.uint8)
    return RunResult(
        name=BidsName.build({"sub": "01", "ses": session, "run": run, "desc": "IRT1"}, "T1map"),
        sequence="IRT1",
        grid=Grid((3, 4, 2), AFFINE),
        maps=maps,
        record={"Sources": ["bids:raw:sub-01/x.nii.gz"], "InversionTimes": [0.1, 0.5], "RepetitionTimes": [None, 2.0]},
        status_counts={"FITTED": 3},
        examples=(
            Example(voxel=(1, 2, 0), times=(0.1, 0.5), measured=(-3.0, 4.0), fitted=(-3.1, 4.1), estimate=0.9, sd=0.01),
        ),
        warnings=("a warning",),
    )


def save(out_dir: Path, run: RunResult, *, failures: tuple[str, ...] = ()) -> None:
    folder = run.name.folder(".")
    with publishing(out_dir, out_dir.relative_to(out_dir) / folder) as fresh:
        write.write_run(fresh, run)
    log = {
        "runs": [write.log_of_run(run)],
        **dict.fromkeys(("anatomies", "comparisons", "in_templates", "regions", "agreements"), ()),
        "failures": list(failures),
        "warnings": ["of the conversion"],
        "series": [{"number": 3, "description": "IR", "n_files": 2, "outcome": "kept"}],
        "versions": {"bids_t1": "0"},
        "command": "bids_t1",
    }
    write.write_log(logs.log_path(out_dir, "01", run.name.get("ses")), log)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = run_result()
    save(tmp_path, run, failures=("run-2 failed",))
    found = results.read_result(tmp_path, "01")
    assert found is not None
    (read,) = found.runs
    assert (read.name, read.sequence, read.record, read.examples) == (run.name, run.sequence, run.record, run.examples)
    assert (read.status_counts, read.warnings) == (run.status_counts, run.warnings)
    assert (found.failures, found.warnings) == (("run-2 failed",), ("of the conversion",))
    assert found.series[0].description == "IR"
    np.testing.assert_allclose(read.grid.affine, AFFINE, atol=1e-5)
    for quantity, values in run.maps.items():
        np.testing.assert_array_equal(read.maps[quantity], values)


def test_sessions_are_read_together_and_records_of_conversions_are_not_logs(tmp_path: Path) -> None:
    save(tmp_path, run_result("b"))
    save(tmp_path, run_result("a"))
    write.write_log(tmp_path / "logs" / "sub-01_ses-a.conversion.json", {"digest": ""})
    write.write_log(tmp_path / "logs" / "sub-011.json", {})
    found = results.read_result(tmp_path, "01")
    assert found is not None
    assert [run.name.get("ses") for run in found.runs] == ["a", "b"]


def test_every_map_has_its_sidecar_units_and_place(tmp_path: Path) -> None:
    save(tmp_path, run_result(run="2"))
    for row in outputs_of("IRT1"):
        image = tmp_path / "sub-01" / "anat" / f"sub-01_run-2_desc-{row.desc}_{row.suffix}.nii.gz"
        sidecar = json.loads(image.with_name(image.name.replace(".nii.gz", ".json")).read_text())
        assert sidecar["Units"] == row.units
        assert sidecar["SkullStripped"] is False
        assert sidecar["Sources"] == ["bids:raw:sub-01/x.nii.gz"]
        header = open_image(image).header
        assert header["sform_code"] == header["qform_code"] == 1
        assert header.get_xyzt_units() == ("mm", "sec")
        # Without a window of its own, as of M0, a viewer finds one: 0 to 0 says so.
        np.testing.assert_allclose((header["cal_min"], header["cal_max"]), row.view.limits or (0, 0), rtol=1e-6)
        np.testing.assert_allclose(open_image(image).affine, AFFINE, atol=1e-5)
    table = (tmp_path / "sub-01" / "anat" / "sub-01_run-2_desc-IRT1status_dseg.tsv").read_text().splitlines()
    assert len(table) == len(VoxelStatus) + 1
    assert {len(line.split("\t")) for line in table} == {3}


def test_nothing_written_is_no_result(tmp_path: Path) -> None:
    assert results.read_result(tmp_path, "01") is None


@pytest.mark.parametrize("damage", ["log", "fields", "map", "missing"])
def test_damaged_results_are_named(tmp_path: Path, damage: str) -> None:
    save(tmp_path, run_result())
    image = tmp_path / "sub-01" / "anat" / "sub-01_desc-IRT1_R1map.nii.gz"
    match damage:
        case "log":
            (tmp_path / "logs" / "sub-01.json").write_text("{")
        case "fields":
            (tmp_path / "logs" / "sub-01.json").write_text("{}")
        case "map":
            image.write_bytes(image.read_bytes()[:100])
        case "missing":
            image.unlink()
    with pytest.raises(InputOutputError, match=r"sub-01.*\. Process the participant again"):
        results.read_result(tmp_path, "01")


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "sub-01"
    target.mkdir()
    (target / "old").touch()

    def interrupted() -> None:
        with publishing(tmp_path, target.relative_to(tmp_path)) as folder:
            (folder / "new").touch()
            raise OSError(28, "No space left on device")

    with pytest.raises(InputOutputError, match="No space left on device"):
        interrupted()
    assert [path.name for path in tmp_path.rglob("*")] == ["sub-01", "old"]
    with publishing(tmp_path, target.relative_to(tmp_path)) as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["sub-01", "new"]


def test_a_folder_that_cannot_be_made_is_an_error_of_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CannotCreateOutputError, match="cannot be written"),
        publishing(tmp_path / "file", tmp_path.relative_to(tmp_path) / "sub-01"),
    ):
        pass


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputOutputError, match="taken: cannot be written"):
        write_whole(tmp_path / "taken", "text")
    with pytest.raises(InputOutputError, match="none/x: cannot be written"):
        write_whole(tmp_path / "none" / "x", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_the_container_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIDS_T1_CONTAINER", "docker:bids_t1:0.1")
    write.describe_derivatives(tmp_path, {"raw": tmp_path / "raw"})
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Container"] == {"Type": "docker", "Tag": "bids_t1:0.1"}
    assert description["DatasetLinks"] == {"raw": "raw"}
