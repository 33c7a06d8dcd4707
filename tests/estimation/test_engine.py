"""What must not change a result, and what must be said about a voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import curve_fit

from bids_t1.data.errors import InvalidInputError, UsageError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation import chunks
from bids_t1.estimation.curves import polarity
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.inversion_recovery import InversionRecovery
from tests.estimation.scenes import INVERSION_TIMES, MODEL, REPETITION_TIME, scene, signal

if TYPE_CHECKING:
    from bids_t1.data.acquisition import Kind
    from bids_t1.data.shapes import Columns, Times

OPTIONS = EstimationOptions()


def truth(n: int = 4_000) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 3.5, n)


def test_noise_free_signals_give_their_t1_without_imprint_of_the_dictionary() -> None:
    t1 = np.geomspace(0.1, 4.0, 5_000)
    found = estimate(MODEL, signal(t1, 1.9).astype(np.float32), "real", OPTIONS)
    assert np.abs(found.time / t1 - 1).max() < 2e-4
    assert np.abs(found.ratio - 1.9).max() < 2e-3
    assert np.abs(found.amplitude - 1).max() < 2e-3


def test_magnitudes_and_signed_data_agree_where_the_signs_are_clear() -> None:
    clean = signal(truth(), 1.93).astype(np.float32)
    signed, unsigned = estimate(MODEL, clean, "real", OPTIONS), estimate(MODEL, np.abs(clean), "magnitude", OPTIONS)
    assert np.mean(np.abs(signed.time / unsigned.time - 1) < 1e-3) > 0.995


@pytest.mark.parametrize("phase", [0.0, 1.0, 3.0])
def test_complex_data_of_any_phase_agree_with_real_data(phase: float) -> None:
    clean = signal(truth(), 1.93)
    turned = (clean * np.exp(1j * phase)).astype(np.complex64)
    signed = estimate(MODEL, clean.astype(np.float32), "real", OPTIONS)
    np.testing.assert_allclose(estimate(MODEL, turned, "complex", OPTIONS).time, signed.time, rtol=1e-3)


def test_a_global_sign_changes_nothing() -> None:
    noisy = (signal(truth(), 1.93) + np.random.default_rng(1).normal(0, 0.02, (10, 4_000))).astype(np.float32)
    plain, flipped = estimate(MODEL, noisy, "real", OPTIONS), estimate(MODEL, -noisy, "real", OPTIONS)
    np.testing.assert_array_equal(plain.time, flipped.time)


def test_scaling_the_images_scales_m0_alone() -> None:
    images = scene(3, truth(), 1.93).magnitudes
    plain, scaled = estimate(MODEL, images, "magnitude", OPTIONS), estimate(MODEL, images * 1024, "magnitude", OPTIONS)
    np.testing.assert_allclose(scaled.time, plain.time, rtol=1e-3)
    np.testing.assert_allclose(scaled.amplitude, plain.amplitude * 1024, rtol=1e-3)


def test_same_input_gives_the_same_bits() -> None:
    images = scene(4, truth(), 1.93).magnitudes
    for options in (OPTIONS, EstimationOptions(learn_ratio=True)):
        first, second = (estimate(MODEL, images, "magnitude", options) for _ in range(2))
        np.testing.assert_array_equal(first.time, second.time)
        np.testing.assert_array_equal(first.time_sd, second.time_sd)


def test_voxel_axes_are_free_but_for_open_signs_which_the_neighbours_in_a_volume_tell() -> None:
    images = scene(5, truth(4_000), 1.93).magnitudes
    flat, table, volume = (
        estimate(MODEL, images.reshape(10, *axes), "magnitude", OPTIONS) for axes in ((5_000,), (50, 100), (10, 20, 25))
    )
    np.testing.assert_array_equal(table.time.reshape(-1), flat.time)
    decided = flat.status != VoxelStatus.POLARITY_UNDECIDED
    np.testing.assert_array_equal(volume.time.reshape(-1)[decided], flat.time[decided])


def test_chunks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    images = scene(6, truth(), 1.93).magnitudes
    whole = estimate(MODEL, images, "magnitude", OPTIONS)
    monkeypatch.setattr(chunks, "CHUNK", 700)
    np.testing.assert_allclose(estimate(MODEL, images, "magnitude", OPTIONS).time, whole.time, rtol=5e-4)


def test_a_general_optimiser_finds_no_better_fit() -> None:
    t1 = np.linspace(0.3, 3.0, 25)
    noisy = signal(t1, 1.93) + np.random.default_rng(2).normal(0, 0.02, (10, 25))
    found = estimate(MODEL, noisy.astype(np.float32), "real", OPTIONS)

    def curve(ti: np.ndarray, time: float, m0: float, kappa: float) -> np.ndarray:
        repeat = np.exp(-REPETITION_TIME / time)
        values: np.ndarray = m0 * (1 - repeat) + kappa * m0 * (repeat - np.exp(-ti / time))
        return values

    bounds = ([0.02, 0, 0.5], [6.0, 10, 3.0])
    for voxel, values in enumerate(noisy.T):
        best, covariance = curve_fit(curve, INVERSION_TIMES, values, p0=[t1[voxel], 1, 1.9], bounds=bounds)
        assert found.time[voxel] == pytest.approx(best[0], rel=2e-3)
        assert found.time_sd[voxel] == pytest.approx(np.sqrt(covariance[0, 0]), rel=0.02)


def test_t1_far_below_the_shortest_ti_does_not_run_away() -> None:
    late = InversionRecovery(inversion_times=(0.2, 0.4, 0.6, 0.8), repetition_times=(1.0,) * 4)
    clean = 1 - 2 * np.exp(-np.array(late.inversion_times)[:, None] / np.full(500, 0.045))
    noisy = clean + np.random.default_rng(0).normal(0, 0.01, clean.shape)
    found = estimate(late, noisy.astype(np.float32), "real", OPTIONS)
    assert np.nanmax(found.ratio) <= 3.0 + 1e-3
    assert np.nanmedian(found.time) < 0.08


@pytest.mark.parametrize("snr", [20.0, 200.0, 2000.0])
def test_the_second_choice_of_signs_is_left_out_only_where_it_cannot_win(
    monkeypatch: pytest.MonkeyPatch, snr: float
) -> None:
    late = InversionRecovery(inversion_times=(0.05, 0.1, 0.2, 0.4, 0.6, 0.8), repetition_times=(1.0,) * 6)
    t1 = np.random.default_rng(3).uniform(0.03, 2.0, 20_000)
    repeat = np.exp(-1.0 / t1)
    clean = 1 - repeat + 1.9 * (repeat - np.exp(-np.array(late.inversion_times)[:, None] / t1))
    images = np.abs(clean + np.random.default_rng(4).normal(0, 1 / snr, clean.shape)).astype(np.float32)
    found = estimate(late, images, "magnitude", OPTIONS)
    monkeypatch.setattr(polarity, "CLOSE_CALL", 10.0)
    everything = estimate(late, images, "magnitude", OPTIONS)
    assert np.mean(found.residual > 1.001 * everything.residual) < 2e-4


def test_undecided_signs_are_flagged_and_widen_the_error_bar() -> None:
    times = (0.05, 0.4, 0.8, 3.0)
    few = InversionRecovery(inversion_times=times, repetition_times=(15.0,) * 4)
    t1 = np.full(20_000, 0.4 / np.log(1.93))
    clean = 1 - 1.93 * np.exp(-np.array(times)[:, None] / t1)
    noisy = np.abs(clean + np.random.default_rng(0).normal(0, 0.02, clean.shape)).astype(np.float32)
    found = estimate(few, noisy, "magnitude", OPTIONS)
    undecided = found.status == VoxelStatus.POLARITY_UNDECIDED
    assert undecided.mean() > 0.5
    factor = float(stats.t.ppf(0.975, found.degrees_of_freedom))
    assert np.mean(np.abs(found.time - t1)[undecided] < factor * found.time_sd[undecided]) > 0.9


def test_voxels_that_cannot_be_fitted_say_why() -> None:
    images = np.abs(signal(np.full(3_000, 1.0), 1.93)).astype(np.float32)
    images += np.random.default_rng(0).normal(0, 0.002, images.shape).astype(np.float32)
    images[:, 0] = 0
    images[3, 1] = np.nan
    images[:, 2] = np.abs(np.random.default_rng(1).normal(0, 1, 10)) * [1, 9, 1, 9, 1, 9, 1, 9, 1, 9]
    images[:, 3] = 1 - 2 * np.exp(-np.array(INVERSION_TIMES) / 40)
    found = estimate(MODEL, images, "magnitude", OPTIONS)
    expected = ["NO_SIGNAL", "NOT_FINITE", "SIGNAL_TOO_LOW", "ABOVE_RANGE"]
    assert [VoxelStatus(code).name for code in found.status[:4]] == expected
    assert np.isnan(found.time[:4]).all()
    assert np.isfinite(found.time[4:]).all()


def test_no_degrees_of_freedom_means_no_error_bar_rather_than_a_wrong_one() -> None:
    three = InversionRecovery(inversion_times=(0.1, 0.8, 3.0), repetition_times=(12.0,) * 3)
    clean = 1 - 1.9 * np.exp(-np.array(three.inversion_times)[:, None] / truth(1000))
    found = estimate(three, clean.astype(np.float32)[:, :100], "real", OPTIONS)
    assert found.degrees_of_freedom == 0
    assert np.isnan(found.time_sd).all()


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_without_degrees_of_freedom_the_error_bar_is_that_of_the_noise_between_neighbours(kind: Kind) -> None:
    three, rng = (
        InversionRecovery(inversion_times=(0.1, 0.8, 3.0), repetition_times=(12.0,) * 3),
        np.random.default_rng(3),
    )
    times = np.array(three.inversion_times)[:, None, None]
    t1 = np.linspace(0.8, 1.6, 60)[:, None] * np.ones(60)
    images = (1 - 1.9 * np.exp(-times / t1)).astype(np.float32) + rng.normal(0, 0.01, (3, 60, 60)).astype(np.float32)
    if kind == "complex":
        images = (images + 1j * rng.normal(0, 0.01, images.shape)).astype(np.complex64)
    found = estimate(three, images, kind, OPTIONS)
    score = (found.time - t1) / found.time_sd
    assert np.std(score) == pytest.approx(1, abs=0.15)


@dataclass(frozen=True)
class Decay:
    """A sequence the engine has never heard of: M0 exp(-TE/T2*)."""

    echo_times: tuple[float, ...] = (0.004, 0.008, 0.012, 0.02, 0.03)

    n_coefficients = 1
    companion = None
    ratio_bounds = (0.0, 0.0)

    @property
    def n_measurements(self) -> int:
        return len(self.echo_times)

    @property
    def changes_sign(self) -> bool:
        return True

    def columns(self, time: Times) -> tuple[Columns, Columns]:
        relative = time.new_tensor(self.echo_times).reshape(-1, *(1 for _ in time.shape)) / time
        column = torch.exp(-relative)
        return column[None], (relative * column)[None]


def test_the_engine_fits_sequences_it_does_not_know() -> None:
    model, t2 = Decay(), np.linspace(0.01, 0.08, 400)
    images = 700 * np.exp(-np.array(model.echo_times)[:, None] / t2)
    found = estimate(model, images.astype(np.float32), "real", EstimationOptions(time_range=(0.002, 0.5)))
    np.testing.assert_allclose(found.time, t2, rtol=5e-4)
    np.testing.assert_allclose(found.amplitude, 700, rtol=5e-4)


def test_wrong_number_of_images_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="9 images"):
        estimate(MODEL, np.ones((9, 5), np.float32), "real", OPTIONS)


def test_images_without_signal_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no voxel"):
        estimate(MODEL, np.zeros((10, 5), np.float32), "magnitude", OPTIONS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_cuda_without_a_device_is_refused() -> None:
    with pytest.raises(UsageError, match="the device is cuda"):
        estimate(MODEL, np.ones((10, 5), np.float32), "real", EstimationOptions(device="cuda"))


@pytest.mark.gpu
@pytest.mark.parametrize("learn", [False, True])
def test_gpu_and_cpu_agree(learn: bool) -> None:
    images = scene(9, truth(20_000), 1.93).magnitudes
    on_cpu, on_gpu = (
        estimate(MODEL, images, "magnitude", EstimationOptions(device=device, learn_ratio=learn))
        for device in ("cpu", "cuda")
    )
    assert np.mean(np.isclose(on_cpu.time, on_gpu.time, rtol=1e-3, equal_nan=True)) > 0.999
