"""Every form of an MP2RAGE run becomes the same numbers, and none is taken for what it is not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.bids.load_readouts import load_readouts
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import Sidecar, Unreadable
from tests.bids.small_readouts import (
    HALF_TURN_UNITS,
    SHAPE,
    TIMES,
    only_run,
    readouts,
    stored_uni,
    uni_of,
    write_readouts,
    write_uni,
)
from tests.small_bids import change_json, sidecar, write_image, write_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import ReadoutSeries

SIEMENS = {"Manufacturer": "Siemens", "ConversionSoftware": "dcm2niix"}


def load(dataset: Path, **fields: object) -> ReadoutSeries:
    return load_readouts(only_run(dataset), Protocol({"MP2RAGE": Sidecar("protocol.toml", fields)} if fields else {}))


def refused(dataset: Path, message: str, **fields: object) -> None:
    with pytest.raises(InvalidInputError, match=message):
        load(dataset, **fields)


def falls_back(dataset: Path, form: str, message: str, **fields: object) -> ReadoutSeries:
    series = load(dataset, **fields)
    assert series.form == form
    assert series.lost[0] in series.warnings
    assert re.search(message, series.lost[0])
    assert "What is lost: " in series.lost[0]
    return series


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("parts", [("mag", "phase"), (None, "phase"), ("real", "imag"), ("mag", "real", "imag")])
def test_two_parts_make_the_complex_images(tmp_path: Path, n: int, parts: Sequence[str | None]) -> None:
    write_readouts(write_root(tmp_path), readouts(n), parts)
    write_uni(tmp_path, stored_uni(uni_of(readouts())))
    series = load(tmp_path)
    assert (series.form, series.uni, series.warnings) == ("complex", None, ())
    assert series.readouts is not None
    assert series.readouts.dtype == np.complex64
    np.testing.assert_allclose(series.readouts, readouts(n), rtol=1e-5, atol=1e-2)
    assert [metadata.seconds("InversionTime") for metadata in series.sidecars] == list(TIMES[:n])
    assert len(series.sources) == 2 * n


def test_unit1_joins_the_magnitudes(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(), ("mag",))
    write_uni(tmp_path, stored_uni(uni_of(readouts())))
    series = load(tmp_path)
    assert (series.form, series.warnings) == ("UNIT1 and magnitudes", ())
    assert series.readouts is not None
    np.testing.assert_allclose(series.readouts, np.abs(readouts()), rtol=1e-5)
    np.testing.assert_allclose(s_of(series), uni_of(readouts()), atol=1 / 8190)
    assert [path.name.split("_", 1)[1] for path in series.sources] == [
        "inv-1_part-mag_MP2RAGE.nii.gz",
        "inv-2_part-mag_MP2RAGE.nii.gz",
        "UNIT1.nii.gz",
    ]


def keep_one(dataset: Path, kept: int) -> None:
    """Write three readouts, take all but one away, and add UNIT1."""
    images = write_readouts(write_root(dataset), readouts(3), (None,))
    for number, image in enumerate(images, 1):
        if number != kept:
            image.unlink()
    write_uni(dataset, stored_uni(uni_of(readouts())))


def test_unit1_joins_the_magnitude_of_the_second_readout(tmp_path: Path) -> None:
    keep_one(tmp_path, 2)
    series = load(tmp_path)
    assert (series.form, series.warnings) == ("UNIT1 and last magnitude", ())
    assert series.readouts is not None
    np.testing.assert_allclose(series.readouts, np.abs(readouts(3))[[1]], rtol=1e-5)
    assert [metadata.seconds("InversionTime") for metadata in series.sidecars] == [TIMES[1]]


def test_a_third_readout_says_nothing_about_the_pair_of_unit1(tmp_path: Path) -> None:
    keep_one(tmp_path, 3)
    assert load(tmp_path).form == "UNIT1"


@pytest.mark.parametrize("with_first", [False, True])
def test_unit1_stands_alone(tmp_path: Path, with_first: bool) -> None:
    uni = write_uni(write_root(tmp_path), stored_uni(uni_of(readouts())), InversionTime=0.7)
    if with_first:
        write_readouts(tmp_path, readouts()[:1], ("mag",))
    series = load(tmp_path)
    assert (series.form, series.readouts, series.warnings) == ("UNIT1", None, ())
    assert series.sources == (uni,)
    assert [metadata.name for metadata in series.sidecars] == ["sub-01_UNIT1.json"]
    assert series.grid.shape == SHAPE


@pytest.mark.parametrize("n", [2, 3])
def test_magnitudes_alone_are_told_as_such(tmp_path: Path, n: int) -> None:
    write_readouts(write_root(tmp_path), readouts(n), (None,))
    series = load(tmp_path)
    assert (series.form, series.uni, series.warnings) == ("magnitudes", None, ())
    assert series.readouts is not None
    assert series.readouts.shape == (n, *SHAPE)


def test_three_readouts_with_unit1_keep_the_uni_of_the_first_two(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(3), ("mag",))
    write_uni(tmp_path, stored_uni(uni_of(readouts())))
    series = load(tmp_path)
    assert series.form == "UNIT1 and magnitudes"
    np.testing.assert_allclose(s_of(series), uni_of(readouts()), atol=1 / 8190)


@pytest.mark.parametrize(
    ("parts", "lost", "said"),
    [
        (("mag", "phase"), "inv-2_part-phase", "sub-01_inv-2_part-phase_MP2RAGE.nii.gz: missing"),
        (("mag", "real", "imag"), "inv-1_part-imag", "sub-01_inv-1_part-imag_MP2RAGE.nii.gz: missing"),
    ],
)
def test_a_lost_phase_is_named_and_the_rest_used(tmp_path: Path, parts: Sequence[str], lost: str, said: str) -> None:
    for image in write_readouts(write_root(tmp_path), readouts(), parts):
        if lost in image.name:
            image.unlink()
    series = load(tmp_path)
    assert series.form == "magnitudes"
    (warning,) = series.warnings
    assert warning.startswith(said)


def test_later_echoes_are_set_aside_and_said(tmp_path: Path) -> None:
    images = write_readouts(write_root(tmp_path), readouts())
    for image in images[2:]:
        for echo in (1, 2, 3):
            other = image.with_name(image.name.replace("inv-2", f"echo-{echo}_inv-2"))
            other.write_bytes(image.read_bytes())
            sidecar(other).write_text(sidecar(image).read_text())
        image.unlink()
    series = load(tmp_path)
    assert (series.form, series.several_echoes) == ("complex", (False, True))
    assert series.warnings == ("4 images of later echoes are not used; T1 is measured from the first echo.",)


@pytest.mark.parametrize("name", ["part-mag", "part-phase"])
def test_the_same_part_twice_is_refused(tmp_path: Path, name: str) -> None:
    for image in write_readouts(write_root(tmp_path), readouts()):
        if name in image.name:
            image.with_name(image.name.replace("inv-1", "inv-01")).write_bytes(image.read_bytes())
    refused(tmp_path, rf"sub-01_inv-01_{name}_MP2RAGE.nii.gz and sub-01_inv-1_{name}_MP2RAGE.nii.gz: are the same part")


def test_images_without_a_number_are_refused(tmp_path: Path) -> None:
    for image in write_readouts(write_root(tmp_path), readouts()[:1], ("mag",)):
        image.rename(image.with_name("sub-01_MP2RAGE.nii.gz"))
    refused(tmp_path, r"sub-01_MP2RAGE\.nii\.gz: its name lacks inv-.*UNIT1")


def test_one_readout_is_no_run(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts()[:1])
    refused(tmp_path, r"sub-01_MP2RAGE: has only inv-1 \(mag, phase\); expected magnitude and phase.*Add")


def test_a_readout_missing_in_between_is_refused(tmp_path: Path) -> None:
    for image in write_readouts(write_root(tmp_path), readouts(3)):
        if "inv-2" in image.name:
            image.unlink()
    refused(tmp_path, "sub-01_MP2RAGE: has inv-1, inv-3 and lacks inv-2; expected the images of every readout")


def test_times_that_do_not_rise_are_refused_with_both(tmp_path: Path) -> None:
    images = write_readouts(write_root(tmp_path), readouts(), ("mag",))
    change_json(sidecar(images[0]), InversionTime=2.5)
    change_json(sidecar(images[1]), InversionTime=0.7)
    refused(tmp_path, "InversionTime is 2.5 s and 0.7 s; expected rising times. The TI order is not that of the read")


def test_parts_of_other_readouts_are_refused(tmp_path: Path) -> None:
    images = write_readouts(write_root(tmp_path), readouts())
    change_json(sidecar(images[1]), InversionTime=2.5)
    refused(tmp_path, r"inv-1_part-phase_MP2RAGE\.json: InversionTime is 0.7 s and 2.5 s; expected the same, as parts")


def test_missing_times_are_left_to_the_model(tmp_path: Path) -> None:
    for image in write_readouts(write_root(tmp_path), readouts()):
        change_json(sidecar(image), InversionTime=None)
    assert load(tmp_path).form == "complex"


@pytest.mark.parametrize(("value", "said"), [(0, "holds only zeros"), (np.nan, "holds no number")])
@pytest.mark.parametrize(("index", "form"), [(0, "UNIT1 and last magnitude"), (1, "UNIT1"), (2, "magnitudes")])
def test_an_empty_image_is_named_and_the_rest_used(
    tmp_path: Path, index: int, form: str, value: float, said: str
) -> None:
    images = write_readouts(write_root(tmp_path), readouts(), ("mag",))
    images.append(write_uni(tmp_path, stored_uni(uni_of(readouts()))))
    write_image(images[index], np.full(SHAPE, value, np.float32))
    series = falls_back(tmp_path, form, f"{images[index].name}: {said}")
    assert [metadata.seconds("InversionTime") for metadata in series.sidecars] == list(TIMES[:2])


def test_an_empty_complex_image_is_named(tmp_path: Path) -> None:
    images = write_readouts(write_root(tmp_path), readouts())
    write_image(images[2], np.zeros(SHAPE, np.float32))
    refused(tmp_path, r"inv-2_part-mag_MP2RAGE\.nii\.gz: holds only zeros")


def test_scattered_nan_stay(tmp_path: Path) -> None:
    data = readouts()
    data[1, 3, 4, 5] = np.nan
    write_readouts(write_root(tmp_path), data)
    measured = load(tmp_path).readouts
    assert measured is not None
    assert np.argwhere(np.isnan(measured)).tolist() == [[1, 3, 4, 5]]


@pytest.mark.parametrize(("index", "form"), [(1, "UNIT1 and magnitudes"), (2, "UNIT1"), (4, "magnitudes")])
def test_an_image_of_another_shape_is_named_and_the_rest_used(tmp_path: Path, index: int, form: str) -> None:
    parts = ("mag", "phase") if index < 4 else ("mag",)
    images = write_readouts(write_root(tmp_path), readouts(), parts)
    images += [write_uni(tmp_path, stored_uni(uni_of(readouts())))] * 3
    write_image(images[index], np.ones((20, 20, 9), np.float32))
    falls_back(tmp_path, form, rf"{images[index].name}: its grid is 20 x 20 x 9 voxels.*expected that of sub-01_inv-1")


def test_several_volumes_in_one_file_are_refused(tmp_path: Path) -> None:
    images = write_readouts(write_root(tmp_path), readouts())
    write_image(images[0], np.ones((*SHAPE, 2), np.float32))
    refused(tmp_path, r"has shape \(20, 20, 8, 2\); expected one volume per file")


def phase_only(dataset: Path, factor: float, **fields: object) -> None:
    """Write the phase as whole numbers, pi as ``factor``, and say so or not."""
    for image in write_readouts(write_root(dataset), readouts()):
        if "part-phase" in image.name:
            number = int(image.name.split("inv-")[1][0])
            stored = np.rint(np.angle(readouts()[number - 1]) / np.pi * factor).astype(np.int16)
            write_image(image, stored)
            change_json(sidecar(image), Units=None)
            change_json(sidecar(image), **fields)


@pytest.mark.parametrize(
    ("factor", "fields", "protocol", "said"),
    [
        (1000 * np.pi, {"Units": "mrad"}, {}, "Units 'mrad' of the sidecar"),
        (3600, {"PhaseScaling": np.pi / 3600}, {}, "PhaseScaling 0.000872665 rad per unit of the sidecar"),
        (3600, {"Units": "arbitrary"}, {"PhaseScaling": np.pi / 3600}, "of the protocol file"),
        (3600, {"PhaseScaling": np.pi / 3600}, {"PhaseScaling": 1.0}, "of the sidecar"),
        (HALF_TURN_UNITS, SIEMENS, {}, "the Siemens convention"),
        (HALF_TURN_UNITS, {**SIEMENS, "Units": "arbitrary"}, {}, "the Siemens convention"),
        (3600, SIEMENS, {"PhaseScaling": np.pi / 3600}, "of the protocol file"),
    ],
)
def test_phase_is_read_in_its_declared_unit(
    tmp_path: Path, factor: float, fields: dict[str, object], protocol: dict[str, object], said: str
) -> None:
    phase_only(tmp_path, factor, **fields)
    series = load(tmp_path, **protocol)
    assert series.readouts is not None
    np.testing.assert_allclose(series.readouts, readouts(), rtol=1e-5, atol=np.abs(readouts()).max() * np.pi / factor)
    assert said in series.scaling["Phase"]


@pytest.mark.parametrize(
    ("factor", "fields", "message"),
    [
        (HALF_TURN_UNITS, {}, r"inv-1_part-phase_MP2RAGE\.json: Units is None; expected .*PhaseScaling"),
        (HALF_TURN_UNITS, {"Manufacturer": "Siemens"}, "Units is None"),
        (HALF_TURN_UNITS, {"Manufacturer": "GE", "ConversionSoftware": "dcm2niix"}, "Units is None"),
        (HALF_TURN_UNITS, {**SIEMENS, "Units": "degrees"}, "Units is 'degrees'"),
        (5000, SIEMENS, "Units is None"),
        (HALF_TURN_UNITS, {"Units": "rad"}, "the phase reaches .* read with Units 'rad' of the sidecar"),
        (HALF_TURN_UNITS, {"Units": "mrad", **SIEMENS}, None),
        (HALF_TURN_UNITS, {"PhaseScaling": 0.01}, "the phase reaches .* read with PhaseScaling 0.01"),
        (HALF_TURN_UNITS, {"PhaseScaling": -0.01}, "PhaseScaling is -0.01; expected radians per stored unit, above 0"),
    ],
)
def test_phase_of_unknown_or_impossible_scale_is_not_used(
    tmp_path: Path, factor: float, fields: dict[str, object], message: str | None
) -> None:
    phase_only(tmp_path, factor, **fields)
    if message is None:  # what is declared wins over what would be recognised
        assert "mrad" in load(tmp_path).scaling["Phase"]
    else:
        measured = falls_back(tmp_path, "magnitudes", message).readouts
        assert measured is not None
        np.testing.assert_allclose(measured, np.abs(readouts()), rtol=1e-5)


def test_siemens_phase_that_lost_its_offset_is_not_used(tmp_path: Path) -> None:
    phase_only(tmp_path, HALF_TURN_UNITS, **SIEMENS)
    for image in tmp_path.rglob("*phase*.nii.gz"):
        write_image(image, np.random.default_rng(1).integers(0, 4096, SHAPE).astype(np.int16))
    falls_back(tmp_path, "magnitudes", "Units is None; expected 'rad'")


def test_phases_of_unknown_unit_do_not_block_unit1_and_magnitudes(tmp_path: Path) -> None:
    phase_only(tmp_path, 3600, Units="arbitrary")
    write_uni(tmp_path, stored_uni(uni_of(readouts())))
    series = falls_back(tmp_path, "UNIT1 and magnitudes", "Units is 'arbitrary'.*nothing, as UNIT1 holds")
    np.testing.assert_allclose(s_of(series), uni_of(readouts()), atol=1 / 8190)


def test_phases_of_unknown_unit_do_not_block_real_and_imaginary_images(tmp_path: Path) -> None:
    phase_only(tmp_path, 3600, Units="arbitrary")
    write_readouts(tmp_path, readouts(), ("real", "imag"))
    assert load(tmp_path).lost == ()
    next(tmp_path.rglob("*inv-2_part-imag*.nii.gz")).write_bytes(b"no image")
    falls_back(tmp_path, "magnitudes", "inv-2_part-imag_MP2RAGE.nii.gz: .*Units is 'arbitrary'")


def test_a_damaged_imaginary_part_is_replaced_by_magnitude_and_phase(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(), ("mag", "phase", "real", "imag"))
    next(tmp_path.rglob("*inv-2_part-imag*.nii.gz")).write_bytes(b"no image")
    measured = falls_back(tmp_path, "complex", "from complex, because .*inv-2_part-imag.* lost: nothing").readouts
    assert measured is not None
    np.testing.assert_allclose(measured, readouts(), rtol=1e-5, atol=1e-2)


def test_an_image_whose_sidecar_cannot_be_read_is_not_used(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(), ("mag", "phase"))
    write_uni(tmp_path, stored_uni(uni_of(readouts())))
    broken = Unreadable(InvalidInputError("a.json: is no JSON."))
    for part, form in (("part-phase", "UNIT1 and magnitudes"), ("inv-1", "UNIT1 and last magnitude")):
        run = only_run(tmp_path)
        files = [
            replace(file, sidecar=Sidecar("a.json", broken)) if part in str(file.name) else file for file in run.files
        ]
        series = load_readouts(replace(run, files=tuple(files)), Protocol({}))
        assert (series.form, "a.json: is no JSON." in series.lost[0]) == (form, True)


def test_all_echoes_of_a_readout_are_known_and_unit1_tells_its_timing(tmp_path: Path) -> None:
    images = write_readouts(write_root(tmp_path), readouts())
    write_uni(tmp_path, stored_uni(uni_of(readouts())), InversionTimes=[0.7, 2.5])
    for image, time in zip(images, (0.003, 0.003, 0.006, 0.0315), strict=True):
        change_json(sidecar(image), EchoTime=time)
    series = load(tmp_path)
    assert series.echo_times == ((0.003,), (0.006, 0.0315))
    assert series.uni_sidecar is not None
    assert series.uni_sidecar.fields["InversionTimes"] == [0.7, 2.5]


def s_of(series: ReadoutSeries) -> NDArray[np.float32]:
    assert series.uni is not None
    return np.asarray(series.uni)
