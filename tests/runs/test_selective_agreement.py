"""Images of a selective inversion recovery that do not belong together are told; good ones are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bids_t1.estimation.curves.engine import EstimationOptions
from bids_t1.runs.head_motion import without_motion
from bids_t1.runs.image_agreement import Agreement, compare, settle_phases
from bids_t1.runs.selective_inversion_recovery import question_of
from bids_t1.sequences.selective_inversion_recovery import SelectiveInversionRecovery
from tests.estimation.test_surface import EIGHT, FOUR, images
from tests.runs.series import series_of

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Kind

FIVE = SelectiveInversionRecovery(
    inversion_times=(0.015, 0.06, 0.278, 1.007, 2.0), recovery_times=(0.684, 4.121, 2.73, 1.5, 0.01)
)


def asked(measured: np.ndarray, model: SelectiveInversionRecovery, kind: Kind = "magnitude") -> Agreement:
    series = series_of(measured, kind)
    question, options = question_of(model), EstimationOptions()
    agreement = settle_phases(question, series, options)
    return agreement.and_then(compare(question, agreement.series, options))


@pytest.mark.parametrize("model", [FOUR, FIVE, EIGHT], ids=["four", "five", "eight"])
def test_good_images_are_left_alone(model: SelectiveInversionRecovery) -> None:
    agreement = asked(images(model, "magnitude", 300), model)
    assert agreement.warnings == ()
    assert agreement.kept == tuple(range(model.n_measurements))


def test_a_gain_of_one_image_is_named_with_both_of_its_times_and_the_image_left_out() -> None:
    measured = images(EIGHT, "magnitude", 300)
    measured[4] *= 1.5
    agreement = asked(measured, EIGHT)
    (warning,) = agreement.warnings
    assert "InversionTime 0.278 s (RecoveryTime 3.5 s) is as if it were" in warning
    assert "A RecoveryTime other than told does that" in warning
    assert agreement.kept == (0, 1, 2, 3, 5, 6, 7)


def test_images_of_unlike_phase_are_fitted_as_magnitudes() -> None:
    turned = images(FOUR, "complex", 300) * np.exp(1j * np.arange(4))[:, None, None, None, None]
    agreement = asked(turned, FOUR, "complex")
    assert agreement.series.kind == "magnitude"
    assert "Signs as stored fit no recovery" in agreement.warnings[0]


def test_what_no_unknowns_within_bounds_fit_is_told_of_four_images_without_a_cause() -> None:
    told = SelectiveInversionRecovery(
        inversion_times=(0.015, 0.015, 0.728, 1.007), recovery_times=(0.684, 4.121, 2.73, 0.01)
    )
    (warning,) = asked(images(FOUR, "magnitude", 300), told).warnings
    assert "of the signal unexplained" in warning
    assert "so few images do not tell why" in warning


def test_motion_between_images_is_found_where_there_are_more_images_than_unknowns() -> None:
    bright = np.exp(gaussian_filter(np.random.default_rng(1).normal(0, 8, (144, 48, 2)), (3, 3, 0)))
    still = images(EIGHT, "magnitude", 300).reshape(8, 144, 48, 2) * bright
    moved = still.copy()
    moved[:4] = np.roll(still[:4], 1, axis=2)
    question, options = question_of(EIGHT), EstimationOptions()
    motion = without_motion(question, series_of(moved, "magnitude"), options, "auto")
    assert motion.record["Done"] == "realigned to the longest time"
    unmoved = series_of(still, "magnitude")
    assert without_motion(question, unmoved, options, "auto").series is unmoved
