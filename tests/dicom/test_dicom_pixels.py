"""Values and places of converted images are those of the DICOM files, whatever dcm2niix makes of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from bids_t1.data.errors import InvalidInputError
from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.reading.slices import read_file
from bids_t1.dicom.reading.volumes import assemble
from bids_t1.dicom.writing.extract import lay_out
from bids_t1.dicom.writing.nifti import Nifti
from bids_t1.dicom.writing.pixels import Pixels, corrected
from tests.dicom.scanner_files import (
    COLUMNS,
    GE,
    PHILIPS,
    PHILIPS_SCALE,
    ROWS,
    SIEMENS,
    TIMES,
    write_enhanced,
    write_slice,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.writing.record import Conversion

N_SLICES = 3
FRAMES = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)


def run(tmp_path: Path) -> Conversion:
    return convert(tmp_path / "dicom", Destination(tmp_path / "raw", "01"), tmp_path / "work")


def in_space(tmp_path: Path, inversion: int) -> dict[tuple[int, ...], float]:
    """Values by place [mm, LPS]."""
    image = nib.nifti1.Nifti1Image.from_filename(tmp_path / "raw/sub-01/anat" / f"sub-01_inv-{inversion}_IRT1.nii.gz")
    values = image.get_fdata()
    places = np.moveaxis(np.indices(values.shape), 0, -1) @ image.affine[:3, :3].T + image.affine[:3, 3]
    rounded = np.rint(places * (-1, -1, 1)).astype(int).reshape(-1, 3)
    return {tuple(place): value for place, value in zip(rounded.tolist(), values.ravel().tolist(), strict=True)}


def write(folder: Path, vendor: dict[str, Any], *slopes: dict[Any, Any], order: tuple[int, ...] = (0, 1, 2)) -> None:
    """Write a set whose slices differ in their attributes, and have values of 1000 x slice + 100 x time + pixel."""
    for series, time in enumerate(TIMES, start=1):
        for number, place in enumerate(order, start=1):
            given = {
                "SeriesInstanceUID": f"1.2.5.{series}", "SeriesNumber": series, "InstanceNumber": number,
                "AcquisitionTime": f"10000{series}", "ImagePositionPatient": [0, 0, 3.0 * place],
                "InversionTime": time, "BitsStored": 16, "HighBit": 15,
            }  # fmt: skip
            write_slice(folder / f"{series}_{number}", 1000 * place + 100 * series, vendor | given | slopes[place])


def expected(inversion: int, slopes: tuple[float, ...]) -> dict[tuple[int, ...], Any]:
    """What `write` means: rows along y, columns along x, slices along z."""
    return {
        (2 * column, 2 * row, 3 * place): float(slope * (1000 * place + 100 * inversion + FRAMES[row, column]))
        for place, slope in enumerate(slopes)
        for row in range(ROWS)
        for column in range(COLUMNS)
    }


SCALED: dict[str, tuple[dict[Any, Any], str]] = {
    "Siemens": (SIEMENS, "RescaleSlope"),
    "GE": (GE, "RescaleSlope"),
    "Philips": (PHILIPS, "scale"),
    "Philips, display": (PHILIPS | {PHILIPS_SCALE: 0.5}, "RescaleSlope"),
}


@pytest.mark.parametrize("kind", sorted(SCALED))
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_each_slice_has_its_own_scaling(tmp_path: Path, kind: str, order: tuple[int, ...]) -> None:
    vendor, attribute = SCALED[kind]
    slopes = (1.0, 4.0, 2.0)
    given = [{PHILIPS_SCALE: 1 / slope} if attribute == "scale" else {attribute: slope} for slope in slopes]
    write(tmp_path / "dicom", vendor, *given, order=order)
    warnings = run(tmp_path).warnings
    wanted = (2.0, 2.0, 2.0) if kind == "Philips, display" else slopes  # the slope of the display is no signal
    for inversion in (1, 4):
        assert in_space(tmp_path, inversion) == pytest.approx(expected(inversion, wanted), rel=1e-5)
    if "Philips" in kind:
        assert "series 1, series 2, series 3, series 4: " in warnings[0]
        assert "values are of pydicom" in warnings[0]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("manufacturer", ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips Medical Systems", "UIH"])
def test_each_frame_has_its_own_scaling(tmp_path: Path, manufacturer: str, compressed: bool) -> None:
    frames = [{"time": time, "place": place, "value": 100, "index": 1} for time in TIMES for place in (2, 0, 1)]
    path = write_enhanced(tmp_path / "dicom" / "one", frames, Manufacturer=manufacturer)
    dataset = dcmread(path)
    for place, group in zip((2, 0, 1) * len(TIMES), dataset.PerFrameFunctionalGroupsSequence, strict=True):
        group.PixelValueTransformationSequence = [Dataset()]
        group.PixelValueTransformationSequence[0].RescaleSlope = place + 1
        group.PixelValueTransformationSequence[0].RescaleIntercept = 0
    if compressed:
        dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    run(tmp_path)
    wanted = {place: place[2] / 3 + 1 for place in in_space(tmp_path, 1)}
    pixels = {place: 100 + FRAMES[place[1] // 2, place[0] // 2] for place in wanted}
    assert in_space(tmp_path, 1) == pytest.approx({place: wanted[place] * pixels[place] for place in wanted}, rel=1e-5)


def pixels_and_image(tmp_path: Path) -> tuple[Pixels, Nifti]:
    write(tmp_path / "dicom", SIEMENS, {}, {}, {})
    files = [read_file(path) for path in sorted((tmp_path / "dicom").glob("1_*"))]
    ((volume,), _) = assemble([plane for file in files for plane in file.slices])
    values = np.array([1000 * place + 100 + FRAMES for place in range(N_SLICES)], np.int16).T
    image = nib.nifti1.Nifti1Image(values, np.diag([-2.0, -2.0, 3.0, 1.0]))
    image.header.set_slope_inter(1, 0)
    nib.save(image, tmp_path / "image.nii")
    (tmp_path / "copies").mkdir()
    return Pixels(volume, lay_out(volume, tmp_path / "copies", frozenset())), Nifti(tmp_path / "image.nii")


def test_an_image_that_is_right_is_left_as_it_is(tmp_path: Path) -> None:
    pixels, nifti = pixels_and_image(tmp_path)
    before = nifti.stored().copy()
    assert corrected(nifti, pixels, where="series 1") is None
    assert np.array_equal(nifti.stored(), before)
    assert nifti.stored().dtype == np.int16


@pytest.mark.parametrize("fault", ["upside down", "left for right", "other slope", "one pixel"])
def test_an_image_that_is_wrong_is_corrected(tmp_path: Path, fault: str) -> None:
    pixels, nifti = pixels_and_image(tmp_path)
    right = nifti.stored().copy()
    wrong = {
        "upside down": right[:, :, ::-1], "left for right": right[::-1], "other slope": 2 * right,
        "one pixel": np.where(right == right[0, 0, 0], 0, right),
    }[fault]  # fmt: skip
    nifti.replace(wrong, (1.0, 0.0))
    assert "values are of pydicom" in (corrected(nifti, pixels, where="series 1") or "")
    assert np.array_equal(nifti.stored(), right)
    assert nifti.scaling == (1.0, 0.0)


@pytest.mark.parametrize("shift", [1.0, -3.0])
def test_an_image_that_lies_elsewhere_is_refused(tmp_path: Path, shift: float) -> None:
    pixels, _ = pixels_and_image(tmp_path)
    content = bytearray((tmp_path / "image.nii").read_bytes())
    struct.pack_into("<f", content, 280 + 4 * 11, shift)
    (tmp_path / "image.nii").write_bytes(content)
    with pytest.raises(InvalidInputError, match="elsewhere than their headers"):
        corrected(Nifti(tmp_path / "image.nii"), pixels, where="series 1")


def test_a_missing_slice_in_the_middle_is_named(tmp_path: Path) -> None:
    write(tmp_path / "dicom", SIEMENS, {}, {}, {"ImagePositionPatient": [0, 0, 9.0]})
    with pytest.raises(InvalidInputError, match="distance between slices varies from 3 to 6 mm"):
        run(tmp_path)


def test_slopes_that_vary_in_pixels_that_cannot_be_decoded_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "dicom", SIEMENS, {"RescaleSlope": 1}, {"RescaleSlope": 2}, {"RescaleSlope": 1})
    monkeypatch.setattr("bids_t1.dicom.writing.pixels.Pixels.plane", lambda *_: None)
    with pytest.raises(InvalidInputError, match=r"transfer syntax \(Explicit VR Little Endian\) cannot be decoded"):
        run(tmp_path)


def test_a_doubt_counts_where_pixels_cannot_be_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, nifti = pixels_and_image(tmp_path)
    assert corrected(nifti, pixels, where="series 1", doubts=("slice order",)) is None
    monkeypatch.setattr("bids_t1.dicom.writing.pixels.Pixels.plane", lambda *_: None)
    assert corrected(nifti, pixels, where="series 1") is None
    with pytest.raises(InvalidInputError, match=r"dcm2niix warns \(slice order\), and the transfer syntax"):
        corrected(nifti, pixels, where="series 1", doubts=("slice order",))
