"""Images that do not belong together are found and their fault is named; good ones are left alone."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.runs.image_agreement import Agreement, compare, settle_phases, without_offset
from bids_t1.runs.inversion_recovery import question_of
from bids_t1.runs.multi_echo_gre import question_of_echoes
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from bids_t1_phantom.physics.simulate import inversion_recovery
from tests.runs.series import series_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.acquisition import Kind

T1 = np.zeros((16, 20, 4))
for _column, _value in enumerate((0.5, 0.9, 1.4, 2.0)):
    T1[2:14, 2 + 4 * _column : 6 + 4 * _column] = _value

TIMES = (0.05, 0.4, 1.1, 2.5, 3.5)
TR = 5.0
NOISE = 5.0
TISSUE = T1 > 0


@cache
def images() -> np.ndarray:
    """Complex images of blocks in air, M0 1000."""
    rng = np.random.default_rng(0)
    clean = np.zeros((len(TIMES), *T1.shape))
    clean[:, TISSUE] = inversion_recovery(
        T1[TISSUE], 1000.0, inversion_times=TIMES, repetition_times=TR, inversion_efficiency=1.95
    )
    noise = rng.normal(0, NOISE, (2, *clean.shape))
    return np.asarray(clean + noise[0] + 1j * noise[1])


def asked(
    measurements: np.ndarray, kind: Kind = "magnitude", times: Sequence[float] = TIMES
) -> tuple[Agreement, float]:
    """Return what came of the comparison, and the largest median error of T1 of a tissue afterwards."""
    order = np.argsort(times)
    model = InversionRecovery(inversion_times=tuple(sorted(times)), repetition_times=(TR,) * len(times))
    agreement = without_offset(series_of(measurements[order], kind))
    question = question_of(model, 3.0)
    for step in (settle_phases, compare):
        agreement = agreement.and_then(step(question, agreement.series, EstimationOptions()))
    series = agreement.series
    if agreement.is_suspect:
        return agreement, math.inf
    found = estimate(model.select(agreement.kept), series.measurements, series.kind, EstimationOptions())
    errors = [abs(np.nanmedian(found.time[value == T1]) / value - 1) for value in np.unique(T1[TISSUE])]
    return agreement, float(max(errors))


def with_factor(image: int, factor: complex) -> np.ndarray:
    return np.asarray(images() * np.where(np.arange(len(TIMES)) == image, factor, 1)[:, None, None, None])


@pytest.mark.parametrize("kind", ["magnitude", "real", "complex"])
def test_good_images_are_left_alone(kind: Kind) -> None:
    whole = {"magnitude": np.abs(images()), "real": images().real, "complex": images() * np.exp(2j)}[kind]
    agreement, error = asked(whole, kind)
    assert agreement.warnings == ()
    assert agreement.kept == (0, 1, 2, 3, 4)
    assert not agreement.is_suspect
    assert error < 0.01


@pytest.mark.parametrize(
    ("image", "gain", "kind"), [(2, 1.5, "magnitude"), (1, 1.1, "real"), (4, 0.5, "magnitude"), (0, 0.9, "magnitude")]
)
def test_the_gain_of_one_image_is_named_and_the_image_left_out(image: int, gain: float, kind: Kind) -> None:
    measured = with_factor(image, gain)
    agreement, error = asked(np.abs(measured) if kind == "magnitude" else measured.real, kind)
    (warning,) = agreement.warnings
    assert f"InversionTime {TIMES[image]:g} s" in warning
    assert "times as bright as the others" in warning
    assert agreement.record["Values"] == [pytest.approx(gain, rel=0.03)]
    assert agreement.kept == tuple(number for number in range(5) if number != image)
    assert error < 0.05  # less precise without the shortest time


@pytest.mark.parametrize(("image", "told"), [(3, 1.6), (1, 0.04), (2, 1.3)])
def test_a_mistyped_time_is_named_with_the_one_that_fits(image: int, told: float) -> None:
    times = [told if number == image else time for number, time in enumerate(TIMES)]
    agreement, error = asked(np.abs(images()), times=times)
    (warning,) = agreement.warnings
    assert f"InversionTime {told:g} s is as if measured at" in warning
    assert agreement.record["Values"] == [pytest.approx(TIMES[image], rel=0.03)]
    assert error < 0.01


@pytest.mark.parametrize(("pair", "kind"), [((1, 2), "magnitude"), ((0, 3), "real")])
def test_exchanged_times_are_named_and_nothing_is_guessed(pair: tuple[int, int], kind: Kind) -> None:
    times = list(TIMES)
    times[pair[0]], times[pair[1]] = TIMES[pair[1]], TIMES[pair[0]]
    measured = np.abs(images()) if kind == "magnitude" else images().real
    agreement, _ = asked(measured, kind, times)
    (warning,) = agreement.warnings
    assert "are as if exchanged" in warning
    assert agreement.record["Of"] == [TIMES[image] for image in pair]
    assert agreement.is_suspect


@pytest.mark.parametrize("degrees", [12, 80])
@pytest.mark.parametrize("image", [0, 2])
def test_an_image_of_another_phase_is_turned_back_with_its_sign(degrees: float, image: int) -> None:
    agreement, error = asked(with_factor(image, np.exp(1j * np.radians(degrees))), "complex")
    (warning,) = agreement.warnings
    assert "estimated from the images and taken off" in warning
    assert agreement.series.kind == "complex"
    assert agreement.kept == (0, 1, 2, 3, 4)
    assert error < 0.01


def test_gains_of_many_images_are_told() -> None:
    gains = np.array([1, 1.3, 0.7, 1.1, 0.9])[:, None, None, None]
    agreement, _ = asked(np.abs(images()) * gains)
    (warning,) = agreement.warnings
    assert "as if each had a gain of its own" in warning
    assert agreement.is_suspect


@pytest.mark.parametrize(("image", "level"), [(0, NOISE), (2, 300.0), (4, 300.0)])
def test_an_image_of_noise_is_left_out(image: int, level: float) -> None:
    measured = images().copy()
    noise = np.random.default_rng(1).normal(0, level, (2, *T1.shape))
    measured[image] = noise[0] + 1j * noise[1]
    agreement, error = asked(np.abs(measured))
    (warning,) = agreement.warnings
    assert f"{TIMES[image]:g} s does not follow from the others" in warning
    assert agreement.kept == tuple(number for number in range(5) if number != image)
    assert error < 0.05  # less precise without the shortest time


PHASES = {
    "some": (0, 0.5, -0.4, 0.6, -0.5),
    "few": (0, 0.25, -0.25, 0.25, -0.2),
    "turned": (0, 0, np.pi, 0, 0),
    "random": (2.1, -0.7, 1.2, -2.6, 0.3),
}


@pytest.mark.parametrize("name", PHASES)
def test_complex_images_of_unlike_phase_are_turned_back_or_fall_back_to_magnitudes(name: str) -> None:
    turned = images() * np.exp(1j * np.array(PHASES[name]))[:, None, None, None]
    agreement, error = asked(turned, "complex")
    (warning,) = agreement.warnings
    undone = name in {"some", "few"}  # less than 90 degrees
    assert ("taken off" if undone else "phase differs from image to image") in warning
    assert agreement.series.kind == ("complex" if undone else "magnitude")
    assert error < 0.01


@pytest.mark.parametrize("image", [0, 2, 4])
def test_a_real_image_turned_by_180_degrees_is_noticed(image: int) -> None:
    agreement, error = asked(with_factor(image, -1).real, "real")
    (warning,) = agreement.warnings
    assert "signs of its own" in warning
    assert error < 0.01


def test_magnitudes_that_are_called_real_are_noticed() -> None:
    agreement, error = asked(np.abs(images()), "real")
    assert len(agreement.warnings) == 1
    assert agreement.series.kind == "magnitude"
    assert error < 0.01


def test_the_real_part_of_unlike_phases_is_told() -> None:
    turned = images() * np.exp(1j * np.array(PHASES["some"]))[:, None, None, None]
    agreement, _ = asked(turned.real, "real")
    assert agreement.is_suspect


@pytest.mark.parametrize(("kind", "offset"), [("real", 2048.0), ("complex", 500 - 2048j)])
def test_an_offset_of_signed_images_is_taken_off(kind: Kind, offset: complex) -> None:
    measured = images() + offset
    agreement, error = asked(measured.real if kind == "real" else measured, kind)
    (warning,) = agreement.warnings
    assert "stored with an offset" in warning
    assert error < 0.01


ECHOES = np.exp(-np.array((0.004, 0.008, 0.012, 0.02))[:, None, None, None] / np.full((32, 40, 4), 0.04))


def of_coils(n_coils: int) -> np.ndarray:
    """Magnitudes of echoes in air as a sum of squares over coils with noise of 5, without any offset."""
    rng = np.random.default_rng(4)
    clean = np.zeros(ECHOES.shape)
    clean[:, 8:24, 8:32] = 500 * ECHOES[:, 8:24, 8:32]
    both = rng.normal(0, 5, (n_coils, 2, *clean.shape))
    return np.asarray(np.sqrt(((clean / np.sqrt(n_coils) + both[:, 0]) ** 2 + both[:, 1] ** 2).sum(0)))


@pytest.mark.parametrize("offset", [10.0, 50.0, 500.0])
def test_an_offset_of_magnitudes_is_taken_off(offset: float) -> None:
    agreement = without_offset(series_of(of_coils(1) + offset, "magnitude"))
    (warning,) = agreement.warnings
    assert "The noise of air at the border of the view begins at" in warning
    assert agreement.record["OffsetTakenOff"] == pytest.approx(offset, abs=1)
    assert agreement.series.measurements.min() >= 0
    np.testing.assert_allclose(agreement.series.measurements, of_coils(1), atol=1.5)


@pytest.mark.parametrize("n_coils", [1, 2, 4, 8, 16, 32])
def test_the_noise_of_coils_that_lies_far_from_zero_by_itself_is_no_offset(n_coils: int) -> None:
    assert without_offset(series_of(of_coils(n_coils), "magnitude")).warnings == ()


def test_noise_stored_in_few_steps_and_masks_of_zero_are_no_offset() -> None:
    for measured in (np.round(of_coils(1) / 5), np.where(of_coils(1) > 50, of_coils(1), 0)):
        assert without_offset(series_of(measured, "magnitude")).warnings == ()


def test_tissue_at_the_border_is_no_offset() -> None:
    for inside in (images()[:, 3:13, 3:17], images()[:, 3:13, 3:5]):
        assert without_offset(series_of(np.abs(inside), "magnitude")).warnings == ()
        assert without_offset(series_of(inside.real, "real")).warnings == ()


def test_tissue_with_a_fast_component_accuses_no_image() -> None:
    rng = np.random.default_rng(2)
    times = (0.02, 0.05, 0.15, 0.5, 1.2, 3.0)
    slow = rng.uniform(0.7, 1.6, (20, 20, 2))
    clean = [1000 * (1 - 1.8 * np.exp(-ti / slow) - 0.2 * np.exp(-ti / 0.05)) for ti in times]
    measured = np.abs(np.stack(clean) + rng.normal(0, 5, (6, *slow.shape)))
    model = InversionRecovery(inversion_times=times, repetition_times=(12.0,) * 6)
    series = series_of(measured, "magnitude")
    for kept in (range(6), (0, 2, 4, 5)):
        some = replace(series, measurements=series.measurements[list(kept)])
        agreement = compare(question_of(model.select(list(kept)), 3.0), some, EstimationOptions())
        assert agreement.warnings == ()


def echoes(times: Sequence[float]) -> np.ndarray:
    rng = np.random.default_rng(3)
    decay = np.broadcast_to(np.linspace(0.02, 0.06, 12)[:, None, None], (12, 12, 4))
    return np.stack([np.abs(1000 * np.exp(-time / decay) + rng.normal(0, 4, decay.shape)) for time in times])


@pytest.mark.parametrize(
    ("gain", "told", "expected"),
    [
        (1.0, (0.004, 0.008, 0.012, 0.02, 0.03), ""),
        (1.4, (0.004, 0.008, 0.012, 0.02, 0.03), "times as bright as the others"),
        (1.0, (0.004, 0.008, 0.016, 0.02, 0.03), "EchoTime 0.016 s is as if measured at 0.01"),
    ],
)
def test_echoes_are_compared_alike(gain: float, told: tuple[float, ...], expected: str) -> None:
    measured = echoes((0.004, 0.008, 0.012, 0.02, 0.03))
    measured[2] *= gain
    model = MultiEchoGradientEcho(echo_times=told)
    options = EstimationOptions(time_range=(0.002, 0.3))
    agreement = compare(question_of_echoes(model), series_of(measured, "magnitude"), options)
    assert bool(agreement.warnings) == bool(expected)
    assert expected in "".join(agreement.warnings)


def test_fluid_that_outlasts_all_echoes_is_no_air_with_an_offset() -> None:
    """A view full of fluid under a coil: magnitudes of the border are as even as noise, and the same in all echoes."""
    shading = np.broadcast_to(np.linspace(600, 1300, 20), (40, 40, 20))
    noise = np.random.default_rng(1).normal(0, 5, (4, 2, *shading.shape))
    decay = np.array([1.0, 0.99, 0.98, 0.97])[:, None, None, None]
    echoes = np.hypot(decay * shading + noise[:, 0], noise[:, 1]).astype(np.float32)
    assert without_offset(series_of(echoes, "magnitude")).warnings == ()
