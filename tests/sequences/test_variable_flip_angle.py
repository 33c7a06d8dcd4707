"""Signals at several flip angles are those of pulses played on many spins, perfectly spoiled or not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar
from bids_t1.sequences.variable_flip_angle import VariableFlipAngle

MODEL = VariableFlipAngle(
    flip_angles=(math.radians(6), math.radians(20)),
    repetition_times=(0.02, 0.02),
)


def echo_of_many_spins(angle: float, t1: float, increment: float, *, tr: float = 0.02, t2: float = 0.07) -> float:
    """Turn and let recover spins that the gradient spreads over all angles, until nothing changes."""
    spins, along = np.zeros(256, complex), np.ones(256)
    gradient = np.exp(2j * np.pi * np.arange(256) / 256)
    phase = 0.0
    for pulse in range(round(6 * t1 / tr)):
        phase += math.radians(increment) * pulse
        turn = complex(math.cos(phase), math.sin(phase))
        seen = spins / turn
        imaginary = seen.imag * math.cos(angle) - along * math.sin(angle)
        along = seen.imag * math.sin(angle) + along * math.cos(angle)
        spins = (seen.real + 1j * imaginary) * turn
        echo = abs(spins.mean())
        along = 1 - (1 - along) * math.exp(-tr / t1)
        spins = spins * math.exp(-tr / t2) * gradient
    return float(echo)


@pytest.mark.parametrize("increment", [50.0, 117.0, 121.8])
@pytest.mark.parametrize(("t1", "b1"), [(0.8, 0.75), (1.0, 1.0), (1.5, 1.25)])
def test_what_spoiling_leaves_is_that_of_many_spins(increment: float, t1: float, b1: float) -> None:
    model = MODEL.spoiled_by(increment)
    signals = model.signals(torch.tensor([t1], dtype=torch.float64), torch.tensor([b1], dtype=torch.float64))
    played = [echo_of_many_spins(angle * b1, t1, increment) for angle in MODEL.flip_angles]
    np.testing.assert_allclose(signals[:, 0].numpy(), played, rtol=1.5e-3)


@pytest.mark.parametrize("increment", [118.2, 121.8])
def test_increments_that_are_known_to_spoil_well_change_little_at_small_angles(increment: float) -> None:
    ones = torch.ones(1, dtype=torch.float64)
    assert float(MODEL.spoiled_by(increment).signals(ones, 0.5 * ones)[1]) == pytest.approx(
        float(MODEL.signals(ones, 0.5 * ones)[1]), rel=2e-3
    )


def test_pulses_without_an_increment_are_not_spoiled() -> None:
    ones = torch.ones(1, dtype=torch.float64)
    ratio = MODEL.spoiled_by(0.0).signals(ones, ones) / MODEL.signals(ones, ones)
    assert float(ratio[1]) > 1.2


def test_angle_and_repetition_time_are_those_of_the_sidecars() -> None:
    sidecars = [
        Sidecar("sub-01_flip-1_VFA.json", {"FlipAngle": 6, "RepetitionTimeExcitation": 0.02, "RepetitionTime": 5}),
        Sidecar("sub-01_flip-2_VFA.json", {"FlipAngle": 20, "RepetitionTime": 0.03}),
    ]
    model = VariableFlipAngle.from_metadata(sidecars)
    assert model.repetition_times == (0.02, 0.03)
    assert [round(math.degrees(angle), 9) for angle in model.flip_angles] == [6, 20]


def test_a_missing_angle_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"flip-2_VFA\.json: FlipAngle is missing"):
        VariableFlipAngle.from_metadata(
            [
                Sidecar("sub-01_flip-1_VFA.json", {"FlipAngle": 6, "RepetitionTimeExcitation": 0.02}),
                Sidecar("sub-01_flip-2_VFA.json", {"RepetitionTimeExcitation": 0.02}),
            ]
        )


@pytest.mark.parametrize(
    ("angles", "times", "words"),
    [
        ((0.1, 0.3), (0.02, 0.02), "radians"),
        ((6, 20), (20.0, 20.0), "milliseconds"),
        ((6, 120), (0.02, 0.02), "at most 90"),
        ((6, 6), (0.02, 0.02), "two or more"),
        ((6, 20), (0.02,), "one of each"),
    ],
)
def test_what_cannot_be_played_is_refused(angles: tuple[float, ...], times: tuple[float, ...], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        VariableFlipAngle(flip_angles=tuple(map(math.radians, angles)), repetition_times=times)
