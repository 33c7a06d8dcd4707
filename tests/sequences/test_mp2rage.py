"""The signals of n readouts equal the physics stepped pulse by pulse, and published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.mp2rage import Mp2rage
from bids_t1_phantom.physics.simulate import rapid_gradient_echo_trains
from bids_t1_phantom.physics.trains import ReadoutProtocol

T1 = torch.tensor([0.05, 0.3, 0.8, 1.0, 1.45, 1.9, 3.0, 4.5], dtype=torch.float64)
NOMINAL = torch.tensor(1.0, dtype=torch.float64)


def seven_tesla(n_readouts: int, *, before: float = 112.5, after: float = 112.5) -> Mp2rage:
    """Return protocol (a) of the reference figures, played with its first readouts only."""
    return Mp2rage(
        cycle_time=8.25,
        inversion_times=(1.010, 3.310, 5.610)[:n_readouts],
        excitation_times=(0.006,) * n_readouts,
        flip_angles=(math.radians(4),) * n_readouts,
        excitations=((before, after),) * n_readouts,
        efficiency=0.84,
    )


def three_tesla(**changed: object) -> Mp2rage:
    fields: dict[str, object] = {
        "cycle_time": 5.0,
        "inversion_times": (0.7, 2.5),
        "excitation_times": (0.0069, 0.0069),
        "flip_angles": (math.radians(4), math.radians(5)),
        "excitations": ((88.0, 88.0), (88.0, 88.0)),
    }
    return Mp2rage(**(fields | changed))  # type: ignore[arg-type]


def uni(model: Mp2rage, time: torch.Tensor, transmit: float, other: int = 1) -> np.ndarray:
    """Return S of the first readout and another."""
    signals = model.signals(time, torch.tensor(transmit, dtype=torch.float64)).numpy()
    found: np.ndarray = signals[0] * signals[other] / (signals[0] ** 2 + signals[other] ** 2)
    return found


@pytest.mark.parametrize("transmit", [0.6, 1.0, 1.35])
@pytest.mark.parametrize(
    ("model", "before", "after"),
    [
        (seven_tesla(2, before=112, after=113), 112, 113),
        (seven_tesla(3, before=112, after=113), 112, 113),
        (three_tesla(), 88, 88),
        (three_tesla(excitations=((44.0, 88.0), (44.0, 88.0)), efficiency=1.0), 44, 88),
        (three_tesla(excitation_times=(0.005, 0.0069)), 88, 88),
    ],
    ids=["two", "three", "3 T", "partial Fourier", "two excitation times"],
)
def test_signals_are_the_pulses_stepped_to_their_steady_state(
    model: Mp2rage, before: int, after: int, transmit: float
) -> None:
    protocol = ReadoutProtocol(
        cycle_time=model.cycle_time,
        inversion_times=model.inversion_times,
        excitation_times=model.excitation_times,
        flip_angles=tuple(math.degrees(angle) for angle in model.flip_angles),
        n_before=before,
        n_after=after,
    )
    simulated = rapid_gradient_echo_trains(
        T1.numpy(), 1.0, protocol=protocol, transmit_field=transmit, inversion_efficiency=model.efficiency
    )
    computed = model.signals(T1, torch.tensor(transmit, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(computed, simulated, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("n_readouts", "other", "expected"),
    [
        (2, 1, [0.422, 0.355, 0.276, 0.172, -0.014, -0.340, -0.466]),
        (3, 1, [0.424, 0.360, 0.290, 0.199, 0.047, -0.228, -0.368]),
        (3, 2, [0.420, 0.352, 0.277, 0.184, 0.040, -0.175, -0.275]),
    ],
)
def test_reference_values_of_uni(n_readouts: int, other: int, expected: list[float]) -> None:
    times = torch.tensor([0.8, 1.0, 1.2, 1.45, 1.9, 3.0, 4.0], dtype=torch.float64)
    found = uni(seven_tesla(n_readouts), times, 1.0, other)
    # the digits given: half a unit of the last one, and what rounds to either side
    np.testing.assert_allclose(found, expected, atol=0.00055)


@pytest.mark.parametrize(
    ("n_readouts", "other", "expected"),
    [(2, 1, [1.530, 1.493, 1.400, 1.345]), (3, 2, [1.583, 1.520, 1.376, 1.299])],
)
def test_reference_shifts_by_the_transmit_field(n_readouts: int, other: int, expected: list[float]) -> None:
    model = seven_tesla(n_readouts)
    fine = torch.linspace(1.0, 2.0, 100_001, dtype=torch.float64)
    nominal = uni(model, fine, 1.0, other)
    true = torch.tensor([1.45], dtype=torch.float64)
    found = [np.interp(-uni(model, true, b1, other)[0], -nominal, fine.numpy()) for b1 in (0.7, 0.85, 1.15, 1.3)]
    np.testing.assert_allclose(found, expected, atol=0.00055)


def test_a_long_cycle_without_flip_angle_is_an_inversion_recovery() -> None:
    model = three_tesla(cycle_time=200.0, flip_angles=(math.radians(0.6), math.radians(0.001)), efficiency=1.0)
    second = model.signals(T1[:5], NOMINAL)[1] / math.sin(math.radians(0.001))
    ideal = 1 - 2 * torch.exp(-2.5 / T1[:5])
    np.testing.assert_allclose(second, ideal, atol=0.01)


def test_the_efficiency_may_fall_with_r1() -> None:
    model = three_tesla(efficiency=1.0214, efficiency_slope=-0.39871)
    found = model.inversion_efficiency(torch.tensor([0.1, 0.5, 1.2, 4.0], dtype=torch.float64))
    np.testing.assert_allclose(found, [0.0, 1.0214 - 0.39871 * 2, 1.0214 - 0.39871 / 1.2, 1.0214 - 0.39871 / 4])


def test_two_readouts_are_mp2rage_and_more_are_mp3rage() -> None:
    assert (seven_tesla(2).name, seven_tesla(3).name) == ("MP2RAGE", "MP3RAGE")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"inversion_times": (0.5, 2.5)}, ["the inversion and readout 1 overlap by 0.1072 s", "88", "0.0069"]),
        ({"inversion_times": (0.7, 1.5)}, ["readout 1 and readout 2 overlap by 0.4144 s"]),
        ({"cycle_time": 3.0}, ["readout 2 and the next inversion overlap by 0.1072 s", "3 s"]),
        ({"inversion_times": (2.5, 0.7)}, ["2.5, 0.7", "rising"]),
        ({"flip_angles": (0.0012, 0.0015)}, ["radians"]),
        ({"flip_angles": (math.radians(4), math.radians(120))}, ["120", "at most 90"]),
        ({"excitation_times": (6.9, 6.9)}, ["6.9", "milliseconds"]),
        ({"excitations": ((0.0, 0.0), (88.0, 88.0))}, ["NumberShots"]),
        ({"efficiency": 1.2}, ["1.2", "InversionEfficiency"]),
        ({"excitation_times": (0.0069,)}, ["one of each per readout"]),
    ],
)
def test_impossible_protocols_are_refused_with_their_numbers(changed: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        three_tesla(**changed)
    for word in words:
        assert word in str(refused.value)
