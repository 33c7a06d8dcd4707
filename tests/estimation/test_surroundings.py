"""What surrounds a voxel tells the sign of a sample near zero, and smears nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import stats

from bids_t1.data.estimate import Estimate, VoxelStatus
from bids_t1.estimation.curves import engine
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1_phantom.physics.simulate import inversion_recovery

if TYPE_CHECKING:
    from bids_t1.estimation.curves.polarity import Solution

TIMES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
TR = 1.0
MODEL = InversionRecovery(inversion_times=TIMES, repetition_times=(TR,) * len(TIMES))
SIGNED = EstimationOptions()

# Of 0.35 s the sample at 0.2 s is one to two times its noise, of 0.9 s that at 0.6 s.
TISSUES = (0.35, 0.9, 0.6)


@dataclass(frozen=True, eq=False)
class Scene:
    """Images of folded tissues in air."""

    truth: np.ndarray
    """T1 [s], zero in air."""

    clean: np.ndarray
    signed: np.ndarray
    magnitudes: np.ndarray

    def fit(self, options: EstimationOptions = SIGNED) -> Estimate:
        """Fit the image."""
        return estimate(MODEL, self.magnitudes, "magnitude", options)

    def fit_alone(self) -> Estimate:
        """Fit the same voxels as a list, without surroundings."""
        shape = self.truth.shape
        found = estimate(MODEL, self.magnitudes.reshape(len(TIMES), -1), "magnitude", EstimationOptions())
        maps = ("time", "time_sd", "amplitude", "ratio", "residual", "relative_error", "share", "status")
        return replace(found, **{name: getattr(found, name).reshape(shape) for name in maps})

    def wrong(self, found: Estimate) -> np.ndarray:
        """Return where the sample nearest zero was given another sign than its noise-free signal has."""
        inside = (self.truth > 0) & np.isfinite(found.time)
        open_sample = self.magnitudes.argmin(0)[None]
        fitted = np.zeros(self.clean.shape)
        fitted[:, inside] = inversion_recovery(
            found.time[inside],
            found.amplitude[inside],
            inversion_times=TIMES,
            repetition_times=TR,
            inversion_efficiency=found.ratio[inside],
            refocusing=False,
        )
        chosen, right = (np.take_along_axis(images, open_sample, 0)[0] for images in (fitted, self.clean))
        return np.asarray(inside & (np.sign(chosen) != np.sign(right)))


def scene_of(truth: np.ndarray, sd: float = 0.03, seed: int = 0) -> Scene:
    rng = np.random.default_rng(seed)
    clean = np.zeros((len(TIMES), *truth.shape))
    clean[:, truth > 0] = inversion_recovery(
        truth[truth > 0],
        1.0,
        inversion_times=TIMES,
        repetition_times=TR,
        inversion_efficiency=1.93,
        refocusing=False,
    )
    noise = rng.normal(0, sd, (2, *clean.shape))
    signed = clean + noise[0]
    return Scene(truth, clean, signed.astype(np.float32), np.hypot(signed, noise[1]).astype(np.float32))


@cache
def folds(n_slices: int) -> Scene:
    """Rings of tissues with folded borders, one tissue with texture."""
    x, y, z = np.meshgrid(
        np.linspace(-1, 1, 56), np.linspace(-1, 1, 56), np.linspace(-0.3, 0.3, n_slices), indexing="ij"
    )
    radius = np.sqrt(x**2 + y**2 + z**2) + 0.08 * np.sin(7 * np.arctan2(y, x))
    truth = np.select([radius < 0.4, radius < 0.6, radius < 0.8], TISSUES, 0.0)
    return scene_of(truth * np.exp(0.01 * np.random.default_rng(1).normal(size=truth.shape)))


@pytest.mark.parametrize("n_slices", [1, 6])
def test_surroundings_tell_most_signs_that_a_voxel_alone_gets_wrong(n_slices: int) -> None:
    scene = folds(n_slices)
    here = (scene.truth > 0) & (scene.truth < 0.45)
    alone, among = (scene.wrong(found)[here].mean() for found in (scene.fit_alone(), scene.fit()))
    assert alone > 0.06
    assert among < 0.5 * alone


@pytest.mark.parametrize("n_slices", [1, 6])
def test_voxels_whose_own_data_decide_keep_every_bit(n_slices: int) -> None:
    scene = folds(n_slices)
    alone, among = scene.fit_alone(), scene.fit()
    decided = alone.status != VoxelStatus.POLARITY_UNDECIDED
    for name in ("time", "time_sd", "amplitude", "ratio", "residual", "status"):
        np.testing.assert_array_equal(getattr(alone, name)[decided], getattr(among, name)[decided])


@pytest.mark.parametrize("n_slices", [1, 6])
def test_errors_fall_towards_those_of_signed_images_and_intervals_hold_the_truth(n_slices: int) -> None:
    scene = folds(n_slices)
    here = (scene.truth > 0) & (scene.truth < 0.45)
    signed = estimate(MODEL, scene.signed, "real", EstimationOptions())
    alone, among = scene.fit_alone(), scene.fit()
    error = {
        name: np.sqrt(np.nanmean((found.time[here] / scene.truth[here] - 1) ** 2))
        for name, found in (("signed", signed), ("alone", alone), ("among", among))
    }
    assert error["among"] - error["signed"] < 0.5 * (error["alone"] - error["signed"])
    factor = stats.t.ppf(0.975, among.degrees_of_freedom)
    assert 0.93 < np.mean(np.abs(among.time - scene.truth)[here] < factor * among.time_sd[here]) < 0.98
    flagged = [np.mean(found.status[here] == VoxelStatus.POLARITY_UNDECIDED) for found in (alone, among)]
    assert flagged[1] < 0.8 * flagged[0]


def test_a_line_one_voxel_wide_is_not_smeared() -> None:
    truth = np.full((48, 48, 1), 0.6)
    truth[:, ::6] = 0.35
    scene = scene_of(truth, sd=0.02)
    signed = estimate(MODEL, scene.signed, "real", EstimationOptions())
    line = truth == TISSUES[0]
    among = scene.fit()
    assert abs(np.nanmedian(among.time[line]) / np.nanmedian(signed.time[line]) - 1) < 0.01
    assert scene.wrong(among)[line].mean() <= scene.wrong(scene.fit_alone())[line].mean()


def test_voxels_that_are_no_number_and_the_border_of_the_view_do_no_harm() -> None:
    truth = np.full((24, 24, 3), 0.35)
    scene = scene_of(truth)
    scene.magnitudes[:, ::5, ::3] = np.nan
    scene.magnitudes[:, 1::5, ::4] = 0
    found = scene.fit()
    gone = ~np.isfinite(scene.magnitudes).all(0)
    assert (found.status[gone] == VoxelStatus.NOT_FINITE).all()
    assert np.isfinite(found.time[scene.magnitudes.min(0) > 0]).mean() > 0.99


def test_neighbours_decide_nothing_where_every_choice_explains_the_samples() -> None:
    scene = folds(1)
    model = InversionRecovery(inversion_times=TIMES[::2], repetition_times=(TR,) * 3)
    images = scene.magnitudes[::2]
    among = estimate(model, images, "magnitude", EstimationOptions())
    alone = estimate(model, images.reshape(3, -1), "magnitude", EstimationOptions())
    assert np.mean(among.status[scene.truth > 0] == VoxelStatus.POLARITY_UNDECIDED) > 0.1
    np.testing.assert_array_equal(among.time.ravel(), alone.time)


def test_voxels_that_another_way_of_computing_decides_are_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    solve, scene = engine._solve_again, folds(1)

    def decide(plan: engine._Plan, flat: np.ndarray, voxels: torch.Tensor) -> Solution:
        solution = solve(plan, flat, voxels)
        return solution.select(~torch.isin(torch.arange(len(solution.fit.time)), solution.second_of))

    monkeypatch.setattr(engine, "_solve_again", decide)
    np.testing.assert_array_equal(scene.fit().time, scene.fit_alone().time)


def test_compiled_fit_reference_and_threads_choose_the_same_signs() -> None:
    scene = folds(6)
    reference = scene.fit()
    again = scene.fit(EstimationOptions(n_threads=2))
    np.testing.assert_array_equal(reference.time, again.time)
    compiled = scene.fit(EstimationOptions(compiles_from=0))
    differ = np.abs(compiled.time / reference.time - 1) > 1e-4
    assert np.mean(differ[scene.truth > 0]) < 1e-3


@pytest.mark.parametrize("n_slices", [1, 6])
def test_compiled_neighbours_weigh_as_the_plain_ones_do_in_chunks_of_any_size(
    monkeypatch: pytest.MonkeyPatch, n_slices: int
) -> None:
    scene = folds(n_slices)
    flat = scene.magnitudes.reshape(len(TIMES), -1)
    options = EstimationOptions(compiles_from=0)
    whole = scene.fit(options)
    plan, maps = engine._prepare(MODEL, scene.magnitudes, "magnitude", options), engine._Maps.room(MODEL, flat.shape[1])
    engine._fill_compiled(plan, flat, maps, slice(0, flat.shape[1]))
    engine._settle_open_signs(replace(plan, compiled=None), flat, scene.truth.shape, maps)
    monkeypatch.setattr("bids_t1.estimation.chunks.CHUNK", 77)
    parts = scene.fit(replace(options, n_threads=2))
    for name in ("time", "time_sd", "status"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    time, time_sd, status = (
        values.numpy().reshape(scene.truth.shape) for values in (maps.time, maps.time_sd, maps.status)
    )
    fitted = np.isfinite(time)
    np.testing.assert_array_equal(np.isfinite(whole.time), fitted)
    np.testing.assert_allclose(whole.time[fitted], time[fitted], rtol=1e-4)
    assert np.mean(np.isclose(whole.time_sd[fitted], time_sd[fitted], rtol=1e-3)) > 0.999
    assert np.mean(whole.status == status) > 0.9995


def test_what_a_card_leaves_open_is_noted_as_what_the_processor_leaves_open() -> None:
    scene = folds(6)
    flat = scene.magnitudes.reshape(len(TIMES), -1)
    plan = engine._prepare(MODEL, scene.magnitudes, "magnitude", EstimationOptions(compiles_from=0))
    maps = engine._Maps.room(MODEL, flat.shape[1], takes_notes=True)
    engine._fill_compiled(plan, flat, maps, slice(0, flat.shape[1]))
    assert maps.notes is not None
    (own,), (beside,) = maps.notes.values(), engine._notes_beside_card(plan, flat, maps).values()
    assert len(own.voxel) > 100
    for values, others in zip(own, beside, strict=True):
        np.testing.assert_array_equal(values, others)
