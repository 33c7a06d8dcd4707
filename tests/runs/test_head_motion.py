"""A head that moved between inversion times is put back; a still one keeps every bit."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.runs.head_motion import predict_images, without_motion
from bids_t1.runs.inversion_recovery import question_of
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1_phantom.physics.simulate import inversion_recovery
from tests.runs.series import series_of

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Kind, Series

TIMES = (0.05, 0.3, 0.8, 1.6, 3.0)
TR = 8.0
SIZE = 2.0
FINE = 3
"""Voxels of the truth along one in-plane edge of a voxel."""

MODEL = InversionRecovery(inversion_times=TIMES, repetition_times=(TR,) * len(TIMES))


@cache
def truth(n_slices: int) -> np.ndarray:
    """T1 of an ellipse of folds about a core on fine voxels [s], 0 in air."""
    x, y, z = np.meshgrid(
        np.linspace(-1, 1, 48 * FINE),
        np.linspace(-1.2, 1.2, 48 * FINE),
        np.linspace(-0.5, 0.5, n_slices),
        indexing="ij",
    )
    radius = np.sqrt(x**2 + y**2 + z**2) + 0.06 * np.sin(7 * np.arctan2(y, x)) + 0.1 * x
    t1 = np.select([radius < 0.2, radius < 0.55, radius < 0.75, radius < 0.9], [3.0, 0.85, 1.4, 0.4], 0.0)
    t1[(x - 0.3) ** 2 + (y - 0.2) ** 2 < 0.02] = 1.2
    return np.asarray(t1)


def images(poses: np.ndarray, n_slices: int, seed: int = 0) -> np.ndarray:
    """Complex images, the head of each turned about the slices' normal and shifted [degree, mm, mm]."""
    rng = np.random.default_rng(seed)
    t1 = truth(n_slices)
    clean = np.zeros((len(TIMES), *t1.shape))
    clean[:, t1 > 0] = inversion_recovery(
        t1[t1 > 0], 1000.0, inversion_times=TIMES, repetition_times=TR, inversion_efficiency=1.93
    )
    centre = np.array(t1.shape) / 2
    for number, (angle, *shift) in enumerate(poses):
        turn = Rotation.from_euler("z", angle, degrees=True).as_matrix()
        offset = centre - turn @ centre + np.array([*shift, 0]) * FINE / SIZE
        if angle or any(shift):
            clean[number] = ndimage.affine_transform(clean[number], turn, offset, order=1, mode="nearest")
    measured = clean.reshape(len(TIMES), 48, FINE, 48, FINE, n_slices).mean((2, 4))
    noise = rng.normal(0, 12, (2, *measured.shape))
    return np.asarray(measured + noise[0] + 1j * noise[1])


def series_of_slices(measured: np.ndarray, kind: Kind) -> Series:
    values = {"magnitude": np.abs(measured), "real": measured.real, "complex": measured * np.exp(1j)}[kind]
    return series_of(values, kind, np.diag([SIZE, SIZE, 3.0, 1.0]))


def wrong(series: Series) -> float:
    """Return the share of voxels of one tissue whose T1 is off by 10 %."""
    n_slices = series.grid.shape[2]
    blocks = truth(n_slices).reshape(48, FINE, 48, FINE, n_slices)
    t1 = blocks.mean((1, 3))
    pure = (np.ptp(blocks, axis=(1, 3)) == 0) & (t1 > 0.5) & (t1 < 2)
    found = estimate(MODEL, series.measurements, series.kind, EstimationOptions()).time
    return float(np.mean(~(np.abs(found / np.where(pure, t1, 1) - 1) < 0.1)[pure]))


STILL = np.zeros((len(TIMES), 3))
MOVED = np.array([[1.5, 1.0, -1.2], [-1.0, 0.8, 1.5], [0.7, -1.4, 0.5], [-0.6, 0.3, -0.8], [0, 0, 0]])


@pytest.mark.parametrize("kind", ["magnitude", "real", "complex"])
@pytest.mark.parametrize("n_slices", [1, 8])
def test_a_still_head_keeps_every_bit(kind: Kind, n_slices: int) -> None:
    series = series_of_slices(images(STILL, n_slices), kind)
    motion = without_motion(question_of(MODEL, 3.0), series, EstimationOptions(), "auto")
    assert motion.series is series
    assert motion.warnings == ()
    assert motion.record["Done"] == "none seen: images are as they were"


@pytest.mark.parametrize(("kind", "n_slices"), [("magnitude", 2), ("real", 1)])
def test_a_head_that_moved_is_put_back(kind: Kind, n_slices: int) -> None:
    moved = series_of_slices(images(MOVED, n_slices), kind)
    motion = without_motion(question_of(MODEL, 3.0), moved, EstimationOptions(), "auto")
    (warning,) = motion.warnings
    assert "realigned to that of the longest time" in warning
    assert motion.record["Rotations"] == [pytest.approx(abs(angle), abs=0.5) for angle, *_ in MOVED]
    before, after = (motion.record[f"Residual{when}"] for when in ("Before", "After"))
    assert isinstance(before, float)
    assert isinstance(after, float)
    assert after < 0.85 * before
    assert wrong(motion.series) < 0.85 * wrong(moved)


def test_motion_is_not_looked_for_where_not_asked_or_not_seen() -> None:
    moved = series_of_slices(images(MOVED, 1), "magnitude")
    motion = without_motion(question_of(MODEL, 3.0), moved, EstimationOptions(), "none")
    assert motion.series is moved
    few = MODEL.select([0, 2, 4])
    some = series_of_slices(images(MOVED, 1)[[0, 2, 4]], "magnitude")
    motion = without_motion(question_of(few, 3.0), some, EstimationOptions(), "auto")
    assert motion.series is some
    assert "leave no residuals" in str(motion.record["Done"])


def test_a_registration_that_loses_the_head_leaves_images_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = series_of_slices(images(MOVED, 1), "magnitude")
    away = np.eye(4)
    away[:2, 3] = 1000
    monkeypatch.setattr("bids_t1.runs.head_motion.register_contrasts", lambda *_: away)
    motion = without_motion(question_of(MODEL, 3.0), moved, EstimationOptions(), "auto")
    assert motion.series is moved
    assert "no place where all images show the head" in motion.warnings[0]
    assert "LargestDisplacement" not in motion.record


def test_no_image_stands_for_its_own_prediction_which_would_say_that_nothing_moved() -> None:
    still = series_of_slices(images(STILL, 1), "magnitude")
    fitted = estimate(MODEL, still.measurements, "magnitude", EstimationOptions())
    predicted = predict_images(MODEL, still, EstimationOptions())
    np.testing.assert_array_equal(np.isfinite(predicted[0]), np.isfinite(fitted.time))
    # Voxels of open signs are as many as others in some images, and are predicted too.
    is_open = fitted.status == VoxelStatus.POLARITY_UNDECIDED
    assert is_open.any()
    left = np.abs(predicted - still.measurements)[:, is_open]
    assert (left > 0).mean() > 0.99
    assert np.median(left) < 0.1 * np.median(still.measurements[:, is_open])
