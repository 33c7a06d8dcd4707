"""Two exchanging pools against one pool, limits, an integrator that knows no matrices, and published figures."""

import hashlib
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit

from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas, Tissue
from bids_t1_phantom.head.head import BOUND_FRACTION, Head, HeadOptions, make_head
from bids_t1_phantom.physics import simulate, two_pools
from bids_t1_phantom.physics.protocols import DEFAULT_INVERSION_TIMES, INVERSION_LEAVES, Protocol
from bids_t1_phantom.physics.trains import MP2RAGE, ReadoutProtocol
from bids_t1_phantom.physics.two_pools import EXCITATION_SATURATION, SPIN_ECHO_SATURATION, Pools
from tests import validator

T1 = np.array([0.35, 0.84, 1.2, 1.6, 4.0])
ONES = np.ones_like(T1)
WHITE = (0.84, 0.135, 17.5)
DEEP = (1.19, 0.095, 20.0)
GREY = (1.60, 0.065, 25.0)
"""T1 [s], bound fraction and exchange [1/s] of tissues."""

LATER_INVERSION_TIMES = (0.15, 0.21, 0.29, 0.41, 0.57, 0.79, 1.1, 1.55, 2.15, 3.0)
"""When the fast component has gone [s]."""


def _pools(t1: float, fraction: float, exchange: float, bound_rate: float = 1.0) -> Pools:
    return Pools.build(np.array([t1]), bound_fraction=fraction, exchange=exchange, bound_rate=bound_rate)


def _integrate(pools: Pools, state: NDArray[np.float64], time: float) -> NDArray[np.float64]:
    """Follow the equations of one voxel in small steps."""
    free, bound, leaving, ratio = (
        float(each[0]) for each in (pools.free_rate, pools.bound_rate, pools.exchange, pools.ratio)
    )

    def slope(_: float, now: NDArray[np.float64]) -> list[float]:
        flow = leaving * (now[1] - ratio * now[0])
        return [free * (1 - now[0]) + flow, bound * (ratio - now[1]) - flow]

    return np.asarray(solve_ivp(slope, (0, time), state, rtol=1e-9, atol=1e-11).y[:, -1])


@pytest.mark.parametrize(("fraction", "exchange"), [(0.0, 20.0), (0.13, 0.0)])
def test_without_bound_protons_or_exchange_both_sequences_equal_those_of_one_pool(
    fraction: float, exchange: float
) -> None:
    pools = Pools.build(T1, bound_fraction=fraction, exchange=exchange, bound_rate=1.3)
    protocol, field, kappa = Protocol.build((0.05, 0.5, 2.0)), np.linspace(0.7, 1.3, 5), np.linspace(1.7, 2, 5)
    np.testing.assert_allclose(
        two_pools.inversion_recovery(pools, 3 * ONES, protocol=protocol, inversion_efficiency=kappa),
        simulate.inversion_recovery(
            T1, 3.0, inversion_times=protocol.inversion_times, repetition_times=protocol.repetition_times,
            inversion_efficiency=kappa, echo_time=protocol.echo_time,
        ),
        atol=1e-8,
    )  # fmt: skip
    np.testing.assert_allclose(
        two_pools.rapid_gradient_echo_trains(
            pools, 3 * ONES, protocol=MP2RAGE, transmit_field=field, inversion_efficiency=0.96
        ),
        simulate.rapid_gradient_echo_trains(
            T1, 3.0, protocol=MP2RAGE, transmit_field=field, inversion_efficiency=0.96
        ),
        atol=1e-8,
    )  # fmt: skip


@given(
    t1=st.floats(0.3, 4.5), fraction=st.floats(0.0, 0.25), exchange=st.floats(5.0, 60.0), bound=st.floats(0.3, 4.0)
)  # fmt: skip
def test_the_slow_component_has_the_t1_asked_for(t1: float, fraction: float, exchange: float, bound: float) -> None:
    pools = _pools(t1, fraction, exchange, bound)
    ratio = fraction / (1 - fraction)
    equations = np.array(
        [[pools.free_rate[0] + ratio * exchange, -exchange], [-ratio * exchange, bound + exchange]]
    )  # fmt: skip
    rates = np.sort(np.linalg.eigvals(equations).real)
    assert rates[0] == pytest.approx(1 / t1, rel=1e-6)
    np.testing.assert_allclose([each[0] for each in pools.rates], rates, rtol=1e-6)
    assert pools.bound_fraction[0] == pytest.approx(fraction)


def test_equilibrium_stays_and_exchange_alone_loses_nothing() -> None:
    pools = Pools.build(T1, bound_fraction=0.13, exchange=20.0, bound_rate=1.0)
    equilibrium = np.array([ONES, pools.ratio])
    np.testing.assert_allclose(pools.wait(0.3)(equilibrium), equilibrium, atol=1e-12)
    closed = replace(pools, free_rate=0 * T1, bound_rate=0 * T1)
    state = closed.wait(0.02)(np.array([-ONES, 0.1 * ONES]))
    np.testing.assert_allclose(state.sum(axis=0), -0.9, atol=1e-12)
    assert np.all(state[0] > -1)


def test_fast_exchange_is_one_pool_with_the_mean_rate() -> None:
    pools = replace(_pools(1.0, 0.2, 1e5), free_rate=np.array([0.5]), bound_rate=np.array([3.0]))
    assert pools.rates[0][0] == pytest.approx(0.8 * 0.5 + 0.2 * 3.0, rel=1e-3)


@pytest.mark.parametrize("time", [0.003, 0.05, 1.5])
def test_waiting_is_what_an_integrator_finds(time: float) -> None:
    pools = _pools(*WHITE)
    state = np.array([-0.9, 0.12])
    np.testing.assert_allclose(pools.wait(time)(state[:, None])[:, 0], _integrate(pools, state, time), atol=1e-8)


def test_inversion_recovery_is_what_an_integrator_finds() -> None:
    pools, kappa = _pools(*WHITE), 1.9
    protocol = Protocol.build((0.1, 0.8), repetition_times=(2.5,), echo_time=0.02)
    found = two_pools.inversion_recovery(
        pools, np.array([5.0]), protocol=protocol, inversion_efficiency=np.array([1.9])
    )
    for signal, inversion_time in zip(found[:, 0], protocol.inversion_times, strict=True):
        state = np.array([1.0, pools.ratio[0]])
        for _ in range(12):
            state = _integrate(pools, state * [1 - kappa, INVERSION_LEAVES], inversion_time)
            excited = state[0]
            state = _integrate(pools, state * [0, np.exp(-SPIN_ECHO_SATURATION * np.deg2rad(90) ** 2)], 0.01)
            state = state * [-1, np.exp(-SPIN_ECHO_SATURATION * np.deg2rad(180) ** 2)]
            state = _integrate(pools, state, 2.5 - inversion_time - 0.01)
        assert signal == pytest.approx(5 * excited, abs=1e-6)


def test_trains_are_what_an_integrator_finds() -> None:
    pools, field = _pools(*WHITE), 1.3
    protocol = ReadoutProtocol(
        cycle_time=3.0, inversion_times=(0.5, 1.4), excitation_times=(0.02, 0.03), flip_angles=(12.0, 20.0), n_before=2,
        n_after=3,
    )  # fmt: skip
    found = two_pools.rapid_gradient_echo_trains(
        pools, np.ones(1), protocol=protocol, transmit_field=np.array([field]), inversion_efficiency=0.9
    )
    state = np.array([1.0, pools.ratio[0]])
    for _ in range(12):
        state = state * [-0.9, INVERSION_LEAVES]
        signals = []
        for delay, spacing, degrees in zip(protocol.delays, protocol.spacings, protocol.flip_angles, strict=False):
            state = _integrate(pools, state, delay)
            angle = np.deg2rad(degrees) * field
            for pulse in range(5):
                if pulse == 2:
                    signals.append(state[0] * np.sin(angle))
                state = state * [np.cos(angle), np.exp(-EXCITATION_SATURATION * angle**2)]
                state = _integrate(pools, state, spacing)
        state = _integrate(pools, state, protocol.delays[-1])
    np.testing.assert_allclose(found[:, 0], signals, atol=1e-6)


def test_white_matter_has_the_published_fast_component_of_about_a_tenth() -> None:
    """Rioux et al. 2016, doi 10.1002/mrm.25729, 3 T: 48 ms, 9 % of what an inversion turns; here 12.5 %."""
    pools = _pools(*WHITE)
    slow, fast = (float(rate[0]) for rate in pools.rates)
    assert 1000 / fast == pytest.approx(48, abs=3)
    # Amplitudes after an inversion, from the recovery at two times.
    state = np.array([[-0.93], [INVERSION_LEAVES * pools.ratio[0]]])
    times = np.array([0.0, 0.1])
    recovery = np.array([1 - pools.wait(time)(state)[0, 0] for time in times])
    quick, steady = np.linalg.solve(np.exp(-times[:, None] * [fast, slow]), recovery)
    assert quick / (quick + steady) == pytest.approx(0.125, abs=0.005)


def _fit(tissue: tuple[float, float, float], times: tuple[float, ...]) -> float:
    """Return T1 of three parameters that are fitted to inversion recovery."""
    protocol = Protocol.build(times)
    signal = two_pools.inversion_recovery(
        _pools(*tissue), np.ones(1), protocol=protocol, inversion_efficiency=np.array([1.93])
    )[:, 0]  # fmt: skip

    def model(time: NDArray[np.float64], full: float, turned: float, t1: float) -> NDArray[np.float64]:
        return np.asarray(full - turned * np.exp(-time / t1))

    return float(curve_fit(model, np.array(times), signal, p0=[1.0, 1.9, tissue[0]])[0][2])


def _look_up(tissue: tuple[float, float, float]) -> float:
    """Return T1 that UNI says who knows of one pool only."""
    grid = np.linspace(0.5, 3.0, 2501)
    single = simulate.rapid_gradient_echo_trains(grid, 1.0, protocol=MP2RAGE, inversion_efficiency=0.96)
    first, second = two_pools.rapid_gradient_echo_trains(
        _pools(*tissue), np.ones(1), protocol=MP2RAGE, transmit_field=np.ones(1), inversion_efficiency=0.96
    )[:, 0]
    table = single[0] * single[1] / (single[0] ** 2 + single[1] ** 2)
    return float(np.interp(-first * second / (first**2 + second**2), -table, grid))


@pytest.mark.parametrize(("tissue", "ratio"), [(WHITE, 0.86), (DEEP, 0.87), (GREY, 0.88)])
def test_mp2rage_reads_shorter_t1_and_inversion_recovery_the_true_one(
    tissue: tuple[float, float, float], ratio: float
) -> None:
    assert _look_up(tissue) / tissue[0] == pytest.approx(ratio, abs=0.02)
    assert _fit(tissue, LATER_INVERSION_TIMES) / tissue[0] == pytest.approx(1.0, abs=0.015)


def test_early_inversion_times_shorten_the_t1_of_inversion_recovery() -> None:
    early, late = (_fit(WHITE, times) for times in (DEFAULT_INVERSION_TIMES, LATER_INVERSION_TIMES))
    assert early < 0.96 * late


def test_an_inversion_that_leaves_less_of_the_bound_pool_has_a_smaller_fast_component() -> None:
    usual, long = (
        two_pools.inversion_recovery(
            _pools(*WHITE),
            np.ones(1),
            protocol=Protocol.build((0.012, 0.3), inversion_leaves=share),
            inversion_efficiency=np.array([1.93]),
        )[:, 0]
        for share in (INVERSION_LEAVES, 0.1)
    )
    assert usual[1] - usual[0] > 1.05 * (long[1] - long[0])
    of_trains = [
        two_pools.rapid_gradient_echo_trains(
            _pools(*WHITE), np.ones(1), protocol=MP2RAGE, transmit_field=np.ones(1), inversion_efficiency=0.96,
            inversion_leaves=share,
        )[0, 0]
        for share in (INVERSION_LEAVES, 0.1)
    ]  # fmt: skip
    assert of_trains[0] > of_trains[1]


def test_shares_that_inversions_leave_are_one_or_two_and_between_0_and_1(tmp_path: Path) -> None:
    for words in (["0.8", "0.2", "0.1"], ["1.2"], ["nan"]):
        assert main([str(tmp_path / "none"), "--bias", "mt", "--inversion-leaves", *words]) == 64
    small = ["--resolution", "10", "--slices", "1", "--bias", "mt", "--sequences", "IRT1,MP2RAGE"]
    for name, words in (("usual", []), ("other", ["--inversion-leaves", "0.83", "0.2"])):
        assert main([str(tmp_path / name), *small, *words]) == 0
    usual, other = (_digests(tmp_path / name) for name in ("usual", "other"))
    changed = {path for path in usual if path.endswith(".nii.gz") and usual[path] != other[path]}
    assert changed == {path for path in usual if "inv-" in path and path.endswith("_MP2RAGE.nii.gz")}


@pytest.fixture(scope="module")
def head(atlas: Atlas) -> Head:
    return make_head(atlas, HeadOptions(resolution=6.0, bound_pool=True), seed=3)


def test_bound_fractions_are_those_of_tissues_with_a_smooth_texture(head: Head) -> None:
    assert head.pools is not None
    fraction = head.pools.bound_fraction
    for kind, mean in BOUND_FRACTION.items():
        inside = fraction[head.tissue == kind]
        assert np.all(np.abs(inside - mean) <= 0.16 * mean)
        assert np.ptp(inside) > 0.1 * mean or mean == 0
    assert np.all(np.isnan(fraction[head.tissue == Tissue.AIR]))
    assert np.all(head.pools.free_rate[head.tissue != Tissue.AIR] > 0)


def test_participants_differ_in_their_bound_pool_and_a_bound_pool_changes_nothing_else(
    atlas: Atlas, head: Head
) -> None:
    options = HeadOptions(resolution=6.0, bound_pool=True)
    medians = set()
    for participant in (1, 2, 3):
        other = make_head(atlas, options, seed=3, participant=participant)
        assert other.pools is not None
        medians.add(float(np.median(other.pools.bound_fraction[other.tissue == Tissue.WHITE_MATTER])))
    assert len(medians) == 3
    assert np.ptp(list(medians)) < 0.1 * BOUND_FRACTION[Tissue.WHITE_MATTER]
    plain = make_head(atlas, replace(options, bound_pool=False), seed=3)
    assert plain.pools is None
    for name in ("t1", "m0", "phase", "t2_star", "transmit_field", "inversion_efficiency"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(head, name))


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_dataset_is_reproducible_valid_and_tells_the_bound_fraction(tmp_path: Path) -> None:
    words = ["--resolution", "10", "--slices", "2", "--sequences", "IRT1,MP2RAGE,MEGRE"]
    for name, bias in (("a", "mt"), ("b", "mt"), ("plain", "none")):
        assert main([str(tmp_path / name), *words, "--bias", bias]) == 0
    found, again, plain = (_digests(tmp_path / name) for name in ("a", "b", "plain"))
    assert found == again
    for path, same in (
        ("sub-01_inv-1_IRT1", False),
        ("sub-01_inv-1_part-mag_MP2RAGE", False),
        ("sub-01_echo-1_MEGRE", True),
    ):
        key = f"sub-01/anat/{path}.nii.gz"
        assert (found[key] == plain[key]) == same
    truth = tmp_path / "a" / "derivatives" / "truth"
    image = nibabel.load(truth / "sub-01" / "anat" / "sub-01_desc-truthboundfraction_MTVmap.nii.gz")
    assert isinstance(image, nibabel.Nifti1Image)
    assert 0.12 < np.nanmax(image.get_fdata()) < 0.16
    assert "bound to macromolecules" in (truth / "README.md").read_text()
    assert validator.errors(tmp_path / "a") + validator.errors(truth) == []
