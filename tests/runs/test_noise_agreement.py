"""A gain of one image is told by its noise in air where a fit cannot tell it; images of one gain are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.estimation.curves.engine import EstimationOptions
from bids_t1.runs.head_motion import settle_images
from bids_t1.runs.inversion_recovery import question_of
from bids_t1.runs.selective_inversion_recovery import question_of as question_of_pools
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1_phantom.physics.simulate import inversion_recovery
from tests.estimation.test_surface import FOUR, images
from tests.runs.series import series_of

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Kind
    from bids_t1.runs.image_agreement import Agreement

NOISE = 4.0
TIMES = (0.3, 0.8, 1.6, 3.0)
MODEL = InversionRecovery(inversion_times=TIMES, repetition_times=(9.0,) * 4)
GOOD = np.ones(4)


def in_air(signals: np.ndarray, kind: Kind, noise: np.ndarray = GOOD, seed: int = 0) -> np.ndarray:
    """Return signals (image, voxel), at most some 1000, as a block in air; noise of each image in `NOISE`."""
    rng = np.random.default_rng(seed)
    clean = np.zeros((len(signals), 32, 32, 4))
    n = 16 * 16 * 4
    clean[:, 8:24, 8:24] = signals[:, np.arange(n) % signals.shape[1]].reshape(len(signals), 16, 16, 4)
    both = rng.normal(0, NOISE, (2, *clean.shape)) * noise.reshape(-1, 1, 1, 1)
    return np.asarray(clean + both[0] if kind == "real" else np.hypot(clean + both[0], both[1]))


def recovering() -> np.ndarray:
    t1 = np.linspace(0.7, 1.6, 500)
    return inversion_recovery(t1, 1000.0, inversion_times=TIMES, repetition_times=9.0, inversion_efficiency=1.93)


def pools() -> np.ndarray:
    signals = images(FOUR, "real", np.inf)
    return np.asarray(1000 * signals.reshape(len(signals), -1) / np.abs(signals).max())


def asked(measured: np.ndarray, kind: Kind, *, selective: bool) -> Agreement:
    question = question_of_pools(FOUR) if selective else question_of(MODEL, 3.0)
    return settle_images(question, series_of(measured, kind), EstimationOptions(), "none")[0]


@pytest.mark.parametrize("kind", ["magnitude", "real"])
@pytest.mark.parametrize("gains", [(0.8, 1, 1, 1), (1, 1, 1.15, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("selective", [True, False])
def test_a_gain_is_told_by_the_noise_in_air(kind: Kind, gains: tuple[float, ...], selective: bool) -> None:
    signals = pools() if selective else recovering()
    measured = in_air(signals, kind) * np.reshape(gains, (-1, 1, 1, 1))
    agreement = asked(measured, kind, selective=selective)
    if max(gains) == min(gains):
        assert agreement.warnings == ()
    elif "NoiseInAir" in agreement.record:
        assert agreement.is_suspect is not selective
        assert agreement.record["NoiseInAir"] == pytest.approx(gains, rel=0.04)
        assert "as if each had that gain" in agreement.warnings[-1]
    else:  # the fit has told it before
        assert not selective
        assert agreement.record["Suspicion"] == "gain"


def test_averages_of_one_image_change_its_noise_alone_and_are_no_gain() -> None:
    measured = in_air(recovering(), "magnitude", np.array([1, 1, 0.7, 1]))
    assert asked(measured, "magnitude", selective=False).warnings == ()


def test_images_without_air_tell_nothing() -> None:
    measured = (in_air(recovering(), "real") * np.reshape((1, 1, 1.03, 1), (-1, 1, 1, 1)))[:, 9:23, 9:23]
    assert "NoiseInAir" not in asked(np.abs(measured), "magnitude", selective=False).record
