"""The simulation against closed forms derived by hand: it uses none itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.physics.simulate import inversion_recovery

T1 = np.array([0.1, 0.35, 0.84, 1.6, 4.0])
TIMES = (0.05, 0.2, 0.7, 1.5, 3.0)
seconds = st.floats(0.02, 5.0)


def _closed_form(t1: float, ti: float, tr: float, kappa: float, te: float) -> float:
    echo = 2 * np.exp(-(tr - te / 2) / t1) - np.exp(-tr / t1)
    return float(1 - kappa * np.exp(-ti / t1) + (kappa - 1) * echo)


@given(t1=seconds, ti=seconds, te=st.floats(0, 0.5), rest=seconds, kappa=st.floats(0.0, 2.0))
def test_spin_echo_signal_is_the_hand_derived_steady_state(
    t1: float, ti: float, te: float, rest: float, kappa: float
) -> None:
    tr = ti + te + rest
    signal = inversion_recovery(
        t1, 7.0, inversion_times=[ti], repetition_times=tr, inversion_efficiency=kappa, echo_time=te
    )
    np.testing.assert_allclose(signal[0], 7 * _closed_form(t1, ti, tr, kappa, te), atol=1e-9)


def test_short_echo_gives_the_repetition_time_aware_model() -> None:
    times = np.array([1.0, 1.2, 2.0, 3.0, 5.0])
    kappa = np.full(5, 1.9)
    signal = inversion_recovery(
        T1, 1.0, inversion_times=TIMES, repetition_times=times, inversion_efficiency=kappa, echo_time=1e-9
    )
    inverted, repeated = (np.exp(-np.asarray(t)[:, None] / T1) for t in (TIMES, times))
    np.testing.assert_allclose(signal, (1 - repeated) + kappa * (repeated - inverted), atol=1e-7)


def test_perfect_inversion_gives_the_textbook_model() -> None:
    signal = inversion_recovery(T1, 1.0, inversion_times=TIMES, repetition_times=4.0)
    expected = 1 + np.exp(-4.0 / T1) - 2 * np.exp(-np.array(TIMES)[:, None] / T1)
    np.testing.assert_allclose(signal, expected, atol=1e-12)


def test_long_repetition_time_forgets_the_previous_repetition() -> None:
    signal = inversion_recovery(T1, 1.0, inversion_times=TIMES, repetition_times=200.0, echo_time=0.01)
    np.testing.assert_allclose(signal, 1 - 2 * np.exp(-np.array(TIMES)[:, None] / T1), atol=1e-9)


def test_gradient_echo_has_no_memory_of_the_echo_time() -> None:
    short, long = (
        inversion_recovery(T1, 1.0, inversion_times=TIMES, repetition_times=4.0, echo_time=te, refocusing=False)
        for te in (0.0, 0.1)
    )
    np.testing.assert_allclose(short, long, atol=1e-12)


def test_small_flip_angles_reach_their_steady_state() -> None:
    t1, ti, tr, angle, kappa = 1.2, 0.5, 0.8, np.deg2rad(20), 1.8
    signal = inversion_recovery(
        t1, 1.0, inversion_times=[ti], repetition_times=tr, inversion_efficiency=kappa, excitation_angle=20.0,
        refocusing=False,
    )  # fmt: skip
    first, second = np.exp(-ti / t1), np.exp(-(tr - ti) / t1)
    turn = (1 - kappa) * first
    readout = ((1 - first) + turn * (1 - second)) / (1 - turn * np.cos(angle) * second)
    np.testing.assert_allclose(signal[0], readout * np.sin(angle), rtol=1e-9)


def test_a_volume_equals_its_voxels() -> None:
    t1 = T1.repeat(4).reshape(5, 2, 2)
    volume = inversion_recovery(t1, 2.0, inversion_times=TIMES, repetition_times=4.0, t2=0.08, echo_time=0.02)
    voxel = inversion_recovery(1.6, 2.0, inversion_times=TIMES, repetition_times=4.0, t2=0.08, echo_time=0.02)
    assert volume.shape == (5, 5, 2, 2)
    np.testing.assert_array_equal(volume[:, 3, 1, 0], voxel)


def test_an_experiment_longer_than_its_repetition_time_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="TI \\+ TE <= TR"):
        inversion_recovery(1.0, 1.0, inversion_times=[2.0], repetition_times=1.0)
