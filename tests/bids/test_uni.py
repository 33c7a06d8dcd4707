"""A stored UNI is read by one convention for certain, and a denoised one never."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.bids.load_readouts import load_readouts
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import Sidecar
from tests.bids.small_readouts import SHAPE, only_run, readouts, stored_uni, uni_of, write_readouts, write_uni
from tests.small_bids import AFFINE, change_json, sidecar, write_root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import ReadoutSeries

S = uni_of(readouts())
STEP = 1 / 4095


def load(dataset: Path, **fields: object) -> ReadoutSeries:
    return load_readouts(only_run(dataset), Protocol({"MP2RAGE": Sidecar("protocol.toml", fields)} if fields else {}))


def alone(folder: Path, data: NDArray[Any], fields: Mapping[str, object] | None = None, **protocol: object) -> Any:
    """Load a UNIT1 image that stands alone and return S, the record and the warnings."""
    change_json(sidecar(write_uni(write_root(folder), data)), **(fields or {}))
    series = load(folder, **protocol)
    assert series.uni is not None
    assert series.uni.dtype == np.float32
    return series.uni, series.scaling["UNIT1"], series.warnings


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (stored_uni(S), "S = stored / 4095 - 1/2, stored in 0..4095 by its header and values"),
        (stored_uni(S).astype(np.int16), "stored in 0..4095"),
        (stored_uni(S).astype(np.int32), "stored in 0..4095"),
        (np.rint(4095 * S).astype(np.int16), "S = stored / 4095, stored in -2048..2047 by its header and values"),
        (S.astype(np.float32), "S as stored, stored in -0.5..0.5 by its header and values"),
        (S, "S as stored"),
    ],
)
def test_each_convention_is_recognised(tmp_path: Path, stored: NDArray[Any], said: str) -> None:
    values, scaling, warnings = alone(tmp_path, stored)
    np.testing.assert_allclose(values, S, atol=STEP / 2 + 1e-6)
    assert said in scaling
    assert warnings == ()


def test_a_scale_factor_in_the_header_makes_real_numbers(tmp_path: Path) -> None:
    path = write_uni(write_root(tmp_path), stored_uni(S))
    image = nib.Nifti1Image(stored_uni(S).astype(np.int16), AFFINE)
    image.header.set_slope_inter(STEP, -0.5)
    nib.save(image, path)
    series = load(tmp_path)
    assert series.uni is not None
    np.testing.assert_allclose(series.uni, S, atol=STEP / 2 + 1e-6)
    assert "S as stored" in series.scaling["UNIT1"]


def test_an_offset_alone_leaves_integers(tmp_path: Path) -> None:
    path = write_uni(write_root(tmp_path), stored_uni(S))
    image = nib.Nifti1Image(stored_uni(S).astype(np.int16), AFFINE)
    image.header.set_slope_inter(1, -2048)
    nib.save(image, path)
    series = load(tmp_path)
    assert series.uni is not None
    np.testing.assert_allclose(series.uni, S, atol=STEP)
    assert "-2048..2047" in series.scaling["UNIT1"]


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (stored_uni(S) // 8, "integers, 99.8 % of them from"),
        (2 * stored_uni(S).astype(np.int32), "integers"),
        (4 * np.rint(4095 * S).astype(np.int16), "integers"),
        ((stored_uni(S) + 0.25).astype(np.float32), "real numbers"),
        ((S + 0.5).astype(np.float32), "real numbers"),
        (2 * S, "real numbers"),
    ],
)
def test_other_numbers_are_refused_and_can_be_declared(tmp_path: Path, stored: NDArray[Any], kind: str) -> None:
    write_uni(write_root(tmp_path), stored)
    with pytest.raises(InvalidInputError, match=rf"sub-01_UNIT1\.nii\.gz: holds {kind}.*Declare UNIT1Scaling"):
        load(tmp_path)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32, np.float64])
def test_whole_numbers_are_integers_whatever_their_type(tmp_path: Path, kind: type) -> None:
    values, scaling, _ = alone(tmp_path, stored_uni(S).astype(kind))
    np.testing.assert_allclose(values, S, atol=STEP)
    assert "0..4095" in scaling


@pytest.mark.parametrize("in_sidecar", [True, False])
def test_a_declared_convention_needs_no_guess(tmp_path: Path, in_sidecar: bool) -> None:
    declared: dict[str, Any] = {"UNIT1Scaling": "0..4095"}
    stored = stored_uni(S).astype(np.float32)
    fields, protocol = (declared, {"UNIT1Scaling": "-0.5..0.5"}) if in_sidecar else ({}, declared)
    values, scaling, _ = alone(tmp_path, stored, fields, **protocol)
    np.testing.assert_allclose(values, S, atol=STEP)
    assert f"by UNIT1Scaling of the {'sidecar' if in_sidecar else 'protocol file'}" in scaling


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("-0.5..0.5", r"100% of its voxels lie outside -0\.5\.\.0\.5, the UNIT1Scaling of the sidecar"),
        ("0-4095", r"sub-01_UNIT1\.json: UNIT1Scaling is '0-4095'; expected one of 0\.\.4095"),
        (4095, "UNIT1Scaling is 4095"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(tmp_path: Path, declared: object, message: str) -> None:
    write_uni(write_root(tmp_path), stored_uni(S), UNIT1Scaling=declared)
    with pytest.raises(InvalidInputError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("odd", [4096, 60000])
def test_one_odd_voxel_changes_no_convention_and_is_counted(tmp_path: Path, odd: int) -> None:
    stored = stored_uni(S)
    stored[10, 10, 3] = odd
    values, scaling, warnings = alone(tmp_path, stored)
    assert np.argwhere(np.isnan(values)).tolist() == [[10, 10, 3]]
    assert "0..4095" in scaling
    assert warnings == (
        "sub-01_UNIT1.nii.gz: 1 voxels lie outside 0..4095, how its UNI is stored; they have no value.",
    )


def test_one_negative_voxel_makes_no_signed_image(tmp_path: Path) -> None:
    stored = stored_uni(S).astype(np.int16)
    stored[10, 10, 3] = -1
    values, scaling, _ = alone(tmp_path, stored)
    assert "0..4095" in scaling
    assert np.isnan(values).sum() == 1


@pytest.mark.parametrize(
    ("stored", "fill"),
    [(stored_uni(S), 0), (np.rint(4095 * S).astype(np.int16), 0), (S, 0.0), (S, -0.5)],
)
def test_a_mask_has_no_value(tmp_path: Path, stored: NDArray[Any], fill: float) -> None:
    outside = np.ones(SHAPE, np.bool_)
    outside[4:16, 4:16, 1:7] = False
    masked = np.where(outside, stored.dtype.type(fill), stored)
    values, scaling, warnings = alone(tmp_path, masked)
    assert "its air is masked" in warnings[0]
    np.testing.assert_array_equal(np.isnan(values), masked == fill)
    assert "; 73% of the voxels are masked" in scaling


def test_a_few_lowest_values_are_values(tmp_path: Path) -> None:
    stored = stored_uni(S)
    stored[:2, :2, :2] = 0
    values, scaling, _ = alone(tmp_path, stored)
    np.testing.assert_array_equal(values[:2, :2, :2], -0.5)
    assert "masked" not in scaling


@pytest.mark.parametrize(
    ("entities", "fields"),
    [
        ("_rec-denoised", {}),
        ("_rec-DEN", {}),
        ("_acq-uniden", {}),
        ("", {"ImageType": ["DERIVED", "PRIMARY", "M", "ND", "UNI_DEN"]}),
        ("", {"SeriesDescription": "t1_mp2rage_sag_UNI-DEN"}),
        ("", {"SeriesDescription": "mp2rage UNIDEN"}),
        ("", {"ProtocolName": "mp2rage_den"}),
        ("", {"SeriesDescription": "MP2RAGE denoised"}),
    ],
)
def test_a_denoised_uni_alone_is_refused(tmp_path: Path, entities: str, fields: dict[str, object]) -> None:
    write_uni(write_root(tmp_path), stored_uni(S), entities=entities, **fields)
    with pytest.raises(InvalidInputError, match=r"UNIT1\.nii\.gz: is a denoised UNI \(UNI-DEN\).*beta.*changes T1"):
        load(tmp_path)


@pytest.mark.parametrize("description", ["t1_mp2rage_UNI_Images", "mp2rage_high_density", "hidden", None])
def test_a_true_uni_is_not_taken_for_a_denoised_one(tmp_path: Path, description: str | None) -> None:
    alone(tmp_path, stored_uni(S), {"SeriesDescription": description, "ImageType": ["DERIVED", "PRIMARY", "UNI"]})


@pytest.mark.parametrize(
    ("parts", "true_uni", "form"),
    [
        (("mag", "phase"), False, "complex"),
        (("mag",), True, "UNIT1 and magnitudes"),
        (("mag",), False, "magnitudes"),
        ((), True, "UNIT1"),
    ],
)
def test_a_denoised_uni_beside_better_images_is_set_aside(
    tmp_path: Path, parts: tuple[str, ...], true_uni: bool, form: str
) -> None:
    write_readouts(write_root(tmp_path), readouts(), parts)
    denoised = write_uni(tmp_path, stored_uni(uni_of(readouts(), 600.0)), entities="_rec-denoised")
    if true_uni:
        write_uni(tmp_path, stored_uni(S))
    series = load(tmp_path)
    assert series.form == form
    assert denoised not in series.sources
    assert not any("DEN" in warning for warning in series.warnings)
    if series.uni is not None:
        np.testing.assert_allclose(series.uni, S, atol=STEP)


def beside_magnitudes(folder: Path, images: NDArray[np.complex128], uni: NDArray[np.float64]) -> ReadoutSeries:
    write_readouts(write_root(folder), images, ("mag",))
    write_uni(folder, uni.astype(np.float32))
    return load(folder)


@pytest.mark.parametrize("noise_sd", [2.0, 20.0, 50.0])
@pytest.mark.parametrize("strength", [1, 10, 1000])
def test_a_denoised_uni_without_its_name_is_recognised_by_its_background(
    tmp_path: Path, noise_sd: float, strength: float
) -> None:
    images = readouts(noise_sd=noise_sd)
    series = beside_magnitudes(tmp_path, images, uni_of(images, strength * 2 * noise_sd**2))
    assert (series.form, series.uni) == ("magnitudes", None)
    assert re.search(r"S is -0\.\d+ \(median\), positive in \d+% .*UNI-DEN", series.lost[0])


def test_a_uni_drawn_to_one_constant_is_recognised(tmp_path: Path) -> None:
    first, second = images = readouts()
    energy = np.abs(first) ** 2 + np.abs(second) ** 2
    series = beside_magnitudes(tmp_path, images, np.real(np.conj(first) * second) / (energy + 3000))
    assert (series.form, series.uni) == ("magnitudes", None)
    assert re.search(r"half of S lies between -0\.0\d+ and 0\.0\d+; expected noise", series.lost[0])


def products(noise_sd: float) -> dict[str, NDArray[np.float64]]:
    """UNI images that were changed after their combination, by what was done."""
    images = readouts(noise_sd=noise_sd)
    energy = (np.abs(images) ** 2).sum(axis=0)
    second = np.abs(images[1]) / np.abs(images[1]).max()
    return {
        "regularised": uni_of(images, 20 * noise_sd**2),
        "strongly regularised": uni_of(images, 2000 * noise_sd**2),
        "drawn to zero": np.real(np.conj(images[0]) * images[1]) / (energy + 200 * noise_sd**2),
        "times the second magnitude, as stored": (uni_of(images) + 0.5) * second - 0.5,
        "times the second magnitude": uni_of(images) * second,
    }


@pytest.mark.parametrize("noise_sd", [2.0, 5.0])
@pytest.mark.parametrize("done", list(products(5.0)))
def test_a_uni_that_was_processed_is_recognised_by_its_air_alone(tmp_path: Path, noise_sd: float, done: str) -> None:
    write_uni(write_root(tmp_path), products(noise_sd)[done].astype(np.float32))
    with pytest.raises(InvalidInputError, match=r"UNIT1\.nii\.gz: half of S at the edges .*UNI-DEN"):
        load(tmp_path)
    write_readouts(tmp_path, readouts(noise_sd=noise_sd)[:2], ("mag",))
    next(tmp_path.rglob("*inv-1*.nii.gz")).unlink()
    with pytest.raises(InvalidInputError, match="UNI-DEN"):
        load(tmp_path)


@pytest.mark.parametrize("n_channels", [1, 8, 32])
def test_a_true_uni_passes_by_its_air_whatever_its_channels(tmp_path: Path, n_channels: int) -> None:
    rng = np.random.default_rng(2)
    signal = readouts(noise_sd=0.0) / np.sqrt(n_channels)
    shape = (n_channels, *signal.shape)
    images = signal + 5 * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    product = np.real(np.conj(images[:, 0]) * images[:, 1]).sum(axis=0)
    _, _, warnings = alone(tmp_path, (product / (np.abs(images) ** 2).sum(axis=(0, 1))).astype(np.float32))
    assert warnings == ()


def test_a_uni_of_one_fluid_without_air_passes(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(-0.47, 0.005, SHAPE)
    assert alone(tmp_path, noise.astype(np.float32))[2] == ()


@pytest.mark.parametrize("noise_sd", [2.0, 5.0, 20.0, 50.0])
def test_a_true_uni_passes_whatever_its_noise(tmp_path: Path, noise_sd: float) -> None:
    images = readouts(noise_sd=noise_sd)
    assert beside_magnitudes(tmp_path, images, uni_of(images)).form == "UNIT1 and magnitudes"


@pytest.mark.parametrize("n_channels", [8, 32])
def test_a_true_uni_summed_over_receive_channels_passes(tmp_path: Path, n_channels: int) -> None:
    rng = np.random.default_rng(2)
    signal = readouts(noise_sd=0.0) / np.sqrt(n_channels)
    product, energy = np.zeros(SHAPE), np.zeros((2, *SHAPE))
    for _ in range(n_channels):
        first, second = signal + 5 * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
        product += np.real(np.conj(first) * second)
        energy += np.abs(np.stack([first, second])) ** 2
    series = beside_magnitudes(tmp_path, np.sqrt(energy).astype(np.complex128), product / energy.sum(axis=0))
    assert series.form == "UNIT1 and magnitudes"


def test_whole_number_magnitudes_do_not_make_a_true_uni_suspect(tmp_path: Path) -> None:
    images = readouts(noise_sd=1.0)
    series = beside_magnitudes(tmp_path, np.rint(np.abs(images)).astype(np.complex128), uni_of(images))
    assert series.form == "UNIT1 and magnitudes"


@pytest.mark.parametrize("strength", [0, 10])
def test_without_background_nothing_is_decided(tmp_path: Path, strength: float) -> None:
    images = readouts()[:, 4:16, 4:16, 1:7]
    assert beside_magnitudes(tmp_path, images, uni_of(images, strength * 50)).form == "UNIT1 and magnitudes"


def test_two_true_unis_must_be_told_apart(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(), ("mag",))
    for entities in ("_rec-a", "_rec-b"):
        write_uni(tmp_path, stored_uni(S), entities=entities)
    with pytest.raises(InvalidInputError, match=r"has 2 UNIT1 images, .*expected one\. Choose with --bids-filter-file"):
        load(tmp_path)
    change_json(sidecar(write_uni(tmp_path, stored_uni(S))), UNIT1Scaling="0..4095")
    assert load(tmp_path).sources[-1].name == "sub-01_UNIT1.nii.gz"
