"""Scanner files of MP2RAGE and MP3RAGE: what headers say, what they hide, and what a converter makes of them."""

import json
import subprocess
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas
from bids_t1_phantom.head.head import HeadOptions, make_head
from bids_t1_phantom.sequences.mp2rage import ReadoutScan, acquire_readouts, default_sequence

with warnings.catch_warnings():
    # nibabel says on import that its reader is experimental.
    warnings.simplefilter("ignore", UserWarning)
    from nibabel.nicom import ascconv, csareader

SMALL = ["--format", "dicom", "--resolution", "8", "--slices", "3", "--layout", "flat", "--sequences"]
DCM2NIIX = Path(sys.executable).with_name("dcm2niix")
Headers = dict[str, list[pydicom.FileDataset]]


@pytest.fixture(scope="module")
def scan(atlas: Atlas) -> ReadoutScan:
    head = make_head(atlas, HeadOptions(resolution=8.0, slices=3), seed=0)
    return acquire_readouts(head, default_sequence("MP2RAGE"), seed=0)


def _make(folder: Path, *arguments: str) -> Path:
    assert main([str(folder), *SMALL, *arguments]) == 0
    return folder


def _series(folder: Path) -> Headers:
    """Return the images of each series, by its description."""
    found: Headers = defaultdict(list)
    for path in sorted(folder.iterdir()):
        image = pydicom.dcmread(path)
        found[str(image.SeriesDescription)].append(image)
    return found


@pytest.fixture(scope="module")
def siemens(tmp_path_factory: pytest.TempPathFactory) -> Headers:
    folder = tmp_path_factory.mktemp("siemens") / "out"
    return _series(_make(folder, "MP2RAGE,MP3RAGE", "--slice-partial-fourier", "0.75"))


def test_siemens_has_a_series_for_each_readout_part_and_derived_image(siemens: Headers) -> None:
    derived = ("UNI_Images", "UNI-DEN", "T1_Images")
    assert set(siemens) == {
        *(f"t1_mp2rage_sag_p3_1mm_INV{index}{part}" for index in (1, 2) for part in ("", "_PHS")),
        *(f"t1_mp3rage_sag_p3_1mm_INV{index}{part}" for index in (1, 2, 3) for part in ("", "_PHS")),
        *(f"t1_{name}_sag_p3_1mm_{kind}" for name in ("mp2rage", "mp3rage") for kind in derived),
    }
    assert all(len(images) == 3 for images in siemens.values())
    assert len({images[0].SeriesInstanceUID for images in siemens.values()}) == len(siemens)
    assert len({image.SOPInstanceUID for images in siemens.values() for image in images}) == 3 * len(siemens)


@pytest.mark.parametrize(
    ("kind", "image_type"),
    [
        ("INV1", ["ORIGINAL", "PRIMARY", "M", "ND"]),
        ("INV2_PHS", ["ORIGINAL", "PRIMARY", "P", "ND"]),
        ("UNI_Images", ["DERIVED", "PRIMARY", "M", "ND", "UNI"]),
        ("UNI-DEN", ["DERIVED", "PRIMARY", "M", "ND", "UNI"]),
        ("T1_Images", ["DERIVED", "PRIMARY", "T1 MAP", "ND"]),
    ],
)
def test_siemens_image_types_are_those_of_scanners(siemens: Headers, kind: str, image_type: list[str]) -> None:
    for image in siemens[f"t1_mp2rage_sag_p3_1mm_{kind}"]:
        assert image.ImageType == image_type
        assert (image.SequenceName, image.MRAcquisitionType) == ("*tfl3d1_ns", "3D")
        assert image.ProtocolName == "t1_mp2rage_sag_p3_1mm"


def test_siemens_times_are_those_of_the_readout_in_milliseconds(siemens: Headers) -> None:
    for index, (time, angle) in enumerate(((700, 4), (2500, 5)), start=1):
        for part in ("", "_PHS"):
            image = siemens[f"t1_mp2rage_sag_p3_1mm_INV{index}{part}"][0]
            assert (image.RepetitionTime, image.InversionTime, image.FlipAngle) == (5000, time, angle)
            assert image.MagneticFieldStrength == 3
    assert siemens["t1_mp3rage_sag_p3_1mm_INV3"][0].InversionTime == 5610
    assert siemens["t1_mp3rage_sag_p3_1mm_INV3"][0].MagneticFieldStrength == 7
    for kind in ("UNI_Images", "UNI-DEN", "T1_Images"):
        assert "InversionTime" not in siemens[f"t1_mp2rage_sag_p3_1mm_{kind}"][0]


def test_siemens_hides_the_excitation_time(siemens: Headers) -> None:
    for images in siemens.values():
        text = str(images[0]) + images[0][0x0029, 0x1020].value.decode("latin-1")
        for spelling in ("6.9", "6900", "0.0069"):
            assert spelling not in text.replace(str(images[0].SOPInstanceUID), "").split()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mp2rage", {"lInvContrasts": 2, "sKSpace.lPartitions": 176, "sKSpace.ucSlicePartialFourier": 4,
                     "sFastImaging.lTurboFactor": 132, "alTR": [5_000_000], "alTI": [700_000, 2_500_000],
                     "adFlipAngleDegree": [4, 5]}),
        ("mp3rage", {"lInvContrasts": 3, "sKSpace.lPartitions": 225, "sKSpace.ucSlicePartialFourier": 16,
                     "sFastImaging.lTurboFactor": 225, "alTR": [8_250_000],
                     "alTI": [1_010_000, 3_310_000, 5_610_000], "adFlipAngleDegree": [4, 4, 4]}),
    ],
)  # fmt: skip
def test_siemens_protocol_text_reads_back(siemens: Headers, name: str, expected: dict[str, object]) -> None:
    image = siemens[f"t1_{name}_sag_p3_1mm_UNI_Images"][0]
    block = image.private_block(0x0029, "SIEMENS CSA HEADER")
    (text,) = csareader.read(block[0x20].value)["tags"]["MrPhoenixProtocol"]["items"]
    protocol, _ = ascconv.parse_ascconv(text[text.index("### ASCCONV BEGIN") :], str_delim='""')
    for key, value in expected.items():
        found = protocol
        for part in key.split("."):
            found = found[part]
        assert found == value, key
    assert protocol["tSequenceFileName"] == "%SiemensSeq%\\tfl"
    assert protocol["tProtocolName"] == f"t1_{name}_sag_p3_1mm"


def test_siemens_one_series_holds_all_parts_of_all_readouts(tmp_path: Path) -> None:
    series = _series(_make(tmp_path / "out", "MP2RAGE", "--one-series"))
    assert len(series) == 4
    images = series["t1_mp2rage_sag_p3_1mm_INV1"]
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert {(int(image.InversionTime), image.ImageType[2]) for image in images} == {
        (time, part) for time in (700, 2500) for part in "MP"
    }
    assert [image.InstanceNumber for image in images] == list(range(1, 13))


def test_philips_stores_real_and_imaginary_and_an_inversion_time_that_is_none(tmp_path: Path) -> None:
    series = _series(_make(tmp_path / "out", "MP3RAGE", "--vendor", "philips"))
    assert len(series) == 3
    for images, time in zip(series.values(), (1010, 3310, 5610), strict=True):
        assert {image.ImageType[3] for image in images} == {"R", "I"}
        for image in images:
            assert (image.InversionTime, image.RepetitionTime) == (time, 6)
            assert image.InversionTimes[0] == 0
            assert image.InversionTimes[1] > 1e308


def test_ge_stores_magnitudes_in_a_series_for_each_readout(tmp_path: Path) -> None:
    series = _series(_make(tmp_path / "out", "MP2RAGE", "--vendor", "ge"))
    assert len(series) == 2
    for images, time in zip(series.values(), (700, 2500), strict=True):
        assert {(image.InversionTime, image[0x0043, 0x102F].value) for image in images} == {(time, 0)}


def _converted(folder: Path, into: Path) -> dict[tuple[str, str], tuple[dict[str, object], NDArray[np.float64]]]:
    """Return sidecars and images by series description and kind of image."""
    into.mkdir()
    command: list[str | Path] = [DCM2NIIX, "-z", "n", "-b", "y", "-f", "%s_%d", "-o", into, folder]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for path in sorted(into.glob("*.nii")):
        sidecar = json.loads(path.with_suffix(".json").read_text())
        image = nibabel.as_closest_canonical(nibabel.load(path)).get_fdata()
        found[sidecar["SeriesDescription"], sidecar["ImageType"][-1]] = (sidecar, image)
    return found


def test_siemens_files_convert_to_the_simulated_images(tmp_path: Path, scan: ReadoutScan) -> None:
    found = _converted(_make(tmp_path / "out", "MP2RAGE"), tmp_path / "nifti")
    assert len(found) == 7
    name = "t1_mp2rage_sag_p3_1mm"
    scale = 4000 / np.abs(scan.images).max()
    for index, time in enumerate((0.7, 2.5)):
        sidecar, magnitude = found[f"{name}_INV{index + 1}", "MAGNITUDE"]
        assert (sidecar["InversionTime"], sidecar["RepetitionTime"]) == (time, 5)
        np.testing.assert_allclose(magnitude, scan.part("mag")[index] * scale, atol=0.51)
        _, phase = found[f"{name}_INV{index + 1}_PHS", "PHASE"]
        turned = np.exp(1j * (phase * np.pi / 4096 - scan.part("phase")[index]))
        assert np.abs(np.angle(turned)).max() < 0.002
    for kind, expected in (
        ("UNI_Images", 4095 * (scan.uni() + 0.5)),
        ("UNI-DEN", 4095 * (scan.denoised_uni() + 0.5)),
        ("T1_Images", 1000 * np.minimum(scan.vendor_t1(), 4.095)),
    ):
        ((sidecar, image),) = (each for (description, _), each in found.items() if description == f"{name}_{kind}")
        np.testing.assert_allclose(image, expected, atol=0.51, err_msg=kind)
        assert "InversionTime" not in sidecar


def test_a_public_converter_recognises_the_siemens_files(tmp_path: Path) -> None:
    found = _converted(_make(tmp_path / "out", "MP2RAGE", "--slices", "1"), tmp_path / "nifti")
    guesses = {str(sidecar["BidsGuess"]) for sidecar, _ in found.values()}
    assert any("inv-2_MP2RAGE" in guess for guess in guesses)
    assert any(guess.endswith("_UNIT1']") for guess in guesses)


def test_philips_files_convert_to_the_simulated_images(tmp_path: Path, scan: ReadoutScan) -> None:
    found = _converted(_make(tmp_path / "out", "MP2RAGE", "--vendor", "philips"), tmp_path / "nifti")
    assert len(found) == 4
    for index in range(2):
        for kind, part in (("REAL", "real"), ("IMAGINARY", "imag")):
            _, image = found[f"WIP_MP2RAGE_TI{index + 1}", kind]
            expected = scan.part(part)[index]
            # Within one stored integer.
            np.testing.assert_allclose(image, expected, atol=1.02 * np.abs(expected).max() / 2047)


def test_inversion_recovery_is_the_same_beside_other_sequences(tmp_path: Path) -> None:
    alone, beside = (
        _make(tmp_path / name, *sequences, "--inversion-times", "0.1", "1.0")
        for name, sequences in (("a", ["IRT1"]), ("b", ["IRT1", "MP2RAGE"]))
    )
    for path in alone.iterdir():
        assert path.read_bytes() == (beside / path.name).read_bytes()


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    first, second = (_make(tmp_path / name, "MP2RAGE", "--slices", "1") for name in "ab")
    names = sorted(path.name for path in first.iterdir())
    assert len(names) == 7
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
