from __future__ import annotations

import numpy as np
import pytest

from bids_t1.compiling import COMPILES
from bids_t1.data.grid import Grid
from bids_t1.resampling import averaged, drawn_out, resample, resample_flags, resample_labels, resample_times

SOURCE = Grid((24, 26, 22), np.diag([1.0, 1.0, 1.0, 1.0]))
RNG = np.random.default_rng(3)


def rotation(degrees: float, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def coordinates(grid: Grid) -> np.ndarray:
    turned = np.tensordot(grid.affine[:3, :3], np.indices(grid.shape), axes=1)
    return np.asarray(turned + grid.affine[:3, 3].reshape(3, 1, 1, 1))


def target(shape: tuple[int, int, int], sizes: tuple[float, float, float], first: tuple[float, float, float]) -> Grid:
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = first
    return Grid(shape, affine)


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (2.0, 2.0, 2.0), (1.0, 1.0, 5.0)])
def test_a_map_linear_in_space_stays_so_under_any_matrix(sizes: tuple[float, float, float]) -> None:
    slope = np.array([0.3, -0.2, 0.5])
    values = (1 + np.tensordot(slope, coordinates(SOURCE), axes=1)).astype(np.float32)
    grid, matrix = target((4, 5, 2), sizes, (9.0, 9.0, 6.0)), rotation(9, (0.4, 1.3, -0.2))
    moved = np.tensordot(matrix[:3, :3], coordinates(grid), axes=1) + matrix[:3, 3].reshape(3, 1, 1, 1)
    found = resample(values, SOURCE, grid, matrix)
    np.testing.assert_allclose(found, 1 + np.tensordot(slope, moved, axes=1), atol=2e-5)
    assert found.dtype == np.float32


def test_a_voxel_twice_as_long_holds_the_mean_of_those_within() -> None:
    values = RNG.random((8, 8, 8)).astype(np.float32)
    source = Grid(values.shape, np.eye(4))
    found = resample(values, source, target((4, 4, 4), (2, 2, 2), (0.5, 0.5, 0.5)))
    # The parts of such a voxel lie on the source's voxel centres: the mean is exact.
    np.testing.assert_allclose(found, values.reshape(4, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5)), rtol=1e-6)


def test_the_same_grid_returns_the_input_bit_for_bit() -> None:
    values = RNG.random(SOURCE.shape)
    labels = RNG.integers(0, 4, SOURCE.shape).astype(np.uint8)
    matrix = rotation(20, (1, 2, 3))
    same = Grid(SOURCE.shape, np.linalg.inv(matrix) @ SOURCE.affine)
    assert np.array_equal(resample(values, SOURCE, SOURCE), values)
    assert np.array_equal(resample(values, SOURCE, same, matrix), values)
    assert np.array_equal(resample_times(values, values, SOURCE, SOURCE)[1], values)
    assert np.array_equal(resample_labels(labels, SOURCE, same, matrix), labels)


def test_matrix_maps_points_of_the_target_to_the_source() -> None:
    values = np.zeros(SOURCE.shape, np.float32)
    values[15, 9, 8] = 1
    shift = np.eye(4)
    shift[:3, 3] = (3, -2, 4)
    found = resample(values, SOURCE, SOURCE, shift)
    assert np.argwhere(found > 0.5).tolist() == [[12, 11, 4]]


def test_unknown_voxels_count_neither_as_zero_nor_as_known() -> None:
    values = np.full((4, 2, 2), 7.0, np.float32)
    values[0, 0, 0] = np.nan
    values[2:, :, :1] = np.nan
    values[2, 0, 1] = np.nan
    source = Grid(values.shape, np.eye(4))
    found = resample(values, source, target((3, 1, 1), (2, 2, 2), (0.5, 0.5, 0.5)))
    assert found[0, 0, 0] == pytest.approx(7.0)
    assert np.isnan(found[1, 0, 0])  # three of eight are known
    assert np.isnan(found[2, 0, 0])  # outside


def test_a_single_slice_is_known_within_its_thickness_only() -> None:
    values = np.full((6, 6, 1), 2.0, np.float32)
    source = Grid(values.shape, np.diag([1.0, 1.0, 4.0, 1.0]))
    found = resample(values, source, target((6, 6, 7), (1, 1, 1), (0, 0, -3)))
    assert np.array_equal(np.isfinite(found[3, 3]), [False, True, True, True, True, True, False])


def test_rates_are_averaged_and_not_times() -> None:
    time = np.full((2, 2, 2), 0.8, np.float32)
    time[1] = 4.0
    source = Grid(time.shape, np.eye(4))
    found, _ = resample_times(time, time / 10, source, target((1, 1, 1), (2, 2, 2), (0.5, 0.5, 0.5)))
    assert found.item() == pytest.approx(2 / (1 / 0.8 + 1 / 4.0), rel=1e-6)


@pytest.mark.parametrize(
    ("sizes", "matrix"),
    [((2.0, 2.0, 2.0), rotation(7, (1.2, 0.3, 0.4))), ((0.8, 0.8, 0.8), None), ((1.0, 1.0, 4.0), rotation(3))],
)
def test_sd_is_that_of_repeated_measurements(sizes: tuple[float, float, float], matrix: np.ndarray | None) -> None:
    small = Grid((9, 9, 9), np.eye(4))
    rng = np.random.default_rng(8)
    time = rng.uniform(0.8, 1.6, small.shape)
    sd = 0.01 * rng.uniform(0.5, 2, small.shape)
    grid = target((2, 2, 1), sizes, (3.3, 2.6, 3.4))
    _, claimed = resample_times(time, sd, small, grid, matrix)
    repeats = [
        resample_times(time + sd * rng.standard_normal(small.shape), sd, small, grid, matrix)[0] for _ in range(900)
    ]
    # The SD of 900 values is known to 2.4 %, the largest of four deviations is within three of that.
    np.testing.assert_allclose(np.std(repeats, axis=0), claimed, rtol=0.08)


def test_an_unknown_sd_makes_only_the_sd_unknown() -> None:
    time = np.full((4, 2, 2), 1.0, np.float32)
    sd = np.full_like(time, 0.1)
    sd[0, 0, 0] = np.nan
    found, found_sd = resample_times(
        time, sd, Grid(time.shape, np.eye(4)), target((2, 1, 1), (2, 2, 2), (0.5, 0.5, 0.5))
    )
    np.testing.assert_allclose(found.ravel(), 1)
    assert np.isnan(found_sd[0]).all()
    assert found_sd[1, 0, 0] == pytest.approx(0.1 / np.sqrt(8), rel=1e-5)


def test_labels_are_voted_on_and_never_mixed() -> None:
    labels = np.array([1, 9, 9, 9, 3, 1, 1, 3], np.uint8).reshape(2, 2, 2)
    source = Grid(labels.shape, np.eye(4))
    found = resample_labels(labels, source, target((2, 1, 1), (2, 2, 2), (0.5, 0.5, 0.5)))
    assert found.ravel().tolist() == [1, 0]
    assert found.dtype == np.uint8
    fine = resample_labels(labels, source, target((5, 5, 5), (0.4, 0.4, 0.4), (-0.2, -0.2, -0.2)))
    assert set(np.unique(fine)) <= {0, 1, 3, 9}


def test_a_mask_keeps_its_volume() -> None:
    ball = np.linalg.norm(coordinates(SOURCE) - 11.0, axis=0) < 8
    grid = target((13, 13, 13), (2, 2, 2), (-1, -1, -1))
    found = resample_flags(ball, SOURCE, grid, rotation(6, (1.1, -1.0, 0.3)))
    assert found.dtype == np.bool_
    assert 8 * found.sum() == pytest.approx(ball.sum(), rel=0.06)


@pytest.mark.skipif(not COMPILES, reason="needs Numba")
@pytest.mark.parametrize("edge", [2.0, 4.5])
def test_compiled_sums_are_those_of_the_plain_weights(monkeypatch: pytest.MonkeyPatch, edge: float) -> None:
    rng = np.random.default_rng(5)
    times = rng.uniform(0.5, 3.0, (12, 10, 8)).astype(np.float32)
    times[rng.random(times.shape) < 0.1] = np.nan
    labels = rng.integers(0, 4, times.shape).astype(np.uint8)
    turn = np.array([[0.96, -0.28, 0.0, 1.3], [0.28, 0.96, 0.0, -2.2], [0.0, 0.0, 1.0, 0.7], [0.0, 0.0, 0.0, 1.0]])
    where = Grid(times.shape, np.diag([2.0, 2.0, 2.0, 1.0])), Grid((9, 9, 6), np.diag([edge, edge, edge, 1.0])), turn
    compiled = *resample_times(times, times / 50, *where), resample_labels(labels, *where)
    monkeypatch.setattr("bids_t1.resampling.COMPILES", False)
    plain = *resample_times(times, times / 50, *where), resample_labels(labels, *where)
    assert np.isfinite(plain[0]).any()
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_values_drawn_out_lie_on_straight_lines_between_those_of_blocks() -> None:
    fine = np.indices((9, 8, 5)).sum(axis=0).astype(np.float32)
    of_blocks, grid = averaged(fine, Grid((9, 8, 5), np.eye(4)), 2.0)
    steps = [(2, 0.5), (2, 0.5), (2, 0.5)]
    assert grid.shape == (4, 4, 2)
    drawn = drawn_out(of_blocks, fine.shape, steps)
    assert np.allclose(drawn[1:7, 1:7, 1:3], fine[1:7, 1:7, 1:3])
    assert np.allclose(drawn[8], drawn[7])  # beyond the last block


def test_a_single_voxel_is_drawn_out_as_it_is() -> None:
    assert np.array_equal(
        drawn_out(np.full((1, 1, 1), 3.0, np.float32), (3, 1, 2), [(4, 0.0)] * 3), np.full((3, 1, 2), 3)
    )
