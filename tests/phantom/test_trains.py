"""Gradient-echo trains against limits, matrices and published values: the simulation uses no closed form."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bids_t1.data.errors import InvalidInputError, UsageError
from bids_t1_phantom.physics.simulate import inversion_recovery, rapid_gradient_echo_trains
from bids_t1_phantom.physics.trains import MP2RAGE, MP3RAGE, ReadoutProtocol

T1 = np.array([0.1, 0.35, 0.84, 1.6, 4.0])
REFERENCE_T1 = np.array([0.8, 1.0, 1.2, 1.45, 1.9, 3.0, 4.0])


def _uni(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(first * second / (first**2 + second**2))


def _single(**changes: float) -> ReadoutProtocol:
    values = {"cycle": 4.0, "inversion": 0.9, "angle": 20.0, **changes}
    return ReadoutProtocol(
        cycle_time=values["cycle"],
        inversion_times=(values["inversion"],),
        excitation_times=(0.005,),
        flip_angles=(values["angle"],),
        n_before=0,
        n_after=1,
    )


def test_vanishing_flip_angles_give_the_inversion_recovery_of_the_cycle() -> None:
    efficiency, angle = 0.9, 1e-3
    protocol = replace(MP2RAGE, flip_angles=(angle, angle))
    signal = rapid_gradient_echo_trains(T1, 3.0, protocol=protocol, inversion_efficiency=efficiency)
    cycle, inversion = (np.exp(-np.asarray(time) / T1) for time in (protocol.cycle_time, [[0.7], [2.5]]))
    before = (1 - cycle) / (1 + efficiency * cycle)
    expected = 3 * np.deg2rad(angle) * (1 - (1 + efficiency * before) * inversion)
    np.testing.assert_allclose(signal, expected, atol=1e-6 * 3 * np.deg2rad(angle))


def test_long_trains_reach_the_spoiled_gradient_echo_steady_state() -> None:
    protocol = ReadoutProtocol(
        cycle_time=60.0, inversion_times=(30.0,), excitation_times=(0.010,), flip_angles=(15.0,), n_before=2900,
        n_after=1,
    )  # fmt: skip
    signal = rapid_gradient_echo_trains(T1, 1.0, protocol=protocol)[0]
    angle, decay = np.deg2rad(15), np.exp(-0.010 / T1)
    np.testing.assert_allclose(signal, np.sin(angle) * (1 - decay) / (1 - np.cos(angle) * decay), rtol=1e-9)


@pytest.mark.parametrize("efficiency", [0.0, 0.84, 1.0])
def test_one_excitation_per_inversion_is_gradient_echo_inversion_recovery(efficiency: float) -> None:
    signal = rapid_gradient_echo_trains(T1, 2.0, protocol=_single(), inversion_efficiency=efficiency)
    expected = inversion_recovery(
        T1, 2.0, inversion_times=[0.9], repetition_times=4.0, inversion_efficiency=1 + efficiency,
        excitation_angle=20.0, refocusing=False,
    )  # fmt: skip
    np.testing.assert_allclose(signal, expected, atol=1e-10)


def _by_matrices(t1: float, b1: float, efficiency: float, protocol: ReadoutProtocol) -> NDArray[np.floating]:
    """Signals from products of 2 x 2 matrices that act on (Mz, 1), steady state by solving for it."""

    def relax(time: float) -> NDArray[np.floating]:
        return np.array([[np.exp(-time / t1), 1 - np.exp(-time / t1)], [0, 1]])

    ways = []
    total = np.diag([-efficiency, 1.0])
    *waits, last = protocol.delays
    for wait, spacing, degrees in zip(waits, protocol.spacings, protocol.flip_angles, strict=True):
        angle = np.deg2rad(degrees) * b1
        pulse = relax(spacing) @ np.diag([np.cos(angle), 1])
        total = np.linalg.matrix_power(pulse, protocol.n_before) @ relax(wait) @ total
        ways.append(np.sin(angle) * total[0])
        total = np.linalg.matrix_power(pulse, protocol.n_after) @ total
    total = relax(last) @ total
    steady = total[0, 1] / (1 - total[0, 0])
    return np.array([way @ [steady, 1] for way in ways])


@st.composite
def protocols(draw: st.DrawFn) -> ReadoutProtocol:
    """Any number of trains of any length that follow each other after any pauses."""
    angles = draw(st.lists(st.floats(0.5, 15.0), min_size=1, max_size=4))
    gaps = draw(st.lists(st.floats(1e-6, 1.0), min_size=len(angles), max_size=len(angles)))
    n_before, n_after = draw(st.integers(0, 60)), draw(st.integers(1, 60))
    spacings = tuple(0.004 + 0.001 * index for index in range(len(angles)))
    end, times = 0.0, []
    for gap, spacing in zip(gaps, spacings, strict=True):
        times.append(end + gap + n_before * spacing)
        end = times[-1] + n_after * spacing
    return ReadoutProtocol(
        cycle_time=end + draw(st.floats(0.1, 2.0)),
        inversion_times=tuple(times),
        excitation_times=spacings,
        flip_angles=tuple(angles),
        n_before=n_before,
        n_after=n_after,
    )


@settings(max_examples=50)
@given(protocol=protocols(), t1=st.floats(0.05, 5.0), b1=st.floats(0.3, 1.7), efficiency=st.floats(0.0, 1.0))
def test_pulses_equal_the_product_of_their_matrices(
    protocol: ReadoutProtocol, t1: float, b1: float, efficiency: float
) -> None:
    signal = rapid_gradient_echo_trains(t1, 1.0, protocol=protocol, transmit_field=b1, inversion_efficiency=efficiency)
    np.testing.assert_allclose(signal, _by_matrices(t1, b1, efficiency, protocol), atol=1e-9)


def test_uni_has_the_published_values_of_the_seven_tesla_protocol() -> None:
    # 225 partitions put 112.5 excitations before the centre: the mean of 112 and 113 stands for it.
    early, late = (replace(MP3RAGE, n_before=number, n_after=225 - number) for number in (112, 113))
    three, two = (
        [rapid_gradient_echo_trains(REFERENCE_T1, 1.0, protocol=each, inversion_efficiency=0.84) for each in pair]
        for pair in (
            (early, late),
            [replace(each, inversion_times=(1.010, 3.310), flip_angles=(4.0, 4.0)) for each in (early, late)],
        )
    )
    references = {
        "S12 of two": (two, 1, [0.422, 0.355, 0.276, 0.172, -0.014, -0.340, -0.466]),
        "S12 of three": (three, 1, [0.424, 0.360, 0.290, 0.199, 0.047, -0.228, -0.368]),
        "S13 of three": (three, 2, [0.420, 0.352, 0.277, 0.184, 0.040, -0.175, -0.275]),
    }
    for name, (signals, second, expected) in references.items():
        found = np.mean([_uni(signal[0], signal[second]) for signal in signals], axis=0)
        np.testing.assert_allclose(found, expected, atol=0.0006, err_msg=name)


def test_a_transmit_field_is_a_larger_flip_angle() -> None:
    stronger = replace(MP2RAGE, flip_angles=(4.8, 6.0))
    np.testing.assert_allclose(
        rapid_gradient_echo_trains(T1, 1.0, protocol=MP2RAGE, transmit_field=1.2),
        rapid_gradient_echo_trains(T1, 1.0, protocol=stronger),
        atol=1e-12,
    )


def test_a_volume_equals_its_voxels() -> None:
    rng = np.random.default_rng(0)
    t1, b1 = rng.uniform(0.3, 4.0, (30, 300)), rng.uniform(0.7, 1.3, (30, 300))
    protocol = replace(MP2RAGE, n_before=3, n_after=3)
    volume = rapid_gradient_echo_trains(t1, 5.0, protocol=protocol, transmit_field=b1)
    assert volume.shape == (2, 30, 300)
    for place in ((0, 0), (27, 92), (29, 299)):
        voxel = rapid_gradient_echo_trains(t1[place], 5.0, protocol=protocol, transmit_field=b1[place])
        np.testing.assert_allclose(volume[:, place[0], place[1]], voxel, atol=1e-10)


def test_overlapping_trains_are_refused_with_their_delays() -> None:
    with pytest.raises(InvalidInputError, match=r"0\.0928, 0\.08[0-9]*, -"):
        replace(MP2RAGE, inversion_times=(0.7, 2.0), cycle_time=2.1)
    with pytest.raises(InvalidInputError, match="delays of -"):
        replace(MP2RAGE, inversion_times=(0.5, 2.5))


def test_trains_that_touch_are_allowed() -> None:
    first = 88 * 0.0069
    times = (first, first + 176 * 0.0069)
    protocol = replace(MP2RAGE, inversion_times=times, cycle_time=times[1] + first)
    np.testing.assert_allclose(protocol.delays, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flip_angles": (4.0,)}, "1 flip angles"),
        ({"flip_angles": (4.0, 400.0)}, "400"),
        ({"excitation_times": (0.007, 0.007, 0.007)}, "3 excitation times"),
        ({"n_after": 0}, "0 after"),
        ({"echo_time": 0.0}, "above 0"),
    ],
)
def test_impossible_protocols_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        replace(MP2RAGE, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(("fraction", "shots"), [(1.0, (88, 88)), (0.875, (66, 88)), (0.75, (44, 88)), (0.5, (0, 88))])
def test_partial_fourier_leaves_out_excitations_before_the_centre(fraction: float, shots: tuple[int, int]) -> None:
    protocol = MP2RAGE.with_slice_partial_fourier(fraction)
    assert (protocol.n_before, protocol.n_after, protocol.n_partitions) == (*shots, 176)


@pytest.mark.parametrize("fraction", [0.3, 0.7])
def test_partial_fourier_that_no_scanner_offers_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match=r"0\.625"):
        MP2RAGE.with_slice_partial_fourier(fraction)
