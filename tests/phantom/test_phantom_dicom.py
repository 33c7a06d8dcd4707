"""DICOM files survive the converter everybody uses, and carry each vendor's habits."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas
from bids_t1_phantom.head.head import HeadOptions, make_head
from bids_t1_phantom.physics.protocols import Protocol
from bids_t1_phantom.sequences.inversion_recovery import InversionRecoveryScan, acquire

TIMES = (0.1, 0.5, 2.0)
OPTIONS = HeadOptions(resolution=8.0, slices=4)
SMALL = ["--format", "dicom", "--resolution", "8", "--slices", "4", "--inversion-times", *map(str, TIMES)]
DCM2NIIX = Path(sys.executable).with_name("dcm2niix")


@pytest.fixture(scope="module")
def scan(atlas: Atlas) -> InversionRecoveryScan:
    return acquire(make_head(atlas, OPTIONS, seed=0), Protocol.build(TIMES), seed=0)


def _make(folder: Path, *arguments: str) -> Path:
    assert main([str(folder), *SMALL, *arguments]) == 0
    return folder


def _convert(folder: Path, into: Path) -> list[tuple[dict[str, object], nibabel.Nifti1Image]]:
    into.mkdir(parents=True)
    command: list[str | Path] = [DCM2NIIX, "-z", "n", "-b", "y", "-f", "%s_%d", "-o", into, folder]
    subprocess.run(command, check=True, capture_output=True)
    converted = []
    for path in sorted(into.glob("*.nii")):
        image = nibabel.as_closest_canonical(nibabel.load(path))
        converted.append((json.loads(path.with_suffix(".json").read_text()), image))
    return converted


def _phase_difference(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(np.abs(np.angle(np.exp(1j * (first - second)))))


VIEWS = {"MAGNITUDE": "mag", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imag"}
RADIANS = {"SIEMENS": np.pi / 4096, "PHILIPS": 1.0, "GE": 0.001}


@pytest.mark.parametrize("part", ["mag", "real", "complex", "polar"])
@pytest.mark.parametrize("vendor", ["siemens", "philips", "ge"])
def test_classic_files_convert_to_the_simulated_images(
    tmp_path: Path, scan: InversionRecoveryScan, vendor: str, part: str
) -> None:
    folder = _make(tmp_path / "out", "--layout", "flat", "--vendor", vendor, "--part", part)
    converted = _convert(folder, tmp_path / "nifti")
    n_parts = {"mag": 1, "real": 1, "polar": 2, "complex": 4 if vendor == "ge" else 2}[part]
    assert len(converted) == n_parts * len(TIMES)
    for sidecar, image in converted:
        kind = sidecar["ImageType"][-1]  # type: ignore[index]
        index = TIMES.index(sidecar["InversionTime"])
        expected = scan.part("signed" if part == "real" else VIEWS[kind])[index]
        np.testing.assert_allclose(image.affine, scan.grid.affine, atol=1e-3)
        if kind == "PHASE":
            radians = image.get_fdata() * RADIANS[vendor.upper()]
            assert _phase_difference(radians, expected).max() < 0.002
        else:
            # Integers: within one of them, which is 5 % of the noise.
            np.testing.assert_allclose(image.get_fdata(), expected, atol=1.01)
        assert sidecar["RepetitionTime"] == 6
        assert sidecar["EchoTime"] == 0.01


@pytest.mark.parametrize("vendor", ["siemens", "philips"])
def test_enhanced_files_convert_to_the_simulated_images(
    tmp_path: Path, scan: InversionRecoveryScan, vendor: str
) -> None:
    folder = _make(tmp_path / "out", "--vendor", vendor, "--enhanced")
    files = sorted(folder.rglob("*.dcm"))
    assert len(files) == len(TIMES)
    for index, path in enumerate(files):
        # One at a time: dcm2niix 1.0.20260724 carries the scale of one enhanced file over to the next.
        ((sidecar, image),) = _convert(path.parent, tmp_path / f"nifti{index}")
        assert sidecar["InversionTime"] == TIMES[index]
        np.testing.assert_allclose(image.affine, scan.grid.affine, atol=1e-3)
        np.testing.assert_allclose(image.get_fdata(), scan.part("mag")[index], atol=0.51)


def test_enhanced_files_say_the_inversion_time_of_each_frame(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--layout", "flat", "--vendor", "philips", "--enhanced", "--one-series")
    (path,) = folder.iterdir()
    image = pydicom.dcmread(path)
    assert image.NumberOfFrames == 12
    assert image.pixel_array.shape == (12, 30, 23)
    times = [item.MRModifierSequence[0].InversionTimes[0] for item in image.PerFrameFunctionalGroupsSequence]
    assert times == [1000 * time for time in TIMES for _ in range(4)]


def test_philips_raw_integers_need_the_private_scale_of_their_own_time(
    tmp_path: Path, scan: InversionRecoveryScan
) -> None:
    folder = _make(tmp_path / "out", "--layout", "flat", "--vendor", "philips", "--one-series")
    headers = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert len({image.SeriesInstanceUID for image in headers}) == 1
    assert len({image[0x2005, 0x100E].value for image in headers}) == len(TIMES)
    assert len({image.RescaleSlope for image in headers}) == len(TIMES)
    for image in headers:
        index = TIMES.index(float(image.InversionTime) / 1000)
        values = image.pixel_array / image[0x2005, 0x100E].value
        expected = scan.part("mag")[index][::-1, ::-1, image[0x2001, 0x100A].value - 1].T
        np.testing.assert_allclose(values, expected, atol=0.51)


def test_ge_keeps_all_four_parts_in_one_series(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--layout", "flat", "--vendor", "ge", "--part", "complex")
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.iterdir()]
    parts: dict[str, set[int]] = {}
    for image in headers:
        parts.setdefault(image.SeriesInstanceUID, set()).add(image[0x0043, 0x102F].value)
        assert image.ImageType == ["ORIGINAL", "PRIMARY", "OTHER"]
    assert list(parts.values()) == [{0, 1, 2, 3}] * len(TIMES)


def test_names_lie_about_the_inversion_time(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--layout", "flat")
    for path in folder.iterdir():
        image = pydicom.dcmread(path, stop_before_pixels=True)
        assert f"{int(image.InversionTime):04d}" not in image.SeriesDescription


def test_a_flat_folder_holds_nothing_but_dicom(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--layout", "flat", "--slices", "1")
    assert sorted(path.name for path in folder.iterdir()) == [f"IM_{number:04d}.dcm" for number in (1, 2, 3)]
    assert (tmp_path / "out_truth" / "sub-01" / "anat" / "sub-01_desc-truth_T1map.nii.gz").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out_truth"]


def test_layouts_put_participants_where_they_say(tmp_path: Path) -> None:
    participants = _make(tmp_path / "a", "--participants", "2")
    sourcedata = _make(tmp_path / "b", "--participants", "2", "--layout", "sourcedata")
    assert sorted(path.name for path in participants.iterdir()) == ["sub-01", "sub-02"]
    assert len(list((participants / "sub-02").rglob("*.dcm"))) == 12
    assert len(list((sourcedata / "sourcedata" / "sub-02").rglob("*.dcm"))) == 12
    assert (sourcedata / "dataset_description.json").is_file()
    assert (sourcedata / "derivatives" / "truth" / "sub-02").is_dir()


def test_a_used_truth_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out_truth").mkdir()
    (tmp_path / "out_truth" / "old").write_text("")
    assert main([str(tmp_path / "out"), *SMALL]) == 73
    assert not (tmp_path / "out").exists()


def test_identity_is_fictitious_and_present(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--participants", "2")
    images = [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    assert {str(image.PatientName) for image in images} == {"PHANTOM^PRIVACY"}
    assert {image.PatientID for image in images} == {"PHANTOM-PRIVACY-01", "PHANTOM-PRIVACY-02"}
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert len({image.SeriesInstanceUID for image in images}) == 2 * len(TIMES)
    assert len({image.StudyInstanceUID for image in images}) == 2


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    first, second = (_make(tmp_path / name, "--layout", "flat", "--vendor", "philips") for name in "ab")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
