"""Every closed form of B1+ equals the physics stepped pulse by pulse, and gives no number where it holds none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_t1.data.errors import InvalidInputError
from bids_t1.sequences.transmit_field.actual_flip_angle import ActualFlipAngle
from bids_t1.sequences.transmit_field.double_angle import DoubleAngle
from bids_t1.sequences.transmit_field.limits import assumed_t1
from bids_t1.sequences.transmit_field.sa2rage import Sa2rage
from bids_t1.sequences.transmit_field.stimulated_echo import StimulatedEcho
from bids_t1.sequences.transmit_field.turbo_flash import TurboFlash

FIELDS = np.linspace(0.5, 1.5, 41)
BRAIN_T1 = (0.8, 1.2, 1.6, 2.0)
"""[s]"""

DOUBLE_ANGLE = DoubleAngle(angles=(60, 120))
ACTUAL_FLIP_ANGLE = ActualFlipAngle(flip_angle=60, repetition_times=(0.02, 0.1))
ECHOES = StimulatedEcho(flip_angles=tuple(np.arange(65, 38, -2.5)), mixing_time=0.0338, t1=1.2)


def sa2rage(**changed: object) -> Sa2rage:
    fields: dict[str, object] = {
        "cycle_time": 2.4,
        "inversion_times": (0.075, 1.8),
        "excitation_times": (0.0031, 0.0031),
        "flip_angles": (4, 11),
        "excitations": ((20, 20), (20, 20)),
        "t1": 1.5,
    }
    return Sa2rage(**(fields | changed))  # type: ignore[arg-type]


def relaxed(magnetisation: np.ndarray, time: float, t1: float) -> np.ndarray:
    return np.asarray(1 + (magnetisation - 1) * np.exp(-time / t1))


def repeated(nominal: float, waits: tuple[float, ...], t1: float) -> list[np.ndarray]:
    """Play pulses with these waits after them until nothing changes; return the spoiled signal of each."""
    angle = np.deg2rad(nominal) * FIELDS
    magnetisation = np.ones_like(FIELDS)
    signals: list[np.ndarray] = []
    for _ in range(2000):
        signals = []
        for wait in waits:
            signals.append(magnetisation * np.sin(angle))
            magnetisation = relaxed(magnetisation * np.cos(angle), wait, t1)
    return signals


def saturation_trains(protocol: Sa2rage, t1: float) -> list[np.ndarray]:
    """Step every pulse of forty cycles and return both signals at the centre of k-space."""
    magnetisation = np.ones_like(FIELDS)
    signals: list[np.ndarray] = []
    for _ in range(40):
        signals, time = [], 0.0
        magnetisation = magnetisation * np.cos(np.pi / 2 * FIELDS)
        for centre, tr, nominal, (before, after) in zip(
            protocol.inversion_times,
            protocol.excitation_times,
            protocol.flip_angles,
            protocol.excitations,
            strict=True,
        ):
            angle = np.deg2rad(nominal) * FIELDS
            magnetisation = relaxed(magnetisation, centre - before * tr - time, t1)
            for pulse in range(round(before + after)):
                if pulse == before:
                    signals.append(magnetisation * np.sin(angle))
                magnetisation = relaxed(magnetisation * np.cos(angle), tr, t1)
            time = centre + after * tr
        magnetisation = relaxed(magnetisation, protocol.cycle_time - time, t1)
    return signals


def echoes(nominal: float, mixing_time: float, t1: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn spins that a gradient has fanned out over a full turn: alpha, 2 alpha and alpha about one axis."""
    turns = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
    angle = np.deg2rad(nominal) * FIELDS

    def pulse(plane: np.ndarray, along: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, z = plane.imag, along
        return plane.real + 1j * (y * np.cos(turn) + z * np.sin(turn)), z * np.cos(turn) - y * np.sin(turn)

    fan = np.exp(1j * turns)
    plane, along = pulse(np.zeros((64, 1)) + 0j * FIELDS, np.ones((64, 1)) + 0 * FIELDS, angle)
    plane, along = pulse(plane * fan, along, 2 * angle)
    spin = np.abs((plane * fan).mean(0))
    plane, along = pulse(0 * plane, relaxed(along, mixing_time, t1), angle)
    return spin, np.abs((plane * fan).mean(0))


def all_echoes(t1: float) -> tuple[np.ndarray, np.ndarray]:
    pairs = [echoes(nominal, ECHOES.mixing_time, t1) for nominal in ECHOES.flip_angles]
    return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])


@pytest.mark.parametrize("t1", BRAIN_T1)
def test_double_angle_is_right_after_full_relaxation(t1: float) -> None:
    first, second = (repeated(nominal, (6 * t1,), t1)[0] for nominal in (60, 120))
    np.testing.assert_allclose(DOUBLE_ANGLE.transmit(first, np.abs(second)), FIELDS, rtol=0.01)


@pytest.mark.parametrize("t1", BRAIN_T1)
def test_actual_flip_angle_imaging_is_right_whatever_t1(t1: float) -> None:
    first, second = repeated(60, ACTUAL_FLIP_ANGLE.repetition_times, t1)
    after_long, after_short = np.abs(first), np.abs(second)  # the first pulse follows the long delay
    np.testing.assert_allclose(ACTUAL_FLIP_ANGLE.transmit(after_long, after_short), FIELDS, rtol=0.01)


def test_a_flip_angle_map_is_the_angle_whose_cosine_saturation_leaves() -> None:
    prepared = np.cos(np.deg2rad(80) * FIELDS)
    stored = np.rint(10 * np.rad2deg(np.arccos(prepared)))
    np.testing.assert_allclose(TurboFlash(flip_angle=80).transmit(stored), FIELDS, rtol=0.002)


def test_saturated_trains_are_read_exactly_at_the_assumed_t1() -> None:
    first, second = saturation_trains(sa2rage(), 1.5)
    np.testing.assert_allclose(sa2rage().transmit(first / second), FIELDS, rtol=2e-5)


@pytest.mark.parametrize("t1", [1.2, 1.8, 2.0])
def test_saturated_trains_depend_little_on_t1(t1: float) -> None:
    first, second = saturation_trains(sa2rage(), t1)
    np.testing.assert_allclose(sa2rage().transmit(first / second), FIELDS, rtol=0.01)


def test_trains_of_different_timing_are_read_as_well() -> None:
    protocol = sa2rage(excitation_times=(0.004, 0.0031), excitations=((10, 30), (24, 12)))
    first, second = saturation_trains(protocol, 1.5)
    np.testing.assert_allclose(protocol.transmit(first / second), FIELDS, rtol=2e-5)


def test_echoes_are_read_exactly_at_the_assumed_t1_beyond_90_degrees_too() -> None:
    np.testing.assert_allclose(ECHOES.transmit(*all_echoes(ECHOES.t1)), FIELDS, rtol=1e-5)


@pytest.mark.parametrize("t1", [1.0, 1.6])
def test_echoes_depend_little_on_t1(t1: float) -> None:
    within = FIELDS >= 0.8
    found = ECHOES.transmit(*all_echoes(t1))
    np.testing.assert_allclose(found[within], FIELDS[within], rtol=0.01)


def test_echoes_of_one_angle_are_read_up_to_90_degrees() -> None:
    single = StimulatedEcho(flip_angles=(60,), mixing_time=0.03, t1=1.2)
    spin, stimulated = echoes(60, 0.03, 1.2)
    np.testing.assert_allclose(single.transmit(spin[None], stimulated[None]), FIELDS, rtol=1e-5)
    assert single.limit == pytest.approx(1.5)


def test_the_order_of_the_angles_does_not_matter() -> None:
    spin, stimulated = all_echoes(1.2)
    turned = StimulatedEcho(flip_angles=ECHOES.flip_angles[::-1], mixing_time=ECHOES.mixing_time, t1=1.2)
    np.testing.assert_allclose(turned.transmit(spin[::-1], stimulated[::-1]), ECHOES.transmit(spin, stimulated))


def test_noise_of_echoes_stays_unbiased_near_90_degrees() -> None:
    rng = np.random.default_rng(5)
    spin, stimulated = (np.repeat(images[:, [20, 36]], 2000, axis=1) for images in all_echoes(1.2))
    noisy = [np.abs(image + 0.01 * rng.standard_normal(image.shape)) for image in (spin, stimulated)]
    found = ECHOES.transmit(*noisy).reshape(2, 2000)
    np.testing.assert_allclose(np.nanmean(found, axis=1), FIELDS[[20, 36]], rtol=0.003)
    assert np.isnan(found).mean() < 0.001


fields = st.floats(0.4, 1.45)


@given(field=fields, alpha=st.floats(10, 60), gain=st.floats(1e-3, 1e6))
def test_double_angle_inverts_its_model(field: float, alpha: float, gain: float) -> None:
    angle = math.radians(alpha) * field
    images = (np.array([gain * math.sin(factor * angle)]) for factor in (1, 2))
    assert DoubleAngle(angles=(alpha, 2 * alpha)).transmit(*images)[0] == pytest.approx(field, rel=1e-6)


@given(field=fields, alpha=st.floats(10, 60), n=st.floats(2, 10))
def test_actual_flip_angle_inverts_its_model(field: float, alpha: float, n: float) -> None:
    cosine = math.cos(math.radians(alpha) * field)
    method = ActualFlipAngle(flip_angle=alpha, repetition_times=(0.01, 0.01 * n))
    ratio = np.array([(1 + n * cosine) / (n + cosine)])
    assert method.transmit(np.ones(1), ratio)[0] == pytest.approx(field, rel=1e-6)


@given(field=fields, t1=st.floats(0.6, 3.0), second=st.floats(0.6, 2.2))
def test_saturated_trains_invert_their_model(field: float, t1: float, second: float) -> None:
    protocol = sa2rage(t1=t1, inversion_times=(0.075, second))
    low, high = protocol.valid
    found = protocol.transmit(protocol.ratio(np.array([field])))[0]
    assert found == pytest.approx(field, rel=1e-4) if low < field < high else np.isnan(found)


@pytest.mark.parametrize(
    "found",
    [
        DOUBLE_ANGLE.transmit(np.array([1.0, 0.0, np.nan, -1.0]), np.array([2.1, 1.0, 1.0, 1.0])),
        ACTUAL_FLIP_ANGLE.transmit(np.array([1.0, 0.0, np.nan]), np.array([1.1, 1.0, 1.0])),
        TurboFlash(flip_angle=80).transmit(np.array([0.0, -10.0, np.nan])),
        sa2rage().transmit(np.array([0.9, -0.9, np.nan])),
        ECHOES.transmit(np.zeros((11, 1)), np.ones((11, 1))),
        ECHOES.transmit(np.ones((11, 1)), np.full((11, 1), 1.2)),
    ],
)
def test_signals_no_field_makes_give_no_number(found: np.ndarray) -> None:
    assert np.isnan(found).all()


def test_limits_are_where_the_magnitude_turns() -> None:
    assert DOUBLE_ANGLE.limit == pytest.approx(1.5)
    beyond = np.deg2rad(60) * (ACTUAL_FLIP_ANGLE.limit + np.array([-1e-3, 1e-3]))
    assert np.sign(1 + 5 * np.cos(beyond)).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DoubleAngle(angles=(60, 60)), "FlipAngle is 60 and 60; expected one twice the other"),
        (lambda: DoubleAngle(angles=(0.8, 1.6)), r"FlipAngle is 0\.8; expected degrees"),
        (lambda: ActualFlipAngle(flip_angle=60, repetition_times=(0.1, 0.1)), "expected two different times"),
        (lambda: ActualFlipAngle(flip_angle=60, repetition_times=(0.1, 0.02)), "TR1 below TR2"),
        (lambda: ActualFlipAngle(flip_angle=60, repetition_times=(20, 100)), r"expected TR1 up to 0\.2 s"),
        (lambda: TurboFlash(flip_angle=8), "FlipAngle is 8; expected the nominal angle of the saturation pulse"),
        (lambda: sa2rage(cycle_time=1.8), r"leave delays of 0\.0130, 1\.6010, -0\.0620 s; expected none below 0"),
        (lambda: sa2rage(flip_angles=(4, 90)), "excitations of both trains in degrees, below 45"),
        (
            lambda: StimulatedEcho(flip_angles=(60,), mixing_time=33.8, t1=1.2),
            r"MixingTime is 33\.8; expected seconds",
        ),
    ],
)
def test_impossible_protocols_are_refused_with_their_numbers(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_the_assumed_t1_rises_with_the_field() -> None:
    assert [assumed_t1(field) for field in (1.5, 2.89, 3.0, 7.0)] == [0.9, 1.2, 1.2, 1.5]
