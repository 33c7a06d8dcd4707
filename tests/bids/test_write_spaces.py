"""What brings runs together is read back as it was written, and validates."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids import logs, results, write, write_spaces
from bids_t1.data.alignment import Alignment
from bids_t1.data.entities import BidsName
from bids_t1.data.grid import Grid
from bids_t1.data.outputs import ANATOMY, outputs_of
from bids_t1.data.result import Anatomy, Comparison
from bids_t1.data.tissue import Agreement, Hemisphere, RegionStatistics, Tissue
from bids_t1.storage import publishing
from tests import validator
from tests.bids.test_write_and_results import AFFINE, run_result

if TYPE_CHECKING:
    from pathlib import Path

FIXED = run_result()
MOVING = replace(
    run_result(),
    name=BidsName.parse("sub-01_desc-MP2RAGE_T1map.nii.gz"),
    sequence="MP2RAGE",
    maps={"time": FIXED.maps["time"], "time_sd": FIXED.maps["time_sd"]},
)
SPATIAL = {"SpatialReference": "bids::sub-01/anat/sub-01_desc-IRT1_T1map.nii.gz"}


def anatomy() -> Anatomy:
    rng = np.random.default_rng(1)
    maps = {row.quantity: rng.random((3, 4, 2)).astype(np.float32) for row in outputs_of(ANATOMY)}
    maps |= {"brain": np.ones((3, 4, 2), np.uint8), "tissue": np.full((3, 4, 2), 9, np.uint8)}
    return Anatomy(
        name=BidsName.parse("sub-01_space-IRT1_desc-tissue_dseg.nii.gz"),
        runs=(str(FIXED.name),),
        grid=Grid((3, 4, 2), AFFINE),
        maps=maps,
        record={"BrainMask": "of a test", **SPATIAL},
        warnings=("few voxels",),
    )


def comparison(*reasons: str) -> Comparison:
    return Comparison(
        name=BidsName.parse("sub-01_space-IRT1_desc-MP2RAGE_T1map.nii.gz"),
        sequence="MP2RAGE",
        moving=str(MOVING.name),
        fixed=str(FIXED.name),
        grid=FIXED.grid,
        maps={} if reasons else {"time": FIXED.maps["time"]},
        alignment=Alignment(
            matrix=np.diag([1.0, 1, 1, 1]),
            estimated=("rotation x",),
            rotation=1.5,
            translation=2.5,
            overlap=0.9,
            similarity_before=1.1,
            similarity_after=1.2,
            reasons=reasons,
        ),
        record={**SPATIAL, "RegistrationRotation": 1.5},
    )


REGION = RegionStatistics(
    map=str(FIXED.name), tissue=Tissue.WHITE_MATTER, hemisphere=Hemisphere.LEFT, eroded=True, n_voxels=3, volume=0.1,
    not_fitted=0.25, median=0.8, mean=0.81, sd=0.01, quartile_1=0.79, quartile_3=0.82, percentile_5=0.7,
    percentile_95=None,
)  # fmt: skip
AGREEMENT = Agreement(
    map="a", reference="b", tissue=None, eroded=False, n_voxels=2, bias=None, sd=None, lower_limit=None,
    upper_limit=None, rmse=None, correlation=None, ratio=None,
)  # fmt: skip


def save(out_dir: Path, *reasons: str) -> None:
    made, against = anatomy(), comparison(*reasons)
    write.describe_derivatives(out_dir, {})
    with publishing(out_dir, out_dir.relative_to(out_dir) / "sub-01") as fresh:
        for run in (FIXED, MOVING):
            write.write_run(fresh, run)
        write_spaces.write_anatomy(fresh, made)
        write_spaces.write_comparison(fresh, against, {("MP2RAGE", "IRT1"): "#Insight Transform File V1.0\n"})
        write_spaces.write_tables(fresh, FIXED.name, [REGION], [AGREEMENT])
    log = {
        "runs": [write.log_of_run(run) for run in (FIXED, MOVING)],
        "anatomies": [write_spaces.log_of_anatomy(made)],
        "comparisons": [write_spaces.log_of_comparison(against)],
        "in_templates": [],
        "regions": [write_spaces.plain(REGION)],
        "agreements": [write_spaces.plain(AGREEMENT)],
        "failures": [], "warnings": [], "series": [], "versions": {}, "command": "bids_t1",
    }  # fmt: skip
    write.write_log(logs.log_path(out_dir, "01", None), log)


def test_brain_tissues_and_comparisons_are_read_as_they_were_written(tmp_path: Path) -> None:
    save(tmp_path)
    found = results.read_result(tmp_path, "01")
    assert found is not None
    (made,), (against,) = found.anatomies, found.comparisons
    assert (made.name, made.runs, made.record, made.warnings) == (
        anatomy().name, anatomy().runs, anatomy().record, anatomy().warnings,
    )  # fmt: skip
    for quantity, values in anatomy().maps.items():
        np.testing.assert_array_equal(made.maps[quantity], values)
    assert (against.name, against.fixed, against.record) == (
        comparison().name, comparison().fixed, comparison().record,
    )  # fmt: skip
    np.testing.assert_array_equal(against.alignment.matrix, np.eye(4))
    assert replace(against.alignment, matrix=np.empty(0)).estimated == ("rotation x",)
    assert against.by_headers is not None
    np.testing.assert_allclose(against.by_headers, FIXED.maps["time"], rtol=1e-6)
    assert found.regions == (REGION,)
    assert found.agreements == (AGREEMENT,)


def test_an_alignment_that_is_not_trusted_says_why_after_reading(tmp_path: Path) -> None:
    save(tmp_path, "it failed")
    found = results.read_result(tmp_path, "01")
    assert found is not None
    assert found.comparisons[0].alignment.reasons == ("it failed",)
    assert not found.comparisons[0].maps


def test_what_is_written_validates(tmp_path: Path) -> None:
    save(tmp_path)
    assert validator.errors(tmp_path) == []


def test_tables_have_words_for_codes_and_n_a_for_what_is_missing(tmp_path: Path) -> None:
    save(tmp_path)
    with (tmp_path / "sub-01" / "anat" / "sub-01_desc-tissue_T1map.tsv").open() as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    assert (row["tissue"], row["hemisphere"], row["eroded"], row["percentile_95"]) == ("WM", "left", "true", "n/a")
    with (tmp_path / "sub-01" / "anat" / "sub-01_desc-agreement_T1map.tsv").open() as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    assert (row["tissue"], row["bias"]) == ("brain", "n/a")
