"""A transmit field is that of the run, in its own unit, on the run's grid, and nowhere made up."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.bids.discover import find
from bids_t1.bids.transmit.field import load_given_transmit_field, load_transmit_field
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import Grid
from tests.bids.small_readouts import SHAPE, readouts, write_readouts
from tests.small_bids import AFFINE, change_json, sidecar, write_image, write_json, write_root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import TransmitField

GRID = Grid(SHAPE, AFFINE)
RATIO = np.random.default_rng(3).uniform(0.7, 1.2, SHAPE).astype(np.float32)


def write_map(dataset: Path, data: NDArray[Any] = RATIO, *, entities: str = "", **fields: object) -> Path:
    sessions = [entity for entity in entities.split("_") if entity.startswith("ses-")]
    path = dataset.joinpath("sub-01", *sessions, "fmap", f"sub-01{entities}_TB1map.nii.gz")
    write_image(path, data)
    write_json(sidecar(path), fields)
    return path


def loaded(dataset: Path, run: int = 0) -> TransmitField | None:
    found = find(dataset, "01")
    return load_transmit_field(found.transmit_fields, found.runs[run], GRID)


def given(
    folder: Path,
    data: NDArray[Any],
    affine: NDArray[np.float64] = AFFINE,
    fields: Mapping[str, object] | None = None,
) -> TransmitField:
    path = folder / "b1.nii.gz"
    write_image(path, data, affine)
    write_json(sidecar(path), fields or {})
    return load_given_transmit_field(path, GRID)


@pytest.mark.parametrize(
    ("factor", "fields"),
    [
        (1, {}),
        (1, {"Units": "arbitrary"}),
        (1, {"Units": "Ratio"}),
        (1, {"Units": "percent multiplicative"}),
        (100, {"Units": "percent multiplicative"}),
        (100, {"Units": "percent"}),
        (100, {"Units": "%"}),
        (1000, {"Units": "permille"}),
        (60, {"Units": "degree", "FlipAngle": 60}),
        (800, {"Units": "0.1 degree", "FlipAngle": 80}),
        (np.pi / 3, {"Units": "rad", "FlipAngle": 60}),
    ],
)
def test_each_declared_unit_gives_the_same_field(tmp_path: Path, factor: float, fields: dict[str, object]) -> None:
    field = given(tmp_path, (factor * RATIO).astype(np.float32), fields=fields)
    np.testing.assert_allclose(field.values, RATIO, rtol=1e-6)
    assert field.values.dtype == np.float32
    assert f"median {np.median(RATIO):.3f}" in field.scaling
    assert field.warnings == ()


@pytest.mark.parametrize(
    ("factor", "fields", "message"),
    [
        (100, {}, r"the median of its nonzero voxels is 9\d\.\d+, which read as a ratio.*B1 far from 1.*'percent'"),
        (1000, {"Units": "percent"}, "B1 far from 1"),
        (1, {"Units": "percent"}, "expected 0.4 to 1.6"),
        (60, {"Units": "degree", "FlipAngle": 8}, "nominal angle 8 degrees.*B1 far from 1"),
        (60, {"Units": "degree"}, "FlipAngle None; expected the nominal flip angle"),
        (1, {"Units": "tesla"}, "Units is 'tesla'; Give Units"),
    ],
)
def test_a_unit_that_is_not_that_of_the_values_is_refused(
    tmp_path: Path, factor: float, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        given(tmp_path, (factor * RATIO).astype(np.float32), fields=fields)


def test_zeros_are_no_field_and_filled_only_near_known_voxels(tmp_path: Path) -> None:
    data = np.full(SHAPE, 0.9, np.float32)
    data[:10] = 0
    data[15, 10, 4] = np.nan
    field = given(tmp_path, data)
    assert np.isnan(field.values[:5]).all()  # voxels of 2 mm: more than 10 mm from the edge
    np.testing.assert_allclose(field.values[6:], 0.9, rtol=1e-5)
    assert field.extrapolated.dtype == np.uint8
    assert not field.extrapolated[:5].any()
    assert field.extrapolated[6:10].all()
    assert field.extrapolated[15, 10, 4] == 1
    assert field.extrapolated[10:].sum() == 1
    assert "holes filled and edges continued up to 10 mm" in field.scaling


def test_what_is_measured_of_a_map_is_left_as_it_is(tmp_path: Path) -> None:
    data = RATIO.copy()
    data[:10] = 0
    np.testing.assert_array_equal(given(tmp_path, data).values[10:], RATIO[10:])


@pytest.mark.parametrize("data", [np.zeros(SHAPE), np.full(SHAPE, np.nan)])
def test_a_map_without_values_is_refused(tmp_path: Path, data: NDArray[np.float64]) -> None:
    with pytest.raises(InvalidInputError, match=r"b1\.nii\.gz: holds only zeros or no numbers"):
        given(tmp_path, data)


def linear(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a field that is linear in scanner coordinates, at the voxels of a grid."""
    indices = np.indices(shape).reshape(3, -1)
    x, y, z = affine[:3, :3] @ indices + affine[:3, 3:]
    return np.asarray((1 + 0.002 * x - 0.003 * y + 0.004 * z).reshape(shape))


def rotated(angle: float) -> NDArray[np.float64]:
    affine = np.diag([5.0, 5.0, 4.0, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (-12, -15, -8)
    return affine


@pytest.mark.parametrize("angle", [0.0, 0.2])
def test_a_linear_field_is_exact_on_another_grid(tmp_path: Path, angle: float) -> None:
    affine = rotated(angle)
    field = given(tmp_path, linear(affine, (16, 16, 12)), affine)
    np.testing.assert_allclose(field.values, linear(AFFINE, SHAPE), rtol=1e-5)


def test_large_holes_stay_and_do_not_pull_their_neighbours_down(tmp_path: Path) -> None:
    affine = rotated(0.1)
    data = np.full((16, 16, 12), 0.9, np.float32)
    data[2:8, 2:8, 1:7] = 0
    field = given(tmp_path, data, affine)
    assert np.isnan(field.values).any()
    assert field.extrapolated.any()
    assert not (np.isnan(field.values) & (field.extrapolated == 1)).any()
    np.testing.assert_allclose(field.values[np.isfinite(field.values)], 0.9, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_map_shifted_by_half_the_image_is_unknown_on_the_other_half(tmp_path: Path, axis: int) -> None:
    affine = AFFINE.copy()
    half = SHAPE[axis] // 2
    affine[axis, 3] += half * AFFINE[axis, axis]
    field = given(tmp_path, linear(affine, SHAPE), affine)
    known = np.isfinite(np.moveaxis(field.values, axis, 0))
    assert not known[:half].any()
    assert known[half:].all()
    moved = np.moveaxis(field.values, axis, 0)[half:]
    np.testing.assert_allclose(moved, np.moveaxis(linear(AFFINE, SHAPE), axis, 0)[half:], rtol=1e-5)
    assert field.warnings == ("b1.nii.gz: covers 50% of the image; B1+ is not known elsewhere.",)


def test_a_map_of_5_mm_serves_a_run_of_0_8_mm(tmp_path: Path) -> None:
    affine, fine = np.diag([5.0, 5.0, 5.0, 1.0]), np.diag([0.8, 0.8, 0.8, 1.0])
    fine[:3, 3] = 3.3
    path = tmp_path / "b1.nii.gz"
    write_image(path, linear(affine, (9, 9, 9)).astype(np.float32), affine)
    field = load_given_transmit_field(path, Grid((40, 42, 44), fine))
    np.testing.assert_allclose(field.values, linear(fine, (40, 42, 44)), rtol=1e-5)
    assert field.warnings == ()


def test_a_map_of_a_part_says_how_much_it_covers(tmp_path: Path) -> None:
    field = given(tmp_path, np.ones((20, 20, 2), np.float32))
    assert np.isfinite(field.values[..., :2]).all()
    assert np.isnan(field.values[..., 3:]).all()
    assert field.warnings == ("b1.nii.gz: covers 25% of the image; B1+ is not known elsewhere.",)


def test_a_single_slice_is_as_thick_as_its_voxels(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[2, 2], affine[2, 3] = 9.0, 3.0
    values = given(tmp_path, np.ones((20, 20, 1), np.float32), affine).values
    assert np.isfinite(values[10, 10]).tolist() == [True, True, True, False, False, False, False, False]


def test_there_may_be_none(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts())
    assert loaded(tmp_path) is None


def test_the_map_that_names_the_run_comes_first(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(), entities="_ses-1")
    write_map(tmp_path, entities="_ses-1_run-1")
    for intended in (
        "ses-1/anat/sub-01_ses-1_inv-1_part-mag_MP2RAGE.nii.gz",
        ["bids::sub-01/ses-1/anat/sub-01_ses-1_inv-2_part-phase_MP2RAGE.nii.gz"],
    ):
        named = write_map(tmp_path, entities="_ses-1_run-2", IntendedFor=intended)
        field = loaded(tmp_path)
        assert field is not None
        assert (field.sources, field.warnings) == ((named,), ())


def test_a_map_named_by_a_field_source_comes_first(tmp_path: Path) -> None:
    images = write_readouts(write_root(tmp_path), readouts())
    write_map(tmp_path, entities="_acq-a")
    named = write_map(tmp_path, entities="_acq-b", B0FieldIdentifier="b1")
    content = json.loads(sidecar(images[0]).read_text())
    write_json(sidecar(images[0]), {**content, "B0FieldSource": ["b1"]})
    field = loaded(tmp_path)
    assert field is not None
    assert field.sources == (named,)


def test_sessions_do_not_lend_each_other_maps(tmp_path: Path) -> None:
    write_root(tmp_path)
    for session in ("1", "2"):
        write_readouts(tmp_path, readouts(), entities=f"_ses-{session}")
    write_map(tmp_path, entities="_ses-2")
    assert loaded(tmp_path, 0) is None
    field = loaded(tmp_path, 1)
    assert field is not None
    shared = write_map(tmp_path)
    field = loaded(tmp_path, 0)
    assert field is not None
    assert field.sources == (shared,)


def test_of_several_equal_maps_the_first_run_is_taken_and_said(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts())
    for run in ("10", "2"):
        write_map(tmp_path, entities=f"_run-{run}")
    field = loaded(tmp_path)
    assert field is not None
    assert field.sources[0].name == "sub-01_run-2_TB1map.nii.gz"
    (warning,) = field.warnings
    assert warning == (
        "sub-01_run-2_TB1map: taken as the transmit field of sub-01_MP2RAGE; sub-01_run-10_TB1map would do as well. "
        "IntendedFor or --bids-filter-file chooses."
    )


def test_one_of_several_equal_maps_that_cannot_be_used_blocks_none_of_the_others(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts())
    write_map(tmp_path, 1000 * RATIO, entities="_acq-anat")
    good = write_map(tmp_path, entities="_acq-famp")
    field = loaded(tmp_path)
    assert field is not None
    assert field.sources == (good,)
    (warning,) = field.warnings
    assert warning.startswith("sub-01_acq-anat_TB1map.nii.gz: the median of its nonzero voxels is")
    assert warning.endswith("It is not used.")


def test_a_map_for_other_images_is_used_last_and_said(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts())
    write_map(tmp_path, IntendedFor="anat/sub-01_T1w.nii.gz")
    field = loaded(tmp_path)
    assert field is not None
    assert "which its IntendedFor does not name" in field.warnings[0]


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_sidecar_of_a_given_map_is_named(tmp_path: Path, content: str) -> None:
    write_image(tmp_path / "b1.nii.gz", RATIO)
    (tmp_path / "b1.json").write_text(content)
    with pytest.raises(InvalidInputError, match=r"b1\.json: "):
        load_given_transmit_field(tmp_path / "b1.nii.gz", GRID)


def test_a_given_map_needs_no_sidecar_and_must_be_there(tmp_path: Path) -> None:
    write_image(tmp_path / "b1.nii", RATIO)
    np.testing.assert_array_equal(load_given_transmit_field(tmp_path / "b1.nii", GRID).values, RATIO)
    with pytest.raises(InvalidInputError, match=r"none\.nii: cannot be read"):
        load_given_transmit_field(tmp_path / "none.nii", GRID)


def of_voltage(dataset: Path, of_map: object, of_run: object) -> TransmitField:
    write_readouts(write_root(dataset), readouts())
    for path in dataset.rglob("*MP2RAGE.json"):
        change_json(path, TxRefAmp=of_run)
    write_map(dataset, TxRefAmp=of_map)
    field = loaded(dataset)
    assert field is not None
    return field


def test_a_map_of_another_reference_voltage_is_that_of_the_images(tmp_path: Path) -> None:
    field = of_voltage(tmp_path, 200.0, 220.0)
    np.testing.assert_allclose(field.values, RATIO * 1.1, rtol=1e-5)
    assert "multiplied by 1.1, as TxRefAmp is 200 V for the map and 220 V for the images" in field.scaling
    assert any("TxRefAmp is 200 V for the map and 220 V for the images" in warning for warning in field.warnings)


@pytest.mark.parametrize(
    ("of_map", "of_run", "said"),
    [
        (200.0, 201.5, "played at the reference voltage of the images"),
        (None, 220.0, "not compared, as TxRefAmp of the map is not known"),
        (200.0, None, "not compared, as TxRefAmp of the images is not known"),
        (None, None, "TxRefAmp of the map and the images is not known"),
    ],
)
def test_reference_voltages_that_agree_or_are_not_known_change_nothing(
    tmp_path: Path, of_map: object, of_run: object, said: str
) -> None:
    field = of_voltage(tmp_path, of_map, of_run)
    np.testing.assert_allclose(field.values, RATIO, rtol=1e-6)
    assert said in field.scaling
    assert not field.warnings


@pytest.mark.parametrize(
    ("of_map", "of_run", "odd"),
    [
        ("200 V", 220.0, "the map is '200 V'"),
        (0, 220.0, "the map is 0"),
        (200.0, -220.0, "the images is -220.0"),
        (True, 220.0, "the map is True"),
        (200.0, [220.0, 230.0], r"the images is \[220.0, 230.0\]"),
        (None, "", "the images is ''"),
    ],
)
def test_a_reference_voltage_that_is_none_is_told_as_not_compared(
    tmp_path: Path, of_map: object, of_run: object, odd: str
) -> None:
    field = of_voltage(tmp_path, of_map, of_run)
    np.testing.assert_allclose(field.values, RATIO, rtol=1e-6)
    (warning,) = field.warnings
    assert re.search(rf"not compared, as TxRefAmp of .* is not known .*that of {odd}, expected one number", warning)
    assert "not compared" in field.scaling


def test_reference_voltages_that_cannot_be_are_told_and_not_applied(tmp_path: Path) -> None:
    field = of_voltage(tmp_path, 20.0, 220.0)
    np.testing.assert_allclose(field.values, RATIO, rtol=1e-6)
    assert "expected within a factor of 2" in field.warnings[0]


def test_a_map_of_the_command_line_is_compared_too(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path / "data"), readouts())
    for path in tmp_path.rglob("*MP2RAGE.json"):
        change_json(path, TxRefAmp=180.0)
    path = tmp_path / "b1.nii.gz"
    write_image(path, RATIO)
    write_json(sidecar(path), {"TxRefAmp": 200.0})
    field = load_given_transmit_field(path, GRID, find(tmp_path / "data", "01").runs[0])
    np.testing.assert_allclose(field.values, RATIO * 0.9, rtol=1e-5)
