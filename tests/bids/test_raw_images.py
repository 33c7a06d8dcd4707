"""Images as acquired, for the page: those that a run names, thinned, and nothing outside of the dataset."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.bids import raw_images
from bids_t1.bids.images import read_volumes
from bids_t1.bids.raw_images import read_raw_images
from tests.report.report_results import make_run
from tests.small_bids import TIMES, complex_images, write_image, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.bids.images import Volume
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


def run_of_one_file(dataset: Path, n_volumes: int) -> RunResult:
    times = [0.1 * (number + 1) for number in range(n_volumes)]
    path = dataset / "sub-01" / "anat" / "sub-01_IRT1.nii.gz"
    write_image(path, np.moveaxis(np.abs(complex_images(times)), 0, -1).astype(np.float32))
    return run_of(dataset, [path], InversionTimes=times)


def test_every_volume_of_a_file_counts_when_images_are_thinned(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_images, "MOST_VOXELS", 200)
    (found,) = read_raw_images([run_of_one_file(dataset, 5)], {"raw": dataset})
    assert (found.thinned, found.images.shape) == (2, (5, 4, 4, 2))
    assert found.labels == ("TI 100 ms", "TI 200 ms", "TI 300 ms", "TI 400 ms", "TI 500 ms")


def test_volumes_that_are_not_shown_thin_no_others(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_images, "MOST_VOXELS", raw_images.MOST_VOLUMES * 128)
    (found,) = read_raw_images([run_of_one_file(dataset, 30)], {"raw": dataset})
    assert (found.thinned, found.images.shape) == (1, (raw_images.MOST_VOLUMES, 8, 8, 2))


def test_a_file_is_let_go_before_the_next_is_read(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[object]] = []

    def read(path: Path) -> tuple[Volume, ...]:
        assert sum(each() is not None for each in alive) <= 1
        volumes = read_volumes(path)
        alive.extend(map(weakref.ref, (volume.values for volume in volumes)))
        return volumes

    monkeypatch.setattr(raw_images, "read_volumes", read)
    (found,) = read_raw_images([run_of(dataset, write_run(dataset))], {"raw": dataset})
    assert len(found.images) == len(alive) == len(TIMES)


@pytest.mark.parametrize("source", ["bids:raw:../secret_IRT1.nii.gz", "bids:other:a_IRT1.nii.gz", "x.nii.gz", 7])
def test_what_lies_outside_of_the_dataset_or_is_gone_is_left_out(dataset: Path, source: object) -> None:
    (image, *_) = write_run(dataset)
    image.rename(dataset.parent / "secret_IRT1.nii.gz")
    run = replace(make_run(), record={"Sources": [source]})
    assert read_raw_images([run], {"raw": dataset}) == ()
