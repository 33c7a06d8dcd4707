"""Images as acquired, for the page: those that a run names, thinned, and nothing outside of the dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.bids import raw_images
from bids_t1.bids.raw_images import read_raw_images
from tests.report.report_results import make_run
from tests.small_bids import TIMES, complex_images, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.result import RunResult


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_root(tmp_path / "data")


def run_of(dataset: Path, paths: list[Path], **record: object) -> RunResult:
    sources = [f"bids:raw:{path.relative_to(dataset).as_posix()}" for path in paths]
    return replace(make_run(), record={"Sources": sources, **record})


def test_the_images_of_a_run_are_read_with_their_times(dataset: Path) -> None:
    run = run_of(dataset, write_run(dataset), InversionTimes=list(TIMES))
    (found,) = read_raw_images([run], {"raw": dataset})
    assert found.labels == ("TI 50 ms", "TI 300 ms", "TI 800 ms", "TI 2000 ms", "TI 4000 ms")
    assert found.run == str(run.name)
    np.testing.assert_allclose(found.images, np.abs(complex_images()), rtol=1e-5)


def test_of_magnitude_and_phase_the_magnitudes_are_shown(dataset: Path) -> None:
    run = run_of(dataset, write_run(dataset, parts=("mag", "phase")))
    (found,) = read_raw_images([run], {"raw": dataset})
    assert found.labels[0] == "inv-1 part-mag"
    assert len(found.images) == len(TIMES)


def test_large_images_are_thinned_and_lie_where_they_did(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_images, "MOST_VOXELS", 100)
    (found,) = read_raw_images([run_of(dataset, write_run(dataset))], {"raw": dataset})
    assert found.thinned == 2
    assert found.images.shape[1:] == (4, 4, 2)
    np.testing.assert_allclose(np.diag(found.grid.affine), [4.0, 4.0, 3.0, 1.0])


@pytest.mark.parametrize("source", ["bids:raw:../secret_IRT1.nii.gz", "bids:other:a_IRT1.nii.gz", "x.nii.gz", 7])
def test_what_lies_outside_of_the_dataset_or_is_gone_is_left_out(dataset: Path, source: object) -> None:
    (image, *_) = write_run(dataset)
    image.rename(dataset.parent / "secret_IRT1.nii.gz")
    run = replace(make_run(), record={"Sources": [source]})
    assert read_raw_images([run], {"raw": dataset}) == ()
