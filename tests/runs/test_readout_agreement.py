"""Readouts that do not belong together are noticed, and undone or told with their cause."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, estimate_posterior
from bids_t1.runs.readout_agreement import ReadoutAgreement, settle
from bids_t1.sequences.variable_flip_angle import VariableFlipAngle
from tests.bids.small_readouts import uni_of
from tests.estimation.readout_scenes import FIXED
from tests.sequences.test_mp2rage import seven_tesla, three_tesla

if TYPE_CHECKING:
    from bids_t1.sequences.mp2rage import Mp2rage

SHAPE = (24, 24, 10)
NOISE_SD = 0.0008
TISSUES = ((0.85, 0.7), (1.4, 0.82), (2.0, 0.86), (4.0, 1.0))
"""T1 [s] and M0."""


def head() -> tuple[np.ndarray, np.ndarray]:
    """Return T1 and M0 of tissues side by side, in air, M0 with a smooth receive profile."""
    x, y, _ = np.indices(SHAPE) // 3
    inside = np.zeros(SHAPE, bool)
    inside[3:21, 3:21, 1:9] = True
    time, m0 = np.moveaxis(np.array(TISSUES)[(x + 2 * y) % 4], -1, 0) * inside
    return time, m0 * np.linspace(0.7, 1.3, SHAPE[0])[:, None, None]


TIME, M0 = head()


def play(model: Mp2rage) -> np.ndarray:
    rng = np.random.default_rng(5)
    signals = model.signals(torch.from_numpy(np.where(TIME > 0, TIME, 1.0)), torch.tensor(1.0)).numpy() * M0
    noise = rng.standard_normal((2, *signals.shape)) * NOISE_SD
    phase = np.exp(1j * np.linspace(0, 3, SHAPE[1]))[:, None]
    measured: np.ndarray = ((signals + noise[0] + 1j * noise[1]) * phase).astype(np.complex64)
    return measured


def agree(model: Mp2rage, readouts: np.ndarray, uni: np.ndarray | None = None) -> ReadoutAgreement:
    def at_time(readout: int, factor: float) -> Mp2rage | None:
        times = list(model.inversion_times)
        times[readout] *= factor
        try:
            return replace(model, inversion_times=tuple(times))
        except InvalidInputError:
            return None

    complex_images = np.iscomplexobj(readouts)
    images = ReadoutImages(
        form="complex" if complex_images else "UNIT1 and magnitudes",
        readouts=readouts,
        uni=None if complex_images else uni,
    )
    return settle(images, uni, model, at_time)


def bias(model: Mp2rage, images: ReadoutImages) -> float:
    options = PosteriorOptions(noise_sd=NOISE_SD, transmit_prior=FIXED)
    found = estimate_posterior(model, images, options).time
    return max(abs(float(np.nanmedian(found[value == TIME])) / value - 1) for value, _ in TISSUES[:3])


def test_noise_that_is_given_is_not_estimated_and_of_few_voxels_none_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_readouts: np.ndarray) -> NoReturn:
        raise InvalidInputError("the noise has to be given")

    monkeypatch.setattr("bids_t1.runs.readout_agreement.noise_of_complex", refuse)
    model, readouts = three_tesla(), play(three_tesla())
    images = ReadoutImages(form="complex", readouts=readouts)
    assert settle(images, None, model, lambda *_: None, NOISE_SD).warnings == ()
    few = np.where(np.arange(readouts[0].size).reshape(SHAPE) < 25, readouts, 0)
    assert settle(replace(images, readouts=few), None, model, lambda *_: None).warnings == ()
    with pytest.raises(InvalidInputError, match="the noise has to be given"):
        settle(images, None, model, lambda *_: None)


@pytest.mark.parametrize("model", [three_tesla(), seven_tesla(2), seven_tesla(3)], ids=["3 T", "7 T", "three"])
def test_readouts_that_agree_stay_as_they_are_without_a_word(model: Mp2rage) -> None:
    readouts = play(model)
    for uni in (None, uni_of(readouts)):
        agreement = agree(model, readouts, uni)
        assert agreement.images.readouts is readouts
        assert agreement.warnings == ()
    magnitudes = np.abs(readouts)
    assert agree(model, magnitudes, uni_of(readouts)).images.readouts is magnitudes


@pytest.mark.parametrize("gain", [0.5, 1.5])
@pytest.mark.parametrize("is_complex", [True, False], ids=["complex", "magnitudes"])
def test_a_gain_that_unit1_contradicts_does_not_reach_t1(gain: float, is_complex: bool) -> None:
    model = three_tesla()
    true = play(model)
    readouts = true * np.array([gain, 1], np.float32).reshape(2, 1, 1, 1)
    agreement = agree(model, readouts if is_complex else np.abs(readouts), uni_of(true))
    (warning,) = agreement.warnings
    assert "UNIT1 contradicts the images of the readouts" in warning
    told = agreement.record["UNIT1Agreement"]
    assert isinstance(told, dict)
    assert told["Gain"] == pytest.approx(gain, rel=0.03)
    assert f"{told['Gain']:.2f} times as bright" in warning
    assert agreement.images.form == "UNIT1 and last magnitude"
    assert bias(model, agreement.images) < 0.01


@pytest.mark.parametrize("readout", [0, 1])
def test_a_readout_turned_by_180_degrees_is_turned_back(readout: int) -> None:
    model = three_tesla()
    readouts = play(model)
    readouts[readout] *= -1
    agreement = agree(model, readouts)
    (warning,) = agreement.warnings
    assert "turned by 180 degrees against its protocol" in warning
    assert bias(model, agreement.images) < 0.005


@pytest.mark.parametrize("readout", [0, 2])
def test_the_readout_of_three_that_is_turned_is_named_and_turned_back(readout: int) -> None:
    model = seven_tesla(3)
    readouts = play(model)
    readouts[readout] *= -1
    agreement = agree(model, readouts)
    assert f"Readout {readout + 1} is turned by 180 degrees" in agreement.warnings[0]
    assert bias(model, agreement.images) < 0.005


def test_unit1_tells_that_a_readout_is_turned() -> None:
    model = three_tesla()
    readouts = play(model)
    uni = uni_of(readouts)
    readouts[0] *= -1
    agreement = agree(model, readouts, uni)
    assert "S of UNIT1 has the other sign" in agreement.warnings[0]
    assert agreement.images.form == "complex"
    assert bias(model, agreement.images) < 0.005


def test_a_unit1_of_the_wrong_sign_is_not_believed() -> None:
    model = three_tesla()
    readouts = play(model)
    agreement = agree(model, readouts, -uni_of(readouts))
    assert "UNIT1, which is not used" in agreement.warnings[0]
    assert agreement.images.readouts is readouts


def test_exchanged_readouts_are_named() -> None:
    model = three_tesla()
    (warning,) = agree(model, play(model)[::-1].copy()).warnings
    assert "readouts 1 and 2 were exchanged" in warning
    assert "The results are wrong as long as that is so." in warning


def test_a_gain_of_one_of_three_readouts_is_named_among_likely_causes() -> None:
    model = seven_tesla(3)
    readouts = play(model)
    readouts[2] *= 2
    (warning,) = agree(model, readouts).warnings
    assert "readout 3 were about 2" in warning


def test_a_mistyped_inversion_time_is_noticed_and_named_among_likely_causes() -> None:
    true = seven_tesla(3, before=40, after=40)
    told = replace(true, inversion_times=(1.01, 3.31, 7.8))
    (warning,) = agree(told, play(true)).warnings
    assert "the inversion time of readout" in warning


def test_unit1_of_another_scan_is_told() -> None:
    model = three_tesla()
    magnitudes = np.abs(play(model))
    agreement = agree(model, magnitudes, np.roll(uni_of(play(model)), 3, axis=0))
    assert any("UNIT1 is not that of the readouts" in warning for warning in agreement.warnings)


def blocks(model: Mp2rage) -> np.ndarray:
    """Complex readouts of four tubes of one M0, whose places hide what a wrong sign makes of M0."""
    rng = np.random.default_rng(6)
    time = np.zeros((20, 20, 6))
    for column, value in enumerate((0.5, 0.9, 1.4, 2.0)):
        time[3:17, 2 + 4 * column : 6 + 4 * column] = value
    signals = model.signals(torch.from_numpy(np.where(time > 0, time, 1.0)), torch.tensor(1.0)).numpy() * (time > 0)
    noise = rng.standard_normal((2, *signals.shape)) * NOISE_SD / 4
    measured: np.ndarray = (signals + noise[0] + 1j * noise[1]).astype(np.complex64)
    return measured


def test_a_readout_turned_in_tubes_of_one_m0_is_turned_back() -> None:
    model = three_tesla()
    readouts = blocks(model)
    assert not agree(model, readouts).warnings
    agreement = agree(model, readouts * np.array([1, -1], np.float32).reshape(2, 1, 1, 1))
    assert "turned by 180 degrees against its protocol" in agreement.warnings[0]
    turned = agreement.images.readouts
    assert turned is not None
    np.testing.assert_array_equal(np.sign((turned[0].conj() * turned[1]).real), uni_signs(readouts))


def spoiled(angles: tuple[float, ...]) -> tuple[VariableFlipAngle, np.ndarray]:
    """Return a protocol, and magnitudes of the head by it."""
    model = VariableFlipAngle(
        flip_angles=tuple(math.radians(angle) for angle in angles), repetition_times=(0.018,) * len(angles)
    )
    rng = np.random.default_rng(7)
    signals = model.signals(torch.from_numpy(np.where(TIME > 0, TIME, 1.0)), torch.tensor(1.0)).numpy() * M0
    noise = rng.standard_normal((2, *signals.shape)) * NOISE_SD / 4
    return model, np.abs(signals + noise[0] + 1j * noise[1]).astype(np.float32)


def test_images_of_flip_angles_that_do_not_belong_together_are_named() -> None:
    model, measured = spoiled((4.0, 10.0, 20.0))

    def warnings(images: np.ndarray) -> tuple[str, ...]:
        return settle(ReadoutImages(form="positive readouts", readouts=images, uni=None), None, model, None).warnings

    assert warnings(measured) == ()
    (warning,) = warnings(measured[[1, 0, 2]])
    assert "readouts 1 and 2 were exchanged" in warning
    (warning,) = warnings(measured * np.array([1, 1.5, 1], np.float32).reshape(3, 1, 1, 1))
    assert "times as bright as its protocol makes it" in warning


def uni_signs(readouts: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign((readouts[0].conj() * readouts[1]).real))


def test_magnitudes_beside_unit1_are_compared_with_their_protocol_too() -> None:
    model = three_tesla()
    readouts = play(model)
    uni, magnitudes = uni_of(readouts), np.abs(readouts)
    assert agree(model, magnitudes, uni).warnings == ()
    (warning,) = agree(model, magnitudes[::-1].copy(), uni).warnings
    assert "readouts 1 and 2 were exchanged" in warning
    agreement = agree(model, magnitudes, -uni)
    assert "UNIT1 is turned by 180 degrees against its protocol" in agreement.warnings[0]
    assert bias(model, agreement.images) < 0.005
