"""Each kind of measurement gives the field of the head on the grid of a run, or says what it lacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.bids.discover import group_transmit_images
from bids_t1.bids.transmit.field import load_transmit_field
from bids_t1.bids.transmit.smoothing import head_of
from bids_t1.data.acquisition import RawFile
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import Grid
from bids_t1.data.sidecar import Sidecar
from tests.bids.small_readouts import only_run, readouts, write_readouts
from tests.small_bids import change_json, sidecar, write_image, write_json, write_root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import TransmitField

    Image = tuple[str, NDArray[Any], dict[str, object]]

SHAPE, VOXEL = (34, 38, 30), 5.0
AFFINE = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
FINE = np.diag([2.5, 2.5, 2.5, 1.0])
FINE[:3, 3] = (7.0, 9.0, 11.0)
GRID = Grid((60, 66, 52), FINE)
T1, STRENGTH = 1.2, {"MagneticFieldStrength": 3}
"""That of the tissue [s], and of the scanner [T]."""

NOISE = 1 / 60
"""SD of each channel relative to the equilibrium magnetisation."""

TURN = np.deg2rad(60)


def points(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    indices = np.indices(shape).reshape(3, -1)
    found: NDArray[np.float64] = (affine[:3, :3] @ indices + affine[:3, 3:]).reshape(3, *shape)
    return found


def radius(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1 at the surface of the head."""
    centre = (np.array(SHAPE) - 1) / 2 * VOXEL
    apart = (points(affine, shape) - centre[:, None, None, None]) / np.array([62, 76, 58])[:, None, None, None]
    return np.asarray(np.sqrt((apart**2).sum(0)))


def true_field(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """From 1.3 in the middle to 0.7 at the surface of the head."""
    return np.asarray(1.0 + 0.3 * np.cos(np.pi * np.minimum(radius(affine, shape), 1.15)))


FIELD = true_field(AFFINE, SHAPE)
HEAD = radius(AFFINE, SHAPE) <= 1
INSIDE = radius(FINE, GRID.shape) <= 0.9


def noisy(signal: NDArray[Any], seed: int) -> NDArray[np.complex128]:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((2, *SHAPE)) * NOISE
    return np.asarray(np.where(HEAD, signal, 0) * 1000 + 1000 * (noise[0] + 1j * noise[1]))


def magnitude(signal: NDArray[Any], seed: int) -> NDArray[np.float32]:
    return np.asarray(np.abs(noisy(signal, seed)), np.float32)


def double_angle() -> list[Image]:
    return [
        (f"_flip-{n}", magnitude(np.sin(n * TURN * FIELD), n), {"FlipAngle": 60 * n, "RepetitionTime": 10, **STRENGTH})
        for n in (1, 2)
    ]


def actual_flip_angle() -> list[Image]:
    """Steady state of both delays, from the two linear equations of one cycle."""
    times = (0.02, 0.1)
    first_left, second_left = (np.exp(-tr / T1) for tr in times)
    cosine = np.cos(TURN * FIELD)
    before_first = (1 - second_left + second_left * cosine * (1 - first_left)) / (
        1 - first_left * second_left * cosine**2
    )
    before_second = 1 - first_left + first_left * cosine * before_first
    gain = 6 * np.sin(TURN * FIELD)
    return [
        (
            f"_acq-tr{n}",
            magnitude(gain * before, n),
            {"FlipAngle": 60, "RepetitionTimeExcitation": times[n - 1], **STRENGTH},
        )
        for n, before in ((1, before_first), (2, before_second))
    ]


def turbo_flash() -> list[Image]:
    angle = np.where(HEAD, np.rint(800 * FIELD + np.random.default_rng(4).normal(0, 20, SHAPE)), 0)
    angle[~HEAD] = np.random.default_rng(5).uniform(0, 1800, SHAPE)[~HEAD]
    return [
        ("_acq-anat", magnitude(np.ones(SHAPE), 1), {"FlipAngle": 8, **STRENGTH}),
        ("_acq-famp", angle.astype(np.int16), {"FlipAngle": 80, **STRENGTH}),
    ]


def saturated_trains() -> list[Image]:
    """Step every pulse of some cycles for the fields of a table, and look the signals up."""
    table = np.linspace(0.5, 1.5, 400)
    times, angles, tr, pair = (0.075, 1.8), (4, 11), 0.0031, (20, 20)
    longitudinal = np.ones_like(table)
    for _ in range(12):
        signals, now = [], 0.0
        longitudinal = longitudinal * np.cos(np.pi / 2 * table)
        for centre, angle in zip(times, angles, strict=True):
            turned = np.deg2rad(angle) * table
            longitudinal = 1 + (longitudinal - 1) * np.exp(-(centre - pair[0] * tr - now) / T1)
            for pulse in range(sum(pair)):
                if pulse == pair[0]:
                    signals.append(longitudinal * np.sin(turned))
                longitudinal = 1 + (longitudinal * np.cos(turned) - 1) * np.exp(-tr / T1)
            now = centre + pair[1] * tr
        longitudinal = 1 + (longitudinal - 1) * np.exp(-(2.4 - now) / T1)
    phase = np.exp(0.7j)
    images: list[Image] = []
    for n in (1, 2):
        fields: dict[str, object] = {
            "InversionTime": times[n - 1],
            "FlipAngle": angles[n - 1],
            "RepetitionTimeExcitation": tr,
            "RepetitionTimePreparation": 2.4,
            "NumberShots": list(pair),
            **STRENGTH,
        }
        image = noisy(8 * phase * np.interp(FIELD, table, signals[n - 1]), n)
        name = f"_flip-{n}_inv-{n}_part-"
        images.append((f"{name}mag", np.abs(image).astype(np.float32), fields))
        images.append((f"{name}phase", np.angle(image).astype(np.float32), {**fields, "Units": "rad"}))
    return images


def two_echoes() -> list[Image]:
    images: list[Image] = []
    for number, angle in enumerate((65, 57.5, 50, 42.5), 1):
        turned = np.deg2rad(angle) * FIELD
        fields: dict[str, object] = {"FlipAngle": angle, "MixingTime": 0.0338, "TotalReadoutTime": 0.03, **STRENGTH}
        spin = np.sin(turned) ** 3
        stimulated = spin * np.cos(turned) * np.exp(-0.0338 / T1)
        for echo, signal in ((1, spin), (2, stimulated)):
            fields = {**fields, "EchoTime": (0.037, 0.07)[echo - 1]}
            images.append((f"_echo-{echo}_flip-{number:02d}", magnitude(2 * signal, 10 * number + echo), fields))
    return images


METHODS = {
    "TB1DAM": double_angle,
    "TB1AFI": actual_flip_angle,
    "TB1TFL": turbo_flash,
    "TB1SRGE": saturated_trains,
    "TB1EPI": two_echoes,
}


def write(dataset: Path, suffix: str, *, prefix: str = "", changes: Mapping[str, object] | None = None) -> list[Path]:
    paths = []
    for entities, data, fields in METHODS[suffix]():
        path = dataset / "sub-01" / "fmap" / f"sub-01{prefix}{entities}_{suffix}.nii.gz"
        write_image(path, data, AFFINE)
        write_json(sidecar(path), {**fields, **(changes or {})})
        paths.append(path)
    return paths


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_readouts(write_root(tmp_path), readouts(), ("mag",))
    return tmp_path


def loaded(dataset: Path) -> TransmitField:
    files = []
    for path in sorted((dataset / "sub-01" / "fmap").glob("*.nii.gz")):
        fields = json.loads(sidecar(path).read_text()) if sidecar(path).exists() else {}
        files.append(RawFile(path, BidsName.parse(path.name), Sidecar(sidecar(path).name, fields)))
    field = load_transmit_field(group_transmit_images(files), only_run(dataset), GRID)
    assert field is not None
    return field


@pytest.mark.parametrize("suffix", METHODS)
def test_every_measurement_gives_the_field_of_the_head(dataset: Path, suffix: str) -> None:
    paths = write(dataset, suffix)
    field = loaded(dataset)
    error = field.values[INSIDE] / true_field(FINE, GRID.shape)[INSIDE] - 1
    assert abs(np.median(error)) < 0.01
    assert np.percentile(np.abs(error), 95) < 0.045
    assert (field.method, field.warnings) == (suffix, ())
    assert sorted(field.sources) == sorted(paths)
    assert not field.extrapolated[INSIDE].any()
    assert "smoothed within the head, full width 6 mm" in field.scaling
    assert "of nominal" in field.scaling


@pytest.mark.parametrize("suffix", METHODS)
def test_the_field_is_known_a_little_beyond_the_head_only(dataset: Path, suffix: str) -> None:
    write(dataset, suffix)
    field = loaded(dataset)
    away = (radius(FINE, GRID.shape) - 1) * 58  # [mm], no less than the distance to the head
    edge = (away > 3) & (away < 5)
    assert field.extrapolated[edge].mean() > 0.9
    true = true_field(FINE, GRID.shape)
    np.testing.assert_allclose(np.nanmedian(field.values[edge] / true[edge]), 1, atol=0.03)
    assert np.isnan(field.values[radius(FINE, GRID.shape) > 1.5]).all()


def test_a_hole_is_filled_from_around_it_and_marked(dataset: Path) -> None:
    first, second = write(dataset, "TB1DAM")
    hole = (17, 19, 15)
    for path, (_, data, _) in zip((first, second), double_angle(), strict=True):
        data[hole] = 0
        write_image(path, data, AFFINE)
    field = loaded(dataset)
    place = tuple(round((VOXEL * n - shift) / 2.5) for n, shift in zip(hole, FINE[:3, 3], strict=True))
    assert field.extrapolated[place] == 1
    assert field.values[place] == pytest.approx(true_field(FINE, GRID.shape)[place], rel=0.02)


def test_air_inside_the_head_is_not_taken_for_tissue() -> None:
    signal = magnitude(np.ones(SHAPE), 3)
    air = radius(AFFINE, SHAPE) < 0.3
    signal[air] = magnitude(np.zeros(SHAPE), 4)[air]
    head = head_of(signal)
    assert head[HEAD & ~air].mean() > 0.999
    assert head[air].mean() < 0.05
    assert not head[~HEAD].any()


def test_scalp_is_of_the_head_though_dark_bone_parts_it_from_the_brain() -> None:
    signal = magnitude(np.ones(SHAPE), 3)
    away = radius(AFFINE, SHAPE)
    bone = (away > 0.7) & (away < 0.85)
    signal[bone] = magnitude(np.zeros(SHAPE), 4)[bone]
    head = head_of(signal)
    assert head[HEAD & ~bone].mean() > 0.98
    assert head[bone | ~HEAD].mean() < 0.05


def test_a_map_of_the_scanner_comes_before_what_is_computed(dataset: Path) -> None:
    write(dataset, "TB1AFI")
    write(dataset, "TB1DAM")
    path = dataset / "sub-01/fmap/sub-01_TB1map.nii.gz"
    write_image(path, FIELD.astype(np.float32), AFFINE)
    field = loaded(dataset)
    assert field.sources == (path,)
    (warning,) = field.warnings
    assert warning.startswith("sub-01_TB1map: taken as the transmit field of sub-01_MP2RAGE; sub-01_TB1AFI, sub-01_TB1")
    assert "smoothed" not in field.scaling


def test_any_image_of_a_measurement_may_name_the_run(dataset: Path) -> None:
    write(dataset, "TB1AFI")
    *_, last = write(dataset, "TB1DAM")
    change_json(sidecar(last), IntendedFor="bids::sub-01/anat/sub-01_inv-2_part-mag_MP2RAGE.nii.gz")
    assert loaded(dataset).method == "TB1DAM"


def test_delays_of_actual_flip_angles_may_be_repetition_times_that_differ(dataset: Path) -> None:
    plain = [value[np.isfinite(value)] for value in (_field_of(dataset, None), _field_of(dataset, "RepetitionTime"))]
    np.testing.assert_array_equal(*plain)


def _field_of(dataset: Path, key: str | None) -> NDArray[np.floating[Any]]:
    for path, time in zip(write(dataset, "TB1AFI"), (0.02, 0.1), strict=True):
        if key is not None:
            change_json(sidecar(path), **{"RepetitionTimeExcitation": None, key: time})
    return loaded(dataset).values


LACKS = {
    "TB1DAM": {"FlipAngle": None},
    "TB1AFI": {"FlipAngle": None, "RepetitionTimeExcitation": None},
    "TB1TFL": {"FlipAngle": None},
    "TB1SRGE": {"RepetitionTimePreparation": None, "NumberShots": None},
    "TB1EPI": {"MixingTime": None},
}


@pytest.mark.parametrize("suffix", METHODS)
def test_every_missing_field_is_named_with_its_file_and_what_to_do(dataset: Path, suffix: str) -> None:
    *_, last = write(dataset, suffix)
    if suffix == "TB1SRGE":
        last = last.with_name(last.name.replace("phase", "mag"))
    change_json(sidecar(last), **LACKS[suffix])
    message = f"fields that are missing: {sidecar(last).name}: {', '.join(LACKS[suffix])}. Take them .*--no-b1"
    with pytest.raises(InvalidInputError, match=message):
        loaded(dataset)


@pytest.mark.parametrize(
    ("suffix", "index", "message"),
    [
        ("TB1DAM", 1, "sub-01_TB1DAM: has no image of flip-2; expected one image each of flip-1, flip-2"),
        ("TB1AFI", 0, "sub-01_TB1AFI: has no image of acq-tr1"),
        ("TB1TFL", 1, "sub-01_TB1TFL: has no image of acq-famp"),
        ("TB1EPI", 3, "sub-01_TB1EPI: has no image of flip-2 echo-2"),
        ("TB1SRGE", 1, "expected part-phase beside the magnitude, or part-real.*magnitudes have lost it"),
    ],
)
def test_a_measurement_without_one_of_its_images_is_refused(
    dataset: Path, suffix: str, index: int, message: str
) -> None:
    write(dataset, suffix)[index].unlink()
    with pytest.raises(InvalidInputError, match=f"{message}.*Or go on without this measurement"):
        loaded(dataset)


@pytest.mark.parametrize(
    ("suffix", "changes", "message"),
    [
        ("TB1TFL", {"FlipAngle": 8}, "expected the nominal angle of the saturation pulse"),
        ("TB1TFL", {"FlipAngle": 800}, "FlipAngle is 800; expected degrees"),
        ("TB1AFI", {"RepetitionTimeExcitation": 0.02}, "expected two different times"),
        ("TB1DAM", {"FlipAngle": 60}, "expected one twice the other"),
        ("TB1SRGE", {"NumberShots": 40}, r"NumberShots is \[40\.0\]; expected \[before, after\]"),
        ("TB1SRGE", {"RepetitionTimeExcitation": 0.0275}, "the trains do not fit into the cycle"),
        ("TB1EPI", {"MixingTime": "x"}, "MixingTime is 'x'; expected one number"),
    ],
)
def test_metadata_that_contradict_the_method_are_refused(
    dataset: Path, suffix: str, changes: dict[str, object], message: str
) -> None:
    write(dataset, suffix, changes=changes)
    with pytest.raises(InvalidInputError, match=message):
        loaded(dataset)


def test_a_field_far_from_nominal_is_refused_with_its_numbers(dataset: Path) -> None:
    write(dataset, "TB1AFI", changes={"FlipAngle": 170})
    with pytest.raises(InvalidInputError, match=r"gives B1\+ in \d+ voxels, median 0\.2\d+ of nominal.*0\.4 to 1\.6"):
        loaded(dataset)


def test_images_of_one_measurement_share_a_grid(dataset: Path) -> None:
    first, _ = write(dataset, "TB1DAM")
    write_image(first, double_angle()[0][1], np.diag([5.0, 5.0, 6.0, 1.0]))
    with pytest.raises(InvalidInputError, match="All images of a run must share one grid"):
        loaded(dataset)


def test_repeated_images_of_one_role_are_refused(dataset: Path) -> None:
    write(dataset, "TB1DAM")
    write_image(dataset / "sub-01/fmap/sub-01_flip-1_part-mag_TB1DAM.nii.gz", double_angle()[0][1], AFFINE)
    with pytest.raises(InvalidInputError, match=r"is a second image of its kind in one measurement.*with run-"):
        loaded(dataset)


def test_a_short_repetition_time_of_double_angles_is_warned_of(dataset: Path) -> None:
    write(dataset, "TB1DAM", changes={"RepetitionTime": 1.5})
    (warning,) = loaded(dataset).warnings
    assert warning == (
        "sub-01_TB1DAM: RepetitionTime is 1.5 s; the double-angle method takes the magnetisation as recovered, which "
        "needs 6 s unless the sequence resets it. B1+ may be wrong."
    )


def test_repeated_runs_of_a_measurement_are_told_apart(dataset: Path) -> None:
    write(dataset, "TB1AFI", prefix="_ce-x")
    for path in sorted((dataset / "sub-01/fmap").iterdir()):
        path.rename(path.with_name(path.name.replace("_ce-x_acq-tr", "_acq-tr").replace("_TB1AFI", "_run-2_TB1AFI")))
    write(dataset, "TB1AFI")
    field = loaded(dataset)
    assert all("run-" not in path.name for path in field.sources)
    assert "sub-01_run-2_TB1AFI would do as well" in field.warnings[0]
