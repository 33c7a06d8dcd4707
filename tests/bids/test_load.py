"""Files become numbers only where it is certain what they mean."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.bids.discover import find
from bids_t1.bids.load import load_series
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import Sidecar
from tests.small_bids import (
    AFFINE,
    NOISE_SD,
    SHAPE,
    TIMES,
    change_json,
    complex_images,
    open_image,
    sidecar,
    write_image,
    write_root,
)
from tests.small_bids import write_run as write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Series

ANY = np.random.default_rng(4).random(SHAPE, np.float32)


def load(dataset: Path) -> Series:
    (acquisition,) = find(dataset, "01").runs
    return load_series(acquisition)


def refused(dataset: Path, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        load(dataset)


@pytest.mark.parametrize(
    ("parts", "kind", "expected"),
    [
        ((None,), "magnitude", np.abs(complex_images())),
        (("mag",), "magnitude", np.abs(complex_images())),
        (("real",), "real", complex_images().real),
        (("real", "imag"), "complex", complex_images()),
        (("imag", "real"), "complex", complex_images()),
        (("mag", "phase"), "complex", complex_images()),
        (("mag", "real", "imag"), "complex", complex_images()),
        (("mag", "imag"), "magnitude", np.abs(complex_images())),
        ((None, "real"), "real", complex_images().real),
    ],
)
def test_parts_make_the_most_informative_data(
    tmp_path: Path, parts: Sequence[str | None], kind: str, expected: NDArray[Any]
) -> None:
    write(write_root(tmp_path), parts=parts)
    series = load(tmp_path)
    assert series.kind == kind
    np.testing.assert_allclose(series.measurements, expected, rtol=1e-5, atol=NOISE_SD / 100)
    assert series.measurements.dtype in {np.dtype(np.float32), np.dtype(np.complex64)}
    assert series.warnings == ()
    assert len(series.sources) == len(TIMES) * (2 if kind == "complex" else 1)


@pytest.mark.parametrize("parts", [("imag",), ("phase",), ("phase", "imag")])
def test_parts_that_make_no_signal_are_refused(tmp_path: Path, parts: Sequence[str]) -> None:
    write(write_root(tmp_path), parts=parts)
    refused(tmp_path, f"sub-01_IRT1: has only part {', '.join(sorted(parts))}; expected magnitude, real")


def test_images_are_ordered_by_time_and_not_by_name(tmp_path: Path) -> None:
    order = [3, 0, 4, 1, 2]
    write(write_root(tmp_path), times=[TIMES[i] for i in order], images=complex_images()[order])
    series = load(tmp_path)
    assert [metadata.seconds("InversionTime") for metadata in series.sidecars] == list(TIMES)
    np.testing.assert_allclose(series.measurements, np.abs(complex_images()), rtol=1e-6)


@pytest.mark.parametrize("units", [None, "arbitrary", "degrees"])
def test_phase_of_unknown_scale_leaves_the_magnitudes(tmp_path: Path, units: str | None) -> None:
    images = write(write_root(tmp_path), parts=("mag", "phase"))
    change_json(sidecar(images[3]), Units=units)
    leaves_magnitudes(
        tmp_path, rf"sub-01_inv-2_part-phase_IRT1\.json: Units is {units!r}; expected 'rad'.*Rescale.* the signs"
    )


def test_phase_of_unknown_scale_does_not_block_real_and_imaginary_images(tmp_path: Path) -> None:
    for image in write(write_root(tmp_path), parts=("mag", "phase", "real", "imag"))[1::4]:
        change_json(sidecar(image), Units="arbitrary")
    series = load(tmp_path)
    assert (series.kind, len(series.warnings)) == ("complex", 1)
    assert "Units is 'arbitrary'" in series.warnings[0]
    np.testing.assert_allclose(series.measurements, complex_images(), rtol=1e-5, atol=1e-2)


def test_a_lost_or_damaged_phase_leaves_the_magnitudes(tmp_path: Path) -> None:
    images = write(write_root(tmp_path), parts=("mag", "phase"))
    images[3].write_bytes(images[3].read_bytes()[:90])
    leaves_magnitudes(tmp_path, r"inv-2_part-phase_IRT1\.nii\.gz")
    images[3].unlink()
    leaves_magnitudes(tmp_path, "has images 5 of part-mag, 4 of part-phase; expected as many of each")


def leaves_magnitudes(dataset: Path, message: str) -> None:
    series = load(dataset)
    assert series.kind == "magnitude"
    assert any(re.search(message, warning) for warning in series.warnings)
    np.testing.assert_allclose(series.measurements, np.abs(complex_images()), rtol=1e-6)


def test_magnitudes_with_and_without_their_part_are_one_run(tmp_path: Path) -> None:
    image = write(write_root(tmp_path))[2]
    for path in (image, sidecar(image)):
        path.rename(path.with_name(path.name.replace("_IRT1", "_part-mag_IRT1")))
    series = load(tmp_path)
    np.testing.assert_allclose(series.measurements, np.abs(complex_images()), rtol=1e-6)
    assert series.warnings == ()


def test_a_part_that_few_images_have_is_told_and_not_taken_for_the_run(tmp_path: Path) -> None:
    image = write(write_root(tmp_path))[2]
    for path in (image, sidecar(image)):
        path.rename(path.with_name(path.name.replace("_IRT1", "_part-real_IRT1")))
    series = load(tmp_path)
    assert len(series.measurements) == len(TIMES) - 1
    assert "inv-3 has part-real that others lack" in " ".join(series.warnings)
    assert "has part-real of 1 of 4 images" in " ".join(series.warnings)


def test_phase_that_is_not_in_radians_whatever_it_says_is_not_used(tmp_path: Path) -> None:
    images = write(write_root(tmp_path), parts=("mag", "phase"))
    write_image(images[1], np.full(SHAPE, 4095, np.int16))
    leaves_magnitudes(
        tmp_path, r"inv-1_part-phase_IRT1: the phase reaches 4095|inv-1_part-phase_IRT1\.nii\.gz: the phase reaches"
    )


def test_parts_with_different_times_are_refused(tmp_path: Path) -> None:
    images = write(write_root(tmp_path), parts=("real", "imag"))
    change_json(sidecar(images[1]), InversionTime=0.06)
    refused(tmp_path, "sub-01_IRT1: the parts have different InversionTime .part-real: 0.05, 0.3, .*; part-imag: 0.06")
    images[1].unlink()
    refused(tmp_path, "sub-01_IRT1: has images 5 of part-real, 4 of part-imag; expected as many of each")


def test_missing_times_are_named_and_not_guessed(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    for image in images[1:3]:
        change_json(sidecar(image), InversionTime=None)
    refused(tmp_path, r"sub-01_inv-2_IRT1\.json, sub-01_inv-3_IRT1\.json: InversionTime is missing; expected seconds")


def test_equal_times_are_named(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    change_json(sidecar(images[2]), InversionTime=TIMES[0])
    refused(tmp_path, r"inv-1_IRT1\.nii\.gz and sub-01_inv-3_IRT1\.nii\.gz: both have InversionTime 0\.05 s; expected")


@pytest.mark.parametrize("shape", [(8, 8, 2, 1), (8, 8, 2, 1, 1), (8, 16), (16,)])
def test_axes_of_length_one_are_no_obstacle(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = write(write_root(tmp_path))
    for seed, image in enumerate(images):
        write_image(image, np.random.default_rng(seed).random(shape, np.float32))
    grid = load(tmp_path).grid.shape
    assert grid == (*shape, 1, 1)[:3]


def test_several_volumes_in_one_file_are_refused(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    write_image(images[0], np.ones((*SHAPE, 5), np.float32))
    refused(tmp_path, r"inv-1_IRT1\.nii\.gz: has shape \(8, 8, 2, 5\); expected one volume per file.*Split it")


def test_a_small_difference_of_grids_is_tolerated_with_a_warning(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    affine = AFFINE.copy()
    affine[0, 3] += 0.1  # a twentieth of a voxel
    write_image(images[2], ANY, affine)
    (warning,) = load(tmp_path).warnings
    assert warning == (
        "sub-01_inv-3_IRT1.nii.gz: its voxels lie up to 0.050 voxels beside those of sub-01_inv-1_IRT1.nii.gz; "
        "taken as one grid."
    )


def test_rounding_of_affines_is_no_difference(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    write_image(images[2], ANY, AFFINE + 1e-5)
    assert load(tmp_path).warnings == ()


def test_another_grid_is_refused_with_both_affines(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    affine = AFFINE.copy()
    affine[2, 3] += 3
    write_image(images[2], ANY, affine)
    expected = (
        "sub-01_inv-3_IRT1.nii.gz: its grid is 8 x 8 x 2 voxels, affine [2 0 0 0; 0 2 0 0; 0 0 3 3]; expected that of "
        "sub-01_inv-1_IRT1.nii.gz: 8 x 8 x 2 voxels, affine [2 0 0 0; 0 2 0 0; 0 0 3 0]. All"
    )
    refused(tmp_path, re.escape(expected))


def test_another_shape_is_refused(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    write_image(images[4], np.ones((8, 8, 3), np.float32))
    refused(tmp_path, r"inv-5_IRT1\.nii\.gz: its grid is 8 x 8 x 3 voxels.*expected that of sub-01_inv-1_IRT1")


def test_parts_of_different_shapes_are_refused(tmp_path: Path) -> None:
    images = write(write_root(tmp_path), parts=("real", "imag"))
    for image in images[1::2]:
        write_image(image, np.ones((8, 8, 3), np.float32))
    refused(tmp_path, r"part-imag_IRT1\.nii\.gz: its grid is 8 x 8 x 3 voxels")


@pytest.mark.parametrize("kept", [0, 5, 200, 0.5, -12])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, kept: float) -> None:
    images = write(write_root(tmp_path))
    content = images[1].read_bytes()
    images[1].write_bytes(content[: int(kept * len(content)) if 0 < kept < 1 else int(kept)])
    refused(tmp_path, r"inv-2_IRT1\.nii\.gz: cannot be read as NIfTI .*; expected a complete file. Copy it again")


@pytest.mark.parametrize("damage", ["flipped", "plain", "header"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    image = write(write_root(tmp_path))[1]
    content = image.read_bytes()
    plain = gzip.decompress(content)
    match damage:
        case "flipped":
            middle = len(content) // 2
            image.write_bytes(content[:middle] + bytes(255 - byte for byte in content[middle:-8]) + content[-8:])
        case "plain":
            image.write_bytes(b"this is no image")
        case "header":  # a type of number that does not exist
            image.write_bytes(gzip.compress(plain[:70] + b"\xff\xff" + plain[72:]))
    refused(tmp_path, r"inv-2_IRT1\.nii\.gz: cannot be read as NIfTI")


@pytest.mark.parametrize("pointer", ["link", "file"])
def test_content_that_was_not_fetched_is_asked_for(tmp_path: Path, pointer: str) -> None:
    image = write(write_root(tmp_path))[1]
    image.unlink()
    if pointer == "link":
        image.symlink_to("../../.git/annex/objects/MD5E-s9--0.nii.gz")
    else:
        image.write_text("/annex/objects/MD5E-s9--0.nii.gz\n")
    refused(tmp_path, r"inv-2_IRT1\.nii\.gz: .*not fetched.*datalad get")


def test_images_whose_names_do_not_number_them_are_refused(tmp_path: Path) -> None:
    for image in write(write_root(tmp_path))[:1]:
        for path in (image, sidecar(image)):
            path.rename(path.with_name(path.name.replace("_inv-1", "_acq-TI50")))
    with pytest.raises(InvalidInputError, match=r"^sub-01_acq-TI50_IRT1\.nii\.gz: the name lacks inv-; expected inv-1"):
        load_series(find(tmp_path, "01").runs[0])


def test_complex_numbers_in_one_file_are_refused_and_not_cut(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    write_image(images[0], np.ones(SHAPE, np.complex64))
    refused(tmp_path, r"inv-1_IRT1\.nii\.gz: holds numbers of type complex64; expected .* part-real and part-imag")


@pytest.mark.parametrize("axes", [(2, 2, 0), (np.nan, 2, 2)])
def test_an_affine_that_places_no_voxels_is_refused(tmp_path: Path, axes: tuple[float, ...]) -> None:
    path = write(write_root(tmp_path))[0]
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE)
    image.header["sform_code"] = 1
    image.header["srow_x"][0], image.header["srow_y"][1], image.header["srow_z"][2] = axes
    path.write_bytes(gzip.compress(image.header.binaryblock + b"\0" * 4 + np.ones(SHAPE, np.float32).tobytes()))
    refused(tmp_path, r"inv-1_IRT1\.nii\.gz: its affine .* places no voxels; expected finite, independent axes")


def test_nan_is_left_for_the_estimation_to_mark(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    data = np.abs(complex_images()[0]).astype(np.float32)
    data[3, 2, 1] = np.nan
    write_image(images[0], data)
    assert np.isnan(load(tmp_path).measurements).sum() == 1


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.float64])
def test_stored_types_and_scale_factors_do_not_matter(tmp_path: Path, kind: type[Any]) -> None:
    images = write(write_root(tmp_path))
    values = np.arange(128).reshape(SHAPE)
    image = nib.Nifti1Image(values.astype(kind), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, images[0])
    slope, shift = (1, 0) if kind is np.float64 else (0.5, -3)
    expected = np.asanyarray(open_image(images[0]).dataobj) if kind is np.float64 else slope * values + shift
    np.testing.assert_allclose(load(tmp_path).measurements[0], expected)


def test_the_protocol_file_completes_images_without_a_sidecar_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    times = [0.3 * number for number in range(1, 6)]
    for image in write(write_root(tmp_path)):
        sidecar(image).unlink()
    protocol = Protocol({"IRT1": Sidecar("mine.toml", {"InversionTime": times})})
    series = load_series(find(tmp_path, "01").runs[0], protocol)
    assert [sidecar.seconds("InversionTime") for sidecar in series.sidecars] == times
    assert {sidecar.origin_of("InversionTime") for sidecar in series.sidecars} == {"protocol file mine.toml"}


def test_a_list_of_the_protocol_file_that_completes_nothing_may_be_of_other_images(tmp_path: Path) -> None:
    write(write_root(tmp_path))
    protocol = Protocol({"IRT1": Sidecar("mine.toml", {"InversionTime": [0.1, 0.2, 0.3]})})
    series = load_series(find(tmp_path, "01").runs[0], protocol)
    assert [sidecar.seconds("InversionTime") for sidecar in series.sidecars] == list(TIMES)


def test_a_part_of_one_image_has_its_place_in_the_lists_of_the_protocol_file(tmp_path: Path) -> None:
    images = write(write_root(tmp_path))
    for image in images:
        sidecar(image).unlink()
    last = images[-1]
    write_image(last.with_name(last.name.replace("_IRT1", "_part-phase_IRT1")), np.full(SHAPE, 0.1, np.float32))
    protocol = Protocol({"IRT1": Sidecar("mine.toml", {"InversionTime": list(TIMES)})})
    series = load_series(find(tmp_path, "01").runs[0], protocol)
    assert series.kind == "magnitude"
    assert [sidecar.seconds("InversionTime") for sidecar in series.sidecars] == list(TIMES)


def test_the_sidecar_wins_over_another_number_of_the_protocol_file_and_that_is_told(tmp_path: Path) -> None:
    write(write_root(tmp_path))
    protocol = Protocol({"IRT1": Sidecar("mine.toml", {"InversionTime": [*TIMES[:4], 3.0]})})
    series = load_series(find(tmp_path, "01").runs[0], protocol)
    assert series.sidecars[-1].seconds("InversionTime") == TIMES[-1]
    assert series.warnings == (
        "sub-01_inv-5_IRT1.json: InversionTime is 4, and 3 in the protocol file; the sidecars are used.",
    )


def test_a_file_of_several_volumes_without_their_times_is_told_to_list_them(tmp_path: Path) -> None:
    folder = write_root(tmp_path) / "sub-01" / "anat"
    folder.mkdir(parents=True)
    write_image(folder / "sub-01_IRT1.nii.gz", np.ones((*SHAPE, 5), np.float32))
    with pytest.raises(InvalidInputError, match="one InversionTime per volume as a list in the sidecar"):
        load(tmp_path)
