"""One inversion for all slices: the time of a slice adds to the inversion time, where a field says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import command
from tests.small_bids import change_json, open_image, sidecar, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

TIMES = (0.05, 0.4, 1.1, 2.5, 3.5)
REPETITION_TIME = 25.0
N_SLICES = 4
T1 = np.repeat((0.5, 0.9, 1.4, 2.0), 8)


def delays(image: int, *, shifted: bool) -> list[float]:
    """Return the time of each slice; shifted: another slice is the first in each image."""
    return [0.3 * ((number + image) % N_SLICES if shifted else number) for number in range(N_SLICES)]


def made(folder: Path, *, shifted: bool, direction: str = "k") -> Path:
    shape = (len(T1), 20, N_SLICES)
    rng = np.random.default_rng(0)
    t1 = np.broadcast_to(T1[:, None, None], shape)
    images = []
    for image, time in enumerate(TIMES):
        late = np.array(delays(image, shifted=shifted))
        late = late[::-1] if direction == "k-" else late
        repeat = np.exp(-REPETITION_TIME / t1)
        clean = 1000 * (1 - repeat + 2 * (repeat - np.exp(-(time + late) / t1)))
        clean[:, :8] = 0
        clean[..., -1] = 0
        noise = rng.normal(0, 5, (2, *shape))
        images.append(np.hypot(clean + noise[0], noise[1]).astype(np.float32))
    dataset = write_root(folder / "data")
    for image, path in enumerate(write_run(dataset, times=TIMES, images=np.array(images))):
        change_json(
            sidecar(path),
            RepetitionTime=REPETITION_TIME,
            SliceTiming=delays(image, shifted=shifted),
            SliceEncodingDirection=direction,
            Inversion="non-selective",
        )
    return dataset


@pytest.mark.parametrize(
    ("shifted", "direction", "efficiency"),
    [(False, "k", "ideal"), (True, "k", "free"), (True, "k-", "free")],
)
def test_t1_of_every_slice_is_right_where_one_inversion_serves_all(
    tmp_path: Path, shifted: bool, direction: str, efficiency: str
) -> None:
    dataset = made(tmp_path, shifted=shifted, direction=direction)
    answer = command.participant(dataset, tmp_path / "out", "--ir-efficiency", efficiency)
    assert answer.code == 0, answer.said
    found = np.asanyarray(open_image(tmp_path / "out/sub-01/anat/sub-01_desc-IRT1_T1map.nii.gz").dataobj)
    for slice_ in range(N_SLICES - 1):
        for t1 in np.unique(T1):
            inside = found[t1 == T1, 8:, slice_]
            assert abs(np.nanmedian(inside) / t1 - 1) < 0.015
            assert np.isfinite(inside).mean() > 0.95
    assert "SliceTiming differs" not in answer.said


def test_inversion_times_of_slices_are_not_left_out(tmp_path: Path) -> None:
    answer = command.participant(made(tmp_path, shifted=True), tmp_path / "out", "--ir-fast-component", "exclude")
    assert answer.code == 16
    assert "inversion times differ from slice to slice" in answer.said


def test_times_that_do_not_fit_the_slices_are_refused(tmp_path: Path) -> None:
    dataset = made(tmp_path, shifted=False)
    for path in dataset.rglob("*_IRT1.json"):
        change_json(path, SliceTiming=[0.0, 0.3])
    answer = command.participant(dataset, tmp_path / "out")
    assert answer.code == 16
    assert "SliceTiming holds 2, 2, 2, 2, 2 times along 'k'" in answer.said
