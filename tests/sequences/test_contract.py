"""What the engines may take for granted of every sequence, and each formula beside its plain form.

A sequence is one more `Curve` or `Train` below. The plain form is written for reading: numpy, one voxel, no shortcuts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.inversion_readout import Readout
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.mp2rage import Mp2rage
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from bids_t1.sequences.variable_flip_angle import VariableFlipAngle

if TYPE_CHECKING:
    from collections.abc import Callable

    from bids_t1.data.signal_model import ReadoutModel, SignalModel

TI = np.array([0.05, 0.2, 0.7, 1.5, 3.0])
TR = 6.0
ECHOES = np.array([0.004, 0.008, 0.012, 0.02])
SHAPES = ((), (1,), (7,), (2, 3), (2, 1, 4))

IR = InversionRecovery(inversion_times=tuple(TI), repetition_times=(TR,) * len(TI))
MP2RAGE = Mp2rage(
    cycle_time=5.0,
    inversion_times=(0.7, 2.5),
    excitation_times=(0.007, 0.007),
    flip_angles=(math.radians(4), math.radians(5)),
    excitations=((80, 80), (80, 80)),
)
MP3RAGE = replace(
    MP2RAGE,
    inversion_times=(0.7, 2.0, 3.6),
    excitation_times=(0.007,) * 3,
    flip_angles=(math.radians(4), math.radians(5), math.radians(6)),
    excitations=((40, 80), (80, 80), (80, 80)),
)
VFA = VariableFlipAngle(flip_angles=(0.07, 0.2, 0.4), repetition_times=(0.02,) * 3)


@dataclass(frozen=True)
class Curve:
    """A sequence for the engine of curves."""

    name: str
    model: SignalModel
    plain: Callable[[float], tuple[np.ndarray, ...]]
    """The columns at one relaxation time [s], as they stand in a textbook."""

    wrong: Callable[[], object]
    """Makes the model from what cannot be."""

    words: str
    """Which the refusal must hold."""


@dataclass(frozen=True)
class Train:
    """A sequence for the engine of posteriors."""

    name: str
    model: ReadoutModel
    plain: Callable[[float, float], list[float]]
    """The signals at one relaxation time [s] and transmit field."""

    wrong: Callable[[], object]
    words: str


def inversion_recovery(t1: float) -> tuple[np.ndarray, ...]:
    return 1 - np.exp(-TR / t1) * np.ones_like(TI), np.exp(-TR / t1) - np.exp(-TI / t1)


def ideal_inversion_recovery(t1: float) -> tuple[np.ndarray, ...]:
    return (1 - 2 * np.exp(-TI / t1),)


def spin_echo_inversion_recovery(t1: float) -> tuple[np.ndarray, ...]:
    before = 2 * np.exp(-(TR - 0.01) / t1) - np.exp(-TR / t1)
    return 1 - before * np.ones_like(TI), before - np.exp(-TI / t1)


def echoes(t2star: float) -> tuple[np.ndarray, ...]:
    return (np.exp(-ECHOES / t2star),)


def spoiled_echoes(t1: float, b1: float) -> list[float]:
    recovery = math.exp(-0.02 / t1)
    return [math.sin(a * b1) * (1 - recovery) / (1 - math.cos(a * b1) * recovery) for a in VFA.flip_angles]


def played(t1: float, b1: float, model: Mp2rage = MP2RAGE) -> list[float]:
    """Play every pulse of some cycles, one after the other, from rest to the steady state."""
    magnetisation = 1.0
    efficiency = model.efficiency + model.efficiency_slope / t1
    for _ in range(12):
        signals, now = [], 0.0
        magnetisation *= -efficiency
        for readout, (before, after) in enumerate(model.excitations):
            spacing, angle = model.excitation_times[readout], model.flip_angles[readout] * b1
            start = model.inversion_times[readout] - before * spacing
            magnetisation = 1 - (1 - magnetisation) * math.exp(-(start - now) / t1)
            for number in range(int(before + after)):
                if number == before:
                    signals.append(magnetisation * math.sin(angle))
                magnetisation = 1 - (1 - magnetisation * math.cos(angle)) * math.exp(-spacing / t1)
            now = start + (before + after) * spacing
        magnetisation = 1 - (1 - magnetisation) * math.exp(-(model.cycle_time - now) / t1)
    return signals


CURVES = (
    Curve(
        "inversion recovery", IR, inversion_recovery, lambda: replace(IR, repetition_times=(1.0,) * len(TI)), "delay"
    ),
    Curve(
        "ideal inversion recovery",
        replace(IR, ideal=True),
        ideal_inversion_recovery,
        lambda: replace(IR, inversion_times=(-1.0, *TI[1:])),
        "positive seconds",
    ),
    Curve(
        "inversion recovery with a spin echo",
        replace(IR, readout=Readout(n_pulses=1, spacing=0.02)),
        spin_echo_inversion_recovery,
        lambda: replace(IR, repetition_times=(6.0,)),
        "one TR per TI",
    ),
    Curve(
        "multi-echo gradient echo",
        MultiEchoGradientEcho(echo_times=tuple(ECHOES)),
        echoes,
        lambda: MultiEchoGradientEcho(echo_times=(4.0, 8.0)),
        "milliseconds",
    ),
)
SLOPED = replace(MP2RAGE, efficiency_slope=-0.02)
TRAINS = (
    Train("MP2RAGE", MP2RAGE, played, lambda: replace(MP2RAGE, inversion_times=(0.7, 0.9)), "overlap"),
    Train(
        "MP3RAGE",
        MP3RAGE,
        partial(played, model=MP3RAGE),
        lambda: replace(MP3RAGE, excitation_times=(7.0,) * 3),
        "milliseconds",
    ),
    Train(
        "MP2RAGE with a slope",
        SLOPED,
        partial(played, model=SLOPED),
        lambda: replace(MP2RAGE, efficiency=0),
        "above 0",
    ),
    Train("variable flip angle", VFA, spoiled_echoes, lambda: replace(VFA, flip_angles=(0.1, 0.1, 0.1)), "two or more"),
)
ALL_REFUSALS = [(each.name, each.wrong, each.words) for each in (*CURVES, *TRAINS)]

curves = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
trains = pytest.mark.parametrize("train", TRAINS, ids=lambda train: train.name)


@curves
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_are_of_every_measurement_and_of_every_time(
    curve: Curve, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    columns, slopes = curve.model.columns(torch.full(shape, 0.9, dtype=dtype))
    assert columns.shape == slopes.shape == (curve.model.n_coefficients, curve.model.n_measurements, *shape)
    assert columns.dtype == slopes.dtype == dtype


@curves
def test_the_second_output_is_the_derivative_by_log_time(curve: Curve) -> None:
    step = 1e-5
    log_times = torch.linspace(math.log(0.01), math.log(8.0), 41, dtype=torch.float64)
    before, after = (curve.model.columns(torch.exp(log_times + side))[0] for side in (-step, step))
    _, slopes = curve.model.columns(torch.exp(log_times))
    torch.testing.assert_close(slopes, (after - before) / (2 * step), atol=1e-8, rtol=1e-6)


@curves
def test_the_formula_is_the_one_of_the_textbook(curve: Curve) -> None:
    for time in (0.02, 0.3, 0.85, 1.4, 4.0):
        columns, _ = curve.model.columns(torch.tensor(time, dtype=torch.float64))
        np.testing.assert_allclose(columns.numpy(), curve.plain(time), atol=1e-12)


@curves
@pytest.mark.parametrize("time", [1e-4, 60.0])
def test_columns_are_finite_far_beyond_any_tissue(curve: Curve, time: float) -> None:
    columns, slopes = curve.model.columns(torch.tensor(time))
    assert torch.isfinite(columns).all()
    assert torch.isfinite(slopes).all()


@curves
def test_bounds_of_the_ratio_and_lost_signs_are_told(curve: Curve) -> None:
    low, high = curve.model.ratio_bounds
    columns, _ = curve.model.columns(torch.tensor([0.1, 1.0, 3.0], dtype=torch.float64))
    assert low < high or curve.model.n_coefficients == 1
    weight = (low + high) / 2 if curve.model.n_coefficients > 1 else 0.0
    signal = columns[0] + weight * columns[-1]
    assert curve.model.changes_sign == bool((signal < 0).any())


@pytest.mark.parametrize(("name", "wrong", "words"), ALL_REFUSALS, ids=[name for name, _, _ in ALL_REFUSALS])
def test_what_cannot_be_is_refused_in_words(name: str, wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as refusal:
        wrong()
    assert "xpected" in str(refusal.value), name


@trains
@pytest.mark.parametrize("b1", [0.6, 1.0, 1.3])
def test_signals_are_those_of_the_textbook_or_of_pulses_played_one_after_the_other(train: Train, b1: float) -> None:
    for t1 in (0.4, 0.85, 1.4, 4.0):
        signals = train.model.signals(torch.tensor(t1, dtype=torch.float64), torch.tensor(b1, dtype=torch.float64))
        np.testing.assert_allclose(signals.numpy(), train.plain(t1, b1), atol=1e-9)


@trains
@pytest.mark.parametrize("shape", SHAPES)
def test_signals_are_of_every_readout_and_broadcast(train: Train, shape: tuple[int, ...]) -> None:
    signals = train.model.signals(torch.full((*shape, 1), 1.1), torch.linspace(0.5, 1.5, 3))
    assert signals.shape == (train.model.n_readouts, *shape, 3)
    assert torch.isfinite(signals).all()


@trains
def test_signals_are_finite_far_beyond_any_tissue(train: Train) -> None:
    times, fields = torch.tensor([[1e-4], [60.0]]), torch.tensor([0.05, 3.0])
    assert torch.isfinite(train.model.signals(times, fields)).all()


def test_a_model_at_score_zero_is_the_model_itself() -> None:
    uncertain: ReadoutModel = replace(MP2RAGE, efficiency_sd=0.02)
    time, field = torch.tensor(0.9), torch.tensor(1.0)
    assert not uncertain.is_exact
    assert torch.equal(uncertain.at_score(0.0).signals(time, field), MP2RAGE.signals(time, field))
    assert not torch.equal(uncertain.at_score(1.0).signals(time, field), MP2RAGE.signals(time, field))


@trains
def test_an_exact_model_is_the_same_at_every_score(train: Train) -> None:
    time, field = torch.tensor(0.9), torch.tensor(1.0)
    assert train.model.is_exact
    assert torch.equal(train.model.at_score(1.5).signals(time, field), train.model.signals(time, field))
